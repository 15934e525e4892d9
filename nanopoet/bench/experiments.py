"""`nanopoet dev experiment`: train what stands behind a table, keep what was logged.

Some tables in the chapters rest on runs that are too long for a notebook. They are presets in
chapters/experiments/NAME.toml, or one of the program's own by name; this command trains them one
after another and writes chapters/experiments/NAME.json: settings, seed, commit, versions, and every
evaluation. The notebook reads that file. Stopped half-way, the command goes on where it was.
"""

import json
import subprocess
from pathlib import Path
from typing import Any

import torch

from nanopoet.backup import rewrite_and_tell
from nanopoet.files import ensure_writable
from nanopoet.paths import CHAPTERS, ROOT
from nanopoet.poet.evaluate import evaluate_run
from nanopoet.poet.folder import held
from nanopoet.poet.presets import Preset, find_preset, load_presets, validate
from nanopoet.poet.run import Run
from nanopoet.poet.train import start_run, train_run

EXPERIMENTS = CHAPTERS / "experiments"


def commit() -> str:
    """The commit that the code stands at, with a + if something has been changed since."""
    command = ["git", "describe", "--always", "--dirty=+"]
    found = subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT)
    return found.stdout.strip() or "unknown"


def run_row(run: Run, preset: Preset, seed: int) -> dict[str, Any]:
    """Train a preset, or go on with it, and say what came of it."""
    with held(run.path, run.name):
        if not run.exists or run.config.preset != preset:
            run.refuse_to_begin(overwrite=run.exists)
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
    if run.writes_poems:
        row["evaluation"] = evaluate_run(run, seed=seed)
    return row


def run_experiment(name: str, seed: int = 0) -> Path:
    """Run all presets of a file, then write the JSON anew; of an older one, a copy is kept.

    Until then the older one stays whole. `name` is the path of the file, or the name of a preset of
    the program.
    """
    if name.endswith(".toml"):
        path, presets = Path(name), load_presets(Path(name))
    else:
        path, presets = EXPERIMENTS / f"{name}.toml", {name: find_preset(name)}
    for preset in presets.values():
        validate(preset)
    target = path.with_suffix(".json")
    ensure_writable(target)
    result = {
        "command": f"nanopoet dev experiment {name}",
        "commit": commit(),
        "seed": seed,
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__},
        "rows": {
            row: run_row(Run(f"{path.stem}-{row}"), preset, seed) for row, preset in presets.items()
        },
    }
    rewrite_and_tell(target, json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    return target
