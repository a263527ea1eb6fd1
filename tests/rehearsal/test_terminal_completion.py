from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from bot.errors import TableError
from bot.rehearsal.terminal_commands import Catalogue, Choice, Command, Option
from bot.rehearsal.terminal_completion import suggest

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def text(name: str, **more: Any) -> dict[str, Any]:
    return {"type": 3, "name": name, "description": f"The {name}", **more}


REGISTERED: list[dict[str, Any]] = [
    {
        "type": 1,
        "name": "scene",
        "description": "Scenes",
        "options": [
            {
                "type": 1,
                "name": "start",
                "description": "Open a scene",
                "options": [
                    text("title", required=True),
                    text("persona", autocomplete=True),
                    {"type": 5, "name": "thread", "description": "In a thread"},
                    text(
                        "mode",
                        choices=[{"name": "Natural", "value": "nat"}, {"name": "List", "value": "list"}],
                    ),
                ],
            },
            {"type": 1, "name": "end", "description": "Close the scene"},
        ],
    },
    {
        "name": "persona",
        "description": "Characters",
        "options": [
            {
                "type": 2,
                "name": "file",
                "description": "Files",
                "options": [{"type": 1, "name": "reload", "description": "Read again", "options": []}],
            }
        ],
    },
    {"type": 1, "name": "whisper", "description": "Say to one", "options": [{**text("to"), "type": 6}]},
    {
        "type": 1,
        "name": "import",
        "description": "Bring",
        "options": [{**text("card"), "type": 11}, text("as")],
    },
    {"type": 3, "name": "Remember this"},
]


@dataclass
class Table:
    """What is on this table, with a bot that knows three personas."""

    catalogue: Catalogue = field(default_factory=lambda: Catalogue(REGISTERED))
    asked: list[tuple[str, dict[str, str], str, str]] = field(default_factory=list)

    def people(self) -> Sequence[str]:
        return ["Ann", "Bob", "Hearthside"]

    def players(self) -> Sequence[str]:
        return ["Ann", "Bob"]

    def places(self) -> Sequence[str]:
        return ["campaign", "tavern", "The Drowned Bell"]

    def roles(self) -> Sequence[str]:
        return ["@everyone"]

    def controls(self) -> Mapping[int, str]:
        return {1: "Roll", 2: "Colour", 12: "Again"}

    def control_choices(self, number: int) -> Sequence[str]:
        return ["red", "blue"] if number == 2 else []

    async def files(self, typed: str) -> Sequence[str]:
        there = ["cards/marta.png", "cards/Old Marten.png", "My Cards/"]
        return [path for path in there if path.startswith(typed)]

    async def ask(
        self, command: Command, given: Mapping[str, str], focused: Option, typed: str
    ) -> Sequence[Choice]:
        self.asked.append((command.path, dict(given), focused.name, typed))
        names = ["Marta", "Old Marten", "Vex"]
        return [Choice(name, name.lower()) for name in names if typed.lower() in name.lower()]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("hello", []),
        ("// aside", []),
        ("/sce", ["/scene end", "/scene start"]),
        ("/start", ["/scene start"]),
        ("/scene ", ["/scene end", "/scene start"]),
        ("/persona file r", ["/persona file reload"]),
        ("/as b", ["Bob"]),
        ("/channel ", ["campaign", "tavern", "The Drowned Bell"]),
        ("/scene start title:Bell pe", ["persona:"]),
        ('/scene start title:"The Bell" ', ["persona:", "thread:", "mode:"]),
        ("/scene start thread:", ["true", "false"]),
        ("/scene start mode:na", ["Natural"]),
        ("/scene start persona:mar", ["Marta", "Old Marten"]),
        ("/scene end ", []),
        ("/whisper ", ["Ann", "Bob", "Hearthside", "to:"]),
        ("/whisper to:b", ["Bob"]),
        ("/import card:cards/", ["marta.png", "Old Marten.png"]),
        ('/import card:"cards/O', ["Old Marten.png"]),
        ("/import card:My", ["My Cards/"]),
        ("/import M", ["My Cards/"]),
        ("#", ["#1", "#2", "#12"]),
        ("#1", ["#1", "#12"]),
        ("#2 ", ["red", "blue"]),
        ("#2 red, b", ["blue"]),
        ("Hear me, @he", ["Hearthside"]),
    ],
)
async def test_what_can_come_next(line: str, offered: list[str]) -> None:
    assert [suggestion.shown for suggestion in await suggest(line, Table())] == offered


async def test_taking_suggestions_writes_a_whole_command() -> None:
    table, line = Table(), "/st"
    for typed in ("", "ti", '"The Drowned Bell" per', "old"):
        line += typed
        best = (await suggest(line, table))[0]
        line = line[: len(line) - best.replaces] + best.text
    assert line == '/scene start title:"The Drowned Bell" persona:"Old Marten" '
    assert table.asked == [("scene start", {"title": "The Drowned Bell"}, "persona", "old")]


@pytest.mark.parametrize(
    ("typed", "taken"),
    [
        ("/import card:cards/m", "/import card:cards/marta.png "),
        ("/import card:cards/O", '/import card:"cards/Old Marten.png" '),
        ('/import card:"cards/O', '/import card:"cards/Old Marten.png" '),
        ("/import card:My", '/import card:"My Cards/'),
    ],
)
async def test_a_path_is_quoted_where_it_must_be_and_a_folder_stays_open(typed: str, taken: str) -> None:
    best = (await suggest(typed, Table()))[0]
    assert typed[: len(typed) - best.replaces] + best.text == taken


async def test_words_of_the_terminal_are_told_from_the_bots() -> None:
    offered = {suggestion.shown: suggestion.about for suggestion in await suggest("/", Table())}
    assert offered["/as"].endswith("(terminal)")
    assert offered["/scene start"] == "Open a scene"
    assert "/Remember this" not in offered, "a menu is not typed"


@pytest.mark.parametrize(
    ("typed", "path", "rest"),
    [
        ("scene start title:x", "scene start", "title:x"),
        ("Scene  Start", "scene start", ""),
        ("persona file reload", "persona file reload", ""),
    ],
)
def test_a_command_is_found_by_its_words(typed: str, path: str, rest: str) -> None:
    command, options = Catalogue(REGISTERED).find(typed)
    assert (command.path, options) == (path, rest)


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ("scene strat", "no command /scene strat. Did you mean /scene start"),
        ("sceen", "no command /sceen. Did you mean /scene end or /scene start?"),
        ("scene", "no command /scene. Did you mean /scene start or /scene end?"),
        ("zzzz", "no command /zzzz. Type / and Tab"),
    ],
)
def test_an_unknown_command_names_the_nearest(typed: str, says: str) -> None:
    with pytest.raises(TableError, match=says.replace("?", r"\?")):
        Catalogue(REGISTERED).find(typed)
