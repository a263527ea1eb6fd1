"""Whole rehearsals against a small real bot (`echo_bot.py`), as a person would start them."""

from __future__ import annotations

import asyncio
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bot.errors import HearthsideError, SetupError
from bot.rehearsal.play import PROJECT, PlayOptions, play
from bot.rehearsal.play_turn import Patience

if TYPE_CHECKING:
    from collections.abc import Mapping

ECHO = (sys.executable, str(Path(__file__).with_name("echo_bot.py")))
QUICK = Patience(begins=0.5, settles=0.6, typing=6.5, turn=20.0)


def options(
    tmp_path: Path, script: str, environment: Mapping[str, str] | None = None, patience: Patience = QUICK
) -> PlayOptions:
    (tmp_path / "script.txt").write_text(script, encoding="utf-8")
    return PlayOptions(
        script=tmp_path / "script.txt",
        bot_command=ECHO,
        environment=environment or {},
        log_path=tmp_path / "data" / "play.log",
        patience=patience,
    )


def asides(stderr: str) -> list[str]:
    """What was said beside the transcript, without the signs of life that a busy machine makes necessary."""
    return [line for line in stderr.splitlines() if " ..." not in line]


async def test_an_evening_at_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = """\
# The first scene
/scene start title:"The Drowned Bell" persona:old marten

I open the door.
// brb
/as Bob
@Hearthside both
/model info
/choose
#1
/choose
#6 red, Green
#5
Vex

/show 3 who:Ann
"""
    assert await play(options(tmp_path, script)) == 0
    told = capsys.readouterr()
    assert told.out.splitlines() == [
        'Ann: /scene start title:"The Drowned Bell" persona:old marten',
        "Hearthside: **The Drowned Bell** begins with marten.",
        "Marta: Rain beats on the shutters. @Ann, come in.",
        "Ann: I open the door.",
        "Marta: You say: I open the door.",
        "Ann: // brb",
        "Bob: @Hearthside both",
        "Marta: You say: @Hearthside both",
        "Vex: Indeed. And I agree.",
        "Bob: /model info",
        "Hearthside: Echo No model at all Context: 0 tokens (only you see this)",
        "Bob: /choose",
        "Hearthside: Choose. [#1 Roll] [#2 Form] [#3 Colour: Red | Blue | Green]",
        "Bob: #1",
        "Hearthside: Rolled.",
        "Bob: /choose",
        "Hearthside: Choose. [#4 Roll] [#5 Form] [#6 Colour: Red | Blue | Green]",
        "Bob: #6 red, Green",
        "Hearthside: You chose r+g. (only you see this)",
        "Bob: #5",
        "Bob: Name: Vex",
        "Bob: Story (optional):",
        "Hearthside: Vex | no story",
        "Bob: /show 3 who:Ann",
        "Hearthside: 3 for Ann",
    ]
    assert asides(told.err) == ["Bob speaks now."]


async def test_a_file_is_brought_by_its_path_and_what_the_bot_sends_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card = tmp_path / "Old Marten.json"
    card.write_text('{"name": "Old Marten"}', encoding="utf-8")
    script = f"""\
/keep {card}
/keep file:"{card.as_posix()}"
/keep file:{tmp_path}/nobody.json
"""
    assert await play(options(tmp_path, script)) == 1
    told = capsys.readouterr()
    kept = tmp_path / "data" / "downloads"
    assert [line for line in told.out.splitlines() if line.startswith("Hearthside")] == [
        f"Hearthside: application/json, 22 bytes [file Old_Marten.json, 1 kB; saved to {kept / name}]"
        for name in ("Old_Marten.json", "Old_Marten-2.json")
    ]
    assert [path.read_text(encoding="utf-8") for path in kept.iterdir()] == ['{"name": "Old Marten"}'] * 2
    assert any(line.startswith("line 3: There is no file") for line in told.err.splitlines())


