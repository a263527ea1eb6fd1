"""What a long evening costs the model server: tokens evaluated while a player waits, and tokens that are new.

The bot runs as its own process between the rehearsal room and llama.cpp's own server, and
plays a real campaign's transcript. README.md says what each figure means.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import signal
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.evening import ANSWER_TOKENS, evening, unmarked
from bench.first_token import first_tokens
from bench.layouts import LAYOUTS, Exchange, Tokens, evaluated, exchanges, new_tokens, own_tokens
from bench.machine import describe
from bot.clock import SystemClock
from bot.model.cpu import CpuServer
from bot.prompt.log import STORY
from tests.acceptance.tabletop import PROJECT

if TYPE_CHECKING:
    from bench.evening import Evening
    from tests.fakes.tap import Passed

Figures = dict[str, Any]

TRANSCRIPT = PROJECT.parent / "shared" / "data" / "crd3" / "C1E002.turns.jsonl"
BUNDLED = PROJECT / "bot" / "model" / "storyteller.gguf"
USUAL = 400
"""Words of the transcript, the most frequent ones, that are no keys: `about`, `going`, `think`."""
LORE = "Of old, {key} had a tale of its own: it came to us by the pass in the year {n}."
"""It holds no other key: entries that wake each other are another measurement."""
FULL = 0.8
"""The share of an evening's longest prompt from which a window counts as full: not long after it is cut."""
TARGETS = {"evaluated_for_new": 1.05, "first_token_full_for_empty": 1.2}
TOLD_EVERY = 10  # turns


class Bench:
    """What is measured, and with what."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options = options
        self.folder = folder
        self.lines = read_lines(options.transcript, options.turns)
        self.book = lorebook(read_lines(options.transcript, max(options.turns, 200)), options.lore)
        longest = max(options.context)
        self.model = options.model if options.excerpts else unmarked(options.model, folder, longest)
        self.stopped = False
        self.figures: Figures = {
            "machine": asdict(describe()),
            "model": options.model.name,
            "slots": options.slots,
            "lore": len(self.book["entries"]) if self.book else 0,
            "runs": [],
        }

    def stop(self) -> None:
        """End with the turn that is being played; what was played by then is measured."""
        self.stopped = True
        tell("stopping after this turn; once more kills")
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().remove_signal_handler(name)

    def keep(self) -> None:
        """Write what there is by now."""
        if self.options.out:
            self.options.out.write_text(json.dumps(self.figures, indent=2), encoding="utf-8")

    async def run(self) -> None:
        """Measure everything."""
        for name in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(name, self.stop)
        for context in self.options.context:
            if not self.stopped:
                await self.play(context)

    async def play(self, context: int) -> None:
        """Play the lines at one context length, and note what they cost."""
        run: Figures = {"context": context, "turns": 0}
        self.figures["runs"].append(run)
        server = CpuServer(self.model, clock=SystemClock(), context=context, parallel=self.options.slots)
        try:
            endpoint = await server.ensure()
            async with evening(self._folder(f"evening-{context}"), endpoint, self.book) as played:
                await self._turns(played, run)
                answers, run["read"] = list(played.tap.answers), reading(played)
                counter = Tokens(endpoint)
                run |= await asyncio.to_thread(costs, counter, answers, context)
                self.keep()
                if not self.stopped:
                    run["first_token"] = await first_tokens(
                        played, counter, full_from(run), self.lines, lambda: self.stopped
                    )
        finally:
            await server.stop()
            self.keep()

    async def _turns(self, played: Evening, run: Figures) -> None:
        began = time.perf_counter()
        for player, text in self.lines:
            if self.stopped:
                break
            await played.turn(player, text)
            run["turns"] += 1
            if run["turns"] % TOLD_EVERY == 0:
                run["evaluated_so_far"] = sum(chat.evaluated for chat in played.tap.answers if chat.cost)
                each = (time.perf_counter() - began) / run["turns"]
                tell(
                    f"context {run['context']}: {run['turns']} of {len(self.lines)}, {each:.1f} s each, "
                    f"{run['evaluated_so_far']:,} tokens evaluated while players waited"
                )
                self.keep()

    def _folder(self, name: str) -> Path:
        folder = self.folder / name
        folder.mkdir()
        return folder


def tell(text: str) -> None:
    """Tell whoever waits how far it is."""
    print(text, file=sys.stderr, flush=True)


def full_from(run: Figures) -> int:
    """Give the tokens of a prompt from which a window counts as full."""
    return int(FULL * max(tokens for _, _, tokens in run["by_turn"]))


def costs(counter: Tokens, answers: list[Passed], context: int) -> Figures:
    """Give the tokens that this bot's prompts and those of the other layouts had evaluated."""
    refused = sum(not chat.cost for chat in answers)
    answers = [chat for chat in answers if chat.cost]
    turns = new_tokens(counter, [chat.messages for chat in answers])
    new = sum(turns)
    own = own_tokens(counter, [chat.messages for chat in answers])
    told: list[Exchange] = exchanges([chat.messages for chat in answers])
    system = answers[0].messages[0]["content"]
    room = context - ANSWER_TOKENS - context // 64
    layouts = {
        name: evaluated(counter, build(counter, system, told, room)) for name, build in LAYOUTS.items()
    }
    ours = sum(chat.evaluated for chat in answers)
    return {
        "new": new,
        "new_without_answers": new - own,
        "sent": sum(chat.prompt_tokens for chat in answers),
        "evaluated": {"this bot": ours, **layouts},
        "for_new": {name: round(tokens / new, 3) for name, tokens in {"this bot": ours, **layouts}.items()},
        "for_new_without_answers": round(ours / (new - own), 3),
        "refused": refused,
        "lore_told": _lines_of(told, "[Of old, "),
        "memories_told": _lines_of(told, "[earlier, "),
        "with_summary": sum(STORY in chat.messages[0]["content"] for chat in answers),
        "by_turn": [[n, chat.evaluated, chat.prompt_tokens] for n, chat in zip(turns, answers, strict=True)],
    }


