"""Chapter 07 · your answers.

Check them: nanopoet check midtraining. Try them: the lines after >>> are examples, which
`python -m doctest exercises/midtraining.py` runs; print() shows what you want to see.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# --- Given ------------------------------------------------------------------------------------

UNK_ID, PAD_ID, CONTENT_ID, END_ID = 0, 1, 6, 7
FIELD_OF = {3: "author", 4: "form", 5: "title", CONTENT_ID: "content"}  # id of a marker → field
N_ATOMS = 8  # ids from here on are characters
MASKS = ("all", "not_padding", "content")
FIELDS_ASKED_FOR = ("author", "form", "title")

Ids = NDArray[np.uint16]


class Batch(NamedTuple):
    """Inputs, what follows each of them, and which of these targets count (None: all)."""

    idx: Tensor  # (B, T)
    targets: Tensor  # (B, T)
    mask: Tensor | None = None  # (B, T), True where the target counts

    @property
    def n_tokens(self) -> int:
        """How many targets count."""
        return self.targets.numel() if self.mask is None else int(self.mask.sum())


class Poem(NamedTuple):
    """A poem; its first three fields are what one asks for. `_replace` makes a changed copy."""

    author: str
    form: str
    title: str
    content: str


def pack(rows: Sequence[Sequence[int]]) -> tuple[Ids, NDArray[np.int64]]:
    """Rows as one array of ids, and where each begins (one more number than rows)."""
    ids = np.array([token for row in rows for token in row], dtype=np.uint16)
    return ids, np.cumsum([0, *map(len, rows)])


def row_fields(ids: Iterable[int]) -> dict[str, list[int]]:
    """The four fields (字段) of a framed row, as lists of ids.

    A field's marker is a key of `FIELD_OF`; the field is the text from there to the next marker.
    `ids` may be a generator, which can be read only once. A model may have written the row, so do
    not rely on its form:

    - A field that is missing, or has no text, is an empty list. All four are always in the result.
    - Ids from `N_ATOMS` on are text. So is `UNK_ID`: it stands for a rare character. No other atom
      (原子) is.
    - Text in front of the first marker belongs to no field.
    - A marker may come twice. Both texts belong to the field, in the order of the row.
    - Nothing behind `END_ID` is read. A row that was cut may lack it.

    >>> row_fields([2, 3, 90, 54, 5, 30, 6, 40, 0, 41, 7, 1])
    {'author': [90, 54], 'form': [], 'title': [30], 'content': [40, 0, 41]}
    """
    # TODO: your code
    raise NotImplementedError("midtraining.row_fields")


def target_mask(idx: Tensor, targets: Tensor, kind: str = "not_padding") -> Tensor:
    """Which targets count (loss mask, 损失掩码): booleans (B, T), True where one counts.

    `idx` and `targets` are integers (B, T); target t is the token after input t. The kinds:

    - "all": every target.
    - "not_padding": every target but `PAD_ID`, which stands for padding (填充).
    - "content": of these, the ones that belong to the poem itself. It begins with the target
      after the first `CONTENT_ID` of its row, and its end token belongs to it. A row without
      `CONTENT_ID` among its inputs has none.

    Any other kind is a `ValueError`. The inputs stay as they are.

    >>> idx, targets = torch.tensor([[2, 9, 6, 10, 7]]), torch.tensor([[9, 6, 10, 7, 1]])
    >>> target_mask(idx, targets, "content").int().tolist()
    [[0, 0, 1, 1, 0]]
    """
    # TODO: your code
    raise NotImplementedError("midtraining.target_mask")


def targets_that_count() -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Predict: how many targets count under the masks "all", "not_padding" and "content"?

    The poem is 登鹳雀楼 *dēng guàn què lóu*, "climbing the stork tower", by 王之涣, a 五言绝句:
    白日依山尽，黄河入海流。欲穷千里目，更上一层楼。 Framed (装框), with one token for a character:

        <|bos|><|author|> … <|form|> … <|title|> … <|content|> … <|end|>

    Return two triples of integers, in the order of `MASKS`:

    - This row in a batch whose longest row has 45 tokens, with `block_size` 64.
    - This row alone in a batch with `block_size` 32, cut as `pad_batch` cuts.

    Count by hand first. Then you may compute it.

    >>> whole, cut = targets_that_count()
    >>> len(whole), len(cut)
    (3, 3)
    """
    # TODO: your code
    raise NotImplementedError("midtraining.targets_that_count")


# --- Tasks ------------------------------------------------------------------------------------


def count_truncated(starts: NDArray[np.int64], block_size: int) -> int:
    """How many poems lose characters at this block size (truncation, 截断).

    All rows lie in one array. `starts` holds where each begins, and at last where the array ends:
    one number more than there are poems; with no poems it is [0]. A row loses something when the
    model has no room for all of it. The model reads `block_size` inputs at a time.

    >>> count_truncated(np.array([0, 9, 20]), block_size=8)
    1
    """
    # TODO: your code
    raise NotImplementedError("midtraining.count_truncated")


