from __future__ import annotations

import os
from pathlib import Path

import pytest

from bot.errors import TableError
from bot.rehearsal.play_script import failure_notice
from bot.rehearsal.script import ScriptLines
from bot.rehearsal.terminal_line import LINE_LIMIT


async def read(tmp_path: Path, content: bytes) -> list[str]:
    """Every line of a script; a refused one as what is said about it."""
    (tmp_path / "script").write_bytes(content)
    found: list[str] = []
    with (tmp_path / "script").open("rb", buffering=0) as script:
        lines = ScriptLines(script.fileno())
        while True:
            try:
                line = await lines.next()
            except TableError as error:
                line = f"({error})"
            if line is None:
                return found
            found.append(line)


@pytest.mark.parametrize(
    ("content", "lines"),
    [
        (b"", []),
        (b"one\ntwo\n", ["one", "two"]),
        (b"one\r\n\r\nlast without an end", ["one", "", "last without an end"]),
        ("\ufeffa\u0308nder\n".encode(), ["a\u0308nder"]),
        (b"\xff\xfe\nfine\n", ["(A line is not UTF-8 text. Save the script as UTF-8.)", "fine"]),
        (b"x" * LINE_LIMIT, ["x" * LINE_LIMIT]),
        (b"x" * 3_000_000 + b"\nfine", [f"(A line is longer than {LINE_LIMIT} characters.)", "fine"]),
        (b"line\n" * 1000, ["line"] * 1000),
    ],
)
async def test_lines_come_as_they_are_and_within_bounds(
    tmp_path: Path, content: bytes, lines: list[str]
) -> None:
    assert await read(tmp_path, content) == lines


async def test_a_line_of_a_pipe_comes_before_its_writer_is_done() -> None:
    reader, writer = os.pipe()
    lines = ScriptLines(reader)
    os.write(writer, b"first\nsec")
    assert await lines.next() == "first"
    os.write(writer, b"ond")
    os.close(writer)
    assert [await lines.next(), await lines.next()] == ["second", None]
    os.close(reader)


@pytest.mark.parametrize(
    ("text", "by_persona", "notice"),
    [
        ("⚠ The model is gone.", False, "⚠ The model is gone."),
        ("Personas:\n⚠ vex.toml: line 3", False, None),
        ("The door\n⚠ The answer broke off.", True, "⚠ The answer broke off."),
        ("Beware ⚠ of the dog.", True, None),
    ],
)
def test_a_failed_turn_is_known_by_its_notice(text: str, by_persona: bool, notice: str | None) -> None:
    assert failure_notice(text, by_persona=by_persona) == notice
