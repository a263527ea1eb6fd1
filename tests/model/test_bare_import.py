"""Of a library that imports all of itself only what is needed is loaded, the rest when it is asked for."""

from __future__ import annotations

import subprocess
import sys

NEEDED = """
import sys
import bot.model.wire
print(any(name.startswith("openai.types.chat") for name in sys.modules))
"""
ASKED_FOR = """
import bot.model.wire, openai, openai.lib
from openai.types.chat import ChatCompletion
print(openai.AsyncOpenAI is bot.model.wire.AsyncOpenAI, openai.__version__ == openai.version.VERSION)
print(openai.types.Batch.__name__, callable(openai.lib.pydantic_function_tool))
"""


def printed(program: str) -> list[str]:
    """Run a program in a Python that has loaded nothing yet."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_a_chat_loads_no_shapes_of_what_it_neither_sends_nor_reads() -> None:
    assert printed(NEEDED) == ["False"]


def test_whoever_asks_the_library_for_more_gets_it() -> None:
    assert printed(ASKED_FOR) == ["True", "True", "Batch", "True"]
