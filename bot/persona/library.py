"""The shelf of personas: everything in the operator's `personas/` folder, read, checked and kept up to date.

A persona is `SLUG.toml`; a `SLUG.py` beside it may add commands, which is the business of `cogs/`. This
module reads the words only and never runs a file. No name from outside becomes a path: what is asked for
by name is looked up among the files that the folder lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.errors import SetupError, TableError
from bot.persona import toml
from bot.persona.persona import SLUG, Persona, clean_name, fold, names
from bot.persona.toml import PersonaFileError, shown_name

Stamp = tuple[str, int, int, int]  # a file's ending, modification time in ns, size in bytes, inode
Snapshot = Mapping[str, tuple[Stamp, ...]]  # by slug: the state of its files


@dataclass(frozen=True, slots=True)
class Changes:
    """The slugs whose files came, changed or went since they were last read."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


def meant(text: str, personas: Sequence[Persona]) -> Persona | None:
    """Give the first persona that is meant by a slug, else by a name, else by an alias, whatever the case."""
    wanted = fold(clean_name(text))  # a card's name as its file has it may hold what a name here does not
    ways: tuple[Callable[[Persona], tuple[str, ...]], ...] = (
        lambda one: (one.slug,),
        lambda one: (one.name,),
        names,
    )
    for way in ways:
        for persona in personas:
            if wanted in map(fold, way(persona)):
                return persona
    return None


class PersonaLibrary:
    """Every persona in one folder. A file that breaks leaves its last good version in use."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._personas: dict[str, Persona] = {}
        self._broken: dict[str, PersonaFileError] = {}
        self._seen: dict[str, tuple[Stamp, ...]] = {}
        self._put_away: set[str] = set()

    def all(self) -> tuple[Persona, ...]:
        """Give every usable persona in the order of their names."""
        return tuple(sorted(self._personas.values(), key=lambda persona: fold(persona.name)))

    def broken(self) -> tuple[PersonaFileError, ...]:
        """Give what is wrong with each file that cannot be used as it is."""
        return tuple(self._broken[slug] for slug in sorted(self._broken))

    def get(self, slug: str) -> Persona | None:
        """Give the persona of that file."""
        return self._personas.get(slug)

    def find(self, text: str) -> Persona | None:
        """Give the persona meant by a slug, else by a name, else by an alias, whatever the case."""
        return meant(text, [self._personas[slug] for slug in sorted(self._personas)])

    def load_all(self) -> None:
        """Read every file in the folder, also those put away before.

        Broken files are listed by `broken`. Raises `SetupError` where the folder itself cannot be read.
        """
        self._put_away.clear()
        snapshot = self.snapshot()
        for slug in self._seen.keys() - snapshot.keys():
            self.forget(slug)
        for slug in sorted(snapshot):
            self._read(slug, snapshot[slug])

    def reload(self, slug: str) -> Persona:
        """Read one file again, new or changed or put away, and give the persona.

        Raises `TableError` where there is no such file, and `PersonaFileError` where it is broken: then
        the last good version, if there was one, stays in use.
        """
        files = self.snapshot().get(slug)
        if files is None:
            raise TableError(
                f"There is no persona file '{slug[:40]}'.", hint="`/persona list` shows those there are."
            )
        self._put_away.discard(slug)
        self._read(slug, files)
        if slug in self._broken:
            raise self._broken[slug]
        return self._personas[slug]

    def unload(self, slug: str) -> None:
        """Put a persona away until `reload` or `load_all` asks for it, whatever happens to its file."""
        if slug in self._seen:
            self._put_away.add(slug)
        self._personas.pop(slug, None)
        self._broken.pop(slug, None)

    def snapshot(self) -> Snapshot:
        """Look at the folder's files without reading them. Touches nothing else, so a thread may do it.

        Raises `SetupError` where the folder cannot be read.
        """
        files: dict[str, list[Stamp]] = {}
        try:
            for path in sorted(self.folder.iterdir()):
                if (
                    path.suffix in {".toml", ".py"}
                    and not path.name.startswith((".", "_"))
                    and path.is_file()
                ):
                    state = path.stat()
                    stamp = (path.suffix, state.st_mtime_ns, state.st_size, state.st_ino)
                    files.setdefault(path.stem, []).append(stamp)
        except OSError as error:
            raise SetupError(
                f"The folder of personas {self.folder} cannot be read ({error.strerror or error}).",
                hint="Hearthside looks for it beside bot/ and cogs/.",
            ) from error
        return {slug: tuple(stamps) for slug, stamps in files.items()}

    def changes(self, snapshot: Snapshot) -> Changes:
        """Compare the folder with what was last read of it. Personas that were put away are left alone."""
        seen = self._seen
        changed = {slug for slug in seen.keys() & snapshot.keys() if seen[slug] != snapshot[slug]}
        return Changes(
            added=tuple(sorted(snapshot.keys() - seen.keys())),
            changed=tuple(sorted(changed - self._put_away)),
            removed=tuple(sorted(seen.keys() - snapshot.keys())),
        )

    def forget(self, slug: str) -> None:
        """Let go of a persona whose file is gone."""
        self.unload(slug)
        self._seen.pop(slug, None)
        self._put_away.discard(slug)

    def _read(self, slug: str, files: tuple[Stamp, ...]) -> None:
        """Read one file and remember its state as it was before, so that a write in between is seen later."""
        self._seen[slug] = files
        try:
            persona = self._checked(slug, files)
        except PersonaFileError as error:
            self._broken[slug] = error
            return
        self._personas[slug] = persona
        self._broken.pop(slug, None)

    def _checked(self, slug: str, files: tuple[Stamp, ...]) -> Persona:
        path = self.folder / f"{slug}.toml"
        endings = {stamp[0] for stamp in files}
        if not SLUG.fullmatch(slug):
            shown = shown_name(path if ".toml" in endings else path.with_suffix(".py"))
            rule = "a persona's file name is made of small letters, digits, '-' and '_', at most 32"
            raise PersonaFileError(shown, rule, hint="Rename the file; the name players see is inside it.")
        if ".toml" not in endings:
            problem = f"there is no {slug}.toml beside it that says who this is"
            raise PersonaFileError(shown_name(path.with_suffix(".py")), problem)
        persona = toml.read(path)
        for other in self._personas.values():
            if other.slug != slug and fold(other.name) == fold(persona.name):
                problem = f"the name {persona.name} is already taken by {other.slug}.toml"
                line = toml.line_of(path.read_text("utf-8-sig"), ("name",))
                raise PersonaFileError(shown_name(path), problem, line=line)
        return persona