def _lines_of(told: list[Exchange], begin: str) -> int:
    return sum(line.startswith(begin) for one in told for line in one.said.split("\n"))


def reading(played: Evening) -> Figures:
    """Give what was read ahead and summed up, and the seconds that players would have to give it."""
    done = [chat for chat in played.tap.read_ahead if chat.cost and chat.ended]
    seconds = [(chat.ended or chat.sent) - chat.sent for chat in done]
    summing = [chat for chat in played.tap.chats if chat.summing_up]
    return {
        "ahead": sum(chat.evaluated for chat in done),
        "ahead_s": {"p50": round(statistics.median(seconds), 3), "most": round(max(seconds), 3)},
        "summing_up": len(summing),
        "for_summing_up": sum(chat.evaluated for chat in summing if chat.cost),
        "summed_up": played.table.log().count("summed_up"),
        "cuts": played.table.log().count("window_cut"),
    }


def verdicts(figures: Figures) -> dict[str, bool]:
    """Hold the figures against their targets."""
    runs = [run for run in figures["runs"] if "for_new" in run]
    first = [run["first_token"] for run in runs if run.get("first_token")]
    met = {}
    if runs:
        ours = [run["for_new"]["this bot"] for run in runs]
        met["evaluated_for_new"] = all(_kept("evaluated_for_new", one) for one in ours)
    if first:
        ratios = [one["full_for_empty"]["server_ms"] for one in first]
        met["first_token_full_for_empty"] = all(_kept("first_token_full_for_empty", one) for one in ratios)
    return met


def _kept(name: str, figure: float) -> bool:
    return figure <= TARGETS[name]


