"""What a user types, and the name that is meant."""

import pytest

from nanopoet.names import UnknownNameError, aliases, resolve
from nanopoet_ref.corpus import REGULATED

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


def test_the_commonest_of_equal_pinyin_is_meant():
    assert resolve("author", "libai", {"李百": 1, "李白": 900}) == "李白"
    assert resolve("author", "libai", {"李百": 900, "李白": 1}) == "李百"


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
