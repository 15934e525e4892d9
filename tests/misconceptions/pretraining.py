"""Wrong answers to the tasks on pre-training, chapter 06."""

import math

import numpy as np
import torch

from nanopoet.checker.trial import misconception

BOS = "<|bos|>"


def joined(parts, dtype=np.uint16):
    return np.array([int(token) for part in parts for token in part]).astype(dtype)


# --- poem_stream ------------------------------------------------------------------------------


@misconception(
    "pretraining.poem_stream",
    "no boundary",
    "Your poems are glued together. A window then teaches that the end of one poem leads to the "
    "beginning of another, and `<|bos|>` is a token that the model has never seen.",
)
def no_boundary(tokenizer, poems):
    return joined([tokenizer.encode(poem.content) for poem in poems])


@misconception(
    "pretraining.poem_stream",
    "a boundary after each poem",
    "You close every poem with the boundary. It stands before a poem: a prompt of `<|bos|>` asks "
    "for a first line.",
)
def boundary_after(tokenizer, poems):
    return joined([[*tokenizer.encode(p.content), tokenizer.special[BOS]] for p in poems])


@misconception(
    "pretraining.poem_stream",
    "boundaries only between poems",
    "Your first poem has no boundary. Every poem begins with one.",
)
def only_between(tokenizer, poems):
    return joined([[tokenizer.special[BOS], *tokenizer.encode(p.content)] for p in poems])[1:]


@misconception(
    "pretraining.poem_stream",
    "one boundary for all",
    "You set one boundary, at the very beginning. The model needs one wherever a poem begins.",
)
def one_for_all(tokenizer, poems):
    return joined([[tokenizer.special[BOS]], *(tokenizer.encode(p.content) for p in poems)])


@misconception(
    "pretraining.poem_stream",
    "the boundary spelled out",
    "You write `<|bos|>` into the text and encode it. No text can produce a special token: it "
    "becomes seven unknown characters. Take its id from `tokenizer.special`.",
)
def spelled_out(tokenizer, poems):
    return joined([tokenizer.encode(BOS + poem.content) for poem in poems])


@misconception(
    "pretraining.poem_stream",
    "a boundary of fixed number",
    "You wrote down the id of the boundary. Another tokenizer gives it another number; ask "
    "`tokenizer.special`.",
)
def fixed_number(tokenizer, poems):
    return joined([[2, *tokenizer.encode(poem.content)] for poem in poems])


@misconception(
    "pretraining.poem_stream",
    "the end marker for a boundary",
    "You use `<|end|>`. In this stage the boundary is `<|bos|>`; the other gets its meaning in "
    "chapter 07.",
)
def end_for_bos(tokenizer, poems):
    return joined([[tokenizer.special["<|end|>"], *tokenizer.encode(p.content)] for p in poems])


@misconception(
    "pretraining.poem_stream",
    "titles in the stream",
    "Your stream holds the titles. In pre-training the model reads contents only.",
)
def with_titles(tokenizer, poems):
    return joined([[tokenizer.special[BOS], *tokenizer.encode(p.title + p.content)] for p in poems])


@misconception(
    "pretraining.poem_stream",
    "ids of 8 bits",
    "Eight bits hold 256 numbers. Larger ids come out as quite another character.",
)
def eight_bits(tokenizer, poems):
    parts = [[tokenizer.special[BOS], *tokenizer.encode(poem.content)] for poem in poems]
    return joined(parts, dtype=np.uint8)


@misconception(
    "pretraining.poem_stream",
    "signed ids of 16 bits",
    "A signed number of 16 bits ends at 32,767. Larger ids come out negative; uint16 goes to "
    "65,535.",
)
def signed_ids(tokenizer, poems):
    parts = [[tokenizer.special[BOS], *tokenizer.encode(poem.content)] for poem in poems]
    return joined(parts, dtype=np.int16)


@misconception(
    "pretraining.poem_stream",
    "a list",
    "The ids are right, but they are in a list. Windows are cut from an array, many at once.",
)
def as_a_list(tokenizer, poems):
    parts = [[tokenizer.special[BOS], *tokenizer.encode(poem.content)] for poem in poems]
    return joined(parts).tolist()


