"""Chapter 07 · Masked mid-training (掩码中期训练): whole poems, framed, one to a row.

Now the model is told author, form and title, and learns to go on from there. Poems differ in
length, so rows are padded at the end; a mask says which targets count.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nanopoet_ref.poem import FIELDS
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.tokenizer import END, PAD, SPECIAL_TOKENS, Ids
from nanopoet_ref.training import SPLITS, Batch, StageBatches

# Special tokens come first in every vocabulary, so their ids are known without one.
PAD_ID, END_ID = SPECIAL_TOKENS.index(PAD), SPECIAL_TOKENS.index(END)
CONTENT_ID = SPECIAL_TOKENS.index("<|content|>")
MASKS = ("all", "not_padding", "content")
Framed = tuple[Ids, NDArray[np.int64]]  # all ids end to end, and where each poem begins


def target_mask(idx: Tensor, targets: Tensor, kind: str = "not_padding") -> Tensor:
    """Which targets count, (B, T): all of them, those that are not padding, or the poem alone.

    A masked target is not predicted. As an input it is still read, and still learned from.

    >>> row = torch.tensor([[4, 9, CONTENT_ID, 10, END_ID, PAD_ID]])
    >>> target_mask(row[:, :-1], row[:, 1:], "content").int().tolist()
    [[0, 0, 1, 1, 0]]
    """
    # A misspelt name must not fall through to some mask: the loss would look right.
    if kind not in MASKS:
        raise ValueError(f"mask {kind!r} is not one of {MASKS}")
    if kind == "all":
        return torch.ones_like(targets, dtype=torch.bool)
    mask = targets != PAD_ID  # (B, T)
    if kind == "content":
        # The sum is 0 before the marker and 1 from it on. The marker is an input: what it has to
        # predict is the poem's first character, which counts.
        mask &= (idx == CONTENT_ID).cumsum(dim=1) > 0
    return mask


def field_losses(losses: Tensor, idx: Tensor, targets: Tensor) -> dict[str, float]:
    """Mean surprise of the targets of each field; all three are (B, T). Padding is left out.

    A target belongs to the field whose marker was read last. What ends a field counts with it: to
    know where a title is over is part of knowing titles.

    >>> idx = torch.tensor([[2, 3, 9, 4, 9]])  # begin, <|author|>, 9, <|form|>, 9
    >>> found = field_losses(torch.tensor([[0.0, 1.0, 3.0, 5.0, 7.0]]), idx, idx.roll(-1))
    >>> found["author"], found["form"]
    (2.0, 6.0)
    """
    ids = [SPECIAL_TOKENS.index(f"<|{field}|>") for field in FIELDS]
    markers = torch.tensor(ids, device=idx.device)
    # The fields come in one order, so the number of markers read so far names the field.
    field = torch.isin(idx, markers).cumsum(dim=1)  # (B, T): 0 none yet, 1 author … 4 content
    real = targets != PAD_ID
    return {
        name: losses[(field == number) & real].mean().item()
        for number, name in enumerate(FIELDS, 1)
    }


def pad_batch(rows: Sequence[Ids], block_size: int, mask: str = "not_padding") -> Batch:
    """Rows of different lengths as one block, padded at the end to the longest.

    A row gives one input fewer than it has tokens, so `block_size + 1` tokens fit. A longer row is
    cut in the poem, and its end token is kept: an end that is never seen is never learned.

    >>> batch = pad_batch([np.array([2, 9, END_ID]), np.array([2, END_ID])], block_size=8)
    >>> batch.idx.tolist(), batch.mask.int().tolist()
    ([[2, 9], [2, 7]], [[1, 1], [1, 0]])
    """
    if not rows or min(map(len, rows)) < 2:
        raise ValueError("a row needs two tokens or more: one to read, one to predict")
    # As wide as the longest row of this batch, not as the block: padding costs like text.
    width = min(max(map(len, rows)), block_size + 1)
    # Filled with padding first, then written over by text.
    block = np.full((len(rows), width), PAD_ID, dtype=np.int64)
    for i, row in enumerate(rows):
        block[i, : min(len(row), width)] = row[:width]
        if len(row) > width:
            block[i, -1] = row[-1]
    # At the end and not in front: no character can see what comes after it, so padding changes
    # nothing that is before it.
    tokens = torch.from_numpy(block)
    idx, targets = tokens[:, :-1], tokens[:, 1:]  # (B, T) each
    return Batch(idx, targets, target_mask(idx, targets, mask))


def count_truncated(starts: NDArray[np.int64], block_size: int) -> int:
    """How many poems lose characters at this block size.

    >>> count_truncated(np.array([0, 9, 20]), block_size=9)
    1
    """
    # `starts` has one entry more than there are poems: neighbours differ by a poem's length.
    return int((np.diff(starts) > block_size + 1).sum())


def length_buckets(
    lengths: NDArray[np.int64],
    batch_size: int,
    generator: torch.Generator,
    pool: int = 64,
) -> list[NDArray[np.int64]]:
    """One epoch of batches of poem numbers: every poem once, poems of like length together.

    Poems are shuffled, sorted by length within pools of `pool` batches, and the batches shuffled
    again. Neighbours are then nearly equal in length, and still differ from epoch to epoch.

    >>> lengths = np.array([5, 9, 5, 9])
    >>> sorted(sorted(b.tolist()) for b in length_buckets(lengths, 2, make_generator(0)))
    [[0, 2], [1, 3]]
    """
    # Every poem once: an epoch that draws with replacement misses more than a third of them.
    order = torch.randperm(len(lengths), generator=generator).numpy()
    batches = []
    for start in range(0, len(order), pool * batch_size):
        members = order[start : start + pool * batch_size]
        # Sorting everything would give the same batches in every epoch; sorting within a pool that
        # was shuffled gives like lengths and new neighbours. `stable`: the same on every machine.
        members = members[np.argsort(lengths[members], kind="stable")]
        batches += [members[i : i + batch_size] for i in range(0, len(members), batch_size)]
    # Again, or every epoch would go from short poems to long ones, pool after pool.
    shuffled = torch.randperm(len(batches), generator=generator).tolist()
    return [batches[i] for i in shuffled]


def poems_by_number(
    ids: Ids,
    starts: NDArray[np.int64],
    block_size: int,
    batch_size: int,
    seed: int,
    mask: str = "not_padding",
    pool: int = 64,
    pad: Callable[..., Batch] = pad_batch,
    buckets: Callable[..., list[NDArray[np.int64]]] = length_buckets,
) -> Callable[[int], Batch]:
    """Batch i of padded poems, epoch after epoch, the same for the same seed.

    With `pool=1` a batch is a fair sample of all lengths: what evaluation needs.
    """
    # As long as they will be after the cut: buckets are for the rows that the model sees.
    lengths = np.minimum(np.diff(starts), block_size + 1)
    per_epoch = -(-len(lengths) // batch_size)  # rounded up: the last batch may be smaller
    # The order of one epoch, kept while it lasts. It can be made again from its number alone, so
    # a run that was stopped at batch 9,000 need not draw the 8,999 before it.
    current: dict[int, list[NDArray[np.int64]]] = {}

    def batch_at(i: int) -> Batch:
        # Batch i has a place in an epoch, and nothing else is needed to make it.
        epoch, number = divmod(i, per_epoch)
        if epoch not in current:
            current.clear()
            current[epoch] = buckets(lengths, batch_size, make_generator(seed, epoch), pool)
        # Poems lie end to end in `ids`; poem n stands between starts[n] and starts[n + 1].
        rows = [ids[starts[poem] : starts[poem + 1]] for poem in current[epoch][number]]
        return pad(rows, block_size, mask)

    return batch_at


def poem_batches(
    train_poems: Framed,
    val_poems: Framed,
    block_size: int,
    batch_size: int,
    *,
    mask: str = "not_padding",
    pool: int = 64,
    eval_iters: int = 8,
    seed: int = 0,
    pad: Callable[..., Batch] = pad_batch,
    buckets: Callable[..., list[NDArray[np.int64]]] = length_buckets,
) -> StageBatches:
    """The stage of mid-training, of framed poems as `render_poems` gives them.

    `mask` says which targets count; `pool`, `pad` and `buckets` make the batches to train on.
    Measured are all targets but padding, whatever the mask, so runs can be compared.
    """
    # Other batches than those trained on (seed + 1), all lengths mixed (pool=1), and always the
    # mask not_padding: two runs can then be compared, whatever each was trained with.
    fixed = {
        split: poems_by_number(*poems, block_size, batch_size, seed + 1, pool=1)
        for split, poems in zip(SPLITS, (train_poems, val_poems), strict=True)
    }
    return (
        poems_by_number(
            *train_poems, block_size, batch_size, seed, mask, pool, pad=pad, buckets=buckets
        ),
        {split: [at(i) for i in range(eval_iters)] for split, at in fixed.items()},
    )
