"""Chapter 06 · Pre-training (预训练): learn the language of the poems from one long stream.

All poems stand one after the other, each begun by `<|bos|>`, and windows are cut anywhere. The
model learns characters, words, lines; it is not yet told who writes, or in which form.

Source: Radford et al. 2018 (generative pre-training).
"""

from collections.abc import Callable, Sequence

import numpy as np

from nanopoet_ref.poem import Poem
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.tokenizer import BOS, CharTokenizer, Ids
from nanopoet_ref.training import SPLITS, Batch, StageBatches, random_windows


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


def windows_by_number(
    ids: Ids,
    block_size: int,
    batch_size: int,
    seed: int,
    windows: Callable[..., Batch] = random_windows,
) -> Callable[[int], Batch]:
    """Batch i of random windows, the same for the same seed."""
    return lambda i: windows(ids, block_size, batch_size, make_generator(seed, i))


def window_batches(
    train_ids: Ids,
    val_ids: Ids,
    block_size: int,
    batch_size: int,
    *,
    eval_iters: int = 8,
    seed: int = 0,
    windows: Callable[..., Batch] = random_windows,
) -> StageBatches:
    """The stage of pre-training: random windows to train on, fixed ones of both streams to measure.

    `windows` cuts those to train on.
    """
    # Other windows than those trained on (seed + 1), and always the same: what is measured twice
    # with the same weights comes out the same.
    fixed = {
        split: windows_by_number(ids, block_size, batch_size, seed + 1)
        for split, ids in zip(SPLITS, (train_ids, val_ids), strict=True)
    }
    return (
        windows_by_number(train_ids, block_size, batch_size, seed, windows),
        {split: [at(i) for i in range(eval_iters)] for split, at in fixed.items()},
    )
