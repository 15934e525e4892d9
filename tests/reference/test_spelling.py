"""One word, one character: variants, traditional forms, words that OpenCC takes for others."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from opencc import OpenCC

from nanopoet_ref.poem import Poem, load_poems
from nanopoet_ref.spelling import respelled, spellings, to_simplified, variants


@pytest.mark.parametrize(
    ("text", "simplified"),
    [
        ("乾坤萬里眼\t時序百年心\n", "乾坤万里眼\t时序百年心\n"),
        ("皇后前後", "皇后前后"),
        ("", ""),
        ("隠者 頼有 髙樓 寛衣 浄土 簷鴈鬭嬾", "隐者 赖有 高楼 宽衣 净土 檐雁斗懒"),  # variants
        ("徴兵，魏徴", "征兵，魏徵"),  # first to 徵, of which OpenCC knows the phrases
        ("乾符 乾寧 乾道 乾元 乾祐 乾興 乾德", "乾符 乾宁 乾道 乾元 乾祐 乾兴 乾德"),  # reigns
        ("淚未乾 乾葉 桑乾 乾鵲", "泪未干 干叶 桑干 干鹊"),  # dry
        ("乾乾乾德", "乾乾乾德"),
        ("白蘋洲 食野之苹", "白蘋洲 食野之苹"),  # two plants
        ("馀寒 餘寒", "余寒 余寒"),
        ("李廌 李愬 王濬", "李廌 李愬 王濬"),  # names
    ],
)
def test_to_simplified(text: str, simplified: str) -> None:
    assert to_simplified(text) == simplified


@settings(deadline=None)  # the machine may be busy
@given(st.text(st.sampled_from("乾坤符德寧蘋苹隠髙樓後后里裏淚，。\t\n")))
def test_no_character_moves_and_nothing_changes_twice(text: str) -> None:
    once = to_simplified(text)
    assert len(once) == len(text)
    assert [i for i, c in enumerate(text) if c in "，。\t\n"] == [
        i for i, c in enumerate(once) if c in "，。\t\n"
    ]
    assert to_simplified(once.replace("乾", "坤")) == once.replace("乾", "坤")


def test_every_pair_is_one_character_for_another_and_leads_to_the_end() -> None:
    tables = spellings()
    pairs = [pair for name in ("opencc", "unihan", "by_hand") for pair in tables[name]]
    assert all(len(pair) == 2 and pair[0] != pair[1] for pair in pairs)
    assert len(variants()) == len(pairs), "no character stands in two tables"
    ends = {OpenCC("t2s").convert(new) for new in variants().values()}
    assert not ends & set(variants())
    assert not set(variants()) & set("".join(tables["characters"]))


def test_the_first_table_is_that_of_opencc() -> None:
    convert = OpenCC("jp2t").convert
    assert [pair for pair in spellings()["opencc"] if convert(pair[0]) != pair[1]] == []


def test_what_each_list_decides_is_counted() -> None:
    counts = respelled("隠者髙樓，馀寒馀酒，乾符白蘋，淚乾")
    assert counts == {"opencc": 1, "unihan": 1, "by_hand": 2, "keep": 2}


@pytest.fixture(scope="module")
def poems() -> list[Poem]:
    return load_poems()


def test_no_variant_is_left_in_the_corpus(poems: list[Poem]) -> None:
    there = set("".join(poem.author + poem.form + poem.title + poem.content for poem in poems))
    assert there & set(variants()) == set("锺")  # OpenCC writes 锺繇, a name, and 钟声, a bell
    assert there >= set("乾干蘋苹")
