"""`nanopoet dev experiment`: train what stands behind a table, keep what was logged.

Some tables in the chapters rest on runs that are too long for a notebook. They are presets in
chapters/experiments/NAME.toml, or one of the program's own by name; this command trains each of
them with several seeds and writes chapters/experiments/NAME.json: settings, commit, versions, and
for every seed every evaluation. The notebook reads that file. Stopped half-way, the command goes on
where it was.
"""

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, NamedTuple

import torch

from nanopoet.backup import rewrite_and_tell
from nanopoet.files import ensure_writable
from nanopoet.paths import CHAPTERS, ROOT
from nanopoet.poet.components import REFERENCE
from nanopoet.poet.evaluate import VAL_POEMS, evaluate_run, spread
from nanopoet.poet.folder import held
from nanopoet.poet.presets import (
    Preset,
    PresetError,
    Stage,
    find_preset,
    load_tables,
    make_presets,
    validate,
)
from nanopoet.poet.rates import verse
from nanopoet.poet.run import Run
from nanopoet.poet.stages import BATCHES
from nanopoet.poet.train import start_run, train_run
from nanopoet.poet.write import compose
from nanopoet_ref.evaluation import poem_loss_by_field
from nanopoet_ref.loss import bigram_loss, uniform_loss, unigram_log_probs
from nanopoet_ref.masks import VerseMask
from nanopoet_ref.poem import Poem

EXPERIMENTS = CHAPTERS / "experiments"
QUESTIONS = 100  # of each task, and as many poems
CODE = ("nanopoet", "nanopoet_ref")  # what a figure depends on, beside its settings


class Judging(NamedTuple):
    """How poets are judged, in the table [experiment] of a file: how many poems are asked for,
    which rows are also judged by the best of eight poems, or under the masks of all rules, and how
    many poems of each row are kept to be read. `presets` are rows, too: those of the program.
    """

    samples: int = 200
    presets: Sequence[str] = ()
    best_of_8: Sequence[str] = ()
    masked: Sequence[str] = ()
    poems: int = 0


def load_experiment(path: Path) -> tuple[Judging, dict[str, Preset]]:
    """What a file says: how its rows are judged, and the rows."""
    tables = load_tables(path)
    try:
        judging = Judging(**tables.pop("experiment", {}))
    except TypeError as error:
        raise PresetError(f"{path}, [experiment]: {error}") from error
    presets = {name: find_preset(name) for name in judging.presets} | make_presets(tables, path)
    if strange := {*judging.best_of_8, *judging.masked} - set(presets):
        raise PresetError(f"{path}, [experiment]: no rows {', '.join(sorted(strange))}")
    return judging, presets


def commit() -> str:
    """The commit that the code stands at, with a + if any of it has been changed since."""

    def ask(*arguments: str) -> str:
        command = ["git", *arguments]
        return subprocess.run(command, capture_output=True, encoding="utf-8", cwd=ROOT).stdout

    changed = "+" if ask("status", "--porcelain", "--", *CODE).strip() else ""
    return (ask("rev-parse", "--short", "HEAD").strip() or "unknown") + changed


def baselines(run: Run, stage: Stage) -> dict[str, float]:
    """What counting alone would lose on the very targets that the run is measured on, in nats."""
    config, tokenizer = run.config, run.tokenizer()
    made = BATCHES[stage.name](
        run.data(), tokenizer, config.preset.block_size, stage, config.seed, REFERENCE
    )
    # (2, N): what stands before, and the target, of each target that counts
    pairs = [
        torch.stack([batch.idx, batch.targets])[:, batch.mask]
        if batch.mask is not None
        else torch.stack([batch.idx, batch.targets]).flatten(1)
        for batch in made.fixed["val"]
    ]
    before, after = torch.cat(pairs, dim=1).numpy()
    size = len(tokenizer)
    return {
        "uniform": uniform_loss(size),
        "unigram": float(-unigram_log_probs(made.ids, size)[after].mean()),
        "bigram": bigram_loss(made.ids, size, before, after),
    }


