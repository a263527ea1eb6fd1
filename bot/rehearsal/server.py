"""The room's sockets: REST, gateway and CDN on one loopback port."""

from __future__ import annotations

import hmac
import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import web

from bot.rehearsal import (
    cdn,
    rest_channels,
    rest_commands,
    rest_guilds,
    rest_messages,
    rest_webhooks,
)
from bot.rehearsal.bodies import read_body
from bot.rehearsal.calls import Answer, Call, Route
from bot.rehearsal.ratelimits import RateLimits, Verdict
from bot.rehearsal.refusals import Refusal, not_found, unauthorized

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from bot.rehearsal.gateway import Gateway
    from bot.rehearsal.people import Application
    from bot.rehearsal.state import State
    from bot.rehearsal.trouble import Failure, Trouble

Json = dict[str, Any]

PREFIX = "/api/v10"
MAX_REQUEST = 26 * 1024 * 1024
"""Bytes of one request, files included."""

MAJOR = ("channel_id", "guild_id", "webhook_id", "interaction_id")


@dataclass(slots=True)
class Request:
    """One REST request as it was made and answered.

    `route` is the path as Discord's OpenAPI description writes it; `json` and `response` are the
    bodies; `files` names what was uploaded; `at` and `monotonic` are seconds of the room's clock.
    """

    method: str
    route: str
    path: str
    query: dict[str, str]
    at: float
    monotonic: float
    json: Any = None
    files: list[str] = field(default_factory=list)
    application_id: int | None = None
    status: int = 0
    response: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Server:
    """Turns HTTP requests into calls of the routes, and their answers or refusals into responses.

    `requests` keeps the latest; `faults` are exceptions of the room itself, each a bug here.
    """

    def __init__(self, state: State, gateway: Gateway, trouble: Trouble, *, kept: int) -> None:
        self._state = state
        self._gateway = gateway
        self._trouble = trouble
        self.limits = RateLimits()
        self.requests: deque[Request] = deque(maxlen=kept)
        self.faults: list[Exception] = []

    def application(self) -> web.Application:
        """Build the web application with every route."""
        app = web.Application(client_max_size=MAX_REQUEST)
        app.router.add_get("/gateway", self._gateway.handle)
        app.router.add_get("/gateway/", self._gateway.handle)
        app.router.add_get("/cdn/{tail:.*}", cdn.handler(self._state))
        for module in (rest_guilds, rest_messages, rest_channels, rest_webhooks, rest_commands):
            for route in module.ROUTES:
                app.router.add_route(route.method, PREFIX + route.path, self._bound(route))
        app.router.add_route("*", "/{tail:.*}", self._missing)
        return app

    def _bound(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._serve(route, request)

        return handle

    async def _missing(self, request: web.Request) -> web.StreamResponse:
        record = self._record(request.path, request)
        return self._respond(record, _refused(not_found()), {})

    async def _serve(self, route: Route, request: web.Request) -> web.StreamResponse:
        record = self._record(route.path, request)
        failure = self._trouble.next(route.method, route.path)
        verdict = self._verdict(route, request, record)
        if failure is not None and not failure.after_effect:
            return self._respond(record, _failed(failure), verdict.headers(record.at))
        answer = _limited(verdict) if verdict.retry_after is not None else None
        answer = answer or await self._answer(route, request, record)
        if failure is not None and request.transport is not None:
            record.status = answer.status
            request.transport.abort()
        return self._respond(record, answer, verdict.headers(record.at))

    async def _answer(self, route: Route, request: web.Request, record: Request) -> Answer:
        try:
            caller = self._caller(request, required=route.token)
            record.application_id = caller.id if caller else None
            sent, files = await read_body(request)
            record.json, record.files = sent, [each.filename for each in files.values()]
            call = Call(self._state, request.match_info, request.query, sent, files, caller)
            return route.answer(call)
        except Refusal as refused:
            return _refused(refused)
        except (ConnectionError, web.HTTPException):
            raise
        except Exception as fault:  # noqa: BLE001  a bug of the room becomes a 500 and is kept for the tests
            self.faults.append(fault)
            return Answer(500, {"message": "500: Internal Server Error", "code": 0})

    def _caller(self, request: web.Request, *, required: bool) -> Application | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme == "Bot" and not self._trouble.refuse_token:
            for application in self._state.applications.values():
                if hmac.compare_digest(application.token, token):
                    return application
        if required:
            raise unauthorized()
        return None

    def _verdict(self, route: Route, request: web.Request, record: Request) -> Verdict:
        major = "/".join(request.match_info[name] for name in MAJOR if name in request.match_info)
        return self.limits.take(route.method, route.path, major, record.monotonic)

    def _record(self, route: str, request: web.Request) -> Request:
        record = Request(
            method=request.method,
            route=route,
            path=request.path,
            query=dict(request.query),
            at=self._state.clock.now(),
            monotonic=self._state.clock.monotonic(),
        )
        self.requests.append(record)
        return record

    def _respond(self, record: Request, answer: Answer, headers: dict[str, str]) -> web.Response:
        record.status, record.response = answer.status, answer.json
        headers = headers | {"Via": "1.1 rehearsal"}
        record.headers = headers
        self._state.changed.notify()
        if answer.json is None:
            return web.Response(status=answer.status, headers=headers)
        body = json.dumps(answer.json, separators=(",", ":")).encode()
        # Discord sends no charset, and discord.py compares the whole header.
        headers["Content-Type"] = "application/json"
        return web.Response(status=answer.status, body=body, headers=headers)


def _refused(refused: Refusal) -> Answer:
    return Answer(refused.status, refused.body)


def _limited(verdict: Verdict) -> Answer:
    wait = round(verdict.retry_after or 0.0, 3)
    return Answer(
        429, {"message": "You are being rate limited.", "retry_after": wait, "global": False, "code": 0}
    )


def _failed(failure: Failure) -> Answer:
    standard = {"message": f"{failure.status}: rehearsed failure", "code": 0}
    return Answer(failure.status, standard if failure.json is None else failure.json)
