import pytest

from nanopoet import files
from nanopoet.poet import picture
from nanopoet_ref.poem import Poem
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


@pytest.mark.parametrize(
    ("name", "starts"),
    [
        ("poet", b"\x89PNG"),
        ("a/b/poet.PNG", b"\x89PNG"),
        ("poet.svg", b"<?xml"),
        (".x", b"\x89PNG"),
    ],
)
def test_a_picture_is_at_the_path_asked_for_and_nowhere_else(tmp_path, name, starts):
    path = tmp_path / name
    files.check_picture_path(path)
    picture.draw_poet(LOGS, POEM, path)
    assert path.read_bytes().startswith(starts)
    assert [found for found in tmp_path.rglob("*") if found.is_file()] == [path]


def test_a_run_without_a_log_has_a_picture_too(tmp_path):
    picture.draw_poet([], POEM, tmp_path / "poet.png")
    assert (tmp_path / "poet.png").is_file()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "is a folder"),
        ("file/poet.png", "file is a file"),
        ("file/a/poet.png", "file is a file"),
        ("poet.xyz", ".xyz is no format"),
        ("/dev/null", "is not a file"),
    ],
)
def test_where_no_picture_can_go_is_known_before(tmp_path, name, reason):
    (tmp_path / "file").touch()
    with pytest.raises(ValueError, match=reason):
        files.check_picture_path(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
