"""Wrong answers to the tasks of chapter 04."""

import math
import time

import numpy as np
import torch
from torch import nn

from nanopoet.checker.trial import misconception
from nanopoet_ref import training as reference
from nanopoet_ref.loss import masked_cross_entropy
from nanopoet_ref.training import Batch, StepLog, TrainConfig

# --- shift ---------------------------------------------------------------------------------------


@misconception(
    "training.shift",
    "targets equal to the inputs",
    "Each target is the id that the model is looking at. It learns to copy: the loss falls to 0, "
    "and it writes one character for ever.",
)
def no_shift(tokens):
    return tokens[:, :-1], tokens[:, :-1]


@misconception(
    "training.shift",
    "shift the wrong way",
    "Your targets come before their inputs: the model learns to write backwards. The target of "
    "place t is the id at t + 1.",
)
def wrong_way(tokens):
    return tokens[:, 1:], tokens[:, :-1]


@misconception(
    "training.shift",
    "roll round the end",
    "Your last target is the first id of the row. No text continues there; T + 1 ids make only T "
    "pairs.",
)
def roll_round(tokens):
    return tokens, tokens.roll(-1, dims=1)


@misconception(
    "training.shift",
    "cut rows instead of places",
    "You shift along the batch: the target of one text is taken from the next text. Rows are the "
    "first axis, places the second.",
)
def cut_rows(tokens):
    return tokens[:-1], tokens[1:]


@misconception(
    "training.shift",
    "two places on",
    "Your targets leave out one character: they are two places on. What follows place t is at t + "
    "1.",
)
def two_on(tokens):
    return tokens[:, :-2], tokens[:, 2:]


@misconception(
    "training.shift",
    "rolled the wrong way",
    "roll with +1 moves the text to the right: the target of a place is then the id before "
    "it, and the first one comes from the end. It is −1.",
)
def rolled_back(tokens):
    return tokens[:, :-1], tokens.roll(1, dims=1)[:, :-1]


@misconception(
    "training.shift",
    "next number instead of next id",
    "You add 1 to each id. In the example the next id happens to be the next number; a target "
    "is what stands at the next place, whatever its number.",
)
def next_number(tokens):
    return tokens[:, :-1], tokens[:, :-1] + 1


@misconception(
    "training.shift",
    "last target only",
    "You give one target for each row, as for a classifier. A language model is asked at "
    "every place: T inputs, T targets.",
)
def last_target_only(tokens):
    return tokens[:, :-1], tokens[:, -1:]


@misconception(
    "training.shift",
    "targets not cut",
    "You cut the inputs and leave the targets whole: place t still has the id t as its "
    "target, and one target is left over.",
)
def not_cut(tokens):
    return tokens[:, :-1], tokens


@misconception(
    "training.shift",
    "last target padded",
    "You keep all T + 1 inputs and fill up the targets. The last id has no successor here: it "
    "is a target only.",
)
def padded(tokens):
    return tokens, torch.cat([tokens[:, 1:], torch.full_like(tokens[:, :1], -100)], dim=1)


@misconception(
    "training.shift",
    "length of the example built in",
    "You cut to the length of the example, 3. T differs from batch to batch: count from the "
    "end, with −1.",
)
def built_in_length(tokens):
    return tokens[:, :3], tokens[:, 1:4]


@misconception(
    "training.shift",
    "axis of rows lost",
    "You drop an axis when there is one row or one place. The model wants (B, T), with B = 1 "
    "and T = 1, too.",
)
def axis_lost(tokens):
    return tokens[:, :-1].squeeze(), tokens[:, 1:].squeeze()


@misconception(
    "training.shift",
    "first row only",
    "You shift the first row and forget the others. Every row of the batch is a text.",
)
def first_row_only(tokens):
    return tokens[0, :-1], tokens[0, 1:]


@misconception(
    "training.shift",
    "dtype changed",
    "You convert the ids to another type. Here they shall keep theirs; who wants int64 "
    "converts once, where the batch is made.",
)
def dtype_changed(tokens):
    return tokens[:, :-1].long(), tokens[:, 1:].long()


# --- random_windows ------------------------------------------------------------------------------


def cut(ids, starts, block_size):
    places = starts.unsqueeze(1) + torch.arange(block_size + 1)
    rows = torch.from_numpy(ids[places.numpy()].astype(np.int64))
    return Batch(rows[:, :-1], rows[:, 1:])


def require_window(ids, block_size):
    if len(ids) <= block_size:
        raise ValueError("too short")


@misconception(
    "training.random_windows",
    "last window left out",
    "The upper bound of torch.randint is itself never drawn. With another −1 the last window "
    "never comes, and a stream of block_size + 1 ids seems too short.",
)
def last_window_left_out(ids, block_size, batch_size, generator):
    require_window(ids, block_size)
    starts = torch.randint(len(ids) - block_size - 1, (batch_size,), generator=generator)
    return cut(ids, starts, block_size)


@misconception(
    "training.random_windows",
    "a window past the end",
    "Your last start leaves no id for the last target: a window of T inputs takes T + 1 ids. Most "
    "batches do not hit it, so the error would come in the middle of a run.",
)
def past_the_end(ids, block_size, batch_size, generator):
    require_window(ids, block_size)
    starts = torch.randint(len(ids) - block_size + 1, (batch_size,), generator=generator)
    return cut(ids, starts, block_size)


@misconception(
    "training.random_windows",
    "targets equal to the inputs",
    "Your targets are not shifted. The answer is in the question, so the loss falls to 0 and "
    "nothing is learned.",
)
def unshifted(ids, block_size, batch_size, generator):
    batch = reference.random_windows(ids, block_size, batch_size, generator)
    return Batch(batch.idx, batch.idx)


@misconception(
    "training.random_windows",
    "generator not used",
    "You draw from PyTorch's global generator. Dropout draws from it, too, so the same batch "
    "never comes back and a run cannot be repeated.",
)
def global_generator(ids, block_size, batch_size, generator):
    require_window(ids, block_size)
    return cut(ids, torch.randint(len(ids) - block_size, (batch_size,)), block_size)


@misconception(
    "training.random_windows",
    "numpy draws",
    "numpy has a global generator of its own, and `generator` does not reach it. Equal generators "
    "then give different batches.",
)
def numpy_draws(ids, block_size, batch_size, generator):
    require_window(ids, block_size)
    starts = np.random.randint(len(ids) - block_size, size=batch_size)
    return cut(ids, torch.from_numpy(starts), block_size)


@misconception(
    "training.random_windows",
    "seed the generator again",
    "You set the generator back in every call. Then each update of a run gets the same batch, and "
    "the model learns it by heart.",
)
def seeds_again(ids, block_size, batch_size, generator):
    require_window(ids, block_size)
    generator.manual_seed(0)
    starts = torch.randint(len(ids) - block_size, (batch_size,), generator=generator)
    return cut(ids, starts, block_size)


@misconception(
    "training.random_windows",
    "one start for the whole batch",
    "You draw one place and cut all rows from there on. Neighbouring windows share nearly all "
    "their text: draw a place for each row.",
)
def one_start(ids, block_size, batch_size, generator):
    require_window(ids, block_size)
    n_windows = len(ids) - block_size
    start = torch.randint(n_windows, (1,), generator=generator)
    return cut(ids, (start + torch.arange(batch_size)) % n_windows, block_size)


@misconception(
    "training.random_windows",
    "windows not equally likely",
    "Some of your windows come more often than others. Places pushed back from the end gather "
    "there; rounding makes the first and the last one rare. torch.randint draws all alike.",
)
def pushed_back(ids, block_size, batch_size, generator):
    require_window(ids, block_size)
    starts = torch.randint(len(ids), (batch_size,), generator=generator)
    return cut(ids, starts.clamp(max=len(ids) - block_size - 1), block_size)


@misconception(
    "training.random_windows",
    "windows side by side",
    "You cut the stream into blocks and draw among these. A window may begin anywhere: most of "
    "them never come.",
)
def side_by_side(ids, block_size, batch_size, generator):
    require_window(ids, block_size)
    n_blocks = (len(ids) - 1) // block_size
    starts = torch.randint(n_blocks, (batch_size,), generator=generator) * block_size
    return cut(ids, starts, block_size)


@misconception(
    "training.random_windows",
    "draw without putting back",
    "With randperm no window comes twice, so a batch can never hold more rows than there are "
    "windows, and its rows depend on each other.",
)
def without_putting_back(ids, block_size, batch_size, generator):
    require_window(ids, block_size)
    order = torch.randperm(len(ids) - block_size, generator=generator)
    return cut(ids, order[:batch_size], block_size)


@misconception(
    "training.random_windows",
    "type of the stream kept",
    "The stream is stored in small integers to save memory. An embedding and a loss want int64: "
    "convert the windows.",
)
def type_kept(ids, block_size, batch_size, generator):
    require_window(ids, block_size)
    starts = torch.randint(len(ids) - block_size, (batch_size,), generator=generator)
    rows = torch.from_numpy(ids[(starts.unsqueeze(1) + torch.arange(block_size + 1)).numpy()])
    return Batch(rows[:, :-1], rows[:, 1:])


@misconception(
    "training.random_windows",
    "too short a stream not refused",
    "A window needs one more id than its length, for the last target. If the stream is shorter, "
    "say so with a ValueError.",
)
def short_not_refused(ids, block_size, batch_size, generator):
    n_windows = max(len(ids) - block_size, 1)
    starts = torch.randint(n_windows, (batch_size,), generator=generator)
    places = (starts.unsqueeze(1) + torch.arange(block_size + 1)).clamp(max=len(ids) - 1)
    rows = torch.from_numpy(ids[places.numpy()].astype(np.int64))
    return Batch(rows[:, :-1], rows[:, 1:])


@misconception(
    "training.random_windows",
    "first window left out",
    "Your starts begin at 1. The lower bound of torch.randint can be drawn, the upper one "
    "cannot: from 0 up to the number of windows.",
)
def first_left_out(ids, block_size, batch_size, generator):
    require_window(ids, block_size)
    starts = torch.randint(1, len(ids) - block_size, (batch_size,), generator=generator)
    return cut(ids, starts, block_size)


@misconception(
    "training.random_windows",
    "the same window in every row",
    "You draw one start and use it for all rows. A batch of equal rows teaches no more than "
    "one row: draw batch_size starts.",
)
def same_in_every_row(ids, block_size, batch_size, generator):
    require_window(ids, block_size)
    start = torch.randint(len(ids) - block_size, (1,), generator=generator)
    return cut(ids, start.expand(batch_size), block_size)


@misconception(
    "training.random_windows",
    "idx and targets exchanged",
    "Your targets come before their inputs. The model would learn to write backwards; what "
    "follows is the target.",
)
def exchanged(ids, block_size, batch_size, generator):
    batch = reference.random_windows(ids, block_size, batch_size, generator)
    return Batch(batch.targets, batch.idx)


@misconception(
    "training.random_windows",
    "targets rolled inside the window",
    "You roll each window, so that its last target is its own first id. The stream has the "
    "true one: cut block_size + 1 ids.",
)
def rolled_inside(ids, block_size, batch_size, generator):
    batch = reference.random_windows(ids, block_size, batch_size, generator)
    return Batch(batch.idx, batch.idx.roll(-1, dims=1))


@misconception(
    "training.random_windows",
    "stream taken for a ring",
    "Your windows run over the end and go on at the beginning. No text continues there: a "
    "start must leave room for the window and its last target.",
)
def ring(ids, block_size, batch_size, generator):
    require_window(ids, block_size)
    starts = torch.randint(len(ids), (batch_size,), generator=generator)
    return cut(np.concatenate([ids, ids]), starts, block_size)


@misconception(
    "training.random_windows",
    "int32 windows",
    "Your windows are int32. An embedding takes them, but F.cross_entropy wants its targets "
    "in int64: convert to that.",
)
def int32_windows(ids, block_size, batch_size, generator):
    batch = reference.random_windows(ids, block_size, batch_size, generator)
    return Batch(batch.idx.int(), batch.targets.int())


@misconception(
    "training.random_windows",
    "a mask of True",
    "You add a mask in which everything counts. No mask, None, says the same, and the loss "
    "need not look at it.",
)
def mask_of_true(ids, block_size, batch_size, generator):
    batch = reference.random_windows(ids, block_size, batch_size, generator)
    return Batch(batch.idx, batch.targets, torch.ones_like(batch.idx, dtype=torch.bool))


@misconception(
    "training.random_windows",
    "a plain tuple returned",
    "You return a pair. The loop asks for batch.idx and batch.n_tokens: return a Batch.",
)
def plain_tuple(ids, block_size, batch_size, generator):
    return tuple(reference.random_windows(ids, block_size, batch_size, generator)[:2])


@misconception(
    "training.random_windows",
    "length not checked",
    "You leave it to PyTorch to complain about a stream that is too short. Its error speaks "
    "of random numbers: check the length first, and raise ValueError.",
)
def length_not_checked(ids, block_size, batch_size, generator):
    starts = torch.randint(len(ids) - block_size, (batch_size,), generator=generator)
    return cut(ids, starts, block_size)


@misconception(
    "training.random_windows",
    "assert instead of ValueError",
    "assert is for your own mistakes, and python -O leaves it out. A stream that is too short "
    "is a mistake of the caller: raise ValueError.",
)
def asserts(ids, block_size, batch_size, generator):
    assert len(ids) > block_size
    return reference.random_windows(ids, block_size, batch_size, generator)