async def test_what_fails_is_named_and_the_rest_is_played(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    script = "/scene start A\nfail\nhush\n/scene strat B\n/fail\n/mute\n/show many\n#9\nStill here.\n"
    quick = options(tmp_path, script, patience=replace(QUICK, typing=1.0))
    assert await play(quick) == 1
    told = capsys.readouterr()
    assert [line for line in told.err.splitlines() if line.startswith("line")] == [
        "line 2: ⚠ The model did not answer.",
        "line 3: The bot began to answer and then said nothing.",
        "line 4: There is no command /scene strat. Did you mean /scene start or /scene end?",
        "line 5: ⚠ There is no scene here.",
        "line 6: Hearthside did not respond to 'mute' within 3 seconds.",
        "line 7: The option 'count' takes a number, not 'many'.",
        "line 8: There is no #9 to press.",
    ]
    assert told.out.splitlines()[-2:] == ["Ann: Still here.", "Marta: You say: Still here."]


async def test_a_thread_is_gone_to_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = '/scene start "The Mill" thread:yes\n/channel the mill\n/as Eve\nHello?\n/quit\nNever said.\n'
    assert await play(options(tmp_path, script)) == 0
    told = capsys.readouterr()
    assert told.out.splitlines()[1:] == [
        "Hearthside: **The Mill** begins with Marta.",
        "Marta: Rain beats on the shutters. @Ann, come in.",
        "Eve: Hello?",
        "Marta: You say: Hello?",
    ]
    assert asides(told.err) == ["You are in #The Mill now.", "Eve joins the table and speaks now."]


async def test_a_bot_that_dies_is_told_with_its_last_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await play(options(tmp_path, "/scene start A\ndie\nAnybody?\n")) == 1
    told = capsys.readouterr()
    assert "line 2: The bot has ended with exit code 3.\n  | about to die" in told.err
    assert str(tmp_path / "data" / "play.log") in told.err
    assert "Anybody" not in told.out


async def test_a_bot_that_does_not_start_is_told_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(HearthsideError, match="exit code 1") as told:
        await play(options(tmp_path, "Hello.", {"ECHO_REFUSES": "1"}))
    assert "No token. Get one at the developer portal." in str(told.value)


async def test_a_bot_that_does_not_log_in_is_not_waited_for_for_ever(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    silent = (sys.executable, "-c", "print('thinking', flush=True); import time; time.sleep(60)")
    late = replace(options(tmp_path, "Hello."), bot_command=silent, start_seconds=1.5)
    with pytest.raises(HearthsideError, match=r"has not logged in within 1\.5 seconds\.\n  \| thinking"):
        await play(late)
    assert capsys.readouterr().err.startswith("starting the bot ... 1 s\n")


async def test_a_script_that_cannot_be_read_is_said_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"nowhere\.txt cannot be read: No such file"):
        await play(PlayOptions(script=tmp_path / "nowhere.txt", log_path=tmp_path / "play.log"))
    assert not (tmp_path / "play.log").exists()


def piped(tmp_path: Path) -> list[str]:
    """The program as it stands at the end of a pipe, with the echo bot."""
    program = (
        "import asyncio, pathlib, sys\n"
        "from bot.rehearsal.play import PlayOptions, play\n"
        "from bot.rehearsal.play_turn import Patience\n"
        f"log = pathlib.Path({str(tmp_path / 'play.log')!r})\n"
        f"options = PlayOptions(bot_command={ECHO!r}, log_path=log,\n"
        "    patience=Patience(begins=0.5, settles=0.6))\n"
        "sys.exit(asyncio.run(play(options)))\n"
    )
    return [sys.executable, "-c", program]


async def start(command: list[str]) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=PROJECT)


async def test_standard_input_is_played_line_by_line(tmp_path: Path) -> None:
    process = await start(piped(tmp_path))
    out, err = await process.communicate('/scene start "Ænder"\r\nHëllo.\r\n'.encode())
    assert (process.returncode, asides(err.decode())) == (0, [])
    assert out.decode().splitlines()[-2:] == ["Ann: Hëllo.", "Marta: You say: Hëllo."]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks for the bot in /proc")
async def test_asked_to_stop_it_takes_the_bot_along(tmp_path: Path) -> None:
    process = await start(piped(tmp_path))
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"/scene start A\n")
    await process.stdout.readuntil(b"come in.\n")
    bots = [each for each in children(process.pid) if "echo_bot" in command_line(each)]
    process.send_signal(signal.SIGTERM)
    assert await process.wait() == 128 + signal.SIGTERM
    assert bots
    assert not any("echo_bot" in command_line(each) for each in bots)


def children(parent: int) -> list[int]:
    """The processes that a process has started (Linux)."""
    listed = Path(f"/proc/{parent}/task/{parent}/children")
    return [int(each) for each in listed.read_text().split()]


def command_line(process: int) -> str:
    try:
        return Path(f"/proc/{process}/cmdline").read_text()
    except FileNotFoundError:
        return ""
