"""Discord's way of saying no: status, numeric code, sentence, and for a bad form where each mistake is."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


class Refusal(Exception):  # noqa: N818  Discord refuses a request; it is an answer, not a fault of ours
    """A request that Discord would not carry out.

    `status` is the HTTP status, `code` Discord's JSON error code, `body` the whole response.
    """

    def __init__(self, status: int, code: int, message: str, **more: Any) -> None:
        super().__init__(f"{status} ({code}): {message}")
        self.status = status
        self.code = code
        self.body: Json = {"message": message, "code": code, **more}


def refusal(code: int) -> Refusal:
    """Give the refusal that Discord documents under this JSON error code."""
    status, message = REFUSALS[code]
    return Refusal(status, code, message)


REFUSALS: dict[int, tuple[int, str]] = {
    10002: (404, "Unknown Application"),
    10003: (404, "Unknown Channel"),
    10004: (404, "Unknown Guild"),
    10007: (404, "Unknown Member"),
    10008: (404, "Unknown Message"),
    10011: (404, "Unknown Role"),
    10013: (404, "Unknown User"),
    10014: (400, "Unknown Emoji"),
    10015: (404, "Unknown Webhook"),
    10062: (404, "Unknown interaction"),
    10063: (404, "Unknown application command"),
    20012: (403, "You are not authorized to perform this action on this application"),
    30003: (400, "Maximum number of pins reached (250)"),
    30007: (400, "Maximum number of webhooks reached (15)"),
    30010: (400, "Maximum number of reactions reached (20)"),
    30034: (429, "Max number of daily application command creates has been reached (200)"),
    40005: (413, "Request entity too large"),
    40060: (400, "Interaction has already been acknowledged."),
    50001: (403, "Missing Access"),
    50003: (403, "Cannot execute action on this channel type"),
    50005: (403, "Cannot edit a message authored by another user"),
    50006: (400, "Cannot send an empty message"),
    50007: (403, "Cannot send messages to this user"),
    50008: (400, "Cannot send messages in a non-text channel"),
    50013: (403, "Missing Permissions"),
    50021: (403, "Cannot execute action on a system message"),
    50024: (400, "Cannot execute action on this channel type"),
    50027: (401, "Invalid Webhook Token"),
    50033: (400, "Invalid Recipient(s)"),
    50034: (400, "You can only bulk delete messages that are under 14 days old."),
    50083: (400, "Thread is archived"),
    50109: (400, "The request body contains invalid JSON."),
    160002: (403, "Cannot reply without permission to read message history"),
    160004: (400, "A thread has already been created for this message"),
    160005: (403, "Thread is locked"),
    160006: (400, "Maximum number of active threads reached"),
}
"""JSON error code: HTTP status and sentence. Source: Discord's "Opcodes and Status Codes"."""


def unauthorized() -> Refusal:
    """Refuse a missing or wrong token."""
    return Refusal(401, 0, "401: Unauthorized")


def not_found() -> Refusal:
    """Refuse a path that no route has."""
    return Refusal(404, 0, "404: Not Found")


