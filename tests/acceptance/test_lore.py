"""What the world knows: written, brought, told once, and taken along again."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from bot.rehearsal.message_forms import Upload
from tests.acceptance.tabletop import PATIENCE, Tabletop
from tests.fakes.model_server import TEXT, Answer, ScriptedModelServer
from tests.persona.cards import V2, as_json

if TYPE_CHECKING:
    from bot.rehearsal.guilds import Member
    from bot.rehearsal.messages import Message

WORLD: dict[str, Any] = {
    "entries": {
        "0": {
            "uid": 0,
            "key": ["gong", "/clang(s|ing)?/i"],
            "comment": "The gong",
            "content": "The gong was cast by the drowned founder.",
            "x_colour": "green",
        },
        "3": {"uid": 3, "key": ["founder"], "content": "The founder's name was Odo."},
        "7": {"uid": 7, "key": [], "constant": True, "content": "It never stops raining in Vell."},
        "8": {"uid": 8, "key": ["/(?=gong)/"], "comment": "Ahead", "content": "Never."},
    },
    "x_made_by": {"tool": "ours"},
}
TOLD = ["[The gong was cast by the drowned founder.]", "[The founder's name was Odo.]"]


async def bring(table: Tabletop, document: Any, name: str = "Vell.json", **options: Any) -> Message:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return await table.command("lore import", {"file": Upload(name, data), **options})


async def exported(table: Tabletop, book: str, kind: str) -> Any:
    answer = await table.command("lore export", {"book": book, "format": kind})
    (file,) = answer.attachments
    return json.loads(file.data)


async def form(
    table: Tabletop, command: str, asked: dict[str, Any], who: Member | None = None, **values: str
) -> Message:
    """Open a form, type into it, send it, and give what comes of it."""
    call = await table.room.command(who or table.ann, table.campaign, command, asked)
    await call.responded(PATIENCE)
    assert call.modal, call.responses[0].content
    sent = await table.room.submit(who or table.ann, call, values)
    await sent.answered(PATIENCE)
    return sent.responses[0]


async def says(table: Tabletop, text: str) -> None:
    said = await table.says(table.ann, text)
    await table.shows(TEXT, since=said.cursor)
    await table.at_rest()


def prompts(model: ScriptedModelServer) -> list[list[dict[str, str]]]:
    return [chat.body["messages"] for chat in model.chats if chat.purpose == "answer"]


async def test_lore_is_told_once_where_it_was_woken(table: Tabletop, model: ScriptedModelServer) -> None:
    async with table.bot(model.url):
        answer = await bring(table, WORLD)
        assert "“Vell” is here, with 4 entries." in answer.content
        assert "Ahead: the key “/(?=gong)/” is not used, it looks ahead or behind" in answer.content
        assert answer.ephemeral
        await table.start_scene()
        await says(table, "I listen.")
        await says(table, "Is that a gong?")
        await says(table, "The gong is clanging! Ask the founder.")
    async with table.bot(model.url):  # and a restart does not tell it again
        await says(table, "Gong, gong, gong.")

    sent = prompts(model)
    assert "It never stops raining in Vell." in sent[0][0]["content"]
    assert sent[1][-1]["content"].split("\n") == ["Ann: Is that a gong?", *TOLD, "[The Narrator answers.]"]
    for earlier, later in pairwise(sent):
        assert later[: len(earlier)] == earlier
    assert all(str(sent[-1]).count(line) == 1 for line in TOLD)
    assert "Never." not in str(sent)
    assert "founder" not in str(table.spoken()).replace("Ask the founder.", ""), "it is for the model"


async def test_a_lorebook_comes_and_goes_without_losing_anything(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await bring(table, WORLD)
        assert await exported(table, "vell", "sillytavern") == WORLD
        v3 = await exported(table, "Vell", "v3")
        assert v3["spec"] == "lorebook_v3"
        await bring(table, v3, name="v3.json")
        back = await exported(table, "v3", "sillytavern")
        for number, entry in WORLD["entries"].items():
            assert entry.items() <= back["entries"][number].items()
        assert await exported(table, "v3", "v3") == v3


async def test_an_entry_is_written_tried_and_changed(table: Tabletop, model: ScriptedModelServer) -> None:
    async with table.bot(model.url):
        made = await form(
            table,
            "lore add",
            {"book": "Vell"},
            keys="tower, /st(ai|e)rs{1,2}/",
            content="Ninety-nine steps.",
            options="order: 50; sticky: 3",
        )
        assert made.content == "“Vell” has a new entry, **tower, /st(ai\\|e)rs{1,2}/**."
        wrong = await form(table, "lore add", {}, keys="x", content="Mine.", options="colour: red")
        assert "There is no option “colour”. Options are enabled, constant, order," in wrong.content
        assert b"Mine." in wrong.attachments[0].data
        tried = await table.command("lore test", {"text": "the stairs of the tower"})
        assert tried.content.split("\n") == [
            "**1** would be told now:",
            "- **tower, /st(ai\\|e)rs{1,2}/** (Vell): “tower” was said",
        ]
        changed = await form(
            table, "lore edit", {"book": "vell", "entry": "tower, /st(ai|e)rs{1,2}/"},
            keys="tower", options="probability: 0",
        )  # fmt: skip
        assert "has been changed" in changed.content
        tried = await table.command("lore test", {"text": "the tower"})
        assert tried.content.startswith(
            "Nothing would be told now.\nWould not be told:\n- **tower** (Vell): "
        )
        assert "its chance did not come up; 0 %, rolled" in tried.content
        listed = await table.command("lore list", {"book": "Vell"})
        assert listed.content == "**Vell**: 1 entries\n- **tower**: tower (probability: 0)"
        assert (await table.command("lore list")).content == "**Vell**: 1 entries"
        (entry,) = (await exported(table, "Vell", "sillytavern"))["entries"].values()
        assert (entry["probability"], entry["order"], entry["sticky"]) == (0, 100, None)


async def test_a_form_sent_off_as_it_was_opened_changes_nothing(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    odd: list[dict[str, Any]] = [
        {"comment": " ", "content": "One.\n", "order": 9_999_999},
        {"content": "Two.", "characterFilter": {"isExclude": True, "names": ["Tobin Quill, ferryman"]}},
        {"content": "Three.", "probability": 33.33333},
        {"comment": "On two\nlines", "content": "Four.", "depth": -1},
    ]
    book = {"entries": {str(place): {"key": ["gong"], "uid": place, **one} for place, one in enumerate(odd)}}
    async with table.bot(model.url):
        await bring(table, book)
        for number in range(1, 5):
            sent = await form(table, "lore edit", {"book": "Vell", "entry": f"#{number}"})
            assert "has been changed" in sent.content
        assert await exported(table, "Vell", "sillytavern") == book
        offered = await table.room.autocomplete(
            table.ann, table.campaign, "lore edit", {"book": "Vell", "entry": ""}, focused="entry"
        )
        assert offered[0] == ("gong", "#1")
        await form(
            table, "lore edit", {"book": "Vell", "entry": "#1"}, content="1.", options="order: 5000000"
        )
        assert (await exported(table, "Vell", "sillytavern"))["entries"]["0"]["order"] == 5_000_000


async def test_a_book_is_found_by_the_name_that_it_was_given(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        for key in ("gate", "keep"):
            made = await form(table, "lore add", {"book": "Vell: the North"}, keys=key, content=key)
            assert made.content.startswith("“Vell the North” has a new entry")
        assert (await table.command("lore list", {"book": "vell: the north"})).content.count("\n") == 2
        assert "no lorebook called" in (await table.command("lore list", {"book": ":"})).content


async def test_whoever_writes_more_than_is_played_is_told_so(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    keys = [f"k{number}" for number in range(129)]
    async with table.bot(model.url):
        wrong = await form(table, "lore add", {}, keys=",".join(keys), content="Mine.")
        assert wrong.content.startswith("⚠ There are 129 keys, and an entry has 128 at most.")
        assert b"Mine." in wrong.attachments[0].data
        long = [{"key": keys, "content": "x"}, {"key": ["bell"], "content": "x" * 40_000}]
        brought = await bring(table, {"entries": {str(place): one for place, one in enumerate(long)}})
        assert brought.content.split("\n")[1:] == [
            "k0, k1, k2: of its 129 keys the first 128 are used.",
            "bell: of its text the first 32,768 characters are told.",
        ]


async def test_two_who_change_an_entry_at_once_keep_what_each_of_them_wrote(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await bring(table, WORLD)
        asked = {"book": "Vell", "entry": "The gong"}
        opened = await table.room.command(table.ann, table.campaign, "lore edit", asked)
        await opened.responded(PATIENCE)
        await form(table, "lore edit", asked, title="The bell", keys="bell")
        sent = await table.room.submit(table.ann, opened, {"content": "It is cracked."})
        await sent.answered(PATIENCE)
        entry = (await exported(table, "Vell", "sillytavern"))["entries"]["0"]
        assert (entry["comment"], entry["key"], entry["content"]) == ("The bell", ["bell"], "It is cracked.")


async def test_one_long_line_does_not_hide_the_others(table: Tabletop, model: ScriptedModelServer) -> None:
    names = [f"Brother number {number}" for number in range(100)]
    crowd = {"key": ["gong"], "content": "x", "characterFilter": {"isExclude": True, "names": names}}
    pattern = {"key": ["/gong|" + r"\*" * 490 + "/"], "content": "y", "comment": "Stars"}
    async with table.bot(model.url):
        await bring(table, {"entries": {"0": crowd, "1": pattern, "2": {"key": ["bell"], "content": "z"}}})
        listed = (await table.command("lore list", {"book": "Vell"})).content
        assert listed.endswith("\n- **bell**: bell")
        tried = (await table.command("lore test", {"text": "gong, bell"})).content
        assert "- **bell** (Vell): “bell” was said" in tried.split("\n")
        assert "- **Stars** (Vell): “/gong|" in tried.replace("\\", "")


async def test_lore_is_the_game_masters(table: Tabletop, model: ScriptedModelServer) -> None:
    async with table.bot(model.url):
        await bring(table, WORLD)
        for command, options in {"lore list": {}, "lore test": {"text": "gong"}}.items():
            refused = await table.command(command, options, who=table.bob)
            assert refused.content.startswith("⚠ Lore is for members with “Manage Server”")
        call = await table.room.command(table.bob, table.campaign, "scene start", {"title": "Vell"})
        await call.answered(PATIENCE)
        assert "Vell" in (await table.command("lore list", who=table.bob)).content


async def test_a_book_can_be_left_aside_and_deleted(table: Tabletop, model: ScriptedModelServer) -> None:
    async with table.bot(model.url):
        await bring(table, WORLD)
        await table.start_scene()
        await table.command("lore switch", {"book": "Vell", "on": False})
        await says(table, "A gong?")
        assert "(left aside)" in (await table.command("lore list")).content
        asked = await table.command("lore remove", {"book": "Vell"})
        assert asked.content == "Delete all 4 entries of “Vell”?"
        (button,) = table.room.controls(asked)
        pressed = await table.room.press(table.ann, asked, button["custom_id"])
        await pressed.answered(PATIENCE)
        await table.room.wait_for(lambda _: bool(asked.attachments), PATIENCE, since=asked.cursor)
        assert (await table.command("lore list")).content.startswith("There are no lorebooks here yet.")
        await bring(table, asked.attachments[0].data, name="again.json")
        assert await exported(table, "again", "sillytavern") == WORLD
    assert not any("founder" in str(prompt) or "raining" in str(prompt) for prompt in prompts(model))


async def test_a_character_brings_what_it_knows(table: Tabletop, model: ScriptedModelServer) -> None:
    book = {"entries": [{"keys": ["rope"], "content": "{{char}} tied it.", "extensions": {}, "enabled": True,
                         "insertion_order": 1}], "extensions": {}}  # fmt: skip
    card = {**V2, "data": {**V2["data"], "character_book": book}}
    async with table.bot(model.url):
        await table.command("persona import", {"card": Upload("oda.json", as_json(card))})
        await table.start_scene(title="Low tide", persona="oda")
        await says(table, "Oda, whose rope is this?")
    assert prompts(model)[0][-1]["content"].split("\n")[1] == "[Oda tied it.]"


async def test_a_card_brought_anew_tells_what_is_new_in_its_lore(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    def card(rope: str) -> Upload:
        told = {"rope": rope, "net": "It has a hole."}
        book = {"entries": [{"keys": [key], "content": text} for key, text in told.items()]}
        return Upload("oda.json", as_json({**V2, "data": {**V2["data"], "character_book": book}}))

    async with table.bot(model.url):
        await table.command("persona import", {"card": card("It is tied.")})
        await table.start_scene(title="Low tide", persona="oda")
        await says(table, "Oda, the rope and the net!")
        await table.command("persona import", {"card": card("It is cut."), "replace": True})
        await says(table, "The rope and the net, Oda!")
    assert prompts(model)[1][-1]["content"].split("\n")[1:] == ["[It is cut.]", "[Oda answers.]"]


async def test_what_two_characters_wake_is_told_before_each(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    model.script += [Answer("Ask the founder."), Answer("He drowned.")]
    async with table.bot(model.url):
        await bring(table, WORLD)
        await table.start_scene(persona="marta, tobin", mode="list")
        said = await table.says(table.ann, "Good evening.")
        await table.shows("He drowned.", since=said.cursor)
        await table.at_rest()
    assert prompts(model)[1][-1]["content"] == "[The founder's name was Odo.]\n[Tobin Quill answers.]"


async def test_what_is_always_true_is_changed_where_it_stands_and_told_nowhere_else(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    async with table.bot(model.url):
        await bring(table, WORLD)
        await table.start_scene()
        await says(table, "I look at the sky.")
        await form(table, "lore edit", {"book": "Vell", "entry": "#3"}, content="It never stops snowing.")
        await bring(table, {"entries": {"0": {"constant": True, "content": "The sky is green."}}}, name="Sky")
        tried = await table.command("lore test", {"text": "snow"})
        assert tried.content.startswith("Nothing would be told now.\nThe model knows already:")
        await says(table, "I look at it again.")
    _, changed = prompts(model)
    assert "The sky is green.\n\nIt never stops snowing." in changed[0]["content"]
    assert "raining" not in str(changed)
    assert "snowing" not in str(changed[1:])
    assert "green" not in str(changed[1:])


async def test_a_look_at_lore_while_somebody_answers_does_not_lose_that_answer(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    gate = asyncio.Event()
    model.script.append(Answer(gate=gate))
    young = {"entries": {"0": {"key": ["gong"], "content": "Old.", "delay": 50}}}

    async def counted() -> str:
        tried = await table.command("lore test", {"text": "gong"})
        return tried.content.rpartition("; ")[2]

    async with table.bot(model.url):
        await bring(table, young)
        await table.start_scene()
        said = await table.says(table.ann, "I listen.")
        await model.wait_for_chats(1)
        await table.says(table.bob, "I listen, too.")
        await table.until(lambda: len(table.stored()) == 2)
        assert await counted() == "3 of 50 messages"
        gate.set()
        await table.shows(TEXT, since=said.cursor)
        await table.at_rest()
        assert await counted() == "5 of 50 messages", "the opening, two players, two answers"


async def test_bad_books_are_refused_in_under_a_second_and_whole(
    table: Tabletop, model: ScriptedModelServer
) -> None:
    entry = {"key": ["a"], "content": "x"}
    many: dict[str, Any] = {"entries": {str(number): {} for number in range(50_000)}}
    bad = {
        "The lorebook is made of more than 800,000 parts.": b'{"entries": [' + b"0," * 2_000_000,
        "This lorebook has 50,000 entries; at most 10,000 are taken.": many,
        "The lorebook is nested more than 64 levels deep.": b'{"entries":' + b"[" * 90_000,
        "This JSON is no lorebook.": {"name": "Marta"},
        "Entry 2 of this lorebook is no object.": {"entries": [entry, 7]},
    }  # fmt: skip
    circle = {
        "entries": {
            "0": {"key": ["egg", "/(a+)+$/"], "content": "A hen."},
            "1": {"key": ["hen"], "content": "An egg."},
        }
    }
    async with table.bot(model.url):
        for sentence, document in bad.items():
            before = table.bot_seconds()
            answer = await bring(table, document)
            assert answer.content.startswith(f"⚠ {sentence}")
            assert table.bot_seconds() - before < 2  # a slow machine gets twice the time
        assert table.query("SELECT * FROM lorebooks") == []
        await bring(table, circle)
        before = table.bot_seconds()
        tried = await table.command("lore test", {"text": "a" * 1900 + "! egg"})
        assert table.bot_seconds() - before < 2
        assert tried.content.startswith("**2** would be told now:")
