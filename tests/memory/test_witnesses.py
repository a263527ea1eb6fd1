"""Whoever was not there does not know."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.memory.witnesses import audience, audience_of, knows, member, visible
from bot.store.records import Entry, EntryKind, Stay

ANN = 7


def entry(seq: int, *, persona: str | None = None, heard_by: str | None = None) -> Entry:
    kind = EntryKind.ANSWER if persona else EntryKind.PLAYER
    return Entry(
        seq, 1, kind, "Ann", f"line {seq}", 0.0, seq=seq, persona=persona, author_id=ANN, audience=heard_by
    )


entries = st.lists(
    st.tuples(st.sampled_from([None, "marta", "wren"]), st.sampled_from([None, "marta,@7", "wren,@7"])),
    max_size=30,
).map(lambda rows: [entry(seq, persona=who, heard_by=heard) for seq, (who, heard) in enumerate(rows, 1)])


def seqs(found: list[Entry]) -> list[int]:
    return [one.seq for one in found]


def test_a_character_knows_what_happened_while_it_was_there() -> None:
    evening = [entry(seq) for seq in range(1, 9)]
    stays = [Stay("marta", 0), Stay("wren", 3, 4), Stay("wren", 7)]
    assert seqs(visible(evening, "marta", False, stays)) == [1, 2, 3, 4, 5, 6, 7, 8]
    assert seqs(visible(evening, "wren", False, stays)) == [3, 4, 7, 8]
    assert visible(evening, "tobin", False, stays) == []
    assert visible(evening, "tobin", True, []) == evening, "a narrator needs not have been there"


def test_who_spoke_on_the_way_out_knows_what_they_said() -> None:
    assert knows("wren", False, entry(5, persona="wren"), [Stay("wren", 0, 4)])


def test_a_whisper_is_known_to_those_it_names() -> None:
    heard_by = audience("marta", member(ANN))
    whispered = entry(2, heard_by=heard_by)
    stays = [Stay("marta", 0), Stay("wren", 0)]
    assert audience_of(whispered) == {"marta", "@7"}
    assert knows("marta", False, whispered, stays)
    assert not knows("wren", False, whispered, stays)
    assert knows("wren", True, whispered, stays)


@given(evening=entries)
def test_who_was_there_all_the_time_knows_everything_that_was_no_whisper(evening: list[Entry]) -> None:
    stays = [Stay("marta", 0), Stay("wren", 0)]
    public = [one for one in evening if one.audience is None]
    for slug in ("marta", "wren"):
        known = visible(evening, slug, False, stays)
        assert [one for one in known if one.audience is None] == public
        assert all(
            slug in audience_of(one) or one.persona == slug for one in known if one.audience is not None
        )
