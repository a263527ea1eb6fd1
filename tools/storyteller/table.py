"""What stands in one user message: players' lines, notes of the table, and the cue."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from tools.storyteller.grammar import Expander, Said, Topic, choose, invented, pick_noun, strange, tidy
from tools.storyteller.sources import sections, words

LIVING = frozenset({"creature", "person", "name"})
_PREFERRED = {
    "attack": LIVING, "sneak": LIVING, "talk": LIVING, "open": frozenset({"open"}),
    "go": frozenset({"place", "name"}), "cast": LIVING,
}  # fmt: skip
_PRONOUNS = frozenset(
    [
        "i",
        "you",
        "me",
        "my",
        "your",
        "we",
        "us",
        "our",
        "it",
        "he",
        "she",
        "they",
        "him",
        "her",
        "them",
        "yours",
        "mine",
        "to",
        "and",
    ]
)
_WEIGHTS = {
    "act": 4, "about": 3, "look": 2, "take": 2, "open": 2, "go": 2, "attack": 2, "talk": 2, "use": 2,
    "tell": 2,
    "vague": 1.5, "greet": 1.2, "bye": 0.5, "yes": 0.7, "self": 0.8, "listen": 0.8, "rest": 1, "cast": 1,
}  # fmt: skip


@dataclass
class UserTurn:
    """The lines of a user message without its cue, and what the answer is about."""

    lines: list[str]
    said: Said
    other: Said | None = None
    outcome: str = ""
    cue_only: bool = field(default=False)


def _echo(text: str, topic: Topic) -> str:
    """Give two to five words of the message that end in the topic and hold no pronoun."""
    match = re.search(rf"((?:[\w'-]+ ){{1,4}}){re.escape(topic.noun.text)}\b", text)
    if not match or topic.owner:
        return ""
    front = match[1].split()
    while front and any(word.lower() in _PRONOUNS for word in front):
        front.pop(0)
    return " ".join([*front, topic.noun.text]) if front else ""


def _typed(rng: Random, text: str) -> str:
    """Give a message as people type it: capitals and full stops come and go."""
    roll = rng.random()
    if roll < 0.55:
        text = re.sub(r"(^[\"]?|[.!?] )([a-z])", lambda m: m[1] + m[2].upper(), text)
    elif roll < 0.62:
        text = text.replace("'", "")
    if rng.random() < 0.2:
        text = text.removesuffix(".")
    elif rng.random() < 0.06:
        text = re.sub(r"\.$", rng.choice(("!", "...", "!!")), text)
    return text


def _dressed(rng: Random, expander: Expander, main: str) -> str:
    """Put the talk around it that players put around what they mean."""
    chatter = sections("chatter.txt")
    roll = rng.random()
    if roll < 0.14:
        main = f"{rng.choice(chatter['lead'])} {main}"
    elif roll < 0.24:
        main = f"{expander.persona.removeprefix('The ')}, {main}"
    elif roll < 0.30:
        main = f'I say to {expander.persona.removeprefix("The ")}: "{main}"'
    elif roll < 0.34:
        main = f'"{main}"'
    roll = rng.random()
    if roll < 0.12:
        main = f"{_stopped(main)} {rng.choice(chatter['tail'])}"
    elif roll < 0.2:
        main = f"{_stopped(expander.fill(rng.choice(chatter['aside'])))} {main}"
    elif roll < 0.25:
        gap = rng.choice((" ", " ", " ", "\n  "))
        main = f"{_stopped(main)}{gap}{expander.fill(rng.choice(chatter['aside']))}"
    return main


def _stopped(text: str) -> str:
    return text if text[-1] in '.!?"' else text + "."


def pick_intent(rng: Random) -> str:
    """Give what a message is about."""
    intents = list(sections("messages.txt"))
    return rng.choices(intents, [_WEIGHTS.get(intent, 1) for intent in intents])[0]


def say(rng: Random, player: str, persona: str, others: Sequence[str], intent: str = "") -> Said:
    """Give one player's message to or in front of `persona`."""
    intent = intent or pick_intent(rng)
    expander = Expander(rng, player, persona, others)
    raw = expander.fill(rng.choice(sections("messages.txt")[intent]))
    marked = re.search(r"\*(.+?)\*", raw)
    topics = sorted(
        expander.topics, key=lambda t: t.noun.kind not in _PREFERRED.get(intent, LIVING | {t.noun.kind})
    )
    main = raw.replace("*", "")
    echo = marked[1] if marked else _echo(main, topics[0]) if topics else ""
    verb = expander.verb
    text = _typed(rng, _articles(_dressed(rng, expander, main)))
    return Said(player, intent, text, topics, verb, echo)


def _articles(text: str) -> str:
    return re.sub(r"\b([Aa]) (?=[aeiouAEIOU])", r"\1n ", text)


