"""Wrong answers to the tasks on pre-training, chapter 06."""

import math

import numpy as np

from nanopoet.trial import misconception

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
