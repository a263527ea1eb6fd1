"""What several commands share: where they were typed, what to offer, who may direct."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands

from bot.errors import TableError
from bot.scene.knowledge import Asker
from bot.scene.ports import Place

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bot.persona.persona import Persona
    from bot.scene.scene import Scene

CHOICES = 25  # Discord's limits for what autocomplete offers
CHOICE_CHARACTERS = 100
MESSAGE_CHARACTERS = 1950  # a message, less the line that says what did not fit


def among(offers: Iterable[tuple[str, str]], current: str) -> list[app_commands.Choice[str]]:
    """Offer the (name, value) pairs that match what was typed so far: beginnings first."""
    typed = current.casefold().strip()
    short = [offer for offer in offers if len(offer[1]) <= CHOICE_CHARACTERS]
    fitting = [offer for offer in short if typed in offer[0].casefold() or typed in offer[1].casefold()]
    fitting.sort(key=lambda offer: not offer[0].casefold().startswith(typed))
    return [
        app_commands.Choice(name=name[:CHOICE_CHARACTERS], value=value) for name, value in fitting[:CHOICES]
    ]


def persona_choices(personas: Iterable[Persona], current: str) -> list[app_commands.Choice[str]]:
    """Offer personas; of a list separated by commas, the last name is completed."""
    typed, comma, last = current.rpartition(",")
    before = f"{typed.strip()}, " if comma else ""
    named = {name.strip().casefold() for name in typed.split(",")}
    offers = among([(one.name, one.slug) for one in personas if one.slug not in named], last)
    return [
        app_commands.Choice(name=f"{before}{offer.name}", value=f"{before}{offer.value}")
        for offer in offers
        if len(before) + max(len(offer.name), len(offer.value)) <= CHOICE_CHARACTERS
    ]


def here(interaction: discord.Interaction[Any]) -> Place:
    """Give the channel or thread in which a command was typed."""
    channel = interaction.channel
    parent = channel.parent_id if isinstance(channel, discord.Thread) else None
    return Place(interaction.guild_id, interaction.channel_id or 0, parent)


def directs(interaction: discord.Interaction[Any], scene: Scene) -> bool:
    """Tell whether somebody is the game master of a scene: who started it, or may manage the channel."""
    return interaction.user.id == scene.record.started_by or interaction.permissions.manage_messages


def asker(interaction: discord.Interaction[Any], scene: Scene) -> Asker:
    """Give who asks what is known of a scene."""
    return Asker(interaction.user.id, directs(interaction, scene))


def may_direct(interaction: discord.Interaction[Any], scene: Scene) -> None:
    """Let the one who started a scene, and those who manage the channel, change it.

    Raises TableError for everybody else.
    """
    if not directs(interaction, scene):
        raise TableError(
            f"Only <@{scene.record.started_by}>, who started this scene, can do that.",
            hint="So can members with “Manage Messages”.",
        )


def may_manage(interaction: discord.Interaction[Any], what: str) -> None:
    """Let those who manage the server decide for it. Raises TableError for everybody else."""
    if interaction.guild_id and not interaction.permissions.manage_guild:
        raise TableError(f"{what} is for members with “Manage Server”.")


def fitting(lines: Iterable[str], room: int = MESSAGE_CHARACTERS, *, all_in: str = "") -> str:
    """Join lines into one message of Discord, and say how many did not fit, and what they are `all_in`.

    `room` is in characters; what says how many did not fit comes on top of it. Of a line that no message has
    room for its beginning is shown.
    """
    shown: list[str] = []
    rest = [line if len(line) < room else f"{line[: room // 2]} …" for line in lines]
    while rest and len(rest[0]) < room:
        room -= len(rest[0]) + 1
        shown.append(rest.pop(0))
    where = f" {all_in} has them all." if all_in else ""
    return "\n".join([*shown, f"… and {len(rest)} more.{where}"] if rest else shown)
