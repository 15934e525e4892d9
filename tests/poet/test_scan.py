"""`nanopoet scan`: a poem with its tones, its rhyme and its faults."""

import random
import unicodedata
from dataclasses import replace

import pytest

from nanopoet.poet.scan import read_poem, scan
from nanopoet_ref.tunes import Tune

MOON = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"
SIGHT = "白日依山尽，黄河入海流。欲穷千里目，更上一层楼。"
LYRIC = "常记溪亭日暮。沉醉不知归路。兴尽晚回舟，误入藕花深处。争渡。争渡。惊起一滩鸥鹭。"


def columns(row: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in row)


def test_a_poem_that_keeps_the_rules_is_set_with_its_tones(nanopoet):
    done = nanopoet("scan", SIGHT)
    assert (done.code, done.err) == (0, "")
    assert "    黄河入海流  尤\n    平平仄仄平\n" in done.out
    assert "rhyme   尤: 流 楼" in done.out
    assert "it keeps the rules of form, rhyme and tone" in done.out


def test_a_poem_that_does_not_is_told_where(nanopoet):
    out = " ".join(nanopoet("scan", MOON).out.split())
    assert "line 2, character 4 alternation: 上 is oblique" in out
    assert "it keeps the rules" not in out


@pytest.mark.parametrize("content", [MOON, SIGHT, LYRIC, MOON * 2])
@pytest.mark.parametrize("book", ["pingshui", "xinyun"])
def test_every_row_fits_60_columns(content, book):
    assert max(map(columns, scan(read_poem(content), book).splitlines())) <= 60


@pytest.mark.parametrize("mark", [" ", "\n", "，", ",", "/", "、"])
def test_lines_are_set_apart_by_any_stop(mark):
    text = mark.join(["白日依山尽", "黄河入海流", "欲穷千里目", "更上一层楼"])
    assert "it keeps the rules" in scan(read_poem(text), "pingshui")


def test_the_other_script_and_the_other_book_are_read(nanopoet):
    out = nanopoet("scan", "白日依山盡，黃河入海流。欲窮千里目，更上一層樓。").out
    assert "rhyme   尤: 流 樓" in out
    assert "中华新韵" in nanopoet("scan", SIGHT, "--rhyme-book", "xinyun").out


def test_a_lyric_is_set_without_rules():
    page = scan(read_poem(LYRIC), "pingshui")
    assert "no form that has rules" in page
    assert "rules are known of 4 or 8 lines of 5 or 7 each" in " ".join(page.split())


DREAM = Tune(
    "如梦令",
    (*["中仄中平中仄"] * 2, "中仄仄平平", "中仄中平平仄", *["平仄"] * 2, "中仄中平中仄"),
    "aa.aaaa",
)
TUNES = {("如梦令", DREAM.lengths): DREAM}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("", ""), "it keeps the rules of form, rhyme and tone"),
        (("", ""), "常记溪亭日暮  鱼 平仄平平仄仄  中仄中平中仄 沉醉"),
        (("", ""), "rhyme   暮 路 处 渡 渡 鹭"),
        (("归路", "归去"), "it keeps"),  # 去 and 路 are of two Pingshui groups, and of one class
        (("归路", "归月"), "line 2, character 6  rhyme: 月 is of 物, the others rhyme in 鱼"),
        (("日暮", "日初"), "line 1, character 6  tone: 初 is level, 如梦令 asks for oblique"),
        (("，误入", "误入"), "characters of its lines: 6 6 11 2 2 6; of the tune's: 6 6 5 6 2 2 6"),
    ],
)
def test_a_lyric_is_judged_by_its_tune(change, said):
    lyric = replace(read_poem(LYRIC.replace(*change) if change[0] else LYRIC), form="如梦令")
    page = scan(lyric, "pingshui", TUNES)
    assert " ".join(said.split()) in " ".join(page.split())
    assert max(map(columns, page.splitlines())) <= 60


def test_the_tune_is_read_off_the_corpus(nanopoet, use_corpus):
    dealer = random.Random(0)
    lyric = {"author": "李白", "form": "试声", "title": "试声"}
    content = [
        "".join(dealer.choices("春江天花人", k=2)) + dealer.choice("红空中") for _ in range(80)
    ]
    verse = {"author": "李白", "form": "五言绝句", "title": "春", "content": SIGHT}
    few = [lyric | {"form": "寡声", "content": f"{line}，{line}。"} for line in content[:29]]
    pairs = zip(content[::2], content[1::2], strict=True)
    use_corpus([*(lyric | {"content": f"{a}，{b}。"} for a, b in pairs), *few, verse])
    assert "it keeps the rules" in nanopoet("scan", "江天红，春花空。", "--form", "试声").out
    out = " ".join(nanopoet("scan", "江天红，春月长。", "--form", "shisheng").out.split())
    assert "line 2, character 2 tone: 月 is oblique, 试声 asks for level" in out
    assert "line 2, character 3 rhyme: 长 is of 江, the others rhyme in 东" in out
    out = nanopoet("scan", "江天红，春花空。", "--form", "寡声").out
    assert "the rules of 寡声 are not known: no 30 poems" in " ".join(out.split())
    assert "it keeps" in nanopoet("scan", SIGHT, "--form", "五绝").out
    modern = nanopoet("scan", "江天红，春花空。", "--form", "试声", "--rhyme-book", "xinyun")
    assert "lyrics are judged by 词林正韵" in modern.error
    assert "unknown form" in nanopoet("scan", SIGHT, "--form", "无此声").error


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no line of verse"),
        ("，。", "no line of verse"),
        ("hello, world", "written in Chinese characters"),
        ("床前明月光", "one line is no verse"),
        ("床前明月光，疑是地a霜", "a are none"),
    ],
)
def test_what_is_no_verse_is_refused_with_a_reason(nanopoet, text, reason):
    done = nanopoet("scan", text)
    assert done.code == 1
    assert reason in done.error
