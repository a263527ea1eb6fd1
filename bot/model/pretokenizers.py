"""How llama.cpp cuts a text into words before it merges bytes: regular expressions, by the cut's name.

The names are those of the metadata key `tokenizer.ggml.pre`. Names and expressions are facts of llama.cpp
(`src/llama-vocab.cpp`, build 11549). A cut's expressions apply one after the other: each cuts what the one
before it left, its matches and the text between them alike. Where they differ from the letter of the source
they say what its engine does (`src/unicode.cpp`): space outside ASCII is in no range of characters.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cut:
    """The expressions of a cut. `whole_words`: a word that is a token as a whole is that one, unmerged."""

    expressions: tuple[str, ...]
    whole_words: bool = False


_CONTRACTIONS = "(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])"
_SPACES = r"\s+(?!\S)|\s+"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|" + _SPACES
_DIGITS_BY_THREE = r"\p{N}{1,3}"

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|" + _SPACES


def _llama(number: str, letter: str = r"\p{L}", no_mark: str = r"\p{L}") -> str:
    rest = _REST.replace(r"\p{L}", no_mark)
    return rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?{letter}+|{number}|{rest}"


def _by_case(number: str, contractions: str = "") -> str:
    """Give the expression of the tokenizers that part words where a lower letter meets an upper one.

    Case is known of ASCII letters only.
    """
    start, upper, lower = r"[^\r\n\p{L}\p{N}]?", r"(?:(?=\p{L})[^a-z])", r"(?:(?=\p{L})[^A-Z])"
    return (
        rf"{start}{upper}*{lower}+{contractions}|{start}{upper}+{lower}*{contractions}|{number}"
        rf"| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*|\s*[\r\n]+|{_SPACES}"
    )


# Letters that have a case, as DeepSeek listed them.
_DEEPSEEK_LETTERS = (
    r"A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373"
    r"\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481"
    r"\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b"
    r"\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b"
    r"\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb"
    r"\u1fe0-\u1fec\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128"
    r"\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4"
    r"\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf"
    r"\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3"
    r"\U000104d8-\U000104fb\U00010c80-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df"
    r"\U0001e900-\U0001e943"
)
_DEEPSEEK_ASIAN = r"(?:(?!\s)[\u0800-\u9fa5\uac00-\ud7ff])+"
_DEEPSEEK_WORDS = (
    r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"
    r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|" + _SPACES
)

_CUTS: dict[tuple[str, ...], Cut] = {
    (
        "gpt-2", "phi-2", "gigachat", "a.x-4.0", "mellum", "exaone4", "mpt", "olmo", "jais", "trillion",
        "granite-docling",
    ): Cut((GPT2,)),
    (
        "llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2",
    ): Cut((_llama(_DIGITS_BY_THREE),), whole_words=True),
    ("dbrx", "smaug-bpe", "glm4", "chatglm-bpe"): Cut((_llama(_DIGITS_BY_THREE),)),
    (
        "qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez", "stablelm2", "hunyuan", "solar-open",
        "grok-2",
    ): Cut((_llama(r"\p{N}"),)),
    ("qwen35",): Cut((_llama(r"\p{N}", r"[\p{L}\p{M}]", r"\p{L}\p{M}"),)),
    (
        "starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b", "mellum2",
    ): Cut((r"\p{N}", GPT2)),
    ("falcon",): Cut((r"[\p{P}\$\+<=>\^~\|`]+", GPT2, "[0-9][0-9][0-9]")),
    ("default",): Cut((r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", "[0-9][0-9][0-9]")),
    ("deepseek-llm",): Cut((
        r"[\r\n]",
        rf"\s?[{_DEEPSEEK_LETTERS}]+",
        r"\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3001-\u3002]+",
        r"\s+$",
        _DEEPSEEK_ASIAN,
        r"\p{N}+",
    )),
    ("deepseek-coder",): Cut((r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", _DEEPSEEK_ASIAN, r"\p{N}")),
    ("deepseek-v3", "hunyuan-dense", "joyai-llm"): Cut((
        _DIGITS_BY_THREE, r"[\u4e00-\u9fa5\u3040-\u30ff]+", _DEEPSEEK_WORDS,
    )),
    ("tekken",): Cut((_by_case(r"\p{N}"),), whole_words=True),
    ("gpt-4o", "llama4", "kanana2", "minimax-m2"): Cut((_by_case(_DIGITS_BY_THREE, f"{_CONTRACTIONS}?"),)),
    ("bloom", "poro-chat", "gpt3-finnish"): Cut((
        r" ?[^(\s|.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c)]+",
    )),
}  # fmt: skip


def cut(name: str) -> Cut | None:
    """Give the cut of that name (empty: a GGUF that names none), None if it is not known here."""
    return next((found for names, found in _CUTS.items() if (name or "default") in names), None)
