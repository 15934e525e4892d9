"""Wrong answers to the tasks of chapter 07."""

import itertools

import numpy as np
import torch

from nanopoet.trial import misconception
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
    return target_mask(idx, targets, kind) & ((targets != END_ID) | (kind == "all"))


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
    "the first poems validate",
    "Your first rows validate, whatever the generator says. A file that is sorted by author "
    "then puts some authors in one set only.",
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