def train_row(run: Run, preset: Preset, seed: int) -> None:
    """Train a preset, or go on with it, to its end."""
    with held(run.path, run.name):
        if not run.exists or run.config.preset != preset:
            run.refuse_to_begin(overwrite=run.exists)
            start_run(run, preset, seed, "cpu")
        train_run(run)


def rounded(numbers: Mapping[str, Any]) -> dict[str, Any]:
    return {k: round(value, 4) if type(value) is float else value for k, value in numbers.items()}


def what_came_of(run: Run, row: str, judging: Judging) -> dict[str, Any]:
    """All that a chapter may want to show of a run that is trained to its end."""
    stages = {}
    for stage in run.config.preset.stages:
        logs = run.logs(stage.name)
        stages[stage.name] = {
            "val_loss": {log.step: round(log.val_loss, 4) for log in logs if log.val_loss},
            "lr": [log.lr for log in logs],
            "grad_norm": [round(log.grad_norm, 4) if log.grad_norm else None for log in logs],
            # how long the steps up to an evaluation took, it and the others left out
            "seconds": {
                log.step: round(seconds, 2)
                for log, seconds in zip(logs, accumulate(log.seconds for log in logs), strict=True)
                if log.val_loss
            },
            "tokens": sum(log.tokens for log in logs),
            "baselines": rounded(baselines(run, stage)),
        }
    found: dict[str, Any] = {
        "precision": run.config.precision,
        "stages": stages,
        "samples": run.read_samples(),
    }
    if rollouts := run.read_rollouts():
        found["rollouts"] = [rounded(row) for row in rollouts]
    if run.writes_poems:
        seed, poet = run.config.seed, run.poet()
        poems = spread(run.data().poems("val"), VAL_POEMS, seed)
        judge = partial(evaluate_run, run, QUESTIONS if run.answers else judging.samples, seed)
        found["evaluation"] = judge()
        if row in judging.best_of_8:
            found["best_of_8"] = judge(best_of=8)
        if row in judging.masked:
            found["masked"] = judge(masked=True)
        if judging.poems:
            found["poems"] = [asdict(poem) for poem in poems_to_read(run, judging.poems)]
        found["fields"] = rounded(poem_loss_by_field(poet.model, poet.tokenizer, poems))
    return found


def poems_to_read(run: Run, n: int) -> list[Poem]:
    """What a poet writes under the masks for `n` requests of poems that it has not seen.

    Runs on the same poems get the same requests.
    """
    seed, poet = run.config.seed, run.poet()
    asked = [replace(poem, content="") for poem in spread(verse(run.data().poems("val")), n, seed)]
    mask = VerseMask(poet.tokenizer, [request.form for request in asked])
    return compose(poet, run.with_controls(asked, seed), seed, temperature=0.8, verse_mask=mask)


def run_experiment(name: str, seeds: int = 3) -> Path:
    """Train all presets of a file with seeds 0, 1, …, then write the JSON anew.

    Until then the older one stays whole, and a copy of it is kept. `name` is the path of the file,
    or the name of a preset of the program.
    """
    if name.endswith(".toml"):
        path = Path(name)
        judging, presets = load_experiment(path)
    else:
        path = EXPERIMENTS / f"{name}.toml"
        judging, presets = Judging(), {name: find_preset(name)}
    for preset in presets.values():
        validate(preset)
    target = path.with_suffix(".json")
    ensure_writable(target)
    result: dict[str, Any] = {
        "command": f"nanopoet dev experiment {name} --seeds {seeds}",
        "commit": commit(),
        "threads": torch.get_num_threads(),
        "versions": {"torch": torch.__version__},
        "rows": {row: {"preset": preset.as_dict(), "runs": {}} for row, preset in presets.items()},
    }
    # Seed after seed, so that what is stopped early has every row.
    for seed in range(seeds):
        names = {row: f"{path.stem}-{row}-{seed}" for row in presets}
        for row, preset in presets.items():
            run = Run(names[row])
            # A row may begin with the weights of a row above it: that of the same seed.
            begun = replace(preset, start=names.get(preset.start, preset.start))
            train_row(run, begun, seed)
            result["rows"][row]["runs"][seed] = what_came_of(run, row, judging)
    rewrite_and_tell(target, json.dumps(result, ensure_ascii=False, indent=1) + "\n")
    return target
