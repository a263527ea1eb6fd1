"""The part of the room's API that breaks things on purpose."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bot.rehearsal.gateway import INVALID_SESSION, RECONNECT, Gateway
from bot.rehearsal.trouble import Failure, Trouble

if TYPE_CHECKING:
    from bot.rehearsal.people import Application

Json = dict[str, Any]


class TroubleMaker:
    """Dropped connections, refused tokens, failing requests."""

    gateway: Gateway
    trouble: Trouble

    @property
    def refuse_token(self) -> bool:
        """Whether every token is wrong: 401, and 4004 on the gateway."""
        return self.trouble.refuse_token

    @refuse_token.setter
    def refuse_token(self, refuse: bool) -> None:
        self.trouble.refuse_token = refuse

    @property
    def deny_intent_message_content(self) -> bool:
        """Whether the message content intent is switched off for every bot (4014)."""
        return self.trouble.deny_message_content

    @deny_intent_message_content.setter
    def deny_intent_message_content(self, deny: bool) -> None:
        self.trouble.deny_message_content = deny

    def fail_next(
        self,
        method: str,
        route: str,
        *,
        status: int = 503,
        json: Json | None = None,
        after_effect: bool = False,
        times: int = 1,
    ) -> None:
        """Let the next `times` requests fail whose route contains this text.

        With `after_effect` the request is carried out and the connection breaks before the answer.
        """
        self.trouble.failures.append(Failure(method, route, status, json, after_effect, times))

    async def drop_gateway(self, *, resumable: bool = True, application: Application | None = None) -> None:
        """Break every gateway connection without a word; what cannot be resumed is forgotten."""
        for session in list(self.gateway.sessions.values()):
            if application is not None and session.application is not application:
                continue
            if session.connection is not None:
                session.connection.abort()
                self.gateway.detach(session.connection)
            if not resumable:
                del self.gateway.sessions[session.id]

    async def ask_reconnect(self) -> None:
        """Ask every bot to reconnect and resume (opcode 7)."""
        for connection in list(self.gateway.connections):
            connection.send({"op": RECONNECT, "t": None, "s": None, "d": None})

    async def invalidate_sessions(self, *, resumable: bool = False) -> None:
        """Tell every bot that its session is not valid (opcode 9); it may resume if `resumable`."""
        for session in list(self.gateway.sessions.values()):
            if session.connection is not None:
                session.connection.send({"op": INVALID_SESSION, "t": None, "s": None, "d": resumable})
            if not resumable:
                del self.gateway.sessions[session.id]