@misconception(
    "pretraining.poem_stream",
    "empty poems left out",
    "You skip poems without characters. They have a boundary like all others, or the stream has "
    "fewer boundaries than poems.",
)
def empty_left_out(tokenizer, poems):
    parts = [[tokenizer.special[BOS], *tokenizer.encode(p.content)] for p in poems if p.content]
    return joined(parts)


@misconception(
    "pretraining.poem_stream",
    "a boundary at the end, too",
    "Your stream ends with a boundary. One stands before every poem, and nowhere else.",
)
def at_the_end_too(tokenizer, poems):
    bos = [tokenizer.special[BOS]]
    return joined([*([*bos, *tokenizer.encode(poem.content)] for poem in poems), bos])


@misconception(
    "pretraining.poem_stream",
    "a marker on both sides",
    "You close every poem as well. In this stage there is one boundary, before each poem.",
)
def on_both_sides(tokenizer, poems):
    bos, end = tokenizer.special[BOS], tokenizer.special["<|end|>"]
    return joined([[bos, *tokenizer.encode(poem.content), end] for poem in poems])


@misconception(
    "pretraining.poem_stream",
    "two boundaries between poems",
    "You set a boundary before and after each poem, so two stand between neighbours.",
)
def two_between(tokenizer, poems):
    bos = tokenizer.special[BOS]
    return joined([[bos, *tokenizer.encode(poem.content), bos] for poem in poems])


@misconception(
    "pretraining.poem_stream",
    "floats",
    "Your ids are floats: `np.zeros` and `np.array([])` make them if no dtype is given. Ids are "
    "whole numbers.",
)
def as_floats(tokenizer, poems):
    parts = [[tokenizer.special[BOS], *tokenizer.encode(poem.content)] for poem in poems]
    return joined(parts, dtype=np.float64)


@misconception(
    "pretraining.poem_stream",
    "0 for a boundary",
    "You left 0 where a boundary should stand. Its id is in `tokenizer.special`.",
)
def zero_for_a_boundary(tokenizer, poems):
    return joined([[0, *tokenizer.encode(poem.content)] for poem in poems])


@misconception(
    "pretraining.poem_stream",
    "boundaries not counted",
    "You find the places of the boundaries from the lengths of the texts alone. Each boundary "
    "before takes a place, too: add 1 to each length.",
)
def boundaries_not_counted(tokenizer, poems):
    lengths = np.array([len(poem.content) for poem in poems])
    text = np.ones(lengths.sum() + len(poems), dtype=bool)
    text[lengths.cumsum() - lengths] = False
    stream = np.full(len(text), tokenizer.special[BOS])
    stream[text] = tokenizer.encode("".join(poem.content for poem in poems))
    return stream


@misconception(
    "pretraining.poem_stream",
    "encode taken for an array",
    "You call an array's method on what `encode` gives. It may be a list: `np.asarray`, `extend` "
    "and `list` take both.",
)
def array_expected(tokenizer, poems):
    return joined([[tokenizer.special[BOS], *tokenizer.encode(p.content).tolist()] for p in poems])


@misconception(
    "pretraining.poem_stream",
    "the last poem lost",
    "Your stream ends before the last poem.",
)
def last_poem_lost(tokenizer, poems):
    return joined([[tokenizer.special[BOS], *tokenizer.encode(p.content)] for p in poems[:-1]])


@misconception(
    "pretraining.poem_stream",
    "array glued to array",
    "You glue array to array for each poem, and each time everything so far is copied. With a "
    "quarter of a million poems that takes hours. Collect in a list.",
)
def glued(tokenizer, poems):
    stream = np.array([], dtype=np.int64)
    for poem in poems:
        stream = np.append(stream, [tokenizer.special[BOS], *tokenizer.encode(poem.content)])
    return stream.astype(np.int64)


@misconception(
    "pretraining.poem_stream",
    "text stripped",
    "You strip or replace characters of the text. All of it belongs to the poem.",
)
def text_stripped(tokenizer, poems):
    return joined([[tokenizer.special[BOS], *tokenizer.encode(p.content.strip())] for p in poems])


@misconception(
    "pretraining.poem_stream",
    "an array of lists",
    "Your array has an entry for each poem, not for each id. `append` adds a list as one thing, "
    "`extend` adds what is in it.",
)
def array_of_lists(tokenizer, poems):
    rows = np.empty(len(poems), dtype=object)
    for i, poem in enumerate(poems):
        rows[i] = [tokenizer.special[BOS], *tokenizer.encode(poem.content)]
    return rows