class Form:
    """Collects the mistakes of a request body, each at its path, and refuses them all at once (50035)."""

    def __init__(self) -> None:
        self._tree: Json = {}

    def fault(self, path: Path, code: str, message: str) -> None:
        """Note one mistake at `path`, a tuple of field names and list positions."""
        node = self._tree
        for step in path:
            node = node.setdefault(str(step), {})
        node.setdefault("_errors", []).append({"code": code, "message": message})

    def check(self) -> None:
        """Refuse the body if any mistake was noted."""
        if self._tree:
            raise Refusal(400, 50035, "Invalid Form Body", errors=self._tree)

    def text(self, body: Json, path: Path, *, low: int = 0, high: int, required: bool = False) -> str | None:
        """Read a string whose length in code points lies between `low` and `high`."""
        value = body.get(path[-1])
        if value is None:
            if required:
                self.required(path)
            return None
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(value)  # Discord takes a number where it wants a string
        if not isinstance(value, str):
            self.fault(path, "STRING_TYPE_CONVERT", f'Could not interpret "{value}" as string.')
            return None
        self.length(path, len(value), low, high)
        return value

    def required(self, path: Path) -> None:
        """Note that a field is missing."""
        self.fault(path, "BASE_TYPE_REQUIRED", "This field is required")

    def length(self, path: Path, length: int, low: int, high: int) -> None:
        """Check the length of a string or list against both bounds, with Discord's wording."""
        if low <= length <= high:
            return
        if low and length:
            self.fault(path, "BASE_TYPE_BAD_LENGTH", f"Must be between {low} and {high} in length.")
        elif length > high:
            self.fault(path, "BASE_TYPE_MAX_LENGTH", f"Must be {high} or fewer in length.")
        else:
            code = "BASE_TYPE_REQUIRED" if low == 1 else "BASE_TYPE_BAD_LENGTH"
            sentence = (
                "This field is required" if low == 1 else f"Must be between {low} and {high} in length."
            )
            self.fault(path, code, sentence)

    def number(self, body: Json, path: Path, *, low: int, high: int, required: bool = False) -> int | None:
        """Read a whole number between `low` and `high`; Discord also takes its decimal string."""
        value = body.get(path[-1])
        if value is None:
            if required:
                self.required(path)
            return None
        number = _whole(value)
        if number is None:
            self.fault(path, "NUMBER_TYPE_COERCE", f'Value "{value}" is not int.')
        elif number < low:
            self.fault(path, "NUMBER_TYPE_MIN", f"int value should be greater than or equal to {low}.")
        elif number > high:
            self.fault(path, "NUMBER_TYPE_MAX", f"int value should be less than or equal to {high}.")
        else:
            return number
        return None

    def snowflake(self, body: Json, path: Path, *, required: bool = False) -> int | None:
        """Read an id."""
        value = body.get(path[-1])
        if value is None:
            if required:
                self.required(path)
            return None
        number = _whole(value)
        if number is None or not 0 <= number < 1 << 64:
            self.fault(path, "NUMBER_TYPE_COERCE", f'Value "{value}" is not snowflake.')
            return None
        return number

    def choice(
        self, body: Json, path: Path, choices: tuple[int, ...], *, required: bool = False
    ) -> int | None:
        """Read a number that must be one of `choices`."""
        value = body.get(path[-1])
        if value is None:
            if required:
                self.required(path)
            return None
        number = _whole(value)
        if number not in choices:
            listed = ", ".join(map(str, choices))
            self.fault(path, "BASE_TYPE_CHOICES", f"Value must be one of {{{listed}}}.")
            return None
        return number

    def flag(self, body: Json, path: Path) -> bool | None:
        """Read a boolean."""
        value = body.get(path[-1])
        if value is not None and not isinstance(value, bool):
            self.fault(path, "BOOLEAN_TYPE_CONVERT", "Must be either true or false.")
            return None
        return value

    def items(self, body: Json, path: Path, *, low: int = 0, high: int) -> list[Any] | None:
        """Read a list of `low` to `high` entries."""
        value = body.get(path[-1])
        if value is None:
            return None
        if not isinstance(value, list):
            self.fault(path, "LIST_TYPE_CONVERT", "Only iterables may be used in a ListType")
            return None
        self.length(path, len(value), low, high)
        return value[:high]

    def objects(self, body: Json, path: Path, *, low: int = 0, high: int) -> list[Json] | None:
        """Read a list of objects."""
        value = self.items(body, path, low=low, high=high)
        if value is None:
            return None
        for position, entry in enumerate(value):
            if not isinstance(entry, dict):
                self.fault(
                    (*path, position), "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType"
                )
        return [entry for entry in value if isinstance(entry, dict)]

    def object(self, body: Json, path: Path) -> Json | None:
        """Read one object."""
        value = body.get(path[-1])
        if value is not None and not isinstance(value, dict):
            self.fault(path, "MODEL_TYPE_CONVERT", "Only dictionaries may be used in a ModelType")
            return None
        return value

    def url(
        self, body: Json, path: Path, *, high: int = 2048, schemes: tuple[str, ...] = ("http", "https")
    ) -> None:
        """Check that a field holds an address that Discord would take."""
        value = self.text(body, path, high=high)
        if not value:
            return
        scheme, separator, rest = value.partition("://")
        if not separator or not rest:
            self.fault(path, "URL_TYPE_INVALID_URL", "Not a well formed URL.")
        elif scheme not in schemes:
            listed = ", ".join(f"'{name}'" for name in schemes)
            self.fault(
                path,
                "URL_TYPE_INVALID_SCHEME",
                f'Scheme "{scheme}" is not supported. Scheme must be one of ({listed}).',
            )


Path = tuple[Any, ...]
"""Where in a body: field names and list positions; the last one is the field itself."""


def _whole(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.removeprefix("-").isdecimal() and len(value) < 22:
        return int(value)
    return None
