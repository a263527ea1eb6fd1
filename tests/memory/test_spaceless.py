"""What is said in scripts without spaces between words is found by its words, as in any other."""
# ruff: noqa: RUF001  # how these texts are written is what they are for

from __future__ import annotations

import pytest

from bot.memory import query, ranking
from bot.scene.choosing import LEAST_EVIDENCE
from tests.memory.tale import Tale

JAPANESE = (
    "今日は雨がひどいですね。",
    "私は剣を抜いて構えます。",
    "そうですね、気をつけましょう。",
    "誰かが遠くで歌っていました。",
    "もう夜も遅いし、休んだほうがいいと思います。",
    "それは何だったんですか？",
    "ミラさんが笑った。どこへ行きますか？",
)
CHINESE = (
    "今天的雨下得真大。",
    "我拔出剑，摆好架势。",
    "是啊，我们大家小心一点。",
    "远处有人在唱歌。",
    "已经很晚了，我觉得我们应该休息。",
    "那是什么？你在说什么？",
    "他笑了。我们要去哪里呢？",
)
TRADITIONAL = (
    "今天的雨下得真大。",
    "我們要不要去看看？",
    "他說我們應該休息。",
    "這是什麼？",
    "還是什麼都看不見。",
)
THAI = ("วันนี้ฝนตกหนักมาก", "ฉันชักดาบออกมา", "มีคนร้องเพลงอยู่ไกลๆ", "เราควรพักผ่อนกันเถอะ", "มันคืออะไร")
LAO = ("ມື້ນີ້ຝົນຕົກແຮງ", "ພວກເຮົາຄວນພັກຜ່ອນ", "ມີຄົນຮ້ອງເພງຢູ່ໄກ")
KHMER = ("ថ្ងៃនេះភ្លៀងខ្លាំងណាស់", "យើងគួរសម្រាក", "មាននរណាម្នាក់កំពុងច្រៀង")
BURMESE = ("ဒီနေ့မိုးသည်းတယ်", "ငါတို့နားသင့်တယ်", "တစ်ယောက်ယောက်သီချင်းဆိုနေတယ်")


async def among(tale: Tale, others: tuple[str, ...], told: str, **changes: object) -> None:
    """Say something in the middle of much else."""
    for lines in (range(120), range(120, 240)):
        await tale.says(*(others[number % len(others)] for number in lines))
        if lines.start == 0:
            await tale.says(told, **changes)


@pytest.mark.parametrize(
    ("others", "told", "asked"),
    [
        (JAPANESE, "宿屋の主人に銀貨十二枚を払うと約束しました。", "主人に約束した銀貨は何枚でしたか？"),
        (JAPANESE, "マルタは赤い鍵を井戸の底に隠した。", "井戸に隠された鍵のことを覚えてますか？"),
        (JAPANESE, "ゴブリンキングが橋を渡った。", "ゴブリンはどこですか"),
        (JAPANESE, "森の奥に龍が住んでいる。", "龍"),
        (JAPANESE, "それはりんごのパイですよ。", "りんごを食べました？"),
        (CHINESE, "旅店老板答应给我们十二枚银币。", "老板说过要给我们多少银币？"),
        (CHINESE, "那条龙住在北边的山里。", "龙在哪里？"),
        (CHINESE, "李小龙把钥匙藏在井底了。", "你还记得那把钥匙吗？"),
        (TRADITIONAL, "旅店老闆答應給我們十二枚銀幣。", "老闆說的銀幣在哪裡？"),
        (THAI, "กุญแจเงินซ่อนอยู่ในปราสาท", "เราซ่อนกุญแจไว้ที่ไหน"),
        (THAI, "มังกรแดงมาแล้ว", "มังกร"),
        (LAO, "ກະແຈເງິນຢູ່ໃນຜາສາດ", "ຜາສາດຢູ່ໃສ"),
        (KHMER, "កូនសោប្រាក់នៅក្នុងប្រាសាទ", "តើប្រាសាទនៅឯណា"),
        (BURMESE, "ငွေသော့ကိုရဲတိုက်မှာဝှက်ထားတယ်", "ရဲတိုက်ဘယ်မှာလဲ"),
    ],
)
async def test_a_question_finds_what_it_is_about_among_much_else(
    tale: Tale, others: tuple[str, ...], told: str, asked: str
) -> None:
    await among(tale, others, told)
    assert await tale.first(asked) == told


