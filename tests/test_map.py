"""The map in README: every folder that it names is there, and the reverse."""

import re
import subprocess

from nanopoet.paths import ROOT


def folders_on_the_map() -> set[str]:
    text = (ROOT / "README.md").read_text("utf-8").partition("## Map")[2]
    found, top = set(), ""
    for line in text.split("```")[1].splitlines():
        for name in re.findall(r"^((?:\S+/ ?)+)", line):
            found |= {part.rstrip("/") for part in name.split()}
            top = name.split()[0].rstrip("/")
        for name in re.findall(r"^  (\S+)/", line):
            found.add(f"{top}/{name}")
    return found


def folders_in_git() -> set[str]:
    """The folders at the top, and the rooms of the program."""
    done = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, encoding="utf-8", check=True
    )
    paths = [line.split("/") for line in done.stdout.splitlines()]
    top = {path[0] for path in paths if len(path) > 1 and not path[0].startswith(".")}
    return top | {f"nanopoet/{path[1]}" for path in paths if path[0] == "nanopoet" and path[2:]}


def test_the_map_shows_what_there_is():
    assert folders_on_the_map() == folders_in_git()