@misconception(
    "training.random_windows",
    "block_size ids let through",
    "Your test lets a stream of block_size ids through. It has inputs for one window, but no "
    "last target: block_size + 1 ids are needed.",
)
def one_id_missing(ids, block_size, batch_size, generator):
    if len(ids) < block_size:
        raise ValueError("too short")
    return length_not_checked(ids, block_size, batch_size, generator)


@misconception(
    "training.random_windows",
    "one whole window refused",
    "You refuse a stream of block_size + 1 ids. It holds exactly one window.",
)
def whole_window_refused(ids, block_size, batch_size, generator):
    require_window(ids, block_size + 1)
    return reference.random_windows(ids, block_size, batch_size, generator)


@misconception(
    "training.random_windows",
    "a window cut short at the end",
    "Your last start leaves no id for the last target, so its row is shorter than the others "
    "and cannot be stacked with them. Most batches do not hit it: the error would come in the "
    "middle of a run.",
)
def cut_short(ids, block_size, batch_size, generator):
    require_window(ids, block_size)
    starts = torch.randint(len(ids) - block_size + 1, (batch_size,), generator=generator)
    stream = torch.from_numpy(ids.astype(np.int64))
    idx = torch.stack([stream[i : i + block_size] for i in starts])
    return Batch(idx, torch.stack([stream[i + 1 : i + 1 + block_size] for i in starts]))


# --- estimate_loss -------------------------------------------------------------------------------


def measured(model, batches, loss_fn):
    """Sums over all batches: nats, targets that count, the mean and size of each, all targets."""
    nats, n_tokens, means, n_targets = 0.0, 0, [], 0.0
    for batch in batches:
        loss = loss_fn(model(batch.idx), batch.targets, batch.mask).item()
        nats, n_tokens = nats + loss * batch.n_tokens, n_tokens + batch.n_tokens
        means.append((loss, batch.targets.numel()))
        n_targets += batch.targets.numel()
    if n_tokens == 0:
        raise ValueError("nothing counts")
    return nats, n_tokens, means, n_targets


@misconception(
    "training.estimate_loss",
    "mean of means",
    "Each batch counts the same in your mean. A target in a batch of 1 then weighs as much as 40 "
    "targets of another batch.",
)
@torch.no_grad()
def mean_of_means(model, batches, loss_fn):
    with reference.evaluating(model):
        _, _, means, _ = measured(model, batches, loss_fn)
    return sum(loss for loss, _ in means) / len(means)


@misconception(
    "training.estimate_loss",
    "weighed by all targets",
    "You weigh a batch by all its targets, those that do not count included. A mask of False then "
    "pulls the loss down.",
)
@torch.no_grad()
def weighed_by_all(model, batches, loss_fn):
    with reference.evaluating(model):
        _, _, means, n_targets = measured(model, batches, loss_fn)
    return sum(loss * size for loss, size in means) / n_targets


@misconception(
    "training.estimate_loss",
    "means not turned back into sums",
    "loss_fn gives a mean. Divided by the number of targets once more, it becomes a very small "
    "number.",
)
@torch.no_grad()
def means_not_sums(model, batches, loss_fn):
    with reference.evaluating(model):
        _, n_tokens, means, _ = measured(model, batches, loss_fn)
    return sum(loss for loss, _ in means) / n_tokens


@misconception(
    "training.estimate_loss",
    "measured in train mode",
    "Dropout is still on while you measure. The loss is too high, differs from call to call, and "
    "uses up random numbers of the training.",
)
@torch.no_grad()
def in_train_mode(model, batches, loss_fn):
    nats, n_tokens, _, _ = measured(model, batches, loss_fn)
    return nats / n_tokens


@misconception(
    "training.estimate_loss",
    "eval() taken for no_grad()",
    "eval() switches dropout off and nothing else. PyTorch goes on keeping all it would need for "
    "a backward pass; torch.no_grad() stops that.",
)
def keeps_the_graph(model, batches, loss_fn):
    with reference.evaluating(model):
        nats, n_tokens, _, _ = measured(model, batches, loss_fn)
    return nats / n_tokens


@misconception(
    "training.estimate_loss",
    "model left in eval mode",
    "After your measurement the model stays in eval mode, and the rest of the training runs "
    "without dropout. Set back the mode that was there.",
)
@torch.no_grad()
def left_in_eval(model, batches, loss_fn):
    model.eval()
    nats, n_tokens, _, _ = measured(model, batches, loss_fn)
    return nats / n_tokens


@misconception(
    "training.estimate_loss",
    "always back to train mode",
    "You end with model.train(), whatever the mode was. A model that was in eval mode then writes "
    "its poems with dropout.",
)
@torch.no_grad()
def always_to_train(model, batches, loss_fn):
    model.eval()
    try:
        nats, n_tokens, _, _ = measured(model, batches, loss_fn)
    finally:
        model.train()
    return nats / n_tokens


@misconception(
    "training.estimate_loss",
    "mode lost in an error",
    "When loss_fn raises an error, the line that sets the mode back is never reached. What must "
    "happen in any case belongs into `finally`.",
)
@torch.no_grad()
def lost_in_an_error(model, batches, loss_fn):
    was_training = model.training
    model.eval()
    nats, n_tokens, _, _ = measured(model, batches, loss_fn)
    model.train(was_training)
    return nats / n_tokens


@misconception(
    "training.estimate_loss",
    "gradients switched off for good",
    "torch.set_grad_enabled(False) holds after your function, too: the next backward() fails. "
    "`with torch.no_grad():` ends by itself.",
)
def off_for_good(model, batches, loss_fn):
    torch.set_grad_enabled(False)
    with reference.evaluating(model):
        nats, n_tokens, _, _ = measured(model, batches, loss_fn)
    return nats / n_tokens


@misconception(
    "training.estimate_loss",
    "0 when nothing counts",
    "Without a single target there is no mean. A loss of 0 would look like a perfect model: raise "
    "a ValueError.",
)
@torch.no_grad()
def zero_for_nothing(model, batches, loss_fn):
    try:
        return reference.estimate_loss(model, batches, loss_fn)
    except ValueError:
        return 0.0


@misconception(
    "training.estimate_loss",
    "gradients cleared",
    "You clear the gradients of the model. Measuring must leave the run alone, and a loop may be "
    "collecting gradients at this very moment.",
)
def clears_gradients(model, batches, loss_fn):
    model.zero_grad()
    return reference.estimate_loss(model, batches, loss_fn)


@misconception(
    "training.estimate_loss",
    "gradients switched on for good",
    "You end by switching gradients on. Whoever calls under torch.no_grad() had them off, and "
    "wants them off; `with torch.no_grad():` sets back what there was.",
)
def on_for_good(model, batches, loss_fn):
    loss = reference.estimate_loss(model, batches, loss_fn)
    torch.set_grad_enabled(True)
    return loss


@misconception(
    "training.estimate_loss",
    "batches gone through twice",
    "You count the targets first and then go through `batches` again. From a generator "
    "nothing is left: count in the same loop.",
)
def twice(model, batches, loss_fn):
    n_tokens = sum(batch.n_tokens for batch in batches)
    if n_tokens == 0:
        raise ValueError("nothing counts")
    left = list(batches)
    return reference.estimate_loss(model, left, loss_fn) if left else 0.0


@misconception(
    "training.estimate_loss",
    "batches counted when they are used up",
    "You go through `batches` once more to count the targets. From a generator nothing is "
    "left by then: count in the same loop.",
)
def counted_too_late(model, batches, loss_fn):
    used = list(batches)
    reference.estimate_loss(model, used, loss_fn)
    return reference.estimate_loss(model, batches, loss_fn)


@misconception(
    "training.estimate_loss",
    "mask not handed on",
    "You call loss_fn without the mask. The loss of targets that do not count then enters the "
    "mean.",
)
def mask_not_handed_on(model, batches, loss_fn):
    return reference.estimate_loss(model, batches, lambda x, y, mask: loss_fn(x, y, None))


@misconception(
    "training.estimate_loss",
    "weighed by rows",
    "You weigh a batch by its rows. They differ in how many of their targets count; the mean "
    "is one over targets.",
)
@torch.no_grad()
def weighed_by_rows(model, batches, loss_fn):
    nats, n_rows, n_tokens = 0.0, 0, 0
    with reference.evaluating(model):
        for batch in batches:
            loss = loss_fn(model(batch.idx), batch.targets, batch.mask).item()
            nats, n_rows = nats + loss * len(batch.idx), n_rows + len(batch.idx)
            n_tokens += batch.n_tokens
    if n_tokens == 0:
        raise ValueError("nothing counts")
    return nats / n_rows


@misconception(
    "training.estimate_loss",
    "loss of the last batch",
    "You return the loss of the last batch. The mean is over the targets of all of them.",
)
@torch.no_grad()
def last_batch(model, batches, loss_fn):
    with reference.evaluating(model):
        return measured(model, batches, loss_fn)[2][-1][0]


@misconception(
    "training.estimate_loss",
    "sum not divided",
    "You return the sum over all targets. Divide by how many of them count.",
)
@torch.no_grad()
def not_divided(model, batches, loss_fn):
    with reference.evaluating(model):
        return measured(model, batches, loss_fn)[0]


@misconception(
    "training.estimate_loss",
    "sum divided by the number of batches",
    "You turn the means into sums and then divide by the number of batches. A sum over "
    "targets is divided by the number of targets that count.",
)
@torch.no_grad()
def divided_by_batches(model, batches, loss_fn):
    with reference.evaluating(model):
        nats, _, means, _ = measured(model, batches, loss_fn)
    return nats / len(means)


@misconception(
    "training.estimate_loss",
    "a tensor returned",
    "You return a tensor. A log wants a number: .item() or float() gives it.",
)
def tensor_returned(model, batches, loss_fn):
    return torch.tensor(reference.estimate_loss(model, batches, loss_fn))


@misconception(
    "training.estimate_loss",
    "division by no targets",
    "When no target counts, you divide 0 by 0. Ask first, and raise a ValueError that says so.",
)
def divides_by_nothing(model, batches, loss_fn):
    try:
        return reference.estimate_loss(model, batches, loss_fn)
    except ValueError:
        return 0.0 / 0


@misconception(
    "training.estimate_loss",
    "weights frozen for good",
    "You switch requires_grad off for the weights, so that no graph is built. It stays off, "
    "and the training goes on without learning: use torch.no_grad().",
)
def frozen(model, batches, loss_fn):
    model.requires_grad_(False)
    return reference.estimate_loss(model, batches, loss_fn)


@misconception(
    "training.estimate_loss",
    "frozen weights thawed",
    "You end with requires_grad on for all weights. One that was frozen before then begins to "
    "learn: torch.no_grad() leaves the weights as they are.",
)
def thawed(model, batches, loss_fn):
    loss = reference.estimate_loss(model, batches, loss_fn)
    model.requires_grad_(True)
    return loss


@misconception(
    "training.estimate_loss",
    "global seed set",
    "You seed PyTorch's global generator to get the same number each time. Dropout of the "
    "training draws from it, too: fixed batches and eval() are enough.",
)
def seeds_globally(model, batches, loss_fn):
    torch.manual_seed(0)
    return reference.estimate_loss(model, batches, loss_fn)


@misconception(
    "training.estimate_loss",
    "a mask expected",
    "You count with batch.mask.sum(). The mask may be None, and then all targets count: "
    "batch.n_tokens knows both.",
)
def mask_expected(model, batches, loss_fn):
    def masked():
        for batch in batches:
            batch.mask.sum()
            yield batch

    return reference.estimate_loss(model, masked(), loss_fn)


# --- training_step -------------------------------------------------------------------------------


def backward_all(model, batches, loss_fn, weights):
    """Gradients of the micro-batches with these weights; returns the weighed losses."""
    losses = []
    for batch, weight in zip(batches, weights, strict=True):
        loss = loss_fn(model(batch.idx), batch.targets, batch.mask) * weight
        loss.backward()
        losses.append(loss.item())
    return losses


def shares(batches):
    n_tokens = max(sum(batch.n_tokens for batch in batches), 1)
    return [batch.n_tokens / n_tokens for batch in batches]


def clip(model, config):
    limit = math.inf if config.grad_clip is None else config.grad_clip
    return float(nn.utils.clip_grad_norm_(model.parameters(), limit))


def step_and_forget(optimizers):
    for optimizer in optimizers:
        optimizer.step()
        optimizer.zero_grad()


@misconception(
    "training.training_step",
    "mean of means",
    "You divide each loss by the number of micro-batches. A target in a small piece then weighs "
    "more than one in a large piece; weigh by the targets that count.",
)
def step_mean_of_means(model, batches, loss_fn, optimizers, config):
    losses = backward_all(model, batches, loss_fn, [1 / len(batches)] * len(batches))
    norm = clip(model, config)
    step_and_forget(optimizers)
    return sum(losses), norm


@misconception(
    "training.training_step",
    "gradients summed, not averaged",
    "You add up the gradients of all micro-batches at full weight. Two pieces then make a step "
    "twice as long as one batch; each must weigh by its share of the targets.",
)
def step_sum(model, batches, loss_fn, optimizers, config):
    losses = backward_all(model, batches, loss_fn, [1.0] * len(batches))
    norm = clip(model, config)
    step_and_forget(optimizers)
    return sum(losses), norm


