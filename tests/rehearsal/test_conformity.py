from __future__ import annotations

import io
from typing import TYPE_CHECKING

import discord
import pytest
from discord import app_commands

from bot.rehearsal.media import plain_png
from bot.rehearsal.permissions import ALL, Permission
from tests.rehearsal import openapi

if TYPE_CHECKING:
    from tests.rehearsal.conftest import Actor, Table


class Choice(discord.ui.View):
    def __init__(self) -> None:
        super().__init__(timeout=None)

    @discord.ui.button(label="Open", custom_id="open", style=discord.ButtonStyle.primary, emoji="🚪")
    async def open_door(self, interaction: discord.Interaction, _: discord.ui.Button[Choice]) -> None:
        await interaction.response.edit_message(content="The door is open.")

    @discord.ui.select(
        custom_id="door",
        options=[discord.SelectOption(label="Left", description="Cold"), discord.SelectOption(label="Right")],
    )
    async def choose(self, interaction: discord.Interaction, select: discord.ui.Select[Choice]) -> None:
        await interaction.response.defer()
        await interaction.edit_original_response(content=f"You chose {select.values[0]}.")

    @discord.ui.select(cls=discord.ui.UserSelect, custom_id="who", max_values=2)
    async def who(self, interaction: discord.Interaction, select: discord.ui.UserSelect[Choice]) -> None:
        names = ", ".join(user.display_name for user in select.values)
        await interaction.response.send_message(names, ephemeral=True)


class Page(discord.ui.LayoutView):
    def __init__(self) -> None:
        super().__init__()
        section: discord.ui.Section[Page] = discord.ui.Section(
            "The Drowned Bell", accessory=discord.ui.Thumbnail("attachment://bell.png", description="A bell")
        )
        row: discord.ui.ActionRow[Page] = discord.ui.ActionRow(
            discord.ui.Button(label="More", custom_id="more"),
            discord.ui.Button(label="Site", url="https://example.org"),
        )
        self.add_item(
            discord.ui.Container(
                section, discord.ui.Separator(), discord.ui.TextDisplay("Chapter one"), row, accent_color=3
            )
        )
        self.add_item(discord.ui.MediaGallery(discord.MediaGalleryItem("attachment://bell.png")))
        self.add_item(discord.ui.File("attachment://notes.txt"))


class Sheet(discord.ui.Modal, title="Character"):
    name: discord.ui.TextInput[Sheet] = discord.ui.TextInput(label="Name", custom_id="name", max_length=40)
    kind: discord.ui.Label[Sheet] = discord.ui.Label(
        text="Kind",
        component=discord.ui.Select(
            custom_id="kind", options=[discord.SelectOption(label="Elf"), discord.SelectOption(label="Dwarf")]
        ),
    )

    async def on_submit(self, interaction: discord.Interaction) -> None:
        kind = self.kind.component
        assert isinstance(kind, discord.ui.Select)
        await interaction.response.send_message(f"{self.name.value} the {kind.values[0]}")


def everything(actor: Actor) -> None:
    group = app_commands.Group(name="scene", description="The running story")

    @group.command(name="start", description="Open a scene")
    @app_commands.describe(
        title="Its name", players="How many", mood="How it feels", where="Where it is played"
    )
    @app_commands.choices(mood=[app_commands.Choice(name="Grim", value="grim")])
    async def start(
        interaction: discord.Interaction,
        title: app_commands.Range[str, 1, 80],
        players: app_commands.Range[int, 1, 8] = 4,
        mood: app_commands.Choice[str] | None = None,
        where: discord.TextChannel | None = None,
    ) -> None:
        await interaction.response.defer(thinking=True)
        embed = discord.Embed(
            title=title, description="It rains.", url="https://example.org/bell", color=0x334455
        )
        embed.set_author(name="Narrator").set_footer(text="Scene 1").add_field(
            name="Players", value=str(players)
        )
        await interaction.followup.send(f"{title} begins.", embed=embed)
        await interaction.followup.send(f"{mood}, {where}", ephemeral=True)

    @start.autocomplete("title")
    async def titles(interaction: discord.Interaction, current: str) -> list[app_commands.Choice[str]]:
        return [app_commands.Choice(name=f"{current} Bell", value="bell")]

    @app_commands.command(name="sheet", description="Fill in a character")
    async def sheet(interaction: discord.Interaction) -> None:
        await interaction.response.send_modal(Sheet())

    @app_commands.context_menu(name="Remember this")
    async def remember(interaction: discord.Interaction, message: discord.Message) -> None:
        await interaction.response.send_message(f"Remembered: {message.content}", ephemeral=True)

    @app_commands.context_menu(name="Show sheet")
    async def show(interaction: discord.Interaction, member: discord.Member) -> None:
        await interaction.response.send_message(member.display_name)

    actor.tree.add_command(group)
    actor.tree.add_command(sheet)
    actor.tree.add_command(remember)
    actor.tree.add_command(show)
    actor.add_view(Choice())


