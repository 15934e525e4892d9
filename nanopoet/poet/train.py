"""`nanopoet train`: run the stages of a preset, and leave a run that can be resumed."""

import os
import platform
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from nanopoet.files import in_utf8
from nanopoet.poet.components import REFERENCE, Components
from nanopoet.poet.data import Data, load_data, unknown_in_words
from nanopoet.poet.folder import clear, sweep
from nanopoet.poet.parallel import barrier, in_parallel, loop_parts, own_rows, rank, world_size
from nanopoet.poet.presets import ANSWERING, Preset, PresetError, Stage, make_optimizers
from nanopoet.poet.recorder import Recorder, dispensable, state_in_words
from nanopoet.poet.run import Run, RunError, find_run
from nanopoet.poet.settings import RunConfig
from nanopoet.poet.stages import BATCHES, StageData
from nanopoet.poet.tracking import tracking
from nanopoet_ref.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, warm_start
from nanopoet_ref.conversation import chat_tokenizer, extend_model
from nanopoet_ref.files import replacing
from nanopoet_ref.gpt import GPT, GPTConfig, count_parameters
from nanopoet_ref.loss import uniform_loss, unigram_log_probs, unigram_loss
from nanopoet_ref.mixture import CHARACTERS
from nanopoet_ref.runtime import fast_precision, pick_device, seed_everything, unwrapped
from nanopoet_ref.tokenizer import CharTokenizer
from nanopoet_ref.training import BatchStream


