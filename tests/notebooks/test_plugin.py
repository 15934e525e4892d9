"""A chapter that was not compared is not green: small notebooks, each with one thing wrong."""

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from nanopoet.book.notebooks import chapter_paths
from nanopoet.paths import ROOT
from tests.notebooks.plugin import BUDGETS

SETTINGS = ROOT / "tests" / "notebooks" / "nbval.ini"
PNG = "iVBORw0KGgo="
DRAW = f"""from IPython.display import display
display({{"image/png": {PNG!r}, "text/plain": "a picture"}}, raw=True)"""


def said(text: str) -> Any:
    return new_output("stream", name="stdout", text=text)


def code(source: str, *outputs: Any, count: int | None = 1, tag: str = "") -> Any:
    metadata = {"tags": [tag]} if tag else {}
    return new_code_cell(source, outputs=list(outputs), execution_count=count, metadata=metadata)


UNRUN = "it was never run, so there is nothing to compare with"
UNCOMPARED = "nbval-ignore-output"
GOOD = [code("print(1)", said("1\n")), code("print(2)", said("2\n"), count=2)]
# Cells that are right or wrong each by itself, with the reason that must be given; the first: none.
CELLS: list[tuple[str, Any]] = [
    ("", code("print(1)", said("1\n"))),
    (UNRUN, code("print(2)", count=None)),
    (UNRUN, code("x = 3", count=None)),
    ("it was run as number 1, and is code cell 4", code("print(4)", said("4\n"), count=1)),
    ("Unexpected output fields from running code: {'stdout'}", code("print(5)", count=5)),
    (
        "its run gives stdout, and the file holds nothing",
        code("print(6)", count=6, tag=UNCOMPARED),
    ),
    (
        "its run gives nothing, and the file holds stdout",
        code("x = 7", said("7\n"), count=7, tag=UNCOMPARED),
    ),
    (
        "its run gives image/png, text/plain, and the file holds text/plain",
        code(DRAW, new_output("display_data", data={"text/plain": "a picture"}), count=8),
    ),
    (
        "its comment 'NBVAL_SKIP' is no way to mark a cell here",
        code("# NBVAL_SKIP\nprint(0)", said("9\n"), count=9),
    ),
    (
        "its comment 'nbval_skip because slow' is no way to mark a cell here",
        code("x = 10\n  ## nbval_skip because slow", count=10),
    ),
    (
        "its tag 'nbval-skip' is none of answer, nbval-ignore-output, quiz, reference, task",
        code("print(0)", said("11\n"), count=11, tag="nbval-skip"),
    ),
    (
        "its tag 'slow' is none of answer, nbval-ignore-output, quiz, reference, task",
        code("print(12)", said("12\n"), count=12, tag="slow"),
    ),
    (
        "UsageError: Line magic function `%nosuch` not found",
        code("%nosuch\nprint(13)", said("13\n"), count=13, tag=UNCOMPARED),
    ),
    ("", code("x = 14", count=14)),
    ("", code("print(0)", said("15\n"), count=15, tag=UNCOMPARED)),
    (UNRUN, code("", count=None)),
]
NOTEBOOKS = {
    "good": GOOD,
    "slow": GOOD,
    "faulty": [cell for _, cell in CELLS],
    "uncompared": [code("print(0)", said("1\n"), tag=UNCOMPARED), code("x = 2", count=2)],
    "words": [new_markdown_cell("# Words")],
}
PLUGINS = {
    "quicker": "from tests.notebooks import plugin\nplugin.BUDGETS['slow'] = 0.001\n",
    "backwards": "def pytest_collection_modifyitems(items):\n    items.reverse()\n",
}

Run = Callable[..., tuple[int, str, dict[tuple[str, str], str]]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """pytest over notebooks in an own process, since a kernel needs sockets: exit code, what was
    printed, and of each cell the reason why it failed."""
    home = tmp_path_factory.mktemp("notebooks")
    for name, cells in NOTEBOOKS.items():
        nbformat.write(new_notebook(cells=cells), home / f"{name}.ipynb")
    for name, source in PLUGINS.items():
        (home / f"{name}.py").write_text(source, "utf-8")

    def call(*arguments: str) -> tuple[int, str, dict[tuple[str, str], str]]:
        report = home / "report.xml"
        report.unlink(missing_ok=True)
        options = ["--rootdir", home, "--color=no", "-p", "quicker", f"--junitxml={report}"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-c", SETTINGS, *options, *arguments],
            cwd=home,
            env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(home)])},
            capture_output=True,
            encoding="utf-8",
            timeout=120,
        )
        reasons = {}
        for case in ElementTree.parse(report).iter("testcase") if report.is_file() else ():
            failed = case.find("failure")
            key = case.get("classname", "").removesuffix(".ipynb"), case.get("name", "")
            reasons[key] = "" if failed is None else f"failed: {failed.text}"
        return done.returncode, done.stdout + done.stderr, reasons

    return call


@pytest.fixture(scope="module")
def reasons(run: Run) -> dict[tuple[str, str], str]:
    """All notebooks with code in one go."""
    code, _, found = run("good.ipynb", "slow.ipynb", "faulty.ipynb", "uncompared.ipynb")
    assert code == 1
    return found


@pytest.mark.parametrize("number", range(len(CELLS)))
def test_what_was_not_compared_fails_by_the_name_of_its_cell(number, reasons):
    wanted, found = CELLS[number][0], reasons["faulty", f"Cell {number}"]
    assert bool(wanted) == bool(found), found
    assert wanted in found


def test_a_notebook_of_which_nothing_was_compared_fails(reasons):
    assert "nothing was compared in all of uncompared" in reasons["uncompared", "Cell 1"]
    assert not reasons["uncompared", "Cell 0"]


def test_a_chapter_that_takes_too_long_fails(reasons):
    assert "s: more than 5 times its 0.001 s" in reasons["slow", "Cell 1"]


def test_a_good_notebook_is_green_and_timed(run):
    code, printed, _ = run("good.ipynb")
    assert code == 0, printed
    assert "good: " in printed
    assert "2 passed" in printed


def test_a_notebook_without_code_is_refused(run):
    code, printed, _ = run("good.ipynb", "words.ipynb")
    assert code != 0
    assert "words.ipynb has no code cells" in printed


@pytest.mark.parametrize(
    "selection",
    [
        ["good.ipynb::Cell 1", "slow.ipynb", "--deselect", "slow.ipynb::Cell 0"],
        ["good.ipynb", "-p", "backwards"],
    ],
    ids=["single cells", "another order"],
)
def test_cells_without_those_before_them_are_refused(run, selection):
    code, printed, reasons = run(*selection)
    assert code == 1, printed
    assert len(reasons) == 2
    assert all("run the whole notebook" in reason for reason in reasons.values())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-n", "2", "--dist", "load"], "a chapter stays in one process"),
        (["--setup-only"], "there is nothing to compare"),
    ],
)
def test_a_run_that_could_not_compare_is_refused(run, options, said):
    code, printed, _ = run("good.ipynb", *options)
    assert code != 0
    assert said in printed
    assert "passed" not in printed


def test_a_run_that_compares_nothing_is_red(run):
    code, _, reasons = run("good.ipynb", "--nbval-lax")
    assert code == 1
    assert "nothing was compared in all of good" in reasons["good", "Cell 1"]


def test_every_chapter_has_a_budget():
    assert set(BUDGETS) == {path.stem for path in chapter_paths()}
