"""Nothing that a model writes makes Discord fetch an address; no persona's name is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.stage.clean import Cleaner, shown_name
from bot.stage.split import split

CLOSED = Cleaner()
OPEN_TO_WIKIPEDIA = Cleaner(("wikipedia.org",))

_BITS = [
    *(
        "https://evil.example/?q=secret",
        "http://x.io",
        "HTTPS://X.IO/a_(b)",
        "https://en.wikipedia.org/wiki/Bell",
        "https://",
    ),
    *(
        "`",
        "``",
        "```",
        "````",
        "\n",
        " ",
        "\\",
        "\\`",
        "(",
        ")",
        "[map](",
        "<",
        ">",
        "*",
        "||",
        ".",
        "h",
        "ht",
        "the bell",
    ),
]
texts = st.lists(st.sampled_from(_BITS), max_size=14).map("".join)


def seen_by_discord(message: str) -> list[str]:
    """The addresses that Discord makes links of, by the rules of its renderer."""
    rules = re.compile(
        r"(?P<escape>\\[^0-9A-Za-z\s])"
        r"|(?P<fence>```(?:[A-Za-z0-9_+\-.#]+?\n)?\n*[^\n][\s\S]*?\n*```)"
        r"|(?P<code>(`+)[\s\S]*?[^`]\4(?!`))"
        r"|(?P<link>https?://[^\s<]+[^<.,:;\"'\]\s])",
        re.IGNORECASE,
    )
    links = [match[0] for match in rules.finditer(message) if match.lastgroup == "link"]
    return [link for link in links if re.search(r"\w", link.partition("//")[2])]  # else it leads nowhere


@settings(max_examples=300, deadline=None)
@given(texts)
def test_discord_sees_no_address_in_what_a_model_wrote(text: str) -> None:
    for message in split(CLOSED.clean(text)):
        assert seen_by_discord(message) == []


@settings(max_examples=125, deadline=None)
@given(texts)
def test_discord_sees_no_address_while_it_is_being_written(text: str) -> None:
    for end in range(len(text)):
        for message in split(CLOSED.clean_start(text[:end])):
            assert seen_by_discord(message) == []


@settings(max_examples=125, deadline=None)
@given(texts, st.integers(80, 90))
def test_discord_sees_no_address_in_an_answer_of_several_messages(text: str, limit: int) -> None:
    for message in split(CLOSED.clean(text * 3), limit):
        assert seen_by_discord(message) == []


@settings(max_examples=125, deadline=None)
@given(texts, texts)
def test_what_is_shown_of_a_growing_answer_stays_its_beginning(text: str, more: str) -> None:
    for cleaner in (CLOSED, OPEN_TO_WIKIPEDIA):
        start = cleaner.clean_start(text)
        assert cleaner.clean(text + more).startswith(start)
        assert cleaner.clean_start(text + more).startswith(start)


@settings(deadline=None)
@given(st.text(alphabet=st.characters(exclude_characters="hH"), max_size=200))
def test_text_without_addresses_is_shown_as_it_is(text: str) -> None:
    assert CLOSED.clean(text) == CLOSED.clean_start(text) == text


@settings(max_examples=125, deadline=None)
@given(texts)
def test_only_the_allowed_domain_gets_through(text: str) -> None:
    for message in split(OPEN_TO_WIKIPEDIA.clean(text)):
        assert all(re.match(r"https://en\.wikipedia\.org(?:/|$)", link) for link in seen_by_discord(message))


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("See https://evil.example/a.", "See `https://evil.example/a`."),
        ("[the map](https://evil.example/m)", "[the map](`https://evil.example/m`)"),
        ("<https://evil.example>", "<`https://evil.example`>"),
        ("**https://evil.example**", "**`https://evil.example`**"),
        ("(https://x.io/a_(b))", "(`https://x.io/a_(b)`)"),
        ("`curl https://x.io`", "`curl https://x.io`"),
        ("```\ncurl https://x.io\n```", "```\ncurl https://x.io\n```"),
        ("a ` and https://x.io", "a ` and https:\u200b//x.io"),
        ("`a`https://x.io", "`a`https:\u200b//x.io"),
        ("https:// is a scheme", "https:// is a scheme"),
        ("@everyone <@1> <@&2>", "@everyone <@1> <@&2>"),
    ],
)
def test_how_an_address_is_shown(written: str, shown: str) -> None:
    assert CLOSED.clean(written) == shown


@pytest.mark.parametrize(
    ("address", "allowed"),
    [
        ("https://wikipedia.org", True),
        ("https://en.wikipedia.org/wiki/Bell?x=1#y", True),
        ("HTTPS://EN.WIKIPEDIA.ORG:443/", True),
        ("https://wikipedia.org.evil.example/", False),
        ("https://notwikipedia.org/", False),
        ("https://wikipedia.org@evil.example/", False),
        ("https://wikipedia.org\\@evil.example/", False),
        ("https://wikipedia.org`.evil.example/", False),
        ("https://wikipedia.org|.evil.example/", False),
        ("https://wikipedia.org%2eevil.example/", False),
    ],
)
def test_an_allowed_domain_cannot_be_feigned(address: str, *, allowed: bool) -> None:
    assert (OPEN_TO_WIKIPEDIA.clean(f"See {address} there") == f"See {address} there") is allowed


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("Marta", "Marta"),
        ("  Marta \n of  the Bell ", "Marta of the Bell"),
        ("Bonnie and Clyde", "Bonnie and C\u200alyde"),
        ("DISCORDIA", "D\u200aISCORDIA"),
        ("\uff24iscord", "\uff24\u200aiscord"),
        ("everyone", "e\u200averyone"),
        ("Here", "H\u200aere"),
        ("Hereward", "Hereward"),
        ("\u202eevil", "evil"),
        ("", "Unnamed"),
        ("\u200b\n", "Unnamed"),
        ("x" * 100, "x" * 80),
        ("👨\u200d👩\u200d👧" * 20, "👨\u200d👩\u200d👧" * 16),
    ],
)
def test_the_name_a_persona_is_shown_under(name: str, shown: str) -> None:
    assert shown_name(name) == shown


@settings(deadline=None)
@given(
    st.text(max_size=120)
    | st.lists(st.sampled_from(["clyde", "Discord", "here", "cly", "dis", "cord", "de", " "])).map("".join)
)
def test_every_name_becomes_one_that_discord_takes(name: str) -> None:
    shown = shown_name(name)
    assert 1 <= len(shown) <= 80
    assert shown == shown.strip()
    assert not re.search("clyde|discord", shown, re.IGNORECASE)
    assert shown.lower() not in {"everyone", "here"}
    assert shown_name(name) == shown
