"""Checks, several to a task, and what a verdict says of them."""

import pytest
import torch

from nanopoet.checker import trial
from nanopoet.checker.difference import Difference
from nanopoet.checker.door import NoDoor
from nanopoet.checker.recognition import collect
from nanopoet.checker.tasks import load_tasks
from nanopoet.checker.trial import Trial, check, rehearse
from nanopoet.checker.verdict import Verdict, read_verdict
from tests.checker.rehearsed import judge

TASK = "loss.perplexity"  # any: its checks are replaced


@pytest.fixture
def three_checks(monkeypatch):
    """Three aspects of `abs`, of which the second never ends for who gives less than 0."""
    monkeypatch.setattr(trial, "CHECKS", {})
    for module in ("nanopoet.checker.judge", "nanopoet.checker.recognition"):
        monkeypatch.setattr(f"{module}.CHECKS", trial.CHECKS)
    assert TASK in load_tasks()

    @check(TASK, reference=abs)
    def positive_numbers(t: Trial) -> None:
        t.same(3, why="a number that is positive stays")

    @check(TASK)
    def negative_numbers(t: Trial) -> None:
        t.same(-3, why="a number that is negative changes its sign")
        t.same(-5, why="this one, too")

    @check(TASK)
    def nothing(t: Trial) -> None:
        t.same(0, why="0 is 0")


def test_each_check_is_run_and_the_first_that_does_not_hold_makes_the_verdict(three_checks):
    verdict = judge(TASK, lambda x: x, seed=0)
    assert (verdict.status, verdict.expected, verdict.got) == ("fail", "3", "-3")
    assert verdict.checks == {"positive numbers": True, "negative numbers": False, "nothing": True}
    assert verdict.share == pytest.approx(2 / 3)
    right = judge(TASK, abs, seed=0)
    assert (right.status, right.share) == ("pass", 1.0)


def test_a_failure_is_told_before_the_checks_that_are_left(three_checks):
    told = []

    def answer(x):
        if x == 0:
            assert len(told) == 1
        return x

    judge(TASK, answer, seed=0, on_failure=told.append)
    assert [verdict.status for verdict in told] == ["fail"]


def test_what_is_not_written_yet_holds_nowhere(three_checks):
    def answer(x):
        raise NotImplementedError(TASK)

    verdict = judge(TASK, answer, seed=0)
    assert (verdict.status, verdict.share) == ("todo", 0.0)
    assert len(verdict.checks) == 3


def test_an_error_in_one_check_hides_no_outcome_of_the_next(three_checks):
    def answer(x):
        return abs(x) if x >= 0 else 1 // 0

    places = {
        outcome.place: outcome.right for outcome in collect(TASK, rehearse(TASK, answer), seed=0)
    }
    assert places == {
        ("positive numbers", 0): True,
        ("negative numbers", 0): False,
        ("negative numbers", 1): False,
        ("nothing", 0): True,
    }


def test_the_first_check_and_no_other_brings_the_reference(three_checks):
    with pytest.raises(ValueError, match="no other"):
        check(TASK, reference=abs)(lambda t: None)
    with pytest.raises(ValueError, match="the first"):
        check("loss.unknown")(lambda t: None)


def test_a_verdict_passes_from_process_to_process_with_its_checks():
    verdict = Verdict(TASK, "fail", checks={"a": True, "b": False})
    assert read_verdict(verdict.as_json(), TASK) == verdict


def test_who_writes_into_something_nested_is_told_so():
    def in_place(rows):
        for row in rows:
            row *= 2
        return [row.clone() for row in rows]

    asked = Trial(NoDoor(in_place), lambda rows: [row * 2 for row in rows], seed=1)
    with pytest.raises(Difference) as raised:
        asked.same([torch.ones(3)], why="twice as much")
    assert raised.value.symptom == "writes into what it was given"
    assert "leave the old one" in raised.value.why
