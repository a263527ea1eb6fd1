r"""A command's options as they are typed: `title:"The Drowned Bell" persona:marta`.

The grammar, for a command with known option names:

    options = [value] { name ":" value }
    value   = '"' characters '"' | characters up to the next known `name:`

Within quotation marks `\"` is a quotation mark and `\\` a backslash. Text before the first name is the
value of the command's first option, so that `/scene start The Drowned Bell persona:marta` works.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from bot.errors import TableError

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"(?=\s|$)', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_NAME_LIKE = re.compile(r"(?:^|(?<=\s))([-_'\w]{1,32}):(?!//)(?=\S)")


def parse_options(text: str, names: Sequence[str]) -> dict[str, str]:
    """Read typed options into raw values by option name; `names` are the command's, in its order.

    Raises TableError where a name is unknown or given twice, or a quotation mark is not closed.
    """
    mark = _mark(names)
    given: dict[str, str] = {}
    rest = text.strip()
    while rest:
        found = mark.match(rest)
        if found is None and given:
            raise TableError(f"It is not clear what {_short(rest)} belongs to.", hint=_listed(names))
        name = found[1].lower() if found else _first(rest, names)
        if name in given:
            raise TableError(f"The option {name} is given twice.")
        given[name], rest = _value(rest[found.end() :] if found else rest, mark, names)
    return given


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Options while they are typed, up to the cursor.

    `given` are those before the one at the cursor; `focused` is the name of that one, None where a new name
    is due; `typed` is its text so far; `word` is the last bare word, which may become an option's name.
    """

    given: dict[str, str]
    focused: str | None
    typed: str
    word: str


def unfinished_options(text: str, names: Sequence[str]) -> Unfinished:
    """Read options that end at the cursor, forgiving what is not complete."""
    mark = _mark(names)
    given: dict[str, str] = {}
    rest = text.lstrip()
    while rest:
        found = mark.match(rest)
        name = found[1].lower() if found else None if given or not names else names[0]
        tail = rest[found.end() :] if found else rest
        end = _value_end(tail, mark)
        if name is None or end is None:
            word = "" if tail.lstrip().startswith('"') or (found and not tail) else re.split(r"\s", tail)[-1]
            return Unfinished(given, name, tail.lstrip(), word)
        given[name] = unquote_open(tail[:end].strip())
        rest = tail[end:].lstrip()
    return Unfinished(given, None, "", "")


def _value_end(tail: str, mark: re.Pattern[str]) -> int | None:
    lead = len(tail) - len(tail.lstrip())
    quoted = _QUOTED.match(tail, lead)
    if quoted is not None and quoted.end() < len(tail):
        return quoted.end()
    following = None if quoted else re.search(rf"\s(?={mark.pattern})", tail, re.IGNORECASE)
    return following.start() if following else None


def format_options(options: Mapping[str, str]) -> str:
    """Write options so that `parse_options` reads the same back."""
    return " ".join(f"{name}:{quote(value)}" for name, value in options.items())


def quote(value: str) -> str:
    """Put a value in quotation marks where it could not stand bare."""
    if value and not re.search(r'[\s":\\]', value):
        return value
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def unquote_open(typed: str) -> str:
    """Read a value that is still being typed: its closing quotation mark may be missing."""
    if not typed.startswith('"'):
        return typed
    whole = _QUOTED.fullmatch(typed)
    return _ESCAPED.sub(r"\1", whole[1] if whole else typed[1:])


def _mark(names: Sequence[str]) -> re.Pattern[str]:
    known = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True)) or r"(?!)"
    return re.compile(rf"({known}):", re.IGNORECASE)


def _first(rest: str, names: Sequence[str]) -> str:
    if not names:
        raise TableError(f"This command takes no options, but {_short(rest)} was given.")
    _refuse_unknown(_NAME_LIKE.match(rest), names)
    return names[0]


def _value(rest: str, mark: re.Pattern[str], names: Sequence[str]) -> tuple[str, str]:
    quoted = _QUOTED.match(rest, len(rest) - len(rest.lstrip()))
    if quoted is not None:
        after = rest[quoted.end() :].lstrip()
        if not after or mark.match(after) or _NAME_LIKE.match(after):
            _refuse_unknown(None if mark.match(after) else _NAME_LIKE.match(after), names)
            return _ESCAPED.sub(r"\1", quoted[1]), after
    elif rest.lstrip().startswith('"') and rest.count('"') == 1:
        raise TableError(f"The quotation mark before {_short(rest.lstrip()[1:])} is not closed.")
    return _bare(rest, mark, names)


def _bare(rest: str, mark: re.Pattern[str], names: Sequence[str]) -> tuple[str, str]:
    for space in re.finditer(r"\s+", rest):
        after = rest[space.end() :]
        if mark.match(after):
            return rest[: space.start()].strip(), after
        looks = _NAME_LIKE.match(after)
        if looks and get_close_matches(looks[1].lower(), names, n=1, cutoff=0.75):
            _refuse_unknown(looks, names)
    return rest.strip(), ""


def _refuse_unknown(found: re.Match[str] | None, names: Sequence[str]) -> None:
    if found is not None:
        raise TableError(f"There is no option {found[1]} here.", hint=_listed(names))


def _listed(names: Sequence[str]) -> str:
    return f"The options are: {', '.join(names)}." if names else "This command takes no options."


def _short(text: str, most: int = 30) -> str:
    return repr(text if len(text) <= most else text[: most - 1] + "…")
