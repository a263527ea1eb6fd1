"""Webhooks are found again, never piled up, and go when the scene ends."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from bot.rehearsal import webhooks as room_webhooks
from bot.rehearsal.permissions import Permission
from bot.scene.ports import Place, Speaker

if TYPE_CHECKING:
    from tests.stage.conftest import Table

WEBHOOKS = "/channels/{channel_id}/webhooks"
WEBHOOK = "/webhooks/{webhook_id}/{webhook_token}"


def take_places(table: Table, count: int) -> None:
    """Let another bot make webhooks in the channel."""
    other = table.room.add_application("Other")
    for number in range(count):
        room_webhooks.create(table.room.state, table.channel, other, {"name": f"feed {number}"})


async def test_one_webhook_carries_each_picture_and_one_all_without(
    table: Table, marta: Speaker, oracle: Speaker
) -> None:
    for number in range(3):
        await table.say(marta, "Hello.", key=f"m{number}")
        await table.say(oracle, "I see.", key=f"o{number}")
        await table.say(Speaker("bard", "Lio"), "La la.", key=f"b{number}")
    assert table.webhooks() == ["Hearthside", "Hearthside: marta"]
    assert [name for name, _ in table.shown()[:3]] == ["Marta", "The Oracle", "Lio"]
    assert len(table.requests("GET", WEBHOOKS)) == 1


async def test_after_a_restart_the_same_webhooks_are_used(
    table: Table, marta: Speaker, oracle: Speaker
) -> None:
    await table.say(marta, "Hello.")
    await table.say(oracle, "I see.", key="turn-2")
    table.room.requests.clear()
    table.stage = table.new_stage()
    await table.say(marta, "Hello again.", key="turn-3")
    await table.say(oracle, "I still see.", key="turn-4")
    await table.stage.close()
    assert table.webhooks() == ["Hearthside", "Hearthside: marta"]
    assert not table.requests("POST", WEBHOOKS)
    assert not table.requests("PATCH", WEBHOOK)


async def test_webhooks_of_others_are_left_alone(table: Table, marta: Speaker) -> None:
    other = table.room.add_application("Other")
    room_webhooks.create(table.room.state, table.channel, other, {"name": "Hearthside: marta"})
    await table.say(marta, "Hello.")
    await table.stage.leave(table.place, [marta])
    [left] = table.room.state.webhooks.values()
    assert left.application_id == other.id


async def test_two_who_begin_at_once_share_one_look_at_the_channel(table: Table, marta: Speaker) -> None:
    vex = replace(marta, slug="vex", name="Vex")
    first, second = table.speak(marta), table.speak(vex, key="turn-2")
    first.write("One. ")
    second.write("Two. ")
    await first.finish("One.")
    await second.finish("Two.")
    assert table.webhooks() == ["Hearthside: marta", "Hearthside: vex"]
    assert len(table.requests("GET", WEBHOOKS)) == 1


@pytest.mark.parametrize(
    ("taken", "marta_has_one", "speaks_as_itself"), [(13, True, False), (14, False, False), (15, False, True)]
)
async def test_what_the_channels_limit_leaves(
    table: Table, marta: Speaker, oracle: Speaker, taken: int, *, marta_has_one: bool, speaks_as_itself: bool
) -> None:
    take_places(table, taken)
    await table.say(marta, "Hello.")
    await table.say(oracle, "I see.", key="turn-2")
    assert ("Hearthside: marta" in table.webhooks()) is marta_has_one
    names = {"Hearthside"} if speaks_as_itself else {"Marta", "The Oracle"}
    assert {name for name, _ in table.shown()} == names
    assert len(table.webhooks()) == 15


async def test_a_channel_that_filled_up_meanwhile_is_noticed(
    table: Table, marta: Speaker, oracle: Speaker
) -> None:
    await table.say(oracle, "I see.")
    take_places(table, 14)
    await table.say(marta, "Hello.", key="turn-2")
    assert table.shown()[-1] == ("Marta", "Hello.")
    assert "Hearthside: marta" not in table.webhooks()


async def test_a_changed_picture_is_shown_from_the_next_answer_on(table: Table, marta: Speaker) -> None:
    await table.say(marta, "Hello.")
    [hook] = table.room.state.webhooks.values()
    before = hook.avatar
    assert marta.avatar is not None
    marta.avatar.write_bytes(marta.avatar.read_bytes() + b"\0")
    await table.say(marta, "How do I look?", key="turn-2")
    await table.say(marta, "Well?", key="turn-3")
    assert hook.avatar != before
    assert len(table.requests("PATCH", WEBHOOK)) == 1


async def test_a_picture_that_changed_while_the_bot_was_off_is_uploaded_once(
    table: Table, marta: Speaker
) -> None:
    await table.say(marta, "Hello.")
    assert marta.avatar is not None
    os.utime(marta.avatar, (time.time() + 60, time.time() + 60))
    table.stage = table.new_stage()
    await table.say(marta, "Hello again.", key="turn-2")
    await table.say(marta, "And again.", key="turn-3")
    await table.stage.close()
    assert len(table.requests("PATCH", WEBHOOK)) == 1


@pytest.mark.parametrize("content", [b"no picture at all", b""])
async def test_a_bad_picture_costs_the_picture_not_the_answer(
    table: Table, marta: Speaker, content: bytes
) -> None:
    assert marta.avatar is not None
    marta.avatar.write_bytes(content)
    await table.say(marta, "Hello.")
    assert table.shown() == [("Marta", "Hello.")]


async def test_a_missing_picture_shares_the_webhook(table: Table, tmp_path: Path) -> None:
    await table.say(Speaker("marta", "Marta", tmp_path / "none.png"), "Hello.")
    assert table.webhooks() == ["Hearthside"]


async def test_a_webhook_that_somebody_deleted_is_made_anew(table: Table, marta: Speaker) -> None:
    await table.say(marta, "Hello.")
    [hook] = table.room.state.webhooks.values()
    room_webhooks.remove(table.room.state, hook)
    await table.say(marta, "I am back.", key="turn-2")
    assert table.shown() == [("Marta", "Hello."), ("Marta", "I am back.")]
    assert table.webhooks() == ["Hearthside: marta"]


async def test_a_webhook_deleted_in_mid_sentence_costs_nothing_of_the_answer(
    table: Table, marta: Speaker
) -> None:
    utterance = table.speak(marta)
    utterance.write("One. ")
    await table.seen(table.messages)
    [hook] = table.room.state.webhooks.values()
    room_webhooks.remove(table.room.state, hook)
    ids = await utterance.finish("One. Two.")
    assert table.shown()[-1] == ("Marta", "One. Two.")
    assert ids == (table.messages()[-1].id,)


async def test_without_the_permission_the_bot_speaks_as_itself_and_asks_only_now_and_then(
    table: Table, marta: Speaker
) -> None:
    table.channel.deny(table.application, Permission.MANAGE_WEBHOOKS)
    for number in range(3):
        await table.say(marta, "Hello.", key=f"turn-{number}")
    assert table.shown() == [("Hearthside", "**Marta**\nHello.")] * 3
    assert len(table.requests("GET", WEBHOOKS)) == 1
    table.channel.allow(table.application, Permission.MANAGE_WEBHOOKS)
    table.clock.advance(601)
    await table.say(marta, "That is better.", key="turn-4")
    assert table.shown()[-1] == ("Marta", "That is better.")


async def test_a_permission_known_to_be_missing_is_not_asked_for(
    connected_table: Table, marta: Speaker
) -> None:
    table = connected_table
    elsewhere = table.guild.add_text_channel("elsewhere")
    elsewhere.deny(table.application, Permission.MANAGE_WEBHOOKS)
    await table.known(elsewhere, manage_webhooks=False)
    await table.say(marta, "Hello.", place=Place(table.guild.id, elsewhere.id))
    await table.say(marta, "Hello.", key="turn-2")
    assert table.shown(elsewhere) == [("Hearthside", "**Marta**\nHello.")]
    assert table.shown() == [("Marta", "Hello.")]
    assert len(table.requests("GET", WEBHOOKS)) == 1


async def test_when_the_scene_ends_its_webhooks_go(table: Table, marta: Speaker, oracle: Speaker) -> None:
    await table.say(marta, "Hello.")
    await table.say(oracle, "I see.", key="turn-2")
    await table.stage.leave(table.place, [marta, oracle])
    assert table.webhooks() == []
    assert table.shown() == [("Marta", "Hello."), ("The Oracle", "I see.")]


async def test_what_another_scene_of_the_channel_uses_stays(
    table: Table, marta: Speaker, oracle: Speaker
) -> None:
    await table.say(marta, "Hello.")
    await table.say(oracle, "I see.", key="turn-2")
    await table.say(Speaker("bard", "Lio"), "La la.", key="turn-3")
    await table.stage.leave(table.place, [marta, oracle])
    assert table.webhooks() == ["Hearthside"]


async def test_a_scene_that_ends_right_after_a_restart_leaves_nothing_behind(
    table: Table, marta: Speaker
) -> None:
    await table.say(marta, "Hello.")
    stage = table.new_stage()
    await stage.leave(table.place, [marta])
    await stage.close()
    assert table.webhooks() == []


async def test_leaving_where_nothing_may_be_done_is_quiet(table: Table, marta: Speaker) -> None:
    table.channel.deny(table.application, Permission.MANAGE_WEBHOOKS)
    await table.stage.leave(table.place, [marta])
    await table.stage.leave(Place(None, 1), [marta])
