"""The log: one line for each event on standard error, with secrets taken out whoever logged them."""

from __future__ import annotations

import logging
import re
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import quote


@contextmanager
def _without(package: str) -> Iterator[None]:
    """Have imports find no such package."""
    there = sys.modules.get(package)
    sys.modules[package] = None  # type: ignore[assignment]  # what the import system takes for "not there"
    try:
        yield
    finally:
        del sys.modules[package]
        if there:
            sys.modules[package] = there


with _without("rich"):  # structlog would import it for tracebacks that nobody sees here: 50 ms, 5 MiB
    import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import TracebackType

HIDDEN = "[hidden]"

# What secrets look like. A group is what stands before one and stays.
_SHAPES = (
    # Discord's tokens: the first part is a snowflake in base64, whose digits begin with M, N or O.
    re.compile(r"\b[MNO][\w-]{22,29}\.[\w-]{6,7}\.[\w-]{27,45}"),
    re.compile(r"(/(?:webhooks|interactions)/\d+/)[\w-]{20,}"),
    # An interaction's token is "interaction:..." in base64.
    re.compile(r"aW50ZXJhY3Rpb246[\w+/=-]{16,}"),
    # Keys of OpenAI, Hugging Face, Groq, xAI and those that took over their form.
    re.compile(r"\b(?:sk|hf|gsk|xai)[-_](?=[\w-]*\d)[\w-]{16,}"),
    re.compile(r"(?i)(bearer )[\w.~+/=-]{8,}"),
    re.compile(r"(?i)(--api-key |api[-_]?key[\"']?\s*[=:,]\s*[\"']?)[^\s\"',}&]{8,}"),
    re.compile(r"(?i)([?&](?:key|token|access_token|secret|password)=)[^\s\"'&#]+"),
    # Names and passwords in addresses.
    re.compile(r"(://)[^\s\"'<>/?#]+(?=@)"),
)


class Redaction:
    """Takes secrets out of text: those that it is told, and whatever looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        told = [secret for secret in secrets if len(secret) >= 6]
        # As they are, as Python shows them, and as they stand in an address.
        forms = {form for one in told for form in (one, repr(one)[1:-1], quote(one, safe=""))}
        self._secrets = sorted(forms, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        """Give the text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        for shape in _SHAPES:
            text = shape.sub(lambda match: (match[1] if match.re.groups else "") + HIDDEN, text)
        return text


def set_up(level: str, secrets: Iterable[str] = ()) -> None:
    """Send all logging, that of the libraries too, through one formatter that redacts the finished line.

    An exception that nobody catches goes there as well.
    """
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        _Redacting(
            Redaction(secrets),
            processor=renderer,
            foreign_pre_chain=shared,
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    for chatty in (
        "discord",
        "httpx",
        "httpx2",
        "httpcore",
        "httpcore2",
        "openai",
        "asyncio",
        "aiosqlite",
        "alembic",
        "sqlalchemy",
    ):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    sys.excepthook = _log_uncaught


def _log_uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    logging.getLogger("hearthside").critical("uncaught_exception", exc_info=(kind, error, traceback))


class _Redacting(structlog.stdlib.ProcessorFormatter):
    def __init__(self, redaction: Redaction, **options: Any) -> None:
        super().__init__(**options)
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        try:
            line = super().format(record)
        except Exception as error:  # noqa: BLE001  # logging would print the record as it is, secrets included
            line = f"A line of {record.name} cannot be shown ({error}): {record.msg!r} {record.args!r}"
        return self._redaction(line)