def pad_batch(rows: Sequence[Ids], block_size: int, mask: str = "not_padding") -> Batch:
    """Rows of different length as one batch of inputs, targets and mask.

    `rows` are arrays of uint16, each from its first token to `END_ID`. The inputs of a row are its
    tokens without the last, the targets its tokens without the first. Both are padded with `PAD_ID`
    at the end, up to the longest row of this batch: `idx` and `targets` are int64 (B, T) with
    T ≤ `block_size`. Where a target is padding, the input may be `END_ID` as well: nothing that
    counts can see it.

    A row may have too many tokens for `block_size` inputs. Then as many as fit are kept from its
    front, and its last target is its end token all the same: an end that is never seen is never
    learned.

    `mask` is a kind of `target_mask`. No rows at all, or a row of fewer than two tokens (it has no
    target), is a `ValueError`. The rows stay as they are.

    >>> batch = pad_batch([np.array([2, 9, 7], np.uint16), np.array([2, 7], np.uint16)], 8)
    >>> batch.idx[0].tolist(), batch.targets.tolist(), batch.n_tokens
    ([2, 9], [[9, 7], [7, 1]], 3)
    """
    # TODO: your code
    raise NotImplementedError("midtraining.pad_batch")


def length_buckets(
    lengths: NDArray[np.int64],
    batch_size: int,
    generator: torch.Generator,
    pool: int = 64,
) -> list[NDArray[np.int64]]:
    """One epoch of batches of poem numbers; poems of like length share a batch (长度分桶).

    `lengths` holds a length for each poem; a poem's number is its place there. Returns a list of
    integer arrays in which

    - every poem occurs exactly once;
    - there are ⌈poems / `batch_size`⌉ batches, all full but at most one;
    - the poems of a batch have nearly equal lengths. But only as many poems as fill `pool` batches
      are sorted together, and they are a random part of all. Poems then meet others in the next
      epoch. With `pool=1` every batch is a random sample of all lengths;
    - the batches stand in random order, not from short to long.

    All randomness is drawn from `generator`: equal generators give equal batches, and a second
    call with the same one gives others. Nothing else is random. `lengths` stays as it is.

    >>> generator = torch.Generator().manual_seed(0)
    >>> batches = length_buckets(np.array([5, 9, 5, 9]), 2, generator)
    >>> sorted(sorted(batch.tolist()) for batch in batches)
    [[0, 2], [1, 3]]
    """
    # TODO: your code
    raise NotImplementedError("midtraining.length_buckets")


def padding_share(lengths: NDArray[np.int64], batches: Sequence[Sequence[int] | NDArray]) -> float:
    """Share of all places in these batches that is padding, from 0 to 1.

    A batch lists poem numbers, and `lengths[number]` is how many places a poem needs. Each batch
    is a rectangle: its rows are all as long as its own longest poem. Batches differ in size; they
    need not hold all poems, and none is empty. With no batches at all the share is 0.0.

    >>> lengths = np.array([5, 9, 5, 9])
    >>> padding_share(lengths, [[0, 2], [1, 3]]), padding_share(lengths, [[0], [1, 2]])
    (0.0, 0.17391304347826086)
    """
    # TODO: your code
    raise NotImplementedError("midtraining.padding_share")


def check_warm_start(model_vocab: Sequence[str], checkpoint_vocab: Sequence[str]) -> None:
    """Refuse weights that were learned with another vocabulary, before a warm start (热启动).

    Token i of a vocabulary is what id i means. Each is a list or a tuple of tokens, and a token is
    one character or several. If any id means something else in the two, or exists in only one of
    them, raise `ValueError`. Otherwise return None.

    >>> check_warm_start(["<|unk|>", "山", "水"], ("<|unk|>", "山", "水"))
    """
    # TODO: your code
    raise NotImplementedError("midtraining.check_warm_start")


def field_losses(losses: Tensor, idx: Tensor, targets: Tensor) -> dict[str, float]:
    """Mean surprise of the targets of each field (字段), over all rows of a batch.

    All three are (B, T): `losses` holds the surprise at each target, `targets` the token after each
    input of `idx`. A target belongs to the field whose marker was read last, at its own input or
    before. So what ends a field counts with it: the next marker, or the end. A target in front of
    the first marker belongs to no field, and `PAD_ID` as a target to none either.

    A row holds the markers (the keys of `FIELD_OF`) in their order, each once, but it may have been
    cut behind any token. All four fields are in the result, as floats. A field without any target
    has no mean: it is `float("nan")`.

    >>> idx, targets = torch.tensor([[2, 3, 9, 4, 9]]), torch.tensor([[3, 9, 4, 9, 5]])
    >>> field_losses(torch.tensor([[0.0, 1.0, 3.0, 5.0, 7.0]]), idx, targets)
    {'author': 2.0, 'form': 6.0, 'title': nan, 'content': nan}
    """
    # TODO: your code
    raise NotImplementedError("midtraining.field_losses")


