"""`hearthside model ...`: models before they run. Each command parses, makes one call, and prints."""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from bot.errors import SetupError, TableError
from bot.settings import PROJECT

_MOST_GIB = 1_000_000
"""More is bytes, or a slip of the hand."""

# The planner and what it reads with are imported by the commands: they are not needed to print the help.
if TYPE_CHECKING:
    from bot.model.library.cache import Use
    from bot.model.library.catalogue import Known
    from bot.model.library.plan import Machine
    from bot.model.library.shape import Shape

    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001  # it has no other name


def add_commands(commands: Commands) -> None:
    """Add `model` and its commands to the program's."""
    group = commands.add_parser("model", help="look at models before they run")
    inside = group.add_subparsers(required=True, metavar="COMMAND")
    _add_inspect(inside)
    _add_plan(inside)
    _add_suggest(inside)
    _add_quant(inside)
    _add_pull(inside)


def _add_inspect(commands: Commands) -> None:
    command = commands.add_parser("inspect", help="what a model's file or folder says about it")
    command.add_argument(
        "model", metavar="PATH", help="a GGUF file, a model's folder, or a GGUF file's address"
    )
    command.add_argument("--json", action="store_true", help="for programs")
    command.set_defaults(command=_inspect)


def _add_plan(commands: Commands) -> None:
    command = commands.add_parser("plan", help="what memory a model takes, and how to start it")
    command.add_argument(
        "model", nargs="?", metavar="MODEL", help="a file, a folder, an address, or a known name"
    )
    _add_use(command)
    numbers = command.add_argument_group("a model from numbers")
    for name, text in (
        ("--hidden", "width of the model"),
        ("--layers", "number of layers"),
        ("--heads", "attention heads"),
        ("--kv-heads", "key-value heads (default: as many as heads)"),
        ("--head-size", "width of a head (default: hidden / heads)"),
        ("--vocabulary", "number of tokens"),
    ):
        numbers.add_argument(name, type=int, metavar="N", help=text)
    numbers.add_argument("--parameters", type=_finite, metavar="BILLIONS", help="size of the model")
    numbers.add_argument("--bits", type=_finite, default=4.89, help="bits per weight (default: 4.89, Q4_K_M)")
    command.set_defaults(command=_plan)


def _add_suggest(commands: Commands) -> None:
    command = commands.add_parser("suggest", help="well-known models, and which of them run here")
    _add_use(command)
    command.set_defaults(command=_suggest)


def _add_quant(commands: Commands) -> None:
    command = commands.add_parser("quant", help="what quantization does to a model's numbers")
    command.add_argument(
        "model", nargs="?", type=Path, metavar="PATH", help="a GGUF file (default: the bundled one)"
    )
    command.add_argument(
        "--plot", type=Path, metavar="FILE", help="draw error against bits per weight, as a PNG"
    )
    command.set_defaults(command=_quant)


def _add_pull(commands: Commands) -> None:
    command = commands.add_parser("pull", help="fetch a model from a hub (HF_ENDPOINT: a mirror)")
    command.add_argument("model", metavar="NAME", help="a known name, or a repository as OWNER/NAME")
    command.add_argument("--quant", default="Q4_K_M", help="which file (default: Q4_K_M)")
    command.add_argument("--into", type=Path, default=Path("models"), metavar="DIR", help="(default: models)")
    command.add_argument(
        "--env",
        type=Path,
        default=PROJECT / ".env",
        metavar="FILE",
        help="where CPU_MODEL is set (default: .env)",
    )
    command.set_defaults(command=_pull)


def _add_use(command: argparse.ArgumentParser) -> None:
    use = command.add_argument_group("how it is to be run")
    use.add_argument("--context", type=int, default=8192, help="tokens for each scene (default: 8192)")
    use.add_argument("--parallel", type=int, default=1, help="scenes answered at the same time (default: 1)")
    use.add_argument("--kv", default="f16", metavar="TYPE", help="type of the KV cache: f16, q8_0, q4_0 ...")
    use.add_argument("--quant", default="Q4_K_M", help="of a known model (default: Q4_K_M)")
    use.add_argument("--vram", type=_finite, metavar="GIB", help="the GPU's memory (default: this machine's)")
    use.add_argument("--ram", type=_finite, metavar="GIB", help="memory (default: this machine's)")
    use.add_argument("--gpu-bandwidth", type=_finite, default=0, metavar="GB/S", help="of the GPU's memory")
    use.add_argument(
        "--ram-bandwidth", type=_finite, default=50, metavar="GB/S", help="of the RAM (default: 50)"
    )
    command.add_argument("--json", action="store_true", help="for programs")


