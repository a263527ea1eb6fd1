"""What a person types: each command parses, makes one call, and prints."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from bot import __version__, model_cli
from bot.errors import HearthsideError, SetupError
from bot.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

BEFORE_THE_FIRST_RUN = """\
Hearthside needs a Discord token to run.
Make one at https://discord.com/developers/applications > New Application > Bot, with Message Content on.
Put it into .env as DISCORD_TOKEN=...   (No account? `make play` plays right here, in the terminal.)"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command. Gives the exit code: 0 done, 1 failed, 2 wrong usage or settings."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.command(options)
    except HearthsideError as error:
        print(f"⚠ {error}", file=sys.stderr)
        return 2 if isinstance(error, SetupError) else 1
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # Whoever read the output has seen enough, as in `hearthside model suggest | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except Exception:
        # Through the log, which takes secrets out: a traceback on its own does not.
        logging.getLogger("hearthside").exception("Hearthside has stopped because of a bug.")
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hearthside", description="A dungeon master on your own language model."
    )
    parser.add_argument("--version", action="version", version=f"Hearthside {__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("run", help="run the Discord bot")
    command.set_defaults(command=_run)

    command = commands.add_parser("play", help="play in this terminal, without Discord")
    command.add_argument(
        "--script", type=Path, metavar="FILE", help="play the lines of a file and print the transcript"
    )
    command.set_defaults(command=_play)

    command = commands.add_parser("invite", help="print the link that invites the bot to a server")
    command.set_defaults(command=_invite)

    command = commands.add_parser(
        "doctor", help="check token, intents, database, model, personas, permissions"
    )
    command.add_argument("--json", action="store_true", help="for programs")
    command.set_defaults(command=_doctor)

    command = commands.add_parser("replay", help="print the prompt that an answer was given to")
    command.add_argument("message", metavar="MESSAGE_ID", help="a message that shows the answer, or its link")
    command.set_defaults(command=_replay)

    model_cli.add_commands(commands)
    return parser


def _run(_: argparse.Namespace) -> int:
    settings = _logged_settings()
    if not settings.discord_token.get_secret_value():
        print(BEFORE_THE_FIRST_RUN, file=sys.stderr)
        return 2
    gc.disable()  # what is imported now stays: looking through it for garbage takes 0.1 s
    from bot import app  # noqa: PLC0415  # discord.py and SQLAlchemy are only needed here: 0.6 s

    gc.freeze()
    gc.enable()
    return _until_stopped(app.run(settings))


def _play(options: argparse.Namespace) -> int:
    from bot.rehearsal import play  # noqa: PLC0415  # the rehearsal room is only needed here: 0.3 s

    return asyncio.run(play.play(play.PlayOptions(script=options.script)))


def _invite(_: argparse.Namespace) -> int:
    settings = _logged_settings()
    if not settings.discord_token.get_secret_value():
        print(BEFORE_THE_FIRST_RUN, file=sys.stderr)
        return 2
    from bot import doctor  # noqa: PLC0415  # aiohttp is only needed here: 0.2 s

    print(asyncio.run(doctor.invite(settings)))
    return 0


def _doctor(options: argparse.Namespace) -> int:
    settings = _logged_settings(level="error")
    from bot import doctor  # noqa: PLC0415  # aiohttp and SQLAlchemy are only needed here: 0.5 s

    checks = asyncio.run(doctor.examine(settings))
    print(doctor.as_json(checks) if options.json else doctor.as_text(checks))
    return 0 if all(check.ok for check in checks) else 1


def _replay(options: argparse.Namespace) -> int:
    settings = _logged_settings(level="error")
    from bot import replay  # noqa: PLC0415  # SQLAlchemy is only needed here: 0.2 s

    rebuilt = asyncio.run(replay.replay(settings, options.message))
    print(replay.verdict(rebuilt), file=sys.stderr, flush=True)
    sys.stdout.buffer.write(f"{replay.as_json(rebuilt)}\n".encode())  # JSON is UTF-8, whatever a terminal is
    return 0 if rebuilt.identical else 1


def _logged_settings(level: str | None = None) -> Settings:
    from bot import logs  # noqa: PLC0415  # structlog is not needed to print the help: 60 ms

    settings = load_settings()
    secrets = (
        settings.discord_token,
        settings.model_api_key,
        settings.model_admin_key,
        settings.embedding_api_key,
    )
    logs.set_up(level or settings.log_level, [secret.get_secret_value() for secret in secrets])
    return settings


def _until_stopped(work: Coroutine[None, None, None]) -> int:
    """Run until it ends or a signal asks it to: then everything is closed in order."""

    async def watched() -> None:
        task = asyncio.ensure_future(work)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, task.cancel)
            except NotImplementedError:  # Windows: Ctrl-C raises KeyboardInterrupt instead
                break
        await task

    try:
        asyncio.run(watched())
    except asyncio.CancelledError:
        return 0
    return 0
