"""`nanopoet train`: run the stages of a preset, and leave a run that can be resumed."""

import json
import os
import platform
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from nanopoet.files import in_utf8, write_atomically
from nanopoet.mine import Mine, load_own, own_parts, parts_of
from nanopoet.poet.components import REFERENCE, Parts
from nanopoet.poet.data import Data, load_data, unknown_in_words
from nanopoet.poet.folder import clear, sweep
from nanopoet.poet.presets import Preset, PresetError, Stage, make_optimizers
from nanopoet.poet.recorder import Recorder, dispensable, state_in_words
from nanopoet.poet.run import Run, RunError
from nanopoet.poet.settings import binding, first_change
from nanopoet_ref.checkpoint import load_checkpoint, warm_start
from nanopoet_ref.files import replacing
from nanopoet_ref.gpt import GPT, GPTConfig, count_parameters
from nanopoet_ref.loss import uniform_loss, unigram_log_probs, unigram_loss
from nanopoet_ref.midtraining import count_truncated, midtrain
from nanopoet_ref.pretraining import pretrain
from nanopoet_ref.runtime import fast_precision, pick_device, seed_everything
from nanopoet_ref.tokenizer import FIELDS, CharTokenizer, Ids
from nanopoet_ref.training import SPLITS, plot_curves


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
    model: Any,
    tokenizer: CharTokenizer,
    optimizers: Sequence[torch.optim.Optimizer],
    config: dict[str, Any],
) -> tuple[int, str]:
    """Go back to the run's checkpoint; returns the step of the stage, and what is safe, in words.

    Raises `RunError` when it was trained with other settings than config.json has now.
    """
    if not run.checkpoint_path.is_file():
        return 0, "nothing had been saved yet"
    saved = load_checkpoint(run.checkpoint_path)
    if (saved.model.config, saved.tokenizer.hash) != (model.config, tokenizer.hash):
        raise RunError(f"{run.checkpoint_path}: not the model of config.json, tokenizer.json")
    now = binding(config)
    if change := first_change(saved.notes.get("settings", now), now):
        raise RunError(
            f"{run.config_path} was changed since {run.checkpoint_path.name} was saved: {change}. "
            "Put it back, or train again with --overwrite"
        )
    if saved.notes["stage"] != stage.name:
        return 0, f"the end of {saved.notes['stage']} is safe"
    model.load_state_dict(saved.model.state_dict())
    saved.restore(optimizers)
    return saved.step, state_in_words(saved.step)


def run_stage(
    run: Run,
    stage: Stage,
    data: Data,
    tokenizer: CharTokenizer,
    settings: dict[str, Any],
    stopping: list[int],
    parts: Parts = REFERENCE,
) -> None:
    """Train one stage from where it stands: its beginning, or the run's checkpoint."""
    preset, seed = run.preset(), settings["seed"]
    device = pick_device(settings["device"])
    seed_everything(seed)
    weights = GPT(GPTConfig(vocab_size=len(tokenizer), **preset.model))
    pretraining = stage.name == "pretrain"
    if pretraining:
        ids, val_ids = (data.stream(tokenizer, split, parts.poem_stream) for split in SPLITS)
    else:
        framed, val_framed = (parts.render_poems(tokenizer, data.poems(split)) for split in SPLITS)
        ids, val_ids = framed[0], val_framed[0]
    order = preset.stage_names
    if earlier := order[: order.index(stage.name)]:
        warm_start(weights, tokenizer, run.weights_path(earlier[-1]))
    elif preset.init_head_bias:
        weights.init_head_bias(unigram_log_probs(ids, len(tokenizer)))
    model = parts.model(weights).to(device)
    optimizers = make_optimizers(model, stage.optimizer)
    start_step, safe = take_up(run, stage, model, tokenizer, optimizers, settings)

    # What "auto" came to was written down when the run began, so that resuming gives the same bits.
    config, lr_mult = stage.train_config(settings["precision"]), stage.lr_mult(parts.schedules)
    recorder = Recorder(run, stage, model, tokenizer, optimizers, stopping, settings, safe)
    options: dict[str, Any] = {
        "batch_size": stage.batch_size,
        "eval_iters": stage.eval_iters,
        "seed": seed,
        "loss_fn": parts.losses[stage.loss],
        "loop": parts.loop,
        "optimizers": optimizers,
        "callback": recorder,
        "start_step": start_step,
        "progress": True,
    }
    with recorder.loss_named():
        run.rewind(stage.name, start_step)
        if pretraining:
            windows = parts.random_windows
            pretrain(model, ids, val_ids, lr_mult, config, windows=windows, **options)
        else:
            cut = count_truncated(framed[1], model.config.block_size)
            poems = len(framed[1]) - 1
            tqdm.write(f"{cut:,} of {poems:,} poems are longer than the block and are cut")
            options |= {"mask": stage.mask, "pad": parts.pad_batch, "buckets": parts.length_buckets}
            midtrain(model, framed, val_framed, lr_mult, config, **options)
        recorder.save_weights()
    with dispensable(f"curves of {stage.name}"):
        draw_curves(run, stage, ids, val_ids, len(tokenizer))


