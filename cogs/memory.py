"""`/memory`: what is remembered, and what is to be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import discord
from discord import app_commands
from discord.ext import commands

from bot.scene.knowledge import PIN_CHARACTERS, shortened
from bot.scene.memories import quote
from cogs.choices import among, asker, fitting
from cogs.persona_forms import Sure, attached

if TYPE_CHECKING:
    from bot.client import Hearthside
    from bot.scene.knowledge import Knowledge
    from bot.scene.memories import Memories
    from bot.scene.reports import Reports
    from bot.scene.scene import Scene
    from bot.store.records import Pin

    Interaction = discord.Interaction[Hearthside]
else:
    Interaction = discord.Interaction

MENU = "Remember this"
NOTHING_FOUND = "Your character remembers nothing of that."


@app_commands.guild_only()
class MemoryCommands(commands.GroupCog, group_name="memory", group_description="What is remembered"):
    """Memory, for everybody as far as their character knows, and for the game master whole."""

    def __init__(
        self, client: Hearthside, knowledge: Knowledge, memories: Memories, reports: Reports
    ) -> None:
        self._tree = client.tree
        self._knowledge = knowledge
        self._memories = memories
        self._reports = reports
        self._menu = app_commands.ContextMenu(name=MENU, callback=self._remember)

    async def cog_load(self) -> None:
        """Put the entry into the menu of messages."""
        self._tree.add_command(self._menu)

    async def cog_unload(self) -> None:
        """Take it out again."""
        self._tree.remove_command(self._menu.name, type=self._menu.type)

    @app_commands.command(description="Find what was said, as far as your character was there")
    @app_commands.describe(text="Words that were said; who said them counts, too")
    async def search(  # noqa: D102  # Discord shows the description above
        self, interaction: Interaction, text: app_commands.Range[str, 1, 200]
    ) -> None:
        scene = self._here(interaction)
        await interaction.response.defer(ephemeral=True, thinking=True)
        found = await self._memories.search(scene, text, asker(interaction, scene))
        lines = [f"`#{one.entry.id}` session {one.session} · {quote(one.entry)}" for one in found]
        await interaction.followup.send(fitting(lines) or NOTHING_FOUND, ephemeral=True)

    @app_commands.command(description="Have a fact remembered word for word, whatever else is forgotten")
    @app_commands.describe(text="The fact, as short as it can be; all players and characters will know it")
    async def pin(  # noqa: D102
        self, interaction: Interaction, text: app_commands.Range[str, 1, PIN_CHARACTERS]
    ) -> None:
        scene = self._here(interaction)
        await _confirm(interaction, await self._knowledge.pin(scene, text, asker(interaction, scene)))

    @app_commands.guild_only()
    async def _remember(self, interaction: Interaction, message: discord.Message) -> None:
        scene = self._here(interaction)
        pin = await self._knowledge.pin_message(scene, message.id, asker(interaction, scene))
        await _confirm(interaction, pin)

    @app_commands.command(description="Take a pinned fact out")
    @app_commands.describe(pin="The fact")
    async def unpin(self, interaction: Interaction, pin: str) -> None:  # noqa: D102
        scene = self._here(interaction)
        gone = await self._knowledge.unpin(scene, pin, asker(interaction, scene))
        await interaction.response.send_message(
            f"No longer pinned: {shortened(gone.text)}\n`/memory pin` pins it again.", ephemeral=True
        )

    @app_commands.command(description="Delete something that was said from every memory, for good")
    @app_commands.describe(entry="What: type words of it, or its number from /memory search")
    async def forget(self, interaction: Interaction, entry: str) -> None:  # noqa: D102
        scene = self._here(interaction)
        found = await self._memories.forgettable(scene, entry, asker(interaction, scene))

        async def then(pressed: discord.Interaction[Any]) -> None:
            await pressed.response.defer()
            await self._memories.forget(scene, found)
            await pressed.edit_original_response(
                content="Forgotten: it is in no prompt, summary or search any more. "
                "Its message in the channel, if there is one, is yours to delete.",
                view=None,
            )

        await interaction.response.send_message(
            f"Forget this for good?\n{quote(found)}", view=Sure(interaction, "Forget", then), ephemeral=True
        )

    @app_commands.command(name="list", description="Show what is pinned, and how much is remembered")
    async def list_(self, interaction: Interaction) -> None:  # noqa: D102
        scene = self._here(interaction)
        pins = await self._knowledge.pins(scene, asker(interaction, scene))
        lines = [f"`#{one.id}` {shortened(one.text)}" for one in pins]
        lines = lines or ["Nothing is pinned. `/memory pin` or *Apps > Remember this* on a message does it."]
        told = await self._memories.overview(scene)
        shown = fitting([*told, "**Pinned**", *lines], all_in="`/memory export`")
        await interaction.response.send_message(shown, ephemeral=True)

    @app_commands.command(description="Take along as a file what your character knows of this story")
    async def export(self, interaction: Interaction) -> None:  # noqa: D102
        scene = self._here(interaction)
        await interaction.response.defer(ephemeral=True, thinking=True)
        who = asker(interaction, scene)
        export = await self._memories.export(scene, who, interaction.filesize_limit)
        name = "".join(letter if letter.isalnum() else "-" for letter in scene.record.title)
        ending = "json.gz" if export.is_packed else "json"
        await interaction.followup.send(
            f"What you know of “{scene.record.title}”.",
            file=attached(export.data, f"{name}.{ending}"),
            ephemeral=True,
        )

    @unpin.autocomplete("pin")
    async def _pins_there(self, interaction: Interaction, current: str) -> list[app_commands.Choice[str]]:
        scene = self._here(interaction)
        pins = await self._knowledge.pins(scene, asker(interaction, scene))
        return among([(shortened(one.text, 100), f"#{one.id}") for one in pins], current)

    @forget.autocomplete("entry")
    async def _forgettable_there(
        self, interaction: Interaction, current: str
    ) -> list[app_commands.Choice[str]]:
        scene = self._here(interaction)
        found = await self._memories.own(scene, current, asker(interaction, scene))
        return [
            app_commands.Choice(name=shortened(f"{one.speaker}: {one.text}", 100), value=f"#{one.id}")
            for one in found
        ]

    def _here(self, interaction: Interaction) -> Scene:
        return self._reports.scene_in(interaction.channel_id)


async def _confirm(interaction: Interaction, pin: Pin) -> None:
    cut = "\nIt is long: the characters are told its beginning." if len(pin.text) > PIN_CHARACTERS else ""
    await interaction.response.send_message(
        f"Remembered: {shortened(pin.text)}\n`/memory unpin` takes it out again.{cut}", ephemeral=True
    )
