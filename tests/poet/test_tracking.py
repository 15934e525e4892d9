"""What trackers have written is read back with their own readers, where they are installed."""

import json
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

from nanopoet.poet import tracking
from nanopoet.poet.run import Run
from nanopoet_ref.training import StepLog

TINY = ("train", "--preset", "tiny.toml")


def needs(name):
    return pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed")


def train_tracked(name: str, run: str) -> subprocess.CompletedProcess:
    """In a process of its own: a tracker may open sockets and leave threads behind."""
    return subprocess.run(
        [sys.executable, "-m", "nanopoet", *TINY, "--name", run, "--track", name],
        env=os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "Agg"},
        capture_output=True,
        encoding="utf-8",
        timeout=600,  # ends what hangs
    )


def expected(run: str, stage: str, key: str) -> dict[int, float]:
    """By step, as metrics.jsonl has it."""
    rows = [row for row in Run(run).read_metrics() if row["stage"] == stage]
    return {row["step"]: row[key] for row in rows if row[key] is not None}


def events(folder: Path, key: str) -> dict[int, float]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return {event.step: event.value for event in accumulator.Scalars(key)}


@needs("tensorboard")
def test_tensorboard_has_every_number_of_every_step(nanopoet):
    done = train_tracked("tensorboard", "a")
    assert (done.returncode, done.stderr.count("warning")) == (0, 0), done
    for stage in ("pretrain", "midtrain"):
        folder = tracking.folder_of("tensorboard") / "a" / stage
        for key in ("loss", "lr", "grad_norm", "val_loss", "tokens"):
            assert events(folder, key) == pytest.approx(expected("a", stage, key), rel=1e-6)


@needs("tensorboard")
def test_tensorboard_forgets_what_a_resumed_run_does_again(poet):
    for start, steps, loss in ((0, 5, 1.0), (3, 4, 2.0)):
        with tracking.tracking("tensorboard", poet, "midtrain", start) as track:
            for step in range(start + (start > 0), steps + 1):
                track(StepLog(step, loss=loss))
    found = events(tracking.folder_of("tensorboard") / poet.name / "midtrain", "loss")
    assert found == {0: 1.0, 1: 1.0, 2: 1.0, 3: 1.0, 4: 2.0}


def log_records(content: bytes) -> Iterator[bytes]:
    """The records of a wandb file: LevelDB's log format, after a head of 7 bytes.

    Blocks of 32 KiB hold pieces, each with checksum, length and kind: whole, first, middle, last.
    """
    at, record = 7, b""
    while at + 7 <= len(content):
        if (room := 2**15 - at % 2**15) < 7:
            at += room  # too little for a head: the block ends here
            continue
        _, length, kind = struct.unpack("<IHB", content[at : at + 7])
        record += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield record
            record = b""


@needs("wandb")
def test_wandb_has_every_number_of_every_step_and_is_offline(nanopoet):
    done = train_tracked("wandb", "b")
    assert (done.returncode, done.stderr.count("warning")) == (0, 0), done
    from wandb.proto import wandb_internal_pb2

    files = sorted(tracking.folder_of("wandb").rglob("*.wandb"))
    assert len(files) == 2
    assert all("offline-run-" in file.parent.name for file in files)
    found: dict[str, dict[int, float]] = {}
    for file in files:
        name = ""
        for data in log_records(file.read_bytes()):
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            name = record.run.display_name or name
            items = {i.key or i.nested_key[0]: i.value_json for i in record.history.item}
            if "loss" in items:
                step = record.history.step.num
                found.setdefault(name, {})[step] = json.loads(items["loss"])
    assert found == {
        f"b-{stage}": expected("b", stage, "loss") for stage in ("pretrain", "midtrain")
    }


@pytest.mark.parametrize("name", ["tensorboard", "wandb"])
def test_a_tracker_that_is_not_installed_is_refused_with_the_way_out(nanopoet, monkeypatch, name):
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    error = nanopoet(*TINY, "--track", name).error
    assert error == f"--track {name} needs: pip install 'nanopoet[{name}]'"
    assert not Run("tiny").path.exists()


def test_without_a_tracker_nothing_is_written_but_the_run(nanopoet):
    assert nanopoet(*TINY, "--steps", 1).code == 0
    assert [path.name for path in Run("tiny").path.parent.iterdir()] == ["tiny"]


def test_a_tracker_that_fails_costs_a_warning_and_no_weights(nanopoet, monkeypatch):
    @tracking.contextmanager
    def broken(run, stage, start_step):
        yield lambda log: 1 / 0

    monkeypatch.setattr(tracking, "tensorboard", broken)
    monkeypatch.setattr(tracking, "find_spec", lambda name: True)
    done = nanopoet(*TINY, "--track", "tensorboard", "--steps", 1)
    assert done.code == 0
    assert "warning: no tracking of step 1 (ZeroDivisionError" in done.err
    assert Run("tiny").finished()