async def write_messages(table: Table, channel: discord.TextChannel) -> None:
    room, ann, place = table.room, table.ann, table.channel
    said = await room.say(ann, place, "I open the door.")
    heard = await channel.fetch_message(said.id)
    await heard.add_reaction("🎲")
    reacted = (await channel.fetch_message(said.id)).reactions[0]
    assert [user.name async for user in reacted.users()] == ["Hearthside"]
    sent = await channel.send("A bell rings.", view=Choice(), reference=heard, nonce="n1", silent=True)
    await sent.edit(content="A bell rings twice.")
    picture = discord.File(io.BytesIO(plain_png(1, 2, 3)), "bell.png", description="A bell")
    await channel.send(files=[picture, discord.File(io.BytesIO(b"notes"), "notes.txt")], view=Page())
    assert [message.id async for message in channel.history(limit=10)][-1] == said.id
    async with channel.typing():
        pass


async def use_webhooks_and_threads(table: Table, actor: Actor, channel: discord.TextChannel) -> None:
    heard = [message async for message in channel.history(limit=10)][-1]
    webhook = await channel.create_webhook(name="Mara", avatar=plain_png(9, 9, 9))
    thread = await heard.create_thread(name="The door")
    spoken = await webhook.send(
        "Hm.", username="Mara", avatar_url="https://example.org/m.png", thread=thread, wait=True
    )
    await spoken.edit(content="Hm!", view=Choice())
    await webhook.fetch_message(spoken.id, thread=thread)
    await spoken.delete()
    await webhook.edit(name="Mara Vane")
    await channel.webhooks()
    await channel.guild.webhooks()
    await actor.fetch_webhook(webhook.id)
    await (await discord.Webhook.from_url(webhook.url, client=actor).fetch()).delete()
    open_thread = await channel.create_thread(name="Aside", type=discord.ChannelType.public_thread)
    await open_thread.send("Psst.")
    await open_thread.fetch_members()
    await open_thread.leave()
    await open_thread.join()
    await channel.guild.active_threads()
    await open_thread.edit(archived=True)
    assert [each.name async for each in channel.archived_threads()] == ["Aside"]


async def use_interactions(table: Table) -> None:
    room, ann, place = table.room, table.ann, table.channel
    call = await room.command(ann, place, "scene start", {"title": "Bell", "mood": "Grim", "where": place})
    await room.wait_for(lambda event: len(call.responses) == 2, since=call.cursor)
    assert await room.autocomplete(ann, place, "scene start", {"title": "Dr"}, focused="title") == [
        ("Dr Bell", "bell")
    ]
    said, shown = room.messages(place)[:2]
    await (await room.select(ann, shown, "door", ["Left"])).answered()
    await (await room.select(ann, shown, "who", [table.ben, ann])).answered()
    await (await room.press(ann, shown, "open")).answered()
    form = await (await room.command(ann, place, "sheet")).answered()
    await (await room.submit(ann, form, {"name": "Ilse", "kind": "Elf"})).answered()
    await (await room.message_command(ann, place, "Remember this", said)).answered()
    await (await room.user_command(ann, place, "Show sheet", table.ben)).answered()


async def look_around(table: Table, actor: Actor, channel: discord.TextChannel) -> None:
    ann = table.ann
    await actor.fetch_guild(table.guild.id)
    await channel.guild.fetch_channels()
    await channel.guild.fetch_roles()
    await channel.guild.fetch_member(ann.id)
    assert len([member async for member in channel.guild.fetch_members()]) == 3
    await actor.fetch_user(ann.id)
    await actor.fetch_channel(channel.id)
    await actor.fetch_channel(next(iter(table.guild.threads)))
    person = actor.get_user(ann.id)
    assert person is not None
    await person.send("In secret.")
    await actor.application_info()
    await actor.tree.fetch_commands()
    await actor.tree.sync(guild=channel.guild)
    await channel.get_partial_message(table.room.messages(table.channel)[1].id).delete()


async def play_everything(table: Table, actor: Actor) -> None:
    channel = actor.get_channel(table.channel.id)
    assert isinstance(channel, discord.TextChannel)
    await write_messages(table, channel)
    await use_webhooks_and_threads(table, actor, channel)
    await use_interactions(table)
    await look_around(table, actor, channel)


async def test_all_that_is_said_on_the_wire_fits_discords_own_description(table: Table) -> None:
    description = openapi.load()
    if description is None:
        pytest.skip(openapi.MISSING)
    async with table.actor(everything) as actor:
        await table.room.ready(table.application)
        await play_everything(table, actor)
    assert description.problems(table.room.requests) == []
    assert {request.status for request in table.room.requests} <= {200, 201, 204}


