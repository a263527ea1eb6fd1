"""All keys in one automaton, so that a text is read once however many keys there are.

Aho and Corasick, "Efficient string matching: an aid to bibliographic search", CACM 18(6), 1975. The states
are numbered level by level, so the children of a state are neighbours, and the whole automaton is one string
of labels and five arrays of integers: about 20 bytes for each state.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence

_Level = list[tuple[int, int, int]]  # (state, first key, one past the last key) of the states of one depth


class KeyAutomaton:
    """Finds which of many words stand in a text, anywhere in it. The words are numbered as given.

    Reading a text takes time in proportion to its length and to the words found; building, to the letters of
    all words together (0.5 s for 300,000).
    """

    def __init__(self, words: Sequence[str]) -> None:
        order = sorted(range(len(words)), key=words.__getitem__)
        self._ends = array("i", [-1])  # the word that ends in a state, -1 for none
        self._first = array("I")  # a state's first child; its last is the one before the next state's first
        self._labels = ""
        self._build(words, order)
        self._root = {self._labels[child]: child for child in range(1, self._first[1])}
        self._fail = array("I", bytes(4 * len(self._ends)))
        self._next_end = array("I", bytes(4 * len(self._ends)))
        self._link()

    def __len__(self) -> int:
        """Give the number of states."""
        return len(self._ends)

    def found_in(self, text: str) -> set[int]:
        """Give the numbers of the words that stand in `text`. The empty word is never found."""
        labels, first, fail, root = self._labels, self._first, self._fail, self._root
        ends, next_end = self._ends, self._next_end
        found: set[int] = set()
        state = 0
        for character in text:
            child = 0
            while state:
                child = labels.find(character, first[state], first[state + 1])
                if child > 0:
                    break
                state = fail[state]
            state = child if state else root.get(character, 0)
            end = state if ends[state] >= 0 else next_end[state]
            while end and ends[end] not in found:
                found.add(ends[end])
                end = next_end[end]
        return found

    def _build(self, words: Sequence[str], order: Sequence[int]) -> None:
        """Lay out the trie of the sorted words, level by level."""
        labels, ends, first = ["\0"], self._ends, self._first
        level: _Level = [(0, 0, len(order))]
        depth = 0
        while level:
            below: _Level = []
            for state, start, stop in level:
                first.append(len(labels))
                place = start
                while place < stop and len(words[order[place]]) == depth:  # it sorts before all that go on
                    ends[state] = order[place] if depth else -1
                    place += 1
                while place < stop:
                    label, begin = words[order[place]][depth], place
                    while place < stop and words[order[place]][depth] == label:
                        place += 1
                    below.append((len(labels), begin, place))
                    labels.append(label)
                    ends.append(-1)
            level = below
            depth += 1
        first.append(len(labels))
        self._labels = "".join(labels)

    def _link(self) -> None:
        """Say for each state where to go on when no child fits: the longest end of it that is a beginning."""
        labels, first, fail, ends, next_end = (
            self._labels, self._first, self._fail, self._ends, self._next_end,
        )  # fmt: skip
        for state in range(1, len(ends)):
            for child in range(first[state], first[state + 1]):
                label, shorter, target = labels[child], fail[state], 0
                while shorter:
                    target = labels.find(label, first[shorter], first[shorter + 1])
                    if target > 0:
                        break
                    shorter = fail[shorter]
                target = target if shorter else self._root.get(label, 0)
                fail[child] = target
                next_end[child] = target if ends[target] >= 0 else next_end[target]
