"""`/scene`: a story begins, pauses, goes on and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import discord
from discord import app_commands
from discord.ext import commands

from bot.errors import TableError
from bot.scene.direction import NewScene
from bot.scene.ports import Place
from bot.store.records import Mode
from cogs.choices import among, asker, here, may_direct, persona_choices

if TYPE_CHECKING:
    from bot.client import Hearthside
    from bot.persona.persona import Persona
    from bot.scene.direction import Direction
    from bot.scene.memories import Memories
    from bot.scene.reports import Reports
    from bot.scene.scene import Scene
    from bot.scene.table import Table

    Interaction = discord.Interaction[Hearthside]
else:
    Interaction = discord.Interaction

ModeName = Literal["natural", "list", "manual", "mention-only"]


@app_commands.guild_only()
class SceneCommands(commands.GroupCog, group_name="scene", group_description="The story that is played here"):
    """The commands of a game master at the table."""

    def __init__(
        self, direction: Direction, table: Table, reports: Reports, memories: Memories, *, listens: bool
    ) -> None:
        self._direction = direction
        self._table = table
        self._reports = reports
        self._memories = memories
        self._listens = listens

    @app_commands.command(description="Open a scene in this channel, or in a new thread")
    @app_commands.describe(
        title="What the story is called",
        persona="Who plays: one character, or several separated by commas; the first one leads",
        premise="How it begins, in a few sentences",
        thread="Play in a new thread of this channel",
        mode="Who answers: whoever is meant (natural), everyone (list), or only those asked",
    )
    async def start(  # noqa: D102  # Discord shows the description above
        self,
        interaction: Interaction,
        title: app_commands.Range[str, 1, 100] = "",
        persona: app_commands.Range[str, 1, 400] = "",
        premise: app_commands.Range[str, 1, 2000] = "",
        thread: bool = False,
        mode: ModeName = "natural",
    ) -> None:
        await interaction.response.defer(thinking=True)
        place = await _new_thread(interaction, title) if thread else here(interaction)
        scene = await self._direction.start(
            NewScene(
                place=place,
                title=title,
                premise=premise,
                personas=tuple(name.strip() for name in persona.split(",") if name.strip()),
                mode=Mode(mode),
                started_by=interaction.user.id,
                starter_name=interaction.user.display_name,
                heard_from=interaction.id,
            )
        )
        await interaction.followup.send(self._welcome(scene, in_thread=thread))

    @app_commands.command(description="End the scene. The story is kept: /scene resume takes it up again")
    async def end(self, interaction: Interaction) -> None:  # noqa: D102
        scene = self._here(interaction)
        may_direct(interaction, scene)
        await interaction.response.defer(thinking=True)
        await self._direction.end(scene)
        await interaction.followup.send(
            f"“{scene.record.title}” has ended. `/scene resume` takes it up again."
        )

    @app_commands.command(description="Let the table talk: what is said now does not belong to the story")
    async def pause(self, interaction: Interaction) -> None:  # noqa: D102
        scene = self._here(interaction)
        may_direct(interaction, scene)
        await self._direction.pause(scene)
        await interaction.response.send_message(f"“{scene.record.title}” is paused. `/scene resume` goes on.")

    @app_commands.command(description="Go on with a paused scene, or with the last one that ended here")
    async def resume(self, interaction: Interaction) -> None:  # noqa: D102
        scene = await self._direction.resume(interaction.channel_id or 0, heard_from=interaction.id)
        await interaction.response.send_message(f"“{scene.record.title}” goes on.")

    @app_commands.command(
        description="Show who plays, how, and how much of the story the model has before it"
    )
    async def status(self, interaction: Interaction) -> None:  # noqa: D102
        scene = self._here(interaction)
        await interaction.response.send_message("\n".join(await self._reports.status(scene)), ephemeral=True)

    @app_commands.command(description="Read again what happened, as far as your character knows")
    @app_commands.describe(for_all="Post it here for everybody: what the whole table may know")
    async def recap(self, interaction: Interaction, for_all: bool = False) -> None:  # noqa: D102
        scene = self._here(interaction)
        if for_all:
            may_direct(interaction, scene)
        told = await self._memories.recap(scene, asker(interaction, scene), for_all=for_all)
        await interaction.response.send_message(told, ephemeral=not for_all)

    @app_commands.command(description="Bring a character into the scene")
    @app_commands.describe(
        persona="Who comes",
        briefed="They know what happened so far; left out, only what happens from now on",
    )
    async def add(  # noqa: D102
        self, interaction: Interaction, persona: str, briefed: bool = False
    ) -> None:
        scene = self._here(interaction)
        may_direct(interaction, scene)
        added = await self._direction.add(scene, persona, briefed=briefed)
        await interaction.response.send_message(f"**{added.name}** joins the scene.")

    @app_commands.command(description="Have a character leave the scene")
    @app_commands.describe(persona="Who goes")
    async def remove(self, interaction: Interaction, persona: str) -> None:  # noqa: D102
        scene = self._here(interaction)
        may_direct(interaction, scene)
        removed = await self._direction.remove(scene, persona)
        await interaction.response.send_message(f"**{removed.name}** leaves the scene.")

    @app_commands.command(description="Decide who answers")
    @app_commands.describe(mode="Whoever is meant (natural), everyone in order (list), or only those asked")
    async def mode(self, interaction: Interaction, mode: ModeName) -> None:  # noqa: D102
        scene = self._here(interaction)
        may_direct(interaction, scene)
        await self._direction.set_mode(scene, Mode(mode))
        await interaction.response.send_message(f"Who answers is now decided by: **{mode}**.")

    @app_commands.command(name="next", description="Have a character speak now, without being spoken to")
    @app_commands.describe(persona="Who speaks; left out, the one who leads the scene")
    async def next_(self, interaction: Interaction, persona: str = "") -> None:  # noqa: D102
        asked = await self._direction.ask(self._here(interaction), persona or None)
        await interaction.response.send_message(f"{asked.name} takes the word.", ephemeral=True)

    @start.autocomplete("persona")
    @add.autocomplete("persona")
    async def _any_persona(self, interaction: Interaction, current: str) -> list[app_commands.Choice[str]]:
        return persona_choices(self._table.personas.all(interaction.guild_id), current)

    @next_.autocomplete("persona")
    async def _present_persona(
        self, interaction: Interaction, current: str
    ) -> list[app_commands.Choice[str]]:
        return among([(one.name, slug) for slug, one in self._cast(interaction) if one], current)

    @remove.autocomplete("persona")
    async def _leaving_persona(
        self, interaction: Interaction, current: str
    ) -> list[app_commands.Choice[str]]:
        """Offer also those of whom only the name in the scene is left: they can leave, but not speak."""
        return among([(one.name if one else slug, slug) for slug, one in self._cast(interaction)], current)

    def _cast(self, interaction: Interaction) -> list[tuple[str, Persona | None]]:
        scene = self._table.scene_in(interaction.channel_id or 0)
        return [(slug, self._table.personas.get(slug)) for slug in scene.cast] if scene else []

    def _here(self, interaction: Interaction) -> Scene:
        return self._reports.scene_in(interaction.channel_id)

    def _welcome(self, scene: Scene, *, in_thread: bool) -> str:
        names = ", ".join(speaker.name for speaker in self._direction.faces(scene))
        where = f" in <#{scene.record.channel_id}>" if in_thread else ""
        lines = [f"## {scene.record.title}", f"On stage{where}: {names}."]
        lead = self._table.personas.get(scene.record.lead)
        if scene.record.premise and not (lead and lead.narrator):
            lines.insert(1, f"*{scene.record.premise}*")
        if not self._listens:
            lines.append("I only hear you when you mention me or reply to a character.")
        return "\n".join(lines)


async def _new_thread(interaction: Interaction, title: str) -> Place:
    """Open the thread that a scene will play in."""
    channel = interaction.channel
    if not isinstance(channel, discord.TextChannel):
        raise TableError(
            "A thread can only be opened in a text channel.", hint="Leave out the thread option here."
        )
    try:
        thread = await channel.create_thread(
            name=title or "A new scene", type=discord.ChannelType.public_thread, auto_archive_duration=10080
        )
    except discord.Forbidden:
        raise TableError(
            "I may not open threads here.",
            hint="I need “Create Public Threads” and “Send Messages in Threads”.",
        ) from None
    return Place(interaction.guild_id, thread.id, channel.id)
