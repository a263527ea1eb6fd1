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
from tools.storyteller.judge import NARRATOR, Bayes, distinct, loops, outcomes, shared, voices, well_formed
from tools.storyteller.serve import Answer, Server, serving
from tools.storyteller.voices import VOICES

HELD_OUT = Path(__file__).with_name("held_out.txt")
PREMISE = "A night of rain, an inn on a road that runs into a lake, and a bell that rings under the water."
FOUR = ("narrator", "marta", "corvin", "wren")
HISTORY_TURNS = 3
"""Turns kept in front of a held-out message, so that it is judged in the middle of a game."""


@dataclass(frozen=True)
class Played:
    """One held-out message and its answer."""

    speaker: str
    said: str
    players: str
    """All that players and the table said so far, the words an answer may take up."""
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
        players = "\n".join(message["content"] for message in messages if message["role"] == "user")
        played.append(Played(speaker, said, players, answer))
        past = (
            [*past, asked, {"role": "assistant", "content": answer.text or "..."}][-2 * keep :]
            if keep
            else []
        )
    return played


def speaks_for_player(played: Played) -> bool:
    """Say whether the answer has a line that begins with a name and a colon, or a bracketed note."""
    return bool(re.search(r"^\s*[\w .'-]{1,32}:|^\s*\[", played.answer.text, re.MULTILINE))


def in_voice(ear: Bayes, played: Played) -> bool:
    """Say whether it sounds like the one addressed; a stranger to the corpus: like no narrator."""
    heard = ear.hears(played.answer.text)
    if "Narrator" in played.speaker:
        return heard == NARRATOR
    return heard == played.speaker if played.speaker in VOICES else heard != NARRATOR


def figures(played: list[Played]) -> dict[str, str]:
    """Give the figures of some answers by name."""
    ear, fate, texts = voices(), outcomes(), [p.answer.text for p in played]
    lengths = [len(text.split()) for text in texts]
    rolls = [(p, said) for p in played if (said := rolled_outcome(p.said))]
    return {
        "answers": str(len(played)),
        "well-formed": _share([well_formed(p.answer.text, p.players) for p in played]),
        "on topic": _share([bool(shared(p.answer.text, p.said)) for p in played]),
        "addressed character speaks": _share([in_voice(ear, p) for p in played]),
        "rolls honoured": _share([fate.hears(p.answer.text) == outcome for p, outcome in rolls]),
        "ends by itself": _share([p.answer.finish == "stop" for p in played]),
        "with a loop": _share([loops(text) for text in texts]),
        "speaks for a player": _share([speaks_for_player(p) for p in played]),
        "distinct-2": f"{distinct(texts):.2f}",
        "words per answer": f"{statistics.mean(lengths):.0f} (longest {max(lengths)})",
        "tokens/s": f"{statistics.median(p.answer.tokens_per_second for p in played):.0f}",
    }


def rolled_outcome(said: str) -> str:
    """Give `success` or `failure` where the players' lines hold a roll, and nothing where they hold none."""
    note = re.search(r"\[\w+ rolls .*, (.*)\]", said)
    return "" if not note else "success" if re.search("success|hit", note[1]) else "failure"


def _share(found: list[bool]) -> str:
    return f"{100 * sum(found) / len(found):.1f} %" if found else "-"


def evaluate(model: Path, transcript: str | None = None, threads: int = 2) -> str:
    """Play everything and give the table. `transcript` names a file for all the answers."""
    turns = held_out()
    known = [turn for turn in turns if turn[0] in {NARRATOR, *VOICES}]
    with serving(model, threads=threads) as server:
        runs = {
            "200 held-out messages": play(server, turns, system(), keep=HISTORY_TURNS),
            "four cards in the head": play(server, turns[:60], system(FOUR), keep=HISTORY_TURNS),
            "after 10 to 40 turns": play(server, known[::3][:40], system(("narrator",)), keep=40)[10:],
        }
    if transcript:
        text = (f"{p.said}\n{cue(p.speaker)}\n> {p.answer.text}" for played in runs.values() for p in played)
        Path(transcript).write_text("\n\n".join(text) + "\n", encoding="utf-8")
    columns = {title: figures(played) for title, played in runs.items()}
    names = next(iter(columns.values()))
    head = [f"| | {' | '.join(columns)} |", "|---|" + "---|" * len(columns)]
    return "\n".join([*head, *(f"| {n} | {' | '.join(c[n] for c in columns.values())} |" for n in names)])
