"""The evaluation: 200 held-out messages, a conversation that fills the window, and what must never happen."""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass
from pathlib import Path

from bot.persona.persona import card
from bot.persona.toml import read
from bot.prompt.log import Head, cue, render_head
from tools.storyteller.corpus import PERSONAS
from tools.storyteller.judge import NARRATOR, Ear, distinct, loops, shared, well_formed
from tools.storyteller.serve import Answer, Server, serving
from tools.storyteller.voices import VOICES

HELD_OUT = Path(__file__).with_name("held_out.txt")
PREMISE = "A night of rain, an inn on a road that runs into a lake, and a bell that rings under the water."
HISTORY_TURNS = 3
"""Turns kept in front of a held-out message, so that it is judged in the middle of a game."""


@dataclass(frozen=True)
class Played:
    """One held-out message and its answer."""

    speaker: str
    said: str
    prompt: str
    answer: Answer


def held_out() -> list[tuple[str, str]]:
    """Give the held-out messages: who answers, and the players' lines."""
    found = []
    for line in HELD_OUT.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            speaker, *lines = (part.strip() for part in line.split(" | "))
            found.append((speaker, "\n".join(lines)))
    return found


def system(cast: tuple[str, ...] = ("narrator", "marta")) -> str:
    """Give the system message as the bot writes it, with the cards of `cast` (file names in `personas/`)."""
    cards = tuple(card(read(PERSONAS / f"{name}.toml")) for name in cast)
    return render_head(Head("The Drowned Bell", PREMISE, cards))


def play(server: Server, turns: list[tuple[str, str]], head: str, keep: int) -> list[Played]:
    """Play the turns in order, each with the last `keep` in front of it, without any stop string."""
    past: list[dict[str, str]] = []
    played = []
    for number, (speaker, said) in enumerate(turns):
        asked = {"role": "user", "content": f"{said}\n{cue(speaker)}"}
        messages = [{"role": "system", "content": head}, *past, asked]
        answer = server.answer(messages, seed=1000 + number)
        played.append(Played(speaker, said, "\n".join(m["content"] for m in messages[1:]), answer))
        past = (
            [*past, asked, {"role": "assistant", "content": answer.text or "..."}][-2 * keep :]
            if keep
            else []
        )
    return played


def speaks_for_player(played: Played) -> bool:
    """Say whether the answer has a line that begins with a name and a colon, or a bracketed note."""
    return bool(re.search(r"^\s*[\w .'-]{1,32}:|^\s*\[", played.answer.text, re.MULTILINE))


def in_voice(ear: Ear, played: Played) -> bool:
    """Say whether it sounds like the one addressed; a stranger to the corpus: like no narrator."""
    heard = ear.hears(played.answer.text)
    if "Narrator" in played.speaker:
        return heard == NARRATOR
    return heard == played.speaker if played.speaker in VOICES else heard != NARRATOR


def table(title: str, played: list[Played]) -> str:
    """Give the figures of some answers, one line each."""
    ear, texts = Ear(), [p.answer.text for p in played]
    lengths = [len(text.split()) for text in texts]
    rows = {
        "answers": str(len(played)),
        "well-formed": _share(well_formed(p.answer.text, p.prompt) for p in played),
        "on topic": _share(bool(shared(p.answer.text, p.said)) for p in played),
        "addressed character speaks": _share(in_voice(ear, p) for p in played),
        "ends by itself": _share(p.answer.finish == "stop" for p in played),
        "with a loop": _share(loops(text) for text in texts),
        "speaks for a player": _share(map(speaks_for_player, played)),
        "distinct-2": f"{distinct(texts):.3f}",
        "words per answer": f"{statistics.mean(lengths):.1f} (longest {max(lengths)})",
        "tokens/s": f"{statistics.median(p.answer.tokens_per_second for p in played):.0f} (median)",
    }
    return "\n".join(
        (f"| {title} | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows.items()))
    )


def _share(found: object) -> str:
    values = [bool(value) for value in found]  # type: ignore[attr-defined]
    return f"{100 * sum(values) / len(values):.1f} % ({sum(values)})"


def evaluate(model: Path, transcript: str | None = None) -> str:
    """Play everything and give the tables. `transcript` names a file for all the answers."""
    turns = held_out()
    with serving(model) as server:
        alone = play(server, turns, system(), keep=HISTORY_TURNS)
        wide = play(server, turns[:60], system(("narrator", "marta", "corvin", "wren")), keep=HISTORY_TURNS)
        known = [turn for turn in turns if turn[0] in {NARRATOR, *VOICES}]
        long = play(server, known[::3][:40], system(("narrator",)), keep=30)[10:]
    if transcript:
        text = "\n\n".join(f"{p.said}\n{cue(p.speaker)}\n> {p.answer.text}" for p in (*alone, *long))
        Path(transcript).write_text(text + "\n", encoding="utf-8")
    return "\n\n".join((table("held-out messages, two cards", alone), table("four cards", wide),
                        table("after 10 to 30 turns", long)))  # fmt: skip
