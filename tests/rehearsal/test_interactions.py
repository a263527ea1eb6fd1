from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import discord
import pytest
from discord import app_commands

from bot.errors import TableError
from bot.rehearsal.command_forms import is_command_name
from bot.rehearsal.events import InteractionAnswered, InteractionDeferred, InteractionFailed
from bot.rehearsal.permissions import Permission

if TYPE_CHECKING:
    from bot.rehearsal.interactions import Interaction
    from tests.rehearsal.conftest import Actor, Table


class Door(discord.ui.View):
    @discord.ui.button(label="Open", custom_id="open")
    async def open_it(self, interaction: discord.Interaction, _: discord.ui.Button[Door]) -> None:
        await interaction.response.edit_message(content="It is open.", view=None)

    @discord.ui.button(label="Locked", custom_id="locked", disabled=True)
    async def locked(self, interaction: discord.Interaction, _: discord.ui.Button[Door]) -> None:
        raise AssertionError

    @discord.ui.select(
        custom_id="key", options=[discord.SelectOption(label=name) for name in ("Iron", "Bone")]
    )
    async def choose(self, interaction: discord.Interaction, select: discord.ui.Select[Door]) -> None:
        await interaction.response.send_message(
            f"You take the {select.values[0].lower()} key.", ephemeral=True
        )


class Note(discord.ui.Modal, title="A note"):
    text: discord.ui.TextInput[Note] = discord.ui.TextInput(
        label="Text", custom_id="text", min_length=2, max_length=9
    )

    async def on_submit(self, interaction: discord.Interaction) -> None:
        await interaction.response.send_message(f"Noted: {self.text.value}")


