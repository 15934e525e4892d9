"""What a user types, and the name that is meant."""

import unicodedata

import pytest

from nanopoet.poet.names import (
    UnknownNameError,
    aliases,
    find_name,
    fold,
    is_chinese,
    resolve,
    tables,
)
from nanopoet_ref.poem import REGULATED

AUTHORS = {"李白": 900, "李百": 1, "杜甫": 800, "吕岩": 5, "西安": 1, "欧阳修": 70, "蘇軾": 60}


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("李白", "李白"),
        (" 李白 ", "李白"),
        ("李 白", "李白"),
        ("libai", "李白"),
        ("Li Bai", "李白"),
        ("LI-BAI", "李白"),
        ("lü yan", "吕岩"),
        ("lv yan", "吕岩"),
        ("Xi'an", "西安"),
        ("Ouyang Xiu", "欧阳修"),
        ("苏轼", "蘇軾"),
        ("sushi", "蘇軾"),
        ("歐陽修", "欧阳修"),
    ],
)
def test_one_author_has_many_spellings(typed, meant):
    assert resolve("author", typed, AUTHORS) == meant


@pytest.mark.parametrize(
    "typed",
    [
        "Lǐ Bái",
        unicodedata.normalize("NFD", "LǏ BÁI"),
        "Li3 Bai2",
        "li3bai2",
        "Li3Bai5",  # no such tones: the letters decide
        "Lĭ Bái",
        "Ｌｉ Ｂａｉ",
        "李\u3000白",
        "\uf9e1白",  # 李 as a compatibility character
        "李太白",
        "青蓮居士",
        "Li Taibai",
        "Lǐ Tàibái",
        "Li Po",
    ],
)
def test_a_name_is_understood_as_people_write_it(typed):
    assert resolve("author", typed, AUTHORS) == "李白"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("Zeng Gong", "曾巩"),
        ("Zēng Gǒng", "曾巩"),
        ("曾鞏", "曾巩"),
        ("Shan Xi", "单锡"),
        ("Qiu Yuan", "仇远"),
        ("Zha Dao", "查道"),
        ("Moqi Shaozhi", "万俟绍之"),
        ("Wei Zheng", "魏徵"),
        ("魏征", "魏徵"),
        ("Su Dongpo", "蘇軾"),
        ("蘇東坡", "蘇軾"),
        ("歐陽脩", "欧阳修"),
        ("欧阳文忠", "欧阳修"),
        ("杜工部", "杜甫"),
        ("Tu Fu", "杜甫"),
        ("lu yan", "吕岩"),
        ("lu:3 yan2", "吕岩"),
        ("Lǚ Yán", "吕岩"),
    ],
)
def test_surnames_variants_and_other_names_are_known(typed, meant):
    known = dict.fromkeys(["曾巩", "单锡", "仇远", "查道", "万俟绍之", "魏徵"], 1)
    assert resolve("author", typed, AUTHORS | known) == meant


def test_a_spelling_variant_is_understood_either_way():
    assert resolve("author", "魏徵", {"魏征": 1}) == "魏征"
    assert resolve("author", "魏征", {"魏征": 1, "魏徵": 9}) == "魏征"


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("五绝", "五言绝句"),
        ("七絕", "七言绝句"),
        ("五律", "五言律诗"),
        ("七律", "七言律诗"),
        ("wǔlǜ", "五言律诗"),
        ("lüshi5", "五言律诗"),
        ("lvshi5", "五言律诗"),
        ("Lushi7", "七言律诗"),
        ("wu3yan2 lü4shi1", "五言律诗"),
        ("wuyanlushi", "五言律诗"),
        ("jue2ju4 5", "五言绝句"),
    ],
)
def test_forms_have_everyday_names(typed, meant):
    assert resolve("form", typed, dict.fromkeys(REGULATED.values(), 1)) == meant


ZHANG = {"张籍": 334, "张继": 40, "张辑": 2, "章冀": 1}
LI = {"李廌": 239, "李质": 90, "李至": 70, "李志": 1}


def test_the_commonest_of_equal_pinyin_is_meant_if_it_is_so_clearly():
    assert resolve("author", "libai", {"李百": 1, "李白": 900}) == "李白"
    assert resolve("author", "libai", {"李百": 900, "李白": 1}) == "李百"
    assert find_name("author", "Zhang Ji", ZHANG) == (
        "张籍",
        "author 'Zhang Ji' is taken to be 张籍 (334), not 张继 (40), 张辑 (2), 章冀 (1)",
    )


def test_tones_tell_namesakes_apart():
    assert resolve("author", "Zhāng Jì", ZHANG) == "张继"
    assert resolve("author", "zhang1 ji2", ZHANG) == "张籍"


@pytest.mark.parametrize("typed", ["Li Zhi", "li4zhi4", "Li Zhì"])
def test_which_of_several_is_asked_if_none_is_clearly_meant(typed):
    with pytest.raises(UnknownNameError) as refused:
        resolve("author", typed, LI)
    assert f"author {typed!r} can be 李廌 (239), 李质 (90), 李至 (70), 李志 (1); " in str(
        refused.value
    )


def test_many_namesakes_are_counted():
    known = {f"李{given}": 1 for given in "志智治质至置致制秩"}
    with pytest.raises(UnknownNameError, match=r"李致 \(1\) and 1 more; write it in Chinese"):
        resolve("author", "Li Zhi", known)


def test_a_typing_error_in_another_name_finds_its_poet():
    with pytest.raises(UnknownNameError, match="unknown author '苏东波'; nearest: 蘇軾"):
        resolve("author", "苏东波", AUTHORS)


@pytest.mark.parametrize("nothing", ["", "  ", "\u3000"])
def test_nothing_is_no_name(nothing):
    with pytest.raises(UnknownNameError, match=r"^no author is asked for$"):
        resolve("author", nothing, AUTHORS)


def test_other_names_are_of_one_poet_each_and_no_poets_own():
    table = tables()["authors"]
    others = [other for names in table.values() for other in names]
    assert len(set(others)) == len(others)
    assert not set(others) & set(table)
    assert all(fold(name) == name for name in (*table, *others) if is_chinese(name))
    assert len(table) > 40


@pytest.mark.parametrize(
    ("typed", "nearest"),
    [("李百药", "李白"), ("li bo", "李白"), ("dufo", "杜甫"), ("杜", "杜甫"), ("欧阳", "欧阳修")],
)
def test_an_unknown_author_is_told_the_nearest(typed, nearest):
    with pytest.raises(UnknownNameError, match=f"unknown author '{typed}'; nearest: .*{nearest}"):
        resolve("author", typed, AUTHORS)


def test_a_name_like_no_other_gets_no_guess():
    with pytest.raises(UnknownNameError, match=r"unknown author 'zzzz'$"):
        resolve("author", "zzzz", AUTHORS)


def test_an_unknown_form_is_told_those_there_are():
    with pytest.raises(
        UnknownNameError, match="this run knows 2 forms, most often 七言绝句, 浣溪沙"
    ):
        resolve("form", "sonnet", {"浣溪沙": 3, "七言绝句": 9}, aliases("forms"))


def test_english_names_mean_forms_that_exist():
    assert set(aliases("forms").values()) == set(REGULATED.values())
    assert aliases("titles")["springview"] == "春望"
