"""Does the regression work? Break the reference on purpose, and see a chapter go red.

Each break is a mistake that people make. It is made in a copy of the package, which the chapter's
kernel then imports; the chapter itself is untouched. Run by `make test-breaks`: a chapter each.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from nanopoet_ref.corpus import raw_folder

ROOT = Path(__file__).resolve().parents[2]
# chapter: (file, what stands there, what is put in its place)
BREAKS = {
    # a pair counts once a chunk, however often the chunk occurs
    "01_tokenizer": ("tokenizer.py", "pairs[pair] += count", "pairs[pair] += 1"),
    # scores divided by d, not by its root
    "02_attention": ("attention.py", "q.shape[-1] ** 0.5", "q.shape[-1]"),
    # a temperature below 1 makes the likely less likely
    "03_gpt": ("gpt.py", "logits = logits / temperature", "logits = logits * temperature"),
    # micro-batches weigh the same, however few their tokens
    "04_training": ("training.py", "batch.n_tokens / max(n_tokens, 1)", "1 / len(batches)"),
    # the sum over what counts is divided by everything
    "05_loss": (
        "loss.py",
        "/ weights.sum().clamp(min=1)\n\n\nclass",
        "/ losses.numel()\n\n\nclass",
    ),
    # warmup that wastes its first step on a rate of zero
    "06_pretraining": ("schedule.py", "(step + 1) / warmup_steps", "step / warmup_steps"),
    # a poem that is cut loses its end
    "07_midtraining": ("midtraining.py", "block[i, -1] = row[-1]", "pass"),
}


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
    name, right, wrong = BREAKS[chapter]
    shutil.copytree(ROOT / "nanopoet_ref", tmp_path / "nanopoet_ref")
    broken = tmp_path / "nanopoet_ref" / name
    source = broken.read_text(encoding="utf-8")
    assert source.count(right) == 1, f"{name} no longer says {right!r}"
    broken.write_text(source.replace(right, wrong), encoding="utf-8")
    done = run_chapter(chapter, tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{chapter}.ipynb::Cell" in done.stdout
    assert "1 failed" in done.stdout
