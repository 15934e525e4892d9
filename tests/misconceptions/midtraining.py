"""Wrong answers to the tasks of chapter 07."""

import itertools

import numpy as np
import torch

from nanopoet.checker.trial import misconception
from nanopoet_ref.midtraining import CONTENT_ID, END_ID, MASKS, PAD_ID, target_mask
from nanopoet_ref.training import Batch

UNK_ID, N_ATOMS = 0, 8
FIELD_OF = {3: "author", 4: "form", 5: "title", CONTENT_ID: "content"}


def pack(rows):
    ids = np.array([token for row in rows for token in row], dtype=np.uint16)
    return ids, np.cumsum([0, *map(len, rows)])


# --- count_cut --------------------------------------------------------------------------------


@misconception(
    "midtraining.count_cut",
    "block_size tokens fit",
    "You count rows of block_size + 1 tokens as cut. Such a row gives block_size inputs and "
    "as many targets: it fits.",
)
def block_size_tokens_fit(starts, block_size):
    return int((np.diff(starts) > block_size).sum())


@misconception(
    "midtraining.count_cut",
    "compare starts, not lengths",
    "You compare where a row begins with the block size. How long a row is, is the "
    "difference to the next beginning.",
)
def compare_starts(starts, block_size):
    return int((np.asarray(starts) > block_size + 1).sum())


@misconception(
    "midtraining.count_cut",
    "the last poem is forgotten",
    "You leave out the last row. The last number of `starts` is the end of the array, so "
    "that the last row has a length, too.",
)
def last_poem_forgotten(starts, block_size):
    return int((np.diff(starts[:-1]) > block_size + 1).sum())


@misconception(
    "midtraining.count_cut",
    "count characters",
    "You count the tokens that are lost. Asked is how many poems lose some.",
)
def count_characters(starts, block_size):
    return int(np.maximum(np.diff(starts) - block_size - 1, 0).sum())


@misconception(
    "midtraining.count_cut",
    "count those that fit",
    "You count the poems that fit. Asked are those that lose something.",
)
def count_those_that_fit(starts, block_size):
    return int((np.diff(starts) <= block_size + 1).sum())


@misconception(
    "midtraining.count_cut",
    "a row of block_size tokens is cut",
    "You count rows of block_size tokens and of block_size + 1 tokens. Both fit: they give "
    "one input fewer than they have tokens.",
)
def exactly_full(starts, block_size):
    return int((np.diff(starts) >= block_size).sum())


@misconception(
    "midtraining.count_cut",
    "one token more than fits",
    "You let rows of block_size + 2 tokens pass. They have block_size + 1 inputs, one more "
    "than the model reads.",
)
def one_more_than_fits(starts, block_size):
    return int((np.diff(starts) > block_size + 2).sum())


@misconception(
    "midtraining.count_cut",
    "a share, not a number",
    "You return which part of the poems is cut. Asked is how many they are.",
)
def share_of_poems(starts, block_size):
    return float((np.diff(starts) > block_size + 1).mean()) if len(starts) > 1 else 0.0


@misconception(
    "midtraining.count_cut",
    "an index too far",
    "You go one row too far. `starts` has one number more than there are poems: the last is "
    "an end.",
)
def index_too_far(starts, block_size):
    return sum(int(starts[i + 1] - starts[i] > block_size + 1) for i in range(len(starts)))


# --- target_mask ------------------------------------------------------------------------------


def checked(kind):
    if kind not in MASKS:
        raise ValueError(kind)


@misconception(
    "midtraining.target_mask",
    "find the marker among the targets",
    "You look for <|content|> among the targets. There it stands one place earlier, so the "
    "marker itself counts. Look for it among the inputs.",
)
def marker_among_targets(idx, targets, kind="not_padding"):
    checked(kind)
    if kind == "all":
        return torch.ones_like(targets, dtype=torch.bool)
    mask = targets != PAD_ID
    if kind == "content":
        mask = mask & ((targets == CONTENT_ID).cumsum(dim=1) > 0)
    return mask


@misconception(
    "midtraining.target_mask",
    "padding judged by the input",
    "You ask whether the input is padding. The target of the end token is padding already, "
    "and it counts in your mask.",
)
def padding_by_input(idx, targets, kind="not_padding"):
    checked(kind)
    if kind == "all":
        return torch.ones_like(targets, dtype=torch.bool)
    mask = idx != PAD_ID
    if kind == "content":
        mask = mask & ((idx == CONTENT_ID).cumsum(dim=1) > 0)
    return mask


@misconception(
    "midtraining.target_mask",
    "content with padding",
    'Your mask "content" goes on behind the end token. Padding is not part of a poem.',
)
def content_with_padding(idx, targets, kind="not_padding"):
    checked(kind)
    if kind == "all":
        return torch.ones_like(targets, dtype=torch.bool)
    if kind == "content":
        return (idx == CONTENT_ID).cumsum(dim=1) > 0
    return targets != PAD_ID


@misconception(
    "midtraining.target_mask",
    "the first character is left out",
    "Your mask begins one place behind the marker. At the input <|content|> the target is "
    "the first character of the poem already.",
)
def first_character_left_out(idx, targets, kind="not_padding"):
    checked(kind)
    if kind == "all":
        return torch.ones_like(targets, dtype=torch.bool)
    mask = targets != PAD_ID
    if kind == "content":
        mask = mask & ((idx == CONTENT_ID).cumsum(dim=1) > 0) & (idx != CONTENT_ID)
    return mask


@misconception(
    "midtraining.target_mask",
    "the end does not count",
    "You take the end token out. A model that is never asked for the end never writes it.",
)
def end_does_not_count(idx, targets, kind="not_padding"):
    return target_mask(idx, targets, kind) & ((targets != END_ID) | (kind != "content"))


@misconception(
    "midtraining.target_mask",
    "True means masked",
    "Your True stands where a target does not count. Here True means: this one counts.",
)
def true_means_masked(idx, targets, kind="not_padding"):
    return ~target_mask(idx, targets, kind)


@misconception(
    "midtraining.target_mask",
    "any word is a mask",
    "You take every unknown kind for one that you know. A misspelled mask then trains on "
    "other targets, and nothing is said.",
)
def any_word_is_a_mask(idx, targets, kind="not_padding"):
    return target_mask(idx, targets, kind if kind in MASKS else "not_padding")


@misconception(
    "midtraining.target_mask",
    "count markers down the batch",
    "Your cumsum runs over the rows of the batch. Each row has its own marker: count along "
    "the row, which is dimension 1.",
)
def markers_down_the_batch(idx, targets, kind="not_padding"):
    checked(kind)
    if kind == "all":
        return torch.ones_like(targets, dtype=torch.bool)
    mask = targets != PAD_ID
    if kind == "content":
        mask = mask & ((idx == CONTENT_ID).cumsum(dim=0) > 0)
    return mask


@misconception(
    "midtraining.target_mask",
    "one marker for all rows",
    "You take the place of <|content|> from one row for all of them. Titles differ in "
    "length, so every row has its own.",
)
def one_marker_for_all(idx, targets, kind="not_padding"):
    checked(kind)
    if kind == "all":
        return torch.ones_like(targets, dtype=torch.bool)
    mask = targets != PAD_ID
    if kind == "content":
        places = (idx == CONTENT_ID).any(dim=0).cumsum(dim=0) > 0
        mask = mask & places
    return mask


@misconception(
    "midtraining.target_mask",
    "write into the targets",
    "You overwrite the padding among the targets. They belong to the caller, who still needs them.",
)
def write_into_targets(idx, targets, kind="not_padding"):
    mask = target_mask(idx, targets, kind)
    targets[~mask] = -100
    return mask


@misconception(
    "midtraining.target_mask",
    "ones and zeros",
    "Your mask holds numbers. Indexing with numbers 0 and 1 picks rows 0 and 1; only "
    "booleans select.",
)
def ones_and_zeros(idx, targets, kind="not_padding"):
    return target_mask(idx, targets, kind).long()


@misconception(
    "midtraining.target_mask",
    "only characters count",
    "You count only ids from 8 on. The markers and the end are targets, too, and so is "
    "<|unk|>: it stands for a character.",
)
def only_characters(idx, targets, kind="not_padding"):
    return target_mask(idx, targets, kind) & ((targets >= N_ATOMS) | (kind == "all"))


@misconception(
    "midtraining.target_mask",
    "rare characters do not count",
    "You take the id 0 out with the padding. It is <|unk|>, which stands for a character; "
    "padding is 1.",
)
def rare_do_not_count(idx, targets, kind="not_padding"):
    return target_mask(idx, targets, kind) & ((targets != UNK_ID) | (kind == "all"))


@misconception(
    "midtraining.target_mask",
    "a row without a marker counts",
    "In a row without <|content|> argmax gives 0, as if the marker stood at its front. Such a"
    " row has no target of a poem.",
)
def no_marker_counts(idx, targets, kind="not_padding"):
    mask = target_mask(idx, targets, "not_padding" if kind == "content" else kind)
    if kind == "content":
        first = (idx == CONTENT_ID).int().argmax(dim=1, keepdim=True)
        mask = mask & (torch.arange(idx.shape[1]) >= first)
    return mask


@misconception(
    "midtraining.target_mask",
    "a second marker ends the poem",
    "You ask for exactly one marker gone by. A row may hold a second one; the poem begins "
    "behind the first, and goes on.",
)
def second_marker_ends(idx, targets, kind="not_padding"):
    once = (idx == CONTENT_ID).cumsum(dim=1) == 1
    return target_mask(idx, targets, kind) & (once | (kind != "content"))


@misconception(
    "midtraining.target_mask",
    "only the place of the marker",
    "You mark the place of <|content|> alone. Everything behind it belongs to the poem as "
    "well: count the markers gone by, with cumsum.",
)
def only_the_marker(idx, targets, kind="not_padding"):
    return target_mask(idx, targets, kind) & ((idx == CONTENT_ID) | (kind != "content"))


@misconception(
    "midtraining.target_mask",
    "the marker of the first row",
    "You look for <|content|> in the first row, and use its place for all. Titles differ in "
    "length, so every row has its own.",
)
def marker_of_first_row(idx, targets, kind="not_padding"):
    mask = target_mask(idx, targets, "not_padding" if kind == "content" else kind)
    if kind == "content":
        mask = mask & ((idx[0] == CONTENT_ID).cumsum(dim=0) > 0)
    return mask


@misconception(
    "midtraining.target_mask",
    "everything up to the end",
    "You count up to the end token and nothing behind it. A target counts unless it is "
    "padding: ask for that.",
)
def up_to_the_end(idx, targets, kind="not_padding"):
    mask = target_mask(idx, targets, "all" if kind == "not_padding" else kind)
    return mask if kind == "all" else mask & ((idx == END_ID).cumsum(dim=1) == 0)


@misconception(
    "midtraining.target_mask",
    "a KeyError",
    "You look the kind up, and an unknown one is a KeyError. The contract says ValueError: "
    "the key is there, its value is not a kind.",
)
def key_error(idx, targets, kind="not_padding"):
    return {name: target_mask(idx, targets, name) for name in MASKS}[kind]


@misconception(
    "midtraining.target_mask",
    "assert",
    "You use assert, which raises AssertionError and is left out by python -O. A wrong "
    "argument is a ValueError.",
)
def assert_kind(idx, targets, kind="not_padding"):
    assert kind in MASKS
    return target_mask(idx, targets, kind)


