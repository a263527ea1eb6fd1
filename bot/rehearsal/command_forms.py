"""Application commands as Discord checks and keeps them.

Source of the limits: Discord's documentation, "Application Commands".
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from bot.rehearsal.refusals import Form, Refusal

if TYPE_CHECKING:
    from bot.rehearsal.refusals import Path

Json = dict[str, Any]

CHAT, USER_MENU, MESSAGE_MENU = 1, 2, 3
SUBCOMMAND, GROUP, STRING, INTEGER, BOOLEAN, USER, CHANNEL, ROLE, MENTIONABLE, NUMBER, ATTACHMENT = range(
    1, 12
)
VALUES = (STRING, INTEGER, BOOLEAN, USER, CHANNEL, ROLE, MENTIONABLE, NUMBER, ATTACHMENT)
LIMITS = {CHAT: 100, USER_MENU: 15, MESSAGE_MENU: 15}
"""Commands of each type that an application may have, globally and in each server."""

MAX_SIZE = 8000
"""Characters of a command's names, descriptions and choice values together."""

_INT53 = (1 << 53) - 1


def read_commands(body: list[Any]) -> list[Json]:
    """Check a whole set of commands, as a bulk overwrite sends it; refuses with 50035 or 30032."""
    form = Form()
    read = []
    for position, command in enumerate(body):
        if isinstance(command, dict):
            read.append(read_command(form, command, (position,)))
        else:
            form.fault((position,), "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType")
    seen: set[tuple[int, str]] = set()
    for position, command in enumerate(read):
        key = (command["type"], command["name"])
        if key in seen:
            message = "Application command names must be unique"
            form.fault((position, "name"), "APPLICATION_COMMANDS_DUPLICATE_NAME", message)
        seen.add(key)
    form.check()
    check_count(read)
    return read


def check_count(commands: list[Json]) -> None:
    """Refuse more commands of a type than an application may have (30032)."""
    for kind, limit in LIMITS.items():
        if sum(1 for command in commands if command["type"] == kind) > limit:
            raise Refusal(400, 30032, f"Maximum number of application commands reached ({limit}).")


def read_command(form: Form, body: Json, path: Path = ()) -> Json:
    """Check one command and give it as Discord gives it back, without ids."""
    kind = form.choice(body, (*path, "type"), tuple(LIMITS)) or CHAT
    read: Json = {
        "type": kind,
        "name": _name(form, body, path, strict=kind == CHAT),
        "name_localizations": body.get("name_localizations"),
        "description": _description(form, body, path, kind),
        "description_localizations": body.get("description_localizations"),
        "default_member_permissions": _permissions(form, body, path),
        "nsfw": bool(form.flag(body, (*path, "nsfw"))),
        "integration_types": body.get("integration_types") or [0],
        "contexts": body.get("contexts"),
    }
    if body.get("dm_permission") is not None:
        read["dm_permission"] = bool(form.flag(body, (*path, "dm_permission")))
    if kind != CHAT and body.get("options"):
        message = "Context menu commands cannot have options"
        form.fault((*path, "options"), "APPLICATION_COMMAND_INVALID_OPTIONS", message)
    options = _options(form, body, path, (SUBCOMMAND, GROUP, *VALUES))
    if options:
        read["options"] = options
    if _size(read) > MAX_SIZE:
        message = f"Command exceeds maximum size ({MAX_SIZE})"
        form.fault(path or ("options",), "APPLICATION_COMMAND_TOO_LARGE", message)
    return read


def is_command_name(name: str) -> bool:
    """Say whether a name is 1 to 32 of `-`, `_`, `'`, letters and digits, all in lower case.

    Devanagari and Thai also bring their combining signs.
    """
    return 1 <= len(name) <= 32 and name == name.lower() and all(map(_is_name_character, name))


def _is_name_character(character: str) -> bool:
    category = unicodedata.category(character)
    if character in "-_'" or category[0] in "LN":
        return True
    return category[0] == "M" and unicodedata.name(character, "").startswith(("DEVANAGARI", "THAI"))


def _name(form: Form, body: Json, path: Path, *, strict: bool) -> str:
    name = form.text(body, (*path, "name"), low=1, high=32, required=True) or ""
    if strict and name and len(name) <= 32 and not is_command_name(name):
        form.fault((*path, "name"), "APPLICATION_COMMAND_INVALID_NAME", "Command name is invalid")
    return name


