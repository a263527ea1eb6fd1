"""What travels with the repository, and what must not."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

import bot

PROJECT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = ("requirements.lock", "requirements-dev.lock")

REGISTRY = re.compile(
    r"https?://[^\s\"'<>)]*(?:pypi|pythonhosted|npmjs|conda|jfrog|artifactory|nexus|/simple\b)"
)
ONE_MACHINES_PATH = re.compile(r"(?<![\w.])/work[/]")
INDEX_OPTION = re.compile(r"^\s*(?:-i|-f|--(?:extra-)?index-url|--find-links|--trusted-host)\b", re.MULTILINE)


def tracked_files() -> list[Path]:
    try:
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=PROJECT, capture_output=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this copy is no git checkout: nobody knows which files belong to it")
    files = (PROJECT / name for name in listed.stdout.decode().split("\0") if name)
    return [file for file in files if file.is_file()]


def locked(name: str) -> dict[str, str]:
    """Each locked package with its lines: version, markers, hashes."""
    text = (PROJECT / name).read_text(encoding="utf-8")
    blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.IGNORECASE | re.MULTILINE)[1:]
    return {re.split(r"[=\s\[<>~!;@]", block, maxsplit=1)[0].lower(): block for block in blocks}


def normal(requirement: str) -> str:
    return re.sub(r"[-_.]+", "-", re.split(r"[\[<>=~!; ]", requirement, maxsplit=1)[0]).lower()


def test_no_file_names_a_package_registry_or_a_path_of_one_machine() -> None:
    found = []
    for file in tracked_files():
        text = file.read_bytes().decode("utf-8", errors="replace")
        for number, line in enumerate(text.splitlines(), 1):
            if REGISTRY.search(line) or ONE_MACHINES_PATH.search(line):
                found.append(f"{file.relative_to(PROJECT)}:{number}: {line.strip()[:100]}")
    assert not found, "\n" + "\n".join(found)


def test_the_search_for_them_finds_them() -> None:
    web = "https" + "://"
    assert REGISTRY.search(f"index = {web}pypi.org/simple/")
    assert REGISTRY.search(f"{web}mirror.example/artifactory/api")
    assert ONE_MACHINES_PATH.search("open('" + "/work" + "/main/x')")
    for harmless in (f"{web}www.python.org/downloads/", "net/work/room", "../work/x", "a simple thing"):
        assert not REGISTRY.search(harmless)
        assert not ONE_MACHINES_PATH.search(harmless)


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_pinned_with_its_hashes(name: str) -> None:
    packages = locked(name)
    assert len(packages) > 20
    for package, lines in packages.items():
        first = lines.splitlines()[0]
        assert re.match(r"[\w.-]+==[\w.!+-]+( ;.*)? \\$", first), f"{package} is not pinned: {first}"
        assert re.search(r"--hash=sha256:[0-9a-f]{64}", lines), f"{package} has no hash"


@pytest.mark.parametrize("name", LOCKS)
def test_where_packages_come_from_is_the_installers_choice(name: str) -> None:
    text = (PROJECT / name).read_text(encoding="utf-8")
    assert not INDEX_OPTION.search(text)
    assert "://" not in text
    assert "@ file" not in text


def test_everything_that_is_needed_is_locked() -> None:
    run, dev = (locked(name) for name in LOCKS)
    project = PYPROJECT["project"]
    missing = {normal(one) for one in project["dependencies"]} - run.keys()
    missing |= {normal(one) for one in project["optional-dependencies"]["dev"]} - dev.keys()
    assert not missing, f"run `make lock`: {sorted(missing)}"


def test_tests_run_with_the_versions_that_the_bot_runs_with() -> None:
    run, dev = (locked(name) for name in LOCKS)
    versions = {package: lines.splitlines()[0].split()[0] for package, lines in run.items()}
    different = [one for name, one in versions.items() if name in dev and not dev[name].startswith(f"{one} ")]
    assert not different, f"run `make lock`: {different}"


def test_the_version_is_the_same_everywhere() -> None:
    assert PYPROJECT["project"]["version"] == bot.__version__


def test_the_licence_is_there() -> None:
    assert PYPROJECT["project"]["license"] == "MIT"
    for name in PYPROJECT["project"]["license-files"]:
        assert "Permission is hereby granted, free of charge" in (PROJECT / name).read_text(encoding="utf-8")


def test_hooks_use_the_tools_that_are_installed() -> None:
    """Hooks from elsewhere would be fetched from the network, in versions that `make check` does not use."""
    config = (PROJECT / ".pre-commit-config.yaml").read_text(encoding="utf-8")
    assert set(re.findall(r"repo: *(\S+)", config)) == {"local"}
    assert set(re.findall(r"language: *(\S+)", config)) == {"system"}
    entries = re.findall(r"entry: *(\S+)", config)
    assert entries
    for entry in entries:
        assert entry.startswith(".venv/bin/")
