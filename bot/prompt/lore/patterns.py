"""Keys that are regular expressions, as JavaScript writes them: `/pattern/flags`.

They come from strangers, so they run on RE2, whose time grows with the text and nothing else. It has no
look-around and no back-references, which need an engine that tries and goes back.
Sources: https://262.ecma-international.org/#sec-patterns and https://github.com/google/re2/wiki/Syntax.
"""

from __future__ import annotations

import re
from typing import Protocol

PATTERN_CHARACTERS = 1000
PATTERN_MEMORY = 128 * 1024  # bytes that one pattern may take, its cache of states included

_SLASHED = re.compile(r"/(.+)/([dgimsuvy]*)", re.DOTALL)
_BARE_SLASH = re.compile(r"(?:^|[^\\])(?:\\\\)*/")
_TYPED_KEY = re.compile(r"\s*(/(?:\\.|[^/\\])+/[dgimsuvy]*\s*(?=,|$)|[^,]*)(?:,|$)", re.DOTALL)
_LOOK_AROUND = ("(?=", "(?!", "(?<=", "(?<!")
_KEPT_ESCAPES = frozenset("dDwWsSbBtnvfrxpP")
_CODE_POINT = re.compile(r"u\{([0-9A-Fa-f]{1,6})\}|u([0-9A-Fa-f]{4})")


class PatternError(ValueError):
    """A regular expression cannot be used: `str(error)` says why, as the end of a sentence."""


class Pattern(Protocol):
    """A compiled regular expression."""

    def search(self, text: bytes) -> object | None:
        """Look for it in a UTF-8 text."""
        ...


def slashed(key: str) -> tuple[str, str] | None:
    """Give the pattern and the flags of a key like `/re/i`; None for a key that is plain text.

    As in SillyTavern, a slash inside has to be escaped.
    """
    found = _SLASHED.fullmatch(key)
    if found is None or _BARE_SLASH.search(found[1]):
        return None
    return found[1], found[2]


def split_keys(text: str) -> tuple[str, ...]:
    """Take apart keys with commas between them; those inside a regular expression belong to it."""
    return tuple(filter(None, (found[1].strip() for found in _TYPED_KEY.finditer(text))))


def compiled(pattern: str, flags: str = "") -> Pattern:
    """Make ready a JavaScript pattern with JavaScript's flags.

    `g` and `u` change nothing here. Raises PatternError, with the reason, for what RE2 cannot run.
    """
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415  # imported when first needed: 13 ms, 3 MiB

    if len(pattern) > PATTERN_CHARACTERS:
        raise PatternError(f"it is longer than {PATTERN_CHARACTERS} characters")
    options = re2.Options()
    options.max_mem = PATTERN_MEMORY
    options.log_errors = False
    options.never_capture = True
    options.case_sensitive = "i" not in flags
    modes = "".join(flag for flag in "ms" if flag in flags)
    written = _translated(pattern)
    whole = f"(?{modes}:{written})" if modes else written
    if "y" in flags:
        whole = rf"\A(?:{whole})"
    try:
        made: Pattern = re2.compile(whole.encode("utf-8", "surrogatepass"), options)
    except re2.error as error:
        raise PatternError(_reason(error)) from None
    return made


def _translated(pattern: str) -> str:
    """Write a JavaScript pattern as RE2 reads it. Raises PatternError for look-around and back-references."""
    parts: list[str] = []
    place, in_class = 0, False
    while place < len(pattern):
        character = pattern[place]
        if character == "\\":
            part, place = _escape(pattern, place + 1, in_class=in_class)
            parts.append(part)
            continue
        if not in_class and pattern.startswith(_LOOK_AROUND, place):
            raise PatternError("it looks ahead or behind, (?=…) (?!…) (?<=…) (?<!…)")
        if not in_class and pattern.startswith("[^]", place):
            parts.append(r"[\x{0}-\x{10FFFF}]")
            place += 3
            continue
        if in_class and character == "[":
            character = r"\["  # in a class of JavaScript's it is a letter like others
        elif character in "[]":
            in_class = character == "["
        parts.append(character)
        place += 1
    return "".join(parts)


def _escape(pattern: str, place: int, *, in_class: bool) -> tuple[str, int]:
    """Translate the escape whose letter stands at `place`; give it, and the place behind it."""
    if place == len(pattern):
        raise PatternError("it ends in a backslash")
    letter = pattern[place]
    if found := _CODE_POINT.match(pattern, place):
        return rf"\x{{{found[1] or found[2]}}}", found.end()
    if (letter.isdigit() and letter != "0") or (letter == "k" and not in_class):
        raise PatternError(rf"it refers back to what it has matched, \{letter}")
    if letter == "b" and in_class:
        return r"\x08", place + 1
    if letter == "c" and pattern[place + 1 : place + 2].isalpha():
        return rf"\x{{{ord(pattern[place + 1]) % 32:x}}}", place + 2
    if letter == "0":
        return r"\x00", place + 1
    if letter in _KEPT_ESCAPES or (letter.isascii() and not letter.isalnum()):
        return f"\\{letter}", place + 1
    return letter, place + 1


def _reason(error: Exception) -> str:
    said = error.args[0] if error.args else ""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    if "repetition size" in text:
        return "it repeats something more than 1000 times"
    if "too large" in text:
        return "it is too large"
    return f"it is not valid ({text[:80]})"
