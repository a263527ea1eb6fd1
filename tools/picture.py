"""Draw the README's picture from a scene that is really played: `python -m tools.picture`."""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text
from rich.theme import Theme

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
WIDTH = 96
GREY = "#9a9aa5"
COLOURS = {
    "Ann": "#7cc4ff",
    "Bob": "#8fe388",
    "The Narrator": "#f2c14e",
    "Marta": "#ff8f70",
}
FONT_FACE = re.compile(r"@font-face \{.*?\}", re.DOTALL)


async def played(script: Path) -> list[str]:
    """Play a script and give its transcript, a line for each message."""
    command = [sys.executable, "-m", "bot", "play", "--script", str(script)]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    out, _ = await process.communicate()
    if process.returncode:
        raise SystemExit("The scene did not play to its end: see data/play.log.")
    return out.decode().splitlines()


def drawn(transcript: list[str]) -> str:
    """Give the transcript as an SVG. It names no font from the web: the reader's own monospace serves."""
    with tempfile.TemporaryFile("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=WIDTH, file=nowhere, theme=Theme({}), color_system="truecolor")
        for line in transcript:
            name, _, text = line.partition(": ")
            console.print(Text(name, style=f"bold {COLOURS.get(name, GREY)}"))
            style = GREY if name == "Hearthside" else "#e6e6eb"
            console.print(Padding(Text(text, style=style), (0, 0, 1, 2)))
        svg = console.export_svg(title="make play")
    return FONT_FACE.sub("", svg)


if __name__ == "__main__":
    lines = asyncio.run(played(IMAGES / "play.txt"))
    (IMAGES / "play.svg").write_text(drawn(lines), encoding="utf-8")
