"""The form in which an entry of a lorebook is written."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import discord

from bot.errors import TableError
from bot.prompt.lore.fields import KEYS
from bot.prompt.lore.options import options_of, with_options
from bot.prompt.lore.patterns import split_keys
from cogs.persona_forms import attached

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bot.prompt.lore.model import LoreEntry

Interaction = discord.Interaction[Any]  # of Hearthside, where discord.py allows any client

FIELD_CHARACTERS = 4000  # Discord's limit for one field of a form
TITLE_CHARACTERS = 200
FORM_SECONDS = 3600.0


class LoreForm(discord.ui.Modal):
    """The form. `then` gets the entry as it was written.

    What a field cannot hold, a long text or names with commas in them, is left out and stays as it is. What
    was typed into a form that cannot be used is given back as a file.
    """

    def __init__(
        self, title: str, entry: LoreEntry, then: Callable[[Interaction, LoreEntry], Awaitable[None]]
    ) -> None:
        super().__init__(title=title[:45], timeout=FORM_SECONDS)
        self._entry = entry
        self._then = then
        self._inputs: dict[str, discord.ui.TextInput[LoreForm]] = {}
        self._add(
            "keys", "Keys, with commas between them", ", ".join(entry.keys), "bell, /tolls?/i", long=False
        )
        self._add("content", "What is told when a key is said", entry.content, "The bell hangs under water.")
        self._add("title", "Title, for you", entry.title, "The drowned bell", long=False)
        self._add(
            "secondary_keys",
            "Only if one of these is said, too",
            ", ".join(entry.secondary_keys),
            "lake, village",
            long=False,
        )
        if _says_all(options_of(entry), entry):
            self._add("options", "Options", options_of(entry), "order: 50; sticky: 3; probability: 80")

    def _add(self, name: str, label: str, value: str, placeholder: str, *, long: bool = True) -> None:
        most = TITLE_CHARACTERS if name == "title" else FIELD_CHARACTERS
        if len(value) > most or (not long and "\n" in value):
            return
        if name.endswith("keys") and split_keys(value) != getattr(self._entry, name):
            return
        self._inputs[name] = discord.ui.TextInput(
            custom_id=name,
            style=discord.TextStyle.paragraph if long else discord.TextStyle.short,
            placeholder=placeholder,
            default=value or None,
            required=name == "content",
            max_length=most,
        )
        self.add_item(discord.ui.Label(text=label, component=self._inputs[name]))

    async def interaction_check(self, interaction: Interaction, /) -> bool:
        """Let a form through once: a resumed session may bring it again."""
        first: bool = await interaction.client.claims(interaction.id)
        return first

    async def on_submit(self, interaction: Interaction, /) -> None:
        """Hand on what was written."""
        typed = {name: each.value.strip() for name, each in self._inputs.items()}
        try:
            await self._then(interaction, _written(self._entry, typed))
        except TableError as error:
            kept = "\n\n".join(f"{name}:\n{text}" for name, text in typed.items())
            file = attached(kept.encode(), "what-you-wrote.txt")
            await interaction.response.send_message(f"⚠ {error}", file=file, ephemeral=True)

    async def on_error(  # type: ignore[override]  # discord.py's own Modal differs from its View here
        self, interaction: Interaction, error: Exception, /
    ) -> None:
        """Tell the one who wrote why it did not work."""
        await interaction.client.tell(interaction, error, where="the form of a lore entry")


def _written(entry: LoreEntry, typed: dict[str, str]) -> LoreEntry:
    """Put what was typed over an entry. Raises TableError for options that are none."""
    changes: dict[str, Any] = {
        name: typed[name]
        for name in ("content", "title")
        if name in typed and typed[name] != getattr(entry, name).strip()
    }
    for name in ("keys", "secondary_keys"):
        if name in typed:
            changes[name] = split_keys(typed[name])
            _require_few(changes[name])
    changed = replace(entry, **changes)
    return with_options(changed, typed["options"]) if "options" in typed else changed


def _require_few(keys: Sequence[str]) -> None:
    if len(keys) > KEYS:
        raise TableError(
            f"There are {len(keys)} keys, and an entry has {KEYS} at most.",
            hint="Write a second entry for the others, or a pattern such as /bells?/.",
        )


def _says_all(options: str, entry: LoreEntry) -> bool:
    """Tell whether an entry's options mean the same once they are read again."""
    try:
        return with_options(entry, options) == entry
    except TableError:
        return False