@misconception(
    "pretraining.poem_stream",
    "arrays and lists mixed up",
    "An array is not a list: `+` adds its numbers up, and `append` puts all of it into a list as "
    "one thing. `extend` takes its ids one by one, from an array and from a list.",
)
def append_for_extend(tokenizer, poems):
    ids = []
    for poem in poems:
        ids.append(tokenizer.special[BOS])
        ids.append(tokenizer.encode(poem.content))
    return np.array(ids, dtype=np.uint16)


@misconception(
    "pretraining.poem_stream",
    "another key for the boundary",
    '`tokenizer.special` has no such key. The boundary is "<|bos|>", with its brackets and bars.',
)
def another_key(tokenizer, poems):
    return joined([[tokenizer.special["bos"], *tokenizer.encode(p.content)] for p in poems])


@misconception(
    "pretraining.poem_stream",
    "a tensor",
    "The ids are right, but they are in a tensor. The contract asks for a NumPy array; uint16 is "
    "a quarter of int64.",
)
def as_a_tensor(tokenizer, poems):
    parts = [[tokenizer.special[BOS], *tokenizer.encode(poem.content)] for poem in poems]
    return torch.from_numpy(joined(parts, dtype=np.int64))


@misconception(
    "pretraining.poem_stream",
    "authors and titles in the stream",
    "Your stream holds authors and titles. In pre-training the model reads contents only.",
)
def with_authors(tokenizer, poems):
    texts = [poem.author + poem.title + poem.content for poem in poems]
    return joined([[tokenizer.special[BOS], *tokenizer.encode(text)] for text in texts])


@misconception(
    "pretraining.poem_stream",
    "the first poem only",
    "A `return` inside the loop ends it after the first poem.",
)
def first_poem_only(tokenizer, poems):
    return joined([[tokenizer.special[BOS], *tokenizer.encode(poems[0].content)]])


@misconception(
    "pretraining.poem_stream",
    "two axes",
    "Your array has two axes. A stream has one: (N,).",
)
def two_axes(tokenizer, poems):
    parts = [[tokenizer.special[BOS], *tokenizer.encode(poem.content)] for poem in poems]
    return joined(parts)[None]


@misconception(
    "pretraining.poem_stream",
    "the name of the boundary",
    'You put the text `<|bos|>` among the ids. Its id is `tokenizer.special["<|bos|>"]`.',
)
def name_of_the_boundary(tokenizer, poems):
    return np.array([token for p in poems for token in (BOS, *tokenizer.encode(p.content))])


# --- split_windows ----------------------------------------------------------------------------


def windows_of(part, block_size, stride):
    starts = np.arange(0, len(part) - block_size, stride)
    return part[starts[:, None] + np.arange(block_size + 1)]


@misconception(
    "pretraining.split_windows",
    "windows dealt out after cutting",
    "The windows are cut first and dealt out afterwards. Where they overlap, most of a validation "
    "window stands in its neighbours, and the model was trained on those.",
    stub=True,
)
def dealt_out(ids, block_size, stride, every=10):
    starts = np.arange(0, len(ids) - block_size, stride)
    windows = ids[starts[:, None] + np.arange(block_size + 1)]
    is_val = np.arange(len(windows)) % every == every - 1
    return windows[~is_val], windows[is_val]


@misconception(
    "pretraining.split_windows",
    "windows parted after cutting",
    "You give the last windows to validation. The first of them still overlap the last training "
    "windows. Part the stream, then cut.",
)
def parted_too_late(ids, block_size, stride, every=10):
    windows = windows_of(ids, block_size, stride)
    end = len(windows) - len(windows) // every
    return windows[:end], windows[end:]


@misconception(
    "pretraining.split_windows",
    "no overlap at all",
    "You made the windows so far apart that none overlap. The stride is the caller's: overlap "
    "within a part is allowed.",
)
def stride_ignored(ids, block_size, stride, every=10):
    end = len(ids) - len(ids) // every
    apart = max(stride, block_size + 1)
    return windows_of(ids[:end], block_size, apart), windows_of(ids[end:], block_size, apart)


