"""What is in the window now, in tokens: what a player sees of it with `/context` and `/why`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from bot.prompt.log import (
    INSTRUCTIONS,
    SPOKEN,
    Head,
    cue,
    last_pins,
    last_secrets,
    pins_text,
    render_head,
    secrets_text,
    story_text,
)
from bot.prompt.tokens import TokenCounter, entry_tokens
from bot.prompt.window import CUE_TOKENS, Budget
from bot.store.records import Entry, EntryKind

HEAD = "Instructions, scene"
CARDS = "Characters"
PLAYERS = "Players"
ANSWERS = "Answers"
NOTES = "Notes"
LORE = "Lore"
MEMORIES = "Memories"
PINS = "Pinned"
SUMMARY = "Summary"
SECRETS = "Secrets"
LAST = "told last"

WHY_CHARACTERS = 200  # of what woke lore: a key can be a long expression; and of a memory
UNKNOWN = "nobody knows any more why"

_HISTORY = {
    EntryKind.PLAYER: PLAYERS,
    EntryKind.NOTE: NOTES,
    EntryKind.LORE: LORE,
    EntryKind.MEMORY: MEMORIES,
}


@dataclass(frozen=True, slots=True)
class Part:
    """One thing in the window. `tokens` are the server's; `entries` is how many of the log it stands for."""

    group: str
    name: str
    tokens: int
    entries: int = 0


@dataclass(frozen=True, slots=True)
class Contents:
    """A context of `context_length` tokens, shared out.

    The `parts` stand in the order of the prompt; then come the answer's `reserve` and the `free` rest, of
    which the window can take `until_cut` before its oldest part leaves. Just before it does, the sum may be
    more than the context. `exact` says whether a tokenizer counted. `short_cards` are characters whose card
    was too long to stand there whole.
    """

    context_length: int
    parts: tuple[Part, ...]
    reserve: int
    free: int
    until_cut: int
    exact: bool
    short_cards: tuple[str, ...] = ()

    @property
    def used(self) -> int:
        """Tokens of the prompt."""
        return sum(part.tokens for part in self.parts)

    def groups(self) -> list[tuple[str, int]]:
        """Give the tokens of each group that has any, in the order of the prompt."""
        sums: Counter[str] = Counter()
        for part in self.parts:
            sums[part.group] += part.tokens
        return [(group, tokens) for group, tokens in sums.items() if tokens]


def texts_of(head: Head, speaker: str) -> list[str]:
    """Give the texts that `inspect` counts beside the entries, for a counter that has to ask."""
    texts = (*_head_texts(head), *_last_texts(head))
    return [render_head(head), cue(speaker), *(text for _, _, text in texts)]


def inspect(
    head: Head,
    whole: Head,
    entries: Iterable[Entry],
    speaker: str,
    budget: Budget,
    counter: TokenCounter,
    scale: float = 1.0,
) -> Contents:
    """Share out a context, as it is if `speaker` answers next.

    `head` is what stands in front of the log, `whole` the same before its cards were shortened; `entries` are
    the window's, oldest first; `budget` is that of `bot.prompt.window.plan`, with its `scale`.
    """
    frame = budget.head - CUE_TOKENS + counter.count(cue(speaker))  # the plan is made for the longest cue
    last = [Part(group, name, counter.count(text)) for group, name, text in _last_texts(head)]
    before = _head_parts(head, frame - sum(part.tokens for part in last), counter)
    counted = [*before, *_history(list(entries), counter), *last]
    parts = tuple(replace(part, tokens=round(part.tokens * scale)) for part in counted)
    window = sum(part.tokens for part in counted if part.entries)
    free = budget.context_length - budget.reserve - sum(part.tokens for part in parts)
    cards = zip(head.cards, whole.cards, strict=True)
    return Contents(
        context_length=budget.context_length,
        parts=parts,
        reserve=budget.reserve,
        free=max(free, 0),
        until_cut=min(max(round((budget.high - window) * scale), 0), max(free, 0)),
        exact=counter.exact,
        short_cards=tuple(_name(card) for card, full in cards if len(card) < len(full.strip())),
    )


def lore_lines(entries: Iterable[Entry], because: Mapping[int, str]) -> list[str]:
    """Say of each lore entry among these what it is and what woke it, the latest first.

    `because` gives the latter, by the entry's id.
    """
    lore = [entry for entry in entries if entry.kind is EntryKind.LORE]
    return [
        f"**{one.speaker}**: {(because.get(one.id) or UNKNOWN)[:WHY_CHARACTERS]}" for one in reversed(lore)
    ]


def memory_lines(entries: Iterable[Entry], scores: Mapping[int, float]) -> list[str]:
    """Quote each memory among these entries with how well it fitted, the latest first.

    `scores` give the latter, from 0 to 1, by the entry's id.
    """
    memories = [entry for entry in entries if entry.kind is EntryKind.MEMORY]
    return [f"{scores.get(one.id, 0.0):.2f}: {_quoted(one.text)}" for one in reversed(memories)]


def _quoted(text: str) -> str:
    return text if len(text) <= WHY_CHARACTERS else f"{text[: WHY_CHARACTERS - 2].rstrip()} …"


def _head_parts(head: Head, tokens: int, counter: TokenCounter) -> list[Part]:
    """Take the head apart. Its frame is what its texts do not account for: template, cue, blank lines."""
    parts = [Part(group, name, counter.count(text)) for group, name, text in _head_texts(head)]
    rest = tokens - sum(part.tokens for part in parts)
    return [Part(HEAD, "template", max(rest, 0)), *parts]


def _head_texts(head: Head) -> list[tuple[str, str, str]]:
    """Give the texts of a head, each with its group and name, in their order."""
    scene = render_head(Head(head.title, head.premise)).removeprefix(INSTRUCTIONS).strip()
    texts = [
        (HEAD, "instructions", INSTRUCTIONS),
        (HEAD, "scene", scene),
        (LORE, "always true", "\n\n".join(head.lore)),
        *((CARDS, _name(card), card) for card in head.cards),
        (PINS, "pinned", pins_text(head)),
        (SUMMARY, "summary", story_text(head)),
        (SECRETS, "secrets", "" if head.secrets_last else secrets_text(head)),
    ]
    return [one for one in texts if one[2]]


def _last_texts(head: Head) -> list[tuple[str, str, str]]:
    """Give the same of what stands after the log."""
    texts = ((PINS, LAST, last_pins(head)), (SECRETS, LAST, last_secrets(head)))
    return [(group, name, f"{text}\n") for group, name, text in texts if text]


def _history(entries: Sequence[Entry], counter: TokenCounter) -> list[Part]:
    tokens: Counter[str] = Counter()
    times: Counter[str] = Counter()
    for entry in entries:
        group = _group(entry)
        tokens[group] += _cost(entry, counter)
        times[group] += 1
    known = (PLAYERS, ANSWERS, NOTES, LORE, MEMORIES)
    order = dict.fromkeys(chain((group for group in known if group in times), times))
    return [Part(group, group.lower(), tokens[group], times[group]) for group in order]


def _group(entry: Entry) -> str:
    if entry.kind in SPOKEN:
        return ANSWERS
    return _HISTORY.get(entry.kind, entry.kind.capitalize())


def _cost(entry: Entry, counter: TokenCounter) -> int:
    if entry.tokens is not None and entry.fingerprint == counter.fingerprint:
        return entry.tokens
    return entry_tokens(entry, counter)


def _name(card: str) -> str:
    return card.strip().split("\n", 1)[0].removeprefix("## ")