@misconception(
    "midtraining.target_mask",
    "all by default",
    'Without a kind you count all targets. The default is "not_padding".',
)
def all_by_default(idx, targets, kind="all"):
    return target_mask(idx, targets, kind)


@misconception(
    "midtraining.target_mask",
    "padding never counts",
    'Your "all" leaves padding out, as "not_padding" does. All targets are all of them.',
)
def padding_never_counts(idx, targets, kind="not_padding"):
    return target_mask(idx, targets, kind) & (targets != PAD_ID)


@misconception(
    "midtraining.target_mask",
    "the last marker begins the poem",
    "You look for the last <|content|> of the row. The poem begins behind the first.",
)
def last_marker_begins(idx, targets, kind="not_padding"):
    mask = target_mask(idx, targets, kind)
    if kind == "content":
        left = (idx == CONTENT_ID).flip(1).cumsum(dim=1).flip(1) - (idx == CONTENT_ID).int()
        mask = mask & (left == 0)
    return mask


@misconception(
    "midtraining.target_mask",
    "a mask of floats",
    "Your mask holds 0.0 and 1.0. It serves for multiplying, and not for indexing; only "
    "booleans select.",
)
def mask_of_floats(idx, targets, kind="not_padding"):
    return target_mask(idx, targets, kind).float()


@misconception(
    "midtraining.target_mask",
    "everything up to the first padding",
    "You count up to the first padding and nothing behind it. A target counts unless it is "
    "padding itself.",
)
def up_to_first_padding(idx, targets, kind="not_padding"):
    mask = target_mask(idx, targets, "all" if kind == "not_padding" else kind)
    return mask if kind == "all" else mask & ((targets == PAD_ID).cumsum(dim=1) == 0)


# --- pad_batch --------------------------------------------------------------------------------


def padded(rows, width, mask, keep_end=True, filler=PAD_ID):
    """Rows cut and padded to a width, and shifted."""
    block = np.full((len(rows), width), filler, dtype=np.int64)
    for i, row in enumerate(rows):
        block[i, : len(row)] = row[:width]
        if keep_end and len(row) > width:
            block[i, -1] = row[-1]
    tokens = torch.from_numpy(block)
    idx, targets = tokens[:, :-1], tokens[:, 1:]
    return Batch(idx, targets, target_mask(idx, targets, mask))


def refuse_short(rows):
    if not rows or min(map(len, rows)) < 2:
        raise ValueError("too short")


