"""Runs: what a training leaves behind, in runs/NAME.

config.json      the preset as it was, seed, corpus, versions
tokenizer.json   the vocabulary
catalog.json     the forms, authors and frequent titles it has seen
start.pt         the weights it began with, where they are another run's
checkpoint.pt    the latest state, to resume from
STAGE.pt         the weights at the end of a stage
STAGE-STEP.pt    the states saved last, as many as keep_last says; copied over checkpoint.pt, each
                 can be resumed from
STAGE-best.pt    those with the lowest validation loss, where the stage says keep_best
metrics.jsonl    one line per step
rollouts.jsonl   of a model that learns from what it writes: what it wrote, in numbers
STAGE.png        loss, gradient norm, learning rate
samples.txt      poems written on the way
.training        while it is trained: the number of the process
"""

import json
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from nanopoet import paths
from nanopoet.files import append_line, write_atomically
from nanopoet.poet.data import Data, load_data
from nanopoet.poet.folder import refuse_foreign, refuse_orphans
from nanopoet.poet.presets import ANSWERING, Preset, find_problems
from nanopoet.poet.rates import Rates, kept_shares, variety
from nanopoet.poet.settings import RunConfig
from nanopoet_ref.checkpoint import Checkpoint, load_checkpoint
from nanopoet_ref.poem import Poem, words
from nanopoet_ref.prosody import kept_rules, share
from nanopoet_ref.rewards import Control, curated, draw_control, with_control
from nanopoet_ref.tokenizer import FIELDS, CharTokenizer
from nanopoet_ref.training import StepLog


class RunError(ValueError):
    """A run that is not there, not finished, or in the way."""


def run_name(text: Path) -> str:
    """A name for a run on a text: the file's, with a dash for what no run's name may have.

    >>> run_name(Path("lists/my names.txt"))
    'my-names'
    """
    return re.sub(r"[^\w.-]+", "-", text.stem).strip("-.") or "text"


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Name the file in which something is wrong, and the way out."""
    try:
        yield
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else error
        raise RunError(f"{path}: damaged ({reason}); train again with --overwrite") from error


def check_row(row: dict[str, Any]) -> None:
    """Raise an error for a line of metrics.jsonl with anything in it that is not a step's."""
    log = asdict(StepLog(**{key: value for key, value in row.items() if key != "stage"}))
    fits = type(row["stage"]) is str and type(log["step"]) is int
    may_lack = {key for key, value in asdict(StepLog(0)).items() if value is None}
    for key, value in log.items():
        fits &= type(value) in (int, float) or (value is None and key in may_lack)
    if not fits:
        raise TypeError("values of other types")


NAME = re.compile(r"\w[\w.-]*")
MANY = 10_000  # poems are enough to see how often each control occurs
LEARN_TO_ANSWER = "train one that does: nanopoet train --preset chat"


