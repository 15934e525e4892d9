"""What nbval leaves open: a chapter is green only if all of it was run, in order, and compared.

nbval compares nothing of a cell that has no execution count, and says nothing. It overlooks a
marker that is not spelled its way, runs a single cell without those before it, and lets an unknown
magic pass. Here each of these fails, by the name of its cell.
"""

import itertools
import os
import re
import time
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nbval.plugin import IPyNbCell, IPyNbFile

from nanopoet.book.notebooks import TAGS, code_cells, tags

BUDGETS = tomllib.loads(Path(__file__).with_name("budgets.toml").read_text(encoding="utf-8"))
FACTOR = 5  # how much slower than its budget a chapter may be on a busy machine
MESSAGE_TIMEOUT = 60  # seconds; nbval waits 5, too few on a busy machine
MARKER = re.compile(r"^\s*#+\s*((?:NBVAL|PYTEST_VALIDATE).*)", re.MULTILINE | re.IGNORECASE)
AGAIN = "run it again: nanopoet dev notebooks"
WHOLE = pytest.StashKey[bool]()  # of a notebook: all its cells are to be run, in order
COMPARED = pytest.StashKey[int]()  # of a notebook: cells whose outputs were compared


class Clock:
    """The seconds of each chapter, from the reports: under pytest-xdist, only they come back."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[Path(report.nodeid.partition("::")[0]).stem] += report.duration

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for chapter, seconds in sorted(self.seconds.items()):
            budget = f"of {BUDGETS[chapter]} s" if chapter in BUDGETS else "without a budget"
            terminalreporter.write_line(f"{chapter}: {seconds:.0f} s {budget}")
        terminalreporter.write_line(f"all: {self.seconds.total():.0f} s")


CLOCK = pytest.StashKey[Clock]()


def pytest_configure(config: pytest.Config) -> None:
    # pytest-xdist hands cells to any process, unless it is told to keep those of a file together.
    if getattr(config.option, "dist", "no") not in ("no", "loadscope", "loadfile"):
        raise pytest.UsageError("a chapter stays in one process: add --dist loadfile")
    if config.option.setuponly:
        raise pytest.UsageError("without running the chapters there is nothing to compare")
    config.stash[CLOCK] = Clock()
    config.pluginmanager.register(config.stash[CLOCK])
    # The kernel inherits this: whatever asks for the network gets an error, not a page.
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        os.environ[name] = "http://127.0.0.1:9"


# --- Before a chapter is run


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    """A notebook without code is a mistake, not a success."""
    report = yield
    if isinstance(collector, IPyNbFile) and report.passed and not any(code_cells(collector.nb)):
        report.outcome, report.longrepr = "failed", f"{collector.path.name} has no code cells"
    return report


def pytest_collection_finish(session: pytest.Session) -> None:
    """See which notebooks are to be run whole: `-k`, `::Cell 2` or `--lf` take cells out."""
    cells = (item for item in session.items if isinstance(item, IPyNbCell))
    for file, group in itertools.groupby(cells, key=lambda cell: cell.parent):
        every = list(range(len(list(code_cells(file.nb)))))
        file.stash[WHOLE] = WHOLE not in file.stash and [c.cell_num for c in group] == every
        file.stash[COMPARED] = 0


def stored_fault(item: IPyNbCell) -> str | None:
    """What keeps a cell, as it is stored, from being compared as all others are."""
    count = item.cell.execution_count
    if count is None:
        return f"it was never run, so there is nothing to compare with; {AGAIN}"
    if count != item.cell_num + 1:
        return f"it was run as number {count}, and is code cell {item.cell_num + 1}; {AGAIN}"
    if unknown := sorted(set(tags(item.cell)) - TAGS):
        return f"its tag {unknown[0]!r} is none of {', '.join(sorted(TAGS))}"
    if marker := MARKER.search(item.cell.source):
        return f"its comment {marker[1]!r} is no way to mark a cell here: use a tag"
    return None


# --- While it is run


def pytest_runtest_setup(item: pytest.Item) -> None:
    item.output_timeout = MESSAGE_TIMEOUT


def kinds(outputs: list[Any], only: tuple[str, ...] | None = None) -> Counter[str]:
    """How often each kind is among some outputs: a stream, an error, or a kind of data."""
    found = Counter(
        kind
        for output in outputs
        for kind in output.get("data") or [output.get("name") or output.output_type]
    )
    return found if only is None else Counter({k: n for k, n in found.items() if k in only})


def run_fault(item: IPyNbCell) -> str | None:
    """What nbval does not see of the outputs that a cell has just given."""
    given, stored = item.test_outputs, item.cell.outputs
    for output in given:
        if "UsageError" in str(output.get("text", "")):  # the rest of the cell was not run
            return output["text"].strip()
    uncompared = item.parent.skip_compare  # pictures: that they are there is compared here
    same = kinds(given, uncompared) == kinds(stored, uncompared) or not item.options["check"]
    if bool(given) != bool(stored) or not same:
        said, kept = (", ".join(sorted(kinds(o))) or "nothing" for o in (given, stored))
        return f"its run gives {said}, and the file holds {kept}; {AGAIN}"
    return None


def chapter_fault(item: IPyNbCell, seconds: float) -> str | None:
    """What is wrong with a whole chapter, seen from its last cell."""
    name = item.path.stem
    if item.parent.stash[COMPARED] == 0:
        return f"nothing was compared in all of {name}"
    if seconds > FACTOR * BUDGETS.get(name, float("inf")):
        return f"{name} took {seconds:.0f} s: more than {FACTOR} times its {BUDGETS[name]} s"
    return None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Run a cell; then fail it for what nbval has not seen."""
    if not isinstance(item, IPyNbCell):
        return (yield)
    began = time.perf_counter()
    if not item.parent.stash[WHOLE]:
        item.raise_cell_error("a cell needs those before it: run the whole notebook, by its name")
    fault = stored_fault(item)
    try:
        outcome = yield
    except (Exception, pytest.skip.Exception):
        if fault:  # that comes first: what the run says may come of it
            item.raise_cell_error(fault)
        raise
    item.parent.stash[COMPARED] += bool(item.options["check"] and item.cell.outputs)
    fault = fault or run_fault(item)
    if fault is None and item.cell_num + 1 == len(list(code_cells(item.parent.nb))):
        before = item.config.stash[CLOCK].seconds[item.path.stem]
        fault = chapter_fault(item, before + time.perf_counter() - began)
    if fault:
        item.raise_cell_error(fault)
    return outcome
