"""What nbval leaves open: late messages, mistyped magics, and the time each chapter takes."""

import os
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

BUDGETS = tomllib.loads(Path(__file__).with_name("budgets.toml").read_text(encoding="utf-8"))
FACTOR = 5  # how much slower than its budget a chapter may be on a busy machine
MESSAGE_TIMEOUT = 60  # seconds; nbval waits 5, too few on a busy machine
SECONDS = pytest.StashKey[dict[str, float]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[SECONDS] = {}
    # The kernel inherits this: whatever asks for the network gets an error, not a page.
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        os.environ[name] = "http://127.0.0.1:9"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Add up the seconds of each notebook."""
    began = time.perf_counter()
    try:
        return (yield)
    finally:
        spent = item.config.stash[SECONDS]
        spent[item.path.stem] = spent.get(item.path.stem, 0.0) + time.perf_counter() - began


def pytest_runtest_setup(item: pytest.Item) -> None:
    item.output_timeout = MESSAGE_TIMEOUT


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """An unknown magic prints to stderr and skips the rest of its cell: that is a failure."""
    outcome = yield
    for output in getattr(item, "test_outputs", None) or []:
        if "UsageError" in str(output.get("text", "")):
            pytest.fail(f"{item.name}: {output['text']}")
    return outcome


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    spent = terminalreporter.config.stash[SECONDS]
    for chapter, seconds in sorted(spent.items()):
        budget = f"of {BUDGETS[chapter]} s" if chapter in BUDGETS else "without a budget"
        terminalreporter.write_line(f"{chapter}: {seconds:.0f} s {budget}")
    terminalreporter.write_line(f"all: {sum(spent.values()):.0f} s")


def pytest_sessionfinish(session: pytest.Session) -> None:
    spent = session.config.stash[SECONDS]
    late = [name for name, s in spent.items() if s > FACTOR * BUDGETS.get(name, float("inf"))]
    if late:
        print(f"\nmore than {FACTOR} times their budget: {', '.join(late)}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
