"""What a bot may put into a message: text, embeds, components, files, flags, pings.

Source of the limits: Discord's documentation, "Message"; codes as its API answers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bot.rehearsal.component_forms import ComponentReader
from bot.rehearsal.embed_forms import read_embeds
from bot.rehearsal.mentions import Allowed, read_allowed
from bot.rehearsal.messages import COMPONENTS_V2, SUPPRESS_EMBEDS, SUPPRESS_NOTIFICATIONS
from bot.rehearsal.refusals import Form, refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.rehearsal.refusals import Json, Path

MAX_CONTENT = 2000
"""Code points of a message's text."""

MAX_FILES = 10
MAX_NONCE = 25


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that came with a request. `data` in bytes; `content_type` as a MIME type."""

    filename: str
    data: bytes
    content_type: str = "application/octet-stream"


@dataclass(slots=True)
class Draft:
    """A checked message body. `given` names the fields that were in it, null ones included."""

    given: frozenset[str]
    content: str = ""
    embeds: list[Json] = field(default_factory=list)
    components: list[Json] = field(default_factory=list)
    flags: int = 0
    tts: bool = False
    allowed: Allowed | None = None
    attachments: list[Json] | None = None
    files: Mapping[int, Upload] = field(default_factory=dict)
    nonce: str | int | None = None
    enforce_nonce: bool = False
    reference: Json | None = None

    @property
    def empty(self) -> bool:
        """Whether there is nothing to show."""
        return not (self.content or self.embeds or self.components or self.files)


def read_message(
    body: Json,
    files: Mapping[int, Upload],
    *,
    form: Form | None = None,
    prefix: Path = (),
    layout: bool = False,
    settable: int = SUPPRESS_EMBEDS | SUPPRESS_NOTIFICATIONS | COMPONENTS_V2,
) -> Draft:
    """Check a message body and refuse it with every mistake at its path (50035).

    `layout` says that the message already is a Components V2 message; `settable` are the flags
    that may be set here.
    """
    form = form or Form()
    flags = form.number(body, (*prefix, "flags"), low=0, high=(1 << 53) - 1) or 0
    layout = layout or bool(flags & COMPONENTS_V2)
    draft = Draft(
        given=frozenset(body),
        content=(form.text(body, (*prefix, "content"), high=MAX_CONTENT) or "").strip(),
        embeds=read_embeds(form, body, (*prefix, "embeds")) or [],
        components=ComponentReader(form, layout=layout).read(body, (*prefix, "components")) or [],
        flags=flags & settable,
        tts=bool(form.flag(body, (*prefix, "tts"))),
        allowed=read_allowed(form, body, (*prefix, "allowed_mentions")),
        attachments=_attachments(form, body, (*prefix, "attachments"), files),
        files=files,
        enforce_nonce=bool(form.flag(body, (*prefix, "enforce_nonce"))),
        nonce=_nonce(form, body, (*prefix, "nonce")),
        reference=form.object(body, (*prefix, "message_reference")),
    )
    if layout:
        _no_legacy_fields(form, draft, prefix)
    form.check()
    return draft


def _no_legacy_fields(form: Form, draft: Draft, prefix: Path) -> None:
    for name, used in (("content", draft.content), ("embeds", draft.embeds)):
        if used:
            form.fault(
                (*prefix, name),
                "MESSAGE_CANNOT_USE_LEGACY_FIELDS_WITH_COMPONENTS_V2",
                f"The '{name}' field cannot be used when using MessageFlags.IS_COMPONENTS_V2",
            )


def _nonce(form: Form, body: Json, path: Path) -> str | int | None:
    value: Any = body.get("nonce")
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    return form.text(body, path, high=MAX_NONCE)


def _attachments(form: Form, body: Json, path: Path, files: Mapping[int, Upload]) -> list[Json] | None:
    listed = form.objects(body, path, high=MAX_FILES)
    for position, entry in enumerate(listed or []):
        form.snowflake(entry, (*path, position, "id"), required=True)
        form.text(entry, (*path, position, "description"), high=1024)
        form.text(entry, (*path, position, "filename"), low=1, high=1024)
    if len(files) > MAX_FILES:
        raise refusal(40005)
    return listed