@misconception(
    "midtraining.pad_batch",
    "cut to block_size, then shift",
    "You cut to block_size tokens. The shift takes one more away: an input is wasted, and "
    "of every row that fills the block a target is lost.",
)
def cut_then_shift(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    return padded(rows, min(max(map(len, rows)), block_size), mask, keep_end=False)


@misconception(
    "midtraining.pad_batch",
    "the end is cut off",
    "You cut the right number of tokens, but the end token goes with them. The model then "
    "learns that long poems do not stop.",
)
def end_cut_off(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    return padded(rows, min(max(map(len, rows)), block_size + 1), mask, keep_end=False)


@misconception(
    "midtraining.pad_batch",
    "short rows are dropped",
    "You leave rows of fewer than two tokens out. The batch shrinks and nobody is told; if "
    "all are short, nothing is left. Say it with a ValueError.",
)
def short_rows_dropped(rows, block_size, mask="not_padding"):
    rows = [row for row in rows if len(row) >= 2]
    return padded(rows, min(max(map(len, rows)), block_size + 1), mask)


@misconception(
    "midtraining.pad_batch",
    "short rows are kept",
    "You accept a row that has no target. It is padding from end to end, and a sign that "
    "something went wrong before. Say it with a ValueError.",
)
def short_rows_kept(rows, block_size, mask="not_padding"):
    return padded(rows, min(max(map(len, rows)), block_size + 1), mask)


@misconception(
    "midtraining.pad_batch",
    "pad to the block size",
    "You pad every batch to the block size. Only the longest row of the batch has to fit; "
    "the rest is work for nothing.",
)
def pad_to_block_size(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    return padded(rows, block_size + 1, mask)


@misconception(
    "midtraining.pad_batch",
    "pad on the left",
    "You pad in front. Every character can then see the padding, and stands at a position "
    "that depends on its neighbours in the batch.",
)
def pad_on_the_left(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    width = min(max(map(len, rows)), block_size + 1)
    block = np.full((len(rows), width), PAD_ID, dtype=np.int64)
    for i, row in enumerate(rows):
        kept = row if len(row) <= width else [*row[: width - 1], row[-1]]
        block[i, width - len(kept) :] = kept
    tokens = torch.from_numpy(block)
    idx, targets = tokens[:, :-1], tokens[:, 1:]
    return Batch(idx, targets, target_mask(idx, targets, mask))


@misconception(
    "midtraining.pad_batch",
    "pad with 0",
    "You fill up with 0, which is <|unk|>. The mask looks for padding, finds none, and the "
    "model learns rare characters behind every end.",
)
def pad_with_0(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    return padded(rows, min(max(map(len, rows)), block_size + 1), mask, filler=0)


@misconception(
    "midtraining.pad_batch",
    "one mask for all kinds",
    "You do not hand the kind of mask on. Every batch then counts the same targets, "
    "whatever was asked for.",
)
def one_mask_for_all(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    return padded(rows, min(max(map(len, rows)), block_size + 1), "not_padding")


@misconception(
    "midtraining.pad_batch",
    "an end in the last column",
    "You put an end token in the last column of every row. A short row has its own end "
    "already, and what follows is padding.",
)
def end_in_last_column(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    width = min(max(map(len, rows)), block_size + 1)
    batch = padded(rows, width, mask)
    batch.targets[:, -1] = END_ID
    return Batch(batch.idx, batch.targets, target_mask(batch.idx, batch.targets, mask))


@misconception(
    "midtraining.pad_batch",
    "integers of 32 bits",
    "Your tokens are not int64. The loss and `gather` want int64; convert once, where the "
    "block is made.",
)
def int32(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    batch = padded(rows, min(max(map(len, rows)), block_size + 1), mask)
    return Batch(batch.idx.int(), batch.targets.int(), batch.mask)


@misconception(
    "midtraining.pad_batch",
    "inputs keep the last token",
    "You cut the last column off the targets and keep it in the inputs. Targets are the "
    "same tokens one place later: all but the first.",
)
def no_shift(rows, block_size, mask="not_padding"):
    batch = padded(rows, min(max(map(len, rows)), block_size + 1), mask)
    return Batch(batch.targets, batch.idx, target_mask(batch.targets, batch.idx, mask))


@misconception(
    "midtraining.pad_batch",
    "an end within block_size tokens",
    "You keep the end, but only block_size tokens in all. After the shift one input is "
    "wasted, and a row of block_size + 1 tokens is cut though it fits.",
)
def end_within_the_block(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    return padded(rows, min(max(map(len, rows)), block_size), mask)


@misconception(
    "midtraining.pad_batch",
    "cut the front",
    "You keep the last tokens of a row. Its front says who wrote it and what it is: that is "
    "what the poem is learned from.",
)
def cut_the_front_of_rows(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    rows = [row[-(block_size + 1) :] for row in rows]
    return padded(rows, max(map(len, rows)), mask)


@misconception(
    "midtraining.pad_batch",
    "write into the rows",
    "You write the end into the row you were given. It belongs to the corpus: in the next "
    "epoch the poem is another.",
)
def write_into_rows(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    width = min(max(map(len, rows)), block_size + 1)
    for row in rows:
        if len(row) > width:
            row[width - 1] = row[-1]
    return padded(rows, width, mask, keep_end=False)


@misconception(
    "midtraining.pad_batch",
    "a roll wraps around",
    "You shift with roll, and the first token comes back as the last target. Build one token "
    "more, then take all but the first.",
)
def roll_wraps_around(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    idx = padded(rows, min(max(map(len, rows)), block_size + 1), mask).idx
    targets = idx.roll(-1, dims=1)
    return Batch(idx, targets, target_mask(idx, targets, mask))


@misconception(
    "midtraining.pad_batch",
    "no mask",
    "Your batch has no mask. None says that all targets count, padding too.",
)
def no_mask(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    checked(mask)
    batch = padded(rows, min(max(map(len, rows)), block_size + 1), mask)
    return Batch(batch.idx, batch.targets)


@misconception(
    "midtraining.pad_batch",
    "no rows, no error",
    "You make an empty batch of no rows. Its loss is a mean of nothing, NaN. Say it with a "
    "ValueError.",
)
def no_rows_no_error(rows, block_size, mask="not_padding"):
    if any(len(row) < 2 for row in rows):
        raise ValueError("too short")
    return padded(rows, min(max(map(len, rows), default=1), block_size + 1), mask)


@misconception(
    "midtraining.pad_batch",
    "long rows are dropped",
    "You leave out rows that do not fit. Then the poet never sees a poem with a long title. "
    "Cut them, and keep the end.",
)
def long_rows_dropped(rows, block_size, mask="not_padding"):
    rows = [row for row in rows if len(row) <= block_size + 1]
    refuse_short(rows)
    return padded(rows, max(map(len, rows)), mask)


@misconception(
    "midtraining.pad_batch",
    "labels of -100",
    "You write -100 where a target is padding. PyTorch's cross_entropy knows this label; here"
    " the mask says what counts, and the target is PAD_ID.",
)
def labels_of_100(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    batch = padded(rows, min(max(map(len, rows)), block_size + 1), mask)
    return Batch(batch.idx, batch.targets.masked_fill(batch.targets == PAD_ID, -100), batch.mask)


@misconception(
    "midtraining.pad_batch",
    "one input too many",
    "You keep block_size + 1 tokens and add the end. That makes block_size + 1 inputs, and "
    "the model has no position for the last.",
)
def one_too_many(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    return padded(rows, min(max(map(len, rows)), block_size + 2), mask)


@misconception(
    "midtraining.pad_batch",
    "cut a row that fits",
    "You cut every row to block_size tokens and add its end, also a row that is shorter. Such"
    " a row is whole: do not add another end.",
)
def end_behind_every_row(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    rows = [np.append(row[:block_size], row[-1]) for row in rows]
    return padded(rows, max(map(len, rows)), mask)


@misconception(
    "midtraining.pad_batch",
    "nothing is cut",
    "You pad to the longest row, however long it is. The model has no positions beyond block_size.",
)
def nothing_cut(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    return padded(rows, max(map(len, rows)), mask)


@misconception(
    "midtraining.pad_batch",
    "tokens as floats",
    "Your tokens are floats. np.ones and np.zeros make floats unless you name a dtype.",
)
def tokens_as_floats(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    batch = padded(rows, min(max(map(len, rows)), block_size + 1), mask)
    return Batch(batch.idx.double(), batch.targets.double(), batch.mask)


@misconception(
    "midtraining.pad_batch",
    "no shift",
    "Your targets are the inputs. The model then learns to repeat what it has just read.",
)
def targets_equal_inputs(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    batch = padded(rows, min(max(map(len, rows)), block_size + 1), mask)
    return Batch(batch.idx, batch.idx, target_mask(batch.idx, batch.idx, mask))


@misconception(
    "midtraining.pad_batch",
    "the last token is an input",
    "You keep the last token among the inputs, and pad the targets to match. Nothing follows "
    "it: a row of n tokens has n - 1 inputs.",
)
def last_token_is_input(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    width = min(max(map(len, rows)), block_size)
    idx = padded(rows, width + 1, mask, keep_end=False)
    targets = padded(rows, width + 1, mask)
    return Batch(idx.idx, targets.targets, targets.mask)


@misconception(
    "midtraining.pad_batch",
    "the end among the inputs",
    "You write the end over the last input as well. Only the last target of a row that is cut"
    " is its end; the inputs are its front, as it stands.",
)
def end_among_inputs(rows, block_size, mask="not_padding"):
    refuse_short(rows)
    width = min(max(map(len, rows)), block_size + 1)
    batch = padded(rows, width, mask)
    idx = batch.idx.clone()
    idx[[len(row) > width for row in rows], -1] = END_ID
    return Batch(idx, batch.targets, target_mask(idx, batch.targets, mask))


# --- length_buckets ---------------------------------------------------------------------------


def in_pools(lengths, batch_size, order, pool):
    batches = []
    for start in range(0, len(order), pool * batch_size):
        members = order[start : start + pool * batch_size]
        members = members[np.argsort(lengths[members], kind="stable")]
        batches += [members[i : i + batch_size] for i in range(0, len(members), batch_size)]
    return batches


def shuffled(batches, generator):
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]


@misconception(
    "midtraining.length_buckets",
    "sort everything once",
    "You sort all poems together. There is hardly any padding, but the same poems share a "
    "batch in every epoch, and `pool` does nothing.",
)
def sort_everything(lengths, batch_size, generator, pool=64):
    return shuffled(in_pools(lengths, batch_size, np.arange(len(lengths)), 10**9), generator)


@misconception(
    "midtraining.length_buckets",
    "pools in the order of the file",
    "You cut the pools from the poems as they stand. Each pool then holds the same poems in "
    "every epoch, so a batch does, too. Shuffle before you cut.",
)
def pools_of_the_file(lengths, batch_size, generator, pool=64):
    return shuffled(in_pools(lengths, batch_size, np.arange(len(lengths)), pool), generator)


@misconception(
    "midtraining.length_buckets",
    "batches from short to long",
    "Your batches stand in the order of length inside each pool. The model sees short "
    "poems, then long ones, and again. Shuffle the batches as well.",
)
def short_to_long(lengths, batch_size, generator, pool=64):
    order = torch.randperm(len(lengths), generator=generator).numpy()
    return in_pools(lengths, batch_size, order, pool)


@misconception(
    "midtraining.length_buckets",
    "no sorting",
    "Your batches are random. One long poem then makes 31 short ones pay for it: nearly "
    "half of all places are padding.",
)
def no_sorting(lengths, batch_size, generator, pool=64):
    order = torch.randperm(len(lengths), generator=generator).numpy()
    return [order[i : i + batch_size] for i in range(0, len(order), batch_size)]


@misconception(
    "midtraining.length_buckets",
    "drop the last batch",
    "You keep only full batches. The poems of the last one are not seen in this epoch.",
)
def drop_the_last(lengths, batch_size, generator, pool=64):
    order = torch.randperm(len(lengths), generator=generator).numpy()
    batches = in_pools(lengths, batch_size, order, pool)
    return shuffled([batch for batch in batches if len(batch) == batch_size], generator)


@misconception(
    "midtraining.length_buckets",
    "a pool of poems, not of batches",
    "Your pool holds `pool` poems. It should hold `pool` batches, which is batch_size times "
    "as many; otherwise there is little to sort, and many batches are not full.",
)
def pool_of_poems(lengths, batch_size, generator, pool=64):
    order = torch.randperm(len(lengths), generator=generator).numpy()
    batches = []
    for start in range(0, len(order), pool):
        members = order[start : start + pool]
        members = members[np.argsort(lengths[members], kind="stable")]
        batches += [members[i : i + batch_size] for i in range(0, len(members), batch_size)]
    return shuffled(batches, generator)


@misconception(
    "midtraining.length_buckets",
    "places in the pool for poem numbers",
    "argsort gives places within the pool, and you hand them out as poem numbers. The poems "
    "of the first pool are seen again and again, the others never.",
)
def places_for_numbers(lengths, batch_size, generator, pool=64):
    order = torch.randperm(len(lengths), generator=generator).numpy()
    batches = []
    for start in range(0, len(order), pool * batch_size):
        places = np.argsort(lengths[order[start : start + pool * batch_size]], kind="stable")
        batches += [places[i : i + batch_size] for i in range(0, len(places), batch_size)]
    return shuffled(batches, generator)


@misconception(
    "midtraining.length_buckets",
    "lengths for poem numbers",
    "You return the lengths themselves. A batch lists which poems are in it, by their numbers.",
)
def lengths_for_numbers(lengths, batch_size, generator, pool=64):
    order = torch.randperm(len(lengths), generator=generator).numpy()
    batches = in_pools(lengths, batch_size, order, pool)
    return shuffled([lengths[batch] for batch in batches], generator)


@misconception(
    "midtraining.length_buckets",
    "randomness from elsewhere",
    "You draw from a generator other than the one you were given. The run cannot be "
    "repeated, since whoever draws before you changes your batches.",
)
def randomness_from_elsewhere(lengths, batch_size, generator, pool=64):
    batches = in_pools(lengths, batch_size, torch.randperm(len(lengths)).numpy(), pool)
    return shuffled(batches, None)


@misconception(
    "midtraining.length_buckets",
    "a new generator from the seed",
    "You make a generator of your own from the seed of the one you were given. However much "
    "is drawn from it, you begin again at the start: every call gives the same batches.",
)
def new_generator_from_seed(lengths, batch_size, generator, pool=64):
    own = torch.Generator().manual_seed(generator.initial_seed())
    order = torch.randperm(len(lengths), generator=own).numpy()
    return shuffled(in_pools(lengths, batch_size, order, pool), own)


@misconception(
    "midtraining.length_buckets",
    "a fixed seed",
    "You seed the generator anew. All epochs and all runs then have the same batches.",
)
def fixed_seed(lengths, batch_size, generator, pool=64):
    generator.manual_seed(0)
    order = torch.randperm(len(lengths), generator=generator).numpy()
    return shuffled(in_pools(lengths, batch_size, order, pool), generator)


@misconception(
    "midtraining.length_buckets",
    "sort first, shuffle in the pools",
    "You sort all poems and shuffle inside each pool. It should be the other way round: a "
    "pool is a random part of all, and sorted, so that a batch has nearly one length.",
)
def sort_then_shuffle(lengths, batch_size, generator, pool=64):
    order, batches = np.argsort(lengths, kind="stable"), []
    for start in range(0, len(order), pool * batch_size):
        members = order[start : start + pool * batch_size]
        members = members[torch.randperm(len(members), generator=generator).numpy()]
        batches += [members[i : i + batch_size] for i in range(0, len(members), batch_size)]
    return shuffled(batches, generator)


@misconception(
    "midtraining.length_buckets",
    "pools one after the other",
    "You mix the batches of one pool among themselves, and the pools stay in their order. The"
    " batch that is not full then always comes with the last. Shuffle once, at the end.",
)
def pool_after_pool(lengths, batch_size, generator, pool=64):
    order = torch.randperm(len(lengths), generator=generator).numpy()
    batches = []
    for start in range(0, len(order), pool * batch_size):
        members = order[start : start + pool * batch_size]
        batches += shuffled(in_pools(lengths, batch_size, members, pool), generator)
    return batches


@misconception(
    "midtraining.length_buckets",
    "batches of about equal size",
    "You split a pool into parts of about equal size. Batches are full, but for one at most.",
)
def about_equal_size(lengths, batch_size, generator, pool=64):
    order = torch.randperm(len(lengths), generator=generator).numpy()
    batches = []
    for start in range(0, len(order), pool * batch_size):
        members = order[start : start + pool * batch_size]
        members = members[np.argsort(lengths[members], kind="stable")]
        batches += np.array_split(members, -(-len(members) // batch_size))
    return shuffled(batches, generator)


@misconception(
    "midtraining.length_buckets",
    "the pool is always 64",
    "You sort as many poems together as fill 64 batches, whatever `pool` says.",
)
def always_64(lengths, batch_size, generator, pool=64):
    order = torch.randperm(len(lengths), generator=generator).numpy()
    return shuffled(in_pools(lengths, batch_size, order, 64), generator)


@misconception(
    "midtraining.length_buckets",
    "pool as the number of pools",
    "You cut the poems into `pool` pools. A pool is as many poems as fill `pool` batches, "
    "however many pools that makes.",
)
def number_of_pools(lengths, batch_size, generator, pool=64):
    order = torch.randperm(len(lengths), generator=generator).numpy()
    parts = (in_pools(lengths, batch_size, part, 10**9) for part in np.array_split(order, pool))
    return shuffled([batch for part in parts for batch in part], generator)


@misconception(
    "midtraining.length_buckets",
    "fill up the last batch",
    "You fill the last batch with poems that are in others already. They count twice in this "
    "epoch.",
)
def fill_up_the_last(lengths, batch_size, generator, pool=64):
    order = torch.randperm(len(lengths), generator=generator).numpy()
    order = np.concatenate([order, order[: -len(order) % batch_size]])
    return shuffled(in_pools(lengths, batch_size, order, pool), generator)


# --- padding_share ----------------------------------------------------------------------------


@misconception(
    "midtraining.padding_share",
    "mean of the batches' shares",
    "You take the mean of one share per batch. A batch of two poems then weighs as much as "
    "a batch of thirty. Add up the places first, and divide once.",
)
def mean_of_shares(lengths, batches):
    shares = [1 - lengths[b].sum() / (len(b) * lengths[b].max()) for b in batches]
    return float(np.mean(shares)) if shares else 0.0


@misconception(
    "midtraining.padding_share",
    "pad to the longest poem of all",
    "You pad every batch to the longest poem there is. A batch only needs the length of its "
    "own longest; that is what buckets are for.",
)
def pad_to_longest_of_all(lengths, batches):
    if not len(batches):
        return 0.0
    longest = max(lengths[b].max() for b in batches)
    places = longest * sum(len(b) for b in batches)
    return float(1 - sum(lengths[b].sum() for b in batches) / places)


@misconception(
    "midtraining.padding_share",
    "padding per token",
    "You divide by the tokens. A share of all places has all places below the line, padding "
    "included.",
)
def padding_per_token(lengths, batches):
    if not len(batches):
        return 0.0
    places = sum(len(b) * lengths[b].max() for b in batches)
    tokens = sum(lengths[b].sum() for b in batches)
    return float((places - tokens) / tokens)


@misconception(
    "midtraining.padding_share",
    "the share of tokens",
    "You return the share that is not padding. The two add up to 1.",
)
def share_of_tokens(lengths, batches):
    places = sum(len(b) * lengths[b].max() for b in batches)
    return float(sum(lengths[b].sum() for b in batches) / places) if places else 0.0


@misconception(
    "midtraining.padding_share",
    "count poems outside the batches",
    "You add up the lengths of all poems. Those that are in no batch take no places.",
)
def count_poems_outside(lengths, batches):
    if not len(batches):
        return 0.0
    places = sum(len(b) * lengths[b].max() for b in batches)
    return float(1 - lengths.sum() / places)


@misconception(
    "midtraining.padding_share",
    "poem numbers taken for lengths",
    "You add and compare the numbers in the batch. They say which poem it is; its length "
    "stands in `lengths`.",
)
def numbers_for_lengths(lengths, batches):
    places = sum(len(b) * max(b) for b in batches)
    return float(1 - sum(sum(b) for b in batches) / places) if places else 0.0


@misconception(
    "midtraining.padding_share",
    "no batches, no answer",
    "Without batches you divide by nothing. No places hold no padding: the share is 0.",
)
def no_batches_no_answer(lengths, batches):
    places = sum(len(b) * lengths[b].max() for b in batches)
    return float((places - sum(lengths[b].sum() for b in batches)) / places)


@misconception(
    "midtraining.padding_share",
    "all batches as large as the first",
    "You take the size of the first batch for all. The last batch of an epoch is smaller.",
)
def size_of_the_first(lengths, batches):
    if not len(batches):
        return 0.0
    places = sum(len(batches[0]) * lengths[b].max() for b in batches)
    return float(1 - sum(lengths[b].sum() for b in batches) / places)


@misconception(
    "midtraining.padding_share",
    "one place less for each row",
    "You take 1 off every length, as if they were tokens of a row. `lengths` holds how many "
    "places a poem needs: use it as it is.",
)
def one_place_less(lengths, batches):
    places = sum(len(b) * (lengths[b].max() - 1) for b in batches)
    return float(1 - sum((lengths[b] - 1).sum() for b in batches) / places) if places else 0.0


@misconception(
    "midtraining.padding_share",
    "percent",
    "You return percent. A share lies between 0 and 1.",
)
def percent(lengths, batches):
    places = sum(len(b) * lengths[b].max() for b in batches)
    return float(100 - 100 * sum(lengths[b].sum() for b in batches) / places) if places else 0.0


@misconception(
    "midtraining.padding_share",
    "the last poem is the longest",
    "You take the length of a batch's last poem for the longest. No one has sorted it.",
)
def last_is_longest(lengths, batches):
    places = sum(len(b) * lengths[b[-1]] for b in batches)
    return float(1 - sum(lengths[b].sum() for b in batches) / places) if places else 0.0


@misconception(
    "midtraining.padding_share",
    "division of integers",
    "You divide with //, which cuts off what stands behind the point. A share below 1 becomes 0.",
)
def integer_division(lengths, batches):
    places = sum(len(b) * lengths[b].max() for b in batches)
    return float((places - sum(lengths[b].sum() for b in batches)) // max(places, 1))


@misconception(
    "midtraining.padding_share",
    "the number of padded places",
    "You return how many places are padding. Divide by all places.",
)
def number_of_places(lengths, batches):
    return float(sum((lengths[b].max() - lengths[b]).sum() for b in batches))


# --- check_warm_start -------------------------------------------------------------------------


@misconception(
    "midtraining.check_warm_start",
    "compare only the sizes",
    "You compare how many tokens there are. When two characters change places, every shape "
    "still fits, and the model reads water where mountain was meant.",
)
def compare_sizes(model_vocab, checkpoint_vocab):
    if len(model_vocab) != len(checkpoint_vocab):
        raise ValueError("another size")


@misconception(
    "midtraining.check_warm_start",
    "compare as sets",
    "You compare which tokens there are, not where. An id is a place in the vocabulary: the "
    "order is its meaning.",
)
def compare_sets(model_vocab, checkpoint_vocab):
    if set(model_vocab) != set(checkpoint_vocab):
        raise ValueError("other tokens")


@misconception(
    "midtraining.check_warm_start",
    "stop at the shorter one",
    "You compare pairs, and zip ends with the shorter vocabulary. The other has ids beyond it.",
)
def stop_at_the_shorter(model_vocab, checkpoint_vocab):
    for ours, theirs in zip(model_vocab, checkpoint_vocab, strict=False):
        if ours != theirs:
            raise ValueError("another token")


@misconception(
    "midtraining.check_warm_start",
    "compare the joined text",
    "You join the tokens to one text. 山水 and 春 join to the same as 山 and 水春, but the ids "
    "mean other things.",
)
def compare_joined(model_vocab, checkpoint_vocab):
    if "".join(model_vocab) != "".join(checkpoint_vocab):
        raise ValueError("another text")


@misconception(
    "midtraining.check_warm_start",
    "a list is not a tuple",
    "You compare the two as they are. A list never equals a tuple, so you refuse weights that fit.",
)
def list_is_not_tuple(model_vocab, checkpoint_vocab):
    if model_vocab != checkpoint_vocab:
        raise ValueError("another vocabulary")


@misconception(
    "midtraining.check_warm_start",
    "return False",
    "You return whether the vocabularies agree. Nobody has to look at what you return; an "
    "error cannot be passed over.",
)
def return_false(model_vocab, checkpoint_vocab):
    return list(model_vocab) == list(checkpoint_vocab)


@misconception(
    "midtraining.check_warm_start",
    "assert",
    "You use assert, which raises AssertionError and is left out by python -O. A check of "
    "data raises ValueError.",
)
def use_assert(model_vocab, checkpoint_vocab):
    assert list(model_vocab) == list(checkpoint_vocab)


@misconception(
    "midtraining.check_warm_start",
    "compare only the atoms",
    "You compare the atoms at the front. They are the same in every vocabulary of this "
    "course; the characters behind them are what may differ.",
)
def compare_atoms(model_vocab, checkpoint_vocab):
    same_size = len(model_vocab) == len(checkpoint_vocab)
    if not same_size or list(model_vocab[:N_ATOMS]) != list(checkpoint_vocab[:N_ATOMS]):
        raise ValueError("other atoms")


@misconception(
    "midtraining.check_warm_start",
    "the error is the wrong way round",
    "You raise when the vocabularies agree, and say nothing when they differ.",
)
def wrong_way_round(model_vocab, checkpoint_vocab):
    if list(model_vocab) == list(checkpoint_vocab):
        raise ValueError("the same")


@misconception(
    "midtraining.check_warm_start",
    "nothing is raised",
    "You raise nothing when the vocabularies differ. A warning, or a ValueError without "
    "`raise`, stops nobody.",
)
def made_not_raised(model_vocab, checkpoint_vocab):
    return None if list(model_vocab) == list(checkpoint_vocab) else ValueError("another")


@misconception(
    "midtraining.check_warm_start",
    "return True",
    "You return True when the weights fit. The contract says None: whoever reads `if "
    "check_warm_start(...)` would take a check that says nothing for a failed one.",
)
def return_true(model_vocab, checkpoint_vocab):
    if list(model_vocab) != list(checkpoint_vocab):
        raise ValueError("another vocabulary")
    return True


@misconception(
    "midtraining.check_warm_start",
    "an index beyond the shorter one",
    "You go through one vocabulary by index. If the other is shorter, that is an IndexError; "
    "if it is longer, its last ids are never looked at. Compare the sizes first.",
)
def index_beyond(model_vocab, checkpoint_vocab):
    for i in range(len(model_vocab)):
        if model_vocab[i] != checkpoint_vocab[i]:
            raise ValueError("another token")


@misconception(
    "midtraining.check_warm_start",
    "compare the text joined by spaces",
    "You join the tokens with spaces. A token may hold a space itself: compare the tokens one"
    " by one.",
)
def compare_joined_by_spaces(model_vocab, checkpoint_vocab):
    if " ".join(model_vocab) != " ".join(checkpoint_vocab):
        raise ValueError("another text")


@misconception(
    "midtraining.check_warm_start",
    "an error of another kind",
    "You raise an error that is no ValueError. Whoever calls catches a ValueError, as for any"
    " wrong argument.",
)
def another_error(model_vocab, checkpoint_vocab):
    if list(model_vocab) != list(checkpoint_vocab):
        raise RuntimeError("another vocabulary")


@misconception(
    "midtraining.check_warm_start",
    "only tokens in both are compared",
    "You pass over tokens that one of the two does not have. Their id then means something "
    "else, or nothing: that is a difference, too.",
)
def only_tokens_in_both(model_vocab, checkpoint_vocab):
    ids = {token: i for i, token in enumerate(checkpoint_vocab)}
    if any(ids.get(token, i) != i for i, token in enumerate(model_vocab)):
        raise ValueError("another id")


# --- row_fields -------------------------------------------------------------------------------


def read(ids, is_text, stop=True):
    found = {field: [] for field in FIELD_OF.values()}
    field = None
    for token in ids:
        if stop and token == END_ID:
            break
        if token in FIELD_OF:
            field = FIELD_OF[token]
        elif field and is_text(token):
            found[field].append(token)
    return found


@misconception(
    "midtraining.row_fields",
    "rare characters are dropped",
    "You drop the id 0 with the other atoms. <|unk|> stands for a character of the text: "
    "without it a line is too short.",
)
def rare_dropped(ids):
    return read(ids, lambda token: token >= N_ATOMS)


@misconception(
    "midtraining.row_fields",
    "read behind the end",
    "You read on behind the end token. What a model writes there is not part of the poem.",
)
def read_behind_the_end(ids):
    return read(ids, lambda token: token >= N_ATOMS or token == UNK_ID, stop=False)


@misconception(
    "midtraining.row_fields",
    "atoms are text",
    "You keep whatever is no field marker. <|bos|> and <|pad|> are atoms of the frame, not text.",
)
def atoms_are_text(ids):
    return read(ids, lambda token: True)


@misconception(
    "midtraining.row_fields",
    "missing fields are missing",
    "A field that does not occur is not in your result. Whoever asks for it gets a KeyError "
    "in place of nothing.",
)
def missing_fields(ids):
    found, field = {}, None
    for token in ids:
        if token == END_ID:
            break
        if token in FIELD_OF:
            field = FIELD_OF[token]
            found.setdefault(field, [])
        elif field and (token >= N_ATOMS or token == UNK_ID):
            found[field].append(token)
    return found


@misconception(
    "midtraining.row_fields",
    "fields in a fixed order",
    "You number the fields as they come. If one is missing, all behind it get the wrong "
    "name. The marker says which field it is.",
)
def fixed_order(ids):
    found, names, field = {name: [] for name in FIELD_OF.values()}, iter(FIELD_OF.values()), None
    for token in ids:
        if token == END_ID:
            break
        if token in FIELD_OF:
            field = next(names, field)
        elif field and (token >= N_ATOMS or token == UNK_ID):
            found[field].append(token)
    return found


@misconception(
    "midtraining.row_fields",
    "the marker is kept",
    "Your fields begin with their own marker. It says which field it is, and is not part of it.",
)
def marker_kept(ids):
    found = {field: [] for field in FIELD_OF.values()}
    field = None
    for token in ids:
        if token == END_ID:
            break
        field = FIELD_OF.get(token, field)
        if field and (token >= N_ATOMS or token == UNK_ID or token in FIELD_OF):
            found[field].append(token)
    return found


@misconception(
    "midtraining.row_fields",
    "a second marker starts anew",
    "A marker that comes again empties its field. Both texts belong to it.",
)
def second_marker_starts_anew(ids):
    found = {field: [] for field in FIELD_OF.values()}
    field = None
    for token in ids:
        if token == END_ID:
            break
        if token in FIELD_OF:
            field = FIELD_OF[token]
            found[field] = []
        elif field and (token >= N_ATOMS or token == UNK_ID):
            found[field].append(token)
    return found


@misconception(
    "midtraining.row_fields",
    "text at once belongs to the author",
    "You begin with the author, before any marker has come. Text in front of the first "
    "marker belongs to no field.",
)
def begin_with_author(ids):
    return read([3, *ids], lambda token: token >= N_ATOMS or token == UNK_ID)


@misconception(
    "midtraining.row_fields",
    "one list for all fields",
    "Your four fields are one and the same list. dict.fromkeys uses the one it is given four "
    "times; make a new list for each.",
)
def one_list_for_all(ids):
    text: list[int] = []
    field = None
    for token in ids:
        if token == END_ID:
            break
        field = FIELD_OF.get(token, field)
        if field and (token >= N_ATOMS or token == UNK_ID):
            text.append(token)
    return dict.fromkeys(FIELD_OF.values(), text)


@misconception(
    "midtraining.row_fields",
    "no field for the first text",
    "You look up the field of text before any marker has come. There is none, and that is an "
    "error. Pass over such text.",
)
def no_field_yet(ids):
    found = {field: [] for field in FIELD_OF.values()}
    field = None
    for token in ids:
        if token == END_ID:
            break
        if token in FIELD_OF:
            field = FIELD_OF[token]
        elif token >= N_ATOMS or token == UNK_ID:
            found[field].append(token)
    return found


@misconception(
    "midtraining.row_fields",
    "every marker is there",
    "You look for the place of each of the four markers, and for one that is missing that is "
    "an error. A model may leave one out.",
)
def every_marker_is_there(ids):
    ids = list(ids)
    places = [ids.index(marker) for marker in FIELD_OF]
    ends = [*places[1:], ids.index(END_ID) if END_ID in ids else len(ids)]
    return {
        field: [token for token in ids[a + 1 : b] if token >= N_ATOMS or token == UNK_ID]
        for field, a, b in zip(FIELD_OF.values(), places, ends, strict=True)
    }


@misconception(
    "midtraining.row_fields",
    "an end is always there",
    "You look for the place of the end token. A row that was cut has none, and that is an error.",
)
def end_is_always_there(ids):
    ids = list(ids)
    return read(ids[: ids.index(END_ID)], lambda token: token >= N_ATOMS or token == UNK_ID)


@misconception(
    "midtraining.row_fields",
    "the last field is lost",
    "You hand a field over when the next marker or the end comes. In a row that was cut "
    "neither comes, and the last field stays empty.",
)
def last_field_lost(ids):
    found = {field: [] for field in FIELD_OF.values()}
    field, text = None, []
    for token in ids:
        if token in FIELD_OF or token == END_ID:
            if field:
                found[field] += text
            field, text = FIELD_OF.get(token), []
            if token == END_ID:
                break
        elif token >= N_ATOMS or token == UNK_ID:
            text.append(token)
    return found


@misconception(
    "midtraining.row_fields",
    "the id 8 is an atom",
    "You take the id 8 for an atom. There are 8 atoms, 0 to 7; the characters begin with 8.",
)
def eight_is_an_atom(ids):
    return read(ids, lambda token: token > N_ATOMS or token == UNK_ID)


@misconception(
    "midtraining.row_fields",
    "padding ends the row",
    "You stop at padding. Only the end token ends a row; padding in the text is passed over.",
)
def padding_ends_the_row(ids):
    ids = itertools.takewhile(lambda token: token != PAD_ID, ids)
    return read(ids, lambda token: token >= N_ATOMS or token == UNK_ID)


@misconception(
    "midtraining.row_fields",
    "any atom ends a field",
    "Your field ends at any atom. It reaches to the next *marker*: a stray <|bos|> or <|pad|>"
    " in the text is passed over.",
)
def any_atom_ends_a_field(ids):
    found = {field: [] for field in FIELD_OF.values()}
    field = None
    for token in ids:
        if token == END_ID:
            break
        if token < N_ATOMS and token != UNK_ID:
            field = FIELD_OF.get(token)
        elif field:
            found[field].append(token)
    return found


@misconception(
    "midtraining.row_fields",
    "the second text is dropped",
    "When a marker comes again, you leave its text out. Both texts belong to the field.",
)
def second_text_dropped(ids):
    found = {field: [] for field in FIELD_OF.values()}
    field = None
    for token in ids:
        if token == END_ID:
            break
        if token in FIELD_OF:
            field = None if found[FIELD_OF[token]] else FIELD_OF[token]
        elif field and (token >= N_ATOMS or token == UNK_ID):
            found[field].append(token)
    return found


@misconception(
    "midtraining.row_fields",
    "fields under their ids",
    "Your keys are the markers' ids. The result names the fields: FIELD_OF gives the name of each.",
)
def under_their_ids(ids):
    found = read(ids, lambda token: token >= N_ATOMS or token == UNK_ID)
    return {marker: found[field] for marker, field in FIELD_OF.items()}


@misconception(
    "midtraining.row_fields",
    "read the row twice",
    "You go through `ids` twice. A generator is used up after the first time: make a list of it.",
)
def read_twice(ids):
    length = sum(1 for _ in itertools.takewhile(lambda token: token != END_ID, ids))
    return read(list(ids)[:length], lambda token: token >= N_ATOMS or token == UNK_ID)


@misconception(
    "midtraining.row_fields",
    "the first token is skipped",
    "You skip the first token, as if it were always <|bos|>. A model may have written the "
    "row: look at what it is.",
)
def first_token_skipped(ids):
    return read(list(ids)[1:], lambda token: token >= N_ATOMS or token == UNK_ID)


@misconception(
    "midtraining.row_fields",
    "None for a missing field",
    "A field that is missing is None in your result. The contract says an empty list: whoever"
    " reads it need not ask first.",
)
def none_for_missing(ids):
    ids = list(ids)
    found = read(ids, lambda token: token >= N_ATOMS or token == UNK_ID)
    seen = set(itertools.takewhile(lambda token: token != END_ID, ids))
    return {field: found[field] if marker in seen else None for marker, field in FIELD_OF.items()}


# --- train_and_val ----------------------------------------------------------------------------


@misconception(
    "midtraining.train_and_val",
    "validate on training poems",
    "Your poems to validate are cut from those to train, and the ones set aside are in "
    "neither set. The validation loss is then a training loss: learning by heart looks like "
    "progress.",
    stub=True,
)
def validate_on_training(rows, n_val, generator):
    order = torch.randperm(len(rows), generator=generator)
    shuffled = [rows[i] for i in order.tolist()]
    train_rows = shuffled[n_val:]
    val_rows = train_rows[:n_val]
    return {"train": pack(train_rows), "val": pack(val_rows)}


@misconception(
    "midtraining.train_and_val",
    "train on everything",
    "You set poems aside to validate, and train on them all the same.",
)
def train_on_everything(rows, n_val, generator):
    order = torch.randperm(len(rows), generator=generator)
    shuffled = [rows[i] for i in order.tolist()]
    return {"train": pack(shuffled), "val": pack(shuffled[:n_val])}


@misconception(
    "midtraining.train_and_val",
    "the same poems for both",
    "Both of your sets hold the same poems. Their two losses can only agree.",
)
def same_poems_for_both(rows, n_val, generator):
    order = torch.randperm(len(rows), generator=generator)
    train_rows = [rows[i] for i in order.tolist()][n_val:]
    return {"train": pack(train_rows), "val": pack(train_rows)}


@misconception(
    "midtraining.train_and_val",
    "shuffle twice",
    "You shuffle once for each set. The two orders differ, so some poems are in both sets, "
    "and some in none.",
)
def shuffle_twice(rows, n_val, generator):
    first, second = (torch.randperm(len(rows), generator=generator).tolist() for _ in range(2))
    train_rows, val_rows = [rows[i] for i in first[n_val:]], [rows[i] for i in second[:n_val]]
    return {"train": pack(train_rows), "val": pack(val_rows)}


@misconception(
    "midtraining.train_and_val",
    "the same poems always validate",
    "The same rows validate, whatever the generator says: the first ones, the last ones, or "
    "those of a seed of your own. Draw them from the generator that you are given.",
)
def first_poems_validate(rows, n_val, generator):
    return {"train": pack(rows[n_val:]), "val": pack(rows[:n_val])}


@misconception(
    "midtraining.train_and_val",
    "the two sets exchanged",
    "You train on n_val poems and validate on all others. It should be the other way round.",
)
def sets_exchanged(rows, n_val, generator):
    order = torch.randperm(len(rows), generator=generator)
    shuffled = [rows[i] for i in order.tolist()]
    return {"train": pack(shuffled[:n_val]), "val": pack(shuffled[n_val:])}


@misconception(
    "midtraining.train_and_val",
    "count from the end",
    "You cut with [:-n_val]. That is right until n_val is 0: [:-0] is empty, and [-0:] is "
    "everything.",
)
def count_from_the_end(rows, n_val, generator):
    order = torch.randperm(len(rows), generator=generator)
    shuffled = [rows[i] for i in order.tolist()]
    return {"train": pack(shuffled[:-n_val]), "val": pack(shuffled[-n_val:])}


@misconception(
    "midtraining.train_and_val",
    "a split without the generator",
    "You do not draw from the generator that you were given, so the split changes from call "
    "to call. A poem that validated yesterday is trained on today.",
)
def without_the_generator(rows, n_val, generator):
    order = torch.randperm(len(rows))
    shuffled = [rows[i] for i in order.tolist()]
    return {"train": pack(shuffled[n_val:]), "val": pack(shuffled[:n_val])}


@misconception(
    "midtraining.train_and_val",
    "some poems in neither set",
    "Your two sets share nothing, but the poems set aside first are in neither. Let the two "
    "slices meet at n_val.",
)
def in_neither_set(rows, n_val, generator):
    order = torch.randperm(len(rows), generator=generator)
    kept = [rows[i] for i in order.tolist()][n_val:]
    return {"train": pack(kept[n_val:]), "val": pack(kept[:n_val])}


@misconception(
    "midtraining.train_and_val",
    "train on shuffled, validate on unshuffled rows",
    "You cut one set from the shuffled rows and the other from the rows as they stood. Some "
    "poems are in both, and some in none.",
)
def shuffled_and_not(rows, n_val, generator):
    order = torch.randperm(len(rows), generator=generator)
    train_rows = [rows[i] for i in order.tolist()][n_val:]
    return {"train": pack(train_rows), "val": pack(rows[:n_val])}


@misconception(
    "midtraining.train_and_val",
    "draw a poem twice",
    "You draw each number by itself, so one may come twice. The poems to validate are then "
    "fewer than n_val: take the first ones of a permutation.",
)
def draw_twice(rows, n_val, generator):
    drawn = torch.randint(max(len(rows), 1), (n_val,), generator=generator).tolist()
    train_rows = [row for i, row in enumerate(rows) if i not in drawn]
    return {"train": pack(train_rows), "val": pack([rows[i] for i in drawn])}


# --- cut_and_shift ----------------------------------------------------------------------------


@misconception(
    "midtraining.cut_and_shift",
    "cut to block_size, then shift",
    "You cut to block_size tokens, then the shift takes one away. One input is wasted, and "
    "of every row that fills the block the end is lost.",
    stub=True,
)
def cut_first(row, block_size):
    kept = row[:block_size]
    return kept[:-1], kept[1:]


@misconception(
    "midtraining.cut_and_shift",
    "the end is cut off",
    "You keep the right number of tokens, but a row that is cut has lost its end.",
)
def one_more_but_no_end(row, block_size):
    kept = row[: block_size + 1]
    return kept[:-1], kept[1:]


@misconception(
    "midtraining.cut_and_shift",
    "an end within block_size tokens",
    "You keep the end, but only block_size tokens in all. After the shift one input is "
    "wasted, and a row of block_size + 1 tokens is cut though it fits.",
)
def end_within_block_size(row, block_size):
    kept = row if len(row) <= block_size else [*row[: block_size - 1], row[-1]]
    return kept[:-1], kept[1:]


@misconception(
    "midtraining.cut_and_shift",
    "one input too many",
    "You keep block_size + 1 tokens and add the end. That makes block_size + 1 inputs, and "
    "the model has no position for the last.",
)
def one_input_too_many(row, block_size):
    kept = row if len(row) <= block_size + 1 else [*row[: block_size + 1], row[-1]]
    return kept[:-1], kept[1:]


@misconception(
    "midtraining.cut_and_shift",
    "cut the front",
    "You keep the last tokens of the row. Its front says who wrote it and what it is: that "
    "is what the poem is learned from.",
)
def cut_the_front(row, block_size):
    kept = row[-(block_size + 1) :]
    return kept[:-1], kept[1:]


@misconception(
    "midtraining.cut_and_shift",
    "cut a row that fits",
    "You replace a token of a row that has exactly block_size + 1 or fewer. Such a row is "
    "whole: do not add another end.",
)
def cut_what_fits(row, block_size):
    kept = [*row[:block_size], row[-1]]
    return kept[:-1], kept[1:]


@misconception(
    "midtraining.cut_and_shift",
    "no shift",
    "Your targets are the inputs. The model then learns to repeat what it has just read.",
)
def targets_are_inputs(row, block_size):
    kept = row if len(row) <= block_size + 1 else [*row[:block_size], row[-1]]
    return kept[:-1], kept[:-1]


@misconception(
    "midtraining.cut_and_shift",
    "write into the row",
    "You cut the row that you were given. It belongs to the caller: make a new list.",
)
def write_into_row(row, block_size):
    if len(row) > block_size + 1:
        row[block_size:] = row[-1:]
    return row[:-1], row[1:]


@misconception(
    "midtraining.cut_and_shift",
    "nothing is cut",
    "You use every row whole. The model has room for block_size inputs and no more.",
)
def nothing_cut_from_row(row, block_size):
    return row[:-1], row[1:]


@misconception(
    "midtraining.cut_and_shift",
    "inputs and targets exchanged",
    "You return the targets first. The inputs are all tokens but the last, the targets all "
    "but the first.",
)
def exchanged(row, block_size):
    kept = row if len(row) <= block_size + 1 else [*row[:block_size], row[-1]]
    return kept[1:], kept[:-1]


@misconception(
    "midtraining.cut_and_shift",
    "only the inputs are mended",
    "Your inputs and targets differ in length. Every input has one target, and the last "
    "target is the end.",
)
def only_inputs_mended(row, block_size):
    return row[:block_size], row[1:block_size]


@misconception(
    "midtraining.cut_and_shift",
    "the end among the inputs",
    "You write the end over the last input as well. Only the last target is the end; the "
    "inputs are the front of the row, as it stands.",
)
def end_among_inputs_too(row, block_size):
    inputs, targets = row[:-1][:block_size], row[1:][:block_size]
    if len(row) > block_size + 1:
        inputs[-1] = targets[-1] = row[-1]
    return inputs, targets


# --- batches_with_progress --------------------------------------------------------------------


def whole(batches, lengths, n_epochs):
    run = [batch for _ in range(n_epochs) for batch in batches]
    return run, [int(lengths[batch].sum()) for batch in run]


@misconception(
    "midtraining.batches_with_progress",
    "progress within the epoch",
    "Your progress begins anew with every epoch. A schedule that reads it brings the "
    "learning rate down, and up again, as often as there are epochs.",
    stub=True,
)
def within_the_epoch(batches, lengths, n_epochs):
    total = sum(lengths[batch].sum() for batch in batches)
    for _ in range(n_epochs):
        done = 0
        for batch in batches:
            yield batch, float(done / total)
            done += lengths[batch].sum()


@misconception(
    "midtraining.batches_with_progress",
    "an epoch is taken for the run",
    "You count on through all epochs, but divide by the tokens of one. Progress goes beyond 1.",
)
def beyond_one(batches, lengths, n_epochs):
    total = sum(lengths[batch].sum() for batch in batches)
    done = 0
    for _ in range(n_epochs):
        for batch in batches:
            yield batch, float(done / total)
            done += lengths[batch].sum()


@misconception(
    "midtraining.batches_with_progress",
    "the count starts anew",
    "You divide by the tokens of the whole run, but begin to count anew in every epoch. "
    "Progress never gets beyond one epoch's share.",
)
def count_starts_anew(batches, lengths, n_epochs):
    total = n_epochs * sum(lengths[batch].sum() for batch in batches)
    for _ in range(n_epochs):
        done = 0
        for batch in batches:
            yield batch, float(done / total)
            done += lengths[batch].sum()


@misconception(
    "midtraining.batches_with_progress",
    "steps for tokens",
    "You count batches. Batches of long poems have more tokens than batches of short ones.",
)
def steps_for_tokens(batches, lengths, n_epochs):
    run, _ = whole(batches, lengths, n_epochs)
    for i, batch in enumerate(run):
        yield batch, i / len(run)


@misconception(
    "midtraining.batches_with_progress",
    "poems for tokens",
    "You count poems. A long poem has more tokens than a short one.",
)
def poems_for_tokens(batches, lengths, n_epochs):
    run, _ = whole(batches, lengths, n_epochs)
    before = [0, *itertools.accumulate(map(len, run))]
    for batch, done in zip(run, before, strict=False):
        yield batch, done / before[-1]


@misconception(
    "midtraining.batches_with_progress",
    "this batch is counted already",
    "You count the batch before it is used. Then the last one has progress 1, and a "
    "schedule that ends at 0 throws it away.",
)
def counted_already(batches, lengths, n_epochs):
    run, tokens = whole(batches, lengths, n_epochs)
    for batch, done in zip(run, itertools.accumulate(tokens), strict=True):
        yield batch, done / sum(tokens)


@misconception(
    "midtraining.batches_with_progress",
    "back to 0 with the last batch",
    "You take progress from a count that has wrapped around already. With the last batch of "
    "an epoch it is 0, and the learning rate is back where it was.",
)
def after_the_wrap(batches, lengths, n_epochs):
    run, tokens = whole(batches, lengths, n_epochs)
    total = sum(int(lengths[batch].sum()) for batch in batches)
    for batch, done in zip(run, itertools.accumulate(tokens), strict=True):
        yield batch, (done % total) / total


@misconception(
    "midtraining.batches_with_progress",
    "a progress that stays at 0",
    "You count in a variable that nobody reads, so progress is 0 in every step. The "
    "learning rate never comes down.",
)
def stays_at_zero(batches, lengths, n_epochs):
    for batch in whole(batches, lengths, n_epochs)[0]:
        yield batch, 0.0


@misconception(
    "midtraining.batches_with_progress",
    "the remaining share",
    "You give what is left of the run. A schedule takes it for what is done: the rate climbs.",
)
def remaining_share(batches, lengths, n_epochs):
    run, tokens = whole(batches, lengths, n_epochs)
    before = [0, *itertools.accumulate(tokens)]
    for batch, done in zip(run, before, strict=False):
        yield batch, 1 - done / sum(tokens)


@misconception(
    "midtraining.batches_with_progress",
    "count poems outside the batches",
    "Your total counts all poems. The batches may leave some out, and then progress stops "
    "before the end.",
)
def total_of_all_poems(batches, lengths, n_epochs):
    run, tokens = whole(batches, lengths, n_epochs)
    before = [0, *itertools.accumulate(tokens)]
    for batch, done in zip(run, before, strict=False):
        yield batch, done / (n_epochs * int(lengths.sum()))


@misconception(
    "midtraining.batches_with_progress",
    "places for tokens",
    "You count places, padding included. Poem i has `lengths[i]` tokens; add these up.",
)
def places_for_tokens(batches, lengths, n_epochs):
    run, _ = whole(batches, lengths, n_epochs)
    before = [0, *itertools.accumulate(len(batch) * int(lengths[batch].max()) for batch in run)]
    for batch, done in zip(run, before, strict=False):
        yield batch, done / before[-1]


@misconception(
    "midtraining.batches_with_progress",
    "the first epoch is number 1",
    "You number the epochs from 1. Progress begins with one epoch's share, and goes beyond 1.",
)
def epochs_from_one(batches, lengths, n_epochs):
    run, tokens = whole(batches, lengths, n_epochs)
    before = [0, *itertools.accumulate(tokens)]
    for batch, done in zip(run, before, strict=False):
        yield batch, done / before[-1] + 1 / n_epochs


@misconception(
    "midtraining.batches_with_progress",
    "every batch several times in a row",
    "You give each batch `n_epochs` times before the next one. An epoch has all batches once.",
)
def several_times_in_a_row(batches, lengths, n_epochs):
    run = [batch for batch in batches for _ in range(n_epochs)]
    before = [0, *itertools.accumulate(int(lengths[batch].sum()) for batch in run)]
    for batch, done in zip(run, before, strict=False):
        yield batch, done / before[-1]


@misconception(
    "midtraining.batches_with_progress",
    "1 at the last batch",
    "Your progress reaches 1 at the last batch. What is done before it is less than the "
    "whole: divide by all tokens, those of the last batch as well.",
)
def one_at_the_last(batches, lengths, n_epochs):
    run, tokens = whole(batches, lengths, n_epochs)
    before = [0, *itertools.accumulate(tokens)]
    for batch, done in zip(run, before, strict=False):
        yield batch, done / max(before[-2], 1)


@misconception(
    "midtraining.batches_with_progress",
    "progress held at 1",
    "You divide by the tokens of one epoch, and hold progress at 1 in all that follow. The "
    "rate stays at its last value for the rest of the run.",
)
def held_at_one(batches, lengths, n_epochs):
    for batch, progress in beyond_one(batches, lengths, n_epochs):
        yield batch, min(progress, 1.0)


@misconception(
    "midtraining.batches_with_progress",
    "one epoch only",
    "You go through the batches once. They come `n_epochs` times.",
)
def one_epoch_only(batches, lengths, n_epochs):
    run, tokens = whole(batches, lengths, n_epochs)
    before = [0, *itertools.accumulate(tokens)]
    for batch, done in zip(run[: len(batches)], before, strict=False):
        yield batch, done / before[-1]


# --- padding_changes_loss ---------------------------------------------------------------------


def batch_to_test(logits=None):
    g = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 4, 9, generator=g) if logits is None else logits
    targets = torch.tensor([[8, 4, 3, 2], [5, 6, 7, 8]])
    return logits, targets, torch.ones(2, 4, dtype=torch.bool)


def longer(logits, targets, mask, counts=False):
    """Three more places in every row."""
    g = torch.Generator().manual_seed(2)
    return (
        torch.cat([logits, torch.randn(2, 3, 9, generator=g)], dim=1),
        torch.cat([targets, torch.full((2, 3), PAD_ID)], dim=1),
        torch.cat([mask, torch.full((2, 3), counts)], dim=1),
    )


@misconception(
    "midtraining.padding_changes_loss",
    "other padding, not more of it",
    "You change what stands in the padding, but not how much there is. A loss that divides "
    "by all places divides by the same number both times, and you do not notice.",
)
def other_padding(loss_fn):
    logits, targets, mask = longer(*batch_to_test())
    others = logits.clone()
    others[:, 4:] += 1.5
    a, b = loss_fn(logits, targets, mask), loss_fn(others, targets, mask)
    return not torch.allclose(a, b, rtol=1e-4)


@misconception(
    "midtraining.padding_changes_loss",
    "equal logits",
    "Your logits are all 0. Every place costs ln V, so a mean over too many places is the "
    "same mean.",
)
def equal_logits(loss_fn):
    logits, targets, mask = batch_to_test(torch.zeros(2, 4, 9))
    _, more_targets, more_mask = longer(logits, targets, mask)
    a, b = loss_fn(logits, targets, mask), loss_fn(torch.zeros(2, 7, 9), more_targets, more_mask)
    return not torch.allclose(a, b, rtol=1e-4)


@misconception(
    "midtraining.padding_changes_loss",
    "exact equality",
    "You compare with == or !=. Summing more numbers may change the last digit; you report "
    "rounding as a bug.",
)
def exact_equality(loss_fn):
    batch = batch_to_test()
    return loss_fn(*batch).item() != loss_fn(*longer(*batch)).item()


@misconception(
    "midtraining.padding_changes_loss",
    "padding that counts",
    "The mask of your new places is True. They are then targets like any other, and every "
    "right loss changes.",
)
def padding_that_counts(loss_fn):
    batch = batch_to_test()
    return not torch.allclose(loss_fn(*batch), loss_fn(*longer(*batch, counts=True)), rtol=1e-4)


@misconception(
    "midtraining.padding_changes_loss",
    "True means good",
    "You return True when nothing changes. Asked is whether something does.",
)
def true_means_good(loss_fn):
    batch = batch_to_test()
    return torch.allclose(loss_fn(*batch), loss_fn(*longer(*batch)), rtol=1e-4)


@misconception(
    "midtraining.padding_changes_loss",
    "compare with your own loss",
    "You compare with the mean you think right. A sum, or a mean of rows, is another loss, "
    "but padding does not change it. Compare the loss with itself.",
)
def compare_with_own(loss_fn):
    logits, targets, mask = longer(*batch_to_test())
    mask = mask.clone()
    mask[0, 2:] = False  # rows of different length
    right = torch.nn.functional.cross_entropy(logits[mask], targets[mask])
    return not torch.allclose(loss_fn(logits, targets, mask), right, rtol=1e-4)


@misconception(
    "midtraining.padding_changes_loss",
    "padding is a copy of the batch",
    "Your new places repeat the old ones. A mean over everything, twice, is the same mean.",
)
def padding_is_a_copy(loss_fn):
    logits, targets, mask = batch_to_test()
    more = torch.cat([mask, torch.zeros_like(mask)], dim=1)
    twice = torch.cat([logits, logits], dim=1), torch.cat([targets, targets], dim=1), more
    return not torch.allclose(loss_fn(logits, targets, mask), loss_fn(*twice), rtol=1e-4)


@misconception(
    "midtraining.padding_changes_loss",
    "more rows, not more places",
    "You add a row of padding. Padding stands at the end of rows; how many rows there are "
    "is another question.",
)
def more_rows(loss_fn):
    logits, targets, mask = batch_to_test()
    g = torch.Generator().manual_seed(3)
    bigger = (
        torch.cat([logits, torch.randn(1, 4, 9, generator=g)]),
        torch.cat([targets, torch.full((1, 4), PAD_ID)]),
        torch.cat([mask, torch.zeros(1, 4, dtype=torch.bool)]),
    )
    return not torch.allclose(loss_fn(logits, targets, mask), loss_fn(*bigger), rtol=1e-4)


@misconception(
    "midtraining.padding_changes_loss",
    "always True",
    "You say True of every loss, even of one that never changes. Compare the loss of one "
    "batch with and without more padding.",
)
def always_true(loss_fn):
    return True


@misconception(
    "midtraining.padding_changes_loss",
    "always False",
    "You say False of every loss, even of a mean over everything. Does your second batch have"
    " more padding than the first?",
)
def always_false(loss_fn):
    return False


@misconception(
    "midtraining.padding_changes_loss",
    "two different batches",
    "Your two batches differ in more than padding, so nearly every loss differs. Draw the "
    "logits and targets once, and add places to them.",
)
def different_batches(loss_fn):
    logits, targets, mask = longer(*batch_to_test())
    others = torch.randn(2, 4, 9, generator=torch.Generator().manual_seed(4))
    short = others, targets[:, :4], mask[:, :4]
    return not torch.allclose(loss_fn(logits, targets, mask), loss_fn(*short), rtol=1e-4)


@misconception(
    "midtraining.padding_changes_loss",
    "one row only",
    "Your batch has one row. Behind its padding there is no other row that could be moved.",
)
def one_row_only(loss_fn):
    short = [part[:1] for part in batch_to_test()]
    more = [part[:1] for part in longer(*batch_to_test())]
    return not torch.allclose(loss_fn(*short), loss_fn(*more), rtol=1e-4)


@misconception(
    "midtraining.padding_changes_loss",
    "logits of 0 at the padding",
    "Your new places have logits of 0. A loss that adds something up over all logits adds "
    "nothing there, and you do not notice.",
)
def logits_of_zero(loss_fn):
    logits, targets, mask = longer(*batch_to_test())
    logits[:, 4:] = 0.0
    return not torch.allclose(loss_fn(*batch_to_test()), loss_fn(logits, targets, mask), rtol=1e-4)


@misconception(
    "midtraining.padding_changes_loss",
    "targets that are not PAD_ID",
    "The targets of your new places are not PAD_ID. A loss that knows padding by its id takes"
    " them for characters.",
)
def other_targets(loss_fn):
    logits, targets, mask = longer(*batch_to_test())
    targets[:, 4:] = UNK_ID
    return not torch.allclose(loss_fn(*batch_to_test()), loss_fn(logits, targets, mask), rtol=1e-4)


@misconception(
    "midtraining.padding_changes_loss",
    "a difference for a share",
    "You compare the difference with a fixed number. A loss with a small weight changes by "
    "less, and yet by half of what it is. Compare the difference with the loss.",
)
def difference_for_share(loss_fn):
    batch = batch_to_test()
    return abs(loss_fn(*batch).item() - loss_fn(*longer(*batch)).item()) > 1e-4


@misconception(
    "midtraining.padding_changes_loss",
    "padding in front",
    "You put the padding in front of the rows. Then every target moves to another place; at "
    "the end it moves none.",
)
def padding_in_front(loss_fn):
    batch = batch_to_test()
    front = [part.roll(3, dims=1) for part in longer(*batch)]
    return not torch.allclose(loss_fn(*batch), loss_fn(*front), rtol=1e-4)


@misconception(
    "midtraining.padding_changes_loss",
    "too wide a tolerance",
    "You let a change of a tenth pass. Rounding is far smaller: one part in 10,000 is the limit.",
)
def too_wide(loss_fn):
    batch = batch_to_test()
    return not torch.allclose(loss_fn(*batch), loss_fn(*longer(*batch)), rtol=0.1)


@misconception(
    "midtraining.padding_changes_loss",
    "only a larger loss",
    "You ask whether padding makes the loss larger. It may make it smaller as well: compare "
    "the size of the difference.",
)
def only_larger(loss_fn):
    batch = batch_to_test()
    less, more = loss_fn(*batch).item(), loss_fn(*longer(*batch)).item()
    return more - less > 1e-4 * abs(less)


@misconception(
    "midtraining.padding_changes_loss",
    "only a smaller loss",
    "You ask whether padding makes the loss smaller. It may make it larger as well: compare "
    "the size of the difference.",
)
def only_smaller(loss_fn):
    batch = batch_to_test()
    less, more = loss_fn(*batch).item(), loss_fn(*longer(*batch)).item()
    return less - more > 1e-4 * abs(less)


# --- midtraining_rates ------------------------------------------------------------------------


def rates_of(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


@misconception(
    "midtraining.midtraining_rates",
    "the fraction is lost at the first step",
    "You scale the rate in the optimizer, and the loop writes over it. What you return has "
    "the fraction, what moved the weights has not.",
)
def fraction_lost(optimizer, init_lr_frac, mults):
    first, printed = rates_of(optimizer), []
    for group, lr in zip(optimizer.param_groups, first, strict=True):
        group["initial_lr"] = group["lr"] = lr * init_lr_frac
    for mult in mults:
        for group, lr in zip(optimizer.param_groups, first, strict=True):
            group["lr"] = lr * mult
        optimizer.step()
        printed.append([lr * init_lr_frac * mult for lr in first])
    return printed


@misconception(
    "midtraining.midtraining_rates",
    "the fraction in every step",
    "You multiply by the fraction again and again. After three steps the rate is frac³ "
    "times the first one.",
)
def fraction_in_every_step(optimizer, init_lr_frac, mults):
    rates = []
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    for mult in mults:
        for group in optimizer.param_groups:
            group["initial_lr"] *= init_lr_frac
            group["lr"] = group["initial_lr"] * mult
        optimizer.step()
        rates.append(rates_of(optimizer))
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "multiply the rate of the step before",
    "You multiply the current rate. The multipliers pile up, and after a 0 it stays 0. "
    "Multiply the first rate, which stays the same.",
)
def multipliers_pile_up(optimizer, init_lr_frac, mults):
    rates = []
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"] = group["lr"] * init_lr_frac
    for mult in mults:
        for group in optimizer.param_groups:
            group["lr"] *= mult
        optimizer.step()
        rates.append(rates_of(optimizer))
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "one rate for all groups",
    "You give every group the rate of the first. Embeddings, matrices and head have rates "
    "of their own.",
)
def one_rate_for_all(optimizer, init_lr_frac, mults):
    first, rates = optimizer.param_groups[0]["lr"] * init_lr_frac, []
    for group in optimizer.param_groups:
        group["initial_lr"] = first
    for mult in mults:
        for group in optimizer.param_groups:
            group["lr"] = first * mult
        optimizer.step()
        rates.append(rates_of(optimizer))
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "step before the rate is set",
    "You take the step first and set its rate afterwards. Every step then uses the rate of "
    "the one before.",
)
def step_first(optimizer, init_lr_frac, mults):
    rates = []
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"] * init_lr_frac
    for mult in mults:
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * mult
        rates.append(rates_of(optimizer))
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "rates without steps",
    "You compute the rates, and no weight moves. A printed rate is true when a step was "
    "taken with it.",
)
def no_steps(optimizer, init_lr_frac, mults):
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"] * init_lr_frac
    return [[group["initial_lr"] * mult for group in optimizer.param_groups] for mult in mults]


@misconception(
    "midtraining.midtraining_rates",
    "initial_lr of the earlier stage",
    "You keep an initial_lr that is there already. It is a number of the earlier stage; the "
    "rate of this one is lr times the fraction.",
)
def earlier_initial_lr(optimizer, init_lr_frac, mults):
    rates = []
    for group in optimizer.param_groups:
        group.setdefault("initial_lr", group["lr"] * init_lr_frac)
    for mult in mults:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * mult
        optimizer.step()
        rates.append(rates_of(optimizer))
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "no fraction",
    "You use the full rate of the earlier stage. The fraction is nowhere.",
)
def no_fraction(optimizer, init_lr_frac, mults):
    rates = []
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    for mult in mults:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * mult
        optimizer.step()
        rates.append(rates_of(optimizer))
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "initial_lr without the fraction",
    "Your rates are right, but initial_lr holds the rate of the earlier stage. A later step "
    "multiplies what stands there: the fraction belongs in it.",
)
def initial_without_fraction(optimizer, init_lr_frac, mults):
    rates = []
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
    for mult in mults:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * init_lr_frac * mult
        optimizer.step()
        rates.append(rates_of(optimizer))
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "initial_lr is not kept",
    "You do not write initial_lr. Whoever takes the next step looks there for the rate "
    "without the multiplier.",
)
def initial_not_kept(optimizer, init_lr_frac, mults):
    first, rates = rates_of(optimizer), []
    for mult in mults:
        for group, lr in zip(optimizer.param_groups, first, strict=True):
            group["lr"] = lr * init_lr_frac * mult
        optimizer.step()
        rates.append(rates_of(optimizer))
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "initial_lr with the multiplier",
    "You write the rate of the step into initial_lr, multiplier included. It is the rate that"
    " the multipliers multiply, and stays the same.",
)
def initial_with_multiplier(optimizer, init_lr_frac, mults):
    first, rates = rates_of(optimizer), []
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"] * init_lr_frac
    for mult in mults:
        for group, lr in zip(optimizer.param_groups, first, strict=True):
            group["initial_lr"] = group["lr"] = lr * init_lr_frac * mult
        optimizer.step()
        rates.append(rates_of(optimizer))
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "a fraction of the earlier initial_lr",
    "You take the fraction of an initial_lr that is there already. It is a number of an "
    "earlier stage; the rate at the call is the group's lr.",
)
def fraction_of_earlier_initial(optimizer, init_lr_frac, mults):
    rates = []
    for group in optimizer.param_groups:
        group["initial_lr"] = group.get("initial_lr", group["lr"]) * init_lr_frac
    for mult in mults:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * mult
        optimizer.step()
        rates.append(rates_of(optimizer))
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "rates that are not applied",
    "You compute the rates and take the steps, but write none of the rates into its group. "
    "All steps use the old rate.",
)
def not_applied(optimizer, init_lr_frac, mults):
    rates = []
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"] * init_lr_frac
    for mult in mults:
        optimizer.step()
        rates.append([group["initial_lr"] * mult for group in optimizer.param_groups])
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "the fraction twice",
    "You multiply by the fraction once when you keep the rate, and again in each step.",
)
def fraction_twice(optimizer, init_lr_frac, mults):
    rates = []
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"] * init_lr_frac
    for mult in mults:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * init_lr_frac * mult
        optimizer.step()
        rates.append(rates_of(optimizer))
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "the optimizer's default rate",
    "You take the rate from optimizer.defaults. A group with a rate of its own does not have "
    "that one.",
)
def default_rate(optimizer, init_lr_frac, mults):
    rates = []
    for group in optimizer.param_groups:
        group["initial_lr"] = optimizer.defaults["lr"] * init_lr_frac
    for mult in mults:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * mult
        optimizer.step()
        rates.append(rates_of(optimizer))
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "the gradients are set to zero",
    "You call zero_grad after the step. The gradients are given once here: from the second "
    "step on nothing moves.",
)
def zero_gradients(optimizer, init_lr_frac, mults):
    rates = []
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"] * init_lr_frac
    for mult in mults:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * mult
        optimizer.step()
        optimizer.zero_grad()
        rates.append(rates_of(optimizer))
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "a step for every group",
    "You call optimizer.step() once for each group. One step moves all groups: set all rates,"
    " then step once.",
)
def step_for_every_group(optimizer, init_lr_frac, mults):
    rates = []
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"] * init_lr_frac
    for mult in mults:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * mult
            optimizer.step()
        rates.append(rates_of(optimizer))
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "a list for each group",
    "Your table has a list for each group. It should have one for each step, with the rate of"
    " each group in it.",
)
def list_for_each_group(optimizer, init_lr_frac, mults):
    rates = [[] for _ in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"] * init_lr_frac
    for mult in mults:
        for column, group in zip(rates, optimizer.param_groups, strict=True):
            group["lr"] = group["initial_lr"] * mult
            column.append(group["lr"])
        optimizer.step()
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "the rate of one group",
    "You return one number for each step. Every group has a rate of its own, so each step "
    "needs a list.",
)
def rate_of_one_group(optimizer, init_lr_frac, mults):
    rates = []
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"] * init_lr_frac
    for mult in mults:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * mult
        optimizer.step()
        rates.append(optimizer.param_groups[0]["lr"])
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "the rate read too early",
    "You read the rates before you set those of the step. What you return is one step behind.",
)
def read_too_early(optimizer, init_lr_frac, mults):
    rates = []
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"] = group["lr"] * init_lr_frac
    for mult in mults:
        rates.append(rates_of(optimizer))
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * mult
        optimizer.step()
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "a step at the fraction, then the multiplier",
    "You apply the fraction, step, and multiply afterwards. The first step has no multiplier,"
    " and every other one that of the step before.",
)
def fraction_then_step(optimizer, init_lr_frac, mults):
    rates = []
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"] = group["lr"] * init_lr_frac
    for mult in mults:
        optimizer.step()
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * mult
        rates.append(rates_of(optimizer))
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "the multiplier on the rate without the fraction",
    "You keep the fraction in initial_lr, and multiply the rate of the earlier stage. In "
    "every step the fraction is written over.",
)
def multiplier_on_old_rate(optimizer, init_lr_frac, mults):
    first, rates = rates_of(optimizer), []
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"] * init_lr_frac
    for mult in mults:
        for group, lr in zip(optimizer.param_groups, first, strict=True):
            group["lr"] = lr * mult
        optimizer.step()
        rates.append(rates_of(optimizer))
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "the rate without the multiplier is returned",
    "You return initial_lr for each step. Asked is the rate of the step, with its multiplier.",
)
def initial_returned(optimizer, init_lr_frac, mults):
    rates = []
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"] * init_lr_frac
    for mult in mults:
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * mult
        optimizer.step()
        rates.append([group["initial_lr"] for group in optimizer.param_groups])
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "one list for all steps",
    "You append the same list again and again, and change it. In the end all steps show the "
    "rates of the last.",
)
def one_list_for_all_steps(optimizer, init_lr_frac, mults):
    rates, current = [], [0.0 for _ in optimizer.param_groups]
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"] * init_lr_frac
    for mult in mults:
        for i, group in enumerate(optimizer.param_groups):
            group["lr"] = current[i] = group["initial_lr"] * mult
        optimizer.step()
        rates.append(current)
    return rates


@misconception(
    "midtraining.midtraining_rates",
    "only the first group",
    "You set the rate of the first group, and leave the others at that of the earlier stage.",
)
def only_the_first_group(optimizer, init_lr_frac, mults):
    rates, group = [], optimizer.param_groups[0]
    group["initial_lr"] = group["lr"] * init_lr_frac
    for mult in mults:
        group["lr"] = group["initial_lr"] * mult
        optimizer.step()
        rates.append(rates_of(optimizer))
    return rates


# --- targets_that_count -----------------------------------------------------------------------


@misconception(
    "midtraining.targets_that_count",
    "tokens for targets",
    "You count tokens. A row of n tokens has n - 1 targets: <|bos|> is read, and is "
    "nobody's target.",
)
def tokens_for_targets():
    return (45, 41, 25), (33, 33, 17)


@misconception(
    "midtraining.targets_that_count",
    "the end does not count",
    "You leave the end token out. It is a target in all three masks, and in the poem, too.",
)
def without_the_end():
    return (44, 39, 24), (32, 31, 16)


@misconception(
    "midtraining.targets_that_count",
    "the marker is content",
    "You count <|content|> as a target of the content. The mask begins where it is the "
    "input; the target there is 白.",
)
def marker_is_content():
    return (44, 40, 26), (32, 32, 18)


@misconception(
    "midtraining.targets_that_count",
    "stops are no tokens",
    "You count only the Chinese characters. The four stops ，。，。 are tokens and targets, too.",
)
def stops_are_no_tokens():
    return (44, 36, 21), (32, 32, 17)


@misconception(
    "midtraining.targets_that_count",
    "pad to the block size",
    "You count places up to the block size. A batch is only as long as its longest row.",
)
def up_to_block_size():
    return (64, 40, 25), (32, 32, 17)


@misconception(
    "midtraining.targets_that_count",
    "cut to block_size, then shift",
    "You cut the row to 32 tokens and get 31 targets. 33 tokens fit: 32 inputs, 32 targets.",
)
def cut_to_32_tokens():
    return (44, 40, 25), (31, 31, 16)


@misconception(
    "midtraining.targets_that_count",
    "markers are no targets",
    "You leave the markers out. Whatever is not padding and not the first token is "
    "predicted, <|author|> and <|form|> as well.",
)
def markers_are_no_targets():
    return (44, 36, 25), (32, 28, 17)


@misconception(
    "midtraining.targets_that_count",
    "nothing is cut",
    "You count the row whole in the second case. With room for 32 inputs 8 of its 40 "
    "targets have no place.",
)
def nothing_is_cut():
    return (44, 40, 25), (40, 40, 25)


@misconception(
    "midtraining.targets_that_count",
    "content with padding",
    "You count on to the end of the batch. The four places behind the end are padding under "
    "all masks but one.",
)
def content_and_padding():
    return (44, 40, 29), (32, 32, 17)


@misconception(
    "midtraining.targets_that_count",
    "the longest row has 45 targets",
    "You count 45 targets in every row of the batch. The longest row has 45 tokens: 44 "
    "inputs, and 44 targets.",
)
def longest_has_45():
    return (45, 40, 25), (32, 32, 17)


@misconception(
    "midtraining.targets_that_count",
    "the first token is a target",
    "You count <|bos|> among the targets. It is read first, and nothing stands in front of it"
    " that could predict it.",
)
def first_is_a_target():
    return (44, 41, 25), (32, 32, 17)


@misconception(
    "midtraining.targets_that_count",
    "the first token is forgotten",
    "You forget <|bos|>. It is nobody's target, but an input, and the one whose target is "
    "<|author|>.",
)
def first_is_forgotten():
    return (44, 39, 25), (32, 32, 18)


@misconception(
    "midtraining.targets_that_count",
    "as many targets as tokens",
    "You count the tokens of the whole row, of its content with the marker. Each of the three"
    " has one target less.",
)
def as_many_as_tokens():
    return (45, 41, 26), (32, 32, 17)


@misconception(
    "midtraining.targets_that_count",
    "all without the padding",
    'You leave the padding out of "all". This mask counts every target of the batch, and the '
    "batch is as long as its longest row.",
)
def all_without_padding():
    return (40, 40, 25), (32, 32, 17)


@misconception(
    "midtraining.targets_that_count",
    "the whole content of a row that is cut",
    "You count the content whole, though the row is cut. The inputs from <|content|> on have "
    "fewer places there.",
)
def whole_content():
    return (44, 40, 25), (32, 32, 25)


@misconception(
    "midtraining.targets_that_count",
    "count behind the marker",
    "You begin to count at the input behind <|content|>. At the marker itself the target is 白"
    " already.",
)
def behind_the_marker():
    return (44, 40, 24), (32, 32, 16)


@misconception(
    "midtraining.targets_that_count",
    "the end has no place",
    "You take the end out of the row that is cut. pad_batch keeps it: it is the last of the "
    "32 targets.",
)
def end_has_no_place():
    return (44, 40, 25), (32, 31, 16)


@misconception(
    "midtraining.targets_that_count",
    "the cut content is one short",
    "You count 16 targets of the content in the row that is cut. The inputs 15 to 31 are 17, "
    "and each has a target.",
)
def one_short():
    return (44, 40, 25), (32, 32, 16)
