"""What each stage learns from. A stage is its batches; everything else is the same for all.

A new stage is a maker of batches in BATCHES, its name in `presets.STAGES`, and a table in a preset.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from nanopoet.poet.components import Components
from nanopoet.poet.data import Data
from nanopoet.poet.presets import ANSWERING, Stage
from nanopoet_ref.conversation import Conversation, Rendered, render_conversation
from nanopoet_ref.midtraining import count_truncated, poem_batches
from nanopoet_ref.mixture import TASKS, Task, TaskMixture, mixture_shares
from nanopoet_ref.pretraining import window_batches
from nanopoet_ref.streaming import mixture_batches
from nanopoet_ref.tokenizer import CharTokenizer, Ids
from nanopoet_ref.training import SPLITS, Batch


class StageData(NamedTuple):
    """All ids of both parts, for what frequencies alone would lose; and the batches."""

    ids: Ids
    val_ids: Ids
    batches: Callable[[int], Batch]  # to train on, by number
    fixed: dict[str, list[Batch]]  # to measure on, by split


def windows(
    data: Data,
    tokenizer: CharTokenizer,
    block_size: int,
    stage: Stage,
    seed: int,
    components: Components,
) -> StageData:
    """Pre-training: windows cut anywhere from one long stream."""
    ids, val_ids = (data.stream(tokenizer, split, components.poem_stream) for split in SPLITS)
    batches = window_batches(
        ids,
        val_ids,
        block_size,
        stage.batch_size,
        eval_iters=stage.eval_iters,
        seed=seed,
        windows=components.random_windows,
    )
    return StageData(ids, val_ids, *batches)


def framed_poems(
    data: Data,
    tokenizer: CharTokenizer,
    block_size: int,
    stage: Stage,
    seed: int,
    components: Components,
) -> StageData:
    """Mid-training: whole poems, framed, one to a row."""
    framed, val_framed = (components.render_poems(tokenizer, data.poems(s)) for s in SPLITS)
    cut, poems = count_truncated(framed[1], block_size), len(framed[1]) - 1
    tqdm.write(f"{cut:,} of {poems:,} poems are longer than the block and are cut")
    batches = poem_batches(
        framed,
        val_framed,
        block_size,
        stage.batch_size,
        mask=stage.mask,
        pool=stage.pool,
        eval_iters=stage.eval_iters,
        seed=seed,
        pad=components.pad_batch,
        buckets=components.length_buckets,
    )
    return StageData(framed[0], val_framed[0], *batches)


def make_tasks(data: Data, split: str, names: Iterable[str], size: int) -> list[Task]:
    """The tasks of a mixture over one split; one that is named twice is there twice."""
    return [TASKS[name](data.poems(split), split, size) for name in names]


def render(tokenizer: CharTokenizer, talk: Conversation) -> Rendered:
    """A whole conversation; whoever packs it cuts what is too long for a row."""
    return render_conversation(tokenizer, talk, max_tokens=2**62)


def conversations(
    data: Data,
    tokenizer: CharTokenizer,
    block_size: int,
    stage: Stage,
    seed: int,
    components: Components,
) -> StageData:
    """The mixture: questions and answers of several tasks, packed whole into rows."""
    # Of the validation part no more than is measured.
    sizes = stage.examples, stage.eval_iters * stage.batch_size
    tasks = [make_tasks(data, s, stage.tasks, n) for s, n in zip(SPLITS, sizes, strict=True)]
    train, val = ([render(tokenizer, talk) for talk in TaskMixture(part)] for part in tasks)
    cut = sum(len(ids) > block_size + 1 for ids, _ in train)
    shares = ", ".join(f"{name} {share:.1%}" for name, share in mixture_shares(tasks[0]).items())
    tqdm.write(
        f"{len(train):,} conversations ({shares}); {cut:,} are longer than the block and cut"
    )
    batches = mixture_batches(
        train,
        val,
        block_size,
        stage.batch_size,
        mask=stage.mask,
        eval_iters=stage.eval_iters,
        seed=seed + ANSWERING.index(stage.name),  # each stage goes through them in its own order
    )
    answers, val_answers = (
        np.concatenate([ids[said] for ids, said in part]) for part in (train, val)
    )
    return StageData(answers, val_answers, *batches)


BATCHES: dict[str, Callable[..., StageData]] = {
    # fine-tuning (SFT): the same, after a stage that has seen conversations already
    "sft": conversations,
    "pretrain": windows,
    "midtrain": framed_poems,
    "mixture": conversations,
}