def _description(form: Form, body: Json, path: Path, kind: int) -> str:
    if kind != CHAT:
        if body.get("description"):
            message = "Context menu commands cannot have a description"
            form.fault((*path, "description"), "APPLICATION_COMMAND_DESCRIPTION_NOT_ALLOWED", message)
        return ""
    return form.text(body, (*path, "description"), low=1, high=100, required=True) or ""


def _permissions(form: Form, body: Json, path: Path) -> str | None:
    number = form.number(body, (*path, "default_member_permissions"), low=0, high=(1 << 54) - 1)
    return None if number is None else str(number)


def _options(form: Form, body: Json, path: Path, allowed: tuple[int, ...]) -> list[Json]:
    listed = form.objects(body, (*path, "options"), high=25) or []
    read = [_option(form, each, (*path, "options", at), allowed) for at, each in enumerate(listed)]
    nested = [each["type"] in {SUBCOMMAND, GROUP} for each in read]
    if any(nested) and not all(nested):
        message = "Sub-command and sub-command group option types are mutually exclusive to all other types"
        form.fault((*path, "options"), "APPLICATION_COMMAND_OPTIONS_TYPE_INVALID", message)
    optional_seen = False
    names: set[str] = set()
    for position, option in enumerate(read):
        if option["name"] in names:
            message = "Option name already exists"
            form.fault((*path, "options", position), "APPLICATION_COMMAND_OPTIONS_NAME_INVALID", message)
        if option.get("required") and optional_seen:
            message = "Required options must be placed before non-required options"
            form.fault((*path, "options", position), "APPLICATION_COMMAND_OPTIONS_REQUIRED_INVALID", message)
        names.add(option["name"])
        optional_seen = optional_seen or not option.get("required")
    return read


def _option(form: Form, body: Json, path: Path, allowed: tuple[int, ...]) -> Json:
    kind = form.choice(body, (*path, "type"), allowed, required=True) or STRING
    read: Json = {
        "type": kind,
        "name": _name(form, body, path, strict=True),
        "name_localizations": body.get("name_localizations"),
        "description": _description(form, body, path, CHAT),
        "description_localizations": body.get("description_localizations"),
    }
    if kind in {SUBCOMMAND, GROUP}:
        inner = _options(form, body, path, (SUBCOMMAND,) if kind == GROUP else VALUES)
        return read | ({"options": inner} if inner else {})
    read["required"] = bool(form.flag(body, (*path, "required")))
    if kind == CHANNEL and body.get("channel_types"):
        read["channel_types"] = body["channel_types"]
    if kind in {STRING, INTEGER, NUMBER}:
        read |= _bounds(form, body, path, kind) | _offers(form, body, path, kind)
    return read


def _bounds(form: Form, body: Json, path: Path, kind: int) -> Json:
    if kind == STRING:
        found = {
            name: form.number(body, (*path, name), low=low, high=6000)
            for name, low in (("min_length", 0), ("max_length", 1))
        }
        return {name: value for name, value in found.items() if value is not None}
    read = {}
    for name in ("min_value", "max_value"):
        value = body.get(name)
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > _INT53:
            form.fault((*path, name), "NUMBER_TYPE_COERCE", f'Value "{value}" is not a number in range.')
        else:
            read[name] = value
    return read


def _offers(form: Form, body: Json, path: Path, kind: int) -> Json:
    autocomplete = bool(form.flag(body, (*path, "autocomplete")))
    listed = form.objects(body, (*path, "choices"), high=25) or []
    if autocomplete and listed:
        message = "Autocomplete and choices are mutually exclusive"
        form.fault((*path, "autocomplete"), "APPLICATION_COMMAND_AUTOCOMPLETE_INVALID", message)
    read: Json = {"autocomplete": True} if autocomplete else {}
    choices = []
    for position, choice in enumerate(listed):
        at = (*path, "choices", position)
        name = form.text(choice, (*at, "name"), low=1, high=100, required=True) or ""
        value: Any = choice.get("value")
        if kind == STRING:
            value = form.text(choice, (*at, "value"), high=100, required=True) or ""
        elif isinstance(value, bool) or not isinstance(value, (int, float)):
            form.fault((*at, "value"), "NUMBER_TYPE_COERCE", f'Value "{value}" is not a number.')
        choices.append({"name": name, "value": value, "name_localizations": choice.get("name_localizations")})
    return read | ({"choices": choices} if choices else {})


def _size(command: Json) -> int:
    total = len(command["name"]) + len(command["description"])
    for choice in command.get("choices", []):
        total += len(choice["name"]) + len(str(choice["value"]))
    return total + sum(map(_size, command.get("options", [])))
