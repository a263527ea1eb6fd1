"""What a model's file or folder says about it, wherever it is."""

from __future__ import annotations

from pathlib import Path

from bot.errors import SetupError
from bot.model.library.inspect_folder import inspect_folder
from bot.model.library.inspect_gguf import inspect_gguf
from bot.model.library.inspection import Inspection


def inspect(place: str) -> Inspection:
    """Inspect a GGUF file, a folder of one model, or the http(s) address of a GGUF file. Blocks.

    Raises SetupError saying what is wrong: nothing there, no model, a damaged header, no answer.
    """
    if place.startswith(("http://", "https://")):
        from bot.model.library import remote_file  # noqa: PLC0415  # urllib is only needed for this: 40 ms

        with remote_file.open_remote(place) as (file, size):
            return inspect_gguf(file, place, size)
    path = Path(place).expanduser()
    if path.is_dir():
        return inspect_folder(path)
    try:
        with path.open("rb") as opened:
            return inspect_gguf(opened, place, path.stat().st_size)
    except FileNotFoundError:
        raise SetupError(f"There is no file or folder {place}.", hint="Check the path.") from None
    except OSError as error:
        raise SetupError(f"{place} cannot be read ({(error.strerror or 'it cannot').lower()}).") from None
