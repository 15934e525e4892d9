"""Lines are added whole or not at all."""

import os
from pathlib import Path

import pytest

from nanopoet.files import append_line, in_utf8, write_atomically
from nanopoet_ref.files import NoRoomError
from tests.conftest import files_limited_to


def test_a_line_that_finds_no_room_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append_line(path, "春")
    said = r"no room for .*metrics\.jsonl: File too large"
    with files_limited_to(100_000), pytest.raises(NoRoomError, match=said):
        append_line(path, "x" * 200_000)
    assert path.read_text("utf-8") == "春\n"
    append_line(path, "秋")
    assert path.read_text("utf-8") == "春\n秋\n"


def test_a_whole_file_that_finds_no_room_leaves_the_old_one(tmp_path):
    write_atomically(tmp_path / "config.json", "old")
    with files_limited_to(100_000), pytest.raises(NoRoomError, match=r"config\.json"):
        write_atomically(tmp_path / "config.json", "x" * 200_000)
    assert (tmp_path / "config.json").read_text("utf-8") == "old"
    assert os.listdir(tmp_path) == ["config.json"]


def test_a_name_that_is_not_utf8_is_named():
    assert in_utf8(Path("春.txt")) == "春.txt"
    with pytest.raises(ValueError, match=r"'b\\udcff\.txt' is not UTF-8: rename it"):
        in_utf8(Path(os.fsdecode(b"b\xff.txt")))
