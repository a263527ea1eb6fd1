"""A small real discord.py bot that behaves at the table like Hearthside, without a model.

It is started as its own process against the room: typing when a turn begins, answers through a webhook
with edits, `⚠` for what failed, and one command for each thing a terminal must be able to show.
"""

from __future__ import annotations

import asyncio
import io
import os
import sys

import aiohttp
import discord
import yarl
from discord import app_commands
from discord.http import Route

PERSONAS = ["Marta", "Old Marten", "Vex"]


class Form(discord.ui.Modal, title="A character"):
    name: discord.ui.TextInput[Form] = discord.ui.TextInput(label="Name")
    story: discord.ui.TextInput[Form] = discord.ui.TextInput(
        label="Story", style=discord.TextStyle.paragraph, required=False
    )

    async def on_submit(self, interaction: discord.Interaction) -> None:
        await interaction.response.send_message(f"{self.name.value} | {self.story.value or 'no story'}")


class Choices(discord.ui.View):
    @discord.ui.button(label="Roll")
    async def roll(self, interaction: discord.Interaction, button: discord.ui.Button[Choices]) -> None:
        await interaction.response.edit_message(content="Rolled.", view=None)

    @discord.ui.button(label="Form")
    async def form(self, interaction: discord.Interaction, button: discord.ui.Button[Choices]) -> None:
        await interaction.response.send_modal(Form())

    @discord.ui.select(
        placeholder="Colour",
        max_values=2,
        options=[
            discord.SelectOption(label=label, value=label[0].lower()) for label in ("Red", "Blue", "Green")
        ],
    )
    async def colour(self, interaction: discord.Interaction, select: discord.ui.Select[Choices]) -> None:
        await interaction.response.send_message(f"You chose {'+'.join(select.values)}.", ephemeral=True)


class EchoBot(discord.Client):
    def __init__(self) -> None:
        intents = discord.Intents.default()
        intents.message_content = True
        super().__init__(intents=intents)
        self.tree = app_commands.CommandTree(self)
        self.scenes: set[int] = set()

    async def setup_hook(self) -> None:
        add_commands(self)
        await self.tree.sync()

    async def on_message(self, message: discord.Message) -> None:
        text = message.content
        if message.author.bot or message.channel.id not in self.scenes or text.startswith("//"):
            return
        if text == "die":
            print("about to die", file=sys.stderr, flush=True)  # noqa: T201  the bot's log is what is tested
            os._exit(3)
        assert isinstance(message.channel, discord.TextChannel | discord.Thread)
        async with message.channel.typing():
            if text == "fail":
                await message.channel.send("⚠ The model did not answer.")
            elif text != "hush":
                await self.speak(message.channel, "Marta", [f"You say:\n{text[:8]}", f"You say:\n{text}"])
        if text.endswith("both"):
            async with message.channel.typing():
                await asyncio.sleep(float(os.environ.get("ECHO_THINKS", "0")))
                await self.speak(message.channel, "Vex", ["Indeed.", "Indeed. And I agree."])

    async def speak(self, channel: discord.TextChannel | discord.Thread, name: str, texts: list[str]) -> None:
        parent = channel.parent if isinstance(channel, discord.Thread) else channel
        assert parent is not None
        hooks = await parent.webhooks()
        hook = hooks[0] if hooks else await parent.create_webhook(name="Table")
        thread = channel if isinstance(channel, discord.Thread) else discord.utils.MISSING
        sent = await hook.send(texts[0], username=name, wait=True, thread=thread)
        for text in texts[1:]:
            await hook.edit_message(sent.id, content=text, thread=thread)


def add_commands(bot: EchoBot) -> None:
    bot.tree.add_command(scene_commands(bot))
    add_others(bot.tree)


def scene_commands(bot: EchoBot) -> app_commands.Group:
    scene = app_commands.Group(name="scene", description="Scenes")

    @scene.command(description="Open a scene")
    async def start(
        interaction: discord.Interaction, title: str, persona: str | None = None, thread: bool = False
    ) -> None:
        await interaction.response.defer()
        assert isinstance(interaction.channel, discord.TextChannel)
        place: discord.TextChannel | discord.Thread = interaction.channel
        if thread:
            place = await interaction.channel.create_thread(
                name=title, type=discord.ChannelType.public_thread
            )
        bot.scenes.add(place.id)
        await interaction.followup.send(f"**{title}** begins with {persona or 'Marta'}.")
        await bot.speak(place, "Marta", [f"Rain beats on the shutters. <@{interaction.user.id}>, come in."])

    @start.autocomplete("persona")
    async def personas(interaction: discord.Interaction, typed: str) -> list[app_commands.Choice[str]]:
        found = [name for name in PERSONAS if typed.lower() in name.lower()]
        return [app_commands.Choice(name=name, value=name.split()[-1].lower()) for name in found]

    @scene.command(description="Close the scene")
    async def end(interaction: discord.Interaction) -> None:
        bot.scenes.discard(interaction.channel_id or 0)
        await interaction.response.send_message("The scene has ended.")

    return scene


def add_others(tree: app_commands.CommandTree[EchoBot]) -> None:
    model = app_commands.Group(name="model", description="Models")

    @model.command(description="Tell what answers")
    async def info(interaction: discord.Interaction) -> None:
        embed = discord.Embed(title="Echo", description="No model at all").add_field(
            name="Context", value="0 tokens"
        )
        await interaction.response.send_message(embed=embed, ephemeral=True)

    @tree.command(description="Show buttons")
    async def choose(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("Choose.", view=Choices(timeout=60))

    @tree.command(description="Fill in a form")
    async def form(interaction: discord.Interaction) -> None:
        await interaction.response.send_modal(Form())

    @tree.command(description="Fail politely")
    async def fail(interaction: discord.Interaction) -> None:
        await interaction.response.send_message("⚠ There is no scene here.", ephemeral=True)

    @tree.command(description="Say nothing")
    async def mute(interaction: discord.Interaction) -> None:
        """Let three seconds pass."""

    @tree.command(description="Show one of everything")
    async def show(interaction: discord.Interaction, count: int, who: discord.Member | None = None) -> None:
        await interaction.response.send_message(f"{count} for {who.display_name if who else 'nobody'}")

    @tree.command(description="Give a file back")
    async def keep(interaction: discord.Interaction, file: discord.Attachment) -> None:
        returned = discord.File(io.BytesIO(await file.read()), file.filename)
        await interaction.response.send_message(f"{file.content_type}, {file.size} bytes", file=returned)

    tree.add_command(model)


async def main() -> None:
    Route.BASE = os.environ["DISCORD_API_URL"]
    headers = {"Authorization": f"Bot {os.environ['DISCORD_TOKEN']}"}
    address = f"{Route.BASE}/gateway/bot"
    async with aiohttp.ClientSession(headers=headers) as session, session.get(address) as response:
        discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL((await response.json())["url"])
    if os.environ.get("ECHO_REFUSES"):
        sys.exit("No token. Get one at the developer portal.")
    async with EchoBot() as bot:
        await bot.start(os.environ["DISCORD_TOKEN"])


if __name__ == "__main__":
    asyncio.run(main())
