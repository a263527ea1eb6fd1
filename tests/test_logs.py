"""The operator's log: readable, and free of secrets whoever wrote the line."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from bot import logs
from bot.logs import HIDDEN, Redaction

# All made up, in the forms that real ones have.
TOKEN = "MTE1MDAwMDAwMDAwMDAwMDAwMQ.GkX3aB.q-3bYxZ0_1aaBBccDDeeFFggHHiiJJkkLLmmNN"
OLD_TOKEN = "NDAwMDAwMDAwMDAwMDAwMDAw.DkX3aB.ZnCjm1XVW7vRze4b7Cq4se7kKWs"
WEBHOOK_TOKEN = "w3bh00k-" + "aB3_" * 15
INTERACTION_TOKEN = "aW50ZXJhY3Rpb246MTE1MDAwMDAwMDAwMDAwMDAwMTpzZWNyZXQ"

SECRETS = [
    (f"logging in with {TOKEN}", "logging in with [hidden]"),
    (f"Authorization: Bot {OLD_TOKEN}", "Authorization: Bot [hidden]"),
    (f"{{'token': '{TOKEN}'}}", "{'token': '[hidden]'}"),
    (
        f"POST https://discord.com/api/webhooks/1150000000000000001/{WEBHOOK_TOKEN}?wait=true -> 429",
        "POST https://discord.com/api/webhooks/1150000000000000001/[hidden]?wait=true -> 429",
    ),
    (
        f"/webhooks/115/{WEBHOOK_TOKEN}/messages/116 gone",
        "/webhooks/115/[hidden]/messages/116 gone",
    ),
    (f"/interactions/115/{INTERACTION_TOKEN}/callback", "/interactions/115/[hidden]/callback"),
    (f"interaction token={INTERACTION_TOKEN}", "interaction token=[hidden]"),
    ("headers={'Authorization': 'Bearer abcdefgh'}", "headers={'Authorization': 'Bearer [hidden]'}"),
    ("authorization: bearer a.b-c~d+e/f==", "authorization: bearer [hidden]"),
    ("Incorrect API key: sk-proj-Ab12Cd34Ef56Gh78Ij90", "Incorrect API key: [hidden]"),
    ("hf_AbCdEfGhIj1234567890 is not valid", "[hidden] is not valid"),
    ("using gsk_AbCdEfGhIj1234567890", "using [hidden]"),
    ("GET http://mira:pa55@tavern:8080/v1", "GET http://[hidden]@tavern:8080/v1"),
    ("GET https://p%40ss:w:ord@tavern/v1/models", "GET https://[hidden]@tavern/v1/models"),
    ("GET https://onlyatoken@tavern/", "GET https://[hidden]@tavern/"),
    ("GET http://tavern/v1?key=abc&n=1", "GET http://tavern/v1?key=[hidden]&n=1"),
    ("['llama-server', '--api-key', 'open-sesame']", "['llama-server', '--api-key', '[hidden]']"),
    ("llama-server --api-key open-sesame --port 1", "llama-server --api-key [hidden] --port 1"),
    ("MODEL_API_KEY=open-sesame", "MODEL_API_KEY=[hidden]"),
    (f"{TOKEN} and {OLD_TOKEN}", "[hidden] and [hidden]"),
]

HARMLESS = [
    "Hearthside 0.1.0 on Python 3.11.7 at 127.0.0.1:8080",
    "1150000000000000001 said something in 1150000000000000002",
    "https://discord.com/api/v10/channels/1150000000000000001/messages/1150000000000000002",
    "https://cdn.example.org/avatars/1150000000000000001/0123456789abcdef0123456789abcdef.png",
    "https://discord.com/api/v10/webhooks/1150000000000000001",
    "http://127.0.0.1:8080/v1 answers: tiny-storyteller-q4_k_m.gguf",
    "the bearer of bad news; a sk-8 board; hf_hub_download; task-1234567890123456789",
    "bot.rehearsal.terminal_completion.complete_slash_command_options_of_the_bot",
    "Marta: meet me @ the mill, not later than 3.30, or write to marta@mill.example",
    "tokens=1234 max_tokens=400 token_count=7 the key=value of a line, the API key is missing",
    "deadbeefdeadbeefdeadbeefdeadbeefdeadbeef 2026-01-01T00:00:00.000000+00:00",
    'File "C:\\hearthside\\bot\\store\\store.py", line 12, in __aexit__',
    "Sie sagt: „Öffne die Tür!“ 🐉",
]


@pytest.fixture(autouse=True)
def as_it_was_afterwards() -> Iterator[None]:
    root = logging.getLogger()
    level, excepthook = root.level, sys.excepthook
    yield
    for handler in [one for one in root.handlers if one.formatter.__class__.__module__ == logs.__name__]:
        root.removeHandler(handler)
    root.setLevel(level)
    sys.excepthook = excepthook
    structlog.reset_defaults()


def set_up(level: str = "info") -> None:
    """Take logging over from pytest, in the test itself: pytest begins anew with every phase."""
    logs.set_up(level, ["open sesame", "back\\slash'd", "short"])


@pytest.mark.parametrize(("line", "shown"), SECRETS)
def test_what_looks_like_a_secret_is_hidden(line: str, shown: str) -> None:
    assert Redaction()(line) == shown


@pytest.mark.parametrize("line", HARMLESS)
def test_what_only_looks_a_little_like_one_stays(line: str) -> None:
    assert Redaction()(line) == line


def test_redacting_twice_changes_nothing_more() -> None:
    for line, shown in SECRETS:
        assert Redaction()(Redaction()(line)) == shown


def test_told_secrets_are_hidden_in_every_form_they_take() -> None:
    redact = Redaction(["open sesame", "open sesame, twice", "back\\slash'd", "", "short"])
    assert redact("say open sesame, twice, or open sesame") == f"say {HIDDEN}, or {HIDDEN}"
    assert redact("GET /?magic=open%20sesame") == f"GET /?magic={HIDDEN}"
    assert redact(repr(["back\\slash'd"])) == f'["{HIDDEN}"]'
    assert redact("a short story") == "a short story", "too short to be told from a word"


def test_our_own_lines_are_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    set_up()
    structlog.get_logger("table").warning(
        "backend_failed", scene=3, error=f"401 for {TOKEN}", key="open sesame"
    )
    line = capsys.readouterr().err
    assert "backend_failed" in line
    assert "scene=3" in line
    assert line.count(HIDDEN) == 2
    assert TOKEN not in line
    assert "sesame" not in line


def test_lines_of_libraries_are_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    set_up()
    logging.getLogger("discord.http").warning("POST %s failed", f"/webhooks/115/{WEBHOOK_TOKEN}")
    logging.getLogger("some.library").info("using %(key)s", {"key": "open sesame"})
    lines = capsys.readouterr().err
    assert "/webhooks/115/[hidden] failed" in lines
    assert "using [hidden]" in lines


def fail() -> None:
    raise ConnectionError(f"https://mira:pa55@tavern/v1 refused {TOKEN}")


def fail_for_a_reason() -> None:
    try:
        fail()
    except ConnectionError as error:
        raise RuntimeError("no answer for open sesame") from error


def test_tracebacks_are_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    set_up()
    try:
        fail_for_a_reason()
    except RuntimeError:
        structlog.get_logger("table").exception("answer_broke", id="a1b2c3")
        logging.getLogger("asyncio").exception("Task exception was never retrieved")
    lines = capsys.readouterr().err
    assert lines.count("ConnectionError: https://[hidden]@tavern/v1 refused [hidden]") == 2
    assert lines.count("RuntimeError: no answer for [hidden]") == 2
    assert TOKEN not in lines


def test_what_nobody_catches_is_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    set_up()
    try:
        fail()
    except ConnectionError as error:
        sys.excepthook(type(error), error, error.__traceback__)
    lines = capsys.readouterr().err
    assert "ConnectionError: https://[hidden]@tavern/v1 refused [hidden]" in lines
    assert "test_logs.py" in lines, "the traceback is there"


def test_a_line_that_cannot_be_made_is_redacted(capsys: pytest.CaptureFixture[str]) -> None:
    """Python's logging would print its arguments as they are."""
    set_up()
    logging.getLogger("some.library").warning("%d characters", TOKEN)
    lines = capsys.readouterr().err
    assert "'%d characters'" in lines
    assert HIDDEN in lines
    assert TOKEN not in lines


def test_levels(capsys: pytest.CaptureFixture[str]) -> None:
    set_up()
    structlog.get_logger("table").debug("too_fine")
    logging.getLogger("httpx").info("HTTP Request: POST http://127.0.0.1/v1")
    logging.getLogger("alembic.runtime.migration").info("Context impl SQLiteImpl.")
    assert capsys.readouterr().err == ""
    set_up("error")
    structlog.get_logger("table").warning("not_bad_enough")
    structlog.get_logger("table").error("bad_enough")
    lines = capsys.readouterr().err
    assert "bad_enough" in lines
    assert "not_bad" not in lines
