"""`hearthside model ...`: models before they run. Each command parses, makes one call, and prints."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from bot.errors import TableError

if TYPE_CHECKING:
    from bot.model.library.plan import Machine, Plan
    from bot.model.library.shape import Shape


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add `model` and its commands to the program's."""
    group = commands.add_parser("model", help="look at models before they run")
    inside = group.add_subparsers(required=True, metavar="COMMAND")
    _add_plan(inside)


def _add_plan(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    command = commands.add_parser("plan", help="what memory a model takes, and how to start it")
    command.set_defaults(command=_plan)
    use = command.add_argument_group("how it is to be run")
    use.add_argument("--context", type=int, default=8192, help="tokens for each scene (default: 8192)")
    use.add_argument("--parallel", type=int, default=1, help="scenes answered at the same time (default: 1)")
    use.add_argument("--kv", default="f16", metavar="TYPE", help="type of the KV cache: f16, q8_0, q4_0 ...")
    use.add_argument("--vram", type=float, metavar="GIB", help="the GPU's memory (default: this machine's)")
    use.add_argument("--ram", type=float, metavar="GIB", help="memory (default: this machine's)")
    use.add_argument("--gpu-bandwidth", type=float, default=0, metavar="GB/S", help="of the GPU's memory")
    use.add_argument("--ram-bandwidth", type=float, default=50, metavar="GB/S", help="(default: 50)")
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
    numbers.add_argument("--parameters", type=float, metavar="BILLIONS", help="size of the model")
    numbers.add_argument("--bits", type=float, default=4.89, help="bits per weight (default: 4.89, Q4_K_M)")
    command.add_argument("--json", action="store_true", help="for programs")


def _plan(options: argparse.Namespace) -> int:
    from bot.model.library import report  # noqa: PLC0415  # the planner is not needed to print the help: 10 ms

    made = _made(_shape_of(options), options)
    print(json.dumps(report.plan_as_json(made), indent=2) if options.json else report.plan_as_text(made))
    return 0


def _made(shape: Shape, options: argparse.Namespace) -> Plan:
    from bot.model.library import cache, plan  # noqa: PLC0415  # as above

    return plan.plan(shape, cache.Use(options.context, options.parallel, options.kv), _machine(options))


def _shape_of(options: argparse.Namespace) -> Shape:
    from bot.model.library import numbers  # noqa: PLC0415  # as above

    if not (options.hidden and options.layers and options.heads):
        raise TableError("A plan needs numbers.", hint="Give --hidden, --layers and --heads.")
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


def _machine(options: argparse.Namespace) -> Machine:
    from bot.model import machine  # noqa: PLC0415  # as above
    from bot.model.library import plan  # noqa: PLC0415  # as above

    ram = machine.total_memory() or 0 if options.ram is None else int(options.ram * plan.GIB)
    vram = 0 if options.vram is None else int(options.vram * plan.GIB)
    return plan.Machine(vram, ram, options.gpu_bandwidth, options.ram_bandwidth)
