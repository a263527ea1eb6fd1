"""The log: one line for each event on standard error, with secrets taken out whoever logged them."""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING, Any

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable

HIDDEN = "[hidden]"

# What secrets look like: Discord tokens, webhook and interaction tokens in addresses, keys, passwords.
_SHAPES = (
    re.compile(r"[\w-]{23,30}\.[\w-]{6,7}\.[\w-]{27,45}"),
    re.compile(r"(?<=/webhooks/)(\d+/)[\w-]{20,}"),
    re.compile(r"(?<=/interactions/)(\d+/)[\w-]{20,}"),
    re.compile(r"\b(?:sk|hf|gsk)[-_][\w-]{16,}"),
    re.compile(r"(?i)(?<=bearer )[\w.~+/=-]{8,}"),
    re.compile(r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"),
)


class Redaction:
    """Takes secrets out of text: those that it is told, and whatever looks like one."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = tuple(sorted((one for one in secrets if len(one) >= 6), key=len, reverse=True))

    def __call__(self, text: str) -> str:
        """Give the text without secrets."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        for shape in _SHAPES:
            text = shape.sub(lambda match: (match[1] if match.re.groups else "") + HIDDEN, text)
        return text


def set_up(level: str, secrets: Iterable[str] = ()) -> None:
    """Send all logging, that of the libraries too, through one formatter that redacts the finished line."""
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
        "sqlalchemy",
    ):
        logging.getLogger(chatty).setLevel(logging.WARNING)


class _Redacting(structlog.stdlib.ProcessorFormatter):
    def __init__(self, redaction: Redaction, **options: Any) -> None:
        super().__init__(**options)
        self._redaction = redaction

    def format(self, record: logging.LogRecord) -> str:
        return self._redaction(super().format(record))
