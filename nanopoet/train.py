"""`nanopoet train`: run the stages of a preset, and leave a run that can be resumed."""

import json
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

from nanopoet.data import Data, load_data
from nanopoet.files import write_atomically
from nanopoet.mine import Mine, load_own, own_parts, parts_of
from nanopoet.parts import REFERENCE, Parts
from nanopoet.presets import Preset, PresetError, Stage, make_optimizers
from nanopoet.runs import Run, RunError
from nanopoet_ref.checkpoint import load_checkpoint, save_checkpoint, warm_start
from nanopoet_ref.corpus import Poem
from nanopoet_ref.gpt import GPT, GPTConfig, count_parameters, generate
from nanopoet_ref.loss import uniform_loss, unigram_log_probs, unigram_loss
from nanopoet_ref.midtraining import count_cut, midtrain, write_poems
from nanopoet_ref.pretraining import pretrain
from nanopoet_ref.runtime import fast_precision, make_generator, pick_device, seed_everything
from nanopoet_ref.tokenizer import (
    BOS,
    FIELDS,
    CharTokenizer,
)
from nanopoet_ref.training import SPLITS, StepLog, plot_curves


class RunInterrupted(Exception):  # noqa: N818 (nothing went wrong)
    """The run was asked to stop; everything up to now is saved."""


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


class Recorder:
    """Called after every step: writes metrics, prints evaluations, saves, stops when asked."""

    def __init__(
        self,
        run: Run,
        stage: Stage,
        model: GPT,
        tokenizer: CharTokenizer,
        optimizers: Sequence[torch.optim.Optimizer],
        stopping: list[int],
        seed: int,
    ) -> None:
        self.run, self.stage = run, stage
        self.model, self.tokenizer, self.optimizers = model, tokenizer, optimizers
        self.stopping, self.seed = stopping, seed
        beside = "  text " if stage.text_losses else ""
        if beside:
            tqdm.write("text: the losses that texts 001 and 000 print. Theirs at step 0 were taken")
            tqdm.write("after one update, and in mid-training on poems they had trained on.")
        tqdm.write(f" step   train     val{beside}      lr   grad   tokens/s")

    def save(self, step: int) -> None:
        save_checkpoint(
            self.run.checkpoint_path,
            self.model,
            self.tokenizer,
            step,
            self.optimizers,
            {"stage": self.stage.name},
        )

    def __call__(self, log: StepLog) -> None:
        self.run.append_metrics(self.stage.name, log)
        if log.val_loss is not None:
            self.print_row(log)
            self.write_sample(log.step)
        last = log.step == self.stage.max_steps
        if self.stopping or last or log.step % self.stage.save_interval == 0:
            self.save(log.step)
        if self.stopping and not last:
            raise RunInterrupted(f"stopped after step {log.step} of {self.stage.name}")

    def print_row(self, log: StepLog) -> None:
        beside = ""
        if self.stage.text_losses:
            text_loss = self.stage.text_losses.get(str(log.step))
            beside = f"  {text_loss:.3f}" if text_loss is not None else "       "
        row = f"{log.step:5d}   {log.train_loss:.3f}   {log.val_loss:.3f}{beside}"
        if log.lr is not None and log.grad_norm is not None:
            row += f"   {log.lr:.5f}  {log.grad_norm:5.2f}  {log.tokens / log.seconds:9,.0f}"
        tqdm.write(row)

    def write_sample(self, step: int) -> None:
        """A few characters from what the model knows now, into samples.txt."""
        generator = make_generator(self.seed, step)
        if self.stage.name == "midtrain":
            poem = write_poems(
                self.model,
                self.tokenizer,
                [Poem("", "", "", "")],
                temperature=0.8,
                generator=generator,
            )[0]
            sample = f"{poem.title} ({poem.author}, {poem.form}) {poem.content}"
        else:
            special = self.tokenizer.special
            rows = generate(
                self.model,
                [[special[BOS]]],
                48,
                temperature=0.8,
                banned=[i for token, i in special.items() if token != BOS],
                generator=generator,
            )
            sample = self.tokenizer.decode(rows[0][1:]).replace(BOS, " / ")
        with self.run.samples_path.open("a", encoding="utf-8") as file:
            file.write(f"{self.stage.name} step {step}: {' '.join(sample.split())}\n")


def run_stage(
    run: Run,
    stage: Stage,
    data: Data,
    tokenizer: CharTokenizer,
    settings: dict,
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
    elif preset.know_frequencies:
        weights.know_frequencies(unigram_log_probs(ids, len(tokenizer)))
    model = parts.model(weights).to(device)
    optimizers = make_optimizers(model, stage.optimizer)
    start_step = 0
    if run.checkpoint_path.is_file():
        saved = load_checkpoint(run.checkpoint_path)
        if (saved.model.config, saved.tokenizer.hash) != (model.config, tokenizer.hash):
            raise RunError(f"{run.checkpoint_path}: not the model of config.json, tokenizer.json")
        if saved.notes["stage"] == stage.name:
            model.load_state_dict(saved.model.state_dict())
            saved.restore(optimizers)
            start_step = saved.step
    run.rewind(stage.name, start_step)

    # What "auto" came to was written down when the run began, so that resuming gives the same bits.
    config, lr_mult = stage.train_config(settings["precision"]), stage.lr_mult(parts.schedules)
    options: dict[str, Any] = {
        "batch_size": stage.batch_size,
        "eval_iters": stage.eval_iters,
        "seed": seed,
        "loss_fn": parts.losses[stage.loss],
        "loop": parts.loop,
        "optimizers": optimizers,
        "callback": Recorder(run, stage, model, tokenizer, optimizers, stopping, seed),
        "start_step": start_step,
        "progress": True,
    }
    if pretraining:
        windows = parts.random_windows
        pretrain(model, ids, val_ids, lr_mult, config, windows=windows, **options)
    else:
        cut = count_cut(framed[1], model.config.block_size)
        tqdm.write(f"{cut:,} of {len(framed[1]) - 1:,} poems are longer than the block and are cut")
        options |= {"mask": stage.mask, "pad": parts.pad_batch, "buckets": parts.length_buckets}
        midtrain(model, framed, val_framed, lr_mult, config, **options)
    notes = {"stage": stage.name}
    save_checkpoint(run.weights_path(stage.name), model, tokenizer, stage.max_steps, notes=notes)
    lines = {
        "uniform": uniform_loss(len(tokenizer)),
        "unigram": unigram_loss(ids, len(tokenizer), val_ids),
    }
    plot_curves(run.logs(stage.name), run.curve_path(stage.name), lines)


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
    run.clear()
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
    torch.set_num_threads(config["threads"])
    with stop_signal() as stopping:
        parts, data = parts_of(config), load_run_data(run)
        tokenizer = parts.tokenizer(run.tokenizer().vocab)
        model = GPT(GPTConfig(vocab_size=len(tokenizer), **preset.model))
        tqdm.write(
            f"run {run.name}: {count_parameters(model):,} parameters, {len(tokenizer):,} tokens, "
            f"{len(data.train):,} {'characters' if preset.text else 'poems'} to learn from"
        )
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
        preset = replace(preset, text=str(text.resolve()), stages=stages)
    if steps is not None:
        preset = replace(
            preset, stages=tuple(replace(stage, max_steps=steps) for stage in preset.stages)
        )
    return preset
