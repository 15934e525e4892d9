"""`nanopoet scan`: a poem with its tones, its rhyme and its faults."""

import unicodedata

import pytest

from nanopoet.poet.scan import read_poem, scan

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
