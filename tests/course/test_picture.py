from nanopoet import picture
from nanopoet_ref.corpus import Poem
from nanopoet_ref.training import StepLog

POEM = Poem("李白", "五言绝句", "静夜思", "床前明月光，疑是地上霜。举头望明月，低头思故乡。")
LOGS = [
    StepLog(step=0, val_loss=5.0),
    StepLog(step=1, loss=5.0, lr=0.1, grad_norm=1.0),
    StepLog(step=2, loss=4.0, lr=0.1, grad_norm=1.0, val_loss=4.5),
]


def test_a_poet_is_drawn_without_a_missing_character(tmp_path):
    path = tmp_path / "poet.png"
    picture.draw_poet(LOGS, POEM, path)  # a missing glyph would be a warning, and so an error
    assert path.read_bytes().startswith(b"\x89PNG")
