"""Which keys stand in what was said: plain keys through one automaton, regular expressions one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from bot.prompt.lore.automaton import KeyAutomaton
from bot.prompt.lore.decorators import decorated
from bot.prompt.lore.model import Book, LoreEntry, Ref
from bot.prompt.lore.patterns import Pattern, PatternError, compiled, slashed
from bot.prompt.lore.text import exact, folded, has_word

DEFAULT_SCAN_DEPTH = 2
"""Messages that are read where neither entry nor book says. With whole words and recursion, SillyTavern's own
settings as it ships (default/content/settings.json); an entry's or book's own word goes before them."""
WHOLE_WORDS = True
RECURSIVE = True

LONGEST_SCAN = 100  # messages; no entry looks further back
PATTERNS = 500  # regular expressions in play at once: about 20 µs each for what is scanned
KEY_LETTERS = 1_000_000  # of all plain keys in play together: 20 MB at the very most

_REMEMBERED = 256  # texts whose keys are known; what is scanned in one turn is mostly what was in the last
_SCANNED_BYTES = 65_536  # of the text that a regular expression is run on
# SillyTavern writes this before each message, and its users' expressions look for it: /\x01Ann:[^\x01]*bell/.
_MESSAGE_START = "\x01"


@dataclass(frozen=True, slots=True)
class Key:
    """One key as it is looked for.

    A plain key has the `number` of its folded text in the automaton; `whole` asks for a word of its own, and
    `sensitive` is the text whose case must fit. A regular expression has a `pattern`. One that cannot be used
    has a `problem`, the end of a sentence, and is never found.
    """

    written: str
    number: int = -1
    whole: bool = False
    sensitive: str = ""
    pattern: Pattern | None = None
    problem: str = ""


class Playable:
    """An entry with its decorators in force and its keys made ready, and the book that it is from.

    `place` is its place among all entries in play.
    """

    __slots__ = (
        "book", "depth", "entry", "excluded", "names", "place", "primary", "required", "secondary", "tags",
    )  # fmt: skip

    def __init__(self, entry: LoreEntry, book: Book, place: int, keys: _KeyMaker) -> None:
        self.entry = entry = decorated(entry)
        self.book = book
        self.place = place
        depth = entry.scan_depth if entry.scan_depth is not None else book.scan_depth
        self.depth = DEFAULT_SCAN_DEPTH if depth is None else max(min(depth, LONGEST_SCAN), 0)
        self.primary = keys.made(entry, entry.keys)
        self.secondary = keys.made(entry, entry.secondary_keys if entry.selective else ())
        self.required = keys.made(entry, entry.decorators.additional_keys)
        self.excluded = keys.made(entry, entry.decorators.exclude_keys)
        self.names = frozenset(map(folded, entry.filter_names))
        self.tags = frozenset(map(folded, entry.filter_tags))

    @property
    def ref(self) -> Ref:
        """Its name everywhere."""
        return self.book.id, self.entry.uid

    @property
    def recursive(self) -> bool:
        """Whether what other entries tell may wake it."""
        return RECURSIVE if self.book.recursive is None else self.book.recursive

    def all_keys(self) -> Iterable[Key]:
        """Give all its keys."""
        return chain(self.primary, self.secondary, self.required, self.excluded)


class Lore:
    """All books in play, ready to be matched. Building it for 10,000 entries takes a second: do it once."""

    def __init__(self, books: Iterable[Book]) -> None:
        keys = _KeyMaker()
        self.entries: list[Playable] = []
        for book in books:
            for entry in book.entries:
                self.entries.append(Playable(entry, book, len(self.entries), keys))
        self._automaton = KeyAutomaton(keys.words())
        self._users: dict[int, list[Playable]] = {}
        self.searching: list[Playable] = []  # entries with a regular expression among their primary keys
        for one in self.entries:
            for number in {key.number for key in one.primary if key.number >= 0}:
                self._users.setdefault(number, []).append(one)
            if any(key.pattern for key in one.primary):
                self.searching.append(one)
        self.keyless = [one for one in self.entries if _needs_no_key(one.entry)]
        self.longest_scan = max((one.depth for one in self.entries), default=0)
        self.by_ref = {one.ref: one for one in self.entries}
        self.levels = sorted({one.entry.delay_until_recursion for one in self.entries} - {0})
        self.groups: dict[str, list[Playable]] = {}
        for one in self.entries:
            for name in one.entry.groups:
                self.groups.setdefault(name, []).append(one)
        self._read: dict[str, Reading] = {}

    def read(self, text: str) -> Reading:
        """Give which keys stand in a text."""
        reading = self._read.get(text)
        if reading is None:
            if len(self._read) >= _REMEMBERED:
                self._read.clear()
            reading = self._read[text] = Reading(text, self._automaton)
        return reading

    def woken_by(self, readings: Iterable[Reading]) -> set[Playable]:
        """Give the entries that have a plain primary key in one of the texts, loosely compared."""
        numbers = set[int]().union(*(reading.numbers for reading in readings))
        return {one for number in numbers for one in self._users.get(number, ())}


def unusable(entries: Iterable[LoreEntry]) -> Iterator[tuple[LoreEntry, Key]]:
    """Give every key of entries that cannot be used, with the entry."""
    keys = _KeyMaker()
    nowhere = Book("", "")
    for entry in entries:
        for key in Playable(entry, nowhere, 0, keys).all_keys():
            if key.problem:
                yield entry, key


class Reading:
    """One text, and the plain keys in it."""

    __slots__ = ("_exact", "_folded", "_known", "numbers", "text")

    def __init__(self, text: str, automaton: KeyAutomaton) -> None:
        self.text = text
        self._exact = exact(text)
        self._folded = folded(text)
        self.numbers = automaton.found_in(self._folded)
        self._known: dict[tuple[int, bool, str], bool] = {}

    def has(self, key: Key) -> bool:
        """Tell whether a plain key stands here, its case and its edges considered."""
        if key.number not in self.numbers:
            return False
        if not (key.whole or key.sensitive):
            return True
        question = (key.number, key.whole, key.sensitive)
        if question not in self._known:
            text, word = (
                (self._exact, key.sensitive) if key.sensitive else (self._folded, folded(key.written))
            )
            self._known[question] = has_word(text, word) if key.whole else word in text
        return self._known[question]


class Buffer:
    """What is scanned for one answer: the latest messages, and what entries that fired have told."""

    def __init__(self, lore: Lore, messages: Sequence[str], fresh: int) -> None:
        """`messages` are the latest ones, oldest first, of which the last `fresh` were never scanned."""
        self._fresh = min(fresh, LONGEST_SCAN)
        latest = messages[-max(lore.longest_scan, self._fresh, 1) :]
        self.messages = [lore.read(text) for text in reversed(latest)]
        self.told: list[Reading] = []
        self._joined: dict[tuple[int, bool], bytes] = {}
        self._numbers: dict[tuple[int, bool], set[int]] = {}

    def tell(self, readings: Iterable[Reading]) -> None:
        """Add what entries tell, which may wake others."""
        self.told += readings
        self._joined.clear()
        self._numbers.clear()

    def has(self, key: Key, one: Playable) -> bool:
        """Tell whether an entry's key stands in what the entry looks at.

        A message that came since the last answer is always looked at: however many came, each has its turn.
        """
        reach = max(one.depth, self._fresh) if one.depth else 0
        if key.pattern:
            return key.pattern.search(self._text(reach, recursive=one.recursive)) is not None
        if key.number not in self._found(reach, recursive=one.recursive):
            return False
        return any(reading.has(key) for reading in self._readings(reach, recursive=one.recursive))

    def _readings(self, reach: int, *, recursive: bool) -> Iterable[Reading]:
        return chain(self.messages[:reach], self.told if recursive else ())

    def _found(self, reach: int, *, recursive: bool) -> set[int]:
        """Give the numbers of the plain keys in all that is looked at, loosely compared."""
        found = self._numbers.get((reach, recursive))
        if found is None:
            readings = self._readings(reach, recursive=recursive)
            found = set[int]().union(*(reading.numbers for reading in readings))
            self._numbers[reach, recursive] = found
        return found

    def _text(self, reach: int, *, recursive: bool) -> bytes:
        """Give the texts in one piece, newest first, as SillyTavern joins them."""
        text = self._joined.get((reach, recursive))
        if text is None:
            readings = self._readings(reach, recursive=recursive)
            joined = "\n".join(f"{_MESSAGE_START}{reading.text}" for reading in readings)
            text = joined.encode("utf-8", "replace")[:_SCANNED_BYTES]
            self._joined[reach, recursive] = text
        return text


class _KeyMaker:
    """Makes keys ready, and numbers the plain ones by their folded text."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._made: dict[tuple[str, bool, bool, bool], Key] = {}
        self._patterns = 0
        self._letters = 0

    def words(self) -> list[str]:
        return list(self._numbers)

    def made(self, entry: LoreEntry, written: Iterable[str]) -> tuple[Key, ...]:
        sensitive = bool(entry.case_sensitive)
        whole = WHOLE_WORDS if entry.whole_words is None else entry.whole_words
        return tuple(
            self._key(key.strip(), sensitive, whole, regex=entry.regex) for key in written if key.strip()
        )

    def _key(self, written: str, sensitive: bool, whole: bool, *, regex: bool) -> Key:
        described = (written, sensitive, whole, regex)
        key = self._made.get(described)
        if key is None:
            expression = slashed(written)
            if expression is None and regex:
                expression = written, "" if sensitive else "i"
            key = (
                self._pattern(written, *expression) if expression else self._plain(written, sensitive, whole)
            )
            self._made[described] = key
        return key

    def _pattern(self, written: str, pattern: str, flags: str) -> Key:
        self._patterns += 1
        if self._patterns > PATTERNS:
            return Key(written, problem=f"only {PATTERNS} regular expressions are used at once")
        try:
            return Key(written, pattern=compiled(pattern, flags))
        except PatternError as error:
            return Key(written, problem=str(error))

    def _plain(self, written: str, sensitive: bool, whole: bool) -> Key:
        word = folded(written)
        if not word:
            return Key(written, problem="nothing of it can be compared")
        if word not in self._numbers:
            self._letters += len(word)
            if self._letters > KEY_LETTERS:
                return Key(written, problem="there are too many keys in play")
        number = self._numbers.setdefault(word, len(self._numbers))
        return Key(written, number, whole and " " not in word, exact(written) if sensitive else "")


def _needs_no_key(entry: LoreEntry) -> bool:
    return entry.constant or entry.decorators.activate
