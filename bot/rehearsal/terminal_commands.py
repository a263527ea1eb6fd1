"""What the bot registered, as a player at a keyboard meets it: paths, options, choices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import IntEnum
from typing import Any

from bot.errors import TableError

_CHAT_INPUT = 1
_LONGEST_PATH = 3  # command, group, subcommand


class OptionKind(IntEnum):
    """Discord's application command option types."""

    SUBCOMMAND = 1
    GROUP = 2
    STRING = 3
    INTEGER = 4
    BOOLEAN = 5
    USER = 6
    CHANNEL = 7
    ROLE = 8
    MENTIONABLE = 9
    NUMBER = 10
    ATTACHMENT = 11


@dataclass(frozen=True, slots=True)
class Choice:
    """One of the values an option offers: what is shown, and what is sent."""

    name: str
    value: str | int | float


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a command. With `autocomplete` its choices are asked from the bot while typing."""

    name: str
    description: str
    kind: OptionKind
    required: bool
    choices: tuple[Choice, ...]
    autocomplete: bool


@dataclass(frozen=True, slots=True)
class Command:
    """A command that can be called: its whole path without the slash (`scene start`) and its options."""

    path: str
    description: str
    options: tuple[Option, ...]

    @property
    def usage(self) -> str:
        """Show how it is typed; what may be left out stands in brackets."""
        shown = (f"{option.name}:" if option.required else f"[{option.name}:]" for option in self.options)
        return " ".join((f"/{self.path}", *shown))

    def option(self, name: str) -> Option | None:
        """Find an option by its name."""
        return next((option for option in self.options if option.name == name), None)


class Catalogue:
    """The slash commands of a bot, by path.

    Made from the payloads of `PUT /applications/{id}/commands`; user and message menus are left out.
    """

    def __init__(self, payloads: Iterable[Mapping[str, Any]]) -> None:
        self.commands: dict[str, Command] = {}
        for payload in payloads:
            if payload.get("type", _CHAT_INPUT) == _CHAT_INPUT:
                self._add(payload, parents=())

    def _add(self, payload: Mapping[str, Any], parents: tuple[str, ...]) -> None:
        path = (*parents, str(payload["name"]))
        inner = payload.get("options") or []
        below = [item for item in inner if item["type"] in {OptionKind.SUBCOMMAND, OptionKind.GROUP}]
        for item in below:
            self._add(item, path)
        if not below:
            name = " ".join(path)
            self.commands[name] = Command(name, payload.get("description", ""), tuple(map(_option, inner)))

    def find(self, text: str) -> tuple[Command, str]:
        """Split a typed line (without its slash) into the command it calls and the text of its options.

        Raises TableError with the nearest known commands if there is no such command.
        """
        for count in range(_LONGEST_PATH, 0, -1):
            words = text.split(maxsplit=count)
            command = self.commands.get(" ".join(words[:count]).lower())
            if command is not None and len(words) >= count:
                return command, words[count].strip() if len(words) > count else ""
        raise TableError(f"There is no command /{_head(text)}.", hint=self._instead(text))

    def below(self, path: str) -> list[Command]:
        """List the commands of a group, such as everything under `scene`."""
        return [command for name, command in self.commands.items() if name.startswith(f"{path} ")]

    def nearest(self, text: str, most: int = 3) -> list[str]:
        """Name the known commands that look most like what was typed, the likeliest first."""
        words = text.lower().split()[:_LONGEST_PATH]
        found: list[str] = []
        for count in range(len(words), 0, -1):
            found += get_close_matches(" ".join(words[:count]), self.commands, n=most, cutoff=0.6)
        groups = {name.split()[0] for name in self.commands}
        for group in get_close_matches(words[0], groups, n=1, cutoff=0.6) if words else []:
            found += [command.path for command in self.below(group)]
        return list(dict.fromkeys(found))[:most]

    def _instead(self, text: str) -> str:
        group = [command.path for command in self.below(text.strip().lower())]
        names = group or self.nearest(text)
        if names:
            return f"Did you mean {_either(names)}?"
        return "Type / and Tab to see what there is." if self.commands else "The bot has not registered any."


def chosen_value(choices: Iterable[Choice], typed: str) -> str | int | float | None:
    """Find what a typed choice stands for, by its name or its value and without case, or None."""
    wanted = typed.strip().casefold()
    for choice in choices:
        if wanted in {choice.name.strip().casefold(), str(choice.value).casefold()}:
            return choice.value
    return None


def _option(payload: Mapping[str, Any]) -> Option:
    return Option(
        name=str(payload["name"]),
        description=str(payload.get("description", "")),
        kind=OptionKind(payload["type"]),
        required=bool(payload.get("required", False)),
        choices=tuple(
            Choice(str(choice["name"]), choice["value"]) for choice in payload.get("choices") or []
        ),
        autocomplete=bool(payload.get("autocomplete", False)),
    )


def _head(text: str) -> str:
    return " ".join(text.split()[:2])


def _either(names: list[str]) -> str:
    *rest, last = (f"/{name}" for name in names)
    return f"{', '.join(rest)} or {last}" if rest else last