@misconception(
    "training.training_step",
    "weighed by all targets",
    "You weigh a piece by all its targets, also those that the mask leaves out. Only targets that "
    "count have a loss.",
)
def step_all_targets(model, batches, loss_fn, optimizers, config):
    n_targets = sum(batch.targets.numel() for batch in batches)
    weights = [batch.targets.numel() / n_targets for batch in batches]
    losses = backward_all(model, batches, loss_fn, weights)
    norm = clip(model, config)
    step_and_forget(optimizers)
    return sum(losses), norm


@misconception(
    "training.training_step",
    "loss of the last piece",
    "The loss that you return is that of the last micro-batch, and only its share. The update "
    "learned from all of them.",
)
def step_last_loss(model, batches, loss_fn, optimizers, config):
    losses = backward_all(model, batches, loss_fn, shares(batches))
    norm = clip(model, config)
    step_and_forget(optimizers)
    return losses[-1], norm


@misconception(
    "training.training_step",
    "forget before, not after",
    "You clear the gradients at the beginning. What was there belongs to this update, and after "
    "your step the old gradients are still stored.",
)
def step_forgets_before(model, batches, loss_fn, optimizers, config):
    for optimizer in optimizers:
        optimizer.zero_grad()
    losses = backward_all(model, batches, loss_fn, shares(batches))
    norm = clip(model, config)
    for optimizer in optimizers:
        optimizer.step()
    return sum(losses), norm


@misconception(
    "training.training_step",
    "never forget",
    "You keep the gradients after the step. PyTorch adds the next ones to them, so old gradients "
    "push on long after they were right.",
)
def step_never_forgets(model, batches, loss_fn, optimizers, config):
    losses = backward_all(model, batches, loss_fn, shares(batches))
    norm = clip(model, config)
    for optimizer in optimizers:
        optimizer.step()
    return sum(losses), norm


@misconception(
    "training.training_step",
    "only the first optimizer",
    "You let only the first optimizer make its step. Each optimizer owns some of the weights; "
    "those of the others never move.",
)
def step_first_only(model, batches, loss_fn, optimizers, config):
    losses = backward_all(model, batches, loss_fn, shares(batches))
    norm = clip(model, config)
    optimizers[0].step()
    model.zero_grad()
    return sum(losses), norm


@misconception(
    "training.training_step",
    "an update for each piece",
    "You make a step after each micro-batch. These are several small updates; micro-batches are "
    "pieces of one.",
)
def step_each_piece(model, batches, loss_fn, optimizers, config):
    total, norm = 0.0, 0.0
    for batch, share in zip(batches, shares(batches), strict=True):
        total += backward_all(model, [batch], loss_fn, [share])[0]
        norm = clip(model, config)
        step_and_forget(optimizers)
    return total, norm


@misconception(
    "training.training_step",
    "clip each piece",
    "You clip after each micro-batch. The limit is for the gradient of the whole update, so clip "
    "once, when all pieces are added up.",
)
def step_clips_pieces(model, batches, loss_fn, optimizers, config):
    total, norm = 0.0, 0.0
    for batch, share in zip(batches, shares(batches), strict=True):
        total += backward_all(model, [batch], loss_fn, [share])[0]
        norm = clip(model, config)
    step_and_forget(optimizers)
    return total, norm


@misconception(
    "training.training_step",
    "clip each parameter by itself",
    "You bound the gradient of each parameter for itself. That bends the direction of the step; "
    "all parameters together are one vector, with one length.",
)
def step_clips_parameters(model, batches, loss_fn, optimizers, config):
    losses = backward_all(model, batches, loss_fn, shares(batches))
    norm = float(nn.utils.clip_grad_norm_(model.parameters(), math.inf))
    for parameter in model.parameters():
        if config.grad_clip is not None:
            nn.utils.clip_grad_norm_([parameter], config.grad_clip)
    step_and_forget(optimizers)
    return sum(losses), norm


@misconception(
    "training.training_step",
    "clip each number",
    "You bound each number of the gradient. Clipping bounds its length and keeps its direction.",
)
def step_clips_numbers(model, batches, loss_fn, optimizers, config):
    losses = backward_all(model, batches, loss_fn, shares(batches))
    norm = float(nn.utils.clip_grad_norm_(model.parameters(), math.inf))
    if config.grad_clip is not None:
        nn.utils.clip_grad_value_(model.parameters(), config.grad_clip)
    step_and_forget(optimizers)
    return sum(losses), norm


@misconception(
    "training.training_step",
    "norm after clipping",
    "You measure the norm after clipping. It is never above the limit, so the log cannot show how "
    "often the limit acts.",
)
def step_norm_after(model, batches, loss_fn, optimizers, config):
    losses = backward_all(model, batches, loss_fn, shares(batches))
    clip(model, config)
    norm = float(
        nn.utils.get_total_norm([p.grad for p in model.parameters() if p.grad is not None])
    )
    step_and_forget(optimizers)
    return sum(losses), norm


@misconception(
    "training.training_step",
    "clip after the step",
    "You clip when the weights have already moved. The limit then bounds nothing: clip between "
    "backward and step.",
)
def step_clips_late(model, batches, loss_fn, optimizers, config):
    losses = backward_all(model, batches, loss_fn, shares(batches))
    for optimizer in optimizers:
        optimizer.step()
    norm = clip(model, config)
    for optimizer in optimizers:
        optimizer.zero_grad()
    return sum(losses), norm


@misconception(
    "training.training_step",
    "short gradients made longer",
    "You bring every gradient to the limit, the short ones, too. Clipping only shortens: near the "
    "goal small gradients must stay small.",
)
def step_always_scales(model, batches, loss_fn, optimizers, config):
    losses = backward_all(model, batches, loss_fn, shares(batches))
    norm = float(nn.utils.clip_grad_norm_(model.parameters(), math.inf))
    for parameter in model.parameters():
        if config.grad_clip is not None and parameter.grad is not None:
            parameter.grad *= config.grad_clip / max(norm, 1e-9)
    step_and_forget(optimizers)
    return sum(losses), norm


@misconception(
    "training.training_step",
    "one backward pass for all pieces",
    "You add up the losses and call backward() once. The numbers are right, but all pieces wait "
    "in memory together, so the big batch would have fitted as well.",
)
def step_one_backward(model, batches, loss_fn, optimizers, config):
    losses = [
        loss_fn(model(batch.idx), batch.targets, batch.mask) * share
        for batch, share in zip(batches, shares(batches), strict=True)
    ]
    sum(losses).backward()
    norm = clip(model, config)
    step_and_forget(optimizers)
    return sum(losses).item(), norm


@misconception(
    "training.training_step",
    "division by no targets",
    "When no target counts, you divide 0 by 0. In a long run such a batch comes one day; it must "
    "move nothing.",
)
def step_divides_by_zero(model, batches, loss_fn, optimizers, config):
    n_tokens = sum(batch.n_tokens for batch in batches)
    losses = backward_all(model, batches, loss_fn, [b.n_tokens / n_tokens for b in batches])
    norm = clip(model, config)
    step_and_forget(optimizers)
    return sum(losses), norm


@misconception(
    "training.training_step",
    "mask not handed on",
    "You call loss_fn without the mask. The update then learns from targets that do not count.",
)
def step_without_mask(model, batches, loss_fn, optimizers, config):
    def unmasked(logits, targets, mask):
        return loss_fn(logits, targets, None)

    return reference.training_step(model, batches, unmasked, optimizers, config)


@misconception(
    "training.training_step",
    "clipped without being asked",
    "With grad_clip None you clip all the same. None means never: use an infinite limit.",
)
def step_always_clips(model, batches, loss_fn, optimizers, config):
    losses = backward_all(model, batches, loss_fn, shares(batches))
    limit = 1.0 if config.grad_clip is None else config.grad_clip
    norm = float(nn.utils.clip_grad_norm_(model.parameters(), limit))
    step_and_forget(optimizers)
    return sum(losses), norm


@misconception(
    "training.training_step",
    "norm measured only when clipping",
    "Without clipping you return 0 as the norm. The log shows the norm in any case: with an "
    "infinite limit clip_grad_norm_ measures and changes nothing.",
)
def step_norm_if_clipped(model, batches, loss_fn, optimizers, config):
    loss, norm = reference.training_step(model, batches, loss_fn, optimizers, config)
    return loss, 0.0 if config.grad_clip is None else norm


@misconception(
    "training.training_step",
    "norms added up",
    "You add up the norms of the parameters. All gradients are one vector: the root of the "
    "sum of all squares.",
)
def step_adds_norms(model, batches, loss_fn, optimizers, config):
    losses = backward_all(model, batches, loss_fn, shares(batches))
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    norm = sum(float(gradient.norm()) for gradient in gradients)
    scale_down(gradients, norm, config)
    step_and_forget(optimizers)
    return sum(losses), norm


def scale_down(gradients, norm, config):
    if config.grad_clip is not None and norm > config.grad_clip:
        for gradient in gradients:
            gradient *= config.grad_clip / norm


@misconception(
    "training.training_step",
    "a gradient expected everywhere",
    "You use p.grad without asking. A parameter that took no part has None there: skip it.",
)
def step_expects_gradients(model, batches, loss_fn, optimizers, config):
    losses = backward_all(model, batches, loss_fn, shares(batches))
    norm = math.sqrt(sum(float(p.grad.square().sum()) for p in model.parameters()))
    scale_down([p.grad for p in model.parameters()], norm, config)
    step_and_forget(optimizers)
    return sum(losses), norm


@misconception(
    "training.training_step",
    "zeros for missing gradients",
    "You give zeros to a parameter that took no part. AdamW then makes a step for it, decay "
    "and old means included; without a gradient (None) it leaves it alone.",
)
def step_fills_zeros(model, batches, loss_fn, optimizers, config):
    losses = backward_all(model, batches, loss_fn, shares(batches))
    for parameter in model.parameters():
        if parameter.grad is None:
            parameter.grad = torch.zeros_like(parameter)
    norm = clip(model, config)
    step_and_forget(optimizers)
    return sum(losses), norm


@misconception(
    "training.training_step",
    "only the first optimizer measured and clipped",
    "You clip the parameters of one optimizer. All parameters together are one vector, "
    "whoever updates them.",
)
def step_clips_first(model, batches, loss_fn, optimizers, config):
    losses = backward_all(model, batches, loss_fn, shares(batches))
    owned = [p for group in optimizers[0].param_groups for p in group["params"]]
    limit = math.inf if config.grad_clip is None else config.grad_clip
    norm = float(nn.utils.clip_grad_norm_(owned, limit))
    step_and_forget(optimizers)
    return sum(losses), norm


@misconception(
    "training.training_step",
    "forgotten in the first optimizer only",
    "You clear the gradients of one optimizer. Those of the others are still there in the "
    "next update.",
)
def step_forgets_first(model, batches, loss_fn, optimizers, config):
    losses = backward_all(model, batches, loss_fn, shares(batches))
    norm = clip(model, config)
    for optimizer in optimizers:
        optimizer.step()
    optimizers[0].zero_grad()
    return sum(losses), norm


@misconception(
    "training.training_step",
    "forgotten between the pieces",
    "You clear the gradients before each micro-batch, so only the last one has a say. They "
    "must add up until the step.",
)
def step_forgets_between(model, batches, loss_fn, optimizers, config):
    losses = []
    for batch, share in zip(batches, shares(batches), strict=True):
        model.zero_grad()
        losses += backward_all(model, [batch], loss_fn, [share])
    norm = clip(model, config)
    step_and_forget(optimizers)
    return sum(losses), norm


@misconception(
    "training.training_step",
    "forgotten before the step",
    "You clear the gradients and then make the step: nothing is left for it. The order is "
    "backward, clip, step, forget.",
)
def step_forgets_early(model, batches, loss_fn, optimizers, config):
    losses = backward_all(model, batches, loss_fn, shares(batches))
    norm = clip(model, config)
    model.zero_grad()
    for optimizer in optimizers:
        optimizer.step()
    return sum(losses), norm


@misconception(
    "training.training_step",
    "backward for the last piece only",
    "Your backward() stands after the loop: only the last micro-batch gets gradients. Each "
    "needs its own backward pass.",
)
def step_last_backward(model, batches, loss_fn, optimizers, config):
    weighed = [
        loss_fn(model(batch.idx), batch.targets, batch.mask) * share
        for batch, share in zip(batches, shares(batches), strict=True)
    ]
    weighed[-1].backward()
    norm = clip(model, config)
    step_and_forget(optimizers)
    return sum(loss.item() for loss in weighed), norm


@misconception(
    "training.training_step",
    "weighed after backward",
    "Your loss is right, but backward() ran before you weighed it. The gradients are those of "
    "a sum of means.",
)
def step_weighs_late(model, batches, loss_fn, optimizers, config):
    losses = backward_all(model, batches, loss_fn, [1.0] * len(batches))
    norm = clip(model, config)
    step_and_forget(optimizers)
    return sum(x * share for x, share in zip(losses, shares(batches), strict=True)), norm


@misconception(
    "training.training_step",
    "divided once more",
    "You weigh the losses by their shares and divide by the number of pieces, too. The shares "
    "add up to 1: nothing is left to divide.",
)
def step_divides_again(model, batches, loss_fn, optimizers, config):
    weights = [share / len(batches) for share in shares(batches)]
    losses = backward_all(model, batches, loss_fn, weights)
    norm = clip(model, config)
    step_and_forget(optimizers)
    return sum(losses), norm


