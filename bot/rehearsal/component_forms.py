"""Buttons, selects and layout of messages as Discord checks and keeps them.

Source of the limits: Discord's documentation, "Component Reference".
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bot.rehearsal.refusals import Form, Json, Path

ROW, BUTTON, STRING_SELECT, TEXT_INPUT = 1, 2, 3, 4
ENTITY_SELECTS = (5, 6, 7, 8)
SELECTS = (STRING_SELECT, *ENTITY_SELECTS)
SECTION, TEXT_DISPLAY, THUMBNAIL, GALLERY, FILE, SEPARATOR, CONTAINER = 9, 10, 11, 12, 13, 14, 17
CHANNEL_SELECT = 8
LINK = 5
PREMIUM = 6

MAX_COMPONENTS = 40
MAX_TEXT = 4000
"""Components of one message, and characters of all its text displays together (Components V2)."""


class ComponentReader:
    """Reads the components of one message; `layout` says whether Components V2 was asked for."""

    def __init__(self, form: Form, *, layout: bool) -> None:
        self._form = form
        self._layout = layout
        self._custom_ids: set[str] = set()
        self._last_id = 0
        self._count = 0
        self._text = 0
        self._readers: dict[int, Callable[[Json, Path], Json]] = {
            ROW: self._row,
            BUTTON: self._button,
            SECTION: self._section,
            TEXT_DISPLAY: self._text_display,
            THUMBNAIL: self._thumbnail,
            GALLERY: self._gallery,
            FILE: self._file,
            SEPARATOR: self._separator,
            CONTAINER: self._container,
        }
        self._readers |= dict.fromkeys(SELECTS, self.select)

    def read(self, body: Json, path: Path) -> list[Json] | None:
        """Check the field at `path` and give the components back with ids and defaults filled in."""
        allowed = (
            (ROW, SECTION, TEXT_DISPLAY, GALLERY, FILE, SEPARATOR, CONTAINER) if self._layout else (ROW,)
        )
        read = self._children(body, path, allowed, high=MAX_COMPONENTS if self._layout else 5)
        if self._count > MAX_COMPONENTS:
            self._form.fault(
                path,
                "COMPONENT_MAX_TOTAL_COMPONENTS_EXCEEDED",
                f"The total number of components, including nested ones, cannot exceed {MAX_COMPONENTS}",
            )
        if self._text > MAX_TEXT:
            self._form.fault(
                path,
                "COMPONENT_DISPLAYABLE_TEXT_SIZE_EXCEEDED",
                f"The total displayable text size of components exceeds {MAX_TEXT}",
            )
        return read

    def _children(
        self, body: Json, path: Path, allowed: tuple[int, ...], *, low: int = 0, high: int
    ) -> list[Json] | None:
        children = self._form.objects(body, path, low=low, high=high)
        if children is None:
            return None
        return [self._child(child, (*path, position), allowed) for position, child in enumerate(children)]

    def _child(self, child: Json, path: Path, allowed: tuple[int, ...]) -> Json:
        kind = child.get("type")
        if kind not in allowed:
            listed = f"({', '.join(map(str, allowed))}{',' if len(allowed) == 1 else ''})"
            self._form.fault(
                (*path, "type"), "UNION_TYPE_CHOICES", f'Value of field "type" must be one of {listed}.'
            )
            return child
        self._count += 1
        given = self._form.number(child, (*path, "id"), low=0, high=0x7FFFFFFF)
        self._last_id = given or self._last_id + 1
        identity = {"type": kind, "id": self._last_id}
        return identity | self._readers[kind](child, path)

    def _row(self, row: Json, path: Path) -> Json:
        children = self._children(row, (*path, "components"), (BUTTON, *SELECTS), low=1, high=5)
        if children is None:
            self._form.required((*path, "components"))
            return {"components": []}
        width = sum(1 if child.get("type") == BUTTON else 5 for child in children)
        if width > 5:
            self._form.fault(
                (*path, "components", len(children) - 1),
                "COMPONENT_LAYOUT_WIDTH_EXCEEDED",
                "The specified component exceeds the maximum width",
            )
        return {"components": children}

    def _button(self, button: Json, path: Path) -> Json:
        style = self._form.choice(button, (*path, "style"), (1, 2, 3, 4, LINK, PREMIUM), required=True)
        label = self._form.text(button, (*path, "label"), high=80)
        read: Json = {"style": style, "disabled": bool(self._form.flag(button, (*path, "disabled")))}
        if label:
            read["label"] = label
        if button.get("emoji"):
            read["emoji"] = emoji(button["emoji"])
        if not label and not button.get("emoji") and style != PREMIUM:
            self._form.fault(path, "BUTTON_COMPONENT_INVALID", "A button must have a label or an emoji")
        if style == LINK:
            self._form.url(button, (*path, "url"), high=512, schemes=("http", "https", "discord"))
            if not button.get("url"):
                self._form.fault((*path, "url"), "BUTTON_COMPONENT_URL_REQUIRED", "A url is required")
            read["url"] = button.get("url")
        elif style != PREMIUM:
            read["custom_id"] = self.custom_id(button, path)
        return read

    def custom_id(self, component: Json, path: Path) -> str:
        """Read the id by which a bot knows a control again: 1 to 100 characters, once in a message."""
        custom_id = self._form.text(component, (*path, "custom_id"), low=1, high=100, required=True) or ""
        if custom_id in self._custom_ids:
            self._form.fault(
                (*path, "custom_id"),
                "COMPONENT_CUSTOM_ID_DUPLICATED",
                "Component custom id cannot be duplicated",
            )
        self._custom_ids.add(custom_id)
        return custom_id

    def select(self, select: Json, path: Path) -> Json:
        """Read a select of any kind."""
        form = self._form
        low = form.number(select, (*path, "min_values"), low=0, high=25)
        high = form.number(select, (*path, "max_values"), low=1, high=25)
        read: Json = {
            "custom_id": self.custom_id(select, path),
            "min_values": 1 if low is None else low,
            "max_values": 1 if high is None else high,
            "disabled": bool(form.flag(select, (*path, "disabled"))),
        }
        placeholder = form.text(select, (*path, "placeholder"), high=150)
        read |= {"placeholder": placeholder} if placeholder else {}
        if select["type"] == STRING_SELECT:
            read["options"] = self._options(select, (*path, "options"))
            if read["max_values"] > len(read["options"]):
                form.fault(
                    (*path, "max_values"), "SELECT_COMPONENT_MAX_VALUES", "Must not exceed the options"
                )
        elif select["type"] == CHANNEL_SELECT and select.get("channel_types"):
            read["channel_types"] = select["channel_types"]
        if read["min_values"] > read["max_values"]:
            form.fault((*path, "min_values"), "SELECT_COMPONENT_MIN_VALUES", "Must not exceed max_values")
        return read

    def _options(self, select: Json, path: Path) -> list[Json]:
        options = self._form.objects(select, path, low=1, high=25)
        if options is None:
            self._form.required(path)
            return []
        read = [self._option(option, (*path, position)) for position, option in enumerate(options)]
        values = [option["value"] for option in read]
        for position, value in enumerate(values):
            if value in values[:position]:
                self._form.fault(
                    (*path, position, "value"),
                    "SELECT_COMPONENT_OPTION_VALUE_DUPLICATED",
                    "The specified option value is already used",
                )
        return read

    def _option(self, option: Json, path: Path) -> Json:
        read: Json = {
            name: self._form.text(option, (*path, name), low=1, high=100, required=True) or ""
            for name in ("label", "value")
        }
        description = self._form.text(option, (*path, "description"), high=100)
        read |= {"description": description} if description else {}
        read |= {"emoji": emoji(option["emoji"])} if option.get("emoji") else {}
        return read | {"default": bool(self._form.flag(option, (*path, "default")))}

    def _section(self, section: Json, path: Path) -> Json:
        texts = self._children(section, (*path, "components"), (TEXT_DISPLAY,), low=1, high=3)
        accessory = self._form.object(section, (*path, "accessory"))
        if accessory is None:
            self._form.required((*path, "accessory"))
            return {"components": texts or []}
        read = self._child(accessory, (*path, "accessory"), (BUTTON, THUMBNAIL))
        return {"components": texts or [], "accessory": read}

    def _text_display(self, display: Json, path: Path) -> Json:
        text = self._form.text(display, (*path, "content"), low=1, high=MAX_TEXT, required=True) or ""
        self._text += len(text)
        return {"content": text}

    def _media(
        self, body: Json, path: Path, schemes: tuple[str, ...] = ("http", "https", "attachment")
    ) -> Json:
        media = self._form.object(body, path)
        if media is None or not media.get("url"):
            self._form.required(path)
            return {}
        self._form.url(media, (*path, "url"), schemes=schemes)
        return {"id": str(self._last_id), "url": media["url"], "proxy_url": media["url"]}

    def _described(self, body: Json, path: Path) -> Json:
        return {
            "media": self._media(body, (*path, "media")),
            "description": self._form.text(body, (*path, "description"), low=1, high=1024),
            "spoiler": bool(self._form.flag(body, (*path, "spoiler"))),
        }

    def _thumbnail(self, thumbnail: Json, path: Path) -> Json:
        return self._described(thumbnail, path)

    def _gallery(self, gallery: Json, path: Path) -> Json:
        items = self._form.objects(gallery, (*path, "items"), low=1, high=10)
        if items is None:
            self._form.required((*path, "items"))
        return {"items": [self._described(item, (*path, "items", at)) for at, item in enumerate(items or [])]}

    def _file(self, file: Json, path: Path) -> Json:
        media = self._media(file, (*path, "file"), schemes=("attachment",))
        spoiler = bool(self._form.flag(file, (*path, "spoiler")))
        name = media.get("url", "").removeprefix("attachment://")
        return {"file": media, "name": name, "size": None, "spoiler": spoiler}

    def _separator(self, separator: Json, path: Path) -> Json:
        spacing = self._form.choice(separator, (*path, "spacing"), (1, 2))
        divider = self._form.flag(separator, (*path, "divider"))
        return {"spacing": spacing or 1, "divider": True if divider is None else divider}

    def _container(self, container: Json, path: Path) -> Json:
        inside = (ROW, SECTION, TEXT_DISPLAY, GALLERY, FILE, SEPARATOR)
        children = self._children(container, (*path, "components"), inside, low=1, high=MAX_COMPONENTS)
        if children is None:
            self._form.required((*path, "components"))
        return {
            "accent_color": self._form.number(container, (*path, "accent_color"), low=0, high=0xFFFFFF),
            "components": children or [],
            "spoiler": bool(self._form.flag(container, (*path, "spoiler"))),
        }


def emoji(value: Json) -> Json:
    """Keep of an emoji what Discord gives back."""
    return {name: value[name] for name in ("id", "name", "animated") if value.get(name) is not None}


def walk(components: list[Json]) -> Iterator[Json]:
    """Give every component, nested ones after what holds them."""
    for component in components:
        yield component
        yield from walk(component.get("components", []))
        for name in ("accessory", "component"):
            if isinstance(component.get(name), dict):
                yield from walk([component[name]])
