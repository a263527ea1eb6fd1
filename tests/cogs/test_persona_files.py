"""The operator edits `personas/` while the table plays: a real discord.py bot, not connected."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import discord
import pytest
import structlog
from discord import app_commands
from discord.ext import commands

from bot.errors import TableError
from bot.persona.library import PersonaLibrary
from cogs.persona_cog import PersonaCog
from cogs.persona_files import PersonaFiles

SHIPPED = Path(__file__).parents[2] / "personas"

SINGER = """
import discord
from discord import app_commands
from cogs.persona_cog import PersonaCog

class Singer(PersonaCog):
    @app_commands.command(description="Sing.")
    async def NAME(self, interaction: discord.Interaction) -> None:
        await interaction.response.send_message(self.persona.name)
"""


class Hourglass:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self._turned = asyncio.Semaphore(0)
        self.waiting = asyncio.Event()

    def now(self) -> float:
        return 0.0

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        assert seconds > 0
        self.waiting.set()
        await self._turned.acquire()

    async def turn(self) -> None:
        """Let the sleeper run until it sleeps again."""
        await self.waiting.wait()
        self.waiting.clear()
        self._turned.release()
        await self.waiting.wait()


class Table:
    """A bot with a folder of personas, and what its operator was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.told: list[str] = []
        self.syncs = 0
        self.clock = Hourglass()
        self.bot = commands.Bot(commands.when_mentioned, intents=discord.Intents.none())
        self.library = PersonaLibrary(folder)
        self.files = PersonaFiles(
            self.bot,
            self.library,
            self.clock,
            rng=Random(7),  # noqa: S311  # seeded, so that a test repeats itself
            on_report=self.told.append,
            on_commands_changed=self._count,
        )

    def _count(self) -> None:
        self.syncs += 1

    def write(self, name: str, content: str) -> None:
        """Save a file the way an editor does, and make sure that its time has moved on."""
        path = self.folder / name
        before = path.stat().st_mtime_ns if path.exists() else 0
        path.write_text(content, encoding="utf-8")
        os.utime(path, ns=(before + 10**9, before + 10**9))

    def persona(self, slug: str, **more: str) -> None:
        fields = {"name": slug.title(), "description": "Somebody."} | more
        self.write(f"{slug}.toml", "".join(f'{key} = "{value}"\n' for key, value in fields.items()))

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Table]:
        async with self.bot:
            await self.bot.add_cog(self.files)
            yield self

    def commands(self) -> set[str]:
        return {command.name for command in self.bot.tree.get_commands()}

    def seated(self) -> set[str]:
        return {name for name in self.bot.cogs if name.startswith("Persona: ")}


@pytest.fixture
def table(tmp_path: Path) -> Table:
    folder = tmp_path / "personas"
    folder.mkdir()
    table = Table(folder)
    table.persona("marta")
    table.persona("wren")
    return table


@pytest.fixture(autouse=True)
def _no_leftover_modules() -> Iterator[None]:
    yield
    assert not [name for name in sys.modules if name.startswith("personas.")]


async def test_every_file_becomes_a_cog_of_its_own(table: Table) -> None:
    async with table.open():
        assert table.seated() == {"Persona: Marta", "Persona: Wren"}
        cog = table.bot.get_cog("Persona: Marta")
        assert isinstance(cog, PersonaCog)
        assert cog.persona is table.library.get("marta")
        assert table.told == []
        assert table.syncs == 0  # the first registration is the client's


async def test_all_shipped_personas_are_seated_and_wren_sings() -> None:
    async with Table(SHIPPED).open() as table:
        assert table.told == []
        assert len(table.seated()) >= 6
        assert table.commands() == {"sing"}
        sing = table.bot.tree.get_command("sing")
        assert isinstance(sing, app_commands.Command)
        (subject,) = sing.parameters
        assert (subject.required, subject.max_value) == (False, 60)