def shown(figures: Figures) -> str:
    """Write the figures for people."""
    lines = ["{cpu}, {cores} cores, Python {python}, load {load}".format(**figures["machine"])]
    lines.append(f"model: {figures['model']}, {figures['slots']} slots, {figures['lore']} entries of lore")
    for run in figures["runs"]:
        lines += _run_lines(run) if "for_new" in run else []
    kept = figures["targets_met"]
    lines += [f"{name} <= {TARGETS[name]:g}: {'met' if met else 'MISSED'}" for name, met in kept.items()]
    return "\n".join(lines)


def _run_lines(run: Figures) -> list[str]:
    most = max(evaluated - new for new, evaluated, _ in run["by_turn"])
    read = run["read"]
    return [
        f"context {run['context']}, {run['turns']} turns, {run['new']:,} new tokens, {read['cuts']} cuts",
        f"  lore told {run['lore_told']} times, memories {run['memories_told']}",
        f"  {run['with_summary']} prompts with a summary",
        *(
            f"  {name}: {tokens:,} evaluated while a player waited, {run['for_new'][name]} for each new one"
            for name, tokens in run["evaluated"].items()
        ),
        f"  this bot without its answers among what is new: {run['for_new_without_answers']}",
        f"  most that a turn evaluated beyond what was new in it: {most}",
        f"  read ahead: {read['ahead']:,} tokens, {read['ahead_s']} s after a turn",
        f"  {read['summed_up']} summaries: {read['summing_up']} requests, {read['for_summing_up']:,} tokens",
        *_first_lines(run.get("first_token", {})),
    ]


def _first_lines(first: Figures) -> list[str]:
    if not first:
        return ["  first token: not measured"]
    return [f"  first token, {name}: {first[name]}" for name in ("full", "empty")] + [
        f"  full for empty: {first['full_for_empty']}"
    ]


def lorebook(lines: list[tuple[str, str]], entries: int) -> Figures | None:
    """Write a lorebook with keys that the table really says, from the more to the less usual ones."""
    said = Counter(re.findall(r"[a-z]{5,}", " ".join(text for _, text in lines).lower()))
    keys = [word for word, _ in sorted(said.items(), key=lambda one: (-one[1], one[0]))][USUAL:]
    told = {
        str(number): {"uid": number, "key": [key], "comment": key, "content": LORE.format(key=key, n=number)}
        for number, key in enumerate(keys[:entries])
    }
    return {"entries": told} if told else None


def read_lines(path: Path, turns: int) -> list[tuple[str, str]]:
    """Read who said what; Discord's messages have 2000 characters at most."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:turns]]
    return [(row["speakers"][0], row["text"][:2000]) for row in rows]


def parsed() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--transcript", type=Path, default=TRANSCRIPT, help="JSON lines: speakers, text")
    parser.add_argument("--turns", type=int, default=200)
    parser.add_argument("--context", type=int, nargs="+", default=[4096, 8192], help="in tokens")
    parser.add_argument("--model", type=Path, default=BUNDLED, help="the GGUF that answers")
    parser.add_argument("--lore", type=int, default=300, help="entries of the lorebook; 0 for none")
    parser.add_argument("--slots", type=int, default=2, help="of the server; 1 is the hardest")
    parser.add_argument("--excerpts", action="store_true", help="have the model not asked to sum up")
    parser.add_argument("--out", type=Path, help="a file for the figures, written as they come")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if not options.transcript.is_file():
        parser.exit(2, f"There is no transcript at {options.transcript}; name one with --transcript.\n")
    if not options.model.is_file():
        parser.exit(2, f"There is no model at {options.model}; name one with --model.\n")
    return options


def main() -> None:
    """Play, and print what came out, also after an interruption."""
    options = parsed()
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(options, Path(folder))
        try:
            asyncio.run(bench.run())
        finally:
            bench.figures |= {"targets": TARGETS, "targets_met": verdicts(bench.figures)}
            bench.keep()
            print(json.dumps(bench.figures, indent=2) if options.json else shown(bench.figures))


if __name__ == "__main__":
    main()
