"""One English word a character: famous lines judged by hand, and the list made for verse."""

import pytest

from nanopoet_ref.gloss import first_sense, gloss, verse_pairs, verse_words, word_for
from nanopoet_ref.pinyin import reading_alone

JUDGED = {
    "床前明月光": "bed before bright moon light",
    "低头思故乡": "lower head think old village",
    "白日依山尽": "white sun lean mountain end",
    "黄河入海流": "yellow river enter sea flow",
    "春眠不觉晓": "spring sleep not feel dawn",
    "花落知多少": "flower fall know many few",
    "独钓寒江雪": "alone fish cold river snow",
    "空山不见人": "empty mountain not see person",
    "一行白鹭上青天": "one row white egret rise green sky",
    "更上一层楼": "more climb one floor tower",
    "却道海棠依旧": "yet say crab apple as before",
    "两个黄鹂鸣翠柳": "two (measure) yellow oriole cry green willow",
    "国破山河在": "country broken mountain river be_at",
    "夜半钟声到客船": "night half bell sound reach guest boat",
    "此物最相思": "this thing most each_other think",
    "野火烧不尽": "wild fire burn not end",
    "千里江陵一日还": "thousand mile river hill one sun return",
}


@pytest.mark.parametrize("line", JUDGED)
def test_a_famous_line_has_the_words_of_verse(line):
    assert gloss(line) == [word.replace("_", " ") for word in JUDGED[line].split()]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("離離原上草，", ["leave", "leave", "plain", "on", "grass", ""]),  # traditional
        ("萬里後", ["ten thousand", "mile", "after"]),  # 后 is also an empress, 後 is not
        ("行", ["walk"]),
        ("一行", ["one", "row"]),
        ("重来", ["again", "come"]),
        ("英", ["blossom"]),  # and not the United Kingdom
        ("德", ["virtue"]),  # and not Germany
        ("蟋蟀", ["cricket", "(cricket)"]),
        ("\U000233c1", ["?"]),  # in no dictionary
        ("a|b", ["", "", ""]),
        ("", []),
    ],
)
def test_words_of_scripts_readings_pairs_and_signs(text, words):
    assert gloss(text) == words


def test_the_list_holds_what_is_needed_and_whole(monkeypatch):
    listed = dict(verse_words())
    assert len(listed) > 400
    monkeypatch.setattr("nanopoet_ref.gloss.verse_words", dict)
    several = {key[0] for key in listed if len(key) > 1}
    for key, word in listed.items():
        if key[0] not in several:
            by_dictionary = word_for(key, key, reading_alone(key).syllable)
            assert word != by_dictionary, f"the dictionary says so, too: {key} {word}"
    assert all(len(pair) == len(words) == 2 for pair, words in verse_pairs().items())


@pytest.mark.parametrize(
    ("senses", "word"),
    [
        ("variant of 喂[wei4]/hello; hi", "hello"),
        ("(bound form) pavilion/CL:座[zuo4]", "pavilion"),
        ("to be clear, as a sky", "clear"),
        ("an upright bamboo flute of old", "upright"),
        ("surname Li", ""),
    ],
)
def test_the_first_sense_that_says_something(senses, word):
    assert first_sense(senses) == word


def test_nearly_every_character_of_verse_has_a_word():
    characters = (
        "春江潮水连海平海上明月共潮生滟滟随波千万里何处春江无月明江流宛转绕芳甸月照花林皆似霰"
    )
    assert "?" not in gloss(characters)
