"""Checks requests and responses against Discord's own OpenAPI description of its HTTP API.

    description = openapi.load()            # None where the file is not there; openapi.MISSING says why
    assert description.problems(room.requests) == []

The file is named by DISCORD_OPENAPI, else looked for at ../shared/data/discord/openapi.json beside the
repository. Requests are read leniently where Discord is: whole numbers as decimal strings and the reverse,
`oneOf` as `anyOf`. Responses are read as they are written. A request that was refused (4xx) is only
checked in its answer.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

if TYPE_CHECKING:
    from bot.rehearsal.server import Request

Json = dict[str, Any]

MISSING = (
    "Discord's OpenAPI description is not there: set DISCORD_OPENAPI to a copy of openapi.json "
    "from github.com/discord/discord-api-spec."
)

_DIGITS = r"^-?[0-9]{1,20}$"
_SNOWFLAKE = re.compile(r'"[0-9]{17,20}"')


def load() -> Description | None:
    """Read the description, or give None where there is none."""
    named = os.environ.get("DISCORD_OPENAPI")
    beside = Path(__file__).parents[3] / "shared" / "data" / "discord" / "openapi.json"
    path = Path(named) if named else beside
    return _read(path) if path.is_file() else None


@cache
def _read(path: Path) -> Description:
    return Description(json.loads(path.read_text(encoding="utf-8")))


class Description:
    """The operations of Discord's API and validators for their bodies."""

    def __init__(self, document: Json) -> None:
        self._operations = {
            (method.upper(), _anonymous(path)): (path, method)
            for path, item in document["paths"].items()
            for method in item
            if method != "parameters"
        }
        # Within a form's `errors` Discord's codes are words, which its description does not know.
        document["components"]["schemas"]["Error"]["properties"]["code"]["type"] = ["integer", "string"]
        self._document = document
        registry: Registry[Any] = Registry()
        for name, content in (("urn:strict", document), ("urn:lenient", _lenient(document))):
            registry = registry.with_resource(name, DRAFT202012.create_resource(content))
        self._registry = registry
        self._validators: dict[str, Draft202012Validator] = {}
        self._fitting: set[tuple[str, str]] = set()

    def problems(self, requests: Iterable[Request]) -> list[str]:
        """Give one line for everything that does not fit."""
        return [line for request in requests for line in self._check(request)]

    def _check(self, request: Request) -> list[str]:
        place = f"{request.method} {request.route}"
        found = self._operations.get((request.method, _anonymous(request.route)))
        if found is None:
            return [f"{place}: Discord has no such operation"] if request.status != 404 else []
        path, method = found
        operation = self._document["paths"][path][method]
        lines = self._check_response(place, path, method, operation, request)
        if request.status < 300:
            lines += self._check_body(place, path, method, operation, request)
            lines += self._check_query(place, operation, request)
        return lines

    def _check_body(self, place: str, path: str, method: str, operation: Json, request: Request) -> list[str]:
        content = operation.get("requestBody", {}).get("content", {})
        if request.json is None:
            return []
        if "application/json" not in content:
            return [f"{place}: takes no body"]
        pointer = _pointer("paths", path, method, "requestBody", "content", "application/json", "schema")
        return self._errors(f"urn:lenient#{pointer}", request.json, f"{place} request")

    def _check_query(self, place: str, operation: Json, request: Request) -> list[str]:
        known = {each["name"] for each in operation.get("parameters", []) if each.get("in") == "query"}
        return [f"{place}: has no query parameter {name!r}" for name in request.query if name not in known]

    def _check_response(
        self, place: str, path: str, method: str, operation: Json, request: Request
    ) -> list[str]:
        status = str(request.status)
        if status.startswith("4"):
            name = "ClientRatelimitedResponse" if status == "429" else "ClientErrorResponse"
            pointer = _pointer("components", "responses", name, "content", "application/json", "schema")
            return self._errors(f"urn:strict#{pointer}", request.response, f"{place} {status}")
        if status.startswith("5"):
            return []
        if status not in operation["responses"]:
            return [f"{place}: does not answer {status}"]
        content = operation["responses"][status].get("content")
        if content is None:
            return [] if request.response is None else [f"{place}: {status} has no body"]
        pointer = _pointer(
            "paths", path, method, "responses", status, "content", "application/json", "schema"
        )
        return self._errors(f"urn:strict#{pointer}", request.response, f"{place} {status} response")

    def _errors(self, reference: str, value: Any, place: str) -> list[str]:
        """Check a value; what differs from one that fitted by its ids alone fits too.

        Every bot of a run registers the same commands, and looking through them takes 0.2 s.
        """
        alike = (reference, _SNOWFLAKE.sub('"1"', json.dumps(value)))
        if alike in self._fitting:
            return []
        errors = self._found(reference, value, place)
        if not errors:
            self._fitting.add(alike)
        return errors

    def _found(self, reference: str, value: Any, place: str) -> list[str]:
        if reference not in self._validators:
            self._validators[reference] = Draft202012Validator(
                {"$ref": reference}, registry=self._registry, format_checker=_FORMATS
            )
        return [
            f"{place} at {each.json_path}: {_deepest(each)}"
            for each in self._validators[reference].iter_errors(value)
        ]


def _deepest(error: Any) -> str:
    while error.context:
        error = max(error.context, key=lambda each: len(each.absolute_path))
    return f"{error.json_path}: {error.message[:300]}"


def _anonymous(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path)


def _pointer(*parts: str) -> str:
    return "".join(
        "/" + part.replace("~", "~0").replace("/", "~1").replace("{", "%7B").replace("}", "%7D")
        for part in parts
    )


def _lenient(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_lenient(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    read = {
        ("anyOf" if name == "oneOf" and isinstance(each, list) else name): _lenient(each)
        for name, each in schema.items()
    }
    kinds = read.get("type")
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if not isinstance(kinds, list) or "properties" in read:
        return read
    if "integer" in kinds:
        return {"anyOf": [read, {"type": "string", "pattern": _DIGITS}]}
    if "string" in kinds and read.get("format") == "snowflake":
        return {"anyOf": [read, {"type": "integer"}]}
    return read


def _looser(name: str, value: Any) -> str:
    return "anyOf" if name == "oneOf" and isinstance(value, list) else name


_FORMATS = FormatChecker(formats=())


@_FORMATS.checks("date-time", raises=ValueError)
def _is_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None


@_FORMATS.checks("uri")
def _is_uri(value: object) -> bool:
    return not isinstance(value, str) or re.match(r"^[a-z][a-z0-9+.-]*:\S+$", value) is not None
