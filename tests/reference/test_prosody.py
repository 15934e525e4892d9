"""Prosody: rhyme books, the rules of regulated verse, and poems that are known to break them."""

import random
import tomllib
from dataclasses import replace
from itertools import pairwise, product
from pathlib import Path

import pytest

from nanopoet_ref.poem import REGULATED, Poem
from nanopoet_ref.prosody import (
    alternation_fault,
    find_faults,
    find_openings,
    kept_rules,
    lines_of,
    mistoned,
    rhyme_group,
    tone_faults,
)
from nanopoet_ref.rhymebook import LEVEL, level_rhyme, pingshui, readings, rhyme, tone

JUDGED = tomllib.loads(Path(__file__).with_name("judged.toml").read_text("utf-8"))
KEPT = "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。"


def poem(content: str) -> Poem:
    lines = lines_of(content)
    return Poem("", REGULATED[len(lines), len(lines[0])], "", content)


def broken(content: str, book: str = "pingshui") -> list[str]:
    return sorted(f"{fault.line} {fault.rule}" for fault in find_faults(poem(content), book))


# --- The rhyme books


def test_the_book_has_106_groups_of_which_30_are_level():
    found = {reading for known in pingshui().values() for reading in known}
    assert len({reading.group for reading in found}) == len(found) == 106
    assert sum(reading.tone == LEVEL for reading in found) == 30


@pytest.mark.parametrize("pair", ["東东", "陽阳", "鹽盐", "塵尘", "遙遥", "髮发", "隠隐"])
def test_both_scripts_read_alike(pair):
    assert readings(pair[0]) <= readings(pair[1])
    assert readings(pair[0])


def test_a_simplified_character_reads_as_all_that_it_stands_for():
    assert rhyme("干") >= rhyme("乾") | rhyme("幹")
    assert tone("看") == {"平", "仄"}
    assert level_rhyme("思") == {"支"}


@pytest.mark.parametrize("group", ["真人春新", "麻家斜花", "灰回来台", "庚生声横", "尤流楼秋"])
def test_what_rhymed_then_rhymes(group):
    assert {group[0]} == frozenset.intersection(*map(level_rhyme, group))


def test_sounds_have_moved():
    assert not rhyme("斜", "xinyun") & rhyme("家", "xinyun")
    assert (tone("白"), tone("白", "xinyun")) == ({"仄"}, {"平"})
    assert level_rhyme("东") != level_rhyme("冬")
    assert level_rhyme("东", "xinyun") == level_rhyme("冬", "xinyun")


def test_what_is_no_character_has_no_reading_and_no_book_is_made_up():
    assert not any(readings(c, book) for c in "a，？" for book in ("pingshui", "xinyun"))
    with pytest.raises(ValueError, match="there are pingshui, xinyun"):
        readings("东", "guangyun")


# --- The rules


def test_the_table_holds_at_least_30_poems_and_every_rule():
    assert len(JUDGED) >= 30
    named = {fault.split(" ", 1)[1] for _, *faults in JUDGED.values() for fault in faults}
    assert named == {"rhyme", "alternation", "对", "粘", "line end"}


@pytest.mark.parametrize("title", JUDGED)
def test_famous_poems_are_judged_as_a_reader_judges_them(title):
    content, *faults = JUDGED[title]
    assert broken(content) == sorted(faults)


@pytest.mark.parametrize("title", JUDGED)
def test_the_judgement_is_the_same_in_traditional_script(title):
    from opencc import OpenCC

    content, *faults = JUDGED[title]
    traditional = OpenCC("s2t").convert(content).replace("徵", "征")  # it takes 征 for a note
    assert broken(traditional) == sorted(faults)


def test_a_fault_says_which_character_and_why():
    fault = find_faults(poem(JUDGED["静夜思"][0]))[0]
    assert (fault.line, fault.place) == (2, 4)
    assert fault.why == "上 is oblique; 2, 4 of this line are 仄平"
    words = find_faults(poem(JUDGED["宿建德江"][0]))[0].why
    assert "licence" in words


