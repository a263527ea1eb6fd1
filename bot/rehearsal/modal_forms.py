"""Modals: the forms a bot opens, as Discord checks them, and what a member fills in.

Source of the limits: Discord's documentation, "Modal" and "Component Reference".
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.errors import TableError
from bot.rehearsal.component_forms import ROW, SELECTS, TEXT_DISPLAY, TEXT_INPUT, ComponentReader
from bot.rehearsal.refusals import Form

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.rehearsal.refusals import Json, Path

LABEL, FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX = 18, 19, 21, 22, 23
LABELLED = (TEXT_INPUT, *SELECTS, FILE_UPLOAD, RADIO_GROUP, CHECKBOX_GROUP, CHECKBOX)


@dataclass(frozen=True, slots=True)
class Field:
    """One input of a modal. Lengths in code points; `options` are (label, value) of a choice."""

    custom_id: str
    type: int
    label: str
    required: bool = True
    value: str | None = None
    min_length: int = 0
    max_length: int = 4000
    min_values: int = 1
    max_values: int = 1
    options: tuple[tuple[str, str], ...] = ()
    labelled: bool = True


@dataclass(frozen=True, slots=True)
class Modal:
    """A form that a bot opened for one member."""

    custom_id: str
    title: str
    fields: tuple[Field, ...]


def read_modal(data: Json, prefix: Path = ("data",)) -> Modal:
    """Check a modal and refuse it with every mistake at its path (50035)."""
    form = Form()
    custom_id = form.text(data, (*prefix, "custom_id"), low=1, high=100, required=True) or ""
    title = form.text(data, (*prefix, "title"), low=1, high=45, required=True) or ""
    children = form.objects(data, (*prefix, "components"), low=1, high=5)
    if children is None:
        form.required((*prefix, "components"))
    reader = ComponentReader(form, layout=True)
    fields: list[Field] = []
    for position, child in enumerate(children or []):
        _read_child(form, reader, child, (*prefix, "components", position), fields)
    form.check()
    return Modal(custom_id, title, tuple(fields))


def _read_child(form: Form, reader: ComponentReader, child: Json, path: Path, fields: list[Field]) -> None:
    kind = child.get("type")
    if kind == TEXT_DISPLAY:
        form.text(child, (*path, "content"), low=1, high=4000, required=True)
    elif kind == ROW:
        inputs = form.objects(child, (*path, "components"), low=1, high=1)
        for each in inputs or []:
            label = form.text(each, (*path, "components", 0, "label"), low=1, high=45, required=True) or ""
            fields.append(_read_field(form, reader, each, (*path, "components", 0), label, (TEXT_INPUT,)))
    elif kind == LABEL:
        label = form.text(child, (*path, "label"), low=1, high=45, required=True) or ""
        form.text(child, (*path, "description"), low=1, high=100)
        inner = form.object(child, (*path, "component"))
        if inner is None:
            form.required((*path, "component"))
        else:
            fields.append(_read_field(form, reader, inner, (*path, "component"), label, LABELLED))
    else:
        message = f'Value of field "type" must be one of ({ROW}, {TEXT_DISPLAY}, {LABEL}).'
        form.fault((*path, "type"), "UNION_TYPE_CHOICES", message)


def _read_field(
    form: Form, reader: ComponentReader, child: Json, path: Path, label: str, allowed: tuple[int, ...]
) -> Field:
    kind = child.get("type")
    if kind not in allowed:
        listed = ", ".join(map(str, allowed))
        form.fault((*path, "type"), "UNION_TYPE_CHOICES", f'Value of field "type" must be one of ({listed}).')
        return Field("", TEXT_INPUT, label)
    required = form.flag(child, (*path, "required"))
    needed = True if required is None else required
    if kind == TEXT_INPUT:
        return _read_text_input(
            form, reader, child, path, label, required=needed, labelled=allowed == LABELLED
        )
    if kind in SELECTS:
        read = reader.select(child, path)
        options = tuple((each["label"], each["value"]) for each in read.get("options", []))
        low, high = read["min_values"], read["max_values"]
        return Field(read["custom_id"], kind, label, needed, min_values=low, max_values=high, options=options)
    custom_id = reader.custom_id(child, path)
    raw = form.objects(child, (*path, "options"), high=10) or []
    options = tuple((str(each.get("label", "")), str(each.get("value", ""))) for each in raw)
    high = form.number(child, (*path, "max_values"), low=1, high=10) or max(1, len(options))
    return Field(custom_id, int(kind), label, needed, max_values=high, options=options)


def _read_text_input(
    form: Form,
    reader: ComponentReader,
    child: Json,
    path: Path,
    label: str,
    *,
    required: bool,
    labelled: bool,
) -> Field:
    form.choice(child, (*path, "style"), (1, 2), required=True)
    form.text(child, (*path, "placeholder"), high=100)
    low = form.number(child, (*path, "min_length"), low=0, high=4000)
    high = form.number(child, (*path, "max_length"), low=1, high=4000)
    return Field(
        custom_id=reader.custom_id(child, path),
        type=TEXT_INPUT,
        label=label,
        required=required,
        value=form.text(child, (*path, "value"), high=4000),
        min_length=low or 0,
        max_length=4000 if high is None else high,
        labelled=labelled,
    )


def fill(modal: Modal, values: Mapping[str, Any]) -> Json:
    """Write what a member filled in; raises TableError where the form would not let them send it."""
    unknown = set(values) - {each.custom_id for each in modal.fields}
    if unknown:
        raise TableError(f"The form {modal.title!r} has no field {min(unknown)!r}.")
    components = [_wrap(each, _filled(each, values.get(each.custom_id))) for each in modal.fields]
    return {"custom_id": modal.custom_id, "components": components}


def _wrap(field: Field, filled: Json) -> Json:
    return {"type": LABEL, "component": filled} if field.labelled else {"type": ROW, "components": [filled]}


def _filled(field: Field, value: Any) -> Json:
    filled: Json = {"type": field.type, "custom_id": field.custom_id}
    if field.type == TEXT_INPUT:
        text = str(field.value or "") if value is None else str(value)
        low = max(field.min_length, 1) if field.required else (field.min_length if text else 0)
        if not low <= len(text) <= field.max_length:
            raise TableError(
                f"{field.label!r} takes {low} to {field.max_length} characters, not {len(text)}."
            )
        return filled | {"value": text}
    if field.type == CHECKBOX:
        return filled | {"value": bool(value)}
    chosen = (
        []
        if value is None
        else [str(each) for each in (value if isinstance(value, (list, tuple)) else [value])]
    )
    offered = {offered for _, offered in field.options}
    if field.options and not set(chosen) <= offered:
        raise TableError(f"{field.label!r} offers {', '.join(sorted(offered))}.")
    if (field.required and not chosen) or len(chosen) > field.max_values:
        raise TableError(f"{field.label!r} takes {int(field.required)} to {field.max_values} choices.")
    if field.type == RADIO_GROUP:
        return filled | {"value": chosen[0] if chosen else None}
    return filled | {"values": chosen}