@pytest.mark.parametrize("subject", ["", "  a goat\n named Auditor ", "{subject}", "x" * 60])
async def test_wrens_songs_have_four_lines_and_their_subject(subject: str) -> None:
    async with Table(SHIPPED).open():
        song = sys.modules["personas.wren"].song
        songs = {song(subject, Random(seed)) for seed in range(30)}  # noqa: S311  # seeded, so that a test repeats itself
    assert len(songs) > 15
    for one in songs:
        assert len(one.splitlines()) == 4
        assert " ".join(subject.split()) in one


async def test_a_broken_file_is_reported_with_its_line_and_the_rest_play(table: Table) -> None:
    table.write("corvin.toml", 'name = "Corvin"\n\ntalkativity = 1\n')
    async with table.open():
        assert table.seated() == {"Persona: Marta", "Persona: Wren"}
        assert len(table.told) == 1
        assert "personas/corvin.toml, line 3: unknown field 'talkativity'" in table.told[0]
        assert "Did you mean 'talkativeness'?" in table.told[0]


async def test_an_edit_is_noticed_while_the_bot_runs(table: Table) -> None:
    async with table.open():
        table.persona("marta", name="Old Marta", voice="Slow.")
        await table.clock.turn()
        marta = table.library.get("marta")
        assert marta is not None
        assert marta.voice == "Slow."
        assert table.seated() == {"Persona: Old Marta", "Persona: Wren"}


async def test_a_new_file_takes_a_seat_and_a_deleted_one_leaves(table: Table) -> None:
    async with table.open():
        table.persona("tobin")
        (table.folder / "wren.toml").unlink()
        await table.clock.turn()
        assert table.seated() == {"Persona: Marta", "Persona: Tobin"}
        assert table.library.find("wren") is None


async def test_a_slip_while_editing_keeps_the_last_good_version_and_is_told_once(table: Table) -> None:
    async with table.open():
        table.write("marta.toml", 'name = "Marta"\nvoice = "unfinished\n')
        await table.clock.turn()
        await table.clock.turn()
        assert table.seated() == {"Persona: Marta", "Persona: Wren"}
        assert len(table.told) == 1
        assert "personas/marta.toml, line 2:" in table.told[0]
        assert table.told[0].endswith("The character plays on as before.")
        table.persona("marta", voice="finished")
        await table.clock.turn()
        marta = table.library.get("marta")
        assert marta is not None
        assert marta.voice == "finished"
        assert table.files.broken() == ()


async def test_a_python_file_gives_its_persona_a_command_at_run_time(table: Table) -> None:
    async with table.open():
        table.write("wren.py", SINGER.replace("NAME", "sing"))
        await table.clock.turn()
        assert table.commands() == {"sing"}
        assert table.syncs == 1
        table.write("wren.py", SINGER.replace("NAME", "hum"))
        await table.clock.turn()
        assert table.commands() == {"hum"}
        assert table.syncs == 2
        (table.folder / "wren.py").unlink()
        await table.clock.turn()
        assert table.commands() == set()
        assert table.syncs == 3
        assert table.seated() == {"Persona: Marta", "Persona: Wren"}


async def test_an_edit_of_the_words_alone_registers_no_commands_anew(table: Table) -> None:
    table.write("wren.py", SINGER.replace("NAME", "sing"))
    async with table.open():
        table.persona("wren", voice="Husky.")
        await table.clock.turn()
        assert table.syncs == 0
        cog = table.bot.get_cog("Persona: Wren")
        assert isinstance(cog, PersonaCog)
        assert cog.persona.voice == "Husky."
        assert type(cog).__name__ == "Singer"


