"""The vectors of one scene as a matrix of int8, and what a query finds there. Loads NumPy: 25 MiB, 0.1 s."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from bot.store.vectors import VectorRow

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

Floats = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int64]

PIECE = 384 * 1024
"""Numbers that are multiplied at once: OpenBLAS does it in one thread. From 460,800 numbers on it wakes all
of its threads, which on two busy cores took thirty times as long."""
BLOCK = 4 * PIECE
"""Numbers that are converted at once. Between two blocks the interpreter's lock has to be had back from
whoever works meanwhile: with blocks of one piece, a search beside a busy event loop took twice as long as
alone, with these a tenth longer. Larger ones do not stay in the processor's cache."""
FIRST_ROWS = 64
LEVEL = 30
"""Scores from which the mean and spread of a model's cosines are known well enough."""


class Matrix:
    """Rows of int8 with a scale each. Safe to search in one thread while another one adds and removes.

    While it is being filled from the database, what `put` and `remove` say is newer than what is read.
    """

    def __init__(self) -> None:
        self._blocks: list[_Block] = []
        self._dimensions = 0
        self._highest = 0
        self._touched: set[int] | None = set()
        self._lock = threading.Lock()

    @property
    def size(self) -> int:
        """Give the bytes that it takes."""
        return sum(block.size for block in self._blocks)

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
        values = np.array(query, dtype=np.float32)
        with self._lock:
            blocks = [(block, block.rows) for block in self._blocks]
        if len(values) != self._dimensions:  # so it is without blocks
            return Hits.none()
        largest = max((rows for _, rows in blocks), default=0)
        scratch = np.empty((largest, self._dimensions), dtype=np.float32)
        cosines = np.empty(sum(rows for _, rows in blocks), dtype=np.float32)
        begin = 0
        for block, rows in blocks:
            block.multiply(rows, values, scratch, cosines[begin : begin + rows])
            begin += rows
        cosines *= np.concatenate([block.scales[:rows] for block, rows in blocks])
        return Hits(np.concatenate([block.ids[:rows] for block, rows in blocks]), cosines)

    def _append(self, rows: Sequence[VectorRow]) -> None:
        if not self._dimensions and rows:
            self._dimensions = len(rows[0].int8)
        rows = [row for row in rows if len(row.int8) == self._dimensions]
        while rows:
            if not self._blocks or self._blocks[-1].is_full:
                there = sum(block.rows for block in self._blocks)
                most = BLOCK // PIECE * _piece(self._dimensions)
                room = min(most, max(FIRST_ROWS, there))
                self._blocks.append(_Block(room, self._dimensions))
            taken = self._blocks[-1].append(rows)
            self._highest = max(self._highest, *(row.entry_id for row in rows[:taken]))
            rows = rows[taken:]

    def _take_out(self, entry_id: int) -> None:
        for block in self._blocks:
            block.remove(entry_id)


class _Block:
    """Some rows of the matrix. A row whose id is 0 was taken out."""

    def __init__(self, room: int, dimensions: int) -> None:
        self.rows = 0
        self._int8 = np.zeros((room, dimensions), dtype=np.int8)
        self.scales = np.zeros(room, dtype=np.float32)
        self.ids = np.zeros(room, dtype=np.int64)

    @property
    def is_full(self) -> bool:
        return self.rows == len(self.ids)

    @property
    def size(self) -> int:
        return self._int8.nbytes + self.scales.nbytes + self.ids.nbytes

    def append(self, rows: Sequence[VectorRow]) -> int:
        """Add as many of the rows as there is room for, and say how many."""
        rows = rows[: len(self.ids) - self.rows]
        place = slice(self.rows, self.rows + len(rows))
        numbers = np.frombuffer(b"".join(row.int8 for row in rows), dtype=np.int8)
        self._int8[place] = numbers.reshape(len(rows), -1)
        self.scales[place] = [row.scale for row in rows]
        self.ids[place] = [row.entry_id for row in rows]
        self.rows += len(rows)
        return len(rows)

    def remove(self, entry_id: int) -> None:
        for row in np.flatnonzero(self.ids[: self.rows] == entry_id):
            self.ids[row] = 0
            self.scales[row] = 0.0
            self._int8[row] = 0

    def multiply(self, rows: int, query: Floats, scratch: Floats, products: Floats) -> None:
        """Multiply rows and the query, without the scales."""
        np.copyto(scratch[:rows], self._int8[:rows])
        piece = _piece(len(query))
        even = rows // piece * piece
        shape = (-1, piece, len(query))
        if even:
            np.matmul(scratch[:even].reshape(shape), query, out=products[:even].reshape(shape[:2]))
        if even < rows:
            np.matmul(scratch[even:rows], query, out=products[even:])


def _piece(dimensions: int) -> int:
    """Give the rows of one piece."""
    return max(1, PIECE // dimensions)


@dataclass(frozen=True, slots=True)
class Hits:
    """Entries and their cosines, in no order."""

    ids: Ids
    cosines: Floats

    @classmethod
    def none(cls) -> Hits:
        """Give an empty one."""
        return cls(np.empty(0, dtype=np.int64), np.empty(0, dtype=np.float32))

    @classmethod
    def of(cls, parts: Sequence[Hits]) -> Hits:
        """Put several together."""
        if not parts:
            return cls.none()
        return cls(np.concatenate([one.ids for one in parts]), np.concatenate([one.cosines for one in parts]))

    def but(self, others: Hits) -> Hits:
        """Give those that the others have not, on the others' scale: with their mean and spread."""
        new = ~np.isin(self.ids, others.ids)
        cosines = self.cosines
        if min(len(self.ids), len(others.ids)) >= LEVEL and (spread := float(cosines.std())):
            cosines = (cosines - cosines.mean()) / spread * others.cosines.std() + others.cosines.mean()
        return Hits(self.ids[new], cosines[new].astype(np.float32))

    def best(self, limit: int, exclude: Collection[int]) -> list[tuple[int, float]]:
        """Give the best, in order: (entry id, cosine)."""
        there = self.ids != 0
        ids, cosines = self.ids[there], self.cosines[there]
        most = limit + len(exclude)
        if most < len(ids):
            top = np.argpartition(cosines, -most)[-most:]
            ids, cosines = ids[top], cosines[top]
        order = np.lexsort((ids, -cosines))
        found = zip(ids[order].tolist(), cosines[order].tolist(), strict=True)
        return [(one, cosine) for one, cosine in found if one not in exclude][:limit]


def search(
    parts: Iterable[tuple[Sequence[float], Sequence[Matrix]]], limit: int, exclude: Collection[int]
) -> list[tuple[int, float]]:
    """Search the matrices of each model with its own query; the first model is the one whose scale counts."""
    found = Hits.none()
    for query, matrices in parts:
        hits = Hits.of([matrix.scores(query) for matrix in matrices])
        found = Hits.of([found, hits.but(found)]) if len(found.ids) else hits
    return found.best(limit, exclude)


def quantized(vectors: Sequence[tuple[int, Sequence[float]]]) -> list[VectorRow]:
    """Give vectors, by entry, as int8: the largest number of each becomes 127 or -127."""
    matrix = np.array([values for _, values in vectors], dtype=np.float32)
    scales = np.abs(matrix).max(axis=1, keepdims=True) / 127
    int8 = np.rint(matrix / scales).astype(np.int8)
    return [
        VectorRow(entry_id, float(scale), row.tobytes())
        for (entry_id, _), scale, row in zip(vectors, scales[:, 0], int8, strict=True)
    ]
