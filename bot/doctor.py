"""`hearthside doctor`: what works, what does not, and what to do about it."""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from contextlib import asynccontextmanager, closing
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import aiohttp

from bot.clock import SystemClock
from bot.errors import HearthsideError, SetupError
from bot.invite import invite_link, missing
from bot.store import schema
from bot.store.store import warnings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from bot.settings import Settings

PATIENCE = aiohttp.ClientTimeout(total=10)

# Discord's application flags: https://discord.com/developers/docs/resources/application
MESSAGE_CONTENT_FLAGS = 1 << 18 | 1 << 19
RENEW = "Make a new one at https://discord.com/developers/applications > Bot > Reset Token; put it into .env."


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at. `hint` says what to do where it is not ok."""

    name: str
    ok: bool
    detail: str
    hint: str = ""


def as_text(checks: list[Check]) -> str:
    """Give one line for each check."""
    lines = []
    for check in checks:
        hint = f" {check.hint}" if check.hint and not check.ok else ""
        lines.append(f"{'✓' if check.ok else '✗'} {check.name}: {check.detail}{hint}")
    return "\n".join(lines)


def as_json(checks: list[Check]) -> str:
    """Give all checks as one JSON object."""
    return json.dumps(
        {"ok": all(check.ok for check in checks), "checks": [asdict(check) for check in checks]}, indent=2
    )


async def examine(settings: Settings) -> list[Check]:
    """Look at everything the bot needs. Nothing is changed."""
    discord, backend, embedding = await asyncio.gather(
        _discord(settings), _backend(settings), _embedding(settings)
    )
    return [*discord, _database(settings), backend, embedding, *_personas(settings)]


async def invite(settings: Settings) -> str:
    """Give the invite link. Raises SetupError if Discord does not say which application the token is of."""
    async with _api(settings) as api:
        return invite_link((await api("/applications/@me"))["id"])


async def _discord(settings: Settings) -> list[Check]:
    if not settings.discord_token.get_secret_value():
        return [Check("token", ok=False, detail="DISCORD_TOKEN is not set.", hint=RENEW)]
    try:
        async with _api(settings) as api:
            user = await api("/users/@me")
            application = await api("/applications/@me")
            servers = await api("/users/@me/guilds")
    except SetupError as error:
        return [Check("token", ok=False, detail=str(error.args[0]), hint=error.hint)]
    return [
        Check("token", ok=True, detail=f"Discord knows the bot as {user['username']}."),
        _intent(settings, application),
        _permissions(servers, application["id"]),
    ]


def _intent(settings: Settings, application: dict[str, Any]) -> Check:
    if application.get("flags", 0) & MESSAGE_CONTENT_FLAGS:
        return Check("intents", ok=True, detail="Message Content is on.")
    if not settings.listen:
        return Check("intents", ok=True, detail="Message Content is off, as LISTEN=false needs none.")
    return Check(
        "intents",
        ok=False,
        detail="Message Content is off: the bot only hears mentions, replies and commands.",
        hint="Turn it on at https://discord.com/developers/applications > Bot, or set LISTEN=false.",
    )


def _permissions(servers: list[dict[str, Any]], application_id: str) -> Check:
    if not servers:
        link = invite_link(application_id)
        return Check(
            "permissions", ok=False, detail="The bot is on no server yet.", hint=f"Invite it: {link}"
        )
    lacking = [
        f"{server['name']} lacks {', '.join(names)}"
        for server in servers
        if (names := missing(int(server.get("permissions", 0))))
    ]
    if lacking:
        hint = f"Invite it again, nothing is lost: {invite_link(application_id)}"
        return Check("permissions", ok=False, detail="; ".join(lacking) + ".", hint=hint)
    return Check("permissions", ok=True, detail=f"All that is needed, on {len(servers)} server(s).")


def _database(settings: Settings) -> Check:
    path = settings.database_path
    if not path.exists():
        there = next(folder for folder in path.parents if folder.exists())
        if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
            return Check("database", ok=True, detail=f"{path} will be made at the first start.")
        hint = "Give the bot's user a folder to write to, or point DATABASE_URL elsewhere."
        return Check("database", ok=False, detail=f"{path} cannot be made.", hint=hint)
    try:
        version = _schema_version(path)
    except sqlite3.Error as error:
        hint = "Close whatever has it open, check that it may be written to, or point DATABASE_URL elsewhere."
        return Check("database", ok=False, detail=f"{path} cannot be used: {error}.", hint=hint)
    if version > schema.HEAD:
        hint = "Update Hearthside, or point DATABASE_URL to another file."
        return Check("database", ok=False, detail=f"{path} is of a newer version, {version}.", hint=hint)
    notes = "".join(f" {warning}" for warning in warnings())
    state = "up to date" if version == schema.HEAD else "older, and is migrated at the next start"
    return Check("database", ok=True, detail=f"{path} is {state}.{notes}")


def _schema_version(path: Path) -> str:
    """Give the schema's version of a database that is writable; empty for one that is yet to be filled."""
    with closing(sqlite3.connect(path, timeout=1)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        made = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'").fetchone()
        row = connection.execute("SELECT version_num FROM alembic_version").fetchone() if made else None
        connection.execute("ROLLBACK")
    return str(row[0]) if row else ""


async def _backend(settings: Settings) -> Check:
    from bot.app import make_backends  # noqa: PLC0415  # after the cheap checks: 0.6 s
    from bot.model.failures import sentence  # noqa: PLC0415
    from bot.scene.reports import backend_line  # noqa: PLC0415

    backends = make_backends(settings, SystemClock())
    backends.start()
    try:
        backend = await backends.choose(scene_key=0)
        standing = await backends.status()
    except HearthsideError as error:
        return Check("model", ok=False, detail=str(error.args[0]), hint=error.hint)
    finally:
        await backends.aclose()
    detail = " ".join([f"{sentence(backend.name)} answers.", *map(backend_line, standing)])
    return Check("model", ok=all(status.state != "down" for status in standing), detail=detail)


async def _embedding(settings: Settings) -> Check:
    from bot.app import make_embedder  # noqa: PLC0415  # as above
    from bot.memory.embedding import NO_SOURCE, SAMPLE  # noqa: PLC0415

    embedder = make_embedder(settings, SystemClock())
    if embedder is None:
        return Check("embedding", ok=True, detail=NO_SOURCE)
    try:
        (vector,) = await embedder.embed([SAMPLE])
    except HearthsideError as error:
        return Check("embedding", ok=False, detail=str(error.args[0]), hint=error.hint)
    finally:
        await embedder.aclose()
    return Check(
        "embedding", ok=True, detail=f"{embedder.name} gives vectors of {len(vector.values)} numbers."
    )


def _personas(settings: Settings) -> list[Check]:
    from bot.persona.library import PersonaLibrary  # noqa: PLC0415  # keeps the order of the checks readable

    library = PersonaLibrary(settings.personas_dir)
    try:
        library.load_all()
    except SetupError as error:
        return [Check("personas", ok=False, detail=str(error.args[0]), hint=error.hint)]
    broken = [
        Check("personas", ok=False, detail=str(error.args[0]), hint=error.hint) for error in library.broken()
    ]
    there = ", ".join(persona.name for persona in library.all())
    if not there:
        return [
            *broken,
            Check("personas", ok=False, detail="There are none.", hint="Put .toml files into personas/."),
        ]
    return [Check("personas", ok=True, detail=f"{there}."), *broken]


@asynccontextmanager
async def _api(settings: Settings) -> AsyncIterator[Any]:
    """Ask Discord's REST API. Raises SetupError for what the operator can mend."""
    token = settings.discord_token.get_secret_value()
    headers = {"Authorization": f"Bot {token}", "User-Agent": "DiscordBot (hearthside, 0.1)"}
    async with aiohttp.ClientSession(timeout=PATIENCE, headers=headers) as session:

        async def get(path: str) -> Any:
            try:
                async with session.get(settings.discord_api_url + path) as response:
                    if response.status == 401:
                        raise SetupError("Discord refused the token.", hint=RENEW)
                    response.raise_for_status()
                    return await response.json()
            except (aiohttp.ClientError, TimeoutError, ValueError) as error:
                raise SetupError(
                    f"Discord does not answer at {settings.discord_api_url} ({type(error).__name__}).",
                    hint="Check the network, and DISCORD_API_URL if you set it.",
                ) from None

        yield get
