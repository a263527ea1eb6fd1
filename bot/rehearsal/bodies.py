"""Request bodies: JSON, or a form with files and the JSON in its `payload_json`."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from aiohttp import BodyPartReader

from bot.rehearsal.message_forms import MAX_FILES, Upload
from bot.rehearsal.refusals import Form, Refusal, refusal

if TYPE_CHECKING:
    from aiohttp import web

Json = dict[str, Any]

_FILE_FIELD = re.compile(r"files?\[?(\d{0,3})\]?")


async def read_body(request: web.Request) -> tuple[Any, dict[int, Upload]]:
    """Read what was sent and which files came with it, by their number.

    Refuses broken JSON (50109), other content types (50035) and what is too large (40005).
    """
    if not request.can_read_body:
        return None, {}
    kind = request.content_type
    if kind == "application/json":
        return _decoded(await _bytes(request)), {}
    if kind == "multipart/form-data":
        return await _form(request)
    if not await _bytes(request):
        return None, {}
    form = Form()
    expected = "application/json, multipart/form-data"
    form.fault((), "CONTENT_TYPE_INVALID", f'Expected "Content-Type" header to be one of {{{expected}}}.')
    form.check()
    raise AssertionError  # pragma: no cover  `check` raised


async def _bytes(request: web.Request) -> bytes:
    try:
        return await request.read()
    except Exception as error:
        if getattr(error, "status", 0) == 413:
            raise refusal(40005) from error
        raise


async def _form(request: web.Request) -> tuple[Any, dict[int, Upload]]:
    sent: Any = None
    fields: Json = {}
    files: dict[int, Upload] = {}
    total = 0
    async for part in await request.multipart():
        if not isinstance(part, BodyPartReader) or part.name is None:
            raise Refusal(400, 50035, "Invalid Form Body")
        data = bytes(await part.read(decode=True))
        total += len(data)
        if total > request.client_max_size:
            raise refusal(40005)
        if part.name == "payload_json":
            sent = _decoded(data)
        elif part.filename is not None:
            files[_number(part.name, len(files))] = _upload(part, data)
        else:
            fields[part.name] = data.decode(errors="replace")
        if len(files) > MAX_FILES:
            raise refusal(40005)
    return (fields or None) if sent is None else sent, files


def _upload(part: BodyPartReader, data: bytes) -> Upload:
    return Upload(part.filename or "file", data, part.headers.get("Content-Type", "application/octet-stream"))


def _number(name: str, otherwise: int) -> int:
    found = _FILE_FIELD.fullmatch(name)
    return int(found[1]) if found and found[1] else otherwise


def _decoded(data: bytes) -> Any:
    if not data:
        return None
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise refusal(50109) from None