@misconception(
    "training.training_step",
    "logged loss divided once more",
    "The step is right. But the losses are already weighed by their shares: their sum is the "
    "loss, and you divide it by the number of pieces.",
)
def step_logs_divided(model, batches, loss_fn, optimizers, config):
    loss, norm = reference.training_step(model, batches, loss_fn, optimizers, config)
    return loss / len(batches), norm


@misconception(
    "training.training_step",
    "all forward passes first",
    "You run the model on all pieces before the first backward pass. All their graphs wait in "
    "memory together, as those of the big batch would.",
)
def step_forward_first(model, batches, loss_fn, optimizers, config):
    logits = [model(batch.idx) for batch in batches]
    total = 0.0
    for scores, batch, share in zip(logits, batches, shares(batches), strict=True):
        loss = loss_fn(scores, batch.targets, batch.mask) * share
        loss.backward()
        total += loss.item()
    norm = clip(model, config)
    step_and_forget(optimizers)
    return total, norm


@misconception(
    "training.training_step",
    "tensors returned",
    "You return tensors. The log wants numbers; a loss that is still tied to its graph keeps "
    "that in memory.",
)
def step_returns_tensors(model, batches, loss_fn, optimizers, config):
    loss, norm = reference.training_step(model, batches, loss_fn, optimizers, config)
    return torch.tensor(loss), torch.tensor(norm)


@misconception(
    "training.training_step",
    "switched to train mode",
    "You call model.train(). The mode is the business of the caller, who may want to train "
    "without dropout.",
)
def step_switches_mode(model, batches, loss_fn, optimizers, config):
    model.train()
    return reference.training_step(model, batches, loss_fn, optimizers, config)


@misconception(
    "training.training_step",
    "forgotten at the beginning, too",
    "You clear the gradients at the end, and at the beginning as well. What is there at the "
    "call belongs to this update: add to it.",
)
def step_forgets_twice(model, batches, loss_fn, optimizers, config):
    model.zero_grad()
    return reference.training_step(model, batches, loss_fn, optimizers, config)


@misconception(
    "training.training_step",
    "a mask expected",
    "You count with batch.mask.sum(). The mask may be None, and then all targets count: "
    "batch.n_tokens knows both.",
)
def step_expects_mask(model, batches, loss_fn, optimizers, config):
    for batch in batches:
        batch.mask.sum()
    return reference.training_step(model, batches, loss_fn, optimizers, config)


@misconception(
    "training.training_step",
    "None taken for a number",
    "You clip to config.grad_clip without asking. It may be None, which means never to clip.",
)
def step_clips_to_none(model, batches, loss_fn, optimizers, config):
    losses = backward_all(model, batches, loss_fn, shares(batches))
    norm = float(nn.utils.clip_grad_norm_(model.parameters(), float(config.grad_clip)))
    step_and_forget(optimizers)
    return sum(losses), norm


@misconception(
    "training.training_step",
    "sum over targets, not divided",
    "You turn each mean into a sum over its targets and never divide. The step is then as "
    "many times too long as targets count.",
)
def step_sum_over_targets(model, batches, loss_fn, optimizers, config):
    losses = backward_all(model, batches, loss_fn, [batch.n_tokens for batch in batches])
    norm = clip(model, config)
    step_and_forget(optimizers)
    return sum(losses), norm


@misconception(
    "training.training_step",
    "mean of means in the log",
    "The step is right, but you log the plain mean of the pieces' losses. Weigh them as the "
    "gradients are weighed.",
)
def step_logs_mean_of_means(model, batches, loss_fn, optimizers, config):
    losses = raw_losses(model, batches, loss_fn)
    _, norm = reference.training_step(model, batches, loss_fn, optimizers, config)
    return sum(losses) / len(losses), norm


@torch.no_grad()
def raw_losses(model, batches, loss_fn):
    return [loss_fn(model(batch.idx), batch.targets, batch.mask).item() for batch in batches]


@misconception(
    "training.training_step",
    "losses added up in the log",
    "The step is right, but you log the sum of the pieces' losses before their shares. With "
    "four pieces the log says about four times the loss.",
)
def step_logs_sum(model, batches, loss_fn, optimizers, config):
    losses = raw_losses(model, batches, loss_fn)
    return sum(losses), reference.training_step(model, batches, loss_fn, optimizers, config)[1]


@misconception(
    "training.training_step",
    "only the last loss in the log",
    "The step is right, but you log the loss of the last micro-batch. The update learned from "
    "all of them.",
)
def step_logs_last(model, batches, loss_fn, optimizers, config):
    losses = raw_losses(model, batches, loss_fn)
    return losses[-1], reference.training_step(model, batches, loss_fn, optimizers, config)[1]


# --- set_learning_rate ---------------------------------------------------------------------------


def all_groups(optimizers):
    return [group for optimizer in optimizers for group in optimizer.param_groups]


@misconception(
    "training.set_learning_rate",
    "rates that shrink again and again",
    "You multiply the present rate. After two calls with 0.5 it is a quarter of the first one. "
    "The multiplier is meant for the first rate.",
)
def compounds(optimizers, mult):
    for group in all_groups(optimizers):
        group.setdefault("initial_lr", group["lr"])
        group["lr"] *= mult


@misconception(
    "training.set_learning_rate",
    "initial_lr written anew",
    "You overwrite initial_lr with the present rate in each call. From the second call on it is "
    "no longer the first rate.",
)
def written_anew(optimizers, mult):
    for group in all_groups(optimizers):
        group["initial_lr"] = group["lr"]
        group["lr"] = group["initial_lr"] * mult


@misconception(
    "training.set_learning_rate",
    "one rate for all groups",
    "You give all groups the rate of the first one. Embeddings, matrices and biases have rates of "
    "their own, for good reasons.",
)
def one_for_all(optimizers, mult):
    for group in all_groups(optimizers):
        group.setdefault("initial_lr", group["lr"])
    for group in all_groups(optimizers):
        group["lr"] = optimizers[0].param_groups[0]["initial_lr"] * mult


@misconception(
    "training.set_learning_rate",
    "multiplier taken for the rate",
    "You set the rate to the multiplier itself. A multiplier of 1 means the first rate, which may "
    "be 0.001.",
)
def mult_as_rate(optimizers, mult):
    for group in all_groups(optimizers):
        group.setdefault("initial_lr", group["lr"])
        group["lr"] = mult


@misconception(
    "training.set_learning_rate",
    "only the first optimizer",
    "Only the groups of the first optimizer get their rate. The others go on at full speed.",
)
def first_optimizer(optimizers, mult):
    for group in optimizers[0].param_groups:
        group.setdefault("initial_lr", group["lr"])
        group["lr"] = group["initial_lr"] * mult


@misconception(
    "training.set_learning_rate",
    "only the first group",
    "Only the first group of each optimizer gets its rate. An optimizer may have several.",
)
def first_group(optimizers, mult):
    for optimizer in optimizers:
        group = optimizer.param_groups[0]
        group.setdefault("initial_lr", group["lr"])
        group["lr"] = group["initial_lr"] * mult


@misconception(
    "training.set_learning_rate",
    "initial_lr kept elsewhere",
    "You keep the first rates under a key of your own. A checkpoint stores initial_lr: after a "
    "restart yours is missing, and a rate that is already multiplied is taken for the first one.",
)
def kept_elsewhere(optimizers, mult):
    for group in all_groups(optimizers):
        group["lr"] = group.setdefault("first_lr", group["lr"]) * mult


@misconception(
    "training.set_learning_rate",
    "initial_lr stored too late",
    "You store initial_lr after the rate has been multiplied. It then holds the first rate times "
    "the first multiplier, which in a warmup is small.",
)
def stored_late(optimizers, mult):
    for group in all_groups(optimizers):
        group["lr"] = group.get("initial_lr", group["lr"]) * mult
        group.setdefault("initial_lr", group["lr"])


@misconception(
    "training.set_learning_rate",
    "initial_lr never stored",
    "You never store initial_lr, so each call begins at the rate that the last one left. A "
    "multiplier of 0.5, given twice, gives a quarter.",
)
def never_stored(optimizers, mult):
    for group in all_groups(optimizers):
        group["lr"] *= mult


@misconception(
    "training.set_learning_rate",
    "initial_lr expected to be there",
    "PyTorch's schedulers store initial_lr; an optimizer alone does not have it. Where it is "
    "missing, it is the rate found now.",
)
def expected_there(optimizers, mult):
    for group in all_groups(optimizers):
        group["lr"] = group["initial_lr"] * mult


@misconception(
    "training.set_learning_rate",
    "initial_lr multiplied, too",
    "You write the new rate into initial_lr. It is the first rate, and stays it for the whole run.",
)
def multiplied_too(optimizers, mult):
    for group in all_groups(optimizers):
        group.setdefault("initial_lr", group["lr"])
        group["initial_lr"] *= mult
        group["lr"] = group["initial_lr"]


@misconception(
    "training.set_learning_rate",
    "one rate for each optimizer",
    "You give all groups of an optimizer the rate of its first group. Each group has a rate "
    "of its own.",
)
def one_for_each(optimizers, mult):
    for optimizer in optimizers:
        one_for_all([optimizer], mult)


@misconception(
    "training.set_learning_rate",
    "default of the optimizer taken for the rate",
    "optimizer.defaults holds what new groups would get. Groups may have been given rates of "
    "their own: read group['lr'].",
)
def from_defaults(optimizers, mult):
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", optimizer.defaults["lr"])
            group["lr"] = group["initial_lr"] * mult


@misconception(
    "training.set_learning_rate",
    "rate written where nobody reads it",
    "You set an attribute or a default of the optimizer. The step reads group['lr'] and "
    "nothing else.",
)
def nobody_reads(optimizers, mult):
    for optimizer in optimizers:
        optimizer.defaults["lr"] *= mult


# --- train ---------------------------------------------------------------------------------------


class Loop:
    """The right loop, cut into pieces; each wrong answer changes one of them."""

    def __init__(self, model, next_batch, loss_fn, lr_mult, config, *, optimizers, **rest):
        self.model, self.next_batch, self.loss_fn = model, next_batch, loss_fn
        self.lr_mult, self.config, self.optimizers = lr_mult, config, optimizers
        self.eval_batches = rest.get("eval_batches") or {}
        self.callback = rest.get("callback") or (lambda log: None)
        self.start_step = rest.get("start_step", 0)
        self.groups = all_groups(optimizers)
        for group in self.groups:
            group.setdefault("initial_lr", group["lr"])
        self.logs = []

    def due(self, step):
        return step % self.config.eval_interval == 0 or step == self.config.max_steps

    def losses(self, step):
        found = {}
        if self.due(step):
            for split, batches in self.eval_batches.items():
                loss = reference.estimate_loss(self.model, batches, self.loss_fn)
                found[f"{split}_loss"] = loss
        return found

    def begin(self):
        if self.start_step == 0:
            self.record(step=0)
        self.model.train()

    def record(self, **fields):
        log = StepLog(**(fields | self.losses(fields["step"])))
        self.logs.append(log)
        self.callback(log)

    def batches(self):
        return [self.next_batch() for _ in range(self.config.micro_steps)]

    def tokens(self, batches):
        return sum(batch.n_tokens for batch in batches)

    def set_rates(self, step):
        mult = self.lr_mult(step)
        for group in self.groups:
            group["lr"] = group["initial_lr"] * mult

    def rate(self, step):
        return self.groups[0]["lr"]

    def update(self, step):
        began = time.perf_counter()
        self.set_rates(step)
        batches = self.batches()
        arguments = (self.model, batches, self.loss_fn, self.optimizers, self.config)
        loss, grad_norm = reference.training_step(*arguments)
        fields = {"step": step + 1, "loss": loss, "grad_norm": grad_norm, "lr": self.rate(step)}
        seconds = time.perf_counter() - began
        self.record(**fields, tokens=self.tokens(batches), seconds=seconds)

    def run(self):
        self.begin()
        for step in range(self.start_step, self.config.max_steps):
            self.update(step)
        return self.logs


def wrong_loop(name, explanation):
    """Register a loop that differs from the right one in a method or two."""

    def register(loop):
        def train(*args, **options):
            return loop(*args, **options).run()

        misconception("training.train", name, explanation)(train)
        return loop

    return register


@wrong_loop(
    "no log of the untrained model",
    "Your logs begin after the first update. The first loss of an untrained model must be ln V: "
    "it is the best test of a run, and you do not make it.",
)
class NoStepZero(Loop):
    def begin(self):
        self.model.train()


@wrong_loop(
    "last weights never measured",
    "You measure at multiples of eval_interval only. The weights that are kept in the end are "
    "those after the last step; measure these, too.",
)
class LastNotMeasured(Loop):
    def due(self, step):
        return step % self.config.eval_interval == 0


@wrong_loop(
    "measured before the update",
    "The losses in the log of step i + 1 are those of the weights before that update. They belong "
    "to step i; the final weights are never measured.",
)
class MeasuredBefore(Loop):
    def update(self, step):
        self.early = super().losses(step + 1)
        super().update(step)

    def losses(self, step):
        return self.early if step else super().losses(step)


@wrong_loop(
    "multiplier of the next update",
    "You ask for lr_mult(i + 1) in update i. The schedule counts updates from 0, so the first "
    "multiplier is left out.",
)
class NextMultiplier(Loop):
    def set_rates(self, step):
        super().set_rates(step + 1)


@wrong_loop(
    "schedule begun anew",
    "After an interruption your schedule begins at 0 again. The multiplier belongs to the number "
    "of the update, which goes on at start_step.",
)
class ScheduleAnew(Loop):
    def set_rates(self, step):
        super().set_rates(step - self.start_step)


