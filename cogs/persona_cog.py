"""What every file in `personas/` becomes: a cog that holds one persona, and may bring commands of its own."""

from __future__ import annotations

from random import Random

from discord.ext import commands

from bot.persona.persona import Persona

DiscordBot = commands.Bot | commands.AutoShardedBot


class PersonaCog(commands.Cog):
    """One persona at the table.

    A character without commands needs no class of its own. To give one commands, put a file of the same
    name beside its `.toml`, as `personas/wren.py` is beside `personas/wren.toml`, with a subclass::

        class Wren(PersonaCog):
            @app_commands.command(description="Wren sings.")
            async def sing(self, interaction: discord.Interaction) -> None: ...

    `persona` is who it is, `rng` the table's randomness. A change of the files makes a new instance.
    """

    def __init__(self, bot: DiscordBot, persona: Persona, rng: Random) -> None:
        self.bot = bot
        self.persona = persona
        self.rng = rng
        # discord.py knows cogs by name, and the same class serves many personas.
        self.__cog_name__ = f"Persona: {persona.name}"
