"""GGUF files on a model hub: which there are, and how they get here.

The routes are those of huggingface.co: `/api/models/REPO/tree/main` lists files with size and SHA-256,
`/REPO/resolve/main/FILE` gives one, in parts too. HF_ENDPOINT names a mirror, HF_TOKEN an account.
huggingface_hub speaks them as well; why it is not used stands in docs/dependencies.md.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path, PurePosixPath
from typing import Any

from bot.errors import SetupError

Progress = Callable[[int, int], None]
"""Told the bytes that are here and the bytes of the whole file."""

_REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
_SPLIT = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")
_LARGEST_LISTING = 20_000_000
_PIECE = 1 << 20
_TIMEOUT = 20
"""Seconds of silence after which a server counts as gone."""
_TRIES = 5
"""How often a download that broke off goes on where it was."""
_SPARE = 256 * 1024 * 1024
"""Bytes of the disk that are left free."""


@dataclass(frozen=True)
class HubFile:
    """A file of a repository: its path there, its size in bytes, its SHA-256 as hexadecimal ("": unsaid)."""

    path: str
    size: int
    sha256: str

    @property
    def name(self) -> str:
        """Give the last part of the path, which is safe as a file's name."""
        return PurePosixPath(self.path).name


class Hub:
    """A model hub over HTTP. Everything here blocks, and raises SetupError saying what to do about it."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._endpoint = (environment.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        self._token = environment.get("HF_TOKEN", "")
        if not self._endpoint.startswith(("http://", "https://")):
            raise SetupError(f"HF_ENDPOINT is {self._endpoint}, which is no web address.")

    def files(self, repository: str) -> list[HubFile]:
        """List a repository's GGUF files."""
        if not _REPOSITORY.fullmatch(repository):
            raise SetupError(f"{repository} is no repository.", hint="It looks like OWNER/NAME.")
        try:
            with self._open(f"api/models/{repository}/tree/main?recursive=true", 0) as answer:
                entries = json.loads(answer.read(_LARGEST_LISTING))
            found = [_file(entry) for entry in entries if str(entry["path"]).lower().endswith(".gguf")]
        except urllib.error.HTTPError as error:
            raise self._refused(error, repository) from None
        except (ValueError, KeyError, TypeError, AttributeError):
            raise SetupError(
                f"{self._endpoint} answers, but not as a model hub.", hint="Check HF_ENDPOINT."
            ) from None
        except (OSError, HTTPException) as error:
            raise self._gone(error) from None
        return found

    def fetch(self, repository: str, file: HubFile, folder: Path, progress: Progress) -> Path:
        """Bring a file into the folder, going on where an earlier try broke off, and check its SHA-256.

        Until it is whole and checked it is called .part; what is wrong is deleted.
        """
        whole, part = folder / file.name, folder / f"{file.name}.part"
        if whole.exists() and whole.stat().st_size == file.size:
            return whole
        try:
            folder.mkdir(parents=True, exist_ok=True)
            missing = file.size - (part.stat().st_size if part.exists() else 0)
            if shutil.disk_usage(folder).free < missing + _SPARE:
                raise _full(folder, missing)
            self._download(repository, file, part, progress)
            if file.sha256 and _sha256(part) != file.sha256:
                part.unlink()
                raise SetupError(f"{file.name} came damaged: its checksum is wrong.", hint="Try again.")
            part.replace(whole)
        except urllib.error.HTTPError as error:
            raise self._refused(error, repository) from None
        except (OSError, HTTPException) as error:
            raise self._failed(error, file.name, folder) from None
        return whole

    def _download(self, repository: str, file: HubFile, part: Path, progress: Progress) -> None:
        for _ in range(_TRIES):
            here = part.stat().st_size if part.exists() else 0
            if here > file.size:
                part.unlink()
                here = 0
            if here == file.size and part.exists():
                return
            self._download_from(here, repository, file, part, progress)
        if part.stat().st_size != file.size:
            raise HTTPException("it breaks off again and again")

    def _download_from(
        self, here: int, repository: str, file: HubFile, part: Path, progress: Progress
    ) -> None:
        """Fetch what is missing, as far as the connection lasts."""
        path = urllib.parse.quote(f"{repository}/resolve/main/{file.path}")
        with self._open(path, here) as answer, part.open("ab" if answer.status == 206 else "wb") as out:
            try:
                while piece := answer.read(_PIECE):
                    out.write(piece)
                    progress(out.tell(), file.size)
            except (HTTPException, TimeoutError, ConnectionError):
                return

    def _open(self, path: str, start: int) -> Any:
        request = urllib.request.Request(  # noqa: S310  # the constructor lets only http and https in
            f"{self._endpoint}/{path}", headers={"User-Agent": "hearthside"}
        )
        if start:
            request.add_header("Range", f"bytes={start}-")
        if self._token:  # not for the storage that the hub sends on to
            request.add_unredirected_header("Authorization", f"Bearer {self._token}")
        return urllib.request.urlopen(request, timeout=_TIMEOUT)  # noqa: S310  # as above

    def _refused(self, error: urllib.error.HTTPError, repository: str) -> SetupError:
        error.close()
        if error.code in {401, 403}:
            hint = "Accept its licence on its page, and set HF_TOKEN to a token of your account."
            return SetupError(f"{repository} is not there, or not for everybody.", hint=hint)
        if error.code == 404:
            return SetupError(f"There is no {repository} at {self._endpoint}.", hint="Check the name.")
        return SetupError(f"{self._endpoint} answers {error.code}.", hint="Try again later.")

    def _gone(self, error: Exception) -> SetupError:
        reason = getattr(error, "reason", None) or error
        return SetupError(
            f"{self._endpoint} does not answer ({reason}).",
            hint="Check the network; HF_ENDPOINT can name a mirror.",
        )

    def _failed(self, error: Exception, name: str, folder: Path) -> SetupError:
        if isinstance(error, OSError) and not isinstance(error, urllib.error.URLError) and error.filename:
            return SetupError(
                f"{error.filename} cannot be written ({error.strerror}).", hint="Take another --into."
            )
        if isinstance(error, OSError) and error.errno == 28:
            return _full(folder, 0)
        gone = self._gone(error)
        return SetupError(str(gone.args[0]), hint=f"The same command goes on with {name} where it broke off.")


def choose(files: list[HubFile], quantization: str, repository: str) -> list[HubFile]:
    """Give the file of that quantization, or all its parts. Raises SetupError where there is none."""
    models = [file for file in files if "mmproj" not in file.name.lower()]
    word = re.compile(rf"(?<![a-z0-9_]){re.escape(quantization.lower())}(?![a-z0-9_])")
    found = sorted((file for file in models if word.search(file.path.lower())), key=lambda file: file.path)
    if not found:
        there = ", ".join(sorted(file.name for file in models)[:20]) or "no GGUF files"
        raise SetupError(f"{repository} has no {quantization}.", hint=f"It has: {there}.")
    split = _SPLIT.search(found[0].name)
    return found[: int(split[1])] if split else found[:1]


def _file(entry: Any) -> HubFile:
    large = entry.get("lfs") or {}
    digest = str(large.get("oid", "")).removeprefix("sha256:")
    return HubFile(str(entry["path"]), int(large.get("size") or entry["size"]), digest)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _full(folder: Path, missing: int) -> SetupError:
    need = f"{missing / 1e9:.1f} GB are needed" if missing else "the disk is full"
    return SetupError(f"There is no room in {folder}: {need}.", hint="Make room, or take another --into.")
