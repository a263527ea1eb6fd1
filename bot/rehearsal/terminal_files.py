"""Files at the table: what a player brings from this machine, and what the bot sends, kept in one folder."""

from __future__ import annotations

import mimetypes
import os
import re
import stat
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING

from bot.errors import TableError
from bot.rehearsal.message_forms import Upload
from bot.rehearsal.terminal_text import one_line

if TYPE_CHECKING:
    from bot.rehearsal.messages import Attachment

MAX_BYTES = 8 * 1024 * 1024
"""The largest file that is attached."""

NAME_CHARACTERS = 80
_NAMESAKES = 10_000
_LOOKED_AT = 10_000
_OFFERED = 50

_HINT = "Type its path as on this machine; Tab completes it."
_UNSAFE = re.compile(r"[^\w.-]+")
_RESERVED = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)  # devices on Windows


def read_upload(typed: str) -> Upload:
    """Read the file at a typed path, in which `~` is the home folder.

    Raises TableError if there is none, if it is no plain file, cannot be read, or has more than `MAX_BYTES`.
    """
    path = _path(typed)
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            raise TableError(f"{typed!r} is {'a folder' if path.is_dir() else 'no plain file'}.", hint=_HINT)
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise TableError(f"There is no file {typed!r}.", hint=_HINT) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise TableError(f"{typed!r} cannot be read: {reason}.") from error
    if len(data) > MAX_BYTES:
        raise TableError(f"{typed!r} is too large: at most {MAX_BYTES // 1024**2} MiB can be attached.")
    return Upload(path.name, data, mimetypes.guess_type(path.name)[0] or "application/octet-stream")


def paths(typed: str) -> list[str]:
    """List what a half-typed path could become, by name; a folder ends with a slash.

    Hidden files are listed once their dot is typed.
    """
    head, begun = os.path.split(typed)
    prefix = typed[: len(typed) - len(begun)]
    try:
        with os.scandir(_path(head or ".")) as entries:
            found = [
                f"{prefix}{entry.name}{'/' if entry.is_dir() else ''}"
                for entry in islice(entries, _LOOKED_AT)
                if _continues(entry.name, begun)
            ]
    except (OSError, ValueError, TableError):
        return []
    return sorted(found, key=str.casefold)[:_OFFERED]


class Downloads:
    """Keeps what the bot sends. Nothing is overwritten: a file whose name is taken gets a number."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._told: dict[int, str] = {}

    def tell(self, attachment: Attachment) -> str:
        """Keep a file, once, and say where it is."""
        if attachment.id not in self._told:
            size = f"{-(-len(attachment.data) // 1000)} kB"
            self._told[attachment.id] = (
                f"[file {one_line(attachment.filename)}, {size}; {self._keep(attachment)}]"
            )
        return self._told[attachment.id]

    def _keep(self, attachment: Attachment) -> str:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            return f"saved to {_shown(self._written(attachment))}"
        except OSError as error:
            return f"not saved: {error.strerror or error}"

    def _written(self, attachment: Attachment) -> Path:
        name = Path(_safe(attachment.filename))
        for number in islice(count(1), _NAMESAKES):
            path = self._folder / (f"{name.stem}-{number}{name.suffix}" if number > 1 else name.name)
            try:
                with path.open("xb") as file:
                    file.write(attachment.data)
            except FileExistsError:
                continue
            return path
        raise OSError(f"{self._folder} holds {_NAMESAKES} files of that name")


def _path(typed: str) -> Path:
    if not typed.strip():
        raise TableError("Which file?", hint=_HINT)
    try:
        return Path(typed.strip()).expanduser()
    except RuntimeError as error:
        raise TableError(f"{typed!r} cannot be found: {error}", hint=_HINT) from error


def _continues(name: str, begun: str) -> bool:
    return name.casefold().startswith(begun.casefold()) and (
        begun.startswith(".") or not name.startswith(".")
    )


def _safe(filename: str) -> str:
    """Make a name that is a plain file's everywhere, whatever the sender called it."""
    plain = _UNSAFE.sub("_", re.split(r"[/\\]", filename)[-1])
    name = plain[-NAME_CHARACTERS:].lstrip(".-").rstrip(".")
    return f"_{name}" if not name or _RESERVED.fullmatch(name) else name


def _shown(path: Path) -> str:
    """Write a path from where the player stands, if it is below."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)
