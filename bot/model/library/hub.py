"""GGUF files on a model hub: which there are, and how they get here.

huggingface_hub does the talking: HF_ENDPOINT (a mirror), HF_TOKEN or a stored login, proxies and retries are
its own. Its `hf_hub_download` is not used: it begins each call with an empty file and deletes that when the
download breaks off, and it compares sizes, not checksums. `http_get`, the part of it that moves the bytes,
takes a file to go on with, at most 10 MB before where it broke off; what is done here is where that lies and
whether it is the right one.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from bot.errors import SetupError

if TYPE_CHECKING:
    from huggingface_hub.errors import HfHubHTTPError

Say = Callable[[str], None]
"""Told what is being done that takes a while."""

_PUBLIC = "https://huggingface.co"
_REPOSITORY = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
_FILE_NAME = re.compile(r"[^\\/:*?\"<>|\x00-\x1f]+\.gguf", re.IGNORECASE)
"""What is a file's name on every system."""
_SPLIT = re.compile(r"-\d{5}-of-(\d{5})\.gguf$")
_TIMEOUT = 20
"""Seconds of silence after which a hub counts as gone, while it is asked what it has."""
_TRIES = 5
_SPARE = 256 * 1024 * 1024
"""Bytes of the disk that are left free."""
_LONG = 1 << 30
"""Bytes; the checksum of a larger file takes some seconds."""


@dataclass(frozen=True)
class HubFile:
    """A file of a repository: its path there, its size in bytes, its SHA-256 as hexadecimal ("": unsaid).

    `revision` is the commit it belongs to, so that the bytes are the ones the checksum is of.
    """

    path: str
    size: int
    sha256: str
    revision: str = "main"

    @property
    def name(self) -> str:
        """Give the last part of the path, which is safe as a file's name."""
        return PurePosixPath(self.path).name


