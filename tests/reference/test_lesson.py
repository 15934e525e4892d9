"""What notebooks show: figures with words, tables, Chinese, the same numbers on every run."""

import base64
import warnings

import matplotlib.pyplot as plt
import pytest
import torch

from nanopoet_ref import figures, lesson
from nanopoet_ref.poem import Poem


@pytest.fixture
def published(monkeypatch):
    """What a notebook would have been sent."""
    sent = []
    monkeypatch.setattr(lesson, "publish_display_data", lambda *args: sent.append(args))
    monkeypatch.setattr(lesson, "display", lambda shown: sent.append(shown.data))
    return sent


def test_the_same_numbers_on_every_run():
    threads = torch.get_num_threads()
    draws = []
    for _ in range(2):
        lesson.begin(7)
        draws.append(torch.rand(3).tolist())
        assert torch.get_num_threads() == 1
    torch.set_num_threads(threads)
    assert draws[0] == draws[1]


def test_a_figure_is_a_png_with_its_sentence(published):
    figure, _ = plt.subplots()
    lesson.show(figure, "a line that falls")
    data, metadata = published[0]
    assert base64.b64decode(data["image/png"]).startswith(b"\x89PNG")
    assert data["text/plain"] == "[a line that falls]"
    assert metadata["image/png"]["alt"] == "a line that falls"
    assert not plt.fignum_exists(figure.number)


def test_every_character_of_a_couplet_is_drawn(published):
    figures.use_chinese_font()
    figure, axes = plt.subplots()
    figures.draw_matrix(axes, torch.eye(5), "明月松间照", "清泉石上流", "鐵馬冰河 míng yuè ǎ")
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a missing glyph is a warning
        lesson.show(figure, "a diagonal")
    assert [label.get_text() for label in axes.get_xticklabels()] == list("清泉石上流")


def test_a_table_keeps_bars_inside_its_cells(published):
    lesson.table(["a", "b"], [["1|2", 3]])
    assert published == ["| a | b |\n| --- | --- |\n| 1\\|2 | 3 |"]


@pytest.fixture
def shown(monkeypatch):
    """What a notebook would show of a poem, by kind."""
    sent = {}
    monkeypatch.setattr(lesson, "publish_display_data", sent.update)
    return sent


def test_a_poem_is_shown_with_readings_and_words(shown):
    lesson.show_poem(Poem("歐陽修", "五言绝句", "朝", "床前明月光，疑是地上霜。"))
    assert shown["text/plain"].splitlines() == [
        "朝 zhāo?: morning",
        "歐陽修 Ōuyáng Xiū · 五言绝句 wǔ yán jué jù: five-syllable quatrain",
        "床  前  明  月  光，",
        "chuáng  qián  míng  yuè  guāng",
        "bed  before  bright  moon  light",
        "疑  是  地  上  霜。",
        "yí  shì  dì  shàng  shuāng",
        "doubt  is  ground  on  frost",
    ]
    page = shown["text/markdown"]
    assert page.startswith("<p>朝 zhāo?: morning<br>歐陽修")
    assert page.count("<tr>") == 2
    assert page.count("<td") == 10
    assert '<td align="center">光，<br>guāng<br>light</td>' in page


def test_a_text_needs_no_heading_and_may_hold_any_sign(shown):
    lesson.show_poem("<b>|$x$[*_]\n\n\U000233c1！")
    page = shown["text/markdown"]
    assert page.startswith("<table>")
    assert not set("|$[*_]`\\") & set(page)
    assert "&lt;<br><br>" in page
    assert "\U000233c1！<br>" in page
    assert "\n\n" not in page


@pytest.mark.parametrize("nothing", ["", "，。", "\n"])
def test_an_empty_text_is_an_empty_table(shown, nothing):
    lesson.show_poem(nothing)
    assert shown["text/plain"] == ""