@wrong_loop(
    "begun from 0 after an interruption",
    "You ignore start_step. The updates that an interrupted run has behind it are made a second "
    "time.",
)
class IgnoresStart(Loop):
    def __init__(self, *args, **options):
        super().__init__(*args, **(options | {"start_step": 0}))


@wrong_loop(
    "step 0 logged again",
    "A run that goes on logs step 0 once more, though its model is no longer untrained. Step 0 is "
    "for start_step 0.",
)
class StepZeroAgain(Loop):
    def begin(self):
        self.record(step=0)
        self.model.train()


@wrong_loop(
    "first rate in the log",
    "You log initial_lr. What acted is that rate times the multiplier: read it from the optimizer.",
)
class LogsFirstRate(Loop):
    def rate(self, step):
        return self.groups[0]["initial_lr"]


@wrong_loop(
    "rate computed a second time",
    "You ask the schedule once for the optimizer and once more for the log. Two computations can "
    "disagree; read the rate back from the optimizer.",
)
class RateTwice(Loop):
    def rate(self, step):
        return self.groups[0]["initial_lr"] * self.lr_mult(step)


@wrong_loop(
    "rate not set",
    "You never hand the multiplier to the optimizer. The learning rate stays at its first value "
    "whatever the schedule says.",
)
class RateNotSet(Loop):
    def set_rates(self, step):
        self.lr_mult(step)


@wrong_loop(
    "trained in eval mode",
    "You train in the mode in which the model was handed over. In eval mode dropout is off: "
    "switch to train mode before the first update.",
)
class InEvalMode(Loop):
    def begin(self):
        if self.start_step == 0:
            self.record(step=0)


@wrong_loop(
    "callback before the measurement",
    "You call back before the losses are in the log. Whoever prints or saves it does not see them.",
)
class CallbackEarly(Loop):
    def record(self, **fields):
        self.callback(StepLog(**fields))
        self.logs.append(StepLog(**(fields | self.losses(fields["step"]))))


@wrong_loop(
    "callback at the end",
    "You call back when the training is over. A checkpoint of step 10 would hold the weights of "
    "the last step.",
)
class CallbackLate(Loop):
    def record(self, **fields):
        self.logs.append(StepLog(**(fields | self.losses(fields["step"]))))

    def run(self):
        for log in super().run():
            self.callback(log)
        return self.logs


@wrong_loop(
    "one batch for each update",
    "You take one batch for an update, whatever micro_steps says. An update shall learn from "
    "micro_steps of them.",
)
class OneBatch(Loop):
    def batches(self):
        return [self.next_batch()]


@wrong_loop(
    "tokens of one piece",
    "You count the tokens of one micro-batch. The update learned from all of them, and took the "
    "time of all of them.",
)
class TokensOfOne(Loop):
    def tokens(self, batches):
        return batches[-1].n_tokens


@wrong_loop(
    "all targets counted as tokens",
    "You count every target, those that the mask leaves out included. `tokens` are the targets "
    "that counted.",
)
class AllTargets(Loop):
    def tokens(self, batches):
        return sum(batch.targets.numel() for batch in batches)


@wrong_loop(
    "seconds with the evaluation",
    "Your seconds include the evaluation. Divide tokens by them, and the training seems slow "
    "whenever it is measured.",
)
class SecondsOfAll(Loop):
    def update(self, step):
        self.began = time.perf_counter()
        super().update(step)

    def record(self, **fields):
        losses = self.losses(fields["step"])
        if fields["step"]:
            fields["seconds"] = time.perf_counter() - self.began
        self.logs.append(StepLog(**(fields | losses)))
        self.callback(self.logs[-1])


@wrong_loop(
    "one update too many",
    "You make max_steps + 1 updates. They are numbered from 0, so the last one is max_steps − 1.",
)
class OneTooMany(Loop):
    def run(self):
        self.begin()
        for step in range(self.start_step, self.config.max_steps + 1):
            self.update(step)
        return self.logs


@wrong_loop(
    "max_steps more updates",
    "After an interruption you make max_steps updates more. max_steps is the number at which the "
    "run is done, not how many are left.",
)
class MaxStepsMore(Loop):
    def run(self):
        self.begin()
        for step in range(self.start_step, self.start_step + self.config.max_steps):
            self.update(step)
        return self.logs


@wrong_loop(
    "steps counted from 0",
    "You log update i as step i. After it i + 1 updates are made: step 0 is the model before "
    "the first one.",
)
class CountsFromZero(Loop):
    def record(self, **fields):
        if "loss" in fields:
            fields["step"] -= 1
        super().record(**fields)


@wrong_loop(
    "multiplier logged as the rate",
    "You log the multiplier. The rate is initial_lr times that; read it back from the optimizer.",
)
class LogsMultiplier(Loop):
    def rate(self, step):
        return self.lr_mult(step)


@wrong_loop(
    "multiplier taken for the rate",
    "You give the multiplier itself to the groups. It stands for a share of each group's "
    "first rate.",
)
class MultiplierAsRate(Loop):
    def set_rates(self, step):
        for group in self.groups:
            group["lr"] = self.lr_mult(step)


@wrong_loop(
    "rates that shrink again and again",
    "You multiply the present rate in each update. The multiplier is meant for initial_lr.",
)
class Compounds(Loop):
    def set_rates(self, step):
        for group in self.groups:
            group["lr"] *= self.lr_mult(step)


@wrong_loop(
    "first optimizer's rates only",
    "You set the rates of the first optimizer. The others go on at full speed.",
)
class FirstOptimizerOnly(Loop):
    def set_rates(self, step):
        mult = self.lr_mult(step)
        for group in self.optimizers[0].param_groups:
            group["lr"] = group["initial_lr"] * mult


@wrong_loop(
    "rate set after the update",
    "You set the rates when the step has been made. Each multiplier acts one update late, and "
    "the first update has the full rate.",
)
class RateSetLate(Loop):
    def set_rates(self, step):
        pass

    def rate(self, step):
        super().set_rates(step)
        return super().rate(step)


@wrong_loop(
    "start_step forgotten by the loop",
    "You leave out the log of step 0, but your updates begin at 0 again. What an interrupted "
    "run has behind it is made a second time.",
)
class UpdatesFromZero(Loop):
    def run(self):
        self.begin()
        for step in range(self.config.max_steps):
            self.update(step)
        return self.logs


@wrong_loop(
    "log before the first update of a resumed run",
    "A run that goes on begins with a log of start_step. The interrupted run has written that "
    "one; only step 0 has a log without an update.",
)
class LogsTheStart(Loop):
    def begin(self):
        self.record(step=self.start_step)
        self.model.train()


@wrong_loop(
    "only measured steps logged",
    "You log the steps that are due and no others. Each update has a log; train_loss and "
    "val_loss are None where nothing was measured.",
)
class OnlyDueLogged(Loop):
    def record(self, **fields):
        if self.due(fields["step"]):
            super().record(**fields)


@wrong_loop(
    "untrained model not measured",
    "You do not measure at step 0. It is a multiple of eval_interval, too, and the first loss "
    "must be ln V.",
)
class StepZeroNotMeasured(Loop):
    def due(self, step):
        return step > 0 and super().due(step)


@wrong_loop(
    "due by the number of the update",
    "You ask whether update i is due. Step i + 1 is what its log shows, and what must be a "
    "multiple of eval_interval.",
)
class DueOneLate(Loop):
    def due(self, step):
        return super().due(max(step - 1, 0))


@wrong_loop(
    "only the validation split measured",
    "You measure eval_batches['val'] alone. The distance between both losses shows what was "
    "learned by heart.",
)
class OnlyValidation(Loop):
    def losses(self, step):
        return {name: x for name, x in super().losses(step).items() if name == "val_loss"}


@wrong_loop(
    "both splits expected",
    "You ask for both splits. Either may be missing: measure what is there.",
)
class BothExpected(Loop):
    def losses(self, step):
        found = super().losses(step)
        if self.due(step):
            found = {name: found[name] for name in ("train_loss", "val_loss")}
        return found


@wrong_loop(
    "eval_batches expected",
    "You use eval_batches without asking. It may be None: then nothing is measured.",
)
class BatchesExpected(Loop):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.eval_batches = options.get("eval_batches")


@wrong_loop(
    "callback expected",
    "You call callback without asking. It may be None.",
)
class CallbackExpected(Loop):
    def __init__(self, *args, **options):
        super().__init__(*args, **options)
        self.callback = options.get("callback")


@wrong_loop(
    "callback only when measured",
    "You call back at the steps that are due. The callback gets every log.",
)
class CallbackWhenDue(Loop):
    def record(self, **fields):
        log = StepLog(**(fields | self.losses(fields["step"])))
        self.logs.append(log)
        if self.due(log.step):
            self.callback(log)


@wrong_loop(
    "eval mode after the first measurement",
    "The first measurement leaves the model in eval mode, and the updates after it run "
    "without dropout. Call model.train() before each update, or set back the mode.",
)
class EvalModeStays(Loop):
    def losses(self, step):
        found = super().losses(step)
        if found:
            self.model.eval()
        return found


@wrong_loop(
    "measured on training batches",
    "You measure on what next_batch() gives. That uses up batches of the training, and the "
    "numbers jump from batch to batch: eval_batches are fixed.",
)
class MeasuresOnTraining(Loop):
    def losses(self, step):
        found = {}
        if self.due(step):
            for split, batches in self.eval_batches.items():
                drawn = [self.next_batch() for _ in batches]
                found[f"{split}_loss"] = reference.estimate_loss(self.model, drawn, self.loss_fn)
        return found


@wrong_loop(
    "one batch repeated",
    "You take one batch and use it micro_steps times. Call next_batch() for each micro-batch.",
)
class OneRepeated(Loop):
    def batches(self):
        return [self.next_batch()] * self.config.micro_steps


@wrong_loop(
    "a batch fetched ahead",
    "You fetch the next batch before it is needed, and one more than the run uses. A run that "
    "goes on would then begin one batch too late.",
)
class FetchesAhead(Loop):
    def begin(self):
        super().begin()
        self.ahead = self.next_batch()

    def batches(self):
        got = [self.ahead, *(self.next_batch() for _ in range(self.config.micro_steps - 1))]
        self.ahead = self.next_batch()
        return got


@wrong_loop(
    "an update for each micro-batch",
    "You make a training step for each micro-batch. Hand all of them to one step: together "
    "they are one update.",
)
class UpdateForEach(Loop):
    def update(self, step):
        began = time.perf_counter()
        self.set_rates(step)
        batches = self.batches()
        for batch in batches:
            arguments = (self.model, [batch], self.loss_fn, self.optimizers, self.config)
            loss, grad_norm = reference.training_step(*arguments)
        fields = {"step": step + 1, "loss": loss, "grad_norm": grad_norm, "lr": self.rate(step)}
        seconds = time.perf_counter() - began
        self.record(**fields, tokens=self.tokens(batches), seconds=seconds)


@wrong_loop(
    "seconds not measured",
    "You leave seconds at 0. Read a clock such as time.perf_counter() before and after the update.",
)
class NoSeconds(Loop):
    def record(self, **fields):
        super().record(**(fields | {"seconds": 0.0}))


@wrong_loop(
    "rate logged for the untrained model",
    "Your log of step 0 holds a rate. None has acted yet: lr is None there, as loss and "
    "grad_norm are.",
)
class RateAtStepZero(Loop):
    def record(self, **fields):
        super().record(**({"lr": self.groups[0]["lr"]} | fields))


@wrong_loop(
    "loss of 0 for the untrained model",
    "Your log of step 0 holds a loss of 0. No update was made: its loss is None, and a curve "
    "must not begin at 0.",
)
class LossAtStepZero(Loop):
    def record(self, **fields):
        super().record(**({"loss": 0.0} | fields))


@wrong_loop(
    "rate set once",
    "You set the rates once, before the loop. The schedule gives a multiplier for each update.",
)
class RateSetOnce(Loop):
    def set_rates(self, step):
        if step == self.start_step:
            super().set_rates(step)


# --- adamw_step ----------------------------------------------------------------------------------


def adam(p, grad, m, v, step, lr, betas, eps, weight_decay, corrected=True):
    m = betas[0] * m + (1 - betas[0]) * grad
    v = betas[1] * v + (1 - betas[1]) * grad**2
    m_hat, v_hat = (m, v) if not corrected else (m / (1 - betas[0] ** step), v)
    v_hat = v_hat / (1 - betas[1] ** step) if corrected else v_hat
    return p * (1 - lr * weight_decay) - lr * m_hat / (v_hat.sqrt() + eps), m, v


@misconception(
    "training.adamw_step",
    "no bias correction",
    "You use m and v as they are. Both began at 0 and are too small in the first steps, but not "
    "by the same factor: the first step has the wrong length.",
)
def no_correction(*args):
    return adam(*args, corrected=False)


@misconception(
    "training.adamw_step",
    "decay added to the gradient",
    "You add weight_decay · p to the gradient, as Adam does. AdamW divides by the gradient's "
    "size, and the decay with it. Take it from the weight directly: that is the W.",
)
def l2(p, grad, m, v, step, lr, betas, eps, weight_decay):
    return adam(p, grad + weight_decay * p, m, v, step, lr, betas, eps, 0.0)


