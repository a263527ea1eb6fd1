"""The CDN: attachments behind addresses that expire, avatars, and the default ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from bot.rehearsal.media import image_type, plain_png

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bot.rehearsal.state import State

_COLOURS = ((88, 101, 242), (116, 127, 141), (67, 181, 129), (250, 166, 26), (240, 71, 71), (235, 69, 158))


def handler(state: State) -> Callable[[web.Request], Awaitable[web.Response]]:
    """Serve what the room keeps."""

    async def handle(request: web.Request) -> web.Response:
        place = request.match_info["tail"]
        kind, _, rest = place.partition("/")
        if kind == "attachments":
            return _attachment(state, place, request.query.get("ex", ""), request.query.get("hm", ""))
        if place.startswith("embed/avatars/"):
            number = place.removeprefix("embed/avatars/").partition(".")[0]
            colour = _COLOURS[int(number) % len(_COLOURS)] if number.isdecimal() else _COLOURS[0]
            return web.Response(body=plain_png(*colour), content_type="image/png")
        data = state.media.images.get(rest.rpartition("/")[2].partition(".")[0])
        found = image_type(data) if data is not None else None
        if data is None or found is None:
            return web.Response(status=404)
        return web.Response(body=data, content_type=found[0])

    return handle


def _attachment(state: State, place: str, expires: str, signature: str) -> web.Response:
    parts = place.split("/")
    identity = int(parts[2]) if len(parts) == 4 and parts[2].isdecimal() else 0
    kept = state.media.attachments.get(identity)
    if kept is None or not state.media.is_current(place, expires, signature):
        return web.Response(status=404, text="This content is no longer available.")
    return web.Response(body=kept.data, headers={"Content-Type": kept.content_type})
