"""What a card's fields mean for a persona, and the other way round.

A card may ask to replace the bot's own instructions (`system_prompt`, `post_history_instructions`). The cast
shares one prompt, so they stand in the character's own part of it, after the bot's: `{{original}}`, which
would put those back, is left out there.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.documents import Json
from bot.persona.cards.card import Card, new_card
from bot.persona.cards.document import CardError
from bot.persona.cards.examples import format_examples, parse_examples
from bot.persona.persona import (
    ALIASES,
    EXAMPLES,
    GREETINGS,
    LABEL_CHARACTERS,
    NAME_CHARACTERS,
    TAGS,
    TEXT_BYTES,
    Example,
    Persona,
    clean_name,
    clean_text,
    fold,
)

if TYPE_CHECKING:
    from pathlib import Path

TOO_LONG = (
    "This card is too long: its description, personality, scenario, instructions and greeting may take "
    f"{TEXT_BYTES // 1024} kB together."
)
NOTES_CHARACTERS = 2000  # of the creator's notes; people read them in an embed
TALKATIVENESS = 0.5  # of a card that does not say; SillyTavern's default
OURS = "hearthside"  # the extension that holds what only this bot knows of a character

_ORIGINAL = re.compile(r"\{\{\s*original\s*\}\}", re.IGNORECASE)
_CHAR = re.compile(r"\{\{\s*char\s*\}\}|<char>|<bot>", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Read:
    """A persona read from a card, and sentences about what of the card is not used."""

    persona: Persona
    notes: tuple[str, ...] = ()


def persona_from(card: Card, slug: str, avatar: Path | None = None) -> Read:
    """Read the persona that a card describes. Raises `CardError` for one without a name, or far too long."""
    name, nickname = _name(card, "name"), _name(card, "nickname")
    if not name:
        raise CardError("This card has no name in it.")

    shelf = _Shelf()

    def said(key: str) -> str:
        return _cleaned(shelf.possible(card.text(key)))

    description = shelf.must(_called(_description(said), nickname))
    scenario = shelf.must(_called(said("scenario"), nickname))
    greeting = shelf.must(_called(said("first_mes"), nickname))
    examples = _examples(card, name, nickname)
    shown = shelf.may(
        [one.player + one.answer for one in examples[:EXAMPLES]], len(examples), "example lines"
    )
    offered = card.texts("alternate_greetings")
    greetings = [_called(_cleaned(text), nickname) for text in offered[:GREETINGS]]
    kept = shelf.may(greetings, len(offered), "other greetings")
    notes = _cleaned(card.text("creator_notes")[:NOTES_CHARACTERS])
    persona = Persona(
        slug=slug,
        name=name,
        narrator=_ours(card).get("narrator") is True,
        description=description,
        scenario=scenario,
        greeting=greeting,
        examples=examples[:shown],
        alternate_greetings=tuple(filter(None, greetings[:kept])),
        talkativeness=_talkativeness(card.extension("talkativeness")),
        aliases=_aliases(card, name, nickname),
        avatar=avatar,
        tags=tuple(filter(None, map(_label, card.texts("tags")[:TAGS]))),
        creator_notes=notes if shelf.may([notes], 1, "notes of its creator") else "",
    )
    return Read(persona, (*card.notes, *shelf.notes, *_unused(card)))


def card_from(persona: Persona) -> Card:
    """Write the card of a persona that has none: one of the operator's own."""
    card = new_card(
        {
            "name": persona.name,
            "description": persona.description,
            "personality": persona.voice,
            "scenario": persona.scenario,
            "first_mes": persona.greeting,
            "mes_example": format_examples(persona.examples),
            "creator_notes": persona.creator_notes,
        }
    )
    ours = {"narrator": persona.narrator, "aliases": list(persona.aliases)}
    lists: Json = {
        "alternate_greetings": [*(text for _, text in persona.openings), *persona.alternate_greetings],
        "tags": list(persona.tags),
        "extensions": {"talkativeness": persona.talkativeness, OURS: ours},
    }
    return Card({**card.document, "data": {**card.data, **lists}})


class _Shelf:
    """What room a persona has left for text, in bytes of UTF-8."""

    def __init__(self) -> None:
        self._room = TEXT_BYTES
        self.notes: list[str] = []

    def must(self, text: str) -> str:
        """Take a text that the character is nothing without."""
        self._room -= len(text.encode())
        if self._room < 0:
            raise CardError(TOO_LONG)
        return text

    def possible(self, text: str) -> str:
        """Give back a text that may fit: a much longer one is not worth the work of cleaning it."""
        if len(text) > TEXT_BYTES:
            raise CardError(TOO_LONG)
        return text

    def may(self, texts: Sequence[str], there_are: int, what: str) -> int:
        """Say how many of some texts, the first ones, are taken. `there_are` so many in the card."""
        taken = 0
        for text in texts:
            if len(text.encode()) > self._room:
                break
            self._room -= len(text.encode())
            taken += 1
        if taken < there_are:
            self.notes.append(f"Of {there_are} {what}, {taken} are used: there is no room for more.")
        return taken


def _description(said: Callable[[str], str]) -> str:
    personality = said("personality")
    parts = [
        said("description"),
        f"{{{{char}}}}'s personality: {personality}" if personality else "",
        _ORIGINAL.sub("", said("system_prompt")).strip(),
        _ORIGINAL.sub("", said("post_history_instructions")).strip(),
    ]
    return "\n\n".join(filter(None, parts))


def _called(text: str, nickname: str) -> str:
    """Put the nickname where `{{char}}` stands: V3 asks for it."""
    return _CHAR.sub(lambda _: nickname, text) if nickname else text


def _name(card: Card, key: str) -> str:
    return clean_name(card.text(key)[: 4 * NAME_CHARACTERS])


def _cleaned(text: str) -> str:
    return clean_text(text[:TEXT_BYTES]).strip()


def _examples(card: Card, name: str, nickname: str) -> tuple[Example, ...]:
    found = parse_examples(_cleaned(card.text("mes_example")), (name, nickname))
    return tuple(Example(_called(one.player, nickname), _called(one.answer, nickname)) for one in found)


def _talkativeness(value: Any) -> float:
    """Read SillyTavern's number, which it also writes as text."""
    try:
        chance = float(value)
    except (TypeError, ValueError):
        return TALKATIVENESS
    return min(1.0, max(0.0, chance)) if math.isfinite(chance) else TALKATIVENESS


def _ours(card: Card) -> Json:
    extension = card.extension(OURS)
    return extension if isinstance(extension, dict) else {}


def _aliases(card: Card, name: str, nickname: str) -> tuple[str, ...]:
    listed = _ours(card).get("aliases")
    found = [nickname, *(listed[:ALIASES] if isinstance(listed, list) else [])]
    aliases = {
        fold(alias): alias
        for alias in (clean_name(text[: 4 * NAME_CHARACTERS]) for text in found if isinstance(text, str))
    }
    return tuple(alias for key, alias in aliases.items() if key and key != fold(name))[:ALIASES]


def _label(text: str) -> str:
    return " ".join(clean_text(text[: 4 * LABEL_CHARACTERS]).split())[:LABEL_CHARACTERS]


def _unused(card: Card) -> list[str]:
    """Say what of a card is kept for export and has no part in play."""
    unused = []
    if card.extension("depth_prompt"):
        unused.append("its depth prompt")
    if card.texts("group_only_greetings"):
        unused.append("its greetings for groups")
    if (others := len(card.objects("assets")) - 1) > 0:
        unused.append(f"{others} pictures besides its face")
    return [f"Kept for export, not used in play: {', '.join(unused)}."] if unused else []
