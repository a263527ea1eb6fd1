"""What the papers say is what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bot.rehearsal.terminal_line import CLIENT_WORDS
from tools.command_table import README, readme_with_table, table

PROJECT = README.parent
PAPERS = [*sorted(PROJECT.glob("*.md")), *sorted((PROJECT / "docs").glob("*.md"))]


def test_the_readme_lists_every_command_as_the_code_has_it() -> None:
    text = README.read_text(encoding="utf-8")
    assert text == readme_with_table(text), "run: python -m tools.command_table"


def test_the_terminals_own_words_are_no_commands_of_the_bot() -> None:
    commands = {name.split()[0] for name in re.findall(r"`/([^`]+)`", table())}
    assert commands.isdisjoint(CLIENT_WORDS)


@pytest.mark.parametrize("paper", PAPERS, ids=lambda paper: paper.name)
def test_every_link_of_the_papers_leads_somewhere(paper: Path) -> None:
    text = paper.read_text(encoding="utf-8")
    links = re.findall(r"\]\((?!https?://)([^)#]+)", text)
    named = re.findall(r"`((?:bot|cogs|docs|personas|tests|tools|bench)/[\w./-]+)`", text)
    missing = [link for link in links if not (paper.parent / link).exists()]
    missing += [name for name in named if not (PROJECT / name).exists() and "yourname" not in name]
    assert not missing
