"""Chapter 06 · Pre-training (预训练): learn the language of the poems from one long stream.

All poems stand one after the other, each begun by `<|bos|>`, and windows are cut anywhere. The
model learns characters, words, lines; it is not yet told who writes, or in which form.

Source: Radford et al. 2018 (generative pre-training).
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from nanopoet_ref.corpus import Poem
from nanopoet_ref.gpt import GPT
from nanopoet_ref.loss import masked_cross_entropy
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.tokenizer import BOS, CharTokenizer, Ids
from nanopoet_ref.training import (
    Batch,
    BatchStream,
    LossFn,
    StepLog,
    TrainConfig,
    random_windows,
    train,
)


def poem_stream(tokenizer: CharTokenizer, poems: Sequence[Poem]) -> Ids:
    """The contents of all poems in one array, `<|bos|>` before each.

    Without a boundary a window would teach that one poem's end leads to the next one's beginning.

    >>> poems = [Poem("", "", "", "春眠"), Poem("", "", "", "床前")]
    >>> from nanopoet_ref.tokenizer import build_vocab
    >>> tokenizer = CharTokenizer(build_vocab([poem.content for poem in poems]))
    >>> tokenizer.decode(poem_stream(tokenizer, poems))
    '<|bos|>春眠<|bos|>床前'
    """
    contents = [poem.content for poem in poems]
    lengths = np.fromiter(map(len, contents), dtype=np.int64, count=len(contents))
    starts = (lengths + 1).cumsum() - (lengths + 1)
    stream = np.zeros(int((lengths + 1).sum()), dtype=np.uint16)
    is_text = np.ones(len(stream), dtype=bool)
    stream[starts] = tokenizer.special[BOS]
    is_text[starts] = False
    stream[is_text] = tokenizer.encode("".join(contents))
    return stream


def window_batches(
    ids: Ids,
    block_size: int,
    batch_size: int,
    seed: int,
    windows: Callable[..., Batch] = random_windows,
) -> Callable[[int], Batch]:
    """Batch i of random windows, the same for the same seed."""
    return lambda i: windows(ids, block_size, batch_size, make_generator(seed, i))


def pretrain(
    model: GPT,
    train_ids: Ids,
    val_ids: Ids,
    lr_mult: Callable[[int], float],
    config: TrainConfig,
    *,
    batch_size: int,
    eval_iters: int = 8,
    seed: int = 0,
    loss_fn: LossFn = masked_cross_entropy,
    windows: Callable[..., Batch] = random_windows,
    loop: Callable[..., list[StepLog]] = train,
    **options: Any,
) -> list[StepLog]:
    """Train on random windows of `train_ids`; evaluate on fixed windows of both streams.

    `windows` cuts the batches to train on. `options` go to the `loop`: optimizers, callback,
    start_step, progress.
    """
    block_size = model.config.block_size
    batches = window_batches(train_ids, block_size, batch_size, seed, windows)
    fixed = {
        "train": window_batches(train_ids, block_size, batch_size, seed + 1),
        "val": window_batches(val_ids, block_size, batch_size, seed + 1),
    }
    start = options.get("start_step", 0) * config.micro_steps
    return loop(
        model,
        BatchStream(batches, start),
        loss_fn,
        lr_mult,
        config,
        eval_batches={split: [at(i) for i in range(eval_iters)] for split, at in fixed.items()},
        **options,
    )
