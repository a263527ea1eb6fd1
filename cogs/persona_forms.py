"""What `/persona create`, `edit` and `delete` ask with: a form, and a button that makes sure."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any, NamedTuple

import discord

from bot.documents import dumped
from bot.errors import TableError
from bot.persona.cards.card import new_card
from bot.persona.persona import NAME_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

Interaction = discord.Interaction[Any]  # of Hearthside, where discord.py allows any client

FIELD_CHARACTERS = 4000  # Discord's limit for one field of a form
FORM_SECONDS = 3600.0  # a character takes a while to write
ANSWER_SECONDS = 120.0


class Field(NamedTuple):
    """One field of the form: the card's name for it, and what stands above it and in it."""

    key: str
    label: str
    placeholder: str


FIELDS = (
    Field("name", "Name", "Marta"),
    Field("description", "Who this is", "Looks, past, what nobody may know. {{user}} is the player."),
    Field("personality", "What they are like, and how they talk", "Dry, kind, and never in a hurry."),
    Field("first_mes", "How they open a scene", "What is said when a scene begins with them."),
    Field("mes_example", "How they sound", "{{user}}: A room? (and on the next line) {{char}}: Two coppers."),
)


class CardForm(discord.ui.Modal):
    """The form in which a character is written. `then` gets what was typed, by the card's names for it.

    A text that is too long for a field is left out of the form. What was typed into a form that cannot be
    used is given back as a file.
    """

    def __init__(
        self,
        title: str,
        values: Mapping[str, str],
        then: Callable[[Interaction, dict[str, str]], Awaitable[None]],
    ) -> None:
        super().__init__(title=title[:45], timeout=FORM_SECONDS)
        self._then = then
        self._inputs: dict[str, discord.ui.TextInput[CardForm]] = {}
        for field in FIELDS:
            value = values.get(field.key, "")
            if len(value) <= FIELD_CHARACTERS:
                self._inputs[field.key] = _input(field, value)
                self.add_item(discord.ui.Label(text=field.label, component=self._inputs[field.key]))

    async def interaction_check(self, interaction: Interaction, /) -> bool:
        """Let a form through once: a resumed session may bring it again."""
        first: bool = await interaction.client.claims(interaction.id)
        return first

    async def on_submit(self, interaction: Interaction, /) -> None:
        """Hand on what was typed."""
        typed = {key: each.value.strip() for key, each in self._inputs.items()}
        try:
            await self._then(interaction, typed)
        except TableError as error:
            kept = attached(dumped(new_card(typed).document, indent=2), "what-you-wrote.json")
            await interaction.response.send_message(f"⚠ {error}", file=kept, ephemeral=True)

    async def on_error(  # type: ignore[override]  # discord.py's own Modal differs from its View here
        self, interaction: Interaction, error: Exception, /
    ) -> None:
        """Tell the one who wrote why it did not work."""
        await interaction.client.tell(interaction, error, where="the form of a character")


class _Danger(discord.ui.Button["Sure"]):
    """A red button."""

    def __init__(self, label: str, then: Callable[[Interaction], Awaitable[None]]) -> None:
        super().__init__(label=label, style=discord.ButtonStyle.danger)
        self._then = then

    async def callback(self, interaction: Interaction) -> None:
        """Do what it stands for."""
        await self._then(interaction)


class Sure(discord.ui.View):
    """A button that makes sure. `then` is called once, by the one who was asked."""

    def __init__(
        self, asked: Interaction, label: str, then: Callable[[Interaction], Awaitable[None]]
    ) -> None:
        super().__init__(timeout=ANSWER_SECONDS)
        self._asked = asked
        self._then = then
        self.add_item(_Danger(label, self._pressed))

    async def interaction_check(self, interaction: Interaction, /) -> bool:
        """Let a press through once: a resumed session may bring it again."""
        first: bool = await interaction.client.claims(interaction.id)
        return first

    async def _pressed(self, interaction: Interaction) -> None:
        self.stop()
        await self._then(interaction)

    async def on_timeout(self) -> None:
        """Take the button away when it has stopped working."""
        with contextlib.suppress(discord.HTTPException):
            await self._asked.edit_original_response(content="Nothing was deleted.", view=None)

    async def on_error(
        self, interaction: Interaction, error: Exception, item: discord.ui.Item[Any], /
    ) -> None:
        """Tell the one who pressed it why it did not work."""
        await interaction.client.tell(interaction, error, where=f"the button {item}")


def attached(data: bytes, name: str) -> discord.File:
    """Make a file of a message."""
    return discord.File(io.BytesIO(data), name)


def _input(field: Field, value: str) -> discord.ui.TextInput[CardForm]:
    named = field.key == "name"
    return discord.ui.TextInput(
        custom_id=field.key,
        style=discord.TextStyle.short if named else discord.TextStyle.paragraph,
        placeholder=field.placeholder,
        default=value or None,
        required=named,
        max_length=NAME_CHARACTERS if named else FIELD_CHARACTERS,
    )
