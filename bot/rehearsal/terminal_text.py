"""A message as readable text: content, embeds, components (old and V2), attachments; no colour, no layout.

The shapes are those of Discord's message object (`components` by type number, `embeds`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from bot.rehearsal.messages import Attachment, Message

Json = Mapping[str, Any]


class Part(IntEnum):
    """Discord's component types, as far as a message or a modal may hold them."""

    ROW = 1
    BUTTON = 2
    STRING_SELECT = 3
    TEXT_INPUT = 4
    USER_SELECT = 5
    ROLE_SELECT = 6
    MENTIONABLE_SELECT = 7
    CHANNEL_SELECT = 8
    SECTION = 9
    TEXT = 10
    THUMBNAIL = 11
    GALLERY = 12
    FILE = 13
    SEPARATOR = 14
    CONTAINER = 17
    LABEL = 18
    FILE_UPLOAD = 19
    RADIO_GROUP = 21
    CHECKBOX_GROUP = 22
    CHECKBOX = 23


SELECTS = frozenset(
    {
        Part.STRING_SELECT,
        Part.USER_SELECT,
        Part.ROLE_SELECT,
        Part.MENTIONABLE_SELECT,
        Part.CHANNEL_SELECT,
    }
)

_REFERENCE = re.compile(
    r"<(?:@!?(?P<user>\d+)|@&(?P<role>\d+)|#(?P<channel>\d+)|a?:(?P<emoji>\w+):\d+"
    r"|/(?P<command>[^:<>]+):\d+|t:(?P<time>-?\d{1,12})(?::[tTdDfFR])?)>"
)


class Names(Protocol):
    """Gives the names behind ids, or None."""

    def user(self, user_id: int) -> str | None:
        """Name a member."""
        ...

    def role(self, role_id: int) -> str | None:
        """Name a role."""
        ...

    def channel(self, channel_id: int) -> str | None:
        """Name a channel or thread."""
        ...


Number = Callable[[str], int]
"""Gives the number under which a control is pressed, by its custom id."""

TellFile = Callable[["Attachment"], str]
"""Says of an attached file what it is, and where."""


def message_text(message: Message, names: Names, number: Number, tell_file: TellFile) -> str:
    """Read a message: its blocks under each other, controls as `[#3 Roll]`, names in place of ids."""
    blocks = [message.content]
    blocks += [embed_text(embed) for embed in message.embeds]
    blocks += [tell_file(attachment) for attachment in message.attachments]
    blocks += components_text(message.components, number)
    return clean(with_names("\n".join(block for block in blocks if block), names))


def with_names(text: str, names: Names) -> str:
    """Put names in place of `<@id>`, `<#id>`, `<@&id>`, and plain text for emoji, commands and times."""

    def name(found: re.Match[str]) -> str:
        kind, value = found.lastgroup, found[found.lastgroup or 0]
        match kind:
            case "user":
                return f"@{names.user(int(value)) or 'unknown-user'}"
            case "role":
                return f"@{names.role(int(value)) or 'unknown-role'}"
            case "channel":
                return f"#{names.channel(int(value)) or 'unknown-channel'}"
            case "emoji":
                return f":{value}:"
            case "command":
                return f"/{value}"
            case _:
                return _time(int(value))

    return _REFERENCE.sub(name, text)


def clean(text: str) -> str:
    """Take out what would steer a terminal: every control character but line ends and tabs."""
    return "".join(char for char in text if char in "\n\t" or unicodedata.category(char) != "Cc")


def one_line(text: str) -> str:
    """Put a text on one line: each run of white space that holds a line end becomes a space."""
    return re.sub(r"\s*[\n\u2028\u2029\x85]\s*", " ", text).strip()


def embed_text(embed: Json) -> str:
    """Read an embed from author to footer, one line each."""
    lines = [
        (embed.get("author") or {}).get("name", ""),
        embed.get("title", ""),
        embed.get("description", ""),
    ]
    lines += [_embed_field(field["name"], field["value"]) for field in embed.get("fields") or []]
    lines.append((embed.get("footer") or {}).get("text", ""))
    return "\n".join(line for line in lines if line)


def _embed_field(name: str, value: str) -> str:
    return f"{name}:\n{value}" if "\n" in value else f"{name}: {value}"


def components_text(components: Sequence[Json], number: Number) -> list[str]:
    """Read components, one block each; a row of buttons is one line."""
    return [block for component in components if (block := _component(component, number))]


def controls(components: Sequence[Json]) -> Iterator[Json]:
    """Find every button and select that can be pressed, however deep."""
    for component in components:
        if component.get("custom_id") and (component["type"] in SELECTS or component["type"] == Part.BUTTON):
            yield component
        yield from controls(component.get("components") or [])
        if accessory := component.get("accessory"):
            yield from controls([accessory])


def _control(label: str, component: Json) -> str:
    return f"[{label}{', not now' if component.get('disabled') else ''}]"


def _component(component: Json, number: Number) -> str:
    read = _READERS.get(component["type"])
    return read(component, number) if read else ""


def _row(component: Json, number: Number) -> str:
    return " ".join(components_text(component["components"], number))


def _stack(component: Json, number: Number) -> str:
    parts = [*component["components"], *filter(None, [component.get("accessory")])]
    return "\n".join(components_text(parts, number))


def _button(component: Json, number: Number) -> str:
    label = component.get("label") or (component.get("emoji") or {}).get("name") or "button"
    if url := component.get("url"):
        return f"[{label}: {url}]"
    pressed = f"#{number(component['custom_id'])} " if component.get("custom_id") else ""
    return _control(f"{pressed}{label}", component)


def _select(component: Json, number: Number) -> str:
    title = component.get("placeholder") or "choose"
    options = " | ".join(
        f"{option['label']}{' (chosen)' if option.get('default') else ''}"
        for option in component.get("options") or []
    )
    label = f"#{number(component['custom_id'])} {title}{': ' if options else ''}{options}"
    return _control(label, component)


def _gallery(component: Json, _: Number) -> str:
    return " ".join(f"[picture: {_shown(item)}]" for item in component["items"])


def _shown(item: Json) -> str:
    media = item.get("media") or item.get("file") or {}
    return str(item.get("description") or item.get("name") or media.get("url", ""))


def _time(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M")
    except (OverflowError, OSError, ValueError):
        return "some time"


_READERS: Mapping[int, Callable[[Json, Number], str]] = {
    Part.ROW: _row,
    Part.BUTTON: _button,
    Part.TEXT: lambda component, _: str(component["content"]),
    Part.SECTION: _stack,
    Part.CONTAINER: _stack,
    Part.THUMBNAIL: lambda component, _: f"[picture: {_shown(component)}]",
    Part.FILE: lambda component, _: f"[file: {_shown(component)}]",
    Part.GALLERY: _gallery,
    Part.SEPARATOR: lambda _component, _number: "───",
    **dict.fromkeys(SELECTS, _select),
}