@pytest.mark.parametrize(
    ("code", "line", "said"),
    [
        ("def oops(:\n", 1, "not valid Python"),
        ("x = 1\n\n1 / 0\n", 3, "ZeroDivisionError: division by zero"),
        ("import nowhere_at_all\n", 1, "ModuleNotFoundError"),
        ("x = 1\n", None, "it defines no PersonaCog class"),
        (SINGER.replace("NAME", "x" * 40), 7, "between 1-32 characters"),
        (SINGER.replace("NAME", "taken"), 7, "the command /taken is already taken"),
        (
            SINGER.replace("NAME", "sing") + "    def __init__(self, *_): raise RuntimeError('no lute')\n",
            10,
            "no lute",
        ),
        (
            SINGER.replace("NAME", "sing") + "    async def cog_load(self): raise RuntimeError('no lute')\n",
            10,
            "no lute",
        ),
        ("#" * 300_000, None, "300,000 bytes"),
        ("\0", None, "not valid Python"),
    ],
    ids=["syntax", "raises", "import", "no class", "bad name", "clash", "init", "load", "size", "nul"],
)
async def test_broken_code_is_reported_with_its_line_and_the_character_plays_on(
    table: Table, code: str, line: int | None, said: str
) -> None:
    @app_commands.command(name="taken", description="One of the bot's own.")
    async def taken(interaction: discord.Interaction) -> None:
        raise NotImplementedError

    table.bot.tree.add_command(taken)
    table.write("wren.py", code)
    async with table.open():
        assert table.seated() == {"Persona: Marta", "Persona: Wren"}
        assert table.commands() == {"taken"}
        assert table.bot.tree.get_command("taken") is taken
        (told,) = table.told
        assert told.startswith("personas/wren.py" + (f", line {line}:" if line else ":"))
        assert said in told
        assert told.endswith("plays on without its commands.")


async def test_code_that_breaks_later_leaves_its_last_commands(table: Table) -> None:
    table.write("wren.py", SINGER.replace("NAME", "sing"))
    async with table.open():
        table.write("wren.py", SINGER.replace("NAME", "sing") + "\n    nonsense here\n")
        await table.clock.turn()
        assert table.commands() == {"sing"}
        assert table.told[0].endswith("plays on with its commands as before.")
        assert table.syncs == 0


async def test_code_without_words_is_reported(table: Table) -> None:
    table.write("nobody.py", SINGER)
    async with table.open():
        assert "there is no nobody.toml beside it" in table.told[0]
        assert table.commands() == set()


async def test_unloading_lasts_until_somebody_reloads(table: Table) -> None:
    table.write("wren.py", SINGER.replace("NAME", "sing"))
    async with table.open():
        await table.files.unload("wren")
        assert table.seated() == {"Persona: Marta"}
        assert table.commands() == set()
        table.persona("wren", voice="Rested.")
        await table.clock.turn()
        assert table.seated() == {"Persona: Marta"}
        assert await table.files.reload("wren") == ["Wren has been read again."]
        assert table.commands() == {"sing"}
        assert table.syncs == 2


async def test_reloading_says_how_it_went(table: Table) -> None:
    async with table.open():
        table.write("marta.toml", 'nam = "Marta"')
        table.persona("tobin")
        (said,) = await table.files.reload("marta")
        assert "line 1: unknown field 'nam'" in said
        everybody, broken = await table.files.reload(None)
        assert everybody == "Read again: Marta, Tobin, Wren."
        assert broken == said
        with pytest.raises(TableError, match=r"no persona file '../secret'"):
            await table.files.reload("../secret")


async def test_a_folder_that_is_away_for_a_moment_empties_no_table(table: Table) -> None:
    async with table.open():
        table.folder.rename(table.folder.with_name("elsewhere"))
        await table.clock.turn()
        assert table.seated() == {"Persona: Marta", "Persona: Wren"}
        table.folder.with_name("elsewhere").rename(table.folder)
        table.persona("tobin")
        await table.clock.turn()
        assert table.seated() == {"Persona: Marta", "Persona: Wren", "Persona: Tobin"}


async def test_taking_the_cog_away_takes_every_persona_with_it(table: Table) -> None:
    table.write("wren.py", SINGER.replace("NAME", "sing"))
    async with table.open():
        await table.bot.remove_cog(table.files.qualified_name)
        assert table.seated() == set()
        assert table.commands() == set()


async def test_a_broken_file_is_in_the_log_with_its_line(table: Table) -> None:
    table.write("corvin.toml", "name = 5")
    with structlog.testing.capture_logs() as logs:
        async with table.open():
            pass
    (entry,) = [entry for entry in logs if entry["log_level"] == "warning"]
    assert (entry["file"], entry["line"]) == ("personas/corvin.toml", 1)
