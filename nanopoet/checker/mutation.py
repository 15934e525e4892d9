"""`nanopoet dev mutate`: change the solutions a little: do the checks notice?

A check that lets a changed solution pass has a hole, or the change makes no difference. Every
change that survives is printed; those listed in checks/equivalent.toml make no difference, and say
why.
"""

import ast
import copy
import json
import resource
import signal
import sys
import tomllib
import types
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from nanopoet.checker.door import NoDoor
from nanopoet.checker.judge import judge
from nanopoet.checker.runner import limit_memory
from nanopoet.checker.source import SOLUTIONS, find_node
from nanopoet.checker.tasks import Task, find_tasks, load_tasks
from nanopoet.checker.trial import load_checks
from nanopoet.files import ensure_writable, write_atomically
from nanopoet.paths import shipped

EQUIVALENT = shipped("checks") / "equivalent.toml"
SECONDS = 5  # for one changed solution
MEMORY = 2**32  # bytes, for the same

Change = tuple[str, str]  # what stood there, and what stands there now ("": nothing)

SWAPS: dict[type, list[type]] = {
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Div],
    ast.Div: [ast.Mult],
    ast.FloorDiv: [ast.Mult],
    ast.Mod: [ast.FloorDiv],
    ast.Pow: [ast.Mult],
    ast.Lt: [ast.LtE, ast.Gt],
    ast.LtE: [ast.Lt],
    ast.Gt: [ast.GtE, ast.Lt],
    ast.GtE: [ast.Gt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
    ast.In: [ast.NotIn],
    ast.NotIn: [ast.In],
    ast.Is: [ast.IsNot],
    ast.IsNot: [ast.Is],
    ast.And: [ast.Or],
    ast.Or: [ast.And],
}


def other_expressions(node: ast.AST) -> Iterator[ast.AST]:
    """What an expression could be instead."""
    if isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign):
        for swap in SWAPS.get(type(node.op), []):
            yield _with(node, op=swap())
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        for swap in SWAPS.get(type(node.ops[0]), []):
            yield _with(node, ops=[swap()])
    elif isinstance(node, ast.UnaryOp) and not isinstance(node.op, ast.UAdd):
        yield node.operand
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield ast.Constant(not node.value)
        elif isinstance(node.value, int):
            yield ast.Constant(node.value + 1)
        elif isinstance(node.value, float):
            yield ast.Constant(node.value * 1.01 + (node.value == 0))
    elif isinstance(node, ast.Call):
        for i in range(len(node.keywords)):
            yield _with(node, keywords=node.keywords[:i] + node.keywords[i + 1 :])
        if len(node.args) == 2 and not any(isinstance(arg, ast.Starred) for arg in node.args):
            yield _with(node, args=node.args[::-1])
    elif isinstance(node, ast.If | ast.IfExp | ast.While):
        yield _with(node, test=ast.Constant(False))
        if not isinstance(node, ast.While):
            yield _with(node, test=ast.Constant(True))


def _with(node: ast.AST, **fields: Any) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def mutants(node: ast.AST) -> Iterator[tuple[Change, ast.AST]]:
    """All small changes of a tree, one at a time: what was changed, and the changed tree."""

    def walk(current: ast.AST, put: Any) -> Iterator[tuple[Change, ast.AST]]:
        for other in other_expressions(current):
            if (before := _shown(current)) != (after := _shown(other)):
                yield (before, after), put(other)
        if isinstance(current, ast.Raise):
            return  # what an error says is not checked
        for name, value in ast.iter_fields(current):
            if name in ("annotation", "returns", "decorator_list"):
                continue
            if isinstance(value, ast.AST):
                yield from walk(value, lambda new, n=name: put(_with(current, **{n: new})))
            elif isinstance(value, list):
                for i, item in enumerate(value):
                    if not isinstance(item, ast.AST):
                        continue

                    def put_item(new: ast.AST, i: int = i, n: str = name) -> ast.AST:
                        items = getattr(current, n)
                        return put(_with(current, **{n: [*items[:i], new, *items[i + 1 :]]}))

                    deletable = ast.Expr | ast.AugAssign
                    is_text = isinstance(item, ast.Expr) and isinstance(item.value, ast.Constant)
                    if isinstance(item, deletable) and not is_text:
                        yield (_shown(item), ""), put_item(ast.Pass())
                    if not is_text:
                        yield from walk(item, put_item)

    yield from walk(node, lambda new: new)


def _shown(node: ast.AST) -> str:
    if isinstance(node, ast.If | ast.While):
        return f"{'if' if isinstance(node, ast.If) else 'while'} {ast.unparse(node.test)}"
    return " ".join(ast.unparse(ast.fix_missing_locations(copy.deepcopy(node))).split())


