"""The window: which part of the log is in the prompt, and when and how far it is cut.

It grows by appending until the next entry would not fit, and is then cut once, far. Every cut changes the
prefix that the model server has cached, so cuts have to be rare.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from bot.errors import TableError
from bot.prompt.log import SPOKEN, STORY, Head, aside_line, render_head
from bot.prompt.text import shortened
from bot.prompt.tokens import TokenCounter
from bot.store.records import Entry, EntryKind

LOW_WATER = 0.6
"""What a cut leaves, as a share of the room. Over 150 turns at a context of 4096 tokens a server evaluated
12.7 % of what it was sent with 0.6, and 85.8 % with a window that slides a little in every turn."""
HIGH_WATER = 1.0
"""The share of the room at which a cut happens: only when the next request would not fit, as measured above.
Cutting earlier buys nothing and comes round sooner."""

RESERVE_SHARE = 4
"""An answer is promised at most a quarter of the context, however many tokens were wanted for it."""
HISTORY_SHARE = 4
"""Cards are shortened while they leave the history less than a quarter of the context,"""
LEAST_HISTORY_SHARE = 8
"""and below an eighth a scene cannot be played."""
STORY_SHARE = 8
LONGEST_STORY = 4096
"""What happened before the window takes an eighth of the context at most, and so many tokens: a cut frees two
fifths of the window, which always has room for it, and whoever reads the prompt anew has to read it too."""
LEAST_STORY = 32
"""Tokens of a summary below which it is rather dropped than shortened."""
LEAST_PARAGRAPHS = 2
"""Paragraphs of a card that are never dropped."""
MARGIN_SHARE = 64
"""A 64th of the context stays free: tokens counted piece by piece are not quite those of the whole."""
CUE_TOKENS = 32
"""What the last cue costs at most: 64 letters and a few more."""
COMING_SHARE = 4
"""A coming turn counts for a quarter of the room at most: one long speech does not have the window cut."""
LEAST_PIECE = 48
"""Tokens below which an entry is rather dropped than shortened."""

CUT_MARK = "(...)"
"""Stands in the middle of a shortened entry. Square brackets would make it the table's word."""

CountEntry = Callable[[Entry], int]


class HeadTooLongError(TableError):
    """The cast leaves no room for the story in the model's context."""


@dataclass(frozen=True, slots=True)
class Budget:
    """Where the tokens of a context go, counted as the scene's counter counts.

    `head` is what stands in front of the log and after it, cue and template included; `reserve` is the
    answer's share (the request's `max_tokens`, in the server's tokens); `room` is what is left for the
    window. `story` is what the head may have of what happened before the window, `told` what it has of that.
    """

    context_length: int
    head: int
    reserve: int
    room: int
    story: int = 0
    told: int = 0

    @property
    def once_cut(self) -> Budget:
        """What to cut for: the head will tell of what leaves the window, and that is not to cause a cut."""
        return replace(self, room=self.room - max(self.story - self.told, 0))

    @property
    def high(self) -> int:
        """Tokens past which the window is cut."""
        return int(self.room * HIGH_WATER)

    @property
    def low(self) -> int:
        """Tokens that a cut leaves at most."""
        return int(self.room * LOW_WATER)


def plan(
    head: Head, context_length: int, wanted: int, counter: TokenCounter, scale: float = 1.0
) -> tuple[Head, Budget]:
    """Share out a context of `context_length` tokens, and shorten the head if it leaves too little of it.

    What happened before the window is shortened first, and the cards as if it were not there: they stay as
    they are whatever it tells.

    `wanted` is the length in tokens that answers may have; small contexts grant less. `scale` is the server's
    tokens for one of the counter's (`EstimatingCounter.scale`, or billed by estimated after a refusal). The
    same arguments give the same head: keep it until one of them changes, since it begins the cached prefix.
    Raises HeadTooLongError.
    """
    head, budget = fitted(head, context_length, wanted, counter, scale)
    if budget.room < int(context_length / scale) // LEAST_HISTORY_SHARE:
        cast = "its character" if len(head.cards) == 1 else f"its {len(head.cards)} characters"
        raise HeadTooLongError(
            f"The scene and {cast} take {budget.head} of the {context_length}"
            " tokens that the model can read, which leaves no room to play.",
            hint="Take a character out of the scene, shorten a card, or give the model a longer context.",
        )
    return head, budget


