"""What a class hands in: found wherever it lies; nothing followed, nothing unpacked, all said."""

import json
import os
import stat
import tracemalloc
import zipfile

import pytest

from nanopoet.checker.source import LARGEST
from nanopoet.checker.submissions import find_submissions, read_submission
from nanopoet.checker.tasks import TaskError

CODE = "def first_line():\n    return 1\n"


def put(path, content=CODE):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def notebook(*cells):
    found = [{"cell_type": "code", "source": cell} for cell in cells]
    return json.dumps({"cells": [{"cell_type": "markdown", "source": "# Mine"}, *found]})


def remarks(submission):
    return "; ".join(submission.remarks)


def test_a_class_is_every_folder_zip_py_and_ipynb(tmp_path):
    put(tmp_path / "ada" / "welcome.py")
    put(tmp_path / "class.csv"), put(tmp_path / ".DS_Store"), put(tmp_path / "loss.py")
    put(tmp_path / "bo_loss.ipynb", notebook(CODE)), zipped(tmp_path / "cy.ZIP", {})
    (tmp_path / "di").symlink_to("/etc")
    found, others = find_submissions(tmp_path)
    assert [path.name for path in found] == ["ada", "bo_loss.ipynb", "cy.ZIP", "di", "loss.py"]
    assert others == ["class.csv"]


@pytest.mark.parametrize("folder", ["none", "empty"])
def test_without_submissions_there_is_no_class(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(TaskError, match=r"submissions"):
        find_submissions(tmp_path / folder)


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("welcome.py", []),
        ("exercises/welcome.py", ["found in exercises: welcome.py"]),
        ("homework/x/exercises/welcome.py", ["found in homework/x/exercises: welcome.py"]),
        ("Welcome.PY", ["welcome.py is Welcome.PY"]),
        ("Zhang_San_12_welcome.py", ["welcome.py is Zhang_San_12_welcome.py"]),
        ("a\\exercises\\welcome.py", ["found in a/exercises: welcome.py"]),
        ("nanopoet/exercises/welcome.py", ["found in nanopoet/exercises: welcome.py"]),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "zip"])
def test_answers_are_found_where_they_lie(tmp_path, place, said, kind):
    if kind == "zip":
        found = read_submission(zipped(tmp_path / "ada.zip", {place: CODE}))
    else:
        put(tmp_path / "ada" / place.replace("\\", "/"))
        found = read_submission(tmp_path / "ada")
    assert (found.sources, found.remarks) == ({"welcome": CODE.encode()}, said)


def test_where_many_files_lie_is_said_in_short(tmp_path):
    names = ("attention", "gpt", "loss", "optim", "welcome")
    for name in names:
        put(tmp_path / "ada" / "x" / f"{name}.py")
        put(tmp_path / "bo" / f"{name}.ipynb", notebook(CODE))
    ada, bo = (read_submission(tmp_path / name) for name in ("ada", "bo"))
    assert ada.remarks == ["found in x: attention.py, gpt.py, loss.py and 2 more"]
    assert bo.remarks == ["found as attention.ipynb, gpt.ipynb, loss.ipynb and 2 more"]
    assert set(ada.sources) == set(bo.sources) == set(names)


def test_of_several_files_one_is_taken_and_solutions_never(tmp_path):
    for place in ("a/welcome.py", "exercises/welcome.py", "solutions/loss.py", "util.py"):
        put(tmp_path / "ada" / place, f"# {place}\n")
    found = read_submission(tmp_path / "ada")
    assert found.sources == {"welcome": b"# exercises/welcome.py\n"}
    assert "a/welcome.py is left out: exercises/welcome.py is taken" in remarks(found)
    assert "no file of exercises is called so: util.py" in remarks(found)


@pytest.mark.parametrize(
    ("name", "cells", "module"),
    [
        ("mine.ipynb", ["# exercises/welcome.py\n%matplotlib inline\n" + CODE], "welcome"),
        ("ada_welcome.ipynb", [CODE, "%%bash\nls", ["x = 1\n", "!ls"]], "welcome"),
        ("mine.ipynb", [CODE], None),
        ("mine.ipynb", [], None),
        ("welcome.ipynb", ["x = '\ud800'"], None),
    ],
)
def test_a_notebook_is_one_file_of_exercises(tmp_path, name, cells, module):
    found = read_submission(put(tmp_path / name, notebook(*cells)))
    assert list(found.sources) == [module] * bool(module)
    for source in found.sources.values():
        compile(source, name, "exec")
        assert CODE.encode() in source
    assert module or "left out" in remarks(found)


