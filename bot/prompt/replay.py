"""The prompt of an answer that was given, rebuilt from the log, and why it may not come out the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bot.chat import ChatMessage
from bot.prompt.log import PINNED, STORY, UNTOLD, laid_out
from bot.prompt.window import CUT_MARK, shortened_to
from bot.store.records import Entry

Form = Callable[[tuple[ChatMessage, ...]], tuple[ChatMessage, ...]]

ASIDE = "\f"
"""Stands in a kept head before what was told at the prompt's end. No text in a prompt has it."""
STRUCK = {
    STORY: "The summary that stood in front of the story told of an entry that was changed since.",
    PINNED: "What was pinned then, or was told after it, was changed or taken back since.",
    UNTOLD: "A secret that was kept then was taken back since.",
}
"""What a head says that was struck after one of these lines."""
ANOTHER_VERSION = "Another version of Hearthside writes prompts differently."


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A prompt out of the log, and one sentence for each thing that keeps it from being the one sent."""

    messages: tuple[ChatMessage, ...]
    identical: bool
    causes: tuple[str, ...] = ()


def prompt_json(messages: Iterable[ChatMessage], indent: int | None = None) -> str:
    """Write messages as JSON, as every chat API takes them."""
    plain = [{"role": message.role, "content": message.content} for message in messages]
    return json.dumps(plain, ensure_ascii=False, indent=indent)


def prompt_sha256(messages: Iterable[ChatMessage]) -> str:
    """Name a prompt by the SHA-256, in hex, of `prompt_json` in UTF-8."""
    return hashlib.sha256(prompt_json(messages).encode()).hexdigest()


def shortened_lengths(entries: Iterable[Entry]) -> dict[int, int]:
    """Give the characters of those entries that may stand in a prompt without their middle, by `seq`."""
    return {entry.seq: len(entry.text) for entry in entries if CUT_MARK in entry.text}


def rebuild(
    head: str,
    entries: Sequence[Entry],
    speaker: str,
    *,
    window: Sequence[int],
    shortened: Mapping[int, int],
    edited: set[int],
    sha256: str,
    forms: Iterable[Form] = (),
) -> Rebuilt:
    """Write the prompt that asked `speaker` to answer, from the whole log's `entries` as they are now.

    `head` is what `kept_head` gave; `window` and `edited` are places (`seq`) in it: what stood in the
    prompt, and what was changed after it; `shortened` is what `shortened_lengths` gave then. `forms` are
    other forms in which a server may have been sent the same messages.
    """
    there = {entry.seq: entry for entry in entries}
    stood = [there[seq] for seq in window if seq in there]
    as_sent = [_as_it_stood(entry, shortened.get(entry.seq)) for entry in stood]
    front, _, last = head.partition(ASIDE)
    told = [one or entry for one, entry in zip(as_sent, stood, strict=True)]
    messages = laid_out(front, told, last, speaker)
    for sent in (messages, *(form(messages) for form in forms)):
        if prompt_sha256(sent) == sha256:
            return Rebuilt(sent, identical=True)
    causes = [cause for line, cause in STRUCK.items() if head.endswith(line)]
    causes += [f"Entry {seq} of the story was deleted since." for seq in window if seq not in there]
    causes += [
        f"Entry {entry.seq} of the story, by {entry.speaker or 'the table'}, was edited since."
        for entry in stood
        if entry.seq in edited
    ]
    causes += [
        f"Entry {entry.seq} of the story stood there shortened, in a way that cannot be repeated."
        for one, entry in zip(as_sent, stood, strict=True)
        if one is None and entry.seq not in edited
    ]
    return Rebuilt(messages, identical=False, causes=tuple(causes) or (ANOTHER_VERSION,))


def kept_head(front: str, last: str) -> str:
    """Write as one text what stood in front of a prompt's log, and what was told behind it before the cue."""
    return f"{front}{ASIDE}{last}" if last else front


def struck(head: str) -> str:
    """Give a prompt's head without its pins, the summary of what was before its window, and what comes after.

    Any of it may repeat what was changed or taken back since.
    """
    places = [(place, line) for line in STRUCK if (place := head.find(line)) >= 0]
    if not places:
        return head
    place, line = min(places)
    return head[: place + len(line)]


def _as_it_stood(entry: Entry, length: int | None) -> Entry | None:
    """Give an entry as it stood in a prompt, cut to so many characters; None if no cut gives that."""
    if length is None or (length == len(entry.text) and CUT_MARK in entry.text):
        return entry
    text = shortened_to(entry.text, length)
    return None if text is None else replace(entry, text=text)
