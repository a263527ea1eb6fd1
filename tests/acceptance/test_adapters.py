"""Characters with LoRA adapters of their own: they speak with them, and the table is told the price."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.tabletop import Tabletop
from tests.fakes.model_server import ScriptedModelServer


def write(folder: Path, name: str, adapter: str) -> None:
    text = f'name = "{name}"\ndescription = "A voice."\ngreeting = "Hail."\n[lora]\nname = "{adapter}"\n'
    (folder / f"{name.lower()}.toml").write_text(text, encoding="utf-8")


async def test_a_second_adapter_and_a_missing_one_are_told_once(table: Tabletop, tmp_path: Path) -> None:
    personas = tmp_path / "personas"
    personas.mkdir()
    for name, adapter in (("Elva", "elf"), ("Durin", "dwarf"), ("Grum", "orc")):
        write(personas, name, adapter)
    async with (
        ScriptedModelServer(dialect="vllm", models=("llama", "elf", "dwarf")) as model,
        table.bot(model.url, PERSONAS_DIR=str(personas)),
    ):
        await table.start_scene(persona="elva, durin")
        for line in ("Elva?", "Durin?", "Elva?"):
            await table.says(table.ann, line)
            await table.until(lambda line=line: line in table.stored()[-1:])  # type: ignore[misc]
            await table.at_rest()
        await table.command("scene add", {"persona": "grum"})
        for number in range(2):
            await table.says(table.ann, f"Grum, {number}?")
            await table.until(lambda: f"Grum, {number}?" in table.stored()[-1:])  # noqa: B023
            await table.at_rest()
    asked = [chat.body["model"] for chat in model.chats if chat.purpose == "answer"]
    assert asked == ["elf", "dwarf", "elf", "llama", "llama"]
    notices = [text for name, text in table.spoken() if "adapter" in text]
    assert len(notices) == 2
    assert "Elva and Durin speak with different LoRA adapters (elf, dwarf)" in notices[0]
    assert "has no LoRA adapter called “orc”: Grum speaks without it." in notices[1]