def test_what_is_no_regular_file_is_never_opened(tmp_path):
    ada = tmp_path / "ada"
    put(ada / "good" / "gpt.py")
    os.mkfifo(ada / "welcome.py")
    (ada / "loss.py").symlink_to("/dev/zero")
    (ada / "training.py").symlink_to(ada / "good" / "gpt.py")
    (ada / "more").symlink_to(ada)
    found = read_submission(ada)
    assert list(found.sources) == ["gpt"]
    for name in ("welcome.py is not a regular", "loss.py", "training.py", "more is a link"):
        assert name in remarks(found)


@pytest.mark.parametrize("name", ["welcome.py", "ada.zip", "ada"])
def test_a_link_or_a_fifo_in_the_place_of_a_submission(tmp_path, name):
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / name).symlink_to("/dev/zero")
    os.mkfifo(tmp_path / name)
    for path in (tmp_path / name, tmp_path / "link" / name):
        found = read_submission(path)
        assert found.sources == {}
        assert "is a link or a device: not followed" in found.remarks


def linked(name):
    info = zipfile.ZipInfo(name)
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    return info


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"welcome.py": b"#" * (LARGEST + 1)}, "has more than 1,048,576 bytes"),
        ({"../welcome.py": CODE}, "leads out of the zip"),
        ({"/tmp/welcome.py": CODE}, "leads out of the zip"),
        ({"..\\welcome.py": CODE}, "leads out of the zip"),
        ({"C:/welcome.py": CODE}, "leads out of the zip"),
        ({linked("welcome.py"): "/etc/passwd"}, "is a link or a device"),
        ({"welcome.py": "# 床前".encode("gbk")}, "is not UTF-8"),
        ({"welcome.py": "诗".encode("utf-16")}, "is not UTF-8"),
        ({"welcome.ipynb": "[" * 10**5}, "is not a notebook"),
        ({"welcome.ipynb": "3"}, "is not a notebook"),
        ({"inner.zip": "x", "readme.txt": "x"}, ""),
    ],
)
def test_a_bad_file_in_a_zip_is_left_out_and_said(tmp_path, files, said):
    found = read_submission(zipped(tmp_path / "ada.zip", files | {"loss.py": CODE}))
    assert list(found.sources) == ["loss"]
    assert said in remarks(found)
    assert [path.name for path in tmp_path.iterdir()] == ["ada.zip"]


def test_a_bomb_takes_no_more_memory_than_a_file(tmp_path):
    path = zipped(tmp_path / "ada.zip", {"welcome.py": bytes(50 * LARGEST)})
    tracemalloc.start()
    read_submission(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 5 * LARGEST


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 nothing", b"\x00" * 100])
def test_a_bad_zip_is_said(tmp_path, damage):
    found = read_submission(put(tmp_path / "ada.zip", damage))
    assert found.remarks == ["is not a zip that can be read", "holds no file of exercises"]


def test_a_damaged_file_in_a_zip_is_said(tmp_path):
    path = zipped(tmp_path / "ada.zip", {"welcome.py": CODE * 100})
    content = bytearray(path.read_bytes())
    content[45:60] = bytes(15)
    path.write_bytes(content)
    assert "welcome.py cannot be read from the zip" in remarks(read_submission(path))


def test_lines_and_marks_stay_as_they_are(tmp_path):
    source = b"\xef\xbb\xbfx = 1\r\n\x00"
    put(tmp_path / "ada" / "welcome.py", source)
    assert read_submission(tmp_path / "ada").sources == {"welcome": source}


def test_many_remarks_are_cut_short_and_are_lines(tmp_path):
    for number in range(40):
        put(tmp_path / "ada" / f"{number}\n\x1b" / "welcome.py")
    found = read_submission(tmp_path / "ada")
    assert len(found.remarks) == 21
    assert all(remark.isprintable() for remark in found.remarks)


def test_the_files_are_written_anew_for_nobody_to_change(tmp_path):
    os.utime(put(tmp_path / "ada" / "welcome.py"), (1e9, 1e9))
    found = read_submission(tmp_path / "ada")
    found.write(tmp_path / "new")
    (path,) = (tmp_path / "new").iterdir()
    assert (path.name, path.read_text(), found.newest) == ("welcome.py", CODE, 1e9)
    assert (stat.S_IMODE(path.stat().st_mode), path.stat().st_nlink) == (0o444, 1)
