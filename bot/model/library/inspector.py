"""What a model's file or folder says about it, wherever it is."""

from __future__ import annotations

import re
from pathlib import Path

from bot.errors import SetupError
from bot.model.gguf_header import Header
from bot.model.library.inspect_folder import inspect_folder
from bot.model.library.inspect_gguf import inspect_gguf, read_part
from bot.model.library.inspection import Inspection
from bot.model.library.split_gguf import joined, part_names

_BLOB = re.compile(r"^(https?://[^/]+/[^/]+/[^/]+)/blob/")
"""The page that a hub shows a file on: what people copy out of the browser."""


def inspect(place: str) -> Inspection:
    """Inspect a GGUF file, a folder of one model, or the http(s) address of a GGUF file. Blocks.

    Of a split file any part may be named; all of them are read. Raises SetupError saying what is wrong:
    nothing there, a part missing, no model, a damaged header, no answer.
    """
    remote = place.startswith(("http://", "https://"))
    if not remote and Path(place).expanduser().is_dir():
        return inspect_folder(Path(place).expanduser())
    names = part_names(_BLOB.sub(r"\1/resolve/", place))
    if not remote:
        _require_all(names)
    parts = [_read_remote(name) if remote else _read(name) for name in names]
    return inspect_gguf(
        joined([header for header, _ in parts], place), names[0], sum(size for _, size in parts)
    )


def _require_all(names: list[str]) -> None:
    missing = [name for name in names if not Path(name).expanduser().exists()]
    if missing and len(names) > 1:
        told = ", ".join(Path(name).name for name in missing[:20])
        raise SetupError(
            f"{len(missing)} of {len(names)} parts are missing: {told}.", hint="Download them too."
        )
    if missing:
        raise SetupError(f"There is no file or folder {names[0]}.", hint="Check the path.")


def _read(name: str) -> tuple[Header, int]:
    path = Path(name).expanduser()
    try:
        with path.open("rb") as opened:
            size = path.stat().st_size
            return read_part(opened, name, size), size
    except OSError as error:
        raise SetupError(f"{name} cannot be read ({(error.strerror or 'it cannot').lower()}).") from None


def _read_remote(url: str) -> tuple[Header, int]:
    from bot.model.library import remote_file  # noqa: PLC0415  # urllib is only needed for this: 40 ms

    with remote_file.open_remote(url) as (file, size):
        return read_part(file, url, size), size
