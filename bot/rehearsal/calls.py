"""A REST request on its way to the route that answers it, and the answer on its way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bot.rehearsal.message_payloads import View, message_payload
from bot.rehearsal.posting import require
from bot.rehearsal.refusals import Form, Refusal, unauthorized

if TYPE_CHECKING:
    from bot.rehearsal.guilds import Channel
    from bot.rehearsal.message_forms import Upload
    from bot.rehearsal.messages import Message
    from bot.rehearsal.people import Application
    from bot.rehearsal.permissions import Permission
    from bot.rehearsal.state import State

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a route gives back: a status and a JSON body, or None for none (204)."""

    status: int = 200
    json: Any = None


@dataclass(slots=True)
class Call:
    """One request: who asks, for what, with what."""

    state: State
    path: Mapping[str, str]
    query: Mapping[str, str]
    sent: Any = None
    files: Mapping[int, Upload] = field(default_factory=dict)
    caller: Application | None = None

    @property
    def application(self) -> Application:
        """The application whose token came with the request (401 without one)."""
        if self.caller is None:
            raise unauthorized()
        return self.caller

    @property
    def body(self) -> Json:
        """The JSON object that was sent; nothing sent is an empty one."""
        if self.sent is None:
            return {}
        if not isinstance(self.sent, dict):
            raise Refusal(400, 50035, "Invalid Form Body", errors=_model())
        return self.sent

    @property
    def entries(self) -> list[Any]:
        """The JSON list that was sent."""
        if not isinstance(self.sent, list):
            raise Refusal(400, 50035, "Invalid Form Body", errors=_model("LIST_TYPE_CONVERT"))
        return self.sent

    def id(self, name: str) -> int:
        """Read an id from the path."""
        form = Form()
        value = form.snowflake(dict(self.path), (name,), required=True)
        form.check()
        return value or 0

    def query_id(self, name: str) -> int | None:
        """Read an id from the query; None where it is not there."""
        form = Form()
        value = form.snowflake(dict(self.query), (name,))
        form.check()
        return value

    def query_number(self, name: str, *, low: int, high: int, default: int) -> int:
        """Read a number from the query."""
        form = Form()
        value = form.number(dict(self.query), (name,), low=low, high=high)
        form.check()
        return default if value is None else value

    def query_flag(self, name: str) -> bool:
        """Read a truth value from the query."""
        return self.query.get(name, "").lower() in {"1", "true"}

    @property
    def channel(self) -> Channel:
        """The channel of the path (10003)."""
        return self.state.channel(self.id("channel_id"))

    def require(self, *wanted: Permission) -> Permission:
        """Check what the bot may do in the channel of the path (50001, 50013)."""
        return require(self.channel, self.application.user, *wanted)

    def render(self, message: Message) -> Json:
        """Write a message for whoever asks."""
        content = self.caller is None or self.caller.message_content
        return message_payload(message, View(self.state.media, self.caller, content=content))


@dataclass(frozen=True, slots=True)
class Route:
    """A method and a path as Discord's OpenAPI description writes it, and what answers it.

    `token` says whether a bot's token is asked for; webhooks and interactions carry their own.
    """

    method: str
    path: str
    answer: Callable[[Call], Answer]
    token: bool = True


def done() -> Answer:
    """Answer without a body (204)."""
    return Answer(204)


def _model(code: str = "MODEL_TYPE_CONVERT") -> Json:
    return {"_errors": [{"code": code, "message": "Only dictionaries may be used in a ModelType"}]}