@pytest.mark.parametrize(
    ("told", "asked"),
    [
        ("ﾏﾙﾀがｶﾞｰﾄﾞを呼ぶ。", "マルタ"),
        ("マルタがガードを呼ぶ。", "ｶﾞｰﾄﾞ"),
        ("Ｔｈｅ　Ｓｗａｎという酒場です。", "swan"),
        ("The Swanという酒場です。", "ＳＷＡＮ"),
        ("マルタのinnへ戻る。", "INNはどこ？"),
        ("マルタのinnへ戻る。", "Is マルタ there?"),
        ("第３章が始まる。", "3"),
        ("か\N{COMBINING KATAKANA-HIRAGANA VOICED SOUND MARK}らんとした広間", "がらんとした広間"),
        ("あ゙あ゙あ゙、痛い！", "あ゙あ゙、痛い"),
        ("𠮷野家で待つ。", "𠮷野家"),
        ("ราคาน้ำตาล", "น้ำตาล"),
        ("용은 북쪽 산에 산다.", "북쪽"),
    ],
)
async def test_words_are_found_however_wide_and_with_whatever_they_are_mixed(
    tale: Tale, told: str, asked: str
) -> None:
    await tale.chatter(20)
    await tale.says(told)
    await tale.chatter(20)
    assert await tale.first(asked) == told


async def test_one_name_alone_is_no_reason_to_remember_but_with_another_word_it_is(tale: Tale) -> None:
    await among(tale, JAPANESE, "コルヴィンは銀貨を井戸に落とした。")
    [name, *_] = await tale.search("コルヴィンですか？")
    [both, *_] = await tale.search("コルヴィンは銀貨をどうしましたか？")
    assert 0.9 < name.evidence < LEAST_EVIDENCE < both.evidence


async def test_endings_that_every_line_has_do_not_hide_what_is_rare(tale: Tale) -> None:
    await among(tale, JAPANESE, "鍛冶屋が来る。")
    asked = "そうですね、もういいと思いますが、どこへ行きますか、鍛冶屋は？"
    assert await tale.first(asked) == "鍛冶屋が来る。"
    named = {hit.entry.text for hit in await tale.search("鍛冶屋はどこにいますか？", 50) if hit.named}
    assert named == {"鍛冶屋が来る。"}
    assert (await tale.search("そうですか"))[0].named  # alone they are what is looked for


async def test_who_said_something_is_found_by_name(tale: Tale) -> None:
    await among(tale, CHINESE, "我们回去吧。", speaker="李小龙")
    assert (await tale.search("李小龙说了什么？"))[0].entry.speaker == "李小龙"
    worth = [
        ranking.worth("我们回去吧。", name, query.words("李小龙说了什么？"), ranking.ENTRY)
        for name in ("李小龙", "李大龙")
    ]
    assert worth[0] > worth[1]


async def test_a_question_of_nothing_but_common_words_is_searched_for_as_it_is(tale: Tale) -> None:
    await tale.chatter(5)
    await tale.says("你是谁？")
    assert await tale.first("你是谁") == "你是谁？"


def test_long_texts_are_searched_with_by_what_tells_most() -> None:
    asked = query.words("それはとてもおいしかったです。" * 200 + "銀貨と井戸")
    assert {"銀貨", "井戸"} <= asked.keys()
    for text in ("那条龙住在北边的山里" * 300, "".join(map(chr, range(0x4E00, 0x5E00)))):
        words = query.words(text)
        assert len(words) <= query.MOST_TERMS
        assert sum(words.values()) <= query.MOST_WORDS


def test_a_line_tells_as_much_as_its_translation() -> None:
    for text in ("旅店老板答应给我们十二枚银币。", "宿屋の主人が銀貨十二枚を約束してくれた。"):
        assert ranking.told(text) == pytest.approx(
            ranking.told("The innkeeper promised us twelve crowns."), abs=0.1
        )
    assert (
        ranking.told("何があった？") < ranking.told("雨だ。何があった？") < ranking.told("雨だ。寒い夜だ。")
    )


@pytest.mark.parametrize("text", ["ーーー", "々", "゙", "ㇰ", "ที", "ิ", "្ក", "\u1039", "ｰﾞ", "・「」。！"])
async def test_whatever_is_typed_is_looked_for(tale: Tale, text: str) -> None:
    await tale.says(text, f"龍{text}龍")
    await tale.search(text)
    await tale.search(f"龍{text}龍?")
