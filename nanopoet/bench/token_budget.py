"""The budget of text 001, 100 updates of 16,384 tokens each: how much can be learned from it?

Same corpus in the same script, same shape, same number of tokens as the text, whose loss ends at
about the entropy of single characters. Only the recipe is ours. `nanopoet bench --full` measures
it; `nanopoet dev budget` writes it down for chapter 06.
"""

import json
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

from nanopoet.bench.experiments import EXPERIMENTS, commit
from nanopoet.files import write_atomically
from nanopoet.poet.data import load_data
from nanopoet.poet.presets import LOSSES, Preset, make_optimizers
from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.pretraining import init_from_pairs, windows_by_number
from nanopoet_ref.runtime import fast_precision, pick_device, seed_everything
from nanopoet_ref.schedule import SCHEDULES
from nanopoet_ref.tokenizer import CharTokenizer, build_vocab
from nanopoet_ref.training import BatchStream, StepLog, TrainConfig, estimate_loss, train

RECIPE = """
about = "the budget of text 001, the best settings known here, begun with counts of pairs"
script = "original"
model = { style = "modern", n_layer = 8, n_head = 8, n_embd = 256, block_size = 256 }

[[stages]]
name = "pretrain"
max_steps = 100
batch_size = 8
micro_steps = 8
eval_interval = 10
eval_iters = 8
precision = "auto"
loss = "fused"
optimizer.lr = 0.02
optimizer.head_lr = 0.004
optimizer.muon_lr = 0.02
optimizer.muon_momentum = 0.85
optimizer.betas = [0.8, 0.95]
schedule = { name = "warmup_warmdown", warmup_steps = 5, warmdown_frac = 0.4 }
"""
UNIGRAM = 6.75  # nats: where text 001 ends


@dataclass(frozen=True)
class Learned:
    """What a run came to: its last loss, losses on the way, and the step that reached UNIGRAM.

    If none did, `unigram_step` is one more than there were.
    """

    val_loss: float
    unigram_step: int
    curve: dict[int, float] = field(default_factory=dict)


def learn(
    report: Callable[[str], object] = print, max_steps: int | None = None, seed: int = 0
) -> Learned:
    """Train by RECIPE; measure on validation windows that are the same each time.

    On the way these are as many tokens as one update has: before the first update and after each
    until UNIGRAM is reached, then after every `eval_interval`. The last loss is taken on
    `eval_iters` times as many.
    """
    preset = Preset.from_dict("budget", tomllib.loads(RECIPE))
    stage, data = preset.stages[0], load_data(preset)
    stage = replace(stage, max_steps=max_steps or stage.max_steps)
    seed_everything(seed)
    device = pick_device()
    tokenizer = CharTokenizer(build_vocab(data.texts(), preset.min_count))
    ids = data.stream(tokenizer, "train")
    model = GPT(GPTConfig(vocab_size=len(tokenizer), **preset.model))
    init_from_pairs(model, ids)
    model.to(device)
    sizes = model.config.block_size, stage.batch_size
    batch_at = windows_by_number(ids, *sizes, seed)
    val_at = windows_by_number(data.stream(tokenizer, "val"), *sizes, seed + 1)
    few = [val_at(i) for i in range(stage.micro_steps)]
    many = [val_at(i) for i in range(stage.micro_steps * stage.eval_iters)]
    loss_fn, precision = LOSSES[stage.loss], fast_precision(device)
    curve: dict[int, float] = {}

    def watch(log: StepLog) -> None:
        seeking = min(curve.values(), default=UNIGRAM + 1) > UNIGRAM
        if seeking or log.step % stage.eval_interval == 0:
            curve[log.step] = round(estimate_loss(model, few, loss_fn, precision), 3)
            report(f"step {log.step} of {stage.max_steps}, validation {curve[log.step]:.3f}")

    schedule = dict(stage.schedule)
    lr_mult = partial(SCHEDULES[schedule.pop("name")], max_steps=stage.max_steps, **schedule)
    config = TrainConfig(stage.max_steps, stage.micro_steps, precision=precision)
    train(
        model,
        BatchStream(batch_at),
        loss_fn,
        lr_mult,
        config,
        optimizers=make_optimizers(model, stage.optimizer),
        callback=watch,
    )
    reached = [step for step, loss in curve.items() if loss <= UNIGRAM]
    val_loss = estimate_loss(model, many, loss_fn, precision)
    return Learned(val_loss, min(reached, default=stage.max_steps + 1), curve)


def write_budget() -> None:
    """Learn, and write the curve with its recipe to chapters/experiments/budget.json."""
    learned = learn()
    found = {
        "command": "nanopoet dev budget",
        "commit": commit(),
        "seed": 0,
        "recipe": tomllib.loads(RECIPE),
        "val_loss": round(learned.val_loss, 4),
        "curve": learned.curve,
    }
    path = EXPERIMENTS / "budget.json"
    write_atomically(path, json.dumps(found, ensure_ascii=False, indent=1) + "\n")
    print(f"{path.name}: {learned.val_loss:.3f}")
