"""From what was typed for an option to the value Discord would send for it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bot.errors import TableError
from bot.rehearsal.terminal_commands import Choice, Command, Option, OptionKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bot.rehearsal.terminal_names import Directory

Value = str | int | float | bool

_TRUTH = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
}


def option_value(option: Option, typed: str, names: Directory) -> Value:
    """Turn a typed text into the option's value; members, roles and channels become ids.

    Raises TableError saying what would have been right.
    """
    if option.choices:
        return _chosen(option, typed)
    match option.kind:
        case OptionKind.INTEGER | OptionKind.NUMBER:
            return _number(option, typed)
        case OptionKind.BOOLEAN:
            return _truth(option, typed)
        case OptionKind.USER | OptionKind.ROLE | OptionKind.MENTIONABLE | OptionKind.CHANNEL:
            return str(_id(option, typed, names))
        case OptionKind.ATTACHMENT:
            raise TableError(f"{option.name} takes a file, and files cannot be sent from the terminal.")
        case _:
            return typed


def chosen_value(choices: Sequence[Choice], typed: str) -> Value | None:
    """Find what a typed choice stands for, by its name or its value, or None."""
    wanted = typed.strip().casefold()
    for choice in choices:
        if wanted in {choice.name.strip().casefold(), str(choice.value).casefold()}:
            return choice.value
    return None


def require_all(command: Command, given: Sequence[str]) -> None:
    """Check that no required option is left out; raises TableError with the command's usage."""
    missing = [option.name for option in command.options if option.required and option.name not in given]
    if missing:
        raise TableError(
            f"/{command.path} needs {' and '.join(missing)}.", hint=f"Type it as {command.usage}"
        )


def _chosen(option: Option, typed: str) -> Value:
    value = chosen_value(option.choices, typed)
    if value is None:
        names = ", ".join(choice.name for choice in option.choices)
        raise TableError(f"{typed!r} is no choice for {option.name}.", hint=f"The choices are: {names}.")
    return value


def _number(option: Option, typed: str) -> Value:
    try:
        value = int(typed) if option.kind == OptionKind.INTEGER else float(typed)
        if math.isfinite(value):
            return value
        raise ValueError  # noqa: TRY301  nan and inf read as numbers but cannot be sent
    except (ValueError, OverflowError):
        kind = "a whole number" if option.kind == OptionKind.INTEGER else "a number"
        raise TableError(f"{option.name} must be {kind}, not {typed!r}.") from None


def _truth(option: Option, typed: str) -> bool:
    value = _TRUTH.get(typed.strip().lower())
    if value is None:
        raise TableError(f"{option.name} must be true or false, not {typed!r}.")
    return value


def _id(option: Option, typed: str, names: Directory) -> int:
    found: int | None
    if option.kind == OptionKind.CHANNEL:
        place = names.find_channel(typed)
        found = place.id if place else None
    else:
        user = names.find_user(typed) if option.kind != OptionKind.ROLE else None
        role = names.find_role(typed) if option.kind != OptionKind.USER else None
        found = user if user is not None else role
    if found is None:
        raise TableError(f"Nobody and nothing here is called {typed!r}, which {option.name} should name.")
    return found
