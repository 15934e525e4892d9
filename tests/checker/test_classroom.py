"""A class of sixty is what it says; and a small one, of the same make, judged for real."""

import csv
from collections import Counter

from nanopoet.checker.similarity import Class
from nanopoet.checker.submissions import find_submissions, read_submission
from nanopoet.checker.tasks import load_tasks, modules
from tests.checker.classroom import HOSTILE, KINDS, make_class
from tests.checker.test_hostile import TASK


def test_sixty_are_made_the_same_each_time(tmp_path):
    made = make_class(tmp_path / "one")
    assert Counter(made.values()) == Counter(KINDS)
    assert len(made) == 60
    assert KINDS.count("hostile") <= len(HOSTILE)
    assert make_class(tmp_path / "two") == made
    paths, others = find_submissions(tmp_path / "one")
    assert ({path.name for path in paths}, others) == (set(made), [])
    for path in paths:
        read = read_submission(path)
        assert set(read.sources) == set(modules()), read.remarks
        assert read.sources == read_submission(tmp_path / "two" / path.name).sources


def test_each_kind_gets_what_it_has_earned(nanopoet, tmp_path):
    kinds = ["right", "unfinished", "wrong", "hostile", "copied"]
    made = make_class(tmp_path / "class", kinds, ["attention"])
    done = nanopoet("grade", tmp_path / "class", "--out", tmp_path / "out", "--workers", 2)
    assert (done.code, done.err) == (0, "")
    with (tmp_path / "out" / "grades.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = {made[row["submission"].removeprefix("'")]: row for row in csv.DictReader(file)}
    passed = {kind: int(row["pass"]) for kind, row in rows.items()}
    tasks = sum(task.module == "attention" for task in load_tasks().values())
    assert passed["right"] == tasks > passed["wrong"] > passed["unfinished"] == 0
    assert rows["copied"]["points"] == rows["wrong"]["points"]
    assert float(rows["hostile"][TASK]) < 1
    assert rows["right"][TASK] == "1"


def test_copies_of_a_class_are_the_first_pairs(tmp_path):
    made = make_class(tmp_path / "class", ["wrong"] * 6 + ["copied"] * 2, ["attention", "loss"])
    whole = Class()
    for path in find_submissions(tmp_path / "class")[0]:
        whole.add(path.name, read_submission(path).sources)
    for pair in whole.pairs()[:2]:
        assert "copied" in {made[name] for name in pair.names}