def _outcome(rng: Random) -> tuple[str, str, int]:
    """Give an outcome, the word the note has for it, and a fitting total."""
    outcome = rng.choices(("success", "failure", "crit", "fumble", "roll"), (5, 5, 1, 1, 1.2))[0]
    word = {
        "success": ("a success", "success", "succeeds"), "failure": ("a failure", "failure", "fails"),
        "crit": ("a critical success", "a natural 20"), "fumble": ("a critical failure", "a natural 1"),
        "roll": ("",),
    }[outcome]  # fmt: skip
    low, high = {
        "success": (12, 27),
        "failure": (2, 12),
        "crit": (20, 28),
        "fumble": (1, 5),
        "roll": (8, 14),
    }[outcome]
    return outcome, rng.choice(word), rng.randint(low, high)


def _dice(rng: Random) -> str:
    return f"1d20{rng.choice(('', '', '+1', '+2', '+3', '+4', '+5', '-1', ' + 3', ' + 5'))}"


def rolled(rng: Random, player: str, persona: str, others: Sequence[str]) -> UserTurn:
    """Give a turn in which dice stand in the log: the answer has to honour them."""
    if rng.random() < 0.35:
        return _rolled_attack(rng, player, persona, others)
    said = say(rng, player, persona, others, "act")
    while not said.topics or not said.verb:
        said = say(rng, player, persona, others, "act")
    outcome, word, total = _outcome(rng)
    goal = (
        f" to {said.verb} {said.topics[0].definite().replace('your ', 'the ')}" if rng.random() < 0.8 else ""
    )
    note = f"[{player} rolls {_dice(rng)}{goal}: {total}{', ' + word if word else ''}]"
    lines = [note] if goal and rng.random() < 0.15 else [f"{player}: {said.text}", note]
    return UserTurn(lines, said, outcome=outcome)


def _rolled_attack(rng: Random, player: str, persona: str, others: Sequence[str]) -> UserTurn:
    said = say(rng, player, persona, others, "attack")
    outcome = rng.choice(("hit", "miss"))
    word = {
        "hit": ("a hit", "hits", "hit, 6 damage", "a success"),
        "miss": ("a miss", "misses", "a failure"),
    }[outcome]
    total = rng.randint(13, 27) if outcome == "hit" else rng.randint(2, 12)
    target = said.topics[0].definite().replace("your ", "the ")
    goal = f" to hit {target}" if rng.random() < 0.8 else ""
    note = f"[{player} rolls {_dice(rng)}{goal}: {total}, {rng.choice(word)}]"
    return UserTurn([f"{player}: {said.text}", note], said, outcome=outcome)


def _note(rng: Random, player: str) -> str:
    thing = pick_noun(rng, "thing").text
    return choose(rng, rng.choice((
        f"[{player} (takes|drops|loses|buys|finds) the {thing}.]",
        f"[{player} has {rng.randint(1, 12)} of 12 hit points.]",
        f"[earlier: {player} found the {thing} in the {pick_noun(rng, 'place').text}]",
        "[It is (night|morning|evening|raining|getting dark).]",
        f"[{player} is (wounded|poisoned|asleep|hidden).]",
        f"[{player} (joins|leaves) the scene.]",
    )))  # fmt: skip


def user_turn(rng: Random, players: Sequence[str], persona: str) -> UserTurn:
    """Give a whole user message for `persona` to answer."""
    player = rng.choice(players)
    others = [name for name in players if name != player]
    if rng.random() < 0.13:
        turn = rolled(rng, player, persona, others)
    else:
        said = say(rng, player, persona, others)
        turn = UserTurn([f"{player}: {said.text}"], said)
    if others and rng.random() < 0.55:
        _join(rng, turn, others, persona)
    if rng.random() < 0.05:
        turn.lines.insert(0, _note(rng, rng.choice(players)))
    return turn


def _join(rng: Random, turn: UserTurn, others: Sequence[str], persona: str) -> None:
    """Let one or two other players speak in the same message."""
    for name in rng.sample(others, min(len(others), rng.choice((1, 1, 1, 2)))):
        if rng.random() < 0.5:
            other = say(rng, name, persona, [turn.said.player], pick_intent(rng))
            turn.lines.insert(0, f"{name}: {other.text}")
            turn.other = other if other.topics else None
        else:
            expander = Expander(rng, name, persona, [turn.said.player])
            text = _typed(rng, _articles(expander.fill(rng.choice(sections("chatter.txt")["other"]))))
            where = len(turn.lines) if rng.random() < 0.5 and not turn.outcome else 0
            turn.lines.insert(where, f"{name}: {text}")


def player_names(rng: Random, count: int) -> list[str]:
    """Give the names of a table."""
    names = [
        invented(rng) if strange(rng) and rng.random() < 0.3 else name
        for name in rng.sample(words("names.txt", "player"), count)
    ]
    return [tidy(name) if rng.random() < 0.9 else name.lower() for name in names]