@misconception(
    "pretraining.split_windows",
    "validation from the beginning",
    "You take the first part of the stream for validation. The contract takes the last.",
)
def val_first(ids, block_size, stride, every=10):
    n = len(ids) // every
    return windows_of(ids[n:], block_size, stride), windows_of(ids[:n], block_size, stride)


@misconception(
    "pretraining.split_windows",
    "windows without the last target",
    "Your windows have `block_size` ids. The last input then has no target: a window takes one id "
    "more than it has inputs.",
)
def without_target(ids, block_size, stride, every=10):
    end = len(ids) - len(ids) // every
    return (
        windows_of(ids[:end], block_size - 1, stride),
        windows_of(ids[end:], block_size - 1, stride),
    )


@misconception(
    "pretraining.split_windows",
    "the last window lost",
    "You stop one place early. A window that ends with the last id of its part fits, too.",
)
def last_window_lost(ids, block_size, stride, every=10):
    end = len(ids) - len(ids) // every
    return windows_of(ids[: end - 1], block_size, stride), windows_of(
        ids[end:-1], block_size, stride
    )


@misconception(
    "pretraining.split_windows",
    "a cut rounded the other way",
    "You multiply by a fraction and round. A tenth of 101 places is 10 places for validation, and "
    "91 for training; yours gives validation one more.",
)
def rounded_up(ids, block_size, stride, every=10):
    end = int(len(ids) * (1 - 1 / every))
    return windows_of(ids[:end], block_size, stride), windows_of(ids[end:], block_size, stride)


@misconception(
    "pretraining.split_windows",
    "a slice to −0",
    "If no place is for validation, `ids[:-0]` is empty, and `ids[-0:]` is everything. Count from "
    "the front: `len(ids) - n`.",
)
def slice_to_minus_zero(ids, block_size, stride, every=10):
    n = len(ids) // every
    return windows_of(ids[:-n], block_size, stride), windows_of(ids[-n:], block_size, stride)


@misconception(
    "pretraining.split_windows",
    "one window too many",
    "You begin a window where it does not fit any more: it takes `block_size + 1` places.",
)
def one_window_too_many(ids, block_size, stride, every=10):
    end = len(ids) - len(ids) // every
    tables = []
    for part in (ids[:end], ids[end:]):
        starts = np.arange(0, len(part) - block_size + 1, stride)
        tables.append(part[starts[:, None] + np.arange(block_size + 1)])
    return tuple(tables)


@misconception(
    "pretraining.split_windows",
    "no rows, no columns",
    "Where no window fits, your array has the shape (0,). It has 0 rows of `block_size + 1`: two "
    "axes.",
)
def one_axis(ids, block_size, stride, every=10):
    end = len(ids) - len(ids) // every
    return tuple(
        np.array(list(windows_of(part, block_size, stride))) for part in (ids[:end], ids[end:])
    )


@misconception(
    "pretraining.split_windows",
    "an error for a short part",
    "Where a part is too short for a window, yours fails. It gives 0 rows.",
)
def short_part_fails(ids, block_size, stride, every=10):
    end = len(ids) - len(ids) // every
    return tuple(
        np.lib.stride_tricks.sliding_window_view(part, block_size + 1)[::stride]
        for part in (ids[:end], ids[end:])
    )


@misconception(
    "pretraining.split_windows",
    "windows across the cut left out",
    "You cut windows from the whole stream and leave out those across the cut. No place leaks, "
    "but each part should be cut by itself, from its own first place.",
)
def across_left_out(ids, block_size, stride, every=10):
    end = len(ids) - len(ids) // every
    starts = np.arange(0, len(ids) - block_size, stride)
    windows = windows_of(ids, block_size, stride)
    return windows[starts + block_size < end], windows[starts >= end]


@misconception(
    "pretraining.split_windows",
    "windows apart, still dealt out",
    "You set the windows apart and deal them out as before. That ignores the stride; the last `N "
    "// every` places are for validation.",
)
def apart_and_dealt_out(ids, block_size, stride, every=10):
    windows = windows_of(ids, block_size, max(stride, block_size + 1))
    is_val = np.arange(len(windows)) % every == every - 1
    return windows[~is_val], windows[is_val]


