"""What `nanopoet train` is asked for: refused in time where it cannot be, then begun, or gone on
with, and trained."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import typer

from nanopoet.files import in_utf8
from nanopoet.paths import exercises, refuse_other_clone
from nanopoet.poet.components import REFERENCE, Components
from nanopoet.poet.folder import held
from nanopoet.poet.parallel import from_rank_zero, process_group, rank, restarts, world_size
from nanopoet.poet.presets import Preset, PresetError, find_preset, validate
from nanopoet.poet.recorder import RunInterrupted
from nanopoet.poet.run import Run, RunError, find_run, run_name
from nanopoet.poet.tracking import check_tracker
from nanopoet.poet.train import set_threads, start_run, train_run, with_text_and_steps
from nanopoet_ref.runtime import pick_device


@dataclass(frozen=True)
class Order:
    """The options of `nanopoet train`; None where nothing was said."""

    preset: str | None = None
    name: str | None = None
    stage: str | None = None
    text: Path | None = None
    steps: int | None = None
    seed: int | None = None
    device: str | None = None
    threads: int | None = None
    mine: bool = False
    root: Path | None = None
    resume: bool = False
    overwrite: bool = False
    track: str | None = None

    def new_run(self) -> tuple[Run, Preset]:
        """The run that is to be begun, and with what."""
        preset = find_preset(self.preset or ("text" if self.text else "quick"))
        preset = with_text_and_steps(preset, self.text, self.steps)
        plain = run_name(self.text) if self.text else preset.name
        return Run(self.name or plain + ("-mine" if self.mine else "")), preset

    def old_run(self) -> tuple[Run, Preset]:
        """The run that is to be gone on with, as it was begun."""
        changes = (self.preset, self.text, self.steps, self.seed, self.device, self.threads)
        asked = any(value is not None for value in (*changes, self.root))
        if self.overwrite or self.mine or asked:
            raise PresetError(
                "--resume goes on as the run was begun: give it --name, --stage and --track at most"
            )
        run = find_run(self.name)
        preset = run.config.preset
        validate(preset, f"{run.config_path}: preset {preset.name!r}")
        return run, preset

    def after_restart(self) -> "Order":
        """What is asked for when torchrun starts the same command again: to go on, if it began."""
        run, preset = self.new_run()
        begun = run.exists and (run.config.preset, run.config.seed) == (preset, self.seed or 0)
        if not begun or (self.overwrite and run.finished()):
            return self
        return Order(name=run.name, stage=self.stage, resume=True, track=self.track)

    def refuse_misuse(self, preset: Preset) -> None:
        """Raise an error for options that do not go with each other, or with the preset."""
        if self.track:
            check_tracker(self.track)
        if self.root and not self.mine:
            raise PresetError("--root goes with --mine")
        if self.root:
            in_utf8(self.root)  # config.json will name it
        if self.stage and self.stage not in preset.stage_names:
            raise PresetError(f"preset {preset.name!r} has no stage {self.stage!r}")

    def refuse_other_settings(self, run: Run, preset: Preset) -> None:
        """Raise `RunError` if a finished run is not the one that would be trained now."""
        if (run.config.preset, run.config.seed) != (preset, self.seed or 0):
            raise RunError(
                f"run {run.name!r} was trained with other settings: choose another --name, or "
                "--overwrite it"
            )


Noted = dict[str, Any]  # whose components train a run, as config.json notes it


def train_command(
    order: Order,
    own_components: Callable[[Path], tuple[Components, Noted]],
    noted_components: Callable[[Noted | None], Components],
) -> int:
    """Train a run to its end, or to the stage asked for; returns the exit code, 130 if stopped.

    `own_components` makes components of a folder of exercises, `noted_components` those that a run
    was begun with.
    """
    with process_group(), ExitStack() as until_trained:
        # Rank 0 begins the run, the others hear its name: None where there is nothing to train.
        begun = None
        try:
            if rank() == 0:
                begun = begin(order, own_components, noted_components, until_trained)
        finally:
            name = from_rank_zero(begun and begun[0].name)
        if name is None:
            return 0
        run, components = begun or (Run(name), REFERENCE)
        try:
            train_run(run, components, until=order.stage, track=order.track)
        except RunInterrupted as stop:
            typer.echo(f"{stop}; saved. Go on with: nanopoet train --resume --name {run.name}")
            return 130
        curves = ", ".join(path.name for path in run.curves())
        typer.echo(f"\ntrained: {run.path} (curves: {curves or 'none'})")
    return 0


def begin(
    order: Order,
    own_components: Callable[[Path], tuple[Components, Noted]],
    noted_components: Callable[[Noted | None], Components],
    until_trained: ExitStack,
) -> tuple[Run, Components] | None:
    """The run to train, begun or gone on with, and its components; None if it is trained already.

    Until `until_trained` is closed, no other process may train it.
    """
    if restarts() and not order.resume:
        order = order.after_restart()
    if order.overwrite:
        refuse_other_clone("NANOPOET_RUNS")
    run, preset = order.old_run() if order.resume else order.new_run()
    order.refuse_misuse(preset)
    if not order.overwrite and run.finished():
        if not order.resume:
            order.refuse_other_settings(run, preset)
        typer.echo(f"run {run.name} is already trained (--overwrite trains it again)")
        return None
    until_trained.enter_context(held(run.path, run.name))
    if order.resume:
        run = Run(run.name)  # read anew, now that nobody else writes here
        refuse_in_parallel(preset, run.config.mine is not None, run.config.device)
        return run, noted_components(run.config.mine)
    refuse_in_parallel(preset, order.mine, order.device or "cpu")
    run.refuse_to_begin(order.overwrite)
    set_threads(order.threads or torch.get_num_threads())
    components, noted = REFERENCE, None
    if order.mine:
        components, noted = own_components(order.root or exercises())
    start_run(run, preset, order.seed or 0, order.device or "cpu", components, noted)
    return run, components


def refuse_in_parallel(preset: Preset, mine: bool, device: str) -> None:
    """Raise `RunError` for what several processes cannot train together."""
    if world_size() == 1:
        return
    if mine:
        raise RunError("what trains with your own code trains in one process: leave torchrun out")
    if pick_device(device).type != "cpu":
        raise RunError("several processes train on the CPU alone: leave --device out")
    for stage in preset.stages:
        if stage.batch_size < world_size():
            raise RunError(
                f"stage {stage.name!r}: of the {stage.batch_size} rows of a batch some of "
                f"{world_size()} processes get none: take fewer, or a larger batch_size"
            )
