"""What people can be told. Anything else is a bug: it gets an id in the log and a short apology."""

from __future__ import annotations


class HearthsideError(Exception):
    """An error whose text a person reads as it stands.

    `str(error)` is one plain sentence about what happened; `hint` is what to do about it.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint

    def __str__(self) -> str:
        """Give the sentence, followed by the hint where there is one."""
        message: str = self.args[0]
        return f"{message} {self.hint}".rstrip()


class TableError(HearthsideError):
    """Something a player or game master asked for that cannot be: shown to them alone."""


class SetupError(HearthsideError):
    """Something only the operator can mend: settings, files, the database, permissions."""


class StoreError(SetupError):
    """The database cannot be opened, read or written: it is locked, its disk is full. That may pass."""


class BackendError(HearthsideError):
    """A model server did not do what it was asked. The next one in line may."""


class BackendUnavailableError(BackendError):
    """A model server does not answer, is loading, or is not what it was said to be."""


class BackendLoadingError(BackendUnavailableError):
    """A model server is there and is still loading its model: it will answer before long."""


class KeyRefusedError(BackendUnavailableError):
    """A model server does not take the key that it was sent, and will not until somebody sees to it."""


class ModelRefusedError(BackendError):
    """A model server will not answer as the model that it was asked for by name (`model`)."""

    def __init__(self, message: str, *, model: str, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.model = model


class BackendBusyError(BackendError):
    """The queue in front of a model server is full."""


class TextRefusedError(BackendError):
    """An embedding model made nothing of a text. Others may fare better."""


class PromptTooLongError(BackendError):
    """A model server refused a prompt for its length.

    `prompt_tokens` and `context_length` are what the server said, in tokens, where it did.
    """

    def __init__(self, message: str, *, prompt_tokens: int | None, context_length: int | None) -> None:
        super().__init__(message)
        self.prompt_tokens = prompt_tokens
        self.context_length = context_length