@misconception(
    "training.adamw_step",
    "decay without the learning rate",
    "You shrink the weight by weight_decay in each step. It is lr · weight_decay; with 0.1 the "
    "weights would be gone after 50 steps.",
)
def decay_without_lr(p, grad, m, v, step, lr, betas, eps, weight_decay):
    return adam(p, grad, m, v, step, lr, betas, eps, weight_decay / lr)


@misconception(
    "training.adamw_step",
    "no weight decay",
    "You leave weight_decay out. This is Adam with the decay set to 0.",
)
def no_decay(p, grad, m, v, step, lr, betas, eps, weight_decay):
    return adam(p, grad, m, v, step, lr, betas, eps, 0.0)


@misconception(
    "training.adamw_step",
    "steps counted from 0",
    "You correct with step + 1, as if the first step had number 0. It has number 1, so your "
    "correction is too weak.",
)
def from_zero(p, grad, m, v, step, lr, betas, eps, weight_decay):
    return adam(p, grad, m, v, step + 1, lr, betas, eps, weight_decay)


@misconception(
    "training.adamw_step",
    "corrected means returned",
    "You return m and v after the correction. The next step would correct them a second time; "
    "keep the plain running means.",
)
def corrected_returned(p, grad, m, v, step, lr, betas, eps, weight_decay):
    p, m, v = adam(p, grad, m, v, step, lr, betas, eps, weight_decay)
    return p, m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)


@misconception(
    "training.adamw_step",
    "eps under the root",
    "You add eps before taking the root. √1e-8 is 1e-4: ten thousand times what was meant. eps "
    "comes after the root.",
)
def eps_under_the_root(p, grad, m, v, step, lr, betas, eps, weight_decay):
    _, m, v = adam(p, grad, m, v, step, lr, betas, eps, weight_decay)
    m_hat, v_hat = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
    return p * (1 - lr * weight_decay) - lr * m_hat / (v_hat + eps).sqrt(), m, v


@misconception(
    "training.adamw_step",
    "no root",
    "You divide by the mean square itself. It has the size of the gradient squared; only its root "
    "has the gradient's size.",
)
def no_root(p, grad, m, v, step, lr, betas, eps, weight_decay):
    _, m, v = adam(p, grad, m, v, step, lr, betas, eps, weight_decay)
    m_hat, v_hat = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
    return p * (1 - lr * weight_decay) - lr * m_hat / (v_hat + eps), m, v


@misconception(
    "training.adamw_step",
    "new share and old share exchanged",
    "You weigh the new gradient with β and the old mean with 1 − β. A running mean keeps the "
    "share β of what it was.",
)
def shares_exchanged(p, grad, m, v, step, lr, betas, eps, weight_decay):
    m = (1 - betas[0]) * m + betas[0] * grad
    v = (1 - betas[1]) * v + betas[1] * grad**2
    m_hat, v_hat = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
    return p * (1 - lr * weight_decay) - lr * m_hat / (v_hat.sqrt() + eps), m, v


@misconception(
    "training.adamw_step",
    "decay after the step",
    "You move the weight first and shrink the result. The decay then takes a share of the step, "
    "too; shrink the old weight.",
)
def decay_after(p, grad, m, v, step, lr, betas, eps, weight_decay):
    p, m, v = adam(p, grad, m, v, step, lr, betas, eps, 0.0)
    return p * (1 - lr * weight_decay), m, v


@misconception(
    "training.adamw_step",
    "tensors changed in place",
    "Your result is right, but you write it into the tensors that were handed in. The caller "
    "still holds them.",
)
def in_place(p, grad, m, v, step, lr, betas, eps, weight_decay):
    new = adam(p, grad, m, v, step, lr, betas, eps, weight_decay)
    for old, value in zip((p, m, v), new, strict=True):
        old.copy_(value)
    return p, m, v


@misconception(
    "training.adamw_step",
    "betas exchanged",
    "You use the first beta for v and the second for m. The first one, mostly 0.9, is that of m.",
)
def betas_exchanged(p, grad, m, v, step, lr, betas, eps, weight_decay):
    return adam(p, grad, m, v, step, lr, betas[::-1], eps, weight_decay)


@misconception(
    "training.adamw_step",
    "betas not used",
    "You write 0.9 and 0.999 into the code. They are arguments: large models often use 0.95 "
    "for the second.",
)
def betas_not_used(p, grad, m, v, step, lr, betas, eps, weight_decay):
    return adam(p, grad, m, v, step, lr, (0.9, 0.999), eps, weight_decay)


@misconception(
    "training.adamw_step",
    "eps not used",
    "You write 1e-8 into the code. eps is an argument.",
)
def eps_not_used(p, grad, m, v, step, lr, betas, eps, weight_decay):
    return adam(p, grad, m, v, step, lr, betas, 1e-8, weight_decay)


@misconception(
    "training.adamw_step",
    "eps left out",
    "You divide by the root alone. Where a gradient was always 0 this is 0 divided by 0.",
)
def eps_left_out(p, grad, m, v, step, lr, betas, eps, weight_decay):
    return adam(p, grad, m, v, step, lr, betas, 0.0, weight_decay)


@misconception(
    "training.adamw_step",
    "eps before the correction",
    "You add eps to the root of v before the correction, which makes it larger or smaller "
    "with the step. It is added to the root of the corrected v.",
)
def eps_before_correction(p, grad, m, v, step, lr, betas, eps, weight_decay):
    scaled = eps / math.sqrt(1 - betas[1] ** step)
    return adam(p, grad, m, v, step, lr, betas, scaled, weight_decay)


@misconception(
    "training.adamw_step",
    "step up the slope",
    "You add the step. The gradient points to where the loss grows: go against it.",
)
def up_the_slope(p, grad, m, v, step, lr, betas, eps, weight_decay):
    new, m, v = adam(p, grad, m, v, step, lr, betas, eps, 0.0)
    return p * (1 - lr * weight_decay) + (p - new), m, v


@misconception(
    "training.adamw_step",
    "gradient not squared",
    "You put the gradient itself into v. v is the mean of its squares; of a negative mean "
    "there is no root.",
)
def not_squared(p, grad, m, v, step, lr, betas, eps, weight_decay):
    m, v = betas[0] * m + (1 - betas[0]) * grad, betas[1] * v + (1 - betas[1]) * grad
    return with_means(p, m, v, step, lr, betas, eps, weight_decay), m, v


def with_means(p, m, v, step, lr, betas, eps, weight_decay):
    m_hat, v_hat = m / (1 - betas[0] ** step), v / (1 - betas[1] ** step)
    return p * (1 - lr * weight_decay) - lr * m_hat / (v_hat.sqrt() + eps)


@misconception(
    "training.adamw_step",
    "gradient at full weight",
    "You add the whole gradient to m, as plain momentum does. A running mean takes the share "
    "1 − β of what is new.",
)
def full_weight(p, grad, m, v, step, lr, betas, eps, weight_decay):
    m, v = betas[0] * m + grad, betas[1] * v + (1 - betas[1]) * grad**2
    return with_means(p, m, v, step, lr, betas, eps, weight_decay), m, v


@misconception(
    "training.adamw_step",
    "both corrected with the first beta",
    "You correct v with the beta of m. Each mean is too small by its own share: 1 − β to the "
    "power of the step.",
)
def same_correction(p, grad, m, v, step, lr, betas, eps, weight_decay):
    _, m, v = adam(p, grad, m, v, step, lr, betas, eps, weight_decay)
    return with_means(p, m, v, step, lr, (betas[0], betas[0]), eps, weight_decay), m, v


@misconception(
    "training.adamw_step",
    "v not corrected",
    "You correct m and forget v. It began at 0, too, so the first steps are too long.",
)
def v_not_corrected(p, grad, m, v, step, lr, betas, eps, weight_decay):
    _, m, v = adam(p, grad, m, v, step, lr, betas, eps, weight_decay)
    return with_means(p, m, v, step, lr, (betas[0], 0.0), eps, weight_decay), m, v


@misconception(
    "training.adamw_step",
    "m not corrected",
    "You correct v and forget m. It began at 0, too, so the first steps are too short.",
)
def m_not_corrected(p, grad, m, v, step, lr, betas, eps, weight_decay):
    _, m, v = adam(p, grad, m, v, step, lr, betas, eps, weight_decay)
    return with_means(p, m, v, step, lr, (0.0, betas[1]), eps, weight_decay), m, v


@misconception(
    "training.adamw_step",
    "correction without the power",
    "You divide by 1 − β in every step. It is 1 − β to the power of the step: what is missing "
    "shrinks, and after many steps nothing is.",
)
def without_the_power(p, grad, m, v, step, lr, betas, eps, weight_decay):
    return adam(p, grad, m, v, 1, lr, betas, eps, weight_decay)


@misconception(
    "training.adamw_step",
    "running means changed in place",
    "Your result is right, but m.mul_() and its like write into the m and v that were handed "
    "in. The caller still holds them.",
)
def means_in_place(p, grad, m, v, step, lr, betas, eps, weight_decay):
    new = adam(p, grad, m, v, step, lr, betas, eps, weight_decay)
    return new[0], m.copy_(new[1]), v.copy_(new[2])


@misconception(
    "training.adamw_step",
    "weights shrunk in place",
    "`p *= …` writes into the weights that were handed in. The caller still holds them: p = p "
    "* … makes new ones.",
)
def decay_in_place(p, grad, m, v, step, lr, betas, eps, weight_decay):
    p *= 1 - lr * weight_decay
    return adam(p, grad, m, v, step, lr, betas, eps, 0.0)


@misconception(
    "training.adamw_step",
    "decay divided by the root",
    "You add weight_decay · p to the corrected m, so it is divided by the gradient's size. "
    "The decay acts apart from the gradient: lr · weight_decay of the weight.",
)
def decay_over_root(p, grad, m, v, step, lr, betas, eps, weight_decay):
    _, m, v = adam(p, grad, m, v, step, lr, betas, eps, 0.0)
    m_hat = m / (1 - betas[0] ** step) + weight_decay * p
    return p - lr * m_hat / ((v / (1 - betas[1] ** step)).sqrt() + eps), m, v


@misconception(
    "training.adamw_step",
    "eps outside the quotient",
    "Brackets are missing: a / b + eps adds eps to the step. It belongs to the root, below "
    "the line.",
)
def eps_outside(p, grad, m, v, step, lr, betas, eps, weight_decay):
    new, m, v = adam(p, grad, m, v, step, lr, betas, 0.0, weight_decay)
    return new + eps, m, v


@misconception(
    "training.adamw_step",
    "decay with the wrong sign",
    "Your decay makes weights grow. It takes lr · weight_decay of each weight away.",
)
def decay_grows(p, grad, m, v, step, lr, betas, eps, weight_decay):
    return adam(p, grad, m, v, step, lr, betas, eps, -weight_decay)


@misconception(
    "training.adamw_step",
    "gradient instead of its mean",
    "You keep m and make the step with the gradient itself. The step follows the corrected m.",
)
def gradient_itself(p, grad, m, v, step, lr, betas, eps, weight_decay):
    _, m, v = adam(p, grad, m, v, step, lr, betas, eps, 0.0)
    v_hat = v / (1 - betas[1] ** step)
    return p * (1 - lr * weight_decay) - lr * grad / (v_hat.sqrt() + eps), m, v


# --- scheduled_updates ---------------------------------------------------------------------------


@misconception(
    "training.scheduled_updates",
    "another rate logged than applied",
    "The first loop sets the rates, then every update sets them anew without start_frac. Only the "
    "log still contains it, because it computes the rate a second time.",
    stub=True,
)
def logs_another_rate(optimizer, fill_gradients, lr_mult, start_frac, n_updates):
    for group in optimizer.param_groups:
        group["initial_lr"] = group["lr"]
        group["lr"] *= start_frac
    logged = []
    for i in range(n_updates):
        mult = lr_mult(i)
        for group in optimizer.param_groups:
            group["lr"] = group["initial_lr"] * mult
        fill_gradients()
        optimizer.step()
        logged.append(optimizer.param_groups[0]["initial_lr"] * start_frac * mult)
    return logged


@misconception(
    "training.scheduled_updates",
    "only the log mended",
    "Your log is honest now, but start_frac is still lost: the weights move at the full rate.",
)
def only_the_log(optimizer, fill_gradients, lr_mult, start_frac, n_updates):
    return updates_from(optimizer, fill_gradients, lr_mult, 1.0, n_updates)


def updates_from(optimizer, fill_gradients, lr_mult, start_frac, n_updates):
    first = [group["lr"] * start_frac for group in optimizer.param_groups]
    logged = []
    for i in range(n_updates):
        for group, lr in zip(optimizer.param_groups, first, strict=True):
            group["lr"] = lr * lr_mult(i)
        fill_gradients()
        optimizer.step()
        logged.append(optimizer.param_groups[0]["lr"])
    return logged


@misconception(
    "training.scheduled_updates",
    "start_frac twice in the log",
    "Now the rate that acts is right, but the log multiplies it by start_frac a second time. Read "
    "the rate back from the optimizer.",
)
def frac_twice_in_the_log(optimizer, fill_gradients, lr_mult, start_frac, n_updates):
    logged = updates_from(optimizer, fill_gradients, lr_mult, start_frac, n_updates)
    return [lr * start_frac for lr in logged]