COMMAND = {"name": "roll", "description": "Roll dice"}


async def call_the_rest(table: Table) -> None:
    """Call what discord.py's tour leaves out."""
    table.guild.set_permissions(table.application, int(ALL & ~Permission.ADMINISTRATOR))
    said = await table.room.say(table.ann, table.channel, "Here.")
    commands = f"/applications/{table.application.id}/commands"
    made = (await table.api("POST", commands, COMMAND)).json["id"]
    channel, guild = f"/channels/{table.channel.id}", f"/guilds/{table.guild.id}"
    message = f"{channel}/messages/{said.id}"
    thread = (await table.api("POST", f"{message}/threads", {"name": "On it"})).json["id"]
    spare = table.guild.add_text_channel("spare")
    calls: list[tuple[str, str, object]] = [
        ("GET", "/gateway", None),
        ("GET", "/applications/@me", None),
        ("PATCH", "/users/@me", {"username": "Hearthside"}),
        ("GET", "/users/@me/guilds", None),
        ("PATCH", f"{guild}/members/@me", {"nick": "The Fire"}),
        ("GET", f"{guild}/members/search?query=an", None),
        ("GET", f"{guild}?with_counts=true", None),
        ("GET", f"{commands}/{made}", None),
        ("POST", commands, COMMAND | {"description": "Roll"}),
        ("PATCH", f"{commands}/{made}", {"description": "Roll more dice"}),
        ("DELETE", f"{commands}/{made}", None),
        ("PATCH", channel, {"topic": "The bell", "rate_limit_per_user": 5, "nsfw": True}),
        ("PUT", f"{channel}/permissions/{table.ben.id}", {"type": 1, "deny": "2048"}),
        ("GET", channel, None),
        ("DELETE", f"{channel}/permissions/{table.ben.id}", None),
        ("PUT", f"{channel}/messages/pins/{said.id}", None),
        ("GET", f"{channel}/messages/pins", None),
        ("GET", f"{channel}/messages", None),
        ("DELETE", f"{channel}/messages/pins/{said.id}", None),
        ("PUT", f"/channels/{thread}/thread-members/{table.ben.id}", None),
        ("GET", f"/channels/{thread}/thread-members/{table.ben.id}", None),
        ("GET", f"/channels/{thread}/thread-members?with_member=true", None),
        ("DELETE", f"/channels/{thread}/thread-members/{table.ben.id}", None),
        ("GET", f"/channels/{thread}/messages", None),
        ("DELETE", f"/channels/{thread}", None),
        ("PUT", f"{message}/reactions/%F0%9F%8E%B2/@me", None),
        ("GET", f"{message}/reactions/%F0%9F%8E%B2", None),
        ("DELETE", f"{message}/reactions/%F0%9F%8E%B2", None),
        ("DELETE", f"/channels/{spare.id}", None),
    ]
    for method, path, body in calls:
        reply = await table.api(method, path, body)
        assert reply.status in {200, 204}, (method, path, reply.json)
    assert table.channel.topic == "The bell"
    assert table.guild.members[table.application.id].name == "The Fire"
    assert spare.id not in table.guild.channels


async def test_what_the_tour_leaves_out_fits_the_description_as_well(table: Table) -> None:
    description = openapi.load()
    if description is None:
        pytest.skip(openapi.MISSING)
    await call_the_rest(table)
    assert description.problems(table.room.requests) == []


async def test_refusals_fit_the_description_too(table: Table) -> None:
    description = openapi.load()
    if description is None:
        pytest.skip(openapi.MISSING)
    table.room.limits.set("/users/{user_id}", 1, 5.0)
    path = f"/channels/{table.channel.id}/messages"
    for body in ({"content": "x" * 2001}, {"embeds": [{"fields": [{"name": ""}]}]}, {}):
        assert (await table.api("POST", path, body)).status == 400
    assert (await table.api("GET", "/users/1")).status == 404
    assert (await table.api("GET", "/users/1")).status == 429
    assert (await table.api("GET", "/users/@me", token="wrong")).status == 401
    assert description.problems(table.room.requests) == []


async def test_the_checker_sees_what_does_not_fit(table: Table) -> None:
    description = openapi.load()
    if description is None:
        pytest.skip(openapi.MISSING)
    await table.api("POST", f"/channels/{table.channel.id}/messages", {"content": "x"})
    request = table.room.requests[-1]
    request.json = {"content": "x", "embeds": [{"title": "x" * 257}]}
    request.response = request.response | {"timestamp": "yesterday", "tts": None}
    problems = "\n".join(description.problems([request]))
    assert "request at $.embeds[0].title" in problems
    assert "response at $.timestamp" in problems
    assert "response at $.tts" in problems
