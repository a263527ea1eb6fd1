from __future__ import annotations

import pytest

from bot.rehearsal.script import is_comment
from bot.rehearsal.terminal_line import Press, Say, Slash, Typed, Word, parse_line


@pytest.mark.parametrize(
    ("line", "read"),
    [
        ("I open the door.", Say("I open the door.")),
        ("  I open the door.  ", Say("I open the door.")),
        ("// brb", Say("// brb")),
        ("/", Say("/")),
        ("/ me waves", Say("/ me waves")),
        (r"\/scene is a word", Say("/scene is a word")),
        (r"\#3 on the list", Say("#3 on the list")),
        ("#general is a channel", Say("#general is a channel")),
        ("/scene start title:x", Slash("scene start title:x")),
        ("/as Bob", Word("as", "Bob")),
        ("/AS  Bob the Bold", Word("as", "Bob the Bold")),
        ("/assist", Slash("assist")),
        ("/quit", Word("quit", "")),
        ("#3", Press(3, "")),
        ("#12 red, blue", Press(12, "red, blue")),
    ],
)
def test_a_line_is_what_it_looks_like(line: str, read: Typed) -> None:
    assert parse_line(line) == read


@pytest.mark.parametrize(("line", "remark"), [("# note", True), ("#", True), ("#3", False), ("#tag", False)])
def test_a_comment_is_a_number_sign_and_a_space(line: str, remark: bool) -> None:
    assert is_comment(line) is remark