def changed_modules(task: Task) -> Iterator[tuple[Change, ast.Module]]:
    """The solution's file with one change in the task's own code, again and again."""
    source = (SOLUTIONS / task.file).read_text(encoding="utf-8")
    tree = ast.parse(source)
    node = find_node(source, task.function)
    assert node is not None
    whole = next(n for n in tree.body if getattr(n, "name", None) == node.name)
    target: ast.AST = whole
    if task.method:
        assert isinstance(whole, ast.ClassDef)
        target = next(n for n in whole.body if getattr(n, "name", None) == task.method)
    for what, changed in mutants(target):
        new = changed
        if task.method:
            assert isinstance(whole, ast.ClassDef)
            new = _with(whole, body=[changed if n is target else n for n in whole.body])
        body: list[Any] = [new if n is whole else n for n in tree.body]
        yield what, ast.fix_missing_locations(ast.Module(body=body, type_ignores=[]))


class TooLongError(Exception):
    """A changed solution that does not end."""


def killed(task: Task, tree: ast.Module, seeds: tuple[int, ...] = (1, 2)) -> bool:
    """Whether the check refuses the changed solution with one of these seeds."""

    def stop(number: int, frame: object) -> None:
        raise TooLongError

    previous = signal.signal(signal.SIGALRM, stop)
    memory = resource.getrlimit(resource.RLIMIT_AS)
    try:
        limit_memory(MEMORY)
        for seed in seeds:
            # Again and again: raised in a callback, as hypothesis has one, it would be swallowed.
            signal.setitimer(signal.ITIMER_REAL, SECONDS, SECONDS)
            try:
                module = types.ModuleType(f"mutant_of_{task.module}")
                sys.modules[module.__name__] = module  # dataclasses look their module up
                exec(compile(tree, f"mutant of {task.file}", "exec"), module.__dict__)
                answer = NoDoor(getattr(module, task.function))
                if judge(task.name, answer, seed).status != "pass":
                    return True
            except Exception:
                return True
            finally:
                signal.setitimer(signal.ITIMER_REAL, 0)
                torch.set_grad_enabled(True)
        return False
    finally:
        resource.setrlimit(resource.RLIMIT_AS, memory)
        signal.signal(signal.SIGALRM, previous)


def equivalents(task: Task) -> list[Change]:
    """The changes of a task's solution that are known to make no difference."""
    listed = tomllib.loads(EQUIVALENT.read_text(encoding="utf-8"))
    entries = listed.get(task.module, {}).get(task.function, [])
    return [(before, after) for before, after in (entry["change"] for entry in entries)]


def survivors(task: Task, every: int = 1) -> tuple[int, list[str]]:
    """How many of a task's changes matter and were tried, and those that passed the check."""
    load_checks(task.module)
    harmless = equivalents(task)
    tried, alive = 0, []
    for number, (change, tree) in enumerate(changed_modules(task)):
        if number % every or change in harmless:
            continue
        tried += 1
        if not killed(task, tree):
            alive.append(f"{change[0]}  →  {change[1] or 'nothing'}")
    return tried, alive


def alone(task: Task, every: int) -> tuple[int, list[str]]:
    """`survivors` in a process of its own, which one thread keeps busy."""
    torch.set_num_threads(1)
    return survivors(task, every)


def try_changes(
    names: list[str], every: int = 1, as_json: Path | None = None, workers: int = 1
) -> int:
    """Print how many changes are noticed, and each that is not; the exit code, 0 from 95% up.

    With several `workers`, as many tasks are tried at once.
    """
    if as_json:
        ensure_writable(as_json)  # now, not after the last change
    torch.set_num_threads(1)
    tasks = find_tasks(names) if names else list(load_tasks().values())
    rows, total, missed = [], 0, 0
    with ProcessPoolExecutor(workers) if workers > 1 else nullcontext() as pool:
        results = (
            pool.map(alone, tasks, repeat(every)) if pool else map(alone, tasks, repeat(every))
        )
        found = list(tqdm(results, total=len(tasks), disable=None, unit="task"))
    for task, (tried, alive) in zip(tasks, found, strict=True):
        rows.append({"task": task.name, "changes": tried, "alive": alive})
        total, missed = total + tried, missed + len(alive)
        for what in alive:
            print(f"{task.name}: {what}")
    share = (total - missed) / total if total else 0.0
    listed = sum(len(equivalents(task)) for task in tasks)
    print(f"{total - missed} of {total} changes killed: {share:.1%}; {listed} more change nothing")
    if as_json:
        figures = {"changes": total, "alive": missed, "share": round(share, 4), "tasks": rows}
        write_atomically(as_json, json.dumps(figures, ensure_ascii=False, indent=1) + "\n")
    return 0 if total and share >= 0.95 else 1
