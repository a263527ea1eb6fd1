"""Whole conversations: a head, players at a table, and the characters' answers, drawn from one seed."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from tools.storyteller.grammar import Said, invented
from tools.storyteller.sources import sections, words
from tools.storyteller.table import UserTurn, player_names, user_turn
from tools.storyteller.voices import VOICES, Speaker, answer

PERSONAS = Path(__file__).parents[2] / "personas"


@dataclass(frozen=True)
class Message:
    """One chat message. `learned` says whether the network is to learn writing it."""

    role: str
    text: str
    learned: bool = False


@cache
def _cards() -> tuple[tuple[str, ...], ...]:
    """Give the paragraphs of the shipped characters' cards: what heads are really made of."""
    cards = []
    for file in sorted(PERSONAS.glob("*.toml")):
        card = tomllib.loads(file.read_text(encoding="utf-8"))
        name = card["name"]
        parts = [
            f"## {name}",
            *card.get("description", "").split("\n\n"),
            f"How {name} talks: {card.get('voice', '')}",
        ]
        examples = (f"Player: {e.get('player', '')}\n{name}: {e['answer']}" for e in card.get("examples", ()))
        parts.append("\n".join((f"{name} in play:", *examples)))
        cards.append(tuple(part.strip() for part in parts))
    return tuple(cards)


@cache
def _greetings() -> tuple[str, ...]:
    cards = (tomllib.loads(file.read_text(encoding="utf-8")) for file in sorted(PERSONAS.glob("*.toml")))
    return tuple(card["greeting"].strip() for card in cards if "greeting" in card)


def cast(rng: Random) -> list[Speaker]:
    """Give the characters of a scene: mostly a narrator and some others, known and unknown."""
    speakers = []
    if rng.random() < 0.85:
        speakers.append(Speaker(rng.choice(words("names.txt", "narrator")), narrator=True))
    speakers += [Speaker(name) for name in rng.sample(list(VOICES), rng.choice((1, 1, 2, 2, 3)))]
    if rng.random() < 0.35:
        name = rng.choice(words("names.txt", "persona")) if rng.random() < 0.8 else invented(rng).capitalize()
        speakers.append(Speaker(name))
    return speakers


def _card(rng: Random, speaker: Speaker) -> str:
    head = sections("heads.txt")
    role, traits = rng.choice(head["role"]), rng.sample(head["trait"], rng.randint(1, 4))
    return f"## {speaker.name}\n\n{speaker.name} is {role}.\n\n{' '.join(traits)}"


def head(rng: Random, speakers: list[Speaker], size: float) -> str:
    """Give a system message. `size` from 0 (the title alone) to 1 (instructions and long cards)."""
    source = sections("heads.txt")
    scene = f"The scene: {rng.choice(source['title'])}. {rng.choice(source['premise']) if size > 0.1 else ''}"
    parts = [scene.strip()]
    if size > 0.3:
        count = min(len(source["instruction"]), int(1 + size * 8 * rng.random()))
        told = source["instruction"]
        parts.insert(0, " ".join(told[:count] if rng.random() < 0.5 else rng.sample(told, count)))
    if size > 0.5:
        parts += [_card(rng, s) if rng.random() > size else _shipped(rng, s, size) for s in speakers]
    return "\n\n".join(parts)


def _shipped(rng: Random, speaker: Speaker, size: float) -> str:
    cards = _cards()
    if not cards:
        return _card(rng, speaker)
    own = [card for card in cards if speaker.name in card[0]]
    card = own[0] if own else rng.choice(cards)
    keep = max(2, round(len(card) * min(1.0, size * rng.uniform(0.5, 1.1))))
    return "\n\n".join((f"## {speaker.name}", *card[1:keep]))


def _opening(rng: Random, speaker: Speaker) -> list[Message]:
    text = rng.choice((*sections("heads.txt")["opening"], *_greetings()))
    return [Message("user", f"[{speaker.name} answers.]"), Message("assistant", text)]


def conversation(rng: Random, turns: int, size: float, brief: float = 0.0) -> Iterator[Message]:
    """Give a system message and `turns` turns of question and answer, a share `brief` of them brief."""
    speakers = cast(rng)
    players = player_names(rng, rng.choice((1, 1, 2, 2, 3, 4)))
    yield Message("system", head(rng, speakers, size))
    if rng.random() < 0.25:
        yield from _opening(rng, rng.choice(speakers))
    last = UserTurn([], Said(players[0], "vague", ""))
    narrator_first = [0.5 if speaker.narrator else 1.0 / len(speakers) for speaker in speakers]
    for turn_number in range(turns):
        speaker = rng.choices(speakers, narrator_first)[0]
        if turn_number and rng.random() < 0.07:
            turn = UserTurn([], last.said)
        else:
            turn = last = user_turn(rng, players, speaker.name)
        yield Message("user", "\n".join([*turn.lines, f"[{speaker.name} answers.]"]))
        yield Message("assistant", answer(rng, speaker, turn, brief), learned=True)