def draw_curves(run: Run, stage: Stage, ids: Ids, val_ids: Ids, vocab_size: int) -> None:
    """The curves of a stage, with what a model would lose that knows nothing, or frequencies."""
    lines = {
        "uniform": uniform_loss(vocab_size),
        "unigram": unigram_loss(ids, vocab_size, val_ids),
    }
    with replacing(run.curve_path(stage.name)) as path:
        plot_curves(run.logs(stage.name), path, lines)


def write_catalog(run: Run, data: Data) -> None:
    """Which forms, authors and frequent titles the run has seen, with their counts."""
    if not data.poems("train"):
        return
    counts = {
        field: Counter(getattr(poem, field) for poem in data.poems("train")) for field in FIELDS[:3]
    }
    titles = Counter({title: n for title, n in counts["title"].items() if n > 2})
    catalog = {"forms": counts["form"], "authors": counts["author"], "titles": titles}
    write_atomically(run.catalog_path, json.dumps(catalog, ensure_ascii=False))


def start_run(run: Run, preset: Preset, seed: int, device: str, mine: Mine | None = None) -> None:
    """Write down what is about to be trained, vocabulary included, and with whose parts."""
    parts = own_parts(load_own(mine)) if mine else REFERENCE
    data = load_data(preset)
    if preset.text is None and not data.val:
        raise PresetError(
            f"{len(data.train)} poems are too few: every tenth of a form is held out for "
            "validation, and none is left"
        )
    tokenizer = CharTokenizer(parts.build_vocab(data.texts(), preset.min_count))
    block_size = GPTConfig(vocab_size=len(tokenizer), **preset.model).block_size
    if preset.text and len(data.val) <= block_size:
        raise PresetError(
            f"{preset.text}: {len(data.train) + len(data.val):,} characters are too few; it takes "
            f"{10 * block_size + 1:,} or more, so that the tenth held out for validation has one "
            f"window of block_size + 1 = {block_size + 1} tokens"
        )
    found, auto = pick_device(device), any(stage.precision == "auto" for stage in preset.stages)
    settings = {
        "seed": seed,
        "device": device,
        "precision": fast_precision(found) if auto else "float32",  # where a stage says "auto"
        "data": data.fingerprint,
        "threads": torch.get_num_threads(),
        **({"mine": mine.as_dict()} if mine else {}),
        "versions": {"torch": torch.__version__, "python": platform.python_version()},
    }
    if preset.text and run.path.resolve() in Path(preset.text).parents:
        raise PresetError(
            f"{preset.text} lies in the folder of run {run.name!r}, which is emptied when the run "
            "begins: move the text elsewhere"
        )
    clear(run.path)
    tokenizer.save(run.tokenizer_path)
    write_catalog(run, data)
    run.write_config(preset, settings)


def load_run_data(run: Run) -> Data:
    """The data a run was started on; other data under the same name are refused."""
    data, started_on = load_data(run.preset()), run.config()["data"]
    if data.fingerprint != started_on:
        raise RunError(
            f"run {run.name!r} was started on other data ({started_on}, now {data.fingerprint}): "
            "train again with --overwrite"
        )
    return data


def train_run(run: Run, until: str | None = None) -> None:
    """Train every stage that is not finished, up to and including `until`.

    Raises `RunInterrupted`, with everything saved, when asked to stop.
    """
    config, preset = run.config(), run.preset()
    set_threads(config["threads"])
    sweep(run.path)
    with stop_signal() as stopping:
        parts, data = parts_of(config), load_run_data(run)
        vocabulary = run.tokenizer()
        tokenizer = parts.tokenizer(vocabulary.vocab)
        model = GPT(GPTConfig(vocab_size=len(tokenizer), **preset.model))
        tqdm.write(
            f"run {run.name}: {count_parameters(model):,} parameters, {len(tokenizer):,} tokens, "
            f"{len(data.train):,} {'characters' if preset.text else 'poems'} to learn from"
        )
        tqdm.write(unknown_in_words(data, vocabulary))
        for number, stage in enumerate(preset.stages, 1):
            if not run.weights_path(stage.name).is_file():
                tqdm.write(f"\nstage {number} of {len(preset.stages)}: {stage.name}")
                run_stage(run, stage, data, tokenizer, config, stopping, parts)
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
