"""What became of an entry in one activation, and why, in words for `/lore test` and `/why`."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from bot.prompt.lore.matching import Playable
from bot.prompt.lore.model import Ref


class Check(StrEnum):
    """The checks in their order: the one that stopped an entry, or what let it through."""

    DISABLED = "it is switched off"
    FILTERED = "it is for other characters"
    DELAYED = "the scene is too young (delay)"
    COOLING = "it was told not long ago (cooldown)"
    WAITS = "it waits until another entry wakes it (delay until recursion)"
    NOT_RECURSED = "what entries tell does not wake it (exclude recursion)"
    DECORATED = "its @@ lines do not let it"
    NO_KEY = "none of its keys was said"
    SECONDARY = "its secondary keys do not let it"
    GROUP = "another of its group is told"
    CHANCE = "its chance did not come up"
    EMPTY = "it has no text"
    BUDGET = "there is no room left for lore"
    AWAKE = "it is awake"
    STANDS = "it stands at the beginning of the prompt, always"
    IN_WINDOW = "it is in the story already"
    TOLD = "it is told"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was decided about one entry. `because` is what woke it or stopped it, in a few words."""

    one: Playable
    check: Check
    because: str = ""

    @property
    def ref(self) -> Ref:
        """Which entry it is about."""
        return self.one.ref

    @property
    def awake(self) -> bool:
        """Whether the entry is part of what the model reads."""
        return self.check in {Check.AWAKE, Check.STANDS, Check.IN_WINDOW, Check.TOLD}


@dataclass(frozen=True, slots=True)
class Fired:
    """An entry that is to be appended to the log now.

    `text` is what is told, its macros replaced. `because` names the key that woke it. `since` is the count of
    messages from which its timed effects run.
    """

    ref: Ref
    label: str
    text: str
    because: str
    since: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The entries to append, in the order in which they are told, and a verdict on all that had a say."""

    fired: tuple[Fired, ...]
    verdicts: tuple[Verdict, ...]
