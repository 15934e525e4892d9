"""A file is the old one or the new one, and a full disk is named as what it is."""

import errno
import os
from pathlib import Path

import pytest

from nanopoet_ref.files import NoRoomError, replacing, room_for


def fail_while_writing(path: Path, error: Exception) -> None:
    with replacing(path) as temporary:
        temporary.write_text("ne", "utf-8")
        raise error


def fail_as_pytorch_does() -> None:
    try:
        raise OSError(errno.ENOSPC, "No space left on device")
    except OSError:
        raise RuntimeError("unexpected pos 1200832 vs 1200784")  # noqa: B904 (it does not say why)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_no_room_leaves_the_old_file_and_nothing_else(tmp_path, number):
    path = tmp_path / "poem.txt"
    path.write_text("old", "utf-8")
    with pytest.raises(NoRoomError, match=r"no room for .*poem\.txt: ") as error:
        fail_while_writing(path, OSError(number, os.strerror(number)))
    assert error.value.strerror == os.strerror(number)
    assert path.read_text("utf-8") == "old"
    assert os.listdir(tmp_path) == ["poem.txt"]


def test_a_full_disk_is_found_behind_the_error_that_covers_it(tmp_path):
    with pytest.raises(NoRoomError, match="No space left"), room_for(tmp_path / "x"):
        fail_as_pytorch_does()


@pytest.mark.parametrize("error", [RuntimeError("a bug"), PermissionError(errno.EACCES, "no")])
def test_other_errors_stay_what_they_are(tmp_path, error):
    with pytest.raises(type(error)) as raised:
        fail_while_writing(tmp_path / "x", error)
    assert raised.value is error
    assert os.listdir(tmp_path) == []


def test_two_processes_do_not_write_into_the_same_file(tmp_path):
    with replacing(tmp_path / "x") as temporary:
        assert str(os.getpid()) in temporary.name
        temporary.touch()
