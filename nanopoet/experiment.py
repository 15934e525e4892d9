"""`python -m nanopoet.experiment FILE.toml`: train each preset of a file, and keep what it logged.

A table in a chapter rests on runs that are too long for its notebook. They are presets in
chapters/experiments/NAME.toml; this command trains them one after another and writes NAME.json
beside it: settings, seed, commit, versions, and every evaluation. The notebook reads that file.
Stopped half-way, it goes on where it was.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from nanopoet.evaluate import evaluate_run
from nanopoet.presets import Preset, load_presets, rehearse
from nanopoet.runs import Run, write_atomically
from nanopoet.train import start_run, train_run


def commit() -> str:
    """The commit that the code stands at, with a + if something has been changed since."""
    command = ["git", "describe", "--always", "--dirty=+"]
    found = subprocess.run(
        command, capture_output=True, encoding="utf-8", cwd=Path(__file__).parent
    )
    return found.stdout.strip() or "unknown"


def run_row(run: Run, preset: Preset, seed: int) -> dict[str, Any]:
    """Train a preset, or go on with it, and say what came of it."""
    if not run.exists or run.preset() != preset:
        start_run(run, preset, seed, "cpu")
    train_run(run)
    stages = {}
    for stage in preset.stages:
        logs = run.logs(stage.name)
        evals = [log for log in logs if log.val_loss is not None]
        stages[stage.name] = {
            "val_loss": {log.step: round(log.val_loss, 4) for log in evals if log.val_loss},
            "lr": [log.lr for log in logs],
            "grad_norm": [round(log.grad_norm, 4) if log.grad_norm else None for log in logs],
            "seconds": round(sum(log.seconds for log in logs)),
            "tokens": sum(log.tokens for log in logs),
        }
    row = {"preset": preset.as_dict(), "stages": stages, "samples": run.read_samples()}
    if preset.stage_names[-1] == "midtrain":
        row["evaluation"] = evaluate_run(run, seed=seed)
    return row


def run_experiment(path: Path, seed: int = 0) -> Path:
    """Run all presets of a file; the JSON is written anew after each, so none is lost."""
    presets = load_presets(path)
    for preset in presets.values():
        rehearse(preset)
    rows: dict[str, Any] = {}
    result = {
        "command": f"python -m nanopoet.experiment chapters/experiments/{path.name}",
        "commit": commit(),
        "seed": seed,
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__},
        "rows": rows,
    }
    target = path.with_suffix(".json")
    for name, preset in presets.items():
        rows[name] = run_row(Run(f"{path.stem}-{name}"), preset, seed)
        write_atomically(target, json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    return target


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m nanopoet.experiment",
        description="Train every preset of a file and write what they logged beside it.",
        epilog="example: python -m nanopoet.experiment chapters/experiments/pretraining.toml",
    )
    parser.add_argument("file", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    try:
        print(run_experiment(arguments.file, arguments.seed))
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
