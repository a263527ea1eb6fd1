"""Options as a game master types them."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from bot.prompt.lore.formats import LoreError
from bot.prompt.lore.model import LoreEntry, Position
from bot.prompt.lore.options import options_of, with_options
from bot.prompt.lore.patterns import split_keys
from tests.prompt.test_lore_formats import entries

PLAIN = LoreEntry(uid="it", keys=("bell",), content="Under water.")


def test_options_are_written_as_words() -> None:
    typed = "Order: 50; sticky: 3\nconstant; whole words: no; position: at depth; groups: sky, sea"
    entry = with_options(PLAIN, typed)
    assert (entry.order, entry.sticky, entry.constant, entry.whole_words) == (50, 3, True, False)
    assert (entry.position, entry.groups, entry.keys) == (Position.AT_DEPTH, ("sky", "sea"), ("bell",))
    assert options_of(entry) == (
        "constant: yes; order: 50; sticky: 3; whole_words: no; groups: sky, sea; position: at_depth"
    )
    assert with_options(entry, "") == PLAIN


@given(entries)
def test_what_is_shown_can_be_typed_again(entry: LoreEntry) -> None:
    assert with_options(replace(PLAIN, uid=""), options_of(entry)) == replace(
        entry,
        uid="",
        keys=PLAIN.keys,
        content=PLAIN.content,
        secondary_keys=(),
        title="",
    )


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("colour: red", "There is no option “colour”. Options are enabled, constant, order,"),
        ("order: soon", "“order” is a whole number from -1,000,000,000 to 1,000,000,000, not “soon”."),
        ("probability: 101", "“probability” is a number from 0 to 100, not “101”."),
        ("logic: maybe", "“logic” is one of and_any, not_all, not_any, and_all, not “maybe”."),
        ("constant: perhaps", "“constant” is yes or no, not “perhaps”."),
    ],
)
def test_what_is_no_option_is_refused_with_those_there_are(typed: str, said: str) -> None:
    with pytest.raises(LoreError) as error:
        with_options(PLAIN, typed)
    assert str(error.value).startswith(said)


@pytest.mark.parametrize(
    ("typed", "keys"),
    [
        ("bell, /a{1,2}/i , rope", ("bell", "/a{1,2}/i", "rope")),
        (" a ,, b,", ("a", "b")),
        ("/a/b, c", ("/a/b", "c")),
        ("/unclosed, x", ("/unclosed", "x")),
        (r"/a\/,b/, c", (r"/a\/,b/", "c")),
        ("", ()),
    ],
)
def test_keys_are_taken_apart_at_commas_outside_expressions(typed: str, keys: tuple[str, ...]) -> None:
    assert split_keys(typed) == keys