@misconception(
    "training.scheduled_updates",
    "rates that shrink again and again",
    "You multiply the present rate in each update. Multiplier and start_frac apply to the rate "
    "that was found at the call.",
)
def shrinks(optimizer, fill_gradients, lr_mult, start_frac, n_updates):
    logged = []
    for i in range(n_updates):
        for group in optimizer.param_groups:
            group["lr"] *= start_frac * lr_mult(i)
        fill_gradients()
        optimizer.step()
        logged.append(optimizer.param_groups[0]["lr"])
    return logged


@misconception(
    "training.scheduled_updates",
    "one rate for all groups",
    "You give every group the rate of group 0. Each has one of its own.",
)
def same_for_all(optimizer, fill_gradients, lr_mult, start_frac, n_updates):
    for group in optimizer.param_groups:
        group["lr"] = optimizer.param_groups[0]["lr"]
    return updates_from(optimizer, fill_gradients, lr_mult, start_frac, n_updates)


@misconception(
    "training.scheduled_updates",
    "rate set after the update",
    "You set the rate when the step has been made. Each multiplier acts one update late, and the "
    "first update has the full rate.",
)
def set_late(optimizer, fill_gradients, lr_mult, start_frac, n_updates):
    first = [group["lr"] * start_frac for group in optimizer.param_groups]
    logged = []
    for i in range(n_updates):
        fill_gradients()
        optimizer.step()
        for group, lr in zip(optimizer.param_groups, first, strict=True):
            group["lr"] = lr * lr_mult(i)
        logged.append(optimizer.param_groups[0]["lr"])
    return logged


@misconception(
    "training.scheduled_updates",
    "start_frac twice",
    "You multiply by start_frac before the loop and in the loop. The weights move at a share "
    "of a share.",
)
def frac_twice(optimizer, fill_gradients, lr_mult, start_frac, n_updates):
    return updates_from(optimizer, fill_gradients, lr_mult, start_frac**2, n_updates)


@misconception(
    "training.scheduled_updates",
    "start_frac missing in the log",
    "Now the weights move at the right rate, but the log leaves start_frac out. Read the rate "
    "back from the optimizer.",
)
def frac_missing_in_the_log(optimizer, fill_gradients, lr_mult, start_frac, n_updates):
    logged = updates_from(optimizer, fill_gradients, lr_mult, start_frac, n_updates)
    return [lr / start_frac for lr in logged]


@misconception(
    "training.scheduled_updates",
    "multiplier lost",
    "You keep the share of the first loop and drop the multiplier: every update has the same "
    "rate. The schedule must act, too.",
)
def multiplier_lost(optimizer, fill_gradients, lr_mult, start_frac, n_updates):
    return updates_from(optimizer, fill_gradients, lambda i: 1.0, start_frac, n_updates)


@misconception(
    "training.scheduled_updates",
    "multipliers that pile up",
    "You multiply the present rate by lr_mult(i), so all multipliers so far act together. "
    "Each applies to the rate at the call times start_frac.",
)
def piles_up(optimizer, fill_gradients, lr_mult, start_frac, n_updates):
    return updates_from(
        optimizer,
        fill_gradients,
        lambda i: math.prod(lr_mult(k) for k in range(i + 1)),
        start_frac,
        n_updates,
    )


@misconception(
    "training.scheduled_updates",
    "multiplier of the next update",
    "You ask for lr_mult(i + 1) in update i. Updates are counted from 0.",
)
def next_multiplier(optimizer, fill_gradients, lr_mult, start_frac, n_updates):
    return updates_from(optimizer, fill_gradients, lambda i: lr_mult(i + 1), start_frac, n_updates)


@misconception(
    "training.scheduled_updates",
    "start_frac in the first update only",
    "Only your first update has the share of the rate. It holds for all of them.",
)
def frac_in_the_first(optimizer, fill_gradients, lr_mult, start_frac, n_updates):
    return updates_from(
        optimizer,
        fill_gradients,
        lambda i: lr_mult(i) * (start_frac if i == 0 else 1.0),
        1.0,
        n_updates,
    )


@misconception(
    "training.scheduled_updates",
    "only group 0",
    "You set the rate of group 0 alone. All groups shall train gently.",
)
def only_group_0(optimizer, fill_gradients, lr_mult, start_frac, n_updates):
    others = [group["lr"] for group in optimizer.param_groups[1:]]

    def fill():
        for group, lr in zip(optimizer.param_groups[1:], others, strict=True):
            group["lr"] = lr
        fill_gradients()

    return updates_from(optimizer, fill, lr_mult, start_frac, n_updates)


@misconception(
    "training.scheduled_updates",
    "initial_lr of an earlier run",
    "You take initial_lr where it is there. An earlier run has left it; the rate that counts "
    "is the lr found at the call.",
)
def of_an_earlier_run(optimizer, fill_gradients, lr_mult, start_frac, n_updates):
    for group in optimizer.param_groups:
        group["lr"] = group.get("initial_lr", group["lr"])
    return updates_from(optimizer, fill_gradients, lr_mult, start_frac, n_updates)


@misconception(
    "training.scheduled_updates",
    "start_frac lost to an earlier run",
    "Where an earlier run has left initial_lr, you take that, and start_frac is lost with the "
    "lr found at the call. Write initial_lr anew, or keep the rate in a list.",
)
def frac_lost_to_an_earlier_run(optimizer, fill_gradients, lr_mult, start_frac, n_updates):
    first = [group.get("initial_lr", group["lr"] * start_frac) for group in optimizer.param_groups]
    for group, lr in zip(optimizer.param_groups, first, strict=True):
        group["lr"] = lr
    return updates_from(optimizer, fill_gradients, lr_mult, 1.0, n_updates)


@misconception(
    "training.scheduled_updates",
    "gradients filled after the update",
    "You make the step before the gradients are there. The first update has none, and the "
    "last gradients are never used.",
)
def filled_late(optimizer, fill_gradients, lr_mult, start_frac, n_updates):
    first = [group["lr"] * start_frac for group in optimizer.param_groups]
    logged = []
    for i in range(n_updates):
        for group, lr in zip(optimizer.param_groups, first, strict=True):
            group["lr"] = lr * lr_mult(i)
        optimizer.step()
        fill_gradients()
        logged.append(optimizer.param_groups[0]["lr"])
    return logged


@misconception(
    "training.scheduled_updates",
    "rate of the last group logged",
    "You log the rate of the last group. The log holds that of group 0.",
)
def logs_the_last_group(optimizer, fill_gradients, lr_mult, start_frac, n_updates):
    last = []

    def fill():
        last.append(optimizer.param_groups[-1]["lr"])
        fill_gradients()

    updates_from(optimizer, fill, lr_mult, start_frac, n_updates)
    return last


# --- measured_run --------------------------------------------------------------------------------


@misconception(
    "training.measured_run",
    "one generator for both",
    "Each measurement uses up numbers of the training's generator. So the next updates get other "
    "batches, and the more often you measure, the more they differ.",
    stub=True,
)
def one_generator(draw_train, draw_val, update, measure, n_updates, eval_interval, seed):
    generator = torch.Generator().manual_seed(seed)
    losses = []
    for i in range(n_updates):
        if i % eval_interval == 0:
            losses.append(measure(draw_val(generator)))
        update(draw_train(generator))
    return losses


@misconception(
    "training.measured_run",
    "fresh windows for each measurement",
    "The training is left alone now. But each measurement draws another validation batch: an easy "
    "one looks like progress, a hard one like a fall.",
)
def fresh_windows(draw_train, draw_val, update, measure, n_updates, eval_interval, seed):
    train, val = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(seed + 1)
    losses = []
    for i in range(n_updates):
        if i % eval_interval == 0:
            losses.append(measure(draw_val(val)))
        update(draw_train(train))
    return losses


@misconception(
    "training.measured_run",
    "the same batches again",
    "Some updates train on a batch that an earlier one had. A generator that is seeded in the loop "
    "begins at the same place each time: seed it once, before the loop, and draw for each update.",
)
def seeded_in_the_loop(draw_train, draw_val, update, measure, n_updates, eval_interval, seed):
    losses = []
    for i in range(n_updates):
        generator = torch.Generator().manual_seed(seed)
        if i % eval_interval == 0:
            losses.append(measure(draw_val(generator)))
            generator.manual_seed(seed)
        update(draw_train(generator))
    return losses


@misconception(
    "training.measured_run",
    "measured on training batches",
    "You measure on batches from draw_train. What the model learned by heart looks good there; "
    "poems it has never seen tell whether it learned anything general.",
)
def on_training_batches(draw_train, draw_val, update, measure, n_updates, eval_interval, seed):
    return right_run(draw_train, draw_train, update, measure, n_updates, eval_interval, seed)


def right_run(draw_train, draw_val, update, measure, n_updates, eval_interval, seed, offset=1):
    generator = torch.Generator().manual_seed(seed)
    fixed, losses = draw_val(torch.Generator().manual_seed(seed + offset)), []
    for i in range(n_updates):
        if i % eval_interval == 0:
            losses.append(measure(fixed))
        update(draw_train(generator))
    return losses


@misconception(
    "training.measured_run",
    "global generator used",
    "You seed PyTorch's global generator and draw from it. Dropout draws from it, too, and the "
    "next run in the same program begins with what you left.",
)
def from_the_global_one(draw_train, draw_val, update, measure, n_updates, eval_interval, seed):
    torch.manual_seed(seed)
    fixed, losses = draw_val(torch.Generator().manual_seed(seed)), []
    for i in range(n_updates):
        if i % eval_interval == 0:
            losses.append(measure(fixed))
        update(draw_train(torch.default_generator))
    return losses


@misconception(
    "training.measured_run",
    "measured after the update",
    "You measure after the update. Then the first number is not that of the untrained model.",
)
def measured_after(draw_train, draw_val, update, measure, n_updates, eval_interval, seed):
    generator = torch.Generator().manual_seed(seed)
    fixed, losses = draw_val(torch.Generator().manual_seed(seed)), []
    for i in range(n_updates):
        update(draw_train(generator))
        if i % eval_interval == 0:
            losses.append(measure(fixed))
    return losses


@misconception(
    "training.measured_run",
    "measured at the end, too",
    "You measure once more after the last update. Here it is asked for before update 0 and "
    "before every multiple of eval_interval, and nowhere else.",
)
def at_the_end_too(draw_train, draw_val, update, measure, n_updates, eval_interval, seed):
    fixed = []

    def measure_fixed(batch):
        fixed.append(batch)
        return measure(batch)

    losses = right_run(draw_train, draw_val, update, measure_fixed, n_updates, eval_interval, seed)
    return [*losses, measure(fixed[0])]


@misconception(
    "training.measured_run",
    "no measurement before the first update",
    "You leave out the measurement before update 0. It shows where the run began.",
)
def not_before_the_first(draw_train, draw_val, update, measure, n_updates, eval_interval, seed):
    generator = torch.Generator().manual_seed(seed)
    fixed, losses = draw_val(torch.Generator().manual_seed(seed + 1)), []
    for i in range(n_updates):
        if i > 0 and i % eval_interval == 0:
            losses.append(measure(fixed))
        update(draw_train(generator))
    return losses


@misconception(
    "training.measured_run",
    "seed not used",
    "Your training batches are the same for every seed. A second run with another seed shows "
    "how much of a result is luck.",
)
def seed_not_used(draw_train, draw_val, update, measure, n_updates, eval_interval, seed):
    return right_run(draw_train, draw_val, update, measure, n_updates, eval_interval, 0)


# --- accumulate ----------------------------------------------------------------------------------


@misconception(
    "training.accumulate",
    "share of the last piece logged",
    "What you return is the last micro-batch only, and after it was multiplied by its share. With "
    "four equal pieces the log says a quarter of the loss.",
    stub=True,
)
def share_of_the_last(model, batches, loss_fn):
    n_tokens = sum(batch.n_tokens for batch in batches)
    for batch in batches:
        loss = loss_fn(model(batch.idx), batch.targets, batch.mask)
        loss = loss * (batch.n_tokens / n_tokens)
        loss.backward()
    return loss.item()


def pieces_of(model, batches, loss_fn):
    """Right gradients; returns the loss of each piece and its share of the targets."""
    losses = [backward_share(model, batch, loss_fn, share) for batch, share in shared(batches)]
    return losses, shares(batches)


def shared(batches):
    return list(zip(batches, shares(batches), strict=True))


def backward_share(model, batch, loss_fn, share):
    loss = loss_fn(model(batch.idx), batch.targets, batch.mask)
    (loss * share).backward()
    return loss.item()


@misconception(
    "training.accumulate",
    "last piece times the number of pieces",
    "You multiply the last share by the number of pieces. The other pieces are still missing from "
    "the log, and unequal pieces make it wrong altogether.",
)
def last_times_pieces(model, batches, loss_fn):
    losses, weights = pieces_of(model, batches, loss_fn)
    return losses[-1] * weights[-1] * len(batches)


@misconception(
    "training.accumulate",
    "loss of the last piece",
    "You return the loss of the last piece, before its share. It is one sample of several: the "
    "log is more restless than the training.",
)
def last_piece(model, batches, loss_fn):
    losses, _ = pieces_of(model, batches, loss_fn)
    return losses[-1]


@misconception(
    "training.accumulate",
    "mean of means",
    "You return the mean of the pieces' losses. They hold different numbers of targets; weigh "
    "them, as the gradients are weighed.",
)
def logged_mean_of_means(model, batches, loss_fn):
    losses, _ = pieces_of(model, batches, loss_fn)
    return sum(losses) / len(losses)