@contextmanager
def stop_signal() -> Iterator[list[int]]:
    """A list that fills at the first Ctrl-C (or TERM); a second one ends the program at once."""
    received: list[int] = []

    def note(number: int, frame: object) -> None:
        received.append(number)
        signal.signal(number, previous[number])
        tqdm.write("stopping after this step …")

    previous = {
        int(number): signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield received
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def set_threads(asked: int) -> None:
    """As many threads as asked for, up to the number of cores: far too many end the process."""
    cores = os.cpu_count() or 1
    if asked > cores:
        tqdm.write(f"{asked:,} threads were asked for: {cores}, as many as there are cores")
    torch.set_num_threads(min(asked, cores))


def take_up(
    run: Run,
    stage: Stage,
    model: GPT,
    tokenizer: CharTokenizer,
    optimizers: Sequence[torch.optim.Optimizer],
) -> tuple[int, str]:
    """Go back to the run's checkpoint; returns the step of the stage, and what is safe, in words.

    Raises `RunError` when it was trained with other settings than config.json has now.
    """
    if not run.checkpoint_path.is_file():
        return 0, "nothing had been saved yet"
    saved = load_checkpoint(run.checkpoint_path)
    if (saved.model.config, saved.tokenizer.hash) != (model.config, tokenizer.hash):
        raise RunError(f"{run.checkpoint_path}: not the model of config.json, tokenizer.json")
    if change := run.config.change_since(saved.notes.get("settings", run.config.binding)):
        raise RunError(
            f"{run.config_path} was changed since {run.checkpoint_path.name} was saved: {change}. "
            "Put it back, or train again with --overwrite"
        )
    if saved.notes["stage"] != stage.name:
        return 0, f"the end of {saved.notes['stage']} is safe"
    model.load_state_dict(saved.model.state_dict())
    saved.restore(optimizers, model.wte.weight.device)
    return saved.step, state_in_words(saved.step)


def first_weights(run: Run, stage: Stage, data: StageData, tokenizer: CharTokenizer) -> GPT:
    """The model as the stage begins: new, or as the stage before or another run has left it."""
    preset = run.config.preset
    model = GPT(GPTConfig(vocab_size=len(tokenizer), **preset.model))
    if earlier := run.stage_names[: run.stage_names.index(stage.name)]:
        warm_start(model, tokenizer, run.weights_path(earlier[-1]))
    elif preset.start:
        warm_start(model, tokenizer, run.start_path)
    elif preset.init_head_bias:
        model.init_head_bias(unigram_log_probs(data.ids, len(tokenizer)))
    return model


def run_stage(
    run: Run,
    stage: Stage,
    data: Data,
    tokenizer: CharTokenizer,
    stopping: list[int],
    components: Components = REFERENCE,
    track: str | None = None,
) -> None:
    """Train one stage from where it stands: its beginning, or the run's checkpoint."""
    config = run.config
    seed_everything(config.seed)
    stage_data = BATCHES[stage.name](
        data, tokenizer, config.preset.block_size, stage, config.seed, components
    )
    weights = first_weights(run, stage, stage_data, tokenizer)
    model = components.model(weights).to(pick_device(config.device))
    optimizers = make_optimizers(unwrapped(model), stage.optimizer)  # they go by names of weights
    start_step, safe = take_up(run, stage, unwrapped(model), tokenizer, optimizers)
    train_config = stage.train_config(config.precision)
    batches = stage_data.batches
    if stage_data.of_model:
        reference = first_weights(run, stage, stage_data, tokenizer).to(pick_device(config.device))
        note = partial(run.append_rollouts, stage.name)
        batches = stage_data.of_model(unwrapped(model), reference, train_config.precision, note)
    recorder = Recorder(run, stage, model, tokenizer, optimizers, stopping, safe)
    with recorder.loss_named(), tracking(track, run, stage.name, start_step) as recorder.track:
        if rank() == 0:
            run.rewind(stage.name, start_step)
        components.loop(
            in_parallel(model),  # only now: every process has read what rank 0 will write over
            BatchStream(own_rows(batches), start_step * stage.micro_steps),
            stage_data.loss or components.losses[stage.loss],
            stage.lr_mult(components.schedules),
            train_config,
            optimizers=optimizers,
            eval_batches=stage_data.fixed,
            callback=recorder,
            start_step=start_step,
            progress=world_size() == 1,  # the bar would count the tokens of one process
            **{**stage_data.parts, **loop_parts(config.seed, start_step)},
        )
        if rank() == 0:
            recorder.save_weights()
    barrier()  # the next stage of every process begins with these weights
    if rank() == 0:
        with dispensable(f"curves of {stage.name}"):
            draw_curves(run, stage, stage_data, len(tokenizer))


def draw_curves(run: Run, stage: Stage, data: StageData, vocab_size: int) -> None:
    """The curves of a stage, with what a model would lose that knows nothing, or frequencies."""
    from nanopoet_ref.figures import plot_curves  # matplotlib takes a while to load

    lines = {
        "uniform": uniform_loss(vocab_size),
        "unigram": unigram_loss(data.ids, vocab_size, data.val_ids),
    }
    with replacing(run.curve_path(stage.name)) as path:
        plot_curves(run.logs(stage.name), path, lines)


def start_run(
    run: Run,
    preset: Preset,
    seed: int,
    device: str,
    components: Components = REFERENCE,
    mine: dict[str, Any] | None = None,
) -> None:
    """Write down what is about to be trained, vocabulary included; `mine`: with whose components.

    Raises `PresetError` where there is too little to learn from.
    """
    data = load_data(preset)
    poet = find_start(run, preset, data) if preset.start else None
    vocab = poet.tokenizer.vocab if poet else components.build_vocab(data.texts(), preset.min_count)
    tokenizer = CharTokenizer(vocab)
    if set(ANSWERING) & set(preset.stage_names):
        tokenizer = chat_tokenizer(tokenizer, [CHARACTERS])
    refuse_too_little(preset, data)
    found, auto = pick_device(device), any(stage.precision == "auto" for stage in preset.stages)
    if preset.text and run.path.resolve() in Path(preset.text).parents:
        raise PresetError(
            f"{preset.text} lies in the folder of run {run.name!r}, which is emptied when the run "
            "begins: move the text elsewhere"
        )
    clear(run.path)
    tokenizer.save(run.tokenizer_path)
    if poet:
        # A copy, so that the run can be gone on with whatever becomes of the other.
        seed_everything(seed)
        save_checkpoint(
            run.start_path,
            extend_model(poet.model, len(tokenizer)),
            tokenizer,
            0,
            notes={"stage": "start"},
        )
    run.write_catalog(data, preset)
    config = RunConfig(
        preset,
        seed,
        device,
        precision=fast_precision(found) if auto else "float32",
        data=data.fingerprint,
        threads=torch.get_num_threads(),
        mine=mine,
        versions={"torch": torch.__version__, "python": platform.python_version()},
    )
    run.write_config(config)


def find_start(run: Run, preset: Preset, data: Data) -> Checkpoint:
    """The trained poet that a run begins with.

    Raises `RunError` for one that is not finished, of another shape, or has seen other poems:
    validation poems of this run could be among them.
    """
    begin = find_run(preset.start)
    if begin.name == run.name:
        raise RunError(f"run {run.name!r} cannot begin with itself: choose another --name")
    if not begin.finished() or not begin.writes_poems:
        raise RunError(
            f"preset {preset.name!r} begins with run {begin.name!r}, which is no finished poet: "
            f"nanopoet train --resume --name {begin.name}"
        )
    if begin.config.data != data.fingerprint:
        raise RunError(
            f"run {begin.name!r} has learned from other poems than preset {preset.name!r} asks "
            "for: script and forms must be the same"
        )
    poet = begin.poet()
    shape = GPTConfig(vocab_size=len(poet.tokenizer), **preset.model)
    if replace(poet.model.config, dropout=shape.dropout, fused=shape.fused) != shape:
        raise RunError(
            f"run {begin.name!r} is of another shape: model = {begin.config.preset.model}"
        )
    return poet


def refuse_too_little(preset: Preset, data: Data) -> None:
    """Raise `PresetError` where the tenth held out for validation would hold nothing to measure."""
    if preset.text is None and not data.val:
        raise PresetError(
            f"{len(data.train)} poems are too few: every tenth of a form is held out for "
            "validation, and none is left"
        )
    block_size = preset.block_size
    if preset.text and len(data.val) <= block_size:
        raise PresetError(
            f"{preset.text}: {len(data.train) + len(data.val):,} characters are too few; it takes "
            f"{10 * block_size + 1:,} or more, so that the tenth held out for validation has one "
            f"window of block_size + 1 = {block_size + 1} tokens"
        )


def train_run(
    run: Run,
    components: Components = REFERENCE,
    until: str | None = None,
    track: str | None = None,
) -> None:
    """Train every stage that is not finished, up to and including `until`.

    `track`: where else its numbers go, by the name of the tracker.

    Raises `RunInterrupted`, with everything saved, when asked to stop.
    """
    config = run.config
    set_threads(config.threads)
    if rank() == 0:
        sweep(run.path)
    with stop_signal() as stopping:
        data, vocabulary = run.data(), run.tokenizer()
        tokenizer = components.tokenizer(vocabulary.vocab)
        model = GPT(GPTConfig(vocab_size=len(tokenizer), **config.preset.model))
        tqdm.write(
            f"run {run.name}: {count_parameters(model):,} parameters, {len(tokenizer):,} tokens, "
            f"{len(data.train):,} {'characters' if config.preset.text else 'poems'} to learn from"
        )
        tqdm.write(unknown_in_words(data, vocabulary))
        for number, stage in enumerate(config.preset.stages, 1):
            if not run.weights_path(stage.name).is_file():
                tqdm.write(f"\nstage {number} of {len(config.preset.stages)}: {stage.name}")
                run_stage(run, stage, data, tokenizer, stopping, components, track)
            if stage.name == until:
                break


def with_text_and_steps(preset: Preset, text: Path | None, steps: int | None) -> Preset:
    """The same preset on a plain text, or with another number of steps in every stage."""
    if text is None and preset.text is not None:
        text = Path(preset.text)
    if text is not None:
        stages = tuple(stage for stage in preset.stages if stage.name == "pretrain")
        if not stages:
            raise PresetError(f"preset {preset.name!r} has no pretrain stage, which a text needs")
        preset = replace(preset, text=in_utf8(text.resolve()), stages=stages)
    if steps is not None:
        preset = replace(
            preset, stages=tuple(replace(stage, max_steps=steps) for stage in preset.stages)
        )
    return preset