def midtraining_rates(
    optimizer: torch.optim.Optimizer, init_lr_frac: float, mults: Sequence[float]
) -> list[list[float]]:
    """Take a step for each multiplier, at a fraction of the rate; return the rates applied.

    A stage begins at `init_lr_frac` times the rate of the earlier one. At the call that rate is the
    `lr` of a group (`optimizer.param_groups` is a list of dictionaries); every group has its own.
    In step i the rate of a group is its first `lr` times `init_lr_frac` times `mults[i]`; then
    `optimizer.step()`. The gradients are there already and stay.

    Returns one list per step, with the rate of each group. They must be the rates that moved the
    weights. Keep the group's rate without the multiplier in `group["initial_lr"]`. An earlier stage
    may have left a number there: write over it.

    >>> weight = torch.nn.Parameter(torch.ones(1))
    >>> weight.grad = torch.ones(1)
    >>> midtraining_rates(torch.optim.SGD([weight], lr=1.0), 0.5, [1.0, 0.5])
    [[0.5], [0.25]]
    >>> weight.item()
    0.25
    """
    # TODO: your code
    raise NotImplementedError("midtraining.midtraining_rates")


def batches_with_progress(
    batches: Sequence[NDArray[np.int64]], lengths: NDArray[np.int64], n_epochs: int
) -> Iterator[tuple[NDArray[np.int64], float]]:
    """Batches of poem numbers, epoch after epoch, each with how much of the run is done.

    Yields (batch, progress): the batches in the order given, all of them `n_epochs` times. Progress
    is measured in tokens. It is the share of all tokens of the run, of all its epochs, that stand
    in batches *before* this one: 0.0 at the first batch, never falling, below 1 at the last. Poem i
    has `lengths[i]` tokens; the batches may leave poems out.

    The symptom: in a run of one epoch the learning rate comes down to nearly nothing. In a run of
    three it comes down, jumps up to the full rate, comes down, jumps up, and comes down.

    >>> two = [np.array([0, 2]), np.array([1])]
    >>> [progress for _, progress in batches_with_progress(two, np.array([1, 2, 1]), 2)]
    [0.0, 0.25, 0.5, 0.75]
    """
    total = sum(lengths[batch].sum() for batch in batches)
    for _ in range(n_epochs):
        done = 0
        for batch in batches:
            yield batch, float(done / total)
            done += lengths[batch].sum()


def swap_cost(loss_of: Callable[[list[Poem]], Tensor], poems: list[Poem], field: str) -> float:
    """A test: by how much does the loss rise when a field of the request is another poem's?

    `loss_of(poems)` gives the mean surprise at the content of each poem, (N,), under the request
    that its other fields are: "author", "form" and "title". `field` is the one to be exchanged.
    Each poem gets the value of the next poem that has another one; after the last poem comes the
    first. Two poems in a row may share a form, and exchanged for itself it would cost nothing. All
    else, the content above all, stays. `poems` itself stays, too.

    Returns the mean over all poems of what the exchange adds, in nats per token, a float. It is
    above 0 if the model uses the field, and 0 if it does not read it; for single poems, and in the
    mean, it may be below 0. Any other `field`, or poems that all have the same value, are a
    `ValueError`.

    >>> def loss_of(poems):  # a model that expects fives from Li Bai and sevens from all others
    ...     return torch.tensor([float((p.author == "李白") != (p.form == "五绝")) for p in poems])
    >>> poems = [Poem("李白", "五绝", "静夜思", "床前"), Poem("杜甫", "七绝", "赠花卿", "锦城")]
    >>> swap_cost(loss_of, poems, "form"), swap_cost(loss_of, poems, "title")
    (1.0, 0.0)
    """
    # TODO: your code
    raise NotImplementedError("midtraining.swap_cost")


def train_and_val(
    rows: Sequence[Sequence[int]], n_val: int, generator: torch.Generator
) -> dict[str, tuple[Ids, NDArray[np.int64]]]:
    """Split framed poems at random: `n_val` of them to validate, all others to train.

    Returns {"train": (ids, starts), "val": (ids, starts)}, each as `pack` makes it, the rows in
    any order. A poem is in one of the two sets, and only in one; equal rows are poems of their own.
    Which ones validate is drawn from `generator`. `n_val` is at least 0 and at most the number of
    rows.

    The symptom: a model learns a few poems by heart. On poems that it has not seen, its loss should
    turn and rise. The loss logged as "val" falls to nearly 0, side by side with that of "train".

    >>> sets = train_and_val([[2, 8, 7], [2, 7], [2, 9, 7]], 1, torch.Generator())
    >>> [len(starts) - 1 for ids, starts in (sets["train"], sets["val"])]
    [2, 1]
    """
    order = torch.randperm(len(rows), generator=generator)
    shuffled = [rows[i] for i in order.tolist()]
    train_rows = shuffled[n_val:]
    val_rows = train_rows[:n_val]
    return {"train": pack(train_rows), "val": pack(val_rows)}
