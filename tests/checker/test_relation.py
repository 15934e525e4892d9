"""What a wrong result has to do with the right one."""

import numpy as np
import pytest
import torch

from nanopoet.checker.relation import find_relation
from nanopoet.checker.trial import MISCONCEPTIONS, load_checks
from tests.checker.rehearsed import judge, name_misconception

MATRIX = np.array([[1.0, 2.0, 4.0], [3.0, 9.0, 5.0], [6.0, 8.0, 7.0]])
EDGE = MATRIX + np.array([[0, 0, 1], [0, 0, 2], [0, 0, 0]])
TALL = np.arange(6.0).reshape(3, 2)


@pytest.mark.parametrize(
    ("name", "said", "expected", "got"),
    [
        ("a factor", "0.5 times", MATRIX, MATRIX / 2),
        ("a factor", "1.443 times", [1.0, 2.0], [1 / np.log(2), 2 / np.log(2)]),
        ("the other sign", "wrong sign", MATRIX, -MATRIX),
        ("the other sign", "wrong sign", 2.5, -2.5),
        ("a constant more or less", "3 too large", MATRIX, MATRIX + 3),
        ("always the same", "are 0", MATRIX, 0 * MATRIX),
        ("the first alone", "the last axis", np.ones(3), np.array([0.0, 1.0, 1.0])),
        ("the last is missing", "the last axis", MATRIX, MATRIX[:, :-1]),
        ("the first is missing", "axis 0", MATRIX, MATRIX[1:]),
        ("rows and columns exchanged", "swap", MATRIX, MATRIX.T),
        ("rows and columns exchanged", "swap", TALL, TALL.T),
        ("another shape", "axes", TALL, TALL[None]),
        ("another shape", "axes", TALL, TALL.ravel()),
        ("back to front", "the last axis", MATRIX, MATRIX[:, ::-1]),
        ("back to front", "axis 0", MATRIX, MATRIX[::-1]),
        ("one place off", "too late", MATRIX, np.roll(MATRIX, 1, axis=1)),
        ("one place off", "axis 0, everything stands one place too ea", MATRIX, MATRIX[[1, 2, 0]]),
        ("the last alone", "the last place along the last axis", MATRIX, EDGE),
        ("the first alone", "along axis 0", MATRIX, MATRIX * [[5], [1], [1]]),
        ("another order", "not where", MATRIX, MATRIX[[1, 0, 2]]),
        ("True and False exchanged", "opposite", np.eye(3) == 1, np.eye(3) == 0),
        ("the last is missing", "the last item", [4, 5, 6], [4, 5]),
        ("the first is missing", "the first item", "床前明月", "前明月"),
        ("one too many at the end", "follows", ["a", "b"], ["a", "b", "b"]),
        ("one too many in front", "in front", [1, 2], (0, 1, 2)),
        ("back to front", "reverse", "明月", "月明"),
        ("another order", "not where", [[1], [2], [3]], [[2], [1], [3]]),
    ],
)  # fmt: skip
def test_a_simple_relation_is_said(name, said, expected, got):
    found = find_relation(expected, got)
    assert found is not None
    assert found[0] == name
    assert said in found[1]


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        (MATRIX, np.cos(MATRIX)),
        (7, 6),  # counts: one too small may come from anything
        (7, -7),
        (np.eye(3), np.eye(3) * (1 + 5e-5)),
        (MATRIX + MATRIX.T, (MATRIX + MATRIX.T) * (1 - 5e-5)),
        (np.array([1e-300, 1e-310, -np.inf]), np.array([1e300, 1.0, -np.inf])),
        (MATRIX, np.where(MATRIX == 9, np.nan, MATRIX)),
        (np.zeros(3), np.array([0.0, 1.0, 0.0])),
        ([1, 2], [2, 2]),
        (np.ones(4), np.array([1.0, 2.0, 2.0, 1.0])),
        (2.5, 4.0),
        (3, 7),
        (True, False),
        ("春", "秋"),
        ([1, 2, 3], []),
        ([[1], [2, 3]], [[1], [2, 4]]),
        (np.zeros((2, 3)), np.zeros((4, 5))),
        ([1, 2], "12"),
        ([torch.ones(2), torch.ones(2)], [torch.ones(2), torch.zeros(2)]),
        ([1, 2], [torch.ones(2), torch.zeros(2)]),
    ],
)
def test_nothing_is_said_where_there_is_none(expected, got):
    assert find_relation(expected, got) is None


def test_a_wrong_answer_that_nobody_gave_before_shows_its_relation():
    load_checks("attention")

    def answer(x):
        means = x.cumsum(dim=1) / torch.arange(1, x.shape[1] + 1)[:, None]
        return 0.7 * means

    verdict = judge("attention.average_before", answer, seed=0)
    name_misconception(verdict, answer)
    assert verdict.misconception == "a factor"
    assert "0.7 times" in verdict.explanation


def test_a_known_misconception_goes_before_its_relation():
    load_checks("attention")
    (known,) = [k for k in MISCONCEPTIONS["attention.causal_mask"] if k.name == "upper triangle"]
    verdict = judge("attention.causal_mask", known.answer, seed=0)
    name_misconception(verdict, known.answer)
    assert verdict.misconception == "upper triangle"


def test_a_prediction_is_not_given_away():
    load_checks("attention")
    verdict = judge("attention.predict_head", lambda: dict.fromkeys(["raw"], 18), seed=0)
    assert (verdict.expected, verdict.misconception) == ("", "")
