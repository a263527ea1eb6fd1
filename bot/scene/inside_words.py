"""What `/context` and `/why` say, in words: lines under headings."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING

from bot.prompt.inspector import (
    CARDS,
    HEAD,
    LAST,
    LORE,
    MEMORIES,
    PINS,
    SECRETS,
    SUMMARY,
    lore_lines,
    memory_lines,
)
from bot.prompt.text import table_name
from bot.store.records import EntryKind

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from bot.prompt.inspector import Contents
    from bot.scene.inside import Answered, Look
    from bot.store.answers import AnswerRecord
    from bot.store.records import Entry

QUOTE_CHARACTERS = 200
HASH_CHARACTERS = 16

Sections = list[tuple[str, list[str]]]


def tokens(number: int) -> str:
    """Write a number of tokens."""
    return f"{number:,} token{'' if number == 1 else 's'}"


def summary(look: Look) -> str:
    """Say in one sentence how full a window is, and how far the numbers can be trusted."""
    contents = look.contents
    if contents.exact:
        how = "counted by the model's own tokenizer"
    elif look.served:
        how = "estimated, rather too much than too little: this server cannot be asked for all of it"
    else:
        how = "estimated, rather too much than too little: no model server answers now"
    return f"**{contents.used:,} of {tokens(contents.context_length)}** are in the prompt ({how})."


def look_sections(look: Look) -> Sections:
    """Say what is in a window."""
    contents = look.contents
    return [
        ("Before the story", _head(contents)),
        ("The story", _story(contents)),
        ("Room", _room(contents)),
        ("Left out", _left_out(look)),
        ("The last answer", _cost(look.last) if look.last else ["There is none yet."]),
    ]


def quote(answer: Answered) -> str:
    """Give the beginning of an answer."""
    text = " ".join(answer.entry.text.split())
    shown = text if len(text) <= QUOTE_CHARACTERS else text[:QUOTE_CHARACTERS].rsplit(" ", 1)[0] + " …"
    return f"**{answer.entry.speaker}**: {shown}"


def why_sections(answer: Answered, *, secrets: bool) -> Sections:
    """Say what an answer was made of.

    Which lore and memories, and that somebody whispered, is for those who keep the `secrets`.
    """
    record = answer.record
    model = f"{record.model} on {record.backend}" if record.model else record.backend
    sections = [
        ("Model", [model]),
        ("Drawn with", _drawn(record, () if secrets else _whispering(answer.read))),
        ("Prompt", [*_cost(record), f"SHA-256 `{record.prompt_sha256[:HASH_CHARACTERS]}…`"]),
        ("What it read", _read(answer)),
    ]
    told = (
        (LORE, lore_lines(answer.read, answer.woken)),
        (MEMORIES, memory_lines(answer.read, answer.fitted)),
    )
    for group, lines in told:
        hidden = f"{_entries(len(lines))}; which, only the game master is told"
        sections += [(group, lines if secrets else [hidden])] if lines else []
    return sections


def _head(contents: Contents) -> list[str]:
    own = [part for part in contents.parts if part.group == HEAD]
    names = ", ".join(f"{part.name} {part.tokens:,}" for part in own)
    others = [
        part for part in contents.parts if part.group != HEAD and not part.entries and part.name != LAST
    ]
    lines = [f"Lore, {part.name}: {tokens(part.tokens)}" for part in others if part.group == LORE]
    lines += [f"{part.name}: {tokens(part.tokens)}" for part in others if part.group == CARDS]
    kept = [part for part in others if part.group in {PINS, SUMMARY, SECRETS}]
    lines += [f"{part.group}: {tokens(part.tokens)}" for part in kept]
    return [f"{tokens(sum(part.tokens for part in own))} ({names})", *lines]


def _story(contents: Contents) -> list[str]:
    parts = [part for part in contents.parts if part.entries]
    lines = [f"{part.group}: {tokens(part.tokens)} in {_entries(part.entries)}" for part in parts]
    last = [f"{part.group}: {tokens(part.tokens)}, {LAST}" for part in contents.parts if part.name == LAST]
    return [*(lines or ["Nothing has happened yet."]), *last]


def _room(contents: Contents) -> list[str]:
    cut = (
        f"The story can grow by {tokens(contents.until_cut)} before its oldest part is cut."
        if contents.until_cut
        else "The story has outgrown it: the next answer cuts its oldest part."
    )
    return [f"Kept for the answer: {tokens(contents.reserve)}", f"Free: {tokens(contents.free)}. {cut}"]


def _left_out(look: Look) -> list[str]:
    lines = []
    if look.left_out:
        told = any(part.group == SUMMARY for part in look.contents.parts)
        read = "and the model reads a summary of them" if told else "but the model does not read them"
        lines.append(
            f"{_entries(look.left_out)} at the story's beginning: the window was full. They are kept, {read}."
        )
    if names := ", ".join(look.contents.short_cards):
        lines.append(f"The end of what is written about {names}: it would leave the story too little room.")
    return lines or ["Nothing: the model reads the whole story."]


def _cost(record: AnswerRecord) -> list[str]:
    """Say what an answer cost the server."""
    if record.evaluated_tokens is None:
        evaluated = "; how many of them it read anew the server did not say"
    else:
        evaluated = f", {record.evaluated_tokens:,} of them read anew, the others from the server's cache"
    counted = "" if record.exact else " (estimated)"
    lines = [f"Prompt: {tokens(record.prompt_tokens)}{counted}{evaluated}."]
    said = f"{tokens(record.completion_tokens)} in " if record.completion_tokens is not None else ""
    first = "" if record.first_token_s is None else f", the first word after {record.first_token_s:.1f} s"
    return [*lines, f"Answer: {said}{record.seconds:.1f} s{first}."]


def _whispering(read: Iterable[Entry]) -> set[str]:
    """Give who stood in a prompt only because they had whispered, as it names them."""
    said = [entry for entry in read if entry.kind is EntryKind.PLAYER]
    aloud = {table_name(entry.speaker) for entry in said if entry.audience is None}
    return {table_name(entry.speaker) for entry in said} - aloud


def _drawn(record: AnswerRecord, hidden: Collection[str]) -> list[str]:
    """Say what decided between possible answers; the `hidden` names are not told."""
    sampling = record.sampling
    values = ((one.name, getattr(sampling, one.name)) for one in fields(sampling))
    chosen = [
        f"{name} {value:g}"
        for name, value in values
        if value is not None and name not in {"seed", "max_tokens"}
    ]
    names = (one.strip() for one in record.stop)
    stop = ", ".join(f"`{one.replace('`', '')}`" for one in names if one.removesuffix(":") not in hidden)
    return [
        f"seed {sampling.seed}" if sampling.seed is not None else "a seed of the server's own",
        ", ".join(chosen) or "everything else as the server has it",
        f"at most {tokens(record.max_tokens)}" + (f", ending before {stop}" if stop else ""),
    ]


def _read(answer: Answered) -> list[str]:
    window = answer.record.window
    lines = [f"{_entries(len(window))} of the story"]
    if answer.left_out:
        unread = f"{_entries(answer.left_out)} before them cut, or not known to {answer.entry.speaker}"
        lines.append(unread)
    if gone := len(window) - len(answer.read):
        lines.append(f"{_entries(gone)} of them were deleted since")
    return lines


def _entries(number: int) -> str:
    return f"{number:,} entr{'y' if number == 1 else 'ies'}"