class Run:
    """One folder of runs/, by name."""

    def __init__(self, name: str) -> None:
        if not NAME.fullmatch(name):
            raise RunError(f"{name!r} cannot name a run: use letters, digits, dots and dashes")
        self.name = name
        self.path = paths.runs() / name
        self.config_path = self.path / "config.json"
        self.tokenizer_path = self.path / "tokenizer.json"
        self.catalog_path = self.path / "catalog.json"
        self.checkpoint_path = self.path / "checkpoint.pt"
        self.metrics_path = self.path / "metrics.jsonl"
        self.samples_path = self.path / "samples.txt"
        self.rollouts_path = self.path / "rollouts.jsonl"
        self.start_path = self.path / "start.pt"

    @property
    def exists(self) -> bool:
        return self.config_path.is_file()

    def weights_path(self, stage: str) -> Path:
        return self.path / f"{stage}.pt"

    def state_path(self, stage: str, step: int) -> Path:
        return self.path / f"{stage}-{step:06d}.pt"

    def states(self, stage: str) -> list[Path]:
        """What `keep_last` has kept, the oldest first."""
        return sorted(self.path.glob(f"{stage}-[0-9]*.pt"))

    def best_path(self, stage: str) -> Path:
        return self.path / f"{stage}-best.pt"

    def curve_path(self, stage: str) -> Path:
        return self.path / f"{stage}.png"

    def curves(self) -> list[Path]:
        """The pictures that are there."""
        return sorted(self.path.glob("*.png"))

    def refuse_to_begin(self, overwrite: bool) -> None:
        """Raise where a training that begins would lose anything that nobody gave up."""
        refuse_foreign(self.path)
        if self.exists and not overwrite:
            raise RunError(
                f"run {self.name!r} is not finished. Go on: nanopoet train --resume --name "
                f"{self.name}. Start over: add --overwrite. Or choose another --name."
            )
        if not overwrite:
            refuse_orphans(self.path)

    def write_config(self, config: RunConfig) -> None:
        """How this run was begun. Written last: a run without it does not exist."""
        begun = datetime.now(UTC).isoformat(timespec="microseconds")
        self.config = replace(config, begun=begun)
        text = json.dumps(self.config.as_dict(), ensure_ascii=False, indent=2)
        write_atomically(self.config_path, text)

    @cached_property
    def config(self) -> RunConfig:
        """How this run was begun; read when it is first asked for."""
        try:
            content = self.config_path.read_bytes()
        except (FileNotFoundError, NotADirectoryError) as error:
            others = ", ".join(sorted(run.name for run in newest_runs()))
            raise RunError(
                f"no run {self.name!r} in {paths.runs()} (there is {others or 'none'}): "
                f"nanopoet train --name {self.name}"
            ) from error
        with damage_named(self.config_path):
            return RunConfig.from_dict(json.loads(content.decode("utf-8-sig")))

    @property
    def stage_names(self) -> list[str]:
        return self.config.preset.stage_names

    def data(self) -> Data:
        """What this run was begun on; other data under the same name are refused."""
        data, begun_on = load_data(self.config.preset), self.config.data
        if data.fingerprint != begun_on:
            raise RunError(
                f"run {self.name!r} was started on other data ({begun_on}, now "
                f"{data.fingerprint}): train again with --overwrite"
            )
        return data

    @property
    def begun(self) -> str:
        """When this run was begun, as it wrote down itself; "" if nobody can tell.

        Runs made before this was noted, and damaged ones, are so the oldest.
        """
        try:
            begun = json.loads(self.config_path.read_text(encoding="utf-8"))["begun"]
        except (OSError, ValueError, KeyError, TypeError):
            return ""
        return begun if isinstance(begun, str) else ""

    @property
    def readable(self) -> bool:
        """Whether its config.json is there and whole."""
        try:
            return bool(self.config)
        except RunError:
            return False

    @property
    def writes_poems(self) -> bool:
        """Whether it has learned in the end to write what is asked for."""
        return self.takes_orders(self.stage_names[-1])

    @property
    def answers(self) -> bool:
        """Whether it has learned in the end to answer questions."""
        return self.stage_names[-1] in ANSWERING

    def takes_orders(self, stage: str) -> bool:
        """Whether a stage trains a model that writes what is asked for: from midtrain on, or all
        along, where it began as such a one."""
        if self.config.preset.start:
            return True
        return "midtrain" in self.stage_names[: self.stage_names.index(stage) + 1]

    def finished(self) -> bool:
        """Whether every stage has its final weights."""
        return self.exists and all(self.weights_path(stage).is_file() for stage in self.stage_names)

    def write_catalog(self, data: Data, preset: Preset) -> None:
        """Which forms, authors and frequent titles this run sees, with their counts."""
        if not data.poems("train"):
            return
        counts = {
            field: Counter(getattr(poem, field) for poem in data.poems("train"))
            for field in FIELDS[:3]
        }
        titles = Counter({title: n for title, n in counts["title"].items() if n > 2})
        catalog = {"forms": counts["form"], "authors": counts["author"], "titles": titles}
        if preset.takes_controls:
            _, controls = curated(data.poems("train"), MANY)
            catalog["controls"] = Counter({"".join(c): n for c, n in controls.items()})
        write_atomically(self.catalog_path, json.dumps(catalog, ensure_ascii=False))

    def catalog(self) -> dict[str, dict[str, int]]:
        """Counts of the forms, authors and frequent titles that this run has seen."""
        if not self.catalog_path.is_file():
            raise RunError(f"run {self.name!r} learned from plain text: it knows no poem fields")
        with damage_named(self.catalog_path):
            catalog = json.loads(self.catalog_path.read_text(encoding="utf-8"))
            kinds = ("forms", "authors", "titles")
            if problems := find_problems(catalog, kinds=dict.fromkeys(kinds, dict)):
                raise ValueError("; ".join(problems))
            for kind in kinds:
                if problems := find_problems(
                    catalog[kind], at_least=dict.fromkeys(catalog[kind], 1)
                ):
                    raise ValueError(f"{kind}: {problems[0]}")
            return {kind: catalog[kind] for kind in kinds}

    def with_controls(self, requests: Sequence[Poem], seed: int, group: str = "") -> list[Poem]:
        """Requests with controls, drawn as often as poems that keep the rules have them; of a
        rhyme group, where one is asked for. A run that takes no controls gets none.
        """
        if not self.config.preset.takes_controls:
            return list(requests)
        with damage_named(self.catalog_path):
            catalog = json.loads(self.catalog_path.read_text(encoding="utf-8"))["controls"]
            counts = Counter({Control(*name): n for name, n in catalog.items()})
        counts = Counter({c: n for c, n in counts.items() if group in ("", c.group)}) or counts
        draw = random.Random(seed)
        return [with_control(request, draw_control(counts, draw)) for request in requests]

    def tokenizer(self) -> CharTokenizer:
        """The vocabulary that this run began with."""
        with damage_named(self.tokenizer_path):
            return CharTokenizer.load(self.tokenizer_path)

    def poet(self) -> Checkpoint:
        """The model as trained so far: the latest state, or else the weights of the last stage."""
        stages = reversed(self.stage_names)
        for path in (self.checkpoint_path, *map(self.weights_path, stages)):
            if path.is_file():
                return load_checkpoint(path)
        raise RunError(
            f"run {self.name!r} has no checkpoint yet: nanopoet train --resume --name {self.name}"
        )

    def append_metrics(self, stage: str, log: StepLog) -> None:
        append_line(self.metrics_path, json.dumps({"stage": stage, **asdict(log)}))

    def append_rollouts(self, stage: str, step: int, poems: Sequence[Poem], facts: Rates) -> None:
        """What a model wrote to learn from, before an update: its worth, and the rules kept."""
        lengths = [len(words(poem.content)) for poem in poems]
        form: Rates = {"form": share(kept_rules(poem, {}).form for poem in poems)}
        found = kept_shares(poems, {}) | form | variety(poems)
        row = {
            "stage": stage,
            "step": step,
            **facts,
            "length": sum(lengths) / len(lengths),
            **found,
        }
        append_line(self.rollouts_path, json.dumps(row))

    def read_rollouts(self) -> list[dict[str, Any]]:
        """What was noted of poems that the model has learned from; none of a run without them."""
        if not self.rollouts_path.is_file():
            return []
        with damage_named(self.rollouts_path):
            return [json.loads(line) for line in self.rollouts_path.read_text("utf-8").splitlines()]

    def read_metrics(self) -> list[dict[str, Any]]:
        """All lines; a last line that was cut by a crash is left out.

        Raises `RunError`, with its number, for any other line that no training writes.
        """
        if not self.metrics_path.is_file():
            return []
        *lines, rest = self.metrics_path.read_bytes().split(b"\n")
        rows = []
        for number, line in enumerate([*lines, rest] if rest else lines, 1):
            try:
                row = json.loads(line)
                check_row(row)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                if number > len(lines):
                    break
                raise RunError(
                    f"{self.metrics_path}, line {number}: {line[:60]!r} is no step of a training; "
                    "delete that line"
                ) from error
            rows.append(row)
        return rows

    def read_samples(self) -> list[str]:
        """What was written on the way, a line each."""
        if not self.samples_path.is_file():
            return []
        return self.samples_path.read_text(encoding="utf-8", errors="replace").splitlines()

    def rewind(self, stage: str, step: int) -> None:
        """Forget what was noted of a stage after a step; at step 0, all of it."""

        def kept(noted_stage: str, noted_step: int) -> bool:
            return noted_stage != stage or 0 < step >= noted_step

        rows = [row for row in self.read_metrics() if kept(row["stage"], row["step"])]
        write_atomically(self.metrics_path, "".join(json.dumps(row) + "\n" for row in rows))
        if self.rollouts_path.is_file():
            noted = [r for r in self.read_rollouts() if kept(r["stage"], r["step"] + 1)]
            text = "".join(json.dumps(row) + "\n" for row in noted)
            write_atomically(self.rollouts_path, text)
        found = [(re.match(r"(\w+) step (\d+):", line), line) for line in self.read_samples()]
        samples = [line for m, line in found if m and kept(m[1], int(m[2]))]
        write_atomically(self.samples_path, "".join(line + "\n" for line in samples))

    def logs(self, stage: str) -> list[StepLog]:
        """The logs of one stage."""
        return [
            StepLog(**{key: value for key, value in row.items() if key != "stage"})
            for row in self.read_metrics()
            if row["stage"] == stage
        ]


