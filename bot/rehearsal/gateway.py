"""The gateway: one WebSocket for each shard of a bot, and sessions that outlive a dropped one.

Source of opcodes, close codes and order: Discord's documentation, "Gateway".
"""

from __future__ import annotations

import asyncio
import json
import zlib
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from aiohttp import WSMsgType, web

from bot.rehearsal import intents
from bot.rehearsal.payloads import full_member_payload, self_payload
from bot.rehearsal.permissions import Permission
from bot.rehearsal.state import Signal, State, Viewer

if TYPE_CHECKING:
    from bot.rehearsal.guilds import Guild
    from bot.rehearsal.people import Application
    from bot.rehearsal.trouble import Trouble

Json = dict[str, Any]

DISPATCH, HEARTBEAT, IDENTIFY, PRESENCE, VOICE_STATE, RESUME = 0, 1, 2, 3, 4, 6
RECONNECT, REQUEST_MEMBERS, INVALID_SESSION, HELLO, HEARTBEAT_ACK = 7, 8, 9, 10, 11

HEARTBEAT_INTERVAL = 41_250
"""Milliseconds between heartbeats."""

MAX_FRAME = 4096
"""Bytes of one frame from a bot."""

MAX_COMMANDS = 120
"""Frames that a bot may send in a minute."""

MAX_BUFFER = 2_000
"""Events that a session keeps for resuming; more missed ones make it invalid."""

RESUME_WINDOW = 180.0
"""Seconds for which a session without a connection can be resumed. Discord publishes no number."""

MAX_QUEUE = 20_000
MAX_SESSIONS = 64


