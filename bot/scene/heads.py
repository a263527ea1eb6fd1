"""What stands before a scene's story: whole, as it fits a context, and as it was made to fit before."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bot.persona.persona import card
from bot.prompt.log import Head, aside_line, render_head
from bot.prompt.window import fitted
from bot.scene.knowledge import standing
from bot.scene.wording import lasting

if TYPE_CHECKING:
    from bot.persona.persona import Persona
    from bot.persona.personas import Personas
    from bot.scene.counting import ServerCounter
    from bot.scene.kept import Kept
    from bot.scene.lore import SceneLore
    from bot.scene.scene import Scene
    from bot.scene.stories import Stories

# Heads that a scene keeps as they were shortened: two for each of the cast, and some.
KEPT_HEADS = 32


class Heads:
    """Puts heads together from the cast's cards, standing lore, what is kept, and what was summed up."""

    def __init__(
        self, personas: Personas, lore: SceneLore, stories: Stories, kept: Kept, answer_tokens: int
    ) -> None:
        self._personas = personas
        self._lore = lore
        self._stories = stories
        self._kept = kept
        self._answer_tokens = answer_tokens

    async def whole(self, scene: Scene, context_length: int, persona: Persona | None) -> Head:
        """Give the head for a context of so many tokens, as nothing is left out of it yet.

        It tells of the story what `persona` knows; None stands for somebody who is gone.
        """
        lore = await self._lore.standing(scene, context_length)
        cast = [one for one in map(self._personas.get, scene.cast) if one]
        cards = tuple(card(one, lasting(scene.record, one)) for one in cast)
        kept = standing(await self._kept.of(scene), scene, cast, context_length)
        story = await self._stories.told(scene, persona)
        return Head(
            scene.record.title,
            scene.record.premise,
            cards,
            lore,
            kept.pins,
            story,
            kept.secrets,
            kept.own_pins,
            secrets_last=not all(one.narrator for one in cast),
        )

    async def shortened(self, scene: Scene, head: Head, context_length: int, counter: ServerCounter) -> Head:
        """Shorten a head for who answers at greatest length: nobody's turn changes what all have in common.

        Where a server has to be asked, what is left out is estimated: so once more, until what is left fits.
        """
        while True:
            short, _ = fitted(head, context_length, self.longest_answer(scene), counter, counter.scale)
            await counter.prime(texts_counted(short))
            if short == head:
                return head
            head = short

    def longest_answer(self, scene: Scene) -> int:
        """Give the tokens that the longest answers of the cast may have."""
        cast = filter(None, (self._personas.get(slug) for slug in scene.cast))
        return max((one.sampling.max_tokens or self._answer_tokens for one in cast), default=1)


def known_to(head: Head, persona: Persona) -> Head:
    """Give a head as one of the cast knows it: nobody but a narrator is told of secrets."""
    own = tuple(pin for pin in head.own_pins if persona.slug in pin.known_to)
    return replace(head, own_pins=own, secrets=head.secrets if persona.narrator else ())


def texts_counted(head: Head) -> list[str]:
    """Give the texts whose tokens a plan needs: the head whole, without its secrets, without the story."""
    fronts = [render_head(one) for one in (head, replace(head, secrets=()), replace(head, story=()))]
    return [*fronts, *filter(None, [aside_line(head)])]


def as_before(scene: Scene, raw: Head, context_length: int) -> Head:
    """Give a head as it was shortened before; whatever the story tells, the cards stay as they are."""
    bare = replace(raw, story=())
    before = scene.heads.get((bare, context_length), bare)
    return scene.heads.get((raw, context_length), replace(before, story=raw.story))


def remember(scene: Scene, raw: Head, context_length: int, head: Head) -> None:
    """Keep a head as it was shortened, and its cards and lore for when the story tells something else."""
    for key, short in (
        ((raw, context_length), head),
        ((replace(raw, story=()), context_length), replace(head, story=())),
    ):
        scene.heads.pop(key, None)
        scene.heads[key] = short
    while len(scene.heads) > KEPT_HEADS:
        del scene.heads[next(iter(scene.heads))]
