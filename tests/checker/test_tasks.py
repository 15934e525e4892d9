"""The whole course of tasks: every stub fails, every solution passes, every wrong answer is named.

Here checks run in this process, on answers that are known to behave; test_sandbox.py sees to those
that do not.
"""

import ast
import dataclasses
import importlib
import inspect
import math
import re
import textwrap
import tomllib
import types
from fractions import Fraction

import numpy as np
import pytest
import torch

from nanopoet.checker import judge as judging
from nanopoet.checker import mutation as mutate
from nanopoet.checker import recognition
from nanopoet.checker.difference import Difference, compare_values
from nanopoet.checker.door import NoDoor
from nanopoet.checker.mutation import changed_modules, equivalents, mutants, try_changes
from nanopoet.checker.recognition import Remembered
from nanopoet.checker.source import SOLUTIONS, find_node
from nanopoet.checker.stubs import stub_file
from nanopoet.checker.tasks import Task, TaskError, find_tasks, load_tasks, modules
from nanopoet.checker.trial import (
    CHECKS,
    MISCONCEPTIONS,
    load_checks,
    rehearse,
)
from nanopoet.checker.verdict import Verdict
from nanopoet.checker.worker import NAMING
from nanopoet.paths import ROOT
from tests.checker.rehearsed import judge

for module in modules():
    load_checks(module)

TASKS = list(load_tasks().values())
WRITTEN = [task for task in TASKS if task.kind != "given"]
CHAPTERS = range(1, 11)
every_task = pytest.mark.parametrize("task", TASKS, ids=lambda task: task.name)


@pytest.fixture(autouse=True)
def leave_torch_as_it_was():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    assert torch.is_grad_enabled()


def stub_of(task):
    """The function or class a learner begins with."""
    module = types.ModuleType(f"exercises.{task.module}")
    exec(compile(stub_file(task.module), task.file, "exec"), module.__dict__)
    return getattr(module, task.function)


def solution_of(task):
    return getattr(importlib.import_module(f"solutions.{task.module}"), task.function)


def judge_and_name(task, door, seed=1, seconds=NAMING, remembered=None):
    """As `nanopoet check` does, with its own limit on the search for a name."""
    verdict = judging.judge(task, door, seed)
    recognition.name_misconception(verdict, door, seconds, remembered)
    return verdict


def through_the_door(task, answer):
    return rehearse(task.name, answer)


def where_it_is(task, answer):
    return NoDoor(answer)


# --- Every answer gets the verdict it deserves --------------------------------------------------


@every_task
def test_an_untouched_stub_fails_for_that_reason(task):
    verdict = judge_and_name(task.name, through_the_door(task, stub_of(task)))
    if task.kind == "given":
        assert verdict.status == "pass"
    elif task.kind == "bug":
        (bug,) = (known for known in MISCONCEPTIONS[task.name] if known.stub)
        assert (verdict.status, verdict.misconception) == ("fail", bug.name)
    else:
        assert (verdict.status, verdict.symptom) == ("todo", "is not written yet")


@every_task
def test_every_solution_passes(task):
    for seed in range(3):
        verdict = judge(task.name, solution_of(task), seed)
        assert verdict.status == "pass", verdict


@every_task
@pytest.mark.parametrize(("seed", "each"), [(1, 1), (345_678, 4)])
def test_every_misconception_is_refused_and_named(task, seed, each):
    """All with the seed of `nanopoet check`. Every fourth with another one: a check that owes its
    verdict to luck is found out by few. Every third goes through the door as well: what a check
    ships is the same for all of a task.
    """
    remembered = Remembered()
    for number, known in enumerate(MISCONCEPTIONS[task.name]):
        if number % each:
            continue
        for door in (where_it_is, through_the_door)[: 1 + (each == 1 and number % 3 == 0)]:
            verdict = judge_and_name(
                task.name, door(task, known.answer), seed, math.inf, remembered
            )
            assert verdict.status == "fail", (known.name, verdict)
            assert verdict.misconception == known.name, (known.name, verdict)
            assert verdict.explanation == known.why


@every_task
def test_the_last_misconception_is_named_within_the_time_of_nanopoet_check(task):
    """Where nothing is remembered, and all others are tried before it."""
    last = MISCONCEPTIONS[task.name][-1]
    verdict = judge_and_name(task.name, through_the_door(task, last.answer))
    assert verdict.misconception == last.name


@every_task
def test_a_task_has_three_misconceptions_or_more_each_explained(task):
    group = MISCONCEPTIONS[task.name]
    assert len(group) >= 3
    assert len({known.name for known in group}) == len(group)
    for known in group:
        assert len(known.why) > 30
        assert known.why.rstrip().endswith((".", "?"))


@every_task
def test_other_wrong_answers_fail_too(task):
    for wrong in (lambda *a, **k: None, lambda *a, **k: 0, lambda *a, **k: a[0] if a else ""):
        assert judge(task.name, wrong, seed=1).status in ("fail", "error")


