"""Scenes, casts, what a server prefers, what the installation remembers."""

from __future__ import annotations

from dataclasses import replace

from bot.store import scenes
from bot.store.records import Mode, Preferences, SceneState
from bot.store.store import Store
from tests.store.story import AT, SERVER, TAVERN, scene, started


async def test_a_scene_from_its_start_to_the_next_one_in_its_channel(store: Store) -> None:
    first = await started(store, premise="A bell under the lake.", model="local")
    async with store.transaction() as tx:
        [playing] = await scenes.unended(tx)
        assert playing == scene(id=first, premise="A bell under the lake.", model="local")
        await scenes.change(tx, first, state=SceneState.PAUSED, mode=Mode.LIST)
        [paused] = await scenes.unended(tx)
        assert paused == replace(playing, state=SceneState.PAUSED, mode=Mode.LIST)
        assert await scenes.last_ended(tx, TAVERN) is None
        await scenes.change(tx, first, state=SceneState.ENDED, ended_at=AT + 1)

    second = await started(store, title="The Second Bell")
    async with store.transaction() as tx:
        assert [one.id for one in await scenes.unended(tx)] == [second]
        await scenes.change(tx, second, state=SceneState.ENDED, ended_at=AT + 2)
        latest = await scenes.last_ended(tx, TAVERN)
        assert latest
        assert (latest.id, latest.title) == (second, "The Second Bell")
        assert await scenes.last_ended(tx, 404) is None


async def test_a_cast_keeps_its_order(store: Store) -> None:
    scene_id = await started(store)
    async with store.transaction() as tx:
        await scenes.set_cast(tx, scene_id, ["narrator", "wren", "marta"])
        assert await scenes.cast_of(tx, scene_id) == ["narrator", "wren", "marta"]
        await scenes.set_cast(tx, scene_id, ["marta", "narrator"])
        assert await scenes.cast_of(tx, scene_id) == ["marta", "narrator"]
        await scenes.set_cast(tx, scene_id, [])
        assert await scenes.cast_of(tx, scene_id) == []


async def test_a_server_prefers_one_thing_at_a_time(store: Store) -> None:
    async with store.transaction() as tx:
        assert await scenes.preferences_of(tx, SERVER) == Preferences()
        await scenes.prefer(tx, SERVER, persona="marta")
        await scenes.prefer(tx, SERVER, model="local")
        assert await scenes.preferences_of(tx, SERVER) == Preferences("marta", "local")
        await scenes.prefer(tx, SERVER, persona=None)
        assert await scenes.preferences_of(tx, SERVER) == Preferences(None, "local")
        assert await scenes.preferences_of(tx, SERVER + 1) == Preferences()


async def test_a_fact_is_replaced_by_a_newer_one(store: Store) -> None:
    async with store.transaction() as tx:
        assert await scenes.fact(tx, "commands") is None
        await scenes.set_fact(tx, "commands", "a1")
        await scenes.set_fact(tx, "commands", "b2")
        assert await scenes.fact(tx, "commands") == "b2"
