"""The modules that are read line by line say why: one comment line for five lines of code."""

import ast
import io
import tokenize
from pathlib import Path

import pytest

import nanopoet_ref

FOLDER = Path(nanopoet_ref.__file__).parent
READ_LINE_BY_LINE = [
    "attention",
    "gpt",
    "sampling",
    "training",
    "optim",
    "schedule",
    "loss",
    "midtraining",
    "checkpoint",
    "conversation",
    "scaling",
]
LAYOUT = {tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def lines_of(source: str) -> tuple[set[int], set[int]]:
    """The numbers of the lines that hold code, docstrings left out, and of those with a comment."""
    code, comments = set(), set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments.add(token.start[0])
        elif token.type not in LAYOUT:
            code |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef) and ast.get_docstring(
            node
        ):
            text = node.body[0]
            code -= set(range(text.lineno, text.end_lineno + 1))
    return code, comments


def test_code_and_comments_are_told_apart():
    source = (
        '"""Doc."""\n# why\nx = 1  # what\ny = (\n    2)\n\ndef f():\n    """Doc\n    more."""\n'
    )
    assert lines_of(source) == ({3, 4, 5, 7}, {2, 3})


@pytest.mark.parametrize("name", READ_LINE_BY_LINE)
def test_the_reference_explains_itself(name):
    code, comments = lines_of((FOLDER / f"{name}.py").read_text("utf-8"))
    assert len(comments) >= 0.2 * len(code)
