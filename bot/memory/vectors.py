"""Search by meaning: a scene's vectors are kept as one matrix and compared with every query, exactly.

NumPy and NumKong are imported when there are vectors, never before: they take 27 MiB.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING

import structlog

from bot.errors import HearthsideError
from bot.store import vectors
from bot.store.recall import ROW_BITS, row_of
from bot.store.vectors import VectorRow

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from bot.chat import Vector
    from bot.memory.matrix import Matrix, Near
    from bot.store.connection import Connection
    from bot.store.records import Entry
    from bot.store.store import Store

MOST_BYTES = 192 * 1024 * 1024
"""Of all matrices together: half a million vectors of 384 numbers."""
PAGE = 1000
"""Vectors that are read from the database at once."""
PATIENCE_S = 0.2
"""How long a search waits for a scene that is still being read; then it looks at what is there."""

Key = tuple[int, str]


class Vectors:
    """The vectors of all scenes: stored in the database, and in memory for the scenes that are searched.

    `most_bytes` bounds what is kept in memory; the scene that is being searched is kept whatever it takes.
    """

    def __init__(self, store: Store, *, most_bytes: int = MOST_BYTES) -> None:
        self._store = store
        self._most_bytes = most_bytes
        self._matrices: OrderedDict[Key, Matrix] = OrderedDict()
        self._reading: dict[Key, asyncio.Task[None]] = {}
        self._log = structlog.get_logger("hearthside.vectors")

    @property
    def size(self) -> int:
        """Give the bytes of all matrices."""
        return sum(matrix.size for matrix in self._matrices.values())

    @property
    def is_reading(self) -> bool:
        """Whether vectors of a scene that was searched are still on their way into memory."""
        return bool(self._reading)

    async def search(
        self,
        scene_ids: Sequence[int],
        queries: Sequence[Vector],
        limit: int,
        exclude: Collection[int] = (),
    ) -> list[Near]:
        """Give the entries nearest to a query in meaning, of those scenes, best first.

        `queries` is what `Embedding.query` gave: the same text for one model or more, the current one first.
        What an older model alone has a vector of is told by that one, on the scale of the first. Entries in
        `exclude` are left out. An entry may have been deleted a moment ago: skip what the store has not.
        """
        matrices = [[await self._matrix((one, query.model)) for one in scene_ids] for query in queries]
        if not matrices or limit < 1:
            return []
        parts = [(query.values, of_query) for query, of_query in zip(queries, matrices, strict=True)]
        hits = await asyncio.to_thread(_search, parts, limit, frozenset(exclude))
        self._make_room(keep={(one, query.model) for one in scene_ids for query in queries})
        return hits

    async def add(self, found: Sequence[tuple[Entry, Vector]]) -> int:
        """Store the vectors of entries, unless those have changed since, and give how many were stored.

        Should they be of several models, those of the first are.
        """
        if not found:
            return 0
        model = found[0][1].model
        found = [one for one in found if one[1].model == model]
        scenes = {entry.id: entry.scene_id for entry, _ in found}
        known = [
            self._matrices[key] for one in set(scenes.values()) if (key := (one, model)) in self._matrices
        ]
        rows = await asyncio.to_thread(_quantized, found, known)
        async with self._store.transaction() as tx:
            pairs = [(entry, row) for (entry, _), row in zip(found, rows, strict=True)]
            kept = await vectors.keep(tx, model, pairs)
        for row in kept:
            if matrix := self._matrices.get((scenes[row.entry_id], model)):
                matrix.put(row)
        return len(kept)

    async def forget(self, tx: Connection, entry_ids: Sequence[int]) -> None:
        """Forget what entries mean, in the transaction that edits or deletes them."""
        await vectors.forget(tx, entry_ids)
        for matrix in self._matrices.values():
            for one in entry_ids:
                matrix.remove(one)

    async def forget_models(self, current: str) -> None:
        """Forget the vectors of all models but one, a few at a time so that nobody waits for it."""
        for key in [key for key in self._matrices if key[1] != current]:
            self._drop(key)
        left = PAGE
        while left:
            async with self._store.transaction() as tx:
                left = await vectors.forget_others(tx, current, most=PAGE)

    async def aclose(self) -> None:
        """Stop reading."""
        tasks = list(self._reading.values())
        for key in list(self._matrices):
            self._drop(key)
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _matrix(self, key: Key) -> Matrix:
        """Give a scene's matrix; it is filled in the background if it was not in memory."""
        if key not in self._matrices:
            fresh = await asyncio.to_thread(_new_matrix)
            if self._matrices.setdefault(key, fresh) is fresh:
                self._reading[key] = asyncio.create_task(self._read(key, fresh), name=f"vectors {key[0]}")
        matrix = self._matrices[key]
        self._matrices.move_to_end(key)
        if task := self._reading.get(key):
            await asyncio.wait({task}, timeout=PATIENCE_S)
        return matrix

    async def _read(self, key: Key, matrix: Matrix) -> None:
        complete = False
        try:
            rows = [VectorRow(0, 0, 0.0, b"")]
            while rows:
                after = rows[-1].row & (1 << ROW_BITS) - 1
                async with self._store.read() as connection:
                    rows = await vectors.of_scene(connection, *key, after=after, most=PAGE)
                await asyncio.to_thread(matrix.fill, rows)
            matrix.filled()
            complete = True
        except HearthsideError as error:
            self._log.warning("vectors_not_read", scene=key[0], error=str(error))
        except Exception:  # noqa: BLE001  # a bug here must be seen, and costs the search by meaning alone
            self._log.exception("reading_vectors_broke", scene=key[0])
        finally:
            if self._matrices.get(key) is matrix:
                del self._reading[key]
                if not complete:  # it is read again at the next search
                    del self._matrices[key]

    def _make_room(self, keep: Collection[Key]) -> None:
        """Drop what was searched longest ago until the rest is within bounds."""
        size = self.size
        for key in [key for key in self._matrices if key not in keep]:
            if size <= self._most_bytes:
                return
            size -= self._matrices[key].size
            self._drop(key)

    def _drop(self, key: Key) -> None:
        del self._matrices[key]
        if task := self._reading.pop(key, None):
            task.cancel()


def _new_matrix() -> Matrix:
    from bot.memory.matrix import Matrix  # noqa: PLC0415  # imported when first needed: 0.1 s, 27 MiB

    return Matrix()


def _quantized(found: Sequence[tuple[Entry, Vector]], matrices: Sequence[Matrix]) -> list[VectorRow]:
    from bot.memory.matrix import quantized  # noqa: PLC0415  # as above

    for matrix in matrices:
        matrix.make_room(len(found))
    return quantized([(entry.id, row_of(entry), vector.values) for entry, vector in found])


def _search(
    parts: Sequence[tuple[Sequence[float], Sequence[Matrix]]], limit: int, exclude: frozenset[int]
) -> list[Near]:
    from bot.memory.matrix import search  # noqa: PLC0415  # as above

    return search(parts, limit, exclude)
