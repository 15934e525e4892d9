"""How a poem is read aloud: pypinyin's dictionary, and before it a list made for verse.

pypinyin decides by words of modern prose. In verse no word runs across the caesura (after 2 of 5
characters, 4 of 7), and old words are missing: a line of herons, 一行, is yī háng. The list is kept
out of pypinyin's own dictionary, which all of a process shares.
"""

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from pypinyin import Style, lazy_pinyin
from pypinyin.phrases_dict import phrases_dict

from nanopoet_ref.corpus import to_simplified

FILE = Path(__file__).with_name("readings.toml")
CAESURA = {5: 2, 7: 4}
LONGEST = 8  # characters of a word
TONED = re.compile("[āáǎàēéěèīíǐìōóǒòūúǔùǖǘǚǜḿńňǹ]")
CITED = {"一": "yī", "不": "bù"}  # said before other tones, the dictionary bends them
HAN = r"[㐀-鿿豈-﫿\U00020000-\U0003ffff]"

HAN_PATTERN = re.compile(HAN)


class Reading(NamedTuple):
    """A syllable, and whether another reading of the character is as likely."""

    syllable: str
    uncertain: bool = False

    def __str__(self) -> str:
        return self.syllable + "?" * self.uncertain


@cache
def tables() -> dict[str, dict[str, Any]]:
    """readings.toml."""
    return tomllib.loads(FILE.read_text(encoding="utf-8"))


@cache
def alone() -> dict[str, Reading]:
    """How a character is read where no word decides."""
    table = tables()["alone"]
    return {c: Reading(said.rstrip("?"), said.endswith("?")) for c, said in table.items()}


@cache
def words() -> dict[str, dict[int, str]]:
    """Words of verse: the readings of those of its characters that it decides, by position."""
    found = {word: dict(enumerate(said.split())) for word, said in tables()["words"].items()}
    for character, readings in tables()["in_words"].items():
        for syllable, listed in readings.items():
            for word in listed.split():
                places = [i for i, other in enumerate(word) if other == character]
                found.setdefault(word, {}).update(dict.fromkeys(places, syllable))
    return found


def reading_alone(character: str) -> Reading:
    """The reading of a single character, in its full tone."""
    if character in alone():
        return alone()[character]
    return Reading(lazy_pinyin(character, style=Style.TONE)[0])


def full_tone(character: str, syllable: str) -> str:
    """A verse has no neutral tones and is written without sandhi: 葡萄 is pú táo, 不见 bù jiàn."""
    if character in CITED:
        return CITED[character]
    return syllable if TONED.search(syllable) else reading_alone(character).syllable


def dictionary_words(part: str) -> list[str]:
    """A part of a verse cut into words of pypinyin's dictionary and single characters.

    Cut from the right, which errs less than pypinyin's own way from the left: 唯 见 长江, and not
    唯 见长 江.

    >>> dictionary_words("唯见长江")
    ['唯', '见', '长江']
    """
    words: list[str] = []
    end = len(part)
    while end:
        start = next(
            (i for i in range(max(end - LONGEST, 0), end - 1) if part[i:end] in phrases_dict),
            end - 1,
        )
        words.append(part[start:end])
        end = start
    return words[::-1]


def by_dictionary(text: str) -> list[Reading]:
    """One reading for each character of a text; what is no Chinese character stands for itself."""
    readings: list[Reading] = []
    for verse in re.findall(f"{HAN}+|.", text, re.DOTALL):
        caesura = CAESURA.get(len(verse), 0)
        for word in (*dictionary_words(verse[:caesura]), *dictionary_words(verse[caesura:])):
            if len(word) == 1:
                readings.append(reading_alone(word))
            else:
                syllables = lazy_pinyin([word], style=Style.TONE)
                readings += [
                    Reading(full_tone(*pair)) for pair in zip(word, syllables, strict=True)
                ]
    return readings


def read_verse(text: str) -> list[Reading]:
    """One reading for each character of a text. Longer words of the list go before shorter ones.

    >>> [str(reading) for reading in read_verse("一行白鹭")]
    ['yī', 'háng', 'bái', 'lù']
    """
    readings = by_dictionary(text)
    listed: dict[int, tuple[str, int]] = {}
    ended = re.sub("[，！？]", "。", text) + "。"  # in the list, a 。 is any end of a verse
    for start in range(len(text)):
        for length in range(2, LONGEST + 1):
            for place, syllable in words().get(ended[start : start + length], {}).items():
                _, longest = listed.get(start + place, ("", 0))
                if length > longest:
                    listed[start + place] = syllable, length
    for place, (syllable, _) in listed.items():
        readings[place] = Reading(syllable)
    return readings


def spell(text: str) -> str:
    """The row of pinyin to stand under a text in either script; stops are left out.

    >>> spell("南朝四百八十寺，"), spell("朝")
    ('nán cháo sì bǎi bā shí sì', 'zhāo?')
    """
    readings = read_verse(to_simplified(text))
    pairs = zip(text, readings, strict=True)
    return " ".join(str(reading) for character, reading in pairs if re.match(HAN, character))


def name_syllables(name: str) -> list[str]:
    """How a poet's name is read: a surname has often another reading than its character.

    >>> " ".join(name_syllables("曾巩")), " ".join(name_syllables("万俟绍之"))
    ('zēng gǒng', 'mò qí shào zhī')
    """
    if whole := tables()["names"].get(name):
        return whole.split()
    surnames = tables()["surnames"]
    surname = next((name[:n] for n in (2, 1) if name[:n] in surnames), "")
    given = name[len(surname) :]
    return surnames.get(surname, "").split() + lazy_pinyin(given, style=Style.TONE)


def name_in_pinyin(name: str) -> str:
    """A poet's name as it is written in pinyin, surname first.

    >>> name_in_pinyin("李白"), name_in_pinyin("歐陽修")
    ('Lǐ Bái', 'Ōuyáng Xiū')
    """
    name = to_simplified(name)
    syllables = name_syllables(name)
    length = 2 if name[:2] in tables()["double"]["surnames"].split() else 1
    parts = ("".join(syllables[:length]), "".join(syllables[length:]))
    return " ".join(part.capitalize() for part in parts if part)
