"""Spelling: one word, one character. Variants become the standard form, then simplified.

The collection was typed from old editions, some of it on Japanese machines: 隠, 隱 and 隐 are one
word, and a vocabulary that holds all three learns it three times. Which spelling stands for which
is data, in spelling.toml, with the table that each pair was taken from.
"""

import re
import tomllib
from collections import Counter
from functools import cache
from pathlib import Path

from nanopoet_ref.poem import CorpusError

FILE = Path(__file__).with_name("spelling.toml")


@cache
def spellings() -> dict[str, list[str]]:
    """The lists of spelling.toml, by name: the pairs of each table, phrases, what is left."""
    tables = tomllib.loads(FILE.read_text("utf-8"))
    return {name: text.split() for table in tables.values() for name, text in table.items()}


def variants() -> dict[str, str]:
    """Each variant with the character that takes its place.

    >>> variants()["隠"], variants()["髙"]
    ('隱', '高')
    """
    tables = spellings()
    pairs = [*tables["opencc"], *tables["unihan"], *tables["by_hand"]]
    return {pair[0]: pair[1] for pair in pairs}


def standardized(text: str) -> str:
    """The text with the standard form in the place of each variant, still traditional.

    >>> standardized("隠者髙樓")
    '隱者高樓'
    """
    return text.translate({ord(old): new for old, new in variants().items()})


def to_simplified(text: str) -> str:
    """Turn variants and traditional characters into simplified ones, one for one.

    The phrase decides: 乾坤 and the reign 乾符 keep their 乾, heaven; 乾燥, dry, becomes 干燥.
    Merged characters (後 and 后 are both 后) cannot be told apart again.

    >>> to_simplified("乾坤萬里眼"), to_simplified("髙樓隠乾符")
    ('乾坤万里眼', '高楼隐乾符')

    Raises:
        CorpusError: the length changed, so fields and lines may have moved.
    """
    from opencc import OpenCC  # here, so that training never needs it

    standard = standardized(text)
    simplified: str = OpenCC("t2s").convert(standard)
    if len(simplified) != len(text):
        raise CorpusError(f"OpenCC made {len(simplified):,} characters of {len(text):,}")
    return keep_words(standard, simplified)


def keep_words(standard: str, simplified: str) -> str:
    """Put 乾 and 蘋 back where OpenCC took them for other words: `keep` lists the phrases.

    >>> keep_words("乾符白蘋，乾葉", "干符白苹，干叶")
    '乾符白蘋，干叶'
    """
    pieces, end = [], 0
    for match in re.finditer("|".join(spellings()["keep"]), standard):
        start, was = end, simplified[match.start() : match.end()]
        kept = (old if old in "乾蘋" else new for old, new in zip(match[0], was, strict=True))
        pieces += [simplified[start : match.start()], *kept]
        end = match.end()
    return "".join([*pieces, simplified[end:]])


def merged_characters(before: str, after: str) -> dict[str, dict[str, int]]:
    """Count what a conversion made the same: {new character: {old character: times}}.

    >>> merged_characters("皇后前後", "皇后前后")
    {'后': {'后': 1, '後': 1}}
    """
    merged: dict[str, dict[str, int]] = {}
    for (old, new), times in Counter(zip(before, after, strict=True)).most_common():
        merged.setdefault(new, {})[old] = times
    return {new: olds for new, olds in merged.items() if len(olds) > 1}


def respelled(text: str) -> dict[str, int]:
    """How often each list of spelling.toml decides in a text.

    >>> respelled("隠者，髙樓乾符")["opencc"]
    1
    """
    tables, counts = spellings(), Counter(text)
    found = {
        name: sum(counts[pair[0]] for pair in tables[name])
        for name in ("opencc", "unihan", "by_hand")
    }
    return found | {"keep": len(re.findall("|".join(tables["keep"]), standardized(text)))}