def _finite(text: str) -> float:
    """Read a number, which neither infinity nor a mistake in arithmetic is."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


_finite.__name__ = "number"  # what argparse calls it where it is none


def _inspect(options: argparse.Namespace) -> int:
    from bot.model.library import inspector, report  # noqa: PLC0415  # as said above

    found = inspector.inspect(options.model)
    if options.json:
        print(json.dumps(report.inspection_as_json(found), indent=2))
    else:
        print(report.inspection_as_text(found))
    return 0


def _plan(options: argparse.Namespace) -> int:
    from bot.model.library import plan, report, servers  # noqa: PLC0415  # as said above

    shape, path, kind, known = _model(options)
    made = plan.plan(shape, _use(options), _machine(options))
    commands = servers.commands(made, path, kind) if path else {}
    if known:
        commands = servers.commands_by_name(made, known.name, known.only or options.quant, known.formats)
    if options.json:
        print(
            json.dumps(
                {"model": known.name if known else path, **report.plan_as_json(made), "commands": commands},
                indent=2,
            )
        )
    else:
        lines = [report.plan_as_text(made), *(f"\n{name}:\n  {line}" for name, line in commands.items())]
        if known and known.gguf:
            fetch = f"hearthside model pull {known.name} --quant {known.only or options.quant}"
            lines.append(f"\nThe names of files are examples. `{fetch}` fetches the GGUF.")
        print("\n".join(lines))
    return 0


def _suggest(options: argparse.Namespace) -> int:
    from bot.model.library import catalogue, report  # noqa: PLC0415  # as said above

    machine = _machine(options)
    found = catalogue.suggest(machine, _use(options), options.quant)
    if options.json:
        print(json.dumps(report.suggestions_as_json(found), indent=2))
    else:
        print(report.suggestions_as_text(found, machine, options.quant))
    return 0


def _quant(options: argparse.Namespace) -> int:
    from bot.model.library import inspector, loss_chart, losses, rounding  # noqa: PLC0415  # as said above

    print(rounding.worked_example(), end="\n\n")
    path = options.model or Path(__file__).parent / "model" / "storyteller.gguf"
    parameters = inspector.inspect(str(path)).parameters
    numbers, found = losses.losses(path)
    print(losses.as_text(path, numbers, found, parameters))
    if options.plot:
        _save(options.plot, loss_chart.draw(f"What {path.name} loses", found))
    return 0


def _save(path: Path, picture: bytes) -> None:
    try:
        path.write_bytes(picture)
    except OSError as error:
        raise SetupError(
            f"{path} cannot be written ({error.strerror}).", hint="Take another --plot."
        ) from None
    print(f"\nDrawn in {path}")


def _pull(options: argparse.Namespace) -> int:
    from bot.model.library import catalogue, env_file, hub  # noqa: PLC0415  # as said above

    repository, quantization = options.model, options.quant
    if "/" not in repository:
        known = catalogue.find(repository)
        repository, quantization = known.gguf, known.only or quantization
    if not repository:
        raise TableError(
            f"Where {options.model} is kept is not known.", hint="Name a repository: OWNER/NAME."
        )
    source = hub.Hub()
    chosen = hub.choose(source.files(repository), quantization, repository)
    fetched = [source.fetch(repository, file, options.into, _say) for file in chosen]
    env_file.point_at(fetched[0], options.env)
    print(f"Fetched and checked. {options.env} now says {env_file.line_for(fetched[0])}")
    if os.environ.get("CPU_MODEL"):
        _say("CPU_MODEL is set in the environment too, and that counts for more: unset it there.")
    return 0


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _model(options: argparse.Namespace) -> tuple[Shape, str, str, Known | None]:
    """Give the shape that is to be planned, where the model is and its format, or the well-known model."""
    from bot.model.library import catalogue, inspector  # noqa: PLC0415  # as said above

    if options.model is None:
        return _from_numbers(options), "", "", None
    if "://" in options.model or Path(options.model).expanduser().exists():
        found = inspector.inspect(options.model)
        return found.shape, found.path, found.kind, None
    known = catalogue.find(options.model)
    return known.shape(options.quant), "", "", known


def _from_numbers(options: argparse.Namespace) -> Shape:
    from bot.model.library import numbers  # noqa: PLC0415  # as said above

    if not (options.hidden and options.layers and options.heads):
        raise TableError("What is to be planned?", hint="Give a model, or --hidden, --layers and --heads.")
    return numbers.from_numbers(
        numbers.Numbers(
            hidden=options.hidden,
            layers=options.layers,
            heads=options.heads,
            kv_heads=options.kv_heads,
            head_size=options.head_size,
            vocabulary=options.vocabulary or 0,
            parameters=options.parameters or 0,
            bits=options.bits,
        )
    )


def _use(options: argparse.Namespace) -> Use:
    from bot.model.library import cache  # noqa: PLC0415  # as said above

    return cache.Use(options.context, options.parallel, options.kv)


def _machine(options: argparse.Namespace) -> Machine:
    """Give the machine that is described, or this one."""
    from bot.model.library import here, plan  # noqa: PLC0415  # as said above

    if max(options.vram or 0, options.ram or 0) > _MOST_GIB:
        raise TableError("No machine has so much memory.", hint="--vram and --ram are in GiB.")
    sizes = (None if gib is None else int(gib * plan.GIB) for gib in (options.vram, options.ram))
    machine = here.machine(*sizes)
    found = replace(
        machine,
        gpu_bandwidth=options.gpu_bandwidth or machine.gpu_bandwidth,
        ram_bandwidth=options.ram_bandwidth,
    )
    if min(found.ram, found.vram, found.gpu_bandwidth) < 0 or found.ram_bandwidth <= 0:
        raise TableError("Memory and its bandwidth are no less than nothing.")
    return found
