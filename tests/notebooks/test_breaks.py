"""Does the regression work? Break the reference on purpose, and see a chapter go red.

Each break in breaks.toml is a mistake that people make, written as a change of the reference. It is
made in a copy of the package, which the chapter's kernel then imports; the chapter itself is
untouched. Run by `make test-breaks`: a chapter each.
"""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from nanopoet.checker.misconceptions import apply_changes
from nanopoet_ref.poem import raw_folder

ROOT = Path(__file__).resolve().parents[2]
BREAKS = tomllib.loads(Path(__file__).with_name("breaks.toml").read_text(encoding="utf-8"))


def run_chapter(chapter: str, package: Path) -> subprocess.CompletedProcess[str]:
    """nbval on one chapter, to its first failure, with `package` in front of the installed one."""
    command = [sys.executable, "-m", "pytest", "-c", "tests/notebooks/nbval.ini", "-x"]
    return subprocess.run(
        [*command, "--rootdir", str(ROOT), f"chapters/{chapter}.ipynb"],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(package), "NANOPOET_RAW": str(raw_folder())},
        capture_output=True,
        encoding="utf-8",
        timeout=600,
    )


@pytest.mark.parametrize("chapter", BREAKS)
def test_a_broken_reference_turns_the_chapter_red(chapter, tmp_path):
    entry = BREAKS[chapter]
    shutil.copytree(ROOT / "nanopoet_ref", tmp_path / "nanopoet_ref")
    broken = tmp_path / "nanopoet_ref" / f"{entry['module']}.py"
    source = broken.read_text(encoding="utf-8")
    broken.write_text(apply_changes(source, entry["change"]), encoding="utf-8")
    done = run_chapter(chapter, tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{chapter}.ipynb::Cell" in done.stdout
    assert "1 failed" in done.stdout