@misconception(
    "training.accumulate",
    "sum of the losses",
    "You return the sum of the pieces' losses. With four pieces the log says four times the loss.",
)
def sum_of_losses(model, batches, loss_fn):
    losses, _ = pieces_of(model, batches, loss_fn)
    return sum(losses)


@misconception(
    "training.accumulate",
    "gradients weighed wrongly",
    "The log is right, but you took the weights out of the loss before backward(). The gradients "
    "are now those of a sum: several times too long.",
)
def gradients_of_a_sum(model, batches, loss_fn):
    losses = [backward_share(model, batch, loss_fn, 1.0) for batch in batches]
    return sum(loss * share for loss, share in zip(losses, shares(batches), strict=True))


@misconception(
    "training.accumulate",
    "gradients cleared first",
    "You clear the gradients before you begin. They shall be added to those that are there.",
)
def clears_first(model, batches, loss_fn):
    model.zero_grad()
    losses, weights = pieces_of(model, batches, loss_fn)
    return sum(loss * share for loss, share in zip(losses, weights, strict=True))


@misconception(
    "training.accumulate",
    "a tensor returned",
    "You return a tensor. Still tied to its graph it keeps that in memory, and a log holds "
    "thousands of them: .item() gives a float.",
)
def returns_a_tensor(model, batches, loss_fn):
    total = 0.0
    for batch, share in shared(batches):
        loss = loss_fn(model(batch.idx), batch.targets, batch.mask) * share
        loss.backward()
        total = total + loss
    return total


@misconception(
    "training.accumulate",
    "divided once more",
    "You add up the shares and divide by the number of pieces. The shares add up to 1 "
    "already: their sum is the loss of the big batch.",
)
def divided_again(model, batches, loss_fn):
    losses, weights = pieces_of(model, batches, loss_fn)
    return sum(x * share for x, share in zip(losses, weights, strict=True)) / len(batches)


@misconception(
    "training.accumulate",
    "weighed twice",
    "Your loss is already multiplied by its share when you add it up, and you multiply it "
    "again. One weight is enough.",
)
def weighed_twice(model, batches, loss_fn):
    losses, weights = pieces_of(model, batches, loss_fn)
    return sum(x * share**2 for x, share in zip(losses, weights, strict=True))


@misconception(
    "training.accumulate",
    "multiplied by the number of pieces",
    "You add up the shares and multiply by the number of pieces. The shares add up to 1: "
    "their sum is the loss of the big batch as it stands.",
)
def times_pieces(model, batches, loss_fn):
    losses, weights = pieces_of(model, batches, loss_fn)
    return sum(x * share for x, share in zip(losses, weights, strict=True)) * len(batches)


@misconception(
    "training.accumulate",
    "gradients of a sum over targets",
    "The log is right, but you call backward() on sums over targets and divide only the log. "
    "The gradients are as many times too long as targets count.",
)
def gradients_of_all_targets(model, batches, loss_fn):
    losses = [backward_share(model, batch, loss_fn, batch.n_tokens) for batch in batches]
    return sum(loss * share for loss, share in zip(losses, shares(batches), strict=True))


# --- leaks_gradients -----------------------------------------------------------------------------


def make_run():
    model = nn.Sequential(nn.Embedding(3, 3), nn.Linear(3, 3))
    optimizers = [torch.optim.SGD(part.parameters(), lr=1.0) for part in model]
    batch = Batch(torch.tensor([[0, 1]]), torch.tensor([[1, 2]]))
    nothing = Batch(batch.idx, batch.targets, torch.zeros(1, 2, dtype=torch.bool))
    return model, optimizers, batch, nothing, TrainConfig(grad_clip=None)


def copies(model):
    return [parameter.detach().clone() for parameter in model.parameters()]


def moved(model, before):
    return any(not torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))


@misconception(
    "training.leaks_gradients",
    "look at .grad after the step",
    "You take every gradient that is left after the step for a leak. A step may forget at its "
    "beginning instead: look at what the next update does.",
)
def looks_at_grad(step_fn):
    model, optimizers, batch, _, config = make_run()
    step_fn(model, [batch], masked_cross_entropy, optimizers, config)
    return any(p.grad is not None and bool(p.grad.any()) for p in model.parameters())


@misconception(
    "training.leaks_gradients",
    "None demanded",
    "You demand that gradients are None after the step. Zeros are forgotten, too, and a step may "
    "forget at its beginning.",
)
def demands_none(step_fn):
    model, optimizers, batch, _, config = make_run()
    step_fn(model, [batch], masked_cross_entropy, optimizers, config)
    return any(p.grad is not None for p in model.parameters())


@misconception(
    "training.leaks_gradients",
    "gradient planted before the first call",
    "You put a gradient in place before the first call and see whether it acts. That is a "
    "caller's gradient, not one of an earlier update: a step that forgets at its end may use it.",
)
def plants_a_gradient(step_fn):
    model, optimizers, _, nothing, config = make_run()
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    before = copies(model)
    step_fn(model, [nothing], masked_cross_entropy, optimizers, config)
    return moved(model, before)


@misconception(
    "training.leaks_gradients",
    "one optimizer only",
    "You test with one optimizer. A step that forgets in one of several passes your test, and "
    "leaks in a real run.",
)
def one_optimizer(step_fn):
    model, _, batch, nothing, config = make_run()
    optimizers = [torch.optim.SGD(model.parameters(), lr=1.0)]
    step_fn(model, [batch], masked_cross_entropy, optimizers, config)
    before = copies(model)
    step_fn(model, [nothing], masked_cross_entropy, optimizers, config)
    return moved(model, before)


@misconception(
    "training.leaks_gradients",
    "no leak found",
    "You find no leak even in a step that never forgets. A falling loss proves nothing, AdamW and "
    "clipping hide that a gradient is too long, and what you clear yourself cannot leak.",
)
def loss_falls(step_fn):
    model, optimizers, batch, _, config = make_run()
    for group in all_groups(optimizers):
        group["lr"] = 0.01
    arguments = (model, [batch], masked_cross_entropy, optimizers, config)
    losses = [step_fn(*arguments)[0] for _ in range(5)]
    return losses[-1] >= losses[0]


@misconception(
    "training.leaks_gradients",
    "verdict turned round",
    "You return True for the steps that forget. The question is whether gradients leak.",
)
def turned_round(step_fn):
    model, optimizers, batch, nothing, config = make_run()
    step_fn(model, [batch], masked_cross_entropy, optimizers, config)
    before = copies(model)
    step_fn(model, [nothing], masked_cross_entropy, optimizers, config)
    return not moved(model, before)


@misconception(
    "training.leaks_gradients",
    "every step taken for a leak",
    "You return True for steps that forget, too. If you look for movement: the weights move in "
    "every right step, because the second batch has a gradient of its own.",
)
def any_movement(step_fn):
    model, optimizers, batch, _, config = make_run()
    step_fn(model, [batch], masked_cross_entropy, optimizers, config)
    before = copies(model)
    step_fn(model, [batch], masked_cross_entropy, optimizers, config)
    return moved(model, before)


@misconception(
    "training.leaks_gradients",
    "threshold too high",
    "You want the second gradient to be about twice the first. A step that keeps a part of the "
    "old gradient leaks as well.",
)
def twice_as_long(step_fn):
    model, optimizers, batch, _, config = make_run()
    for group in all_groups(optimizers):
        group["lr"] = 0.0
    arguments = (model, [batch], masked_cross_entropy, optimizers, config)
    first, second = step_fn(*arguments)[1], step_fn(*arguments)[1]
    return second > 1.3 * first


# --- sizes_of_a_run ------------------------------------------------------------------------------


def sizes(**changed):
    return {
        "windows": 744,
        "logits_bytes": 777_781_248,
        "first_loss": math.log(11_868),
        "micro_steps": 16,
        "tokens_per_parameter": 131.072,
        "updates": 182,
        "evaluations": 5,
    } | changed


@misconception(
    "training.sizes_of_a_run",
    "last target forgotten",
    "You count 745 windows. The last of them would have no target for its last place: a window "
    "takes block_size + 1 ids.",
)
def last_target_forgotten():
    return sizes(windows=1_000 - 256 + 1)


@misconception(
    "training.sizes_of_a_run",
    "windows side by side",
    "You lay the windows side by side. They may overlap: a window may begin at every place that "
    "leaves room for it.",
)
def counted_side_by_side():
    return sizes(windows=1_000 // 256)


@misconception(
    "training.sizes_of_a_run",
    "numbers counted, not bytes",
    "You count the logits, not their bytes. A float32 takes 4 of them.",
)
def numbers_not_bytes():
    return sizes(logits_bytes=64 * 256 * 11_868)


@misconception(
    "training.sizes_of_a_run",
    "logits of the last place only",
    "You count one row of logits for each window. In training the model answers at all 256 places.",
)
def one_row_of_logits():
    return sizes(logits_bytes=64 * 11_868 * 4)


@misconception(
    "training.sizes_of_a_run",
    "loss in bits",
    "You take the logarithm to base 2: that is the loss in bits. In nats it is the natural "
    "logarithm.",
)
def loss_in_bits():
    return sizes(first_loss=math.log2(11_868))


@misconception(
    "training.sizes_of_a_run",
    "windows taken for tokens",
    "You divide the tokens of an update by 16 windows, or by 2,048 tokens. A micro-batch holds 16 "
    "· 2,048 tokens.",
)
def windows_as_tokens():
    return sizes(micro_steps=524_288 // 2_048)


@misconception(
    "training.sizes_of_a_run",
    "last update left out",
    "You round down. After 181 updates 103,872 tokens have not been seen: they need one more.",
)
def last_update_left_out():
    return sizes(updates=95_000_000 // 524_288)


@misconception(
    "training.sizes_of_a_run",
    "updates not a whole number",
    "You return a fraction. There is no part of an update: what is left over takes a whole one.",
)
def fraction_of_an_update():
    return sizes(updates=95_000_000 / 524_288)


@misconception(
    "training.sizes_of_a_run",
    "only multiples measured",
    "You count 0, 30, 60 and 90. The weights after step 100 are those that are kept, and they are "
    "measured, too.",
)
def only_multiples():
    return sizes(evaluations=4)


@misconception(
    "training.sizes_of_a_run",
    "no measurement before the first update",
    "You count 30, 60, 90 and the end, or divide 100 by 30. The untrained model is measured, and "
    "the final one: 0 and 100.",
)
def no_first_measurement():
    return sizes(evaluations=3)


@misconception(
    "training.sizes_of_a_run",
    "ratio turned round",
    "You divide parameters by tokens. Asked for is how many tokens there are for each parameter.",
)
def ratio_turned_round():
    return sizes(tokens_per_parameter=200e6 / (50_000 * 524_288))


@misconception(
    "training.sizes_of_a_run",
    "one window too few",
    "You count 743 windows. The starts are 0 … 743: with 0 there are 744.",
)
def one_window_too_few():
    return sizes(windows=1_000 - 256 - 1)


@misconception(
    "training.sizes_of_a_run",
    "every place counted as a window",
    "You count a window for each of the 1,000 ids. Those near the end leave no room for 256 "
    "inputs and the last target.",
)
def every_place():
    return sizes(windows=1_000)


@misconception(
    "training.sizes_of_a_run",
    "one window only",
    "You count the logits of one window. The batch has 64.",
)
def one_window_only():
    return sizes(logits_bytes=256 * 11_868 * 4)


@misconception(
    "training.sizes_of_a_run",
    "one probability",
    "You give the probability 1/V. The loss is its negative logarithm: ln V.",
)
def one_probability():
    return sizes(first_loss=1 / 11_868)


@misconception(
    "training.sizes_of_a_run",
    "logarithm to base 10",
    "You take the logarithm to base 10. In nats it is the natural one, to base e.",
)
def base_10():
    return sizes(first_loss=math.log10(11_868))


@misconception(
    "training.sizes_of_a_run",
    "divided by windows alone",
    "32,768 is 524,288 / 16, and also the tokens of one micro-batch, 16 · 2,048. Asked for is "
    "how many of these make 524,288.",
)
def divided_by_windows():
    return sizes(micro_steps=524_288 // 16)


@misconception(
    "training.sizes_of_a_run",
    "tokens of one update",
    "You divide the tokens of one update by the parameters. There are 50,000 updates.",
)
def of_one_update():
    return sizes(tokens_per_parameter=524_288 / 200e6)


@misconception(
    "training.sizes_of_a_run",
    "not divided by the parameters",
    "You give all tokens of the run. Divide by the 200 million parameters.",
)
def not_by_parameters():
    return sizes(tokens_per_parameter=50_000 * 524_288)


@misconception(
    "training.sizes_of_a_run",
    "micro-batches counted as updates",
    "You divide by the tokens of one micro-batch. An update has 524,288 tokens.",
)
def micro_batches_counted():
    return sizes(updates=-(-95_000_000 // 32_768))


@misconception(
    "training.sizes_of_a_run",
    "measured at every update",
    "You count a measurement for each update. Measured is at multiples of 30, and at the end.",
)
def at_every_update():
    return sizes(evaluations=100)


@misconception(
    "training.sizes_of_a_run",
    "numbers of 16 bits",
    "You count 2 bytes for each logit. A float32 takes 4.",
)
def numbers_of_16_bits():
    return sizes(logits_bytes=2 * 64 * 256 * 11_868)


@misconception(
    "training.sizes_of_a_run",
    "megabytes",
    "You give megabytes. Asked for is the number of bytes, exactly.",
)
def in_megabytes():
    return sizes(logits_bytes=777.781248)
