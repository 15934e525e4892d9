"""Where else the numbers of a training go: TensorBoard or Weights & Biases, beside metrics.jsonl.

Both are optional extras: `pip install 'nanopoet[tensorboard]'`. Their files lie in hidden folders
of runs/, since a run's own folder holds what a training itself has written and nothing else. wandb
works offline: nothing is sent anywhere, until somebody calls `wandb sync`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from nanopoet import paths
from nanopoet.poet.parallel import rank
from nanopoet.poet.run import Run
from nanopoet_ref.training import StepLog

Track = Callable[[StepLog], None]


class TrackingError(ValueError):
    """A tracker that is not installed."""


def check_tracker(name: str) -> None:
    """Raise `TrackingError`, with the way out, for a tracker that is not there."""
    if find_spec(name) is None:
        raise TrackingError(f"--track {name} needs: pip install 'nanopoet[{name}]'")


def folder_of(name: str) -> Path:
    """Where a tracker writes."""
    return paths.runs() / f".{name}"


def numbers_of(log: StepLog) -> dict[str, float]:
    """What is known of a step, by name; what was not measured is left out."""
    return {key: value for key, value in asdict(log).items() if value is not None and key != "step"}


@contextmanager
def tracking(name: str | None, run: Run, stage: str, start_step: int) -> Iterator[Track]:
    """A function that takes the log of every step of a stage; None: metrics.jsonl is enough."""
    if name is None or rank() > 0:
        yield lambda log: None
        return
    opener = {"tensorboard": tensorboard, "wandb": wandb_offline}[name]
    with opener(run, stage, start_step) as track:
        yield track


@contextmanager
def tensorboard(run: Run, stage: str, start_step: int) -> Iterator[Track]:
    """Event files, for `tensorboard --logdir runs/.tensorboard`."""
    from torch.utils.tensorboard import SummaryWriter

    # What was noted of later steps before a crash is not shown: they are made again.
    purge = start_step + 1 if start_step else 0
    folder = folder_of("tensorboard") / run.name / stage
    with SummaryWriter(str(folder), purge_step=purge) as writer:

        def track(log: StepLog) -> None:
            for key, value in numbers_of(log).items():
                writer.add_scalar(key, value, log.step)

        yield track


@contextmanager
def wandb_offline(run: Run, stage: str, start_step: int) -> Iterator[Track]:
    """An offline run for each time a stage is trained, grouped by the name of ours."""
    import wandb

    folder = folder_of("wandb")
    folder.mkdir(parents=True, exist_ok=True)
    with wandb.init(
        mode="offline",
        dir=folder,
        project="nanopoet",
        group=run.name,
        name=f"{run.name}-{stage}",
        config=run.config.as_dict(),
        settings=wandb.Settings(silent=True, console="off"),
    ) as session:
        yield lambda log: session.log(numbers_of(log), step=log.step)