def one_percent_off(value, changed):
    """A result with every float in it a little more than 1% too large; `changed` counts them."""
    if isinstance(value, torch.nn.Parameter | bool):
        return value
    if isinstance(value, torch.Tensor | np.ndarray):
        floats = torch.is_tensor(value) and value.is_floating_point()
        floats = floats or (isinstance(value, np.ndarray) and value.dtype.kind == "f")
        changed.extend([1] * floats)
        return value * 1.0102 if floats else value  # some predictions need be right to 1% only
    if isinstance(value, float):
        changed.append(1)
        return value * 1.0102
    if isinstance(value, dict):
        return {key: one_percent_off(item, changed) for key, item in value.items()}
    if dataclasses.is_dataclass(value):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return dataclasses.replace(value, **one_percent_off(fields, changed))
    if isinstance(value, list | tuple):
        items = [one_percent_off(item, changed) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, types.GeneratorType):
        return (one_percent_off(item, changed) for item in value)
    return value


@every_task
def test_an_error_of_one_percent_is_refused(task):
    """And what has no floats in it passes as it is, wrapped or not."""
    right, changed = solution_of(task), []

    def wrapped(function):
        return lambda *args, **options: one_percent_off(function(*args, **options), changed)

    if task.method:
        method = wrapped(getattr(right, task.method))
        answer = type(right.__name__, (right,), {task.method: method})
    else:
        answer = wrapped(right)
    verdict = judge(task.name, answer, seed=1)
    assert verdict.status == ("fail" if changed else "pass"), verdict


# --- The manifest, and what is in the folders ---------------------------------------------------


def test_there_are_enough_tasks_of_every_kind():
    assert len(WRITTEN) >= 42
    assert sum(task.kind == "bug" for task in TASKS) >= 7
    for chapter in CHAPTERS:
        members = [task for task in TASKS if task.chapter == chapter]
        assert len(members) >= 5
        assert min(task.minutes for task in members[:5]) <= 3, "a warm-up is among the first"
        assert {"bug", "test", "predict"} & {task.kind for task in members}
    assert TASKS[0].name == "welcome.first_line"


def test_everything_in_the_folders_is_in_the_manifest_and_the_reverse():
    files = {f"{module}.py" for module in modules()}
    assert {path.name for path in SOLUTIONS.glob("*.py")} == files
    for folder in ("exercises", "checks"):
        assert {path.name for path in (ROOT / folder).glob("*.py")} == files
    others = {"tasks", "equivalent"}
    assert {path.stem for path in (ROOT / "checks").glob("*.toml")} - others == set(modules())
    assert set(CHECKS) == set(load_tasks()) == set(MISCONCEPTIONS)


@pytest.mark.parametrize("module", modules())
def test_the_exercises_are_the_solutions_without_the_answers(module):
    """After a change of a solution: nanopoet dev stubs."""
    assert (ROOT / "exercises" / f"{module}.py").read_text("utf-8") == stub_file(module)


@pytest.mark.parametrize("module", modules())
def test_exercises_and_solutions_stand_on_their_own(module):
    """Nothing of the course is imported but names of types: what a learner hands in is theirs."""
    for text in (stub_file(module), (SOLUTIONS / f"{module}.py").read_text("utf-8")):
        tree = ast.parse(text)
        for_types = [n for n in tree.body if isinstance(n, ast.If)]
        assert all(ast.unparse(n.test) == "TYPE_CHECKING" for n in for_types)
        tree.body = [n for n in tree.body if n not in for_types]
        for node in ast.walk(tree):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            roots = {name.partition(".")[0] for name in names}
            assert not roots & {"nanopoet", "nanopoet_ref", "solutions", "tests"}


def test_a_check_is_of_a_size_to_be_read():
    """What is longer than 40 lines looks at several things, which are checks of their own."""
    too_long, found = {}, 0
    for task, checked in CHECKS.items():
        for name, run in checked.checks.items():
            node = ast.parse(textwrap.dedent(inspect.getsource(run))).body[0]
            found += 1
            if node.end_lineno - node.lineno + 1 > 40:
                too_long[f"{task}: {name}"] = node.end_lineno - node.lineno + 1
    assert found > 150
    assert not too_long


@pytest.mark.parametrize("module", modules())
def test_stubs_stand_in_the_order_of_the_manifest(module):
    """Which is that of the chapters (test_lint.py), of `progress` and of `check`."""
    names = [node.name for node in ast.parse(stub_file(module)).body if hasattr(node, "name")]
    tasks = [task.function for task in TASKS if task.module == module]
    assert [name for name in names if name in tasks] == tasks


@every_task
def test_a_task_builds_on_tasks_before_it(task):
    order = [known.name for known in TASKS]
    for needed in task.needs:
        assert order.index(needed) < order.index(task.name)
        assert load_tasks()[needed].module == task.module or needed in order


@pytest.mark.parametrize("task", WRITTEN, ids=lambda task: task.name)
def test_an_answer_is_of_a_size_to_be_written(task):
    source = (SOLUTIONS / task.file).read_text("utf-8")
    node = find_node(source, task.function)
    if task.method:
        node = find_node(source, task.method, within=node)
    code = [
        line
        for line in source.split("\n")[node.body[0].end_lineno : node.end_lineno]
        if line.strip() and not line.strip().startswith("#")
    ]
    assert 1 <= len(code) <= 30


