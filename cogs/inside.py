"""`/context` and `/why`: what the model reads, and what an answer was made of."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import discord
from discord import app_commands
from discord.ext import commands

from bot.errors import TableError
from bot.scene.inside import WHICH
from bot.scene.inside_words import Sections, look_sections, quote, summary, why_sections
from bot.scene.picture import Painter
from cogs.choices import fitting

if TYPE_CHECKING:
    from bot.client import Hearthside
    from bot.scene.inside import Answered, Inside
    from bot.scene.reports import Reports

    Interaction = discord.Interaction[Hearthside]
else:
    Interaction = discord.Interaction

FIELD_CHARACTERS = 1000  # of 1024, less the line that says what did not fit
PICTURE = "context.png"
# A link ends in the message's id; “Copy ID” with Shift held gives channel-message.
MESSAGE = re.compile(r"(?:\S*[/-])?(\d{1,19})")
MENU = "Why this answer?"


class InsideCommands(commands.Cog):
    """A look inside, for everybody at the table; only the one who asks sees it."""

    def __init__(self, client: Hearthside, inside: Inside, reports: Reports) -> None:
        self._tree = client.tree
        self._inside = inside
        self._reports = reports
        self._painter = Painter()
        self._menu = app_commands.ContextMenu(name=MENU, callback=self._why_this)

    async def cog_load(self) -> None:
        """Put the entry into the menu of messages."""
        self._tree.add_command(self._menu)

    async def cog_unload(self) -> None:
        """Take it out again."""
        self._tree.remove_command(self._menu.name, type=self._menu.type)

    @app_commands.command(description="Show what the model reads of this scene, in tokens and as a picture")
    @app_commands.guild_only()
    async def context(self, interaction: Interaction) -> None:  # noqa: D102  # the description above is shown
        await interaction.response.defer(ephemeral=True, thinking=True)
        scene = self._reports.scene_in(interaction.channel_id)
        look = await self._inside.look(scene)
        embed = _embed(f"What the model reads of “{scene.record.title}”", summary(look), look_sections(look))
        picture = await self._painter.paint(look.contents)
        if picture is None:
            await interaction.followup.send(embed=embed, ephemeral=True)
            return
        embed.set_image(url=f"attachment://{PICTURE}")
        file = discord.File(io.BytesIO(picture), PICTURE, description=summary(look).replace("*", ""))
        await interaction.followup.send(embed=embed, file=file, ephemeral=True)

    @app_commands.command(description="Show what a character's answer was made of")
    @app_commands.guild_only()
    @app_commands.describe(answer="A link to the answer, or its id; left out, the last answer here")
    async def why(  # noqa: D102  # the description above is shown
        self, interaction: Interaction, answer: app_commands.Range[str, 1, 200] = ""
    ) -> None:
        message_id = _message_id(answer) if answer else None
        await self._tell(interaction, message_id)

    @app_commands.guild_only()
    async def _why_this(self, interaction: Interaction, message: discord.Message) -> None:
        await self._tell(interaction, message.id)

    async def _tell(self, interaction: Interaction, message_id: int | None) -> None:
        answer = await self._inside.why(interaction.channel_id or 0, message_id)
        keeps_lore = answer.started_by == interaction.user.id or interaction.permissions.manage_guild
        await interaction.response.send_message(embed=_told(answer, secrets=keeps_lore), ephemeral=True)


def _told(answer: Answered, *, secrets: bool) -> discord.Embed:
    embed = _embed(MENU, quote(answer), why_sections(answer, secrets=secrets))
    if answer.message_id:
        embed.set_footer(text=f"The whole prompt, for the operator: hearthside replay {answer.message_id}")
    return embed


def _embed(title: str, text: str, sections: Sections) -> discord.Embed:
    embed = discord.Embed(title=title, description=text)
    for heading, lines in sections:
        embed.add_field(name=heading, value=fitting(lines, FIELD_CHARACTERS), inline=False)
    return embed


def _message_id(text: str) -> int:
    found = MESSAGE.fullmatch(text.strip().strip("<>"))
    if found is None:
        raise TableError(f"“{text[:80]}” is neither a link to a message nor its id.", hint=WHICH)
    return int(found[1])
