"""A modal asked field by field, and a select by what is typed after its number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.errors import TableError
from bot.rehearsal.modal_forms import CHECKBOX, FILE_UPLOAD, Field
from bot.rehearsal.terminal_commands import Choice, chosen_value
from bot.rehearsal.terminal_text import Part

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.rehearsal.terminal_names import Directory

_YES = ("yes", "y", "true", "on")
_NO = ("no", "n", "false", "off", "")


def question(field: Field) -> str:
    """Say what the player is asked."""
    notes = [] if field.required else ["optional"]
    notes += [f"one of {', '.join(label for label, _ in field.options)}"] if field.options else []
    notes += ["yes or no"] if field.type == CHECKBOX else []
    notes += [f"empty for {field.value!r}"] if field.value else []
    label = field.label or "Your answer"
    return f"{label} ({'; '.join(notes)}): " if notes else f"{label}: "


def field_value(field: Field, typed: str, names: Directory) -> str | bool | list[str] | None:
    """Turn what was typed into the field's value: a text, a truth, or the values of a select.

    None leaves an optional field out. Raises TableError saying what would have been right.
    """
    if field.type == FILE_UPLOAD and field.required:
        raise TableError(f"{field.label!r} takes a file, and files cannot be sent from the terminal.")
    if field.type == FILE_UPLOAD or not (typed or field.required):
        return field.value
    if field.type == Part.TEXT_INPUT:
        return _text(field, typed or field.value or "")
    if field.type == CHECKBOX:
        return _truth(field, typed)
    choices = [Choice(label, value) for label, value in field.options]
    return _picked(field.type, choices, typed, names, field.min_values, field.max_values)


def select_values(component: Mapping[str, Any], typed: str, names: Directory) -> list[str]:
    """Read the values typed after a select's number, by label or value, separated by commas.

    `component` is the select as Discord's message carries it. Raises TableError where the values are not
    among its options, or too few or too many.
    """
    choices = [Choice(option["label"], option["value"]) for option in component.get("options") or []]
    least, most = int(component.get("min_values", 1)), int(component.get("max_values", 1))
    return _picked(component["type"], choices, typed, names, least, most)


def _picked(
    kind: int, choices: list[Choice], typed: str, names: Directory, least: int, most: int
) -> list[str]:
    chosen = [_one(kind, choices, name.strip(), names) for name in typed.split(",") if name.strip()]
    if not least <= len(chosen) <= most:
        span = str(least) if least == most else f"{least} to {most}"
        raise TableError(f"Choose {span}{_offered(choices)}, not {len(chosen)}.")
    return chosen


def _one(kind: int, choices: list[Choice], name: str, names: Directory) -> str:
    found: object
    match kind:
        case Part.USER_SELECT:
            found = names.find_user(name)
        case Part.ROLE_SELECT:
            found = names.find_role(name)
        case Part.MENTIONABLE_SELECT:
            found = names.find_user(name) or names.find_role(name)
        case Part.CHANNEL_SELECT:
            place = names.find_channel(name)
            found = place.id if place else None
        case _:
            found = chosen_value(choices, name)
    if found is None:
        raise TableError(
            f"{name!r} is no choice here.", hint=f"Choose one{_offered(choices)}." if choices else ""
        )
    return str(found)


def _offered(choices: list[Choice]) -> str:
    return f" of {', '.join(choice.name for choice in choices)}" if choices else ""


def _truth(field: Field, typed: str) -> bool:
    if typed.strip().lower() not in {*_YES, *_NO}:
        raise TableError(f"{field.label!r} takes yes or no, not {typed!r}.")
    return typed.strip().lower() in _YES


def _text(field: Field, text: str) -> str:
    least = max(field.min_length, 1)
    if not least <= len(text) <= field.max_length:
        raise TableError(f"{field.label!r} takes {least} to {field.max_length} characters, not {len(text)}.")
    return text
