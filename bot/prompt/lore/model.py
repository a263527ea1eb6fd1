"""A lorebook as it is played: its entries with every option, whatever file they came from.

The options are those of SillyTavern's World Info and of the Character Card V2 and V3 lorebook.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

DEFAULT_ORDER = 100
DEFAULT_DEPTH = 4
DEFAULT_WEIGHT = 100


class Logic(IntEnum):
    """What the secondary keys must do, beside a primary key that is found. The numbers are SillyTavern's."""

    AND_ANY = 0
    NOT_ALL = 1
    NOT_ANY = 2
    AND_ALL = 3


class Position(IntEnum):
    """Where a front end that rewrites its prompt would put the entry. The numbers are SillyTavern's.

    Here it decides which entries stand in the head of the prompt, and in which order those that fire
    together are told. docs/lore.md says what becomes of each.
    """

    BEFORE_CHARACTER = 0
    AFTER_CHARACTER = 1
    NOTE_TOP = 2
    NOTE_BOTTOM = 3
    AT_DEPTH = 4
    EXAMPLES_TOP = 5
    EXAMPLES_BOTTOM = 6


class Role(IntEnum):
    """Whose message an entry at depth would be. Kept for export: the log tells lore as the table's own."""

    SYSTEM = 0
    USER = 1
    ASSISTANT = 2


@dataclass(frozen=True, slots=True)
class Decorators:
    """What the `@@` lines of an entry ask for (Character Card V3) that no other option says.

    `only_after` and `only_every` count answers of the cast. `greeting` is the index of the greeting that
    must have opened the scene.
    """

    activate: bool = False
    dont_activate: bool = False
    keep_after_match: bool = False
    dont_after_match: bool = False
    only_after: int = 0
    only_every: int = 0
    greeting: int | None = None
    additional_keys: tuple[str, ...] = ()
    exclude_keys: tuple[str, ...] = ()
    ignore_on_max_context: bool = False


UNDECORATED = Decorators()


@dataclass(frozen=True, slots=True)
class LoreEntry:
    """One entry.

    `uid` is unique in its book. `title` and `keys` are for people and for matching, `content` is what is
    told. `regex` means that keys without slashes are regular expressions too (V3's `use_regex`).
    `scan_depth`, `sticky`, `cooldown` and `delay` count messages; None leaves the first to the book, and
    means that there is no such effect for the others. `case_sensitive`, `whole_words` and `group_scoring` are
    None where the table's default decides. `delay_until_recursion` is the level of recursion that is waited
    for, 0 for none. `groups` are names; of each group one entry is told. `priority` is V2's: the lowest is
    left out first. A filter lets the entry fire for some of the cast only, or for all but them.
    """

    uid: str
    keys: tuple[str, ...] = ()
    secondary_keys: tuple[str, ...] = ()
    title: str = ""
    content: str = ""
    enabled: bool = True
    constant: bool = False
    selective: bool = True
    logic: Logic = Logic.AND_ANY
    regex: bool = False
    case_sensitive: bool | None = None
    whole_words: bool | None = None
    scan_depth: int | None = None
    order: int = DEFAULT_ORDER
    priority: int | None = None
    position: Position = Position.BEFORE_CHARACTER
    depth: int = DEFAULT_DEPTH
    role: Role = Role.SYSTEM
    probability: float = 100.0
    use_probability: bool = True
    exclude_recursion: bool = False
    prevent_recursion: bool = False
    delay_until_recursion: int = 0
    groups: tuple[str, ...] = ()
    group_override: bool = False
    group_weight: int = DEFAULT_WEIGHT
    group_scoring: bool | None = None
    sticky: int | None = None
    cooldown: int | None = None
    delay: int | None = None
    filter_names: tuple[str, ...] = ()
    filter_tags: tuple[str, ...] = ()
    filter_excludes: bool = False
    ignore_budget: bool = False
    decorators: Decorators = UNDECORATED

    @property
    def label(self) -> str:
        """What people call the entry: its title, else its first keys, else the beginning of its text."""
        called = (self.title, ", ".join(self.keys[:3]), " ".join(self.content.split())[:40])
        return next(filter(None, map(str.strip, called)), self.uid)

    @property
    def chance(self) -> float:
        """How likely it fires once everything else is fulfilled, 0 to 100."""
        return self.probability if self.use_probability else 100.0

    @property
    def standing(self) -> bool:
        """Whether nothing can ever change about it: it is always on, and can stand in the prompt's head."""
        return (
            self.enabled
            and self.constant
            and self.position not in _PLACED_IN_CHAT
            and self.chance >= 100
            and not (self.groups or self.sticky or self.cooldown or self.delay)
            and not (self.filter_names or self.filter_tags or self.delay_until_recursion)
            and self.decorators in _UNCONDITIONAL
        )


_PLACED_IN_CHAT = (Position.NOTE_TOP, Position.NOTE_BOTTOM, Position.AT_DEPTH)
_UNCONDITIONAL = (UNDECORATED, Decorators(activate=True))

Ref = tuple[str, str]
"""An entry's name everywhere: the id of its book, and its uid there."""


@dataclass(frozen=True, slots=True)
class Book:
    """A lorebook. `scan_depth` in messages, `token_budget` in tokens; None leaves them to the table."""

    id: str
    name: str
    entries: tuple[LoreEntry, ...] = ()
    scan_depth: int | None = None
    token_budget: int | None = None
    recursive: bool | None = None
