"""The map in README: every folder that it names is there, and the reverse."""

import re
import subprocess

from nanopoet.paths import ROOT


def map_lines() -> list[str]:
    text = (ROOT / "README.md").read_text("utf-8").partition("## Map")[2]
    return text.split("```")[1].splitlines()


def folders(lines: list[str]) -> set[str]:
    """Those at the margin, and those indented by two below the last of these."""
    found, top = set(), ""
    for line in lines:
        if named := re.match(r"(  )?((?:[\w.-]+/ +)+)", line):
            inner, names = named[1], [name.rstrip("/") for name in named[2].split()]
            top = top if inner else names[-1]
            found |= {f"{top}/{name}" if inner else name for name in names}
    return found


def folders_in_git() -> set[str]:
    """Two levels of what is kept, hidden folders aside."""
    done = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
    )
    paths = [line.split("/")[:-1] for line in done.stdout.splitlines()]
    return {
        "/".join(path[:depth])
        for path in paths
        for depth in (1, 2)
        if len(path) >= depth and not path[0].startswith(".")
    }


def test_the_map_shows_what_there_is():
    assert folders(map_lines()) == folders_in_git()


def test_the_map_is_read_as_it_is_written():
    lines = ["a/ b/   two", "b2/      one", "  c/ d/  below", "         and/or more", "e/  last"]
    assert folders(lines) == {"a", "b", "b2", "b2/c", "b2/d", "e"}