class Hub:
    """A model hub over HTTP. Everything here blocks, and raises SetupError saying what to do about it."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._endpoint = (environment.get("HF_ENDPOINT") or _PUBLIC).rstrip("/")
        self._token = environment.get("HF_TOKEN") or None  # None: whatever `hf auth login` has stored
        if not self._endpoint.startswith(("http://", "https://")):
            raise SetupError(f"HF_ENDPOINT is {self._endpoint}, which is no web address.")

    def files(self, repository: str) -> list[HubFile]:
        """List a repository's GGUF files."""
        from huggingface_hub import HfApi  # noqa: PLC0415  # imported when first needed: 0.7 s

        if not _REPOSITORY.fullmatch(repository):
            raise SetupError(f"{repository} is no repository.", hint="It looks like OWNER/NAME.")
        with self._told(repository):
            try:
                # Not `list_repo_tree`: that one needs 24 s to say that there is no network.
                api = HfApi(endpoint=self._endpoint, token=self._token)
                found = api.model_info(repository, files_metadata=True, timeout=_TIMEOUT)
                entries = [_file(one, found.sha) for one in found.siblings or []]
            except (ValueError, KeyError, TypeError, AttributeError):
                raise SetupError(
                    f"{self._endpoint} answers, but not as a model hub.", hint="Check HF_ENDPOINT."
                ) from None
        return [file for file in entries if _FILE_NAME.fullmatch(file.name)]

    def fetch(self, repository: str, file: HubFile, folder: Path, say: Say) -> Path:
        """Bring a file into the folder, going on where an earlier try broke off, and check its SHA-256.

        Until it is whole and checked it is called .part; what is wrong is deleted. A bar on the terminal
        shows how far it is.
        """
        whole, part = folder / file.name, folder / f"{file.name}.part"
        with self._told(repository, file.name, folder):
            if whole.exists() and whole.stat().st_size == file.size:
                return whole
            folder.mkdir(parents=True, exist_ok=True)
            here = _usable(part, file.size)
            if shutil.disk_usage(folder).free < file.size - here + _SPARE:
                raise _full(folder, file.size - here)
            self._download(repository, file, part)
            if file.size > _LONG:
                say(f"Checking {file.name} ...")
            if file.sha256 and _sha256(part) != file.sha256:
                part.unlink()
                raise SetupError(f"{file.name} came damaged: its checksum is wrong.", hint="Try again.")
            part.replace(whole)
        return whole

    def _download(self, repository: str, file: HubFile, part: Path) -> None:
        from httpx2 import ReadError  # noqa: PLC0415  # as above
        from huggingface_hub import hf_hub_url  # noqa: PLC0415  # as above
        from huggingface_hub.constants import MAX_HTTP_DOWNLOAD_SIZE  # noqa: PLC0415  # as above
        from huggingface_hub.file_download import http_get  # noqa: PLC0415  # as above
        from huggingface_hub.utils._headers import build_hf_headers  # noqa: PLC0415  # as above

        if file.size > MAX_HTTP_DOWNLOAD_SIZE:
            hint = f"Fetch it with: hf download {repository} {file.path} --local-dir {part.parent}"
            raise SetupError(f"{file.name} is larger than the hub gives over plain HTTP.", hint=hint)
        url = hf_hub_url(repository, file.path, revision=file.revision, endpoint=self._endpoint)
        headers = build_hf_headers(token=self._token) | {"Accept-Encoding": "identity"}
        for left in reversed(range(_TRIES)):
            try:
                with part.open("ab") as out:
                    http_get(
                        url,
                        out,
                        resume_size=out.tell(),
                        headers=headers,
                        expected_size=file.size,
                        displayed_filename=file.name,
                    )
            except ReadError:  # a line that was reset: `http_get` goes on after every other break
                if not left:
                    raise
            else:
                return

    @contextmanager
    def _told(self, repository: str, name: str = "", folder: Path | None = None) -> Iterator[None]:
        """Turn what goes wrong inside into a SetupError."""
        from httpx2 import TransportError  # noqa: PLC0415  # imported when first needed: 60 ms
        from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled  # noqa: PLC0415  # as above

        try:
            yield
        except HfHubHTTPError as error:
            raise self._refused(error, repository) from None
        except (TransportError, OfflineModeIsEnabled) as error:
            again = f"The same command goes on with {name} where it broke off." if name else ""
            raise SetupError(
                f"{self._endpoint} does not answer ({error}).",
                hint=again or "Check the network; HF_ENDPOINT can name a mirror.",
            ) from None
        except OSError as error:
            if error.errno == errno.ENOSPC and folder:
                raise _full(folder, 0) from None
            if error.errno is None:  # huggingface_hub's own: the size is not what it was said to be
                raise SetupError(f"{name} came with a wrong size.", hint="Try again.") from None
            raise SetupError(
                f"{error.filename or folder} cannot be written ({error.strerror}).",
                hint="Take another --into.",
            ) from None

    def _refused(self, error: HfHubHTTPError, repository: str) -> SetupError:
        code = error.response.status_code
        if code in {401, 403}:
            hint = "Check the name; accept its licence on its page; set HF_TOKEN to a token of your account."
            return SetupError(f"{repository} is not there, or not for everybody.", hint=hint)
        if code == 404:
            return SetupError(f"There is no {repository} at {self._endpoint}.", hint="Check the name.")
        return SetupError(f"{self._endpoint} answers {code}.", hint="Try again later.")


def choose(files: list[HubFile], quantization: str, repository: str) -> list[HubFile]:
    """Give the file of that quantization, or all its parts. Raises SetupError where there is none."""
    models = [file for file in files if "mmproj" not in file.name.lower()]
    word = re.compile(rf"(?<![a-z0-9_]){re.escape(quantization.lower())}(?![a-z0-9_])")
    found = sorted((file for file in models if word.search(file.path.lower())), key=lambda file: file.path)
    if not found:
        there = ", ".join(sorted(file.name for file in models)[:20]) or "no GGUF files"
        raise SetupError(f"{repository} has no {quantization}.", hint=f"It has: {there}.")
    split = _SPLIT.search(found[0].name)
    parts = found[: int(split[1])] if split else found[:1]
    if split and len(parts) < int(split[1]):
        raise SetupError(f"{repository} has {len(parts)} of the {int(split[1])} parts of {found[0].name}.")
    return parts


def _file(entry: Any, revision: str | None) -> HubFile:
    large = entry.lfs or {}
    size = large.get("size") or entry.size or 0
    return HubFile(str(entry.rfilename), int(size), str(large.get("sha256", "")), revision or "main")


def _usable(part: Path, size: int) -> int:
    """Give the bytes of an earlier try, thrown away if they are more than the file has."""
    if not part.exists():
        return 0
    if part.stat().st_size > size:
        part.unlink()
        return 0
    return part.stat().st_size


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _full(folder: Path, missing: int) -> SetupError:
    need = f"{missing / 1e9:.1f} GB are needed" if missing else "the disk is full"
    return SetupError(f"There is no room in {folder}: {need}.", hint="Make room, or take another --into.")
