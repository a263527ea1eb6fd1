"""Wren's own command: `/sing`, four lines about anything, made up on the spot without the model."""

from __future__ import annotations

from random import Random

import discord
from discord import app_commands

from cogs.persona_cog import PersonaCog

SUBJECTS = ("the drowned bell", "the man who held the rope", "a door shut from outside", "the last boat home")

OPENINGS = (
    (
        "I learned a song of {subject} from a man without a coat,",
        "He sang me half for supper and he owed me for the boat,",
    ),
    (
        "They'll tell you all of {subject} at the bottom of the glass,",
        "And none of them was near it, but they swear it came to pass,",
    ),
    (
        "Oh, pour a cup for {subject}, and another for the rain,",
        "And one for every fool who said he'd not come back again,",
    ),
    (
        "My mother warned of {subject} with her hand upon the latch,",
        "She told me twice and barred the door and would not strike a match,",
    ),
    (
        "There's nothing told of {subject} that the priest would have you hear,",
        "So lean in close and pay for one and lend me half an ear,",
    ),
    (
        "I've sung to kings of {subject} and I've sung to thieves as well,",
        "The kings had better manners but the thieves had more to tell,",
    ),
    (
        "The ballad made of {subject} has a verse they never sing,",
        "It's written on a scrap of sail and folded in a ring,",
    ),
    (
        "I dreamed last night of {subject} and I woke before the end,",
        "I asked about it up and down and lost a likely friend,",
    ),
)

CLOSINGS = (
    (
        "And if you hear it after dark, then count the strokes with care,",
        "For one of us was at the door, and none of us was there.",
    ),
    (
        "So drink it down and dance it out and never mind the flood,",
        "There's many a shining story with its boots still full of mud.",
    ),
    (
        "The tune is old, the words are new, the truth is in between,",
        "It's hiding in the second verse, the one that's none too clean.",
    ),
    (
        "They raised a stone and carved a name and spelled it rather wrong,",
        "So if you'd be remembered, friend, be civil to my song.",
    ),
    (
        "I'd give you all the rest of it, but half of it is lies,",
        "And half of it is sitting here and will not meet my eyes.",
    ),
    (
        "The road went down, the water rose, the bell went on and on,",
        "And no one asked who pulled the rope until the rope was gone.",
    ),
    (
        "And some went home, and some went on, and one went back to see,",
        "And if you want to know which one, then buy a drink for me.",
    ),
    (
        "Now every word of that is true, or would be if it rhymed,",
        "I was not there, I never stole, it wasn't me who climbed.",
    ),
)


def song(subject: str, rng: Random) -> str:
    """Make four lines about a subject."""
    plain = " ".join(subject.split()) or rng.choice(SUBJECTS)
    lines = (*rng.choice(OPENINGS), *rng.choice(CLOSINGS))
    return "\n".join(lines).replace("{subject}", plain)


class Wren(PersonaCog):
    """A bard who sings when asked."""

    @app_commands.command(description="Wren sings four lines about anything.")
    @app_commands.describe(subject="What the song is about; leave it out and Wren chooses")
    async def sing(
        self, interaction: discord.Interaction, subject: app_commands.Range[str, 1, 60] | None = None
    ) -> None:
        """Sing in the channel."""
        lines = song(discord.utils.escape_markdown(subject or ""), self.rng).splitlines()
        verse = "\n".join(f"> *{line}*" for line in lines)
        await interaction.response.send_message(
            f"**{self.persona.name}** finds a chord.\n{verse}",
            allowed_mentions=discord.AllowedMentions.none(),
            suppress_embeds=True,
        )
