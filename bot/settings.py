"""Every setting in one typed place. `.env.example` is written from here; a test keeps the two equal."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from bot.errors import SetupError

PROJECT = Path(__file__).resolve().parent.parent
DISCORD_API = "https://discord.com/api/v10"
_ALIKE = 0.8
"""How alike (0 to 1, difflib's ratio) a name and a setting's are for the one to be the other misspelt."""


class Settings(BaseSettings):
    """What the operator decides, from the environment and `.env`; the environment wins."""

    # utf-8-sig: Windows' editor puts a mark before the first setting, which would be overlooked with it.
    model_config = SettingsConfigDict(
        extra="ignore", env_ignore_empty=True, env_file_encoding="utf-8-sig", hide_input_in_errors=True
    )

    discord_token: SecretStr = Field(
        default=SecretStr(""),
        description="The bot's token, from https://discord.com/developers/applications > Bot > Reset Token.",
    )
    discord_api_url: str = Field(
        default=DISCORD_API,
        description="Discord's REST API, or a proxy in front of it; the gateway's address is asked from it.",
    )
    database_url: str = Field(
        default="sqlite:///data/hearthside.sqlite",
        description="Where scenes are kept. A relative SQLite path counts from the project's folder.",
    )
    model_urls: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="OpenAI-compatible model servers, separated by commas, tried in this order; those with |"
        " between them are equals that share the scenes. Empty: look on the usual local ports.",
    )
    model_api_key: SecretStr = Field(
        default=SecretStr(""), description="The key for those servers, where they ask for one."
    )
    model_admin_key: SecretStr = Field(
        default=SecretStr(""),
        description="Their key or password for loading models and adapters (TabbyAPI, KoboldCpp,"
        " text-generation-webui), where they ask for one.",
    )
    cpu_model: Path = Field(
        default=PROJECT / "bot" / "model" / "storyteller.gguf",
        description="The GGUF that answers on the CPU when no server does. Default: the bundled storyteller.",
    )
    llama_server: str = Field(
        default="",
        description="A llama-server binary to run for CPU_MODEL, in place of the built-in one.",
    )
    context_length: int | None = Field(
        default=None,
        ge=256,
        le=10_000_000,
        description="The model's context in tokens. Empty: what the server says.",
    )
    answer_tokens: int = Field(
        default=400,
        ge=16,
        le=8192,
        description="The longest answer, in tokens. This much of the context is kept free.",
    )
    parallel_answers: int = Field(
        default=4, ge=1, le=256, description="Answers that one model server works on at the same time."
    )
    embedding_url: str = Field(
        default="",
        description="An OpenAI-compatible server with an embedding model, so that recall goes by meaning too."
        " Empty, and no EMBEDDING_GGUF: by words alone.",
    )
    embedding_model: str = Field(
        default="", description="The model to ask that server for. Empty: the first that it lists."
    )
    embedding_api_key: SecretStr = Field(
        default=SecretStr(""),
        description="The key for that server. Empty: MODEL_API_KEY, if the server is one of MODEL_URLS.",
    )
    embedding_gguf: Path | None = Field(
        default=None,
        description="A GGUF embedding model to run on the CPU. It counts where EMBEDDING_URL is empty.",
    )
    recall_rewrite: bool = Field(
        default=False,
        description="Have the model say what to search memories for, before each answer: one more request for"
        " each, which takes the place of the cached prompt on servers with a single slot.",
    )
    personas_dir: Path = Field(default=PROJECT / "personas", description="The folder of persona files.")
    listen: bool = Field(
        default=True,
        description="Answer everything said in a scene's channel (needs the Message Content intent)."
        " false: only mentions, replies and commands.",
    )
    allowed_link_domains: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Web domains, separated by commas, whose links may stand clickable in answers.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="How much is logged to standard error."
    )

    @field_validator("model_urls", "allowed_link_domains", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part.strip() for part in value.split(",") if part.strip())

    @field_validator("model_urls")
    @classmethod
    def _web_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for url in value:
            for one in url.split("|"):
                _require_web_address(one.strip())
        return tuple("|".join(one.strip() for one in url.split("|")) for url in value)

    @field_validator("embedding_url")
    @classmethod
    def _web_address(cls, value: str) -> str:
        if value:
            _require_web_address(value)
        return value

    @field_validator("discord_api_url")
    @classmethod
    def _api_base(cls, value: str) -> str:
        _require_web_address(value)
        base = value.rstrip("/")
        return base if urlsplit(base).path else base + "/api/v10"

    @field_validator("database_url")
    @classmethod
    def _absolute_sqlite_path(cls, value: str) -> str:
        scheme, _, rest = value.partition("://")
        path = rest.removeprefix("/")
        if scheme.partition("+")[0] != "sqlite":
            raise ValueError("must be a SQLite address such as sqlite:///data/hearthside.sqlite")
        if path in {"", ":memory:"}:
            raise ValueError("must name a file: scenes would be lost at every restart otherwise")
        return f"sqlite:///{_from_project(Path(path)).as_posix()}"

    @field_validator("discord_token", "model_api_key", "model_admin_key", "embedding_api_key")
    @classmethod
    def _sendable(cls, value: SecretStr) -> SecretStr:
        """Take out the line's end of a secret that was read from a file, as Docker's are."""
        text = value.get_secret_value().strip()
        if not (text.isascii() and text.isprintable()):
            raise ValueError("has a character in it that belongs to no key: typographic quotes?")
        return SecretStr(text)

    @field_validator("cpu_model", "embedding_gguf", "personas_dir")
    @classmethod
    def _absolute_path(cls, value: Path | None) -> Path | None:
        text = str(value or "")
        if text.startswith(("http:", "https:")):  # a path has lost one of its slashes
            raise ValueError("must be a file on this machine: `hearthside model pull` fetches models")
        if any(ord(character) < 32 for character in text):
            raise ValueError("has a line break or a tab in it: write paths with / or in single quotes")
        return value and _from_project(value)

    @field_validator("log_level", mode="before")
    @classmethod
    def _lower(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    @property
    def database_path(self) -> Path:
        """The file that `database_url` names."""
        return Path(self.database_url.partition(":///")[2])


def _from_project(path: Path) -> Path:
    try:
        return PROJECT / path.expanduser()
    except RuntimeError:
        raise ValueError("names the home folder of a user who has none") from None


def _require_web_address(url: str) -> None:
    try:
        parts = urlsplit(url)
        good = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # its text repeats parts of the address, which may be a password
        good = False
    if not good:
        raise ValueError("must be a web address such as http://127.0.0.1:8080/v1")


def load_settings(env_file: Path = PROJECT / ".env") -> Settings:
    """Read the environment and `.env`.

    Raises SetupError naming each setting that is wrong; values are not repeated, they may be secret.
    """
    try:
        _require_settings(env_file)
        return Settings(_env_file=env_file)  # type: ignore[call-arg]  # pydantic-settings' own argument
    except OSError as error:
        raise SetupError(f"The settings in {env_file} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        raise SetupError(
            f"The settings in {env_file} are not UTF-8 text.", hint="Save the file as UTF-8."
        ) from None
    except ValidationError as error:
        wrong = "; ".join(
            f"{str(item['loc'][0]).upper()}: {item['msg'].removeprefix('Value error, ')}"
            for item in error.errors()
        )
        hint = "Mend it in .env or the environment."
        raise SetupError(f"A setting is wrong: {wrong}.", hint=hint) from None


def _require_settings(env_file: Path) -> None:
    """Refuse a file with a line that would be passed over: whoever wrote it counts on it.

    Names that are none of ours are other programs' (HF_TOKEN), unless they are like one that is missing.
    Raises SetupError, OSError, UnicodeDecodeError.
    """
    if not env_file.is_file():
        return
    import difflib  # noqa: PLC0415  # where there is no such file, none of it is needed: 30 ms

    from dotenv.parser import parse_stream  # noqa: PLC0415  # pydantic-settings reads the file with it, too

    with env_file.open(encoding="utf-8-sig") as file:
        lines = list(parse_stream(file))
    broken = next((one.original.line for one in lines if one.error), None)
    if broken:
        raise SetupError(
            f"Line {broken} of {env_file} cannot be read.", hint="Write NAME=value, and close every quote."
        )
    given = {one.key.lower() for one in lines if one.key}
    missing = Settings.model_fields.keys() - given - {name.lower() for name in os.environ}
    for name in sorted(given - Settings.model_fields.keys()):
        meant = difflib.get_close_matches(name, missing, n=1, cutoff=_ALIKE)
        if meant and not (name.startswith(f"{meant[0]}_") or name.endswith(f"_{meant[0]}")):
            raise SetupError(
                f"{env_file} has {name.upper()}, which is no setting.",
                hint=f"Did you mean {meant[0].upper()}?",
            )


def env_example() -> str:
    """Write `.env.example`: every setting with its meaning and default, all of them commented out."""
    blocks = [
        "# Hearthside's settings. Copy this file to .env and change what you need; playing needs none of it."
    ]
    for name, field in Settings.model_fields.items():
        blocks.append(f"# {field.description}\n#{name.upper()}={_shown_default(field.default)}")
    return "\n\n".join(blocks) + "\n"


def _shown_default(default: object) -> str:
    match default:
        case SecretStr() | None | ():
            return ""
        case Path():
            return default.relative_to(PROJECT).as_posix()
        case bool():
            return str(default).lower()
        case _:
            return str(default)