@misconception(
    "pretraining.split_windows",
    "training and validation exchanged",
    "You return validation first. Training comes first.",
)
def exchanged(ids, block_size, stride, every=10):
    end = len(ids) - len(ids) // every
    return windows_of(ids[end:], block_size, stride), windows_of(ids[:end], block_size, stride)


@misconception(
    "pretraining.split_windows",
    "the share turned round",
    "You train on one part of `every` and validate on the rest. The last `N // every` places are "
    "for validation.",
)
def share_turned_round(ids, block_size, stride, every=10):
    end = len(ids) // every
    return windows_of(ids[:end], block_size, stride), windows_of(ids[end:], block_size, stride)


@misconception(
    "pretraining.split_windows",
    "always a tenth",
    "You validate on a tenth, whatever `every` says.",
)
def always_a_tenth(ids, block_size, stride, every=10):
    end = len(ids) - len(ids) // 10
    return windows_of(ids[:end], block_size, stride), windows_of(ids[end:], block_size, stride)


@misconception(
    "pretraining.split_windows",
    "another default",
    "Without `every`, a tenth is for validation. You changed that in the first line of the "
    "function.",
)
def another_share(ids, block_size, stride, every=5):
    end = len(ids) - len(ids) // every
    return windows_of(ids[:end], block_size, stride), windows_of(ids[end:], block_size, stride)


@misconception(
    "pretraining.split_windows",
    "validation reaches back",
    "Your validation part begins before the cut, so that its first windows share places with the "
    "training part.",
)
def reaches_back(ids, block_size, stride, every=10):
    end = len(ids) - len(ids) // every
    back = max(end - block_size, 0)
    return windows_of(ids[:end], block_size, stride), windows_of(ids[back:], block_size, stride)


@misconception(
    "pretraining.split_windows",
    "a gap before the cut",
    "You leave out places before the cut. Windows cut from each part by itself cannot cross it: "
    "all other places are for training.",
)
def gap(ids, block_size, stride, every=10):
    end = len(ids) - len(ids) // every
    front = ids[: max(end - block_size, 0)]
    return windows_of(front, block_size, stride), windows_of(ids[end:], block_size, stride)


@misconception(
    "pretraining.split_windows",
    "training on everything",
    "You cut training windows from the whole stream, validation included.",
)
def train_on_everything(ids, block_size, stride, every=10):
    end = len(ids) - len(ids) // every
    return windows_of(ids, block_size, stride), windows_of(ids[end:], block_size, stride)


@misconception(
    "pretraining.split_windows",
    "places dropped before the cut",
    "You make all parts equally long and so round the training part as well. Only `N // every` is "
    "rounded; the rest is for training.",
)
def equal_parts(ids, block_size, stride, every=10):
    end = len(ids) // every * (every - 1)
    return windows_of(ids[:end], block_size, stride), windows_of(ids[end:], block_size, stride)


@misconception(
    "pretraining.split_windows",
    "a stride of a block",
    "Your windows lie `block_size` apart. The stride is the caller's: use `stride`.",
)
def stride_of_a_block(ids, block_size, stride, every=10):
    end = len(ids) - len(ids) // every
    front, back = ids[:end], ids[end:]
    return windows_of(front, block_size, block_size), windows_of(back, block_size, block_size)