@pytest.mark.parametrize(
    ("change", "faults"),
    [
        (("楼", "流"), ["4 rhyme"]),  # the same character twice
        (("楼", "山"), ["2 rhyme"]),  # two groups: that of the first line counts
        (("楼", "目"), ["4 line end", "4 rhyme"]),  # an oblique end
        (("千里目", "千里天"), ["3 line end"]),
        (("入海", "来海"), []),  # the third place is free
        (("海流", "山流"), ["2 alternation"]),
        (("尽，", "楼，"), ["4 rhyme"]),  # the first line joins, and then repeats
        (("尽，", "秋，"), []),
    ],
)
def test_one_changed_character_breaks_what_it_breaks(change, faults):
    assert broken(KEPT.replace(*change)) == faults


def test_the_first_line_need_not_rhyme():
    assert broken(KEPT) == []
    assert rhyme_group(lines_of(KEPT)) == "尤"


@pytest.mark.parametrize(
    "content",
    ["", "白日依山尽。", KEPT * 2, KEPT.replace("楼", ""), KEPT.replace("，", "")],
)
def test_other_lines_than_the_form_asks_for_are_the_only_fault(content):
    asked = replace(poem(KEPT), content=content)
    assert [fault.rule for fault in find_faults(asked)] == ["form"]
    assert kept_rules(asked, {}) == (False, False, False)


def test_an_unlisted_character_has_any_tone_and_no_rhyme():
    assert broken(KEPT.replace("山尽", "𠀀尽")) == []
    assert broken(KEPT.replace("楼", "𠀀")) == ["4 rhyme"]


def test_of_a_lyric_only_the_lines_are_judged():
    lyric = Poem("", "忆江南", "", "江南好，风景旧曾谙。")
    assert find_faults(lyric) == []
    assert find_faults(lyric, patterns={"忆江南": {(3, 5)}}) == []
    assert [fault.rule for fault in find_faults(lyric, patterns={"忆江南": {(3,)}})] == ["form"]


def test_no_other_reading_of_a_poem_would_break_fewer_rules():
    """All 2 ** n ways to open the lines, against the one found line by line."""

    def cost(lines, openings):
        wrong = [
            3 if p == 2 else 1
            for o, line in zip(openings, lines, strict=True)
            for p in mistoned(line, o)
        ]
        breaks = sum((a == b) == (i % 2 == 0) for i, (a, b) in enumerate(pairwise(openings)))
        return sum(wrong) + 0.9 * breaks

    dealer = random.Random(0)
    pool = "".join(lines_of("".join(content for content, *_ in JUDGED.values())))
    for _ in range(30):
        lines = ["".join(dealer.choices(pool, k=7)) for _ in range(8)]
        least = min(cost(lines, openings) for openings in product("平仄", repeat=8))
        assert cost(lines, find_openings(lines)) == pytest.approx(least)


def test_tone_is_kept_exactly_where_one_of_two_schemes_fits():
    """The rules one by one against the scheme as a whole, which is another way to say them."""
    contents = [content for content, *_ in JUDGED.values()]
    shuffled = [
        "，".join(lines_of(a)[:2] + lines_of(b)[:2])
        for a, b in product(contents, repeat=2)
        if len(a) == len(b) == 24
    ]
    kept = 0
    for content in [*contents, *shuffled]:
        lines = lines_of(content)
        fits = any(
            all(
                wanted in (tone(line[p - 1]) or "平仄")
                for i, line in enumerate(lines)
                for p, wanted in [
                    *(
                        (q, "平仄"[(start + q // 2 + (i + 1) // 2) % 2])
                        for q in range(2, len(line) + 1, 2)
                    ),
                    *([(len(line), "平" if i % 2 else "仄")] if i else []),
                ]
            )
            for start in (0, 1)
        )
        assert fits == (not list(tone_faults(lines)))
        kept += fits
    assert 0 < kept < len(contents) + len(shuffled)


def test_a_licence_is_heard_in_the_sounds_of_the_book_that_is_asked_for():
    """泊 was oblique, so 泊烟渚 was the licence 仄平仄; today it is level, and there is none."""
    line = "移舟泊烟渚"
    assert "licence" in alternation_fault(3, line, 4, "平", "pingshui").why
    assert "licence" not in alternation_fault(3, line, 4, "平", "xinyun").why
