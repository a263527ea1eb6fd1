"""Make the storyteller again: `python -m tools.storyteller build`, from the repository's root."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from random import Random

SEED = 7
VOCABULARY, GROWN = 8192, 24576
"""Tokens while it learns its stories, and afterwards, when it learns to take up any word."""
RESULT = Path("bot/model/storyteller.gguf")


def _build(arguments: argparse.Namespace) -> None:
    import torch  # noqa: PLC0415 - a development extra, needed here alone

    from tools.storyteller.convert import convert  # noqa: PLC0415 - needs gguf
    from tools.storyteller.data import grown_texts, tokenizer_texts  # noqa: PLC0415 - needs numpy
    from tools.storyteller.model import Shape  # noqa: PLC0415 - needs torch
    from tools.storyteller.tokens import load_tokenizer, train_tokenizer  # noqa: PLC0415 - beside its siblings
    from tools.storyteller.train import STEPS, train  # noqa: PLC0415 - needs torch

    folder = Path(arguments.work)
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer_file, grown_file = folder / "tokenizer.json", folder / "grown.json"
    if not arguments.convert_only:
        if not arguments.told:
            train_tokenizer(tokenizer_texts(arguments.seed, 3000), VOCABULARY).save(str(tokenizer_file))
        train_tokenizer(grown_texts(arguments.seed, 3000), GROWN).save(str(grown_file))
        tokenizers = load_tokenizer(tokenizer_file), load_tokenizer(grown_file)
        train(*tokenizers, arguments.steps or STEPS, arguments.seed, folder, told=arguments.told)
    saved = torch.load(folder / "weights.pt")
    shape, weights = Shape(**saved["shape"]), saved["weights"]
    convert(weights, shape, load_tokenizer(grown_file), Path(arguments.out))
    print(f"{arguments.out}: {Path(arguments.out).stat().st_size} bytes")


def _corpus(arguments: argparse.Namespace) -> None:
    from tools.storyteller.corpus import conversation  # noqa: PLC0415 - one command's own

    rng = Random(arguments.seed)
    for _ in range(arguments.count):
        for message in conversation(rng, 6, 0.2):
            print(f"{message.role}: {message.text}")
        print()


def _evaluate(arguments: argparse.Namespace) -> None:
    from tools.storyteller.evaluate import evaluate  # noqa: PLC0415 - needs xllamacpp

    print(evaluate(Path(arguments.out), arguments.transcript, arguments.threads))


def main() -> None:
    """Read the command and run it."""
    parser = argparse.ArgumentParser(prog="python -m tools.storyteller", description=__doc__)
    commands = parser.add_subparsers(required=True)
    for name, run in (("build", _build), ("corpus", _corpus), ("evaluate", _evaluate)):
        command = commands.add_parser(name)
        command.set_defaults(run=run)
        command.add_argument("--seed", type=int, default=SEED)
        command.add_argument("--out", default=str(RESULT), help="the GGUF file")
        command.add_argument("--work", default=".storyteller", help="checkpoints and the tokenizer")
        command.add_argument("--steps", type=int, help="build: of training; more is better")
        command.add_argument("--count", type=int, default=5, help="corpus: conversations to print")
        command.add_argument("--convert-only", action="store_true", help="build: from the last checkpoint")
        command.add_argument("--told", action="store_true", help="build: only what comes after stories.pt")
        command.add_argument("--threads", type=int, default=2, help="evaluate: of the server")
        command.add_argument("--transcript", help="evaluate: write every answer to this file")
    arguments = parser.parse_args()
    arguments.run(arguments)


if __name__ == "__main__":
    # Blocks of memory are reused instead of given back: page faults cost a tenth of the training time.
    if sys.platform == "linux" and "MALLOC_TRIM_THRESHOLD_" not in os.environ and sys.argv[1:2] == ["build"]:
        reuse = {
            "TOKENIZERS_PARALLELISM": "false",
            "MALLOC_TRIM_THRESHOLD_": "8000000000",
            "MALLOC_MMAP_THRESHOLD_": "4000000000",
        }
        command = [sys.executable, "-m", "tools.storyteller", *sys.argv[1:]]
        os.execve(command[0], command, os.environ | reuse)  # noqa: S606 - this very program, started again
    main()
