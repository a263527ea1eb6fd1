"""What the operator decides, and what they are told where it cannot be."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bot.errors import SetupError
from bot.settings import PROJECT, Settings, env_example, load_settings


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def env_file(tmp_path: Path) -> Path:
    return tmp_path / ".env"


def refusal(env_file: Path) -> str:
    with pytest.raises(SetupError) as refused:
        load_settings(env_file)
    return str(refused.value)


def test_the_example_file_is_what_the_settings_say() -> None:
    written = (PROJECT / ".env.example").read_text(encoding="utf-8")
    assert written == env_example(), "write it anew: .env.example = bot.settings.env_example()"


def test_the_example_file_changes_nothing(env_file: Path) -> None:
    """Neither as it is, nor with every setting switched on at its default."""
    defaults = load_settings(env_file)
    for text in (env_example(), env_example().replace("\n#", "\n").replace("\n ", "\n# ")):
        env_file.write_text(text, encoding="utf-8")
        assert load_settings(env_file) == defaults


def test_every_setting_is_explained() -> None:
    for name, field in Settings.model_fields.items():
        assert field.description, f"{name.upper()} has no description"
        assert field.description.endswith("."), f"{name.upper()}: {field.description}"


def test_nothing_has_to_be_set(env_file: Path) -> None:
    settings = load_settings(env_file)
    assert settings.discord_token.get_secret_value() == ""
    assert settings.discord_api_url == "https://discord.com/api/v10"
    assert settings.database_path == PROJECT / "data" / "hearthside.sqlite"
    assert settings.model_urls == ()
    assert settings.context_length is None


def test_the_environment_wins_over_the_file(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env_file.write_text("ANSWER_TOKENS=111\nLOG_LEVEL=debug\nLISTEN=false\n")
    monkeypatch.setenv("ANSWER_TOKENS", "222")
    monkeypatch.setenv("LOG_LEVEL", "")  # set, but to nothing, as compose files do
    settings = load_settings(env_file)
    assert (settings.answer_tokens, settings.log_level, settings.listen) == (222, "debug", False)


def test_a_file_from_windows_editor_is_read(env_file: Path) -> None:
    env_file.write_bytes(b"\xef\xbb\xbfDISCORD_TOKEN=abc\r\nLOG_LEVEL=INFO\r\n")
    settings = load_settings(env_file)
    assert settings.discord_token.get_secret_value() == "abc"
    assert settings.log_level == "info"


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("MODEL_URL=http://gpu:8080", "MODEL_URLS"),
        ("export DISCORD_BOT_TOKEN=abc", "DISCORD_TOKEN"),
        ("databse_url=sqlite:///campaign.sqlite", "DATABASE_URL"),
        ("CONTEXT_LENGHT=8192", "CONTEXT_LENGTH"),
    ],
)
def test_a_misspelt_setting_is_not_passed_over(written: str, meant: str, env_file: Path) -> None:
    """Else the campaign would be kept elsewhere, or the graphics card stand idle, and nobody would know."""
    env_file.write_text(f"ANSWER_TOKENS=300\n{written}\n")
    name = written.removeprefix("export ").partition("=")[0].upper()
    assert refusal(env_file) == f"{env_file} has {name}, which is no setting. Did you mean {meant}?"


def test_what_other_programs_are_told_and_what_is_kept_for_later_is_left_alone(env_file: Path) -> None:
    env_file.write_text(
        "HF_TOKEN=hf_1\nOPENAI_API_KEY=sk\nCOMPOSE_PROJECT_NAME=table\nCPU_MODEL_OLD=models/old.gguf\n"
        "TEST_DISCORD_TOKEN=abc\nMODEL_URL=http://other:1\nMODEL_URLS=http://gpu:8080\n"
    )
    assert load_settings(env_file).model_urls == ("http://gpu:8080",)


@pytest.mark.parametrize("line", ["DISCORD_TOKEN: hunter2", 'DISCORD_TOKEN="hunter2'])
def test_a_line_that_says_nothing_is_named_by_its_number(line: str, env_file: Path) -> None:
    env_file.write_text(f"# mine\nANSWER_TOKENS=300\n{line}\nLOG_LEVEL=debug\n")
    assert refusal(env_file) == (
        f"Line 3 of {env_file} cannot be read. Write NAME=value, and close every quote."
    )


def test_a_file_that_is_not_text_is_named(env_file: Path) -> None:
    env_file.write_bytes("DISCORD_TOKEN=äbc".encode("utf-16"))
    assert refusal(env_file) == f"The settings in {env_file} are not UTF-8 text. Save the file as UTF-8."


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("https://discord.com/api/v10", "https://discord.com/api/v10"),
        ("https://discord.com/api/v10/", "https://discord.com/api/v10"),
        ("http://127.0.0.1:4000", "http://127.0.0.1:4000/api/v10"),
        ("http://127.0.0.1:4000/", "http://127.0.0.1:4000/api/v10"),
        ("http://proxy:3000/discord/api", "http://proxy:3000/discord/api"),
    ],
)
def test_discord_is_asked_at(given: str, used: str, env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_API_URL", given)
    assert load_settings(env_file).discord_api_url == used


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///data/table.sqlite", PROJECT / "data" / "table.sqlite"),
        ("sqlite+aiosqlite:///table.sqlite", PROJECT / "table.sqlite"),
        ("sqlite:///~/table.sqlite", Path.home() / "table.sqlite"),
        ("sqlite:///100% of it?/#1.sqlite", PROJECT / "100% of it?" / "#1.sqlite"),
    ],
)
def test_a_database_path_counts_from_the_project(
    url: str, path: Path, env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert load_settings(env_file).database_path == path


def test_an_absolute_database_path_stays(
    tmp_path: Path, env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{(tmp_path / 'table.sqlite').as_posix()}")
    assert load_settings(env_file).database_path == tmp_path / "table.sqlite"


def test_paths_count_from_the_project(
    tmp_path: Path, env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CPU_MODEL", "models/tiny.gguf")
    monkeypatch.setenv("PERSONAS_DIR", str(tmp_path))
    settings = load_settings(env_file)
    assert settings.cpu_model == PROJECT / "models" / "tiny.gguf"
    assert settings.personas_dir == tmp_path


def test_lists_are_separated_by_commas(env_file: Path) -> None:
    env_file.write_text(
        "MODEL_URLS= http://a:8080/v1 ,, https://b/v1,\nALLOWED_LINK_DOMAINS=example.org,example.com\n"
    )
    settings = load_settings(env_file)
    assert settings.model_urls == ("http://a:8080/v1", "https://b/v1")
    assert settings.allowed_link_domains == ("example.org", "example.com")


def test_model_servers_with_a_bar_between_them_stay_together(env_file: Path) -> None:
    env_file.write_text("MODEL_URLS=http://a:8000 | http://b:8000, http://c:8080\n")
    assert load_settings(env_file).model_urls == ("http://a:8000|http://b:8000", "http://c:8080")
    env_file.write_text("MODEL_URLS=http://a:8000|b\n")
    with pytest.raises(SetupError, match="MODEL_URLS: must be a web address"):
        load_settings(env_file)


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("DISCORD_API_URL", "hunter2.example", "must be a web address"),
        ("DISCORD_API_URL", "ftp://hunter2", "must be a web address"),
        ("MODEL_URLS", "http://ok:1/v1, hunter2:8080", "must be a web address"),
        ("MODEL_URLS", "http://user:hunter2", "must be a web address"),
        ("MODEL_URLS", "http://[hunter2", "must be a web address"),
        ("MODEL_URLS", "http://hunter2:99999/v1", "must be a web address"),
        ("DATABASE_URL", "postgresql://me:hunter2@db/table", "must be a SQLite address"),
        ("DATABASE_URL", "sqlite:///:memory:", "must name a file"),
        ("DATABASE_URL", "sqlite://", "must name a file"),
        ("DATABASE_URL", "sqlitehunter2:///x", "must be a SQLite address"),
        ("CONTEXT_LENGTH", "hunter2", "valid integer"),
        ("CONTEXT_LENGTH", "12", "greater than or equal to 256"),
        ("ANSWER_TOKENS", "0", "greater than or equal to 16"),
        ("PARALLEL_ANSWERS", "-1", "greater than or equal to 1"),
        ("LISTEN", "hunter2", "valid boolean"),
        ("DISCORD_TOKEN", "“hunter2”", "typographic quotes"),
        ("MODEL_API_KEY", "hunter2\nhunter2", "belongs to no key"),
        ("CPU_MODEL", "https://hunter2/model.gguf", "`hearthside model pull` fetches"),
        ("CPU_MODEL", "C:\\models\new\\hunter2.gguf", "in single quotes"),
        ("LOG_LEVEL", "hunter2", "'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_bad_value_is_named_but_never_repeated(
    name: str, value: str, complaint: str, env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    message = refusal(env_file)
    assert message.startswith(f"A setting is wrong: {name}: ")
    assert complaint in message
    assert message.endswith("Mend it in .env or the environment.")
    assert "hunter2" not in message


@pytest.mark.skipif(sys.platform == "win32", reason="Windows guesses where such a home would be")
def test_a_home_that_nobody_has(env_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERSONAS_DIR", "~nobody-of-this-name/personas")
    assert "PERSONAS_DIR: names the home folder of a user who has none" in refusal(env_file)


def test_all_that_is_wrong_is_named_at_once(env_file: Path) -> None:
    env_file.write_text("ANSWER_TOKENS=lots\nLISTEN=perhaps\n")
    message = refusal(env_file)
    assert "ANSWER_TOKENS" in message
    assert "LISTEN" in message


def test_the_end_of_the_line_of_a_secret_in_a_file_is_no_part_of_it(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "abc\n")
    assert load_settings(env_file).discord_token.get_secret_value() == "abc"


def test_secrets_are_not_shown_with_the_settings(env_file: Path) -> None:
    env_file.write_text("DISCORD_TOKEN=hunter2\nMODEL_API_KEY=hunter2\n")
    assert "hunter2" not in f"{load_settings(env_file)!r} {load_settings(env_file)}"
