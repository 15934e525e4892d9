"""`reset` and `nanopoet dev stubs`: nothing of what somebody has written is lost."""

import ast
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanopoet import backup
from nanopoet.backup import BackupError, rewrite
from nanopoet.checker import stubs
from nanopoet.checker.reset import with_stub
from nanopoet.checker.source import LARGEST, SourceError, find_node, read_source
from nanopoet.checker.stubs import stub_file
from nanopoet.checker.tasks import modules

STUB = 'def task(x):\n    """A contract: 平仄."""\n    raise NotImplementedError("a.task")\n'
# Ends of lines for `str.splitlines`, and none for Python.
STRANGE = "\x0c\x1c\x1d\x1e\x85\u2028\u2029"


@pytest.fixture
def exercises(tmp_path, monkeypatch):
    """A learner's folder with all stubs, and a memory of its own."""
    folder = tmp_path / "exercises"
    folder.mkdir()
    for module in modules():
        (folder / f"{module}.py").write_text(stub_file(module), encoding="utf-8")
    monkeypatch.setenv("NANOPOET_EXERCISES", str(folder))
    monkeypatch.setenv("NANOPOET_MEMORY", str(tmp_path / "memory"))
    return folder


@pytest.fixture
def unwritable(exercises, tmp_path, monkeypatch):
    """A memory that cannot be written, not even by root: its folder would lie in a file."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("NANOPOET_MEMORY", str(tmp_path / "file" / "memory"))


def backups(tmp_path):
    return sorted(path.read_bytes() for path in (tmp_path / "memory" / "backup").iterdir())


TEXTS = st.text(STRANGE + "月\t 'x", max_size=8)


@given(
    before=TEXTS,
    inside=TEXTS,
    after=TEXTS,
    ending=st.sampled_from(["\n", "\r\n", "\r"]),
    last=st.booleans(),
    mark=st.booleans(),
)
def test_a_reset_changes_the_lines_of_its_task_and_no_other_byte(
    before, inside, after, ending, last, mark
):
    def lines(text):
        return text.replace("\n", ending).encode()

    head = b"\xef\xbb\xbf" * mark
    head += lines(f"A = {before!r}\n# {before}\n\n\ndef other():\n\treturn '''{inside}\n'''\n\n\n")
    middle = lines(f"@print\ndef task(x):\n    # {inside}\n    return 1  # {after}\n")
    tail = lines(f"\n\ndef last():\n\treturn {after!r}  # {after}") + lines("\n") * last
    new = with_stub(head + middle + tail, STUB.encode(), "task")
    assert new.startswith(head)
    assert new.endswith(tail)
    assert ast.dump(find_node(new, "task")) == ast.dump(find_node(STUB, "task"))
    for name in ("other", "last"):
        assert ast.dump(find_node(new, name)) == ast.dump(find_node(head + middle + tail, name))


def test_a_task_at_the_end_of_a_file_without_a_last_line_feed_keeps_it_so():
    new = with_stub(b"def task(x): return 1", STUB.encode(), "task")
    assert new == STUB.rstrip("\n").encode()
    assert with_stub(b"A = 1", STUB.encode(), "task") == f"A = 1\n\n\n{STUB}".encode()


def test_solved_answers_around_a_reset_stay_as_they_are(nanopoet, exercises, tmp_path):
    path = exercises / "attention.py"
    edited = path.read_bytes().replace(b"\n", b"\r\n") + 'X = "\u2028"  # \u2029'.encode()
    edited = edited.replace(b'raise NotImplementedError("attention.causal_mask")', b"return 1")
    path.write_bytes(edited)
    assert nanopoet("reset", "attention.causal_mask").code == 0
    now = path.read_bytes()
    assert now == edited.replace(
        b"return 1\r\n", b'raise NotImplementedError("attention.causal_mask")\r\n'
    )
    assert backups(tmp_path) == [edited]


@pytest.mark.usefixtures("one_sandbox")
@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("# 平仄\n# 床前明月光\n".encode("gbk"), ":1 is not UTF-8: save the file"),
        (b"A = 1\r# \xff\r", ":2 is not UTF-8"),
        (b"# coding: gbk\n", "says that it is in gbk"),
        (b"# coding: klingon\n", "remove that line"),
        (b"#" * (LARGEST + 1), "1,048,577 bytes, more than"),
        ("folder", "is a folder"),
        ("nowhere", "is a link to nowhere: nowhere"),
        ("loop", "is a link to nowhere: attention.py"),
        ("pipe", "is a device"),
    ],
)
def test_check_and_reset_say_the_same_of_a_file_that_cannot_be_read(
    nanopoet, exercises, content, said
):
    path = exercises / "attention.py"
    path.unlink()
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content == "folder":
        path.mkdir()
    elif content == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to("attention.py" if content == "loop" else content)
    checked, reset = nanopoet("check", "causal_mask"), nanopoet("reset", "causal_mask")
    assert (checked.code, reset.code) == (1, 1)
    sentence = reset.error
    assert said in sentence
    assert sentence in checked.out
    assert not isinstance(content, bytes) or path.read_bytes() == content


@pytest.mark.parametrize("method", ["exists", "read_bytes"])
def test_a_file_that_may_not_be_read_is_named(exercises, monkeypatch, method):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, method, refuse)  # root may read everything
    with pytest.raises(SourceError, match=r"welcome\.py cannot be read: Permission denied"):
        read_source(exercises / "welcome.py")


@pytest.mark.usefixtures("one_sandbox")
def test_a_byte_order_mark_is_accepted_as_python_accepts_it(nanopoet, exercises):
    path = exercises / "welcome.py"
    stub = path.read_bytes()
    path.write_bytes(b"\xef\xbb\xbf" + stub)
    assert nanopoet("check", "welcome").code == 0
    path.write_bytes(b"\xef\xbb\xbf" + stub.replace("床前明月光".encode(), b"wrong"))
    assert nanopoet("reset", "welcome.first_line").code == 0
    assert path.read_bytes() == b"\xef\xbb\xbf" + stub


def test_a_whole_file_comes_back_whatever_was_in_it(nanopoet, exercises, tmp_path):
    path = exercises / "welcome.py"
    path.write_bytes(b"\xff\x00")
    done = nanopoet("reset", "welcome")
    assert (done.code, path.read_text("utf-8")) == (0, stub_file("welcome"))
    assert backups(tmp_path) == [b"\xff\x00"]
    path.unlink()
    assert "what was there" not in nanopoet("reset", "welcome").out
    assert path.read_text("utf-8") == stub_file("welcome")


@pytest.mark.parametrize("name", ["welcome", "welcome.first_line"])
def test_without_a_backup_nothing_is_written_over(nanopoet, exercises, unwritable, name):
    path = exercises / "welcome.py"
    path.write_text("def first_line():\n    return 'mine'\n")
    said = nanopoet("reset", name).error
    assert "stays as it is" in said
    assert "NANOPOET_MEMORY" in said
    assert path.read_text() == "def first_line():\n    return 'mine'\n"


def test_an_exercise_that_cannot_be_written_is_named_and_stays(nanopoet, exercises, monkeypatch):
    path = exercises / "welcome.py"
    path.write_text("mine = 1\n")
    write = Path.write_bytes

    def refuse(target, data):
        if target.parent == exercises:
            raise OSError(28, "No space left on device", str(target))
        return write(target, data)

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert nanopoet("reset", "welcome").error.startswith(f"no room for {path}: ")
    assert path.read_text() == "mine = 1\n"
    assert sorted(exercises.glob("*.tmp")) == []


def test_the_stubs_keep_what_they_write_over_and_say_where(exercises, tmp_path, capsys):
    (exercises / "welcome.py").write_text("mine = 1\n")
    stubs.write_stubs()
    assert backups(tmp_path) == [b"mine = 1\n"]
    said = capsys.readouterr().out
    assert said.count("what was there") == 1
    assert str(tmp_path / "memory" / "backup" / "welcome-") in said
    assert (exercises / "welcome.py").read_text("utf-8") == stub_file("welcome")


@pytest.mark.usefixtures("unwritable")
def test_stubs_that_cannot_keep_an_answer_leave_it(exercises):
    (exercises / "welcome.py").write_text("mine = 1\n")
    with pytest.raises(BackupError, match=r"welcome\.py stays as it is"):
        stubs.write_stubs()
    assert (exercises / "welcome.py").read_text() == "mine = 1\n"


def test_two_backups_within_a_second_are_two(tmp_path, monkeypatch):
    monkeypatch.setenv("NANOPOET_MEMORY", str(tmp_path / "memory"))
    monkeypatch.setattr(backup.time, "strftime", lambda form: "20300101-000000")
    path = tmp_path / "log.json"
    assert rewrite(path, "first") is None
    assert [rewrite(path, text).name for text in ("second", "third")] == [
        "log-20300101-000000.json",
        "log-20300101-000000-2.json",
    ]
    assert rewrite(path, "third") is None
    assert backups(tmp_path) == [b"first", b"second"]
    monkeypatch.setenv("NANOPOET_MEMORY", str(path / "memory"))
    with pytest.raises(BackupError):
        rewrite(path, "fourth")
    assert path.read_text() == "third"
