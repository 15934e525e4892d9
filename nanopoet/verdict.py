"""What a check says, and where it is said."""

import ast
from dataclasses import dataclass
from pathlib import Path

from nanopoet.tasks import Task


@dataclass
class Verdict:
    """What a check says about one answer."""

    task: str
    status: str  # pass, fail, todo, error or timeout
    symptom: str = ""
    expected: str = ""
    got: str = ""
    why: str = ""
    misconception: str = ""
    explanation: str = ""
    seconds: float = 0.0
    seed: int = 0
    file: str = ""
    line: int = 0
    trace: str = ""
    printed: str = ""  # the beginning of what the answer printed
    images: tuple[list, list] | None = None


def line_of(file: Path, task: Task) -> int:
    """Where the function or class of a task begins in a file."""
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return 0
    found = [
        node.lineno
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == task.function
    ]
    return found[-1] if found else 0
