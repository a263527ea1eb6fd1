"""One character card: which version it is, its fields, and how one version is written as another.

Sources: Character Card V1 and V2 (https://github.com/malfoyslastname/character-card-spec-v2) and V3
(https://github.com/kwaroran/character-card-spec-v3). A card is kept as the document that it came as: what is
not known here stays in it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.documents import Json
from bot.persona.cards.document import CardError

V2, V3 = "chara_card_v2", "chara_card_v3"
NEWEST = {2: 2.0, 3: 3.0}  # the spec_version that is known of each

LOREBOOK = "/lore import brings it."

_SPEC = re.compile(r"chara_card_v(\d{1,4})")
_V1_TEXTS = ("description", "personality", "scenario", "first_mes", "mes_example")


@dataclass(frozen=True, slots=True)
class Card:
    """A card as the document it came as. `notes` are sentences about what is odd in it."""

    document: Json
    notes: tuple[str, ...] = ()

    @property
    def data(self) -> Json:
        """The fields: V1 has them at the top, later versions under `data`."""
        inner = self.document.get("data")
        return inner if isinstance(inner, dict) else self.document

    def text(self, key: str) -> str:
        """Give a field of text as it is written; empty where it is missing or no text."""
        value = self.data.get(key)
        return value if isinstance(value, str) else ""

    def texts(self, key: str) -> list[str]:
        """Give a list of texts; what is no text in it is left out."""
        value = self.data.get(key)
        return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

    def objects(self, key: str) -> list[Json]:
        """Give a list of objects; what is no object in it is left out."""
        value = self.data.get(key)
        return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []

    def extension(self, key: str) -> Any:
        """Give a field of the extensions, or None."""
        extensions = self.data.get("extensions")
        return extensions.get(key) if isinstance(extensions, dict) else None

    def as_v2(self) -> Json:
        """Write it as V2. Fields that V2 does not know stand beside those it knows."""
        return self._as(V2, "2.0")

    def as_v3(self) -> Json:
        """Write it as V3, or as the later version that it is."""
        known = _spec_number(self.document)
        return self.document if known and known >= 3 else self._as(V3, "3.0")

    def changed(self, fields: Mapping[str, str]) -> Card:
        """Give a card with other texts. Where a V2 card repeats V1's fields at the top, those change too."""
        data = {**self.data, **fields}
        if self.data is self.document:
            return Card(data, self.notes)
        repeated = {key: text for key, text in fields.items() if isinstance(self.document.get(key), str)}
        return Card({**self.document, **repeated, "data": data}, self.notes)

    def _as(self, spec: str, version: str) -> Json:
        if self.document.get("spec") == spec:
            return self.document
        around = {} if self.data is self.document else self.document
        return {**around, "spec": spec, "spec_version": version, "data": self.data}


def card_of(document: Json) -> Card:
    """Tell what a document is. Raises `CardError` where it is no character card."""
    if "spec" in document:
        notes = _spec_notes(document)
    elif isinstance(document.get("data"), dict):
        notes = ["It does not say which version it is; read as V2."]
    elif "entries" in document:
        raise CardError("This is a lorebook and no character card.", hint=LOREBOOK)
    elif any(key in document for key in _V1_TEXTS):
        notes = []
    else:
        raise CardError("This JSON is no character card.", hint="A card has a name and a description.")
    return Card(document, tuple(notes))


def new_card(fields: Mapping[str, str]) -> Card:
    """Make a V3 card of a few texts."""
    empty: Json = dict.fromkeys(
        (
            "name", *_V1_TEXTS, "creator_notes", "system_prompt",
            "post_history_instructions", "creator", "character_version",
        ),
        "",
    )  # fmt: skip
    lists: Json = {"alternate_greetings": [], "group_only_greetings": [], "tags": [], "extensions": {}}
    return Card({"spec": V3, "spec_version": "3.0", "data": {**empty, **lists, **fields}})


def _spec_number(document: Json) -> int | None:
    spec = document.get("spec")
    found = _SPEC.fullmatch(spec) if isinstance(spec, str) else None
    return int(found[1]) if found else None


def _spec_notes(document: Json) -> list[str]:
    number = _spec_number(document)
    if number is None:
        shown = str(document["spec"])[:40]
        if shown.startswith("lorebook"):
            raise CardError("This is a lorebook and no character card.", hint=LOREBOOK)
        raise CardError(f"This says it is a “{shown}”, which is no character card.")
    if not isinstance(document.get("data"), dict):
        raise CardError(f"This card says it is V{number}, but its fields are missing (“data”).")
    if number not in NEWEST:
        nearest = "V3" if number > 3 else "V2"
        return [f"It says it is V{number}, which is not known here: read as {nearest}, and kept whole."]
    return _version_notes(document.get("spec_version"), number)


def _version_notes(version: Any, number: int) -> list[str]:
    """Versions are compared as numbers, as V3 asks for; a newer one is never refused."""
    if version is None:
        return []
    try:
        newer = float(version) > NEWEST[number]
    except (TypeError, ValueError):
        return [f"Its version “{str(version)[:20]}” is no number: read as {NEWEST[number]}."]
    if not newer:
        return []
    return [f"It is of version {version}, which is newer: what is new in it is kept, not used."]
