"""The notation of checks/NAME.toml: changes of the solution, whole bodies, wraps."""

import pytest
import torch

from nanopoet.checker import misconceptions as module
from nanopoet.checker.misconceptions import (
    WRAPS,
    Misconception,
    MisconceptionError,
    apply_changes,
    misconceptions,
    solution,
)
from nanopoet.checker.tasks import load_tasks

UNIFORM = load_tasks()["loss.uniform_loss"]


def test_a_change_must_stand_there_exactly_once():
    assert apply_changes("a + b", ["a", "2 * a", "b", "c"]) == "2 * a + c"
    for change, said in (
        (["d", "e"], "0 times"),
        (["a", "b", "b", "c"], "2 times"),
        (["a"], "pairs"),
    ):
        with pytest.raises(MisconceptionError, match=said):
            apply_changes("a + b", change)


def test_an_entry_that_fits_no_more_names_its_place():
    wrong = Misconception(UNIFORM, "base 7", "Why?", change=("math.log7", "math.log"))
    with pytest.raises(
        MisconceptionError, match=r'loss\.toml, \[uniform_loss\."base 7"\]: .*0 times'
    ):
        _ = wrong.answer
    unfinished = Misconception(UNIFORM, "half", "Why?", body="return (")
    with pytest.raises(MisconceptionError, match=r'\[uniform_loss\."half"\]'):
        _ = unfinished.answer


@pytest.mark.parametrize(
    "ways", [{}, {"change": ("a", "b"), "body": "pass"}, {"wrap": "in silk"}], ids=str
)
def test_there_is_one_way_of_going_wrong(ways):
    with pytest.raises(MisconceptionError, match="base 7"):
        Misconception(UNIFORM, "base 7", "Why?", **ways)


def test_every_way_gives_an_answer():
    changed = Misconception(UNIFORM, "bits", "Why?", change=("math.log", "math.log2"))
    assert changed.answer(8) == 3.0
    assert changed.lines.endswith("\n    return math.log2(vocab_size)")
    assert Misconception(UNIFORM, "three", "Why?", body="return 3").answer(8) == 3
    code = "def uniform_loss(size):\n    return size"
    assert Misconception(UNIFORM, "the size", "Why?", code=code).answer(8) == 8
    assert Misconception(UNIFORM, "nothing", "Why?", wrap="no_return").answer(8) is None


def test_a_body_is_indented_where_a_blank_line_comes_first(monkeypatch):
    source, space = solution("loss")
    spaced = source.replace("    # The surprise at a probability of 1/V", "\n    # The surprise")
    monkeypatch.setattr(module, "solution", lambda name: (spaced, space))
    assert Misconception(UNIFORM, "three", "Why?", body="return 3").answer(8) == 3


def test_a_wrap_reaches_tensors_wherever_they_are():
    answer = WRAPS["float32"](lambda x: {"a": [x, (x, 1)]})
    found = answer(torch.ones(2, dtype=torch.float64))
    assert found["a"][0].dtype == found["a"][1][0].dtype == torch.float32
    assert not WRAPS["no_grad"](lambda x: x * 2)(torch.ones(2, requires_grad=True)).requires_grad


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[uniform_los."x"]\nbody = "1"\nwhy = "Why?"', "no task loss.uniform_los"),
        ('[uniform_loss."x"]\nbodi = "1"\nwhy = "Why?"', "'bodi'} is no key"),
    ],
)
def test_a_slip_in_a_file_is_named(tmp_path, text, said):
    (tmp_path / "loss.toml").write_text(text, "utf-8")
    with pytest.raises(MisconceptionError, match=said):
        misconceptions("loss", tmp_path)