def newest_runs() -> list[Run]:
    """Every run, the newest first: the one that was begun last.

    What counts is the time in config.json, which a run writes once. Dates of files say nothing:
    a training replaces them while one looks, a picture is touched, a copy has another date.
    """
    folders = (path.parent for path in paths.runs().glob("*/config.json"))
    runs = [Run(folder.name) for folder in folders if NAME.fullmatch(folder.name)]
    return sorted(runs, key=lambda run: (run.begun, run.name), reverse=True)


def find_run(name: str | None = None) -> Run:
    """The run of that name; or the newest that is still to be trained; or else the newest."""
    if name is not None:
        run = Run(name)
        _ = run.config  # or an error that says what to do
        return run
    runs = newest_runs()
    if not runs:
        raise RunError(f"no runs in {paths.runs()}: nanopoet train --preset quick")
    unfinished = [run for run in runs if run.readable and not run.finished()]
    return (unfinished or runs)[0]


def find_trained(name: str | None = None, able: str = "readable") -> Run:
    """The run of that name, or the newest that is trained to its end and `able`: that
    `writes_poems`, or `answers`. Poems are asked of one that answers only where no other is.

    Raises `RunError` with the way out, where there is none.
    """
    if name is not None:
        return find_run(name)
    find_run()  # none at all is an error of its own
    runs = newest_runs()
    fitting = [run for run in runs if run.readable and getattr(run, able)]
    if able == "writes_poems":
        fitting.sort(key=lambda run: run.answers)
    for run in fitting:
        if run.finished():
            return run
    for run in fitting:
        raise RunError(
            f"run {run.name!r} has not ended its stage {run.stage_names[-1]}: nanopoet "
            f"train --resume --name {run.name}; or ask for {run.name} by name, to take it as it is"
        )
    for run in runs:
        _ = run.config  # or an error that names the damage
    names = ", ".join(run.name for run in runs)
    if able == "answers":
        raise RunError(f"no run answers questions ({names} cannot); {LEARN_TO_ANSWER}")
    raise RunError(
        f"no run writes poems ({names} can only continue text: "
        f"nanopoet write --run {runs[0].name}); train one that does: nanopoet train --preset quick"
    )
