"""What a server chose for its personas' answers."""

from __future__ import annotations

from bot.store import persona_models
from bot.store.records import PersonaModel
from bot.store.store import Store
from tests.store.story import SERVER


async def test_a_later_choice_replaces_an_earlier_one_and_each_server_has_its_own(store: Store) -> None:
    dwarf = PersonaModel("llama", "dwarf", 0.5)
    async with store.transaction() as tx:
        await persona_models.keep(tx, SERVER, "marta", PersonaModel("qwen"))
        await persona_models.keep(tx, SERVER, "marta", dwarf)
        await persona_models.keep(tx, SERVER + 1, "marta", PersonaModel(lora=""))
        assert await persona_models.every(tx) == {
            (SERVER, "marta"): dwarf,
            (SERVER + 1, "marta"): PersonaModel(lora=""),
        }
        await persona_models.forget(tx, SERVER, "marta")
        assert list(await persona_models.every(tx)) == [(SERVER + 1, "marta")]
