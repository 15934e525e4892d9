"""Chapter 07 · Masked mid-training (掩码中期训练): whole poems, framed, one to a row.

Now the model is told author, form and title, and learns to go on from there. Poems differ in
length, so rows are padded at the end; a mask says which targets count.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from nanopoet_ref.corpus import Poem, fields_of
from nanopoet_ref.gpt import GPT, generate
from nanopoet_ref.loss import masked_cross_entropy
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.tokenizer import (
    BOS,
    END,
    FIELDS,
    PAD,
    SPECIAL_TOKENS,
    CharTokenizer,
    Ids,
    parse_poem,
)
from nanopoet_ref.training import Batch, BatchStream, LossFn, StepLog, TrainConfig, train

# Special tokens come first in every vocabulary, so their ids are known without one.
PAD_ID, END_ID = SPECIAL_TOKENS.index(PAD), SPECIAL_TOKENS.index(END)
CONTENT_ID = SPECIAL_TOKENS.index("<|content|>")
MASKS = ("all", "not_padding", "content")


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


def poem_batches(
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


def midtrain(
    model: GPT,
    train_poems: tuple[Ids, NDArray[np.int64]],
    val_poems: tuple[Ids, NDArray[np.int64]],
    lr_mult: Callable[[int], float],
    config: TrainConfig,
    *,
    batch_size: int,
    eval_iters: int = 8,
    mask: str = "not_padding",
    seed: int = 0,
    loss_fn: LossFn = masked_cross_entropy,
    pad: Callable[..., Batch] = pad_batch,
    buckets: Callable[..., list[NDArray[np.int64]]] = length_buckets,
    loop: Callable[..., list[StepLog]] = train,
    **options: Any,
) -> list[StepLog]:
    """Train on framed poems as `render_poems` gives them; `mask` says which targets count.

    Evaluation counts all targets but padding, whatever the mask, so runs can be compared. `pad` and
    `buckets` make the batches to train on. `options` go to the `loop`: optimizers, callback,
    start_step, progress.
    """
    block_size = model.config.block_size
    batches = poem_batches(
        *train_poems, block_size, batch_size, seed, mask, pad=pad, buckets=buckets
    )
    # Other batches than those trained on (seed + 1), all lengths mixed (pool=1), and always the
    # mask not_padding: two runs can then be compared, whatever each was trained with.
    fixed = {
        "train": poem_batches(*train_poems, block_size, batch_size, seed + 1, pool=1),
        "val": poem_batches(*val_poems, block_size, batch_size, seed + 1, pool=1),
    }
    # A step may take several batches, so a resumed run begins at that many times its step. The
    # loop does not know of this: it asks for the next batch and gets the right one.
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


def write_poems(
    model: GPT,
    tokenizer: CharTokenizer,
    requests: Sequence[Poem],
    *,
    begin: str = "",
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
    precision: str = "float32",
) -> list[Poem]:
    """Write a poem for each request; whatever a request leaves empty, the model makes up.

    Fields are filled in the order of the frame: author, form, title, content. No marker can be
    drawn inside a field, and the next marker ends it. A poem that is made up starts with `begin`.
    """
    # All rows begin alike, and grow field by field, each with its marker in front.
    special, block_size = tokenizer.special, model.config.block_size
    rows = [[special[BOS]] for _ in requests]
    for field, next_marker in zip(FIELDS, [*(f"<|{f}|>" for f in FIELDS[1:]), END], strict=True):
        # What is given is put into its row; what is not is written, for all such rows at once.
        given = [getattr(request, field) for request in requests]
        for row, text in zip(rows, given, strict=True):
            row += [special[f"<|{field}|>"], *tokenizer.encode(text).tolist()]
        open_rows = [row for row, text in zip(rows, given, strict=True) if not text]
        # In a request for author, form and title only the poem is left to write.
        if not open_rows:
            continue
        # What the poem is to begin with is given to the model as if it had written it.
        if field == "content":
            for row in open_rows:
                row += tokenizer.encode(begin).tolist()
        # The marker that begins the next field ends this one; all others are out of place here.
        stop = special[next_marker]
        written = generate(
            model,
            open_rows,
            block_size if field == "content" else block_size // 8,  # room for all fields
            temperature=temperature,
            top_k=top_k,
            top_p=top_p,
            stop_token=stop,
            banned=[token for token in special.values() if token != stop],
            generator=generator,
            precision=precision,
        )
        for row, longer in zip(open_rows, written, strict=True):
            # Without the marker: the next field puts it there for given and written ones alike.
            row[:] = longer[:-1] if longer[-1] == stop else longer
    # What was asked for stands as it was asked, even where the vocabulary lacks a character.
    written_poems = [parse_poem(tokenizer, row) for row in rows]
    return [
        Poem(*(asked or made_up for asked, made_up in zip(*map(fields_of, pair), strict=True)))
        for pair in zip(requests, written_poems, strict=True)
    ]
