"""Pinyin under verses: famous ones judged by hand, and the list that is made for verse."""

import tomllib
from pathlib import Path

import pytest
from pypinyin import Style, lazy_pinyin
from pypinyin.phrases_dict import phrases_dict
from pypinyin.pinyin_dict import pinyin_dict

from nanopoet_ref.pinyin import (
    FILE,
    LONGEST,
    alone,
    read_verse,
    reading_alone,
    spell,
    tables,
    words,
)

JUDGED = tomllib.loads(Path(__file__).with_name("verses.toml").read_text("utf-8"))
LIST = tomllib.loads(FILE.read_text("utf-8"))


def unlike(verse: str, said: str) -> list[str]:
    """The characters of a verse that are not read as they should be, and not marked."""
    expected = said.split()
    assert len(expected) == len(verse)
    pairs = zip(verse, read_verse(verse), expected, strict=True)
    return [c for c, (syllable, uncertain), right in pairs if syllable != right and not uncertain]


@pytest.mark.parametrize("verse", JUDGED["known"])
def test_a_famous_verse_is_read_as_in_school(verse):
    assert unlike(verse, JUDGED["known"][verse]) == []


def test_verses_that_the_list_was_not_made_for_are_read_better_than_by_the_dictionary_alone():
    unseen = JUDGED["unseen"]
    wrong = [verse for verse, said in unseen.items() if unlike(verse, said)]
    alone = [v for v, said in unseen.items() if lazy_pinyin(v, style=Style.TONE) != said.split()]
    assert (len(unseen), len(alone)) == (60, 13)
    assert len(wrong) <= 3


@pytest.mark.parametrize("part", JUDGED)
def test_few_characters_are_marked(part):
    readings = [reading for verse in JUDGED[part] for reading in read_verse(verse)]
    assert sum(reading.uncertain for reading in readings) < len(readings) / 100


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("朝", "zhāo?"),
        ("还", "huán"),  # the end of a verse: to return
        ("月还明", "yuè huán? míng"),
        (
            "千里江陵一日还，两岸猿声啼不住。",
            "qiān lǐ jiāng líng yī rì huán liǎng àn yuán shēng tí bù zhù",
        ),
        ("朝朝暮暮", "zhāo zhāo mù mù"),
        ("三更", "sān gēng"),
        ("葡萄", "pú táo"),  # no neutral tone
        ("先生", "xiān shēng"),
        ("一不", "yī bù"),
        ("唯见长江天际流", "wéi jiàn cháng jiāng tiān jì liú"),
        ("萬里長征人未還", "wàn lǐ cháng zhēng rén wèi huán"),
        ("一行白鷺上青天", "yī háng bái lù shàng qīng tiān"),
        ("其二 (a)：𠀀", "qí èr hē"),
        ("", ""),
    ],
)
def test_readings_of_words_stops_and_other_scripts(text, said):
    assert spell(text) == said


def test_reading_leaves_the_dictionary_as_it_was():
    before = dict(phrases_dict), lazy_pinyin("一行白鹭", style=Style.TONE)
    read_verse("一行白鹭上青天")
    assert (phrases_dict, lazy_pinyin("一行白鹭", style=Style.TONE)) == before


@pytest.mark.parametrize("character", LIST["in_words"])
def test_a_word_of_the_list_says_one_thing_about_its_character(character):
    readings = LIST["in_words"][character]
    listed = [word for text in readings.values() for word in text.split()]
    assert len(listed) == len(set(listed))
    assert all(character in word and 2 <= len(word) <= LONGEST for word in listed)
    assert set(readings) <= set(pinyin_dict[ord(character)].split(","))


def test_the_list_holds_what_is_needed_and_whole():
    for character, reading in alone().items():
        first = pinyin_dict[ord(character)].split(",")[0]
        assert reading.uncertain or reading.syllable != first, character
        assert reading.syllable in pinyin_dict[ord(character)].split(",")
    for word, said in LIST["words"].items():
        assert len(said.split()) == len(word) <= LONGEST
    assert words()["朝朝暮暮"] == {0: "zhāo", 1: "zhāo", 2: "mù", 3: "mù"}
    assert not reading_alone("天").uncertain


@pytest.mark.parametrize("kind", ["surnames", "names"])
def test_readings_of_names_are_needed_and_whole(kind):
    for name, reading in tables()[kind].items():
        assert len(reading.split()) == len(name)
        assert reading != " ".join(lazy_pinyin(name, style=Style.TONE)), "pypinyin reads it so"