def test_tasks_are_found_by_name_function_module_and_chapter():
    assert [t.name for t in find_tasks(["causal_mask"])] == ["attention.causal_mask"]
    assert find_tasks(["5"]) == find_tasks(["loss"])
    assert len(find_tasks(["5", "loss", "loss.perplexity"])) == len(find_tasks(["loss"]))
    with pytest.raises(TaskError, match="'99'"):
        find_tasks(["99"])


def test_a_wrong_entry_of_the_manifest_says_what_is_wrong():
    with pytest.raises(TaskError, match=r"kind 'read'.*three hints"):
        Task("loss.x", 5, "X", 2, ("a",), kind="read")


def test_mutations_listed_as_harmless_exist():
    table = tomllib.loads(mutate.EQUIVALENT.read_text("utf-8"))
    listed = {f"{module}.{function}" for module, group in table.items() for function in group}
    assert listed <= set(load_tasks())
    for name in listed:
        task = load_tasks()[name]
        assert equivalents(task)
        assert set(equivalents(task)) <= {change for change, _ in changed_modules(task)}


# --- The checker itself -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("expected", "got", "symptom"),
    [
        (torch.zeros(2), [0, 0], "of type list"),
        (torch.zeros(2), torch.zeros(3), "shape"),
        (torch.zeros(2), torch.zeros(2, dtype=torch.long), "integers"),
        (torch.zeros(2), torch.zeros(2, dtype=torch.float64), "precision"),
        (torch.zeros(2), torch.tensor([0.0, float("nan")]), "NaN"),
        (torch.ones(2), torch.tensor([1.0, 1.01]), "differs"),
        (torch.ones(2, requires_grad=True) * 1, torch.ones(2), "cut off"),
        (1.0, 1.01, "differs"),
        (1.0, None, "None"),
        (1.0, float("nan"), "NaN"),
        (1.0, "1", "of type str"),
        pytest.param(1.0, 10**400, "differs", id="400 digits"),
        pytest.param(1.0, 10**5000, "differs", id="5,000 digits"),
        (True, 1, "of type int"),
        ([1, 2], [1], "length 1, not 2"),
        ([1, 2], [1, 3], "item 1 of the result"),
        ({"a": 1}, {"b": 1}, "lacks 'a'"),
        ({"a": 1}, {"a": 1, "b": 2}, "'b' too much"),
        ({1, 2}, {1}, "differs"),
        ("春", "秋", "differs"),
    ],
)
def test_a_difference_is_said_in_words(expected, got, symptom):
    with pytest.raises(Difference) as found:
        compare_values("the result", expected, got, rtol=1e-5, atol=1e-8)
    assert re.search(symptom, found.value.symptom)


@pytest.mark.parametrize(
    ("expected", "got"),
    [
        ([1, 2], (1, 2)),
        ([1, 2], torch.tensor([1, 2])),
        (1.5, torch.tensor(1.5)),
        (1.5, Fraction(3, 2)),
        (True, torch.tensor(True)),
        (torch.tensor([1.0, float("-inf")]), torch.tensor([1.0, float("-inf")])),
    ],
)
def test_what_is_right_in_another_form_is_right(expected, got):
    compare_values("the result", expected, got, rtol=1e-5, atol=1e-8)


def test_an_input_that_is_written_into_is_noticed():
    def in_place(q, k, v, mask=None):
        q.mul_(2)
        return solution_of(find_tasks(["attention.attention"])[0])(q / 2, k, v, mask)

    with torch.no_grad():
        verdict = judge("attention.attention", in_place, seed=0)
    assert verdict.status in ("fail", "error")


def test_a_change_that_is_not_noticed_is_listed_and_fails_the_run(monkeypatch, capsys):
    assert try_changes(["attention.causal_mask", "attention.merge_heads"]) == 0
    assert "4 of 4 changes killed: 100.0%" in capsys.readouterr().out
    monkeypatch.setattr(mutate, "judge", lambda *args, **kwargs: Verdict("any", "pass"))
    assert try_changes(["attention.merge_heads"]) == 1
    said = capsys.readouterr().out
    assert "0 of 3 changes killed" in said
    assert "attention.merge_heads: " in said


def test_several_workers_find_what_one_finds(capsys):
    names = ["attention.causal_mask", "attention.merge_heads"]
    assert try_changes(names, workers=2) == 0
    assert "4 of 4 changes killed: 100.0%" in capsys.readouterr().out


def test_small_changes_are_small_changes():
    tree = ast.parse("def f(a, b=2):\n    return a + b if a < 1 else g(a, b, c=3)").body[0]
    changes = [what for what, _ in mutants(tree)]
    call = ("g(a, b, c=3)", "g(a, b)")
    for change in (("a + b", "a - b"), ("a < 1", "a <= 1"), ("2", "3"), call):
        assert change in changes
