"""What a character's macros stand for while a scene is played."""

from __future__ import annotations

import re
from dataclasses import replace
from random import Random

from bot.clock import SystemClock
from bot.persona.macros import expand
from bot.persona.persona import Persona, card
from bot.scene.wording import lasting, passing
from bot.store.records import Mode, SceneRecord, SceneState

SCENE = SceneRecord(
    id=7,
    guild_id=1,
    channel_id=2,
    parent_id=None,
    title="Fog",
    premise="",
    mode=Mode.NATURAL,
    lead="wren",
    model=None,
    state=SceneState.ACTIVE,
    started_by=3,
    created_at=1_786_709_100.0,
    ended_at=None,
    window_start=0,
    heard_from=0,
)
HAIR = "{{pick::red::black::grey::white::green::blue}}"
CHANCY = "{{user}} {{random:1,2,3,4,5,6}} {{roll:3d6+2}} {{time}} {{roll:999d6}}{{hidden_key:fog}}"
WREN = Persona(
    "wren", "Wren", description=f"Her hair is {HAIR}. {CHANCY}", greeting=f"*She shakes {HAIR} hair.*"
)


def seated(number: int) -> SceneRecord:
    return replace(SCENE, id=number)


def dice(seed: int) -> Random:
    return Random(seed)  # noqa: S311  # a game's dice


def test_a_card_is_the_same_for_a_scene_and_another_in_the_next() -> None:
    assert len({card(WREN, lasting(SCENE, WREN)) for _ in range(20)}) == 1
    assert len({card(WREN, lasting(seated(number), WREN)) for number in range(20)}) > 6


def test_what_a_card_picks_is_what_the_greeting_picks() -> None:
    for number in range(10):
        scene = seated(number)
        described = re.search("hair is ([a-z]+)", card(WREN, lasting(scene, WREN)))
        assert described
        greeted = expand(WREN.greeting, passing(scene, WREN, "Ann", SystemClock(), dice(number)))
        assert greeted == f"*She shakes {described[1]} hair.*"


def test_a_greeting_throws_the_dice_it_is_given() -> None:
    told = [expand(CHANCY, passing(SCENE, WREN, "Ann", SystemClock(), dice(4))) for _ in range(2)]
    pattern = r"Ann [1-6] (\d+) \d\d:\d\d \{\{roll:999d6\}\}"
    first, second = (re.fullmatch(pattern, text) for text in told)
    assert first
    assert second
    assert first[1] == second[1]
    assert 5 <= int(first[1]) <= 20


def test_no_macro_is_left_open_in_a_card_but_the_dice_that_nobody_can_throw() -> None:
    assert re.findall(r"\{\{[^}]*", card(WREN, lasting(SCENE, WREN))) == ["{{roll:999d6"]
