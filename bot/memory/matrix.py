"""The vectors of one scene as a matrix of int8, and what a query finds there.

Loads NumPy, which keeps the matrix and ranks what is found, and NumKong, which multiplies int8 as it is in
half the time that NumPy needs after a conversion: 27 MiB and 0.1 s together.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

import numkong
import numpy as np
import numpy.typing as npt

from bot.store.vectors import VectorRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

FIRST_ROOM = 64
"""As many as there is room for at first. What has no more room gets twice as much."""
MOST = 127
"""The largest number of a vector of int8. The smallest is its opposite."""
FINER = 2 * MOST
"""How much finer than the first the second half of a query is."""
LEVEL = 30
"""Scores from which the mean and spread of a model's cosines are known well enough."""


class Near(NamedTuple):
    """An entry that is near in meaning: its id, its row (`scene_id << 32 | seq`), and the cosine."""

    entry_id: int
    row: int
    cosine: float


class Matrix:
    """Vectors of int8 with a scale each. Safe to search in one thread while another one adds and removes.

    While it is being filled from the database, what `put` and `remove` say is newer than what is read.
    A vector that was taken out leaves a gap, with the id 0.
    """

    def __init__(self) -> None:
        self._count = 0
        self._gaps = 0
        self._int8 = np.empty((0, 0), dtype=np.int8)
        self._ids = np.empty(0, dtype=np.int64)
        self._rows = np.empty(0, dtype=np.int64)
        self._scales = np.empty(0, dtype=np.float32)
        self._highest = 0
        self._touched: set[int] | None = set()
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Give the bytes that it takes. Room that no vector came to is not taken from the machine yet."""
        beside = self._ids.itemsize + self._rows.itemsize + self._scales.itemsize
        return self._count * (self._int8.shape[1] + beside)

    def make_room(self, more: int) -> None:
        """Get room for so many vectors ahead, so that `put` need not move those that are there.

        To move 100,000 of 384 numbers takes 10 ms.
        """
        with self._lock:
            self._grow(more)

    def put(self, row: VectorRow) -> None:
        """Add the vector of an entry, in place of the one it has."""
        with self._lock:
            if self._touched is not None:
                self._touched.add(row.entry_id)
            if row.entry_id <= self._highest:
                self._take_out(row.entry_id)
            self._append([row])

    def remove(self, entry_id: int) -> None:
        """Overwrite the vector of an entry, if there is one."""
        with self._lock:
            if self._touched is not None:
                self._touched.add(entry_id)
            self._take_out(entry_id)

    def fill(self, rows: Sequence[VectorRow]) -> None:
        """Add what was read from the database, unless something newer is known of the entry."""
        with self._lock:
            touched = self._touched or ()
            self._append([row for row in rows if row.entry_id not in touched])

    def filled(self) -> None:
        """Take note that all has been read."""
        with self._lock:
            self._touched = None

    def scores(self, query: Sequence[float]) -> Hits:
        """Give every entry and the cosine between it and the query, which has length 1."""
        with self._lock:
            if not self._count or len(query) != self._int8.shape[1]:
                return Hits.none()
            count, has_gaps = self._count, self._gaps > 0
            int8, scales = self._int8[:count], self._scales[:count]
            ids, rows = self._ids[:count], self._rows[:count]
        # In few steps: after each the interpreter's lock has to be had back from whoever works meanwhile.
        asked = Query.of(query)
        products = np.asarray(numkong.cdist(asked.int8, int8, "dot", out_dtype="float32"))
        cosines = np.einsum("qv,q,v->v", products, asked.shares, scales)
        found = Hits(ids, rows, cosines)
        return found.at(ids != 0) if has_gaps else found

    def _append(self, rows: Sequence[VectorRow]) -> None:
        if not self._count and rows:
            self._int8 = np.zeros((len(self._ids), len(rows[0].int8)), dtype=np.int8)
        dimensions = self._int8.shape[1]
        rows = [row for row in rows if len(row.int8) == dimensions]
        if not rows:
            return
        self._grow(len(rows))
        place = slice(self._count, self._count + len(rows))
        numbers = np.frombuffer(b"".join(row.int8 for row in rows), dtype=np.int8)
        self._int8[place] = numbers.reshape(len(rows), dimensions)
        self._ids[place] = [row.entry_id for row in rows]
        self._rows[place] = [row.row for row in rows]
        self._scales[place] = [row.scale for row in rows]
        self._count += len(rows)
        self._highest = max(self._highest, *(row.entry_id for row in rows))

    def _grow(self, more: int) -> None:
        room = len(self._int8)
        if self._count + more <= room:
            return
        room = max(FIRST_ROOM, 2 * room, self._count + more)
        # New arrays: a search in another thread goes on with the ones that it has.
        self._int8, self._ids, self._rows, self._scales = (
            _longer(each, room) for each in (self._int8, self._ids, self._rows, self._scales)
        )

    def _take_out(self, entry_id: int) -> None:
        for place in np.flatnonzero(self._ids[: self._count] == entry_id).tolist():
            self._ids[place] = 0
            self._scales[place] = 0.0
            self._int8[place] = 0
            self._gaps += 1


class Query(NamedTuple):
    """What is looked for, as two vectors of int8 and what each of them counts: the first, and what it leaves.

    Numbers would be off by up to 0.4 % of the largest with one of them, with both by 0.002 %.
    """

    int8: npt.NDArray[np.int8]
    shares: Floats

    @classmethod
    def of(cls, values: Sequence[float]) -> Query:
        """Divide a vector of floats."""
        numbers = np.array(values, dtype=np.float64)
        scale = float(np.abs(numbers).max()) / MOST or 1.0
        whole = np.rint(numbers / scale)
        rest = np.rint((numbers / scale - whole) * FINER)
        shares = np.array([scale, scale / FINER], dtype=np.float32)
        return cls(np.stack([whole, rest]).astype(np.int8), shares)


def _longer(array: Any, room: int) -> Any:
    """Give a copy of an array that has more room. What is not used of it takes no memory yet."""
    longer = np.zeros((room, *array.shape[1:]), dtype=array.dtype)
    longer[: len(array)] = array
    return longer


@dataclass(frozen=True, slots=True)
class Hits:
    """Entries, their rows and their cosines, in no order."""

    ids: Ids
    rows: Ids
    cosines: Floats

    @classmethod
    def none(cls) -> Hits:
        """Give an empty one."""
        nobody = np.empty(0, dtype=np.int64)
        return cls(nobody, nobody, np.empty(0, dtype=np.float32))

    @classmethod
    def of(cls, parts: Sequence[Hits]) -> Hits:
        """Put several together."""
        if len(parts) < 2:
            return parts[0] if parts else cls.none()
        ids, rows, cosines = zip(*((one.ids, one.rows, one.cosines) for one in parts), strict=True)
        return cls(np.concatenate(ids), np.concatenate(rows), np.concatenate(cosines))

    def at(self, places: npt.NDArray[Any]) -> Hits:
        """Give some of them: those in these places, or where it says so."""
        return Hits(self.ids[places], self.rows[places], self.cosines[places])

    def but(self, others: Hits) -> Hits:
        """Give those that the others have not, on the others' scale: with their mean and spread."""
        cosines = self.cosines
        if min(len(self.ids), len(others.ids)) >= LEVEL and (spread := float(cosines.std())):
            cosines = (cosines - cosines.mean()) / spread * others.cosines.std() + others.cosines.mean()
        scaled = Hits(self.ids, self.rows, cosines.astype(np.float32))
        return scaled.at(~np.isin(self.ids, others.ids))

    def best(self, limit: int, exclude: Collection[int]) -> list[Near]:
        """Give the best, in order."""
        found, most = self, limit + len(exclude)
        if most < len(found.ids):
            least = np.partition(found.cosines, -most)[-most]
            found = found.at(np.flatnonzero(found.cosines >= least))
        found = found.at(np.lexsort((found.ids, -found.cosines)))
        every = zip(found.ids.tolist(), found.rows.tolist(), found.cosines.tolist(), strict=True)
        # What has been removed since the search began has no id any more.
        wanted = (near for near in map(Near._make, every) if near.entry_id and near.entry_id not in exclude)
        return list(islice(wanted, limit))


def search(
    parts: Iterable[tuple[Sequence[float], Sequence[Matrix]]], limit: int, exclude: Collection[int]
) -> list[Near]:
    """Search the matrices of each model with its own query; the first model is the one whose scale counts."""
    found = Hits.none()
    for query, matrices in parts:
        hits = Hits.of([matrix.scores(query) for matrix in matrices])
        found = Hits.of([found, hits.but(found)]) if len(found.ids) else hits
    return found.best(limit, exclude)


def quantized(vectors: Sequence[tuple[int, int, Sequence[float]]]) -> list[VectorRow]:
    """Give vectors, by entry and row, as int8: the largest number of each becomes 127 or -127."""
    matrix = np.array([values for *_, values in vectors], dtype=np.float32)
    scales = np.abs(matrix).max(axis=1, keepdims=True) / MOST
    int8 = np.rint(matrix / scales).astype(np.int8)
    return [
        VectorRow(entry_id, row, float(scale), numbers.tobytes())
        for (entry_id, row, _), scale, numbers in zip(vectors, scales[:, 0], int8, strict=True)
    ]
