"""What notebooks show: figures with words, tables, Chinese, the same numbers on every run."""

import base64
import warnings

import matplotlib.pyplot as plt
import pytest
import torch

from nanopoet_ref import figures, lesson


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