@misconception(
    "pretraining.split_windows",
    "at least one place for validation",
    "You take one place for validation where `N // every` is 0. Then all places are for training.",
)
def at_least_one(ids, block_size, stride, every=10):
    end = max(len(ids) - max(len(ids) // every, 1), 0)
    return windows_of(ids[:end], block_size, stride), windows_of(ids[end:], block_size, stride)


@misconception(
    "pretraining.split_windows",
    "a cut rounded to the nearest",
    "You round to the nearest number. `N // every` is rounded down.",
)
def rounded_to_the_nearest(ids, block_size, stride, every=10):
    end = len(ids) - round(len(ids) / every)
    return windows_of(ids[:end], block_size, stride), windows_of(ids[end:], block_size, stride)


@misconception(
    "pretraining.split_windows",
    "only the training part mended",
    "You cut the training windows from their own part, and the validation windows are dealt out "
    "as before. They still share places.",
)
def only_training_mended(ids, block_size, stride, every=10):
    end = len(ids) - len(ids) // every
    return windows_of(ids[:end], block_size, stride), dealt_out(ids, block_size, stride, every)[1]


@misconception(
    "pretraining.split_windows",
    "tensors",
    "Your parts are tensors. The contract asks for NumPy arrays.",
)
def as_tensors(ids, block_size, stride, every=10):
    end = len(ids) - len(ids) // every
    parts = (windows_of(part, block_size, stride) for part in (ids[:end], ids[end:]))
    return tuple(torch.from_numpy(part.astype(np.int64)) for part in parts)


@misconception(
    "pretraining.split_windows",
    "lists of windows",
    "Your parts are lists. The contract asks for arrays, also where a part has 0 rows.",
)
def as_lists(ids, block_size, stride, every=10):
    end = len(ids) - len(ids) // every
    return tuple(windows_of(part, block_size, stride).tolist() for part in (ids[:end], ids[end:]))


# --- first_hundred_updates --------------------------------------------------------------------


def predicted(**changes):
    right = {
        "tokens": 1_638_400,
        "epochs": 1_638_400 / 11_027_051,
        "uniform_loss": math.log(11_868),
        "sample_entropy": 1.75 * math.log(2),
        "farthest_move": 0.03,
        "updates_at_step_90": 91,
    }
    return {**right, **changes}


@misconception(
    "pretraining.first_hundred_updates",
    "windows counted as tokens",
    "You count one token for each window. A window of 256 characters has 256 targets, and the "
    "model learns from all of them at once.",
)
def windows_as_tokens():
    return predicted(tokens=6_400, epochs=6_400 / 11_027_051)


@misconception(
    "pretraining.first_hundred_updates",
    "one update only",
    "You count the tokens of a single update. The run makes a hundred of them.",
)
def one_update_only():
    return predicted(tokens=16_384, epochs=16_384 / 11_027_051)


@misconception(
    "pretraining.first_hundred_updates",
    "an update taken for an epoch",
    "You take each update for one pass through the stream. An update sees 16,384 of 11 million "
    "ids; the whole run sees a seventh of them.",
)
def update_as_epoch():
    return predicted(epochs=100)


@misconception(
    "pretraining.first_hundred_updates",
    "epochs upside down",
    "You divided the stream by the run. Epochs are tokens seen, divided by tokens there are.",
)
def epochs_upside_down():
    return predicted(epochs=11_027_051 / 1_638_400)


@misconception(
    "pretraining.first_hundred_updates",
    "bits instead of nats",
    "You used the logarithm to base 2. That gives bits; losses in this course are in nats, with "
    "the natural logarithm.",
)
def in_bits():
    return predicted(uniform_loss=math.log2(11_868), sample_entropy=1.75)


@misconception(
    "pretraining.first_hundred_updates",
    "every kind of character counted once",
    "You took the plain mean over the four characters. The comma occurs four times as often as 山, "
    "so its surprise counts four times.",
)
def kinds_counted_once():
    return predicted(sample_entropy=9 / 4 * math.log(2))


@misconception(
    "pretraining.first_hundred_updates",
    "four equal characters",
    "ln 4 is the loss if the four characters were equally likely. Knowing that half of the text is "
    "commas, you are surprised less.",
)
def four_equal():
    return predicted(sample_entropy=math.log(4))


@misconception(
    "pretraining.first_hundred_updates",
    "step 90 taken for 90 updates",
    "Steps are counted from 0, and this loop evaluates after the update. At step 0 one update has "
    "been made, at step 90 ninety-one.",
)
def ninety():
    return predicted(updates_at_step_90=90)


@misconception(
    "pretraining.first_hundred_updates",
    "one move only",
    "That is how far a weight moves in one update. If all gradients agree, a hundred moves add up.",
)
def one_move():
    return predicted(farthest_move=3e-4)


@misconception(
    "pretraining.first_hundred_updates",
    "a single window per update",
    "You count one window in each update. There are 64.",
)
def one_window():
    return predicted(tokens=25_600, epochs=25_600 / 11_027_051)


@misconception(
    "pretraining.first_hundred_updates",
    "ninety updates",
    'You count 90 updates. "step 90" is the last loss that is printed; the run has 100 updates.',
)
def ninety_updates():
    return predicted(tokens=90 * 16_384, epochs=90 * 16_384 / 11_027_051)


@misconception(
    "pretraining.first_hundred_updates",
    "whole epochs",
    "You rounded the epochs to a whole number. The run sees a part of the stream: return it with "
    "its decimals.",
)
def whole_epochs():
    return predicted(epochs=0)


@misconception(
    "pretraining.first_hundred_updates",
    "a percentage",
    "You give the epochs in percent. Once through the stream is 1.",
)
def percent():
    return predicted(epochs=100 * 1_638_400 / 11_027_051)


@misconception(
    "pretraining.first_hundred_updates",
    "one run, one epoch",
    "You take the run for one pass through the stream. It sees 1.6 of 11 million ids.",
)
def one_epoch():
    return predicted(epochs=1)


@misconception(
    "pretraining.first_hundred_updates",
    "a probability for a loss",
    "That is the probability of a character. The loss is its surprise, −ln p.",
)
def probability_for_a_loss():
    return predicted(uniform_loss=1 / 11_868)


@misconception(
    "pretraining.first_hundred_updates",
    "the minus forgotten",
    "Your loss is below 0. ln p is negative; the surprise is −ln p.",
)
def minus_forgotten():
    return predicted(uniform_loss=-math.log(11_868), sample_entropy=-1.75 * math.log(2))


@misconception(
    "pretraining.first_hundred_updates",
    "the decimal logarithm",
    "You used the logarithm to base 10. Nats need the natural logarithm.",
)
def decimal_logarithm():
    return predicted(uniform_loss=math.log10(11_868), sample_entropy=1.75 * math.log10(2))


@misconception(
    "pretraining.first_hundred_updates",
    "frequencies for nothing",
    "6.75 is the loss of knowing frequencies, counted on all poems. Neither of the two is asked "
    "for here: knowing nothing costs ln V, and `SAMPLE` is a text of its own.",
)
def frequencies_for_nothing():
    return predicted(uniform_loss=6.75, sample_entropy=6.75)


@misconception(
    "pretraining.first_hundred_updates",
    "a sum for a mean",
    "You add up the surprises of all eight characters. The loss is their mean, per token.",
)
def sum_for_a_mean():
    return predicted(sample_entropy=14 * math.log(2))


@misconception(
    "pretraining.first_hundred_updates",
    "surprises added up without weights",
    "You add up one surprise for each kind of character. Each counts by its share of the text.",
)
def unweighted_sum():
    return predicted(sample_entropy=9 * math.log(2))


@misconception(
    "pretraining.first_hundred_updates",
    "eight equal characters",
    "ln 8 is the loss if all eight characters were different. The comma occurs four times.",
)
def eight_equal():
    return predicted(sample_entropy=math.log(8))


@misconception(
    "pretraining.first_hundred_updates",
    "a move for each token",
    "You let a weight move once for each token. It moves once in each update, whatever the batch "
    "holds.",
)
def move_for_each_token():
    return predicted(farthest_move=1_638_400 * 3e-4)


@misconception(
    "pretraining.first_hundred_updates",
    "a move for each window",
    "You let a weight move once for each window. It moves once in each update, whatever the batch "
    "holds.",
)
def move_for_each_window():
    return predicted(farthest_move=6_400 * 3e-4)


@misconception(
    "pretraining.first_hundred_updates",
    "a slipped decimal point",
    "Your move is off by a power of ten: 100 times 0.0003.",
)
def slipped_point():
    return predicted(farthest_move=0.003)


@misconception(
    "pretraining.first_hundred_updates",
    "counted backwards",
    "You took one off. Step 0 has one update behind it, so at step 90 it is one more than the "
    "number says.",
)
def counted_backwards():
    return predicted(updates_at_step_90=89)


@misconception(
    "pretraining.first_hundred_updates",
    "the whole run at step 90",
    "The run is not over at step 90: 9 updates are still to come.",
)
def whole_run():
    return predicted(updates_at_step_90=100)


@misconception(
    "pretraining.first_hundred_updates",
    "V for a loss",
    "V is the perplexity of knowing nothing. The loss is its logarithm.",
)
def perplexity_for_a_loss():
    return predicted(uniform_loss=11_868)


@misconception(
    "pretraining.first_hundred_updates",
    "ninety moves",
    "You count 90 moves. The run has 100 updates, and a weight moves in each.",
)
def ninety_moves():
    return predicted(farthest_move=0.027)
