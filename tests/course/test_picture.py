import pytest

from nanopoet import picture
from nanopoet_ref.corpus import Poem
from nanopoet_ref.training import StepLog

POEM = Poem("李白", "五言绝句", "静夜思", "床前明月光，疑是地上霜。举头望明月，低头思故乡。")
LOGS = [
    StepLog(step=0, val_loss=5.0),
    StepLog(step=1, loss=5.0, lr=0.1, grad_norm=1.0),
    StepLog(step=2, loss=4.0, lr=0.1, grad_norm=1.0, val_loss=4.5),
]


@pytest.mark.parametrize("font", ["as it is", None])
def test_a_poet_is_drawn_with_or_without_a_chinese_font(tmp_path, monkeypatch, font):
    if font is None:
        monkeypatch.setattr(picture, "chinese_font", lambda: None)
    path = tmp_path / "poet.png"
    picture.draw_poet(LOGS, POEM, path)  # a missing glyph would be a warning, and so an error
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_font_is_named_only_if_it_is_there(monkeypatch):
    monkeypatch.setattr(picture, "FONTS", ("No Such Font",))
    assert picture.chinese_font() is None
