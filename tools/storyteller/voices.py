"""What the characters answer: a line in their own voice about what was said, and a little around it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from random import Random

from tools.storyteller.grammar import Said, Topic, agree, choose, tidy
from tools.storyteller.sources import sections
from tools.storyteller.table import LIVING, UserTurn

LONGEST = 110
"""Words of the longest answer."""
VOICES = {
    "Marta": "marta.txt",
    "Corvin Hale": "corvin.txt",
    "Sister Ilse": "ilse.txt",
    "Tobin Quill": "tobin.txt",
    "Wren": "wren.txt",
}
_SHAPES = ("L", "L", "AL", "AL", "LA", "LAC", "LC", "LC", "ALC", "LAL", "LL")
_NARRATOR_SHAPES = ("L", "LT", "LT", "LT", "LTT", "LL", "LLT", "TL")
_NEEDS_TOPIC = re.compile(r"@[Xxa]|\w~")
_ANY_TOPIC = re.compile(r"@[XxaVE]")


@dataclass
class Speaker:
    """A character that answers: its name, and the file its lines come from."""

    name: str
    narrator: bool = False

    @property
    def file(self) -> str:
        """The source of its lines."""
        return "narrator.txt" if self.narrator else VOICES.get(self.name, "generic.txt")


def answer(rng: Random, speaker: Speaker, turn: UserTurn, brief: float = 0.0) -> str:
    """Give what `speaker` says to `turn`: plain text, one paragraph, at most `LONGEST` words.

    A share `brief` of the answers is a few words that name the player and the thing, and nothing besides.
    """
    if brief and rng.random() < brief:
        return _brief(rng, speaker, turn)
    for _ in range(50):
        text = _narration(rng, speaker, turn) if speaker.narrator else _speech(rng, speaker, turn)
        if len(text.split()) <= LONGEST:
            return text
    raise ValueError(f"no short answer for {turn.lines}")


def _brief(rng: Random, speaker: Speaker, turn: UserTurn) -> str:
    text = _pick(rng, "narrator.txt" if speaker.narrator else "generic.txt", ["brief"], turn)
    return tidy(text) if speaker.narrator else f'"{tidy(text)}"'


def _fits(line: str, said: Said, also: Said | None) -> bool:
    topics = said.topics
    return not (
        (_NEEDS_TOPIC.search(line) and not topics)
        or ("@Y" in line.replace("@y", "@Y") and len(topics) < 2)
        or ("@V" in line and not said.verb)
        or ("@E" in line and not said.echo)
        or (("@Q" in line or "@Z" in line) and also is None)
    )


def _sections_for(speaker: Speaker, turn: UserTurn) -> list[str]:
    """Name the sections that answer this turn, best first."""
    said = turn.said
    if turn.outcome:
        return [turn.outcome]
    kind = said.topics[0].noun.kind if said.topics else ""
    names = [said.intent]
    if speaker.narrator:
        if said.intent == "act" and kind in LIVING:
            names = ["act_person"]
        elif len(said.topics) > 1 and said.intent in {"attack", "talk", "use"}:
            names += {"attack": ["attack_with"], "talk": ["talk_about"], "use": ["use_two"]}[said.intent]
    return names


def _pick(rng: Random, file: str, names: list[str], turn: UserTurn) -> str:
    """Give a line of the named sections that fits, filled in; of `any` or `vague` where none does."""
    source = sections(file)
    fallback = ["any"] if turn.said.topics else ["vague"]
    for wanted in (names, fallback, ["vague"]):
        lines = [
            line for name in wanted for line in source.get(name, ()) if _fits(line, turn.said, turn.other)
        ]
        pointed = [line for line in lines if _ANY_TOPIC.search(line)]
        if pointed and turn.said.topics and rng.random() < 0.97:
            lines = pointed
        if lines:
            return fill(rng, rng.choice(lines), turn)
    raise ValueError(f"{file} has nothing for {names}")


def _line(rng: Random, speaker: Speaker, turn: UserTurn) -> str:
    """Give the line that answers: mostly to the point, at times only an echo or a word on the subject."""
    names, roll = _sections_for(speaker, turn), rng.random()
    file = speaker.file
    if not speaker.narrator and file != "generic.txt" and rng.random() < (0.6 if turn.outcome else 0.12):
        file = "generic.txt"
    if turn.said.topics and not turn.outcome:
        if roll < 0.07 and turn.said.echo:
            names = ["echo"]
        elif roll < 0.2:
            names = ["any"]
        elif roll < 0.28 and turn.other and "two" in sections(file):
            names = ["two"]
    return _pick(rng, file, names, turn)


def _narration(rng: Random, speaker: Speaker, turn: UserTurn) -> str:
    parts: list[str] = []
    for part in rng.choice(_NARRATOR_SHAPES):
        if part == "L":
            parts.append(
                _line(rng, speaker, turn) if not _has_line(parts, turn) else _second(rng, speaker, turn)
            )
        else:
            parts.append(fill(rng, rng.choice(sections("narrator.txt")["tail"]), turn))
    if turn.other and "@Q" not in "".join(parts) and rng.random() < 0.35:
        parts.append(_pick(rng, speaker.file, ["also"], turn))
    return tidy(" ".join(dict.fromkeys(part for part in parts if part)))


def _has_line(parts: list[str], turn: UserTurn) -> bool:
    return bool(parts) and bool(turn.said.topics)


def _second(rng: Random, speaker: Speaker, turn: UserTurn) -> str:
    return _pick(rng, speaker.file, ["any", turn.said.intent if not turn.outcome else "any"], turn)


def _speech(rng: Random, speaker: Speaker, turn: UserTurn) -> str:
    source = {**sections("generic.txt"), **sections(speaker.file)}
    pieces: list[tuple[str, bool]] = []
    for part in rng.choice(_SHAPES):
        if part == "L":
            text = _line(rng, speaker, turn)
        else:
            lines = [
                line for line in source["action" if part == "A" else "close"] if _fits(line, turn.said, None)
            ]
            text = fill(rng, rng.choice(lines), turn, speaker.name)
        if (text, part != "A") not in pieces:
            pieces.append((text, part != "A"))
    if turn.other and rng.random() < 0.25:
        pieces.append((_pick(rng, "generic.txt", ["also"], turn), True))
    return tidy(_quoted(pieces).replace("@N", speaker.name))


def _quoted(pieces: list[tuple[str, bool]]) -> str:
    """Set speech in quotation marks and actions between asterisks; neighbours share one pair."""
    out: list[str] = []
    previous: bool | None = None
    for text, spoken in pieces:
        mark = '"' if spoken else "*"
        line = tidy(text.replace('"', "'") if spoken else text)
        if spoken is previous:
            out[-1] = f"{out[-1][:-1]} {line}{mark}"
        else:
            out.append(f"{mark}{line}{mark}")
        previous = spoken
    return " ".join(out)


def fill(rng: Random, line: str, turn: UserTurn, name: str = "") -> str:
    """Give a source line with its choices made and what the player said put into it."""
    said, other = turn.said, turn.other
    text = choose(rng, line)
    plural = bool(said.topics) and said.topics[0].plural
    text = re.sub(r"(\w+)~", lambda m: agree(m[1], plural), text)
    short = rng.random() < 0.4
    values = {"P": said.player, "V": said.verb, "E": said.echo.rstrip(".!?")}
    if name:
        values["N"] = name
    if said.topics:
        first = _shortened(said.topics[0], short)
        values |= {"X": first.definite(), "x": first.bare(), "a": first.indefinite()}
    if len(said.topics) > 1:
        values |= {"Y": said.topics[1].definite(), "y": said.topics[1].bare()}
    if other:
        values |= {"Q": other.player, "Z": other.topics[0].definite()}
    return re.sub(r"@([A-Za-z])(?![a-z])", lambda m: values.get(m[1], m[0]), text)


def _shortened(topic: Topic, short: bool) -> Topic:
    return Topic(topic.noun, "", topic.owner) if short else topic