def prepare(actor: Actor) -> None:
    tree = actor.tree
    held: list[discord.Interaction] = []

    @tree.command(name="door", description="Show a door")
    async def door(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("A door.", view=Door())

    @tree.command(name="think", description="Take your time")
    async def think(interaction: discord.Interaction, secret: bool = False) -> None:
        await interaction.response.defer(thinking=True, ephemeral=secret)
        held.append(interaction)

    @tree.command(name="speak", description="Say what you thought")
    async def speak(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("Now.", ephemeral=True)
        await held[-1].followup.send("I have thought.")

    @tree.command(name="note", description="Write something down")
    async def note(interaction: discord.Interaction) -> None:
        await interaction.response.send_modal(Note())

    @tree.command(name="sleep", description="Never answer")
    async def sleep(interaction: discord.Interaction) -> None:
        pass

    @tree.command(name="roll", description="Roll dice")
    @app_commands.describe(dice="Which", times="How often", who="Whom for")
    @app_commands.choices(dice=[app_commands.Choice(name="Twenty", value="d20")])
    async def roll(
        interaction: discord.Interaction,
        dice: str,
        times: app_commands.Range[int, 1, 5] = 1,
        who: discord.Member | None = None,
    ) -> None:
        name = who.display_name if who else "nobody"
        await interaction.response.send_message(f"{times} x {dice} for {name}")

    @tree.command(name="vault", description="Only for who manages the server")
    @app_commands.default_permissions(manage_guild=True)
    async def vault(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("Gold.")

    @tree.command(name="tavern", description="Only for adults", nsfw=True)
    async def tavern(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("Ale.")

    @tree.context_menu(name="Quote")
    async def quote(interaction: discord.Interaction, message: discord.Message) -> None:
        await interaction.response.send_message(f"{message.author.display_name}: {message.content}")


async def test_options_are_checked_as_discords_client_checks_them(table: Table) -> None:
    room, ann, place = table.room, table.ann, table.channel
    async with table.actor(prepare):
        call = await room.command(ann, place, "roll", {"dice": "Twenty", "times": "3", "who": "Ben"})
        await call.answered()
        assert call.responses[0].content == "3 x d20 for Ben"
        assert call.responses[0].interaction is call
        for options, told in (
            ({}, "needs the option 'dice'"),
            ({"dice": "d6"}, "It offers Twenty"),
            ({"dice": "d20", "times": 6}, "takes 1 to 5, not 6"),
            ({"dice": "d20", "times": "many"}, "takes a number"),
            ({"dice": "d20", "sides": 6}, "Its options: dice, times, who"),
            ({"dice": "d20", "who": "Nobody"}, "does not take 'Nobody'"),
        ):
            with pytest.raises(TableError, match=told):
                await room.command(ann, place, "roll", options)
        with pytest.raises(TableError, match="There is no command /dance"):
            await room.command(ann, place, "dance")


async def test_commands_show_only_to_whom_and_where_they_may(table: Table) -> None:
    room, place = table.room, table.channel
    async with table.actor(prepare):
        with pytest.raises(TableError, match="permissions that /vault asks for"):
            await room.command(table.ben, place, "vault")
        assert (await (await room.command(table.ann, place, "vault")).answered()).responses[
            0
        ].content == "Gold."
        with pytest.raises(TableError, match="age-restricted"):
            await room.command(table.ann, place, "tavern")
        adults = table.guild.add_text_channel("cellar", nsfw=True)
        await (await room.command(table.ann, adults, "tavern")).answered()
        place.deny(table.ben, Permission.USE_APPLICATION_COMMANDS)
        with pytest.raises(TableError, match="may not use commands"):
            await room.command(table.ben, place, "door")


async def test_buttons_and_selects_do_what_their_view_says(table: Table) -> None:
    room, ann, place = table.room, table.ann, table.channel
    async with table.actor(prepare):
        call = await (await room.command(ann, place, "door")).answered()
        message = call.responses[0]
        assert [each["custom_id"] for each in room.controls(message)] == ["open", "key"]
        with pytest.raises(TableError, match="It has open, key"):
            await room.press(ann, message, "window")
        with pytest.raises(TableError, match="switched off"):
            await room.press(ann, message, "locked")
        with pytest.raises(TableError, match="Choose from Iron, Bone"):
            await room.select(ann, message, "key", ["Gold"])
        with pytest.raises(TableError, match="Choose 1 to 1"):
            await room.select(ann, message, "key", [])
        chosen = await (await room.select(table.ben, message, "key", ["Bone"])).answered()
        assert chosen.responses[0].content == "You take the bone key."
        assert chosen.responses[0].ephemeral
        assert chosen.responses[0] not in room.messages(place, viewer=ann)
        assert chosen.responses[0] in room.messages(place, viewer=table.ben)
        await (await room.press(ann, message, "open")).answered()
        assert (message.content, message.components) == ("It is open.", [])


async def test_a_form_is_filled_in_and_answered(table: Table) -> None:
    room, ann, place = table.room, table.ann, table.channel
    async with table.actor(prepare):
        call = await (await room.command(ann, place, "note")).answered()
        assert call.modal is not None
        assert (call.modal.title, call.modal.fields[0].label) == ("A note", "Text")
        with pytest.raises(TableError, match="takes 2 to 9 characters, not 1"):
            await room.submit(ann, call, {"text": "x"})
        with pytest.raises(TableError, match="no field 'title'"):
            await room.submit(ann, call, {"title": "x"})
        with pytest.raises(TableError, match="Only the one who opened"):
            await room.submit(table.ben, call, {"text": "mine"})
        done = await (await room.submit(ann, call, {"text": "a rune"})).answered()
        assert done.responses[0].content == "Noted: a rune"


async def test_a_deferred_answer_takes_the_place_of_is_thinking(table: Table) -> None:
    room, ann, place = table.room, table.ann, table.channel
    async with table.actor(prepare):
        call = await (await room.command(ann, place, "think")).responded()
        (waiting,) = call.responses
        assert (call.state, waiting.loading, waiting.content) == ("deferred", True, "")
        await room.command(ann, place, "speak")
        await call.answered()
        assert (waiting.content, waiting.loading, call.responses) == ("I have thought.", False, [waiting])
        kinds = [type(event) for event in room.state.journal.since(call.cursor)]
        assert kinds.index(InteractionDeferred) < kinds.index(InteractionAnswered)


async def test_a_secret_answer_stays_secret(table: Table) -> None:
    room, ann, place = table.room, table.ann, table.channel
    async with table.actor(prepare):
        call = await (await room.command(ann, place, "think", {"secret": True})).responded()
        await room.command(ann, place, "speak")
        await call.answered()
        assert call.responses[0].ephemeral
        refused = await table.api("GET", f"/channels/{place.id}/messages/{call.responses[0].id}")
        assert refused.code == 10008


async def test_who_waits_three_seconds_reads_that_nothing_came(table: Table) -> None:
    room, ann, place = table.room, table.ann, table.channel
    async with table.actor(prepare) as bot:
        call = await room.command(ann, place, "sleep")
        late = await bot.wait_for("interaction", timeout=5)
        await asyncio.sleep(0)  # lets the command's own task take the interaction
        table.clock.advance(3.1)
        await room.wait_for(lambda event: isinstance(event, InteractionFailed), since=call.cursor)
        assert call.state == "failed"
        with pytest.raises(TableError, match="did not respond to 'sleep' within 3 seconds"):
            await call.answered()
        with pytest.raises(discord.NotFound) as refused:
            await late.response.send_message("Here I am.")
        assert refused.value.code == 10062


async def test_an_answer_that_never_follows_fails_after_fifteen_minutes(table: Table) -> None:
    room, ann, place = table.room, table.ann, table.channel
    async with table.actor(prepare):
        call = await (await room.command(ann, place, "think")).responded()
        table.clock.advance(901)
        await room.wait_for(lambda event: isinstance(event, InteractionFailed), since=call.cursor)
        path = f"/webhooks/{table.application.id}/{call.token}"
        late = await table.api("POST", path, {"content": "At last."}, token=None)
        assert (late.status, late.code) == (401, 50027)


async def pending(table: Table) -> Interaction:
    """Register a command by hand and call it: nobody but the test answers."""
    body = {"name": "ask", "description": "Ask", "options": [option()]}
    await table.api("POST", f"/applications/{table.application.id}/commands", body)
    return await table.room.command(table.ann, table.channel, "ask", {"what": "x"})


def option(**more: Any) -> dict[str, Any]:
    return {"type": 3, "name": "what", "description": "What", "autocomplete": True} | more


def text_input(**more: Any) -> dict[str, Any]:
    return {"type": 4, "custom_id": "t", "style": 1} | more


def label(**more: Any) -> dict[str, Any]:
    return {"type": 18, "label": "Text", "component": text_input()} | more


def modal(**more: Any) -> dict[str, Any]:
    return {"type": 9, "data": {"custom_id": "m", "title": "Form", "components": [label()]} | more}


CALLBACKS = [
    ({"type": 4, "data": {"content": "x" * 2001}}, "data.content", "BASE_TYPE_MAX_LENGTH"),
    ({"type": 4, "data": {"embeds": [{}]}}, "data.embeds.0.description", "BASE_TYPE_REQUIRED"),
    ({"type": 7, "data": {"content": "x"}}, "type", "BASE_TYPE_CHOICES"),
    ({"type": 8, "data": {"choices": []}}, "type", "BASE_TYPE_CHOICES"),
    ({}, "type", "BASE_TYPE_REQUIRED"),
    (modal(title="x" * 46), "data.title", "BASE_TYPE_BAD_LENGTH"),
    (modal(custom_id="x" * 101), "data.custom_id", "BASE_TYPE_BAD_LENGTH"),
    (modal(components=[]), "data.components", "BASE_TYPE_REQUIRED"),
    (
        modal(components=[label(component=text_input(custom_id=str(number))) for number in range(6)]),
        "data.components",
        "BASE_TYPE_BAD_LENGTH",
    ),
    (modal(components=[label(label="x" * 46)]), "data.components.0.label", "BASE_TYPE_BAD_LENGTH"),
    (
        modal(components=[label(component=text_input(max_length=4001))]),
        "data.components.0.component.max_length",
        "NUMBER_TYPE_MAX",
    ),
    (
        modal(components=[label(component=text_input(placeholder="x" * 101))]),
        "data.components.0.component.placeholder",
        "BASE_TYPE_MAX_LENGTH",
    ),
    (modal(components=[{"type": 2}]), "data.components.0.type", "UNION_TYPE_CHOICES"),
]


@pytest.mark.parametrize(
    ("body", "path", "word"), CALLBACKS, ids=[f"{path}-{word}" for _, path, word in CALLBACKS]
)
async def test_a_response_that_discord_would_not_take(
    table: Table, body: dict[str, Any], path: str, word: str
) -> None:
    call = await pending(table)
    callback = f"/interactions/{call.id}/{call.token}/callback"
    refused = await table.api("POST", callback, body, token=None)
    assert (refused.status, refused.code) == (400, 50035)
    assert refused.faults() == {path: word}
    assert call.state == "pending"
    assert (await table.api("POST", callback, {"type": 4, "data": {}}, token=None)).code == 50006
    fine = {"type": 4, "data": {"content": "Yes."}}
    assert (await table.api("POST", callback, fine, token=None)).status == 204
    assert (await table.api("POST", callback, fine, token=None)).code == 40060


async def test_autocomplete_offers_twenty_five_short_choices_at_most(table: Table) -> None:
    await pending(table)
    asking = asyncio.create_task(
        table.room.autocomplete(table.ann, table.channel, "ask", {"what": "x"}, focused="what")
    )
    await asyncio.sleep(0)  # the question is on its way
    call = list(table.room.state.interactions.values())[-1]
    callback = f"/interactions/{call.id}/{call.token}/callback"

    def offer(count: int, **more: Any) -> dict[str, Any]:
        return {
            "type": 8,
            "data": {"choices": [{"name": f"{each}", "value": "v"} | more for each in range(count)]},
        }

    async def faults(body: dict[str, Any]) -> dict[str, str]:
        return (await table.api("POST", callback, body, token=None)).faults()

    assert await faults(offer(26)) == {"data.choices": "BASE_TYPE_MAX_LENGTH"}
    assert await faults(offer(1, name="x" * 101)) == {"data.choices.0.name": "BASE_TYPE_BAD_LENGTH"}
    assert await faults(offer(1, value="x" * 101)) == {"data.choices.0.value": "BASE_TYPE_MAX_LENGTH"}
    assert await faults({"type": 4, "data": {"content": "x"}}) == {"type": "BASE_TYPE_CHOICES"}
    assert (await table.api("POST", callback, offer(25), token=None)).status == 204
    assert len(await asking) == 25


async def test_nothing_follows_before_the_first_response(table: Table) -> None:
    call = await pending(table)
    path = f"/webhooks/{table.application.id}/{call.token}"
    assert (await table.api("POST", path, {"content": "Too early."}, token=None)).code == 10015


async def test_a_message_menu_shows_the_bot_what_its_intents_hide(table: Table) -> None:
    table.application.message_content = False
    intents = discord.Intents.default()
    async with table.actor(prepare, intents=intents) as bot:
        said = await table.room.say(table.ann, table.channel, "The bell is cursed.")
        heard = await bot.hear(said.id)
        assert heard.content == ""
        call = await (await table.room.message_command(table.ben, table.channel, "Quote", said)).answered()
        assert call.responses[0].content == "Ann: The bell is cursed."


@pytest.mark.parametrize("name", ["scene", "würfel", "骰子", "पासा", "d-20_'", "x" * 32])
def test_names_of_commands_in_every_script(name: str) -> None:
    assert is_command_name(name)


@pytest.mark.parametrize("name", ["", "Scene", "a b", "x" * 33, "dé!", "a.b", "a/b"])
def test_names_that_no_command_has(name: str) -> None:
    assert not is_command_name(name)
