from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.prompt.tokens import MESSAGE_TOKENS, EstimatingCounter, entry_tokens
from tests.prompt.strategies import answered, noted, said

# What the dearest of four tokenizers made of each: SentencePiece 32k (Llama 2), byte-level 131k, 50k, 32k.
MEASURED = [
    ('I open the door slowly and look inside, holding up my lantern. "Hello? Is anybody there?"', 23),
    ("Xyl'thraxx of Zhentarim and Mordenkainen walk into Menzoberranzan.", 26),
    ("Der Wirt stellt zwei Krüge auf den Tresen, während der Regen gegen die Fensterläden schlägt.", 31),
    ("La pluie frappe les volets ; j'ouvre la porte à pas feutrés, l'épée à la main.", 31),
    ("Źdźbło trawy łaskocze żółwia, a deszcz bije o okiennice.", 30),
    ("Kılıcım elimde, kapıyı dikkatlice açıp içeri bakıyorum.", 32),  # noqa: RUF001 - Turkish
    ("Tôi nhẹ nhàng mở cửa và nhìn vào bên trong.", 31),
    ("Avaan oven varovasti ja kurkistan sisälle.", 17),
    ("Я осторожно открываю дверь и заглядываю внутрь.", 23),
    ("Ανοίγω προσεκτικά την πόρτα και κοιτάζω μέσα.", 46),
    ("我小心翼翼地推开门，握紧剑柄，往里面张望。", 32),  # noqa: RUF001 - Chinese
    ("私は剣を握りしめ、そっと扉を開けて中を覗き込む。", 33),
    ("나는 조심스럽게 문을 열고 안을 들여다봅니다.", 30),
    ("أفتح الباب بحذر وأنظر إلى الداخل.", 30),
    ("मैं सावधानी से दरवाज़ा खोलता हूँ।", 36),
    ("ฉันค่อยๆ เปิดประตูแล้วมองเข้าไปข้างใน", 40),
    ("🎲🎲 I roll!! 🗡️🐉 👩\u200d🚀 ❤️\u200d🔥 ✨", 47),
    ("2d20kh1+7 vs AC 15 -> 18 + 7 = 25, hit! HP 41/60", 35),
    ("for n in range(10):\n    print(f'{n:>3} {rng.randint(1, 20)}')\n", 35),
    ('{"hp": {"now": 17, "max": 24}, "conditions": ["prone"]}', 27),
]


@pytest.mark.parametrize(("text", "tokens"), MEASURED)
def test_an_estimate_of_ordinary_text_is_not_too_small_nor_absurd(text: str, tokens: int) -> None:
    assert tokens <= EstimatingCounter().count(text) <= 2.5 * tokens


def test_an_entry_costs_its_text_and_an_answer_its_two_messages() -> None:
    counter = EstimatingCounter()

    assert entry_tokens(said("Ann", "Hi."), counter) == counter.count("Ann: Hi.\n")
    assert entry_tokens(noted("night falls"), counter) == counter.count("[night falls]\n")
    assert (
        entry_tokens(answered("Marta", "Hm."), counter)
        == counter.count("[Marta answers.]") + counter.count("Hm.") + 2 * MESSAGE_TOKENS
    )
    assert entry_tokens(said("Ann", "\n"), counter) == 0


@given(one=st.text(max_size=60), other=st.text(max_size=60))
def test_an_estimate_grows_with_the_text_and_never_loses_in_parts(one: str, other: str) -> None:
    count = EstimatingCounter().count

    assert count(one) <= count(one + other) <= count(one) + count(other)
    assert count(one) <= 4 * len(one)
    assert (count(one) == 0) == (not one)


def test_an_estimate_that_was_too_small_is_mended_at_once_and_one_too_large_slowly() -> None:
    counter = EstimatingCounter()
    before = counter.count("A lantern.")

    counter.calibrate(1000, 700)
    assert 0.9 < counter.scale < 1.0
    for _ in range(40):
        counter.calibrate(1000, 700)
    assert 0.70 < counter.scale < 0.75
    counter.calibrate(1000, 1200)
    assert 1.2 <= counter.scale <= 1.25

    assert counter.count("A lantern.") == before
    assert not counter.exact


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), max_size=20))
def test_no_bill_takes_the_scale_out_of_bounds(bills: list[tuple[int, int]]) -> None:
    counter = EstimatingCounter()
    for estimated, billed in bills:
        counter.calibrate(estimated, billed)
        assert 0.25 <= counter.scale <= 2.0


def test_a_prompt_of_a_few_words_teaches_nothing() -> None:
    counter = EstimatingCounter()
    counter.calibrate(20, 190)

    assert counter.scale == 1.0