class CloseError(Exception):
    """The connection has to end with this close code."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


@dataclass(slots=True, eq=False)
class Connection:
    """One WebSocket, and what waits to be sent on it."""

    socket: web.WebSocketResponse
    request: web.Request
    queue: asyncio.Queue[Json | CloseError] = field(default_factory=lambda: asyncio.Queue(MAX_QUEUE))
    session: Session | None = None
    compressor: Any = None
    sent_at: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_COMMANDS))

    def send(self, frame: Json | CloseError) -> None:
        """Put a frame, or the end, in line; a bot that reads too slowly is cut off."""
        try:
            self.queue.put_nowait(frame)
        except asyncio.QueueFull:
            self.abort()

    def abort(self) -> None:
        """Break the connection without a word."""
        if self.request.transport is not None:
            self.request.transport.abort()

    async def write(self) -> None:
        """Send what is in line until the end."""
        while True:
            frame = await self.queue.get()
            if isinstance(frame, CloseError):
                await self.socket.close(code=frame.code, message=frame.reason.encode())
                return
            text = json.dumps(frame, separators=(",", ":"))
            try:
                if self.compressor is None:
                    await self.socket.send_str(text)
                else:
                    data = self.compressor.compress(text.encode())
                    await self.socket.send_bytes(data + self.compressor.flush(zlib.Z_SYNC_FLUSH))
            except ConnectionError:
                return


@dataclass(slots=True, eq=False)
class Session:
    """What the gateway remembers of a shard: its intents, its count of events, and the latest of them."""

    id: str
    application: Application
    intents: int
    shard: tuple[int, int]
    connection: Connection | None = None
    sequence: int = 0
    lost_at: float | None = None
    buffer: deque[Json] = field(default_factory=lambda: deque(maxlen=MAX_BUFFER))

    def dispatch(self, name: str, data: Json) -> None:
        """Give an event its number, keep it, and send it where there is a connection."""
        self.sequence += 1
        frame = {"op": DISPATCH, "t": name, "s": self.sequence, "d": data}
        self.buffer.append(frame)
        if self.connection is not None:
            self.connection.send(frame)

    def serves(self, guild: Guild | None) -> bool:
        """Say whether this shard is the one for a server; direct messages go to the first."""
        shard, count = self.shard
        return shard == (0 if guild is None else (guild.id >> 22) % count)

    def missed(self, after: int) -> list[Json] | None:
        """Give the events after a number, or None where some of them are gone."""
        if after > self.sequence or (self.buffer and after < self.buffer[0]["s"] - 1):
            return None
        return [frame for frame in self.buffer if frame["s"] > after]


class Gateway:
    """All sessions of all bots."""

    def __init__(self, state: State, trouble: Trouble) -> None:
        self._state = state
        self._trouble = trouble
        self.sessions: dict[str, Session] = {}
        self.connections: set[Connection] = set()
        state.listeners.append(self.publish)

    def publish(self, signal: Signal) -> None:
        """Give an event to every session that asked for it and may see it."""
        now = self._state.clock.monotonic()
        for session in list(self.sessions.values()):
            if session.lost_at is not None and now - session.lost_at > RESUME_WINDOW:
                del self.sessions[session.id]
            elif _wanted(session, signal):
                viewer = Viewer(session.application, session.intents)
                session.dispatch(signal.name, signal.render(viewer))

    def connected(self, application: Application) -> list[Session]:
        """Give a bot's sessions that have a connection."""
        return [
            each
            for each in self.sessions.values()
            if each.application is application and each.connection is not None
        ]

    async def handle(self, request: web.Request) -> web.WebSocketResponse:
        """Serve one WebSocket from hello to close."""
        socket = web.WebSocketResponse(max_msg_size=4 * MAX_FRAME, compress=False)
        await socket.prepare(request)
        connection = Connection(socket, request)
        if request.query.get("compress") == "zlib-stream":
            connection.compressor = zlib.compressobj()
        self.connections.add(connection)
        connection.send({"op": HELLO, "t": None, "s": None, "d": {"heartbeat_interval": HEARTBEAT_INTERVAL}})
        writer = asyncio.create_task(connection.write())
        try:
            await self._read(connection)
        except CloseError as error:
            connection.send(error)
            await writer
        except TimeoutError:
            await socket.close(code=4009, message=b"Session timed out.")
        finally:
            writer.cancel()
            self.detach(connection)
        return socket

    def detach(self, connection: Connection) -> None:
        """Forget a connection; its session stays for resuming."""
        self.connections.discard(connection)
        if connection.session is not None and connection.session.connection is connection:
            connection.session.connection = None
            connection.session.lost_at = self._state.clock.monotonic()
        self._state.changed.notify()

    async def _read(self, connection: Connection) -> None:
        while True:
            message = await connection.socket.receive(timeout=2 * HEARTBEAT_INTERVAL / 1000)
            if message.type is WSMsgType.BINARY:
                raise CloseError(4002, "Error while decoding payload.")
            if message.type is not WSMsgType.TEXT:
                if message.data in {1000, 1001} and connection.session is not None:
                    self.sessions.pop(connection.session.id, None)  # a bot that says goodbye does not resume
                return
            if len(message.data) > MAX_FRAME:
                raise CloseError(4002, "Error while decoding payload.")
            self._count(connection)
            self._receive(connection, _decoded(message.data))

    def _count(self, connection: Connection) -> None:
        now = self._state.clock.monotonic()
        if len(connection.sent_at) == MAX_COMMANDS and now - connection.sent_at[0] < 60:
            raise CloseError(4008, "You are being rate limited.")
        connection.sent_at.append(now)

    def _receive(self, connection: Connection, frame: Json) -> None:
        operation, data = frame.get("op"), frame.get("d")
        if operation == HEARTBEAT:
            connection.send({"op": HEARTBEAT_ACK, "t": None, "s": None, "d": None})
        elif operation == IDENTIFY and isinstance(data, dict):
            self._identify(connection, data)
        elif operation == RESUME and isinstance(data, dict):
            self._resume(connection, data)
        elif connection.session is None:
            raise CloseError(4003, "Not authenticated.")
        elif operation == REQUEST_MEMBERS and isinstance(data, dict):
            self._send_members(connection.session, data)
        elif operation not in {PRESENCE, VOICE_STATE}:
            raise CloseError(4001, "Unknown opcode.")

    def _identify(self, connection: Connection, data: Json) -> None:
        if connection.session is not None:
            raise CloseError(4005, "Already authenticated.")
        application = self._authenticate(data)
        wanted = data.get("intents")
        if not isinstance(wanted, int) or not 0 <= wanted < intents.HIGHEST * 2:
            raise CloseError(4013, "Invalid intent(s).")
        self._check_privileged(application, wanted)
        shard = data.get("shard") or [0, 1]
        if not _is_shard(shard):
            raise CloseError(4010, "Invalid shard.")
        application.identified += 1
        identity = f"{self._state.rng.getrandbits(128):032x}"
        session = Session(identity, application, wanted, (shard[0], shard[1]), connection)
        connection.session = session
        self.sessions[session.id] = session
        while len(self.sessions) > MAX_SESSIONS:
            del self.sessions[next(iter(self.sessions))]
        self._welcome(session)
        self._state.changed.notify()

    def _authenticate(self, data: Json) -> Application:
        token = str(data.get("token", "")).removeprefix("Bot ")
        for application in self._state.applications.values():
            if application.token == token and not self._trouble.refuse_token:
                return application
        raise CloseError(4004, "Authentication failed.")

    def _check_privileged(self, application: Application, wanted: int) -> None:
        content = application.message_content and not self._trouble.deny_message_content
        for bit, allowed in (
            (intents.MESSAGE_CONTENT, content),
            (intents.GUILD_MEMBERS, application.members),
            (intents.GUILD_PRESENCES, application.presences),
        ):
            if wanted & bit and not allowed:
                raise CloseError(4014, "Disallowed intent(s).")

    def _welcome(self, session: Session) -> None:
        application = session.application
        guilds = [each for each in self._state.guilds_of(application) if session.serves(each)]
        session.dispatch(
            "READY",
            {
                "v": 10,
                "user": self_payload(application.user),
                "guilds": [{"id": str(guild.id), "unavailable": True} for guild in guilds],
                "session_id": session.id,
                "resume_gateway_url": self._state.gateway_url,
                "session_type": "normal",
                "shard": list(session.shard),
                "application": {"id": str(application.id), "flags": application.flags},
                "private_channels": [],
                "relationships": [],
                "presences": [],
                "_trace": ["rehearsal"],
            },
        )
        for guild in guilds:
            self._state.guild_joined(guild, application, new=False)

    def _resume(self, connection: Connection, data: Json) -> None:
        self._authenticate(data)
        session = self.sessions.get(str(data.get("session_id")))
        sequence = data.get("seq")
        missed = session.missed(sequence) if session is not None and isinstance(sequence, int) else None
        if session is None or missed is None:
            connection.send({"op": INVALID_SESSION, "t": None, "s": None, "d": False})
            return
        if session.connection is not None:
            session.connection.send(CloseError(4000, "Resumed elsewhere."))
        connection.session = session
        for frame in missed:
            connection.send(frame)
        session.connection, session.lost_at = connection, None
        session.dispatch("RESUMED", {"_trace": ["rehearsal"]})
        self._state.changed.notify()

    def _send_members(self, session: Session, data: Json) -> None:
        guild = self._state.guilds.get(_number(data.get("guild_id")))
        if guild is None or session.application.user.id not in guild.members:
            return
        query, wanted = data.get("query"), data.get("user_ids")
        if query == "" and not session.intents & intents.GUILD_MEMBERS:
            raise CloseError(4014, "Disallowed intent(s).")
        ids = {str(each) for each in (wanted if isinstance(wanted, list) else [wanted])}
        found = [
            each
            for each in guild.members.values()
            if (
                str(each.id) in ids
                if wanted is not None
                else each.name.lower().startswith(str(query or "").lower())
            )
        ]
        limit = _number(data.get("limit")) or 1000
        payload: Json = {
            "guild_id": str(guild.id),
            "members": [full_member_payload(each) for each in found[:limit]],
            "chunk_index": 0,
            "chunk_count": 1,
            "not_found": sorted(ids - {str(each.id) for each in found}) if wanted is not None else [],
        }
        if data.get("nonce"):
            payload["nonce"] = data["nonce"]
        session.dispatch("GUILD_MEMBERS_CHUNK", payload)


def _wanted(session: Session, signal: Signal) -> bool:
    application = session.application
    if signal.only is not None and signal.only is not application:
        return False
    if signal.intents and not session.intents & signal.intents:
        return False
    if not session.serves(signal.guild or signal.shard_of):
        return False
    if signal.guild is not None and application.user.id not in signal.guild.members:
        return False
    if signal.channel is None:
        return True
    return Permission.VIEW_CHANNEL in signal.channel.permissions(application.user)


def _is_shard(value: Any) -> bool:
    whole = isinstance(value, list) and len(value) == 2 and all(type(each) is int for each in value)
    return whole and 0 <= value[0] < value[1]


def _number(value: Any) -> int:
    text = str(value)
    return int(text) if text.isdecimal() and len(text) < 22 else 0


def _decoded(text: str) -> Json:
    try:
        frame = json.loads(text)
    except (ValueError, RecursionError):
        frame = None
    if not isinstance(frame, dict):
        raise CloseError(4002, "Error while decoding payload.")
    return frame
