"""The page of a class in a browser: as wide as a phone, and by keyboard alone.

Playwright is no dependency: `pip install playwright`, with Chromium as the system has it.
"""

import shutil

import pytest

from nanopoet.checker.grade_page import grade_page
from nanopoet.checker.gradebook import Gradebook
from nanopoet.checker.graded import Graded, as_json, load_weights
from nanopoet.checker.tasks import load_tasks
from nanopoet.checker.verdict import Verdict

api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium")
pytestmark = pytest.mark.skipif(not CHROMIUM, reason="there is no chromium")
FOCUSABLE = "[...document.querySelectorAll('a[href], summary, [tabindex=\"0\"]')]"


@pytest.fixture
def page(tmp_path):
    """The page of a class of two, in which every task fails."""
    tasks = load_tasks()
    for name in ("ada", "李四, 二班"):
        verdicts = {
            task: Verdict(
                task, "fail", "differs", misconception="a name of some length", explanation="Why."
            )
            for task in tasks
        }
        modules = sorted({task.module for task in tasks.values()})
        graded = Graded(name, modules=modules, verdicts=verdicts, remarks=["found in x: a.py"])
        (tmp_path / f"{name}.json").write_text(as_json(graded), "utf-8")
    book = Gradebook(tmp_path, ["ada", "李四, 二班"], load_weights(None))
    (tmp_path / "report.html").write_text(grade_page(book, 0), "utf-8")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        shown = browser.new_page(viewport={"width": 390, "height": 844})
        shown.goto((tmp_path / "report.html").as_uri())
        yield shown
        browser.close()


def test_a_phone_scrolls_tables_and_not_the_page(page):
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_everything_is_reached_by_keyboard_and_seen_to_be(page):
    seen = set()
    for _ in range(page.evaluate(f"{FOCUSABLE}.length")):
        page.keyboard.press("Tab")
        number, outline = page.evaluate(
            f"[{FOCUSABLE}.indexOf(document.activeElement), "
            "getComputedStyle(document.activeElement).outlineStyle]"
        )
        assert outline != "none"
        seen.add(number)
    assert seen == set(range(len(seen)))
    assert len(seen) > len(load_tasks())