def fitted(
    head: Head, context_length: int, wanted: int, counter: TokenCounter, scale: float = 1.0
) -> tuple[Head, Budget]:
    """Give the same whether it leaves room to play or not: where texts are estimated, nobody knows yet."""
    reserve = max(min(wanted, context_length // RESERVE_SHARE), 1)
    usable = int((context_length - reserve - context_length // MARGIN_SHARE) / scale)
    history = int(context_length / scale)
    allowed = usable - history // HISTORY_SHARE
    bare = shorten_cards(replace(head, story=()), allowed, counter)
    story = max(min(history // STORY_SHARE, LONGEST_STORY, allowed - head_tokens(bare, counter)), 0)
    head, cost = shorten_story(replace(bare, story=head.story), story, counter)
    tokens = head_tokens(bare, counter) + cost
    return head, Budget(context_length, tokens, reserve, usable - tokens, story, cost)


def head_tokens(head: Head, counter: TokenCounter) -> int:
    """Give the tokens of a prompt without a log: the system message, the last lines and the template."""
    line = aside_line(head)
    last = counter.count(line) + counter.frame.line if line else 0
    return counter.count(render_head(head)) + last + CUE_TOKENS + counter.frame.prompt


def shorten_cards(head: Head, allowed: int, counter: TokenCounter) -> Head:
    """Drop last paragraphs, always of the card that is longest then, until the head has `allowed` tokens.

    The first two paragraphs of each card stay (its heading, and who the character is), so the head may still
    be too long.
    """
    excess = head_tokens(head, counter) - allowed
    if excess <= 0:
        return head
    cards = [card.strip().split("\n\n") for card in head.cards]
    costs = [[counter.count(f"{paragraph}\n\n") for paragraph in card] for card in cards]
    while excess > 0 and (longest := max(costs, key=_spare, default=[])) and _spare(longest):
        excess -= longest.pop()
    kept = ("\n\n".join(card[: len(cost)]) for card, cost in zip(cards, costs, strict=True))
    return replace(head, cards=tuple(kept))


def shorten_story(head: Head, allowed: int, counter: TokenCounter) -> tuple[Head, int]:
    """Shorten the longest summaries of a head after a sentence, until all have `allowed` tokens together.

    Where there are too many of them for that, the oldest go. Gives the tokens that they have then at most,
    too: parts of a text may have to be estimated.
    """
    cost = head_tokens(head, counter) - head_tokens(replace(head, story=()), counter)
    if cost <= allowed:
        return head, cost
    room = allowed - counter.count(f"{STORY}\n\n")
    told = head.story[max(len(head.story) - max(room, 0) // LEAST_STORY, 0) :]
    limit = level([counter.count(f"{text}\n\n") for text in told], room) if told else 0
    story = (shortened(text, lambda part: counter.count(f"{part}\n\n") <= limit) for text in told)
    return replace(head, story=tuple(filter(None, story))), allowed


def _spare(costs: Sequence[int]) -> int:
    return sum(costs) if len(costs) > LEAST_PARAGRAPHS else 0


class Window:
    """The entries of one scene that are in the prompt, oldest first, and what they cost.

    Entries come counted (`Entry.tokens`). Adding one at the end costs one addition and a cut touches the
    window alone: the length of the log behind it does not matter.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = list(entries)
        self._tokens = sum(map(_cost, self._entries))

    @property
    def entries(self) -> Sequence[Entry]:
        """What to render."""
        return self._entries

    @property
    def tokens(self) -> int:
        """What the entries cost."""
        return self._tokens

    @property
    def start(self) -> Entry | None:
        """The oldest entry in the window. It only ever moves on."""
        return self._entries[0] if self._entries else None

    def insert(self, entry: Entry) -> None:
        """Put an entry at its place (`seq`), which is the end except for an answer that was overtaken.

        Call `fit` before the next request.
        """
        self._tokens += _cost(entry)
        self._entries.insert(bisect_right(self._entries, entry.seq, key=_seq), entry)

    def replace(self, entry: Entry, of: Entry | None = None) -> bool:
        """Put a changed entry in the place of the one with its `seq` and id; tell whether that is there.

        With `of` only if that very entry stands there: it may have been edited since it was read.
        """
        place = bisect_left(self._entries, entry.seq, key=_seq)
        if place == len(self._entries) or self._entries[place].id != entry.id:
            return False
        if of is not None and self._entries[place] is not of:
            return False
        self._tokens += _cost(entry) - _cost(self._entries[place])
        self._entries[place] = entry
        return True

    def discard(self, entry_id: int) -> bool:
        """Take a deleted entry out; tell whether it was in the window."""
        place = next((place for place, entry in enumerate(self._entries) if entry.id == entry_id), None)
        if place is None:
            return False
        self._tokens -= _cost(self._entries.pop(place))
        return True

    def fit(
        self, budget: Budget, count: CountEntry, before: int | None = None, coming: int = 0
    ) -> tuple[Entry, ...]:
        """Cut the window if `coming` more tokens would pass the high-water mark, and give what left it.

        `before` is the place (`seq`) in the log of the answer that is asked for: what it answers is kept,
        even if more was said since. None stands for the end of the log.

        Where even the entries from the last player's message on are too much, the longest of them stand
        shortened in the window from then on; `count` gives their new cost. The store keeps the whole text.
        """
        if self._fits(budget, coming):
            return ()
        start, too_much = self._cut(budget, before)
        gone = self._drop(start)
        if too_much:
            self._shorten(budget.low, count)
        return gone

    def leaving(self, budget: Budget, before: int | None = None, coming: int = 0) -> tuple[Entry, ...]:
        """Give what `fit` would cut off now."""
        return () if self._fits(budget, coming) else tuple(self._entries[: self._cut(budget, before)[0]])

    def drop(self, through: int, before: int | None = None) -> tuple[Entry, ...]:
        """Cut the window after a place (`seq`) in the log, and give what left it.

        The last player's message and what follows it stay, as with `fit`.
        """
        asked = self._asked(before)
        last = next((i for i in range(asked - 1, -1, -1) if self._entries[i].kind is EntryKind.PLAYER), 0)
        return self._drop(min(bisect_right(self._entries, through, key=_seq), last))

    def _fits(self, budget: Budget, coming: int) -> bool:
        return self._tokens + min(coming, budget.room // COMING_SHARE) <= budget.high

    def _asked(self, before: int | None) -> int:
        return len(self._entries) if before is None else bisect_left(self._entries, before, key=_seq)

    def _cut(self, budget: Budget, before: int | None) -> tuple[int, bool]:
        """Give the index at which `fit` cuts, and whether what is left then is still too much."""
        start = cut(self._entries, budget.low, self._asked(before))
        too_much = sum(map(_cost, self._entries[start:])) > budget.high
        if too_much:
            start = max(start, len(self._entries) - max(budget.low // LEAST_PIECE, 1))
        return start, too_much

    def _drop(self, start: int) -> tuple[Entry, ...]:
        gone = tuple(self._entries[:start])
        self._entries = self._entries[start:]
        self._tokens = sum(map(_cost, self._entries))
        return gone

    def _shorten(self, room: int, count: CountEntry) -> None:
        limit = level([_cost(entry) for entry in self._entries], room)
        self._entries = [
            entry if _cost(entry) <= limit else shorten(entry, limit, count) for entry in self._entries
        ]
        self._tokens = sum(map(_cost, self._entries))


def cut(entries: Sequence[Entry], low: int, asked: int | None = None) -> int:
    """Give the index of the entry that the window begins with once it is cut to `low` tokens.

    That is where a turn begins, if one does so without leaving less than half of `low`; else it is at least
    no answer, which would stand without what it answers. The last player's message (before the index `asked`,
    if given) and what follows it stay, even if that is more than `low`.
    """
    last = (asked or len(entries)) - 1
    last = next((i for i in range(last, -1, -1) if entries[i].kind is EntryKind.PLAYER), last)
    first, left = 0, sum(map(_cost, entries))
    while left > low and first < last:
        left -= _cost(entries[first])
        first += 1
    return _turn_start(entries, first, last, left - low // 2)


def _turn_start(entries: Sequence[Entry], first: int, last: int, spare: int) -> int:
    """Give the first start of a turn from `first` to `last` that gives up no more than `spare` tokens."""
    fallback = last
    for place in range(last, first - 1, -1):
        if entries[place].kind not in SPOKEN:
            fallback = place
    for place in range(first, last + 1):
        if entries[place].kind not in SPOKEN and (place == 0 or entries[place - 1].kind in SPOKEN):
            return place
        spare -= _cost(entries[place])
        if spare < 0:
            break
    return fallback


def longest_turn(entries: Iterable[Entry]) -> int:
    """Give the tokens of the longest turn: what is said from one answer to the next, and the answer."""
    longest = turn = 0
    answered = False
    for entry in entries:
        spoken = entry.kind in SPOKEN
        turn = _cost(entry) if answered and not spoken else turn + _cost(entry)
        answered = spoken
        longest = max(longest, turn)
    return longest


def level(costs: Sequence[int], room: int) -> int:
    """Give the largest limit with which `costs`, each cut down to it, sum up to no more than `room`."""
    left = room
    for place, cost in enumerate(sorted(costs)):
        share = left // (len(costs) - place)
        if cost > share:
            return share
        left -= cost
    return max(costs, default=0)


def shorten(entry: Entry, limit: int, count: CountEntry) -> Entry:
    """Give the entry with the middle of its text left out, so that it costs at most `limit` tokens.

    A limit that the speaker's name alone passes leaves the mark and nothing else. The cost may be an
    estimate: the entry has no fingerprint, so that it is counted again before the next prompt.
    """
    text, keep = entry.text, len(entry.text)
    tokens = count(entry)
    while tokens > limit and keep:
        keep = min(keep * limit // tokens, keep - 1)
        entry = replace(entry, text=_without_middle(text, keep))
        tokens = count(entry)
    return replace(entry, tokens=tokens, fingerprint=None)


def shortened_to(text: str, length: int) -> str | None:
    """Give `text` as `shorten` leaves it where that is `length` characters; None where it never is."""
    keeps = range(len(text))
    keep = bisect_left(keeps, length, key=lambda keep: len(_without_middle(text, keep)))
    short = _without_middle(text, keep)
    return short if keep < len(text) and len(short) == length else None


def _without_middle(text: str, keep: int) -> str:
    front = (keep + 1) // 2
    return f"{text[:front].rstrip()} {CUT_MARK} {text[len(text) - keep + front :].lstrip()}".strip()


def _seq(entry: Entry) -> int:
    return entry.seq


def _cost(entry: Entry) -> int:
    if entry.tokens is None:
        raise ValueError(f"entry {entry.id} has not been counted")
    return entry.tokens
