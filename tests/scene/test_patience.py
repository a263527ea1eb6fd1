"""A database that cannot be written for a while costs time, and no words."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from bot.errors import StoreError
from bot.scene.patience import LONGEST_PAUSE, Patience
from bot.scene.ports import Place, Stage
from bot.scene.scene import Scene
from tests.store.story import scene

if TYPE_CHECKING:
    from bot.clock import Clock


class Evening:
    """A clock on which a pause takes no time, and a channel."""

    def __init__(self) -> None:
        self.pauses: list[float] = []
        self.told: list[str] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)

    async def notice(self, _place: Place, text: str) -> None:
        self.told.append(text)


async def test_a_full_disk_is_waited_for_and_the_table_is_told_once_why_nobody_answers() -> None:
    evening = Evening()
    patience = Patience(cast("Stage", evening), cast("Clock", evening))

    async def store() -> str:
        if len(evening.pauses) < 9:
            raise StoreError("The disk is full.", hint="Make room.")
        return "stored"

    assert await patience.until_stored(Scene(scene(), [], [], 0), store) == "stored"
    assert evening.told == ["⚠ The disk is full. Make room."]
    assert evening.pauses == sorted(evening.pauses)
    assert evening.pauses[-1] == LONGEST_PAUSE
