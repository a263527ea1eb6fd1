"""Load the Python file beside a persona's `.toml`: the operator's code, from the operator's folder."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import sys
import traceback
from pathlib import Path
from types import CodeType, ModuleType

from bot.persona.toml import FILE_BYTES, PersonaFileError, shown_name
from cogs.persona_cog import PersonaCog


def load_cog_class(path: Path) -> type[PersonaCog]:
    """Run a persona's `.py` file as the module `personas.SLUG` and give its one `PersonaCog` class.

    Raises `PersonaFileError` with the line in that file where it went wrong.
    """
    name = _module_name(path.stem)
    loader = _FreshLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    last = sys.modules.get(name)
    sys.modules[name] = module  # dataclasses and pickles look their module up by name
    try:
        loader.exec_module(module)
        return _cog_class(module, path)
    except Exception as error:
        _restore(name, last)
        raise code_error(path, error) from error


def forget_module(slug: str) -> None:
    """Let go of the module that a persona's code ran as."""
    _restore(_module_name(slug), None)


def code_error(path: Path, error: Exception) -> PersonaFileError:
    """Say what went wrong in a persona's code, and on which of its lines."""
    if isinstance(error, PersonaFileError):
        return error
    if isinstance(error, SyntaxError):
        return PersonaFileError(shown_name(path), f"this is not valid Python: {error.msg}", line=error.lineno)
    own = [
        line
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename == str(path)
    ]
    problem = f"{type(error).__name__}: {error}".rstrip(": .")
    return PersonaFileError(shown_name(path), problem, line=own[-1] if own else None)


class _FreshLoader(importlib.machinery.SourceFileLoader):
    """Compiles the source every time: a cached one is matched by whole seconds, and edits are quicker."""

    def get_code(self, fullname: str) -> CodeType:
        path = Path(self.get_filename(fullname))
        size = path.stat().st_size
        if size > FILE_BYTES:
            problem = f"it is {size:,} bytes long; a persona file has at most {FILE_BYTES:,}"
            raise PersonaFileError(shown_name(path), problem)
        return self.source_to_code(path.read_bytes(), str(path))


def _cog_class(module: ModuleType, path: Path) -> type[PersonaCog]:
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, PersonaCog) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        count = "no" if not found else "more than one"
        hint = f"Write one, such as class {path.stem.title()}(PersonaCog)."
        raise PersonaFileError(shown_name(path), f"it defines {count} PersonaCog class", hint=hint)
    return found[0]


def _module_name(slug: str) -> str:
    return f"personas.{slug}"


def _restore(name: str, last: ModuleType | None) -> None:
    if last is None:
        sys.modules.pop(name, None)
    else:
        sys.modules[name] = last
