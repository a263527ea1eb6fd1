"""Embeds as Discord checks and keeps them. Source of the limits: Discord's documentation, "Embed Limits"."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bot.rehearsal.refusals import Form, Json, Path

MAX_EMBEDS = 10
MAX_TOTAL = 6000
"""Characters of titles, descriptions, fields, footers and authors in all embeds of a message together."""

_MEDIA = ("http", "https", "attachment")
_PARTS = ("title", "description", "fields", "image", "thumbnail", "author", "footer", "video")


def read_embeds(form: Form, body: Json, path: Path) -> list[Json] | None:
    """Check the embeds of a message and give them as Discord gives them back; None where none were sent."""
    embeds = form.objects(body, path, high=MAX_EMBEDS)
    if embeds is None:
        return None
    read = [_embed(form, embed, (*path, position)) for position, embed in enumerate(embeds)]
    if sum(map(_size, read)) > MAX_TOTAL:
        form.fault(path, "MAX_EMBED_SIZE_EXCEEDED", f"Embed size exceeds maximum size of {MAX_TOTAL}")
    return read


def _embed(form: Form, embed: Json, path: Path) -> Json:
    if not any(embed.get(part) for part in _PARTS):
        form.required((*path, "description"))
    read: Json = {"type": "rich"}
    for name, high in (("title", 256), ("description", 4096)):
        if (text := form.text(embed, (*path, name), high=high)) is not None:
            read[name] = text
    form.url(embed, (*path, "url"))
    color = form.number(embed, (*path, "color"), low=0, high=0xFFFFFF)
    read |= {"color": color} if color is not None else {}
    read |= {name: embed[name] for name in ("url", "timestamp") if embed.get(name)}
    read |= _named(form, embed, path, "author", "name", 256)
    read |= _named(form, embed, path, "footer", "text", 2048)
    for name in ("image", "thumbnail", "video"):
        if (media := form.object(embed, (*path, name))) is not None:
            form.url(media, (*path, name, "url"), schemes=_MEDIA)
            read[name] = {"url": media.get("url", "")}
    fields = form.objects(embed, (*path, "fields"), high=25)
    if fields:
        read["fields"] = [_field(form, each, (*path, "fields", at)) for at, each in enumerate(fields)]
    return read


def _named(form: Form, embed: Json, path: Path, part: str, text: str, high: int) -> Json:
    body = form.object(embed, (*path, part))
    if body is None:
        return {}
    read: Json = {text: form.text(body, (*path, part, text), high=high, required=True) or ""}
    for name in ("url", "icon_url"):
        form.url(body, (*path, part, name), schemes=_MEDIA if name == "icon_url" else ("http", "https"))
        if body.get(name):
            read[name] = body[name]
    return {part: read}


def _field(form: Form, field: Json, path: Path) -> Json:
    return {
        "name": form.text(field, (*path, "name"), low=1, high=256, required=True) or "",
        "value": form.text(field, (*path, "value"), low=1, high=1024, required=True) or "",
        "inline": bool(form.flag(field, (*path, "inline"))),
    }


def _size(embed: Json) -> int:
    texts = [embed.get("title", ""), embed.get("description", "")]
    texts += [embed.get("author", {}).get("name", ""), embed.get("footer", {}).get("text", "")]
    texts += [field[part] for field in embed.get("fields", []) for part in ("name", "value")]
    return sum(map(len, texts))
