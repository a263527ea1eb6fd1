"""Importing what is needed of a library that imports all of itself, whatever one asks it for."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import ModuleType


@contextmanager
def put_off(*packages: str) -> Iterator[None]:
    """Have packages that are imported inside run only when somebody asks one of them for a name.

    Their modules can be imported as ever. `importlib.util.LazyLoader` would run a package for the first of
    its modules.
    """
    finder = _Finder(packages)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    def __init__(self, packages: Sequence[str]) -> None:
        self._packages = packages

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Give a package with a loader that does not run it."""
        spec = PathFinder.find_spec(fullname, path, target) if fullname in self._packages else None
        if spec and spec.loader:
            spec.loader = _PutOff(spec.loader)
        return spec


class _PutOff(Loader):
    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """Make the module as it would be made otherwise."""
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """Run it for the first name that it is asked for and that is none of its modules."""

        def look(name: str) -> Any:
            if name.startswith("__"):  # the import system asks for such
                raise AttributeError(name)
            if find_spec(f"{module.__name__}.{name}"):
                return import_module(f"{module.__name__}.{name}")
            del module.__dict__["__getattr__"]
            self._loader.exec_module(module)
            return getattr(module, name)

        module.__dict__["__getattr__"] = look
