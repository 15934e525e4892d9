"""Wrong answers to the tasks of chapter 05."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from nanopoet.trial import misconception

IGNORE = -1


def right_log_softmax(logits):
    return logits - logits.logsumexp(-1, keepdim=True)


def right_token_losses(logits, targets):
    return -right_log_softmax(logits).gather(-1, targets.unsqueeze(-1)).squeeze(-1)


# --- uniform_loss ------------------------------------------------------------------------------


@misconception(
    "loss.uniform_loss",
    "bits instead of nats",
    "You take the logarithm to base 2. This course counts in nats, as PyTorch does: use ln.",
)
def uniform_in_bits(vocab_size):
    return math.log2(vocab_size)


@misconception(
    "loss.uniform_loss",
    "base 10",
    "You take the logarithm to base 10. Nats need the natural logarithm, to base e.",
)
def uniform_base_10(vocab_size):
    return math.log10(vocab_size)


@misconception(
    "loss.uniform_loss",
    "the probability itself",
    "You return 1/V, the probability of each token. The loss is the surprise at it, -ln(1/V).",
)
def uniform_probability(vocab_size):
    return 1 / vocab_size


@misconception(
    "loss.uniform_loss",
    "the minus sign is missing",
    "You return ln(1/V), which is below 0. Surprise is the negative logarithm.",
)
def uniform_negative(vocab_size):
    return math.log(1 / vocab_size)


@misconception(
    "loss.uniform_loss",
    "the number of tokens",
    "You return V. This is the perplexity of knowing nothing; the loss is its logarithm.",
)
def uniform_size(vocab_size):
    return float(vocab_size)


# --- perplexity --------------------------------------------------------------------------------


@misconception(
    "loss.perplexity",
    "2 to the loss",
    "You raise 2 to the loss. That is for a loss in bits; a loss in nats needs e.",
)
def perplexity_of_bits(loss):
    return 2**loss


@misconception(
    "loss.perplexity",
    "the probability instead",
    "You return e to minus the loss: a probability, at most 1. Perplexity is one divided by it.",
)
def perplexity_inverse(loss):
    return math.exp(-loss)


@misconception(
    "loss.perplexity",
    "logarithm once more",
    "You take the logarithm of a loss, which is a logarithm already. Perplexity undoes it.",
)
def perplexity_log(loss):
    return math.log(loss + 1e-12)


@misconception(
    "loss.perplexity",
    "round to whole tokens",
    "You round the perplexity. It is a mean, like 2.3 children: it need not be whole.",
)
def perplexity_rounded(loss):
    return round(math.exp(loss))


@misconception(
    "loss.perplexity",
    "e times the loss",
    "You multiply by e instead of raising e to the loss.",
)
def perplexity_times_e(loss):
    return math.e * loss


# --- log_softmax -------------------------------------------------------------------------------


@misconception(
    "loss.log_softmax",
    "exp without a shift",
    "You compute exp of the logits as they are. It overflows above 709 in float64, above 88 in "
    "float32; infinity divided by infinity is NaN.",
)
def log_softmax_naive(logits):
    return (logits.exp() / logits.exp().sum(-1, keepdim=True)).log()


@misconception(
    "loss.log_softmax",
    "ln of a sum that overflows",
    "You subtract ln of the sum of exp, without a shift. For large logits the sum is infinite, "
    "for very negative ones it is 0.",
)
def log_softmax_naive_sum(logits):
    return logits - logits.exp().sum(-1, keepdim=True).log()


@misconception(
    "loss.log_softmax",
    "ln after softmax",
    "You take ln of a finished softmax. Small probabilities have been rounded to 0 by then, and "
    "ln 0 is -inf: an infinite loss for what was only unlikely.",
)
def log_after_softmax(logits):
    return logits.softmax(-1).log()


@misconception(
    "loss.log_softmax",
    "a small number inside the ln",
    "You add a small number before the ln, to avoid ln 0. This caps every surprise: what has a "
    "probability of e^-1000 looks like e^-20.",
)
def log_with_epsilon(logits):
    return (logits.softmax(-1) + 1e-9).log()


@misconception(
    "loss.log_softmax",
    "the first axis",
    "You go over the first axis. With one row it is the last, too; with several, you mix rows.",
)
def log_softmax_first_axis(logits):
    return logits.log_softmax(0)


@misconception(
    "loss.log_softmax",
    "axis 1",
    "You go over axis 1, which is the last one only in a matrix. Logits (B, T, V) have V in "
    "axis 2; -1 is always the last.",
)
def log_softmax_axis_1(logits):
    return logits.log_softmax(min(1, logits.dim() - 1))


@misconception(
    "loss.log_softmax",
    "one largest logit for all rows",
    "You subtract the largest logit of the whole tensor. In a row that lies far below it, every "
    "exp rounds to 0. Each row needs its own.",
)
def log_softmax_global_max(logits):
    shifted = logits - logits.max()
    return shifted - shifted.exp().sum(-1, keepdim=True).log()


@misconception(
    "loss.log_softmax",
    "softmax without the ln",
    "You return probabilities. Their logarithms are asked for.",
)
def softmax_only(logits):
    return logits.softmax(-1)


@misconception(
    "loss.log_softmax",
    "the logits are changed in place",
    "You write the shifted logits over the ones you were given. Whoever handed them to you still "
    "needs them.",
)
def log_softmax_in_place(logits):
    logits -= logits.amax(-1, keepdim=True)
    return logits - logits.exp().sum(-1, keepdim=True).log()


@misconception(
    "loss.log_softmax",
    "the sum is cut off from the gradient",
    "You detach the log of the sum. The values are right, but the gradient has lost its second "
    "half: the wrong tokens are not pushed down.",
)
def log_softmax_detached(logits):
    return logits - logits.logsumexp(-1, keepdim=True).detach()


@misconception(
    "loss.log_softmax",
    "keepdim is forgotten",
    "Your largest logits have one axis less than the logits, so they meet the wrong axis. With "
    "keepdim=True they have shape (..., 1) and fit each to its row.",
)
def log_softmax_without_keepdim(logits):
    shifted = logits - logits.amax(-1)
    return shifted - shifted.exp().sum(-1).log()


# --- token_losses ------------------------------------------------------------------------------


@misconception(
    "loss.token_losses",
    "the minus sign is missing",
    "You return ln of the probability, which is at most 0. Surprise is its negative.",
)
def token_losses_negative(logits, targets):
    return -right_token_losses(logits, targets)


@misconception(
    "loss.token_losses",
    "ln after softmax",
    "You take ln of a finished softmax. A probability of e^-2000 has been rounded to 0 by then, "
    "and its loss is infinite.",
)
def token_losses_log_after(logits, targets):
    probs = logits.softmax(-1)
    return -probs.gather(-1, targets.unsqueeze(-1)).squeeze(-1).log()


@misconception(
    "loss.token_losses",
    "the logit of the target",
    "You pick the logit, not its log-probability. The other tokens must have their say: "
    "log_softmax first.",
)
def token_losses_of_logits(logits, targets):
    return -logits.gather(-1, targets.unsqueeze(-1)).squeeze(-1)


@misconception(
    "loss.token_losses",
    "an axis of size 1 too many",
    "You leave the axis that gather needed: (..., 1) instead of (...). Later, (B, T, 1) times "
    "(B, T) broadcasts to (B, T, T), without an error.",
)
def token_losses_kept_axis(logits, targets):
    return -right_log_softmax(logits).gather(-1, targets.unsqueeze(-1))


@misconception(
    "loss.token_losses",
    "every row asked for every target",
    "You write log_probs[..., targets]. It asks each row for all the targets, also for those of "
    "other rows. Each row has one target of its own.",
)
def token_losses_all_pairs(logits, targets):
    return -right_log_softmax(logits)[..., targets]


@misconception(
    "loss.token_losses",
    "the mean already",
    "You return one number. Here each target keeps its own loss; the mean is the next task.",
)
def token_losses_mean(logits, targets):
    return right_token_losses(logits, targets).mean()


@misconception(
    "loss.token_losses",
    "one minus the probability",
    "You return how much probability is missing at the target. That is never above 1: being sure "
    "and wrong costs almost nothing more than being unsure. Surprise is -ln p.",
)
def token_losses_missing_probability(logits, targets):
    return 1 - logits.softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)


@misconception(
    "loss.token_losses",
    "always axis 1",
    "You treat axis 1 as the vocabulary, as F.cross_entropy does: it wants (N, V, T). Our "
    "vocabulary is the last axis, so flatten or move it first.",
)
def token_losses_axis_1(logits, targets):
    return F.cross_entropy(logits, targets, reduction="none")


@misconception(
    "loss.token_losses",
    "softmax before log_softmax",
    "You apply softmax twice: log_softmax takes logits, not probabilities. The losses then lie "
    "within 1 of each other, however sure the model was.",
)
def token_losses_softmax_twice(logits, targets):
    return right_token_losses(logits.softmax(-1), targets)


# --- cross_entropy -----------------------------------------------------------------------------


@misconception(
    "loss.cross_entropy",
    "sum instead of mean",
    "You add the losses up. The loss, and its gradient, then grow with the size of the batch.",
)
def cross_entropy_sum(logits, targets):
    return right_token_losses(logits, targets).sum()


@misconception(
    "loss.cross_entropy",
    "mean over rows only",
    "You divide by B, the number of rows, instead of B times T. A longer row then looks worse.",
)
def cross_entropy_mean_of_rows(logits, targets):
    return right_token_losses(logits, targets).sum() / max(1, len(targets) if targets.dim() else 1)


@misconception(
    "loss.cross_entropy",
    "mean over the vocabulary as well",
    "You multiply with a one-hot row and take the mean of everything, the zeros included. The "
    "loss is too small by a factor of V.",
)
def cross_entropy_mean_of_all(logits, targets):
    y = F.one_hot(targets, logits.shape[-1])
    return -(y * right_log_softmax(logits)).mean()


@misconception(
    "loss.cross_entropy",
    "softmax before the loss",
    "You hand probabilities to a function that takes logits, so softmax is applied twice. The "
    "loss then cannot get near 0, and its gradient is tiny.",
)
def cross_entropy_softmax_twice(logits, targets):
    return right_token_losses(logits.softmax(-1), targets).mean()


@misconception(
    "loss.cross_entropy",
    "ln after softmax",
    "You take ln of a finished softmax. A probability of e^-2000 has been rounded to 0 by then, "
    "and one such target makes the whole mean infinite.",
)
def cross_entropy_log_after(logits, targets):
    return -logits.softmax(-1).gather(-1, targets.unsqueeze(-1)).log().mean()


@misconception(
    "loss.cross_entropy",
    "the entropy of the model",
    "You take the mean surprise that the model expects, and do not look at the targets. Entropy "
    "weighs with the model's own belief, cross-entropy with what happened.",
)
def cross_entropy_entropy(logits, targets):
    log_probs = right_log_softmax(logits)
    return -(log_probs.exp() * log_probs).sum(-1).mean()


@misconception(
    "loss.cross_entropy",
    "PyTorch's function without flattening",
    "You give (B, T, V) to F.cross_entropy, which takes axis 1 for the vocabulary. Flatten to "
    "(B·T, V) and (B·T,), or use your token_losses.",
)
def cross_entropy_unflattened(logits, targets):
    return F.cross_entropy(logits, targets)


@misconception(
    "loss.cross_entropy",
    "reshape where a transpose is needed",
    "You reshape (B, T, V) to (B, V, T). The sizes fit, but the numbers are shuffled: rows of "
    "the vocabulary are cut into pieces. Only a transpose moves an axis.",
)
def cross_entropy_reshaped(logits, targets):
    if logits.dim() == 1:
        return F.cross_entropy(logits, targets)
    return F.cross_entropy(
        logits.reshape(len(logits), logits.shape[-1], *targets.shape[1:]), targets
    )


@misconception(
    "loss.cross_entropy",
    "the minus sign is missing",
    "You return the mean log-probability, which is below 0. To lower it is to become worse.",
)
def cross_entropy_negative(logits, targets):
    return -right_token_losses(logits, targets).mean()


@misconception(
    "loss.cross_entropy",
    "a float without a gradient",
    "You return a Python number. It has forgotten where it came from, and backward() has nothing "
    "to go back to. Return the tensor; .item() is for the log.",
)
def cross_entropy_item(logits, targets):
    return right_token_losses(logits, targets).mean().item()


# --- cross_entropy_grad ------------------------------------------------------------------------


@misconception(
    "loss.cross_entropy_grad",
    "y - p",
    "You return the direction in which the loss falls. The gradient points to where it rises; "
    "descent goes against it.",
)
def grad_negative(logits, targets):
    return (F.one_hot(targets, logits.shape[-1]) - logits.softmax(-1)) / targets.numel()


@misconception(
    "loss.cross_entropy_grad",
    "not divided by N",
    "You return p - y for each target: the gradient of the sum of the losses. The loss is their "
    "mean, so divide by their number.",
)
def grad_of_sum(logits, targets):
    return logits.softmax(-1) - F.one_hot(targets, logits.shape[-1])


@misconception(
    "loss.cross_entropy_grad",
    "divided by the rows only",
    "You divide by B, the length of the first axis. The mean is over all B times T targets.",
)
def grad_by_rows(logits, targets):
    rows = len(targets) if targets.dim() else 1
    return (logits.softmax(-1) - F.one_hot(targets, logits.shape[-1])) / rows


@misconception(
    "loss.cross_entropy_grad",
    "p - 1 everywhere",
    "You subtract 1 from every probability. y is 1 at the target only, and 0 at all other tokens.",
)
def grad_minus_one(logits, targets):
    return (logits.softmax(-1) - 1) / targets.numel()


@misconception(
    "loss.cross_entropy_grad",
    "the target only",
    "You give a gradient to the target alone. The wrong tokens stand in the sum under the "
    "fraction bar, so their logits matter, too: each is pushed down by its own p.",
)
def grad_target_only(logits, targets):
    y = F.one_hot(targets, logits.shape[-1])
    return y * (logits.softmax(-1) - 1) / targets.numel()


@misconception(
    "loss.cross_entropy_grad",
    "exp without a shift",
    "You compute exp of the logits as they are. It overflows, and infinity divided by infinity is "
    "NaN.",
)
def grad_overflow(logits, targets):
    probs = logits.exp() / logits.exp().sum(-1, keepdim=True)
    return (probs - F.one_hot(targets, logits.shape[-1])) / targets.numel()


@misconception(
    "loss.cross_entropy_grad",
    "log-probabilities instead of probabilities",
    "You subtract y from the log-probabilities. The derivative of the log-sum is the softmax "
    "itself, without the ln.",
)
def grad_log_probs(logits, targets):
    return (right_log_softmax(logits) - F.one_hot(targets, logits.shape[-1])) / targets.numel()


@misconception(
    "loss.cross_entropy_grad",
    "divided by all logits",
    "You divide by N times V. The mean is over targets; the vocabulary is summed, not averaged.",
)
def grad_by_everything(logits, targets):
    return (logits.softmax(-1) - F.one_hot(targets, logits.shape[-1])) / logits.numel()


# --- masked_cross_entropy ----------------------------------------------------------------------


def with_mask(way):
    """A masked loss that treats None as it should."""

    def loss(logits, targets, mask=None):
        if mask is None:
            return right_token_losses(logits, targets).mean()
        return way(right_token_losses(logits, targets), mask.to(logits.dtype))

    return loss


@misconception(
    "loss.masked_cross_entropy",
    "divide by all places",
    "You divide by the number of all targets. The more filler a batch holds, the smaller are its "
    "loss and its gradient. The divisor is the number of targets that count.",
)
def masked_mean_of_all(logits, targets, mask=None):
    return with_mask(lambda losses, weights: (losses * weights).mean())(logits, targets, mask)


@misconception(
    "loss.masked_cross_entropy",
    "the mean of nothing is NaN",
    "With nothing to count you divide 0 by 0. One such batch among thousands, and every weight of "
    "the model is NaN.",
)
def masked_nan(logits, targets, mask=None):
    return with_mask(lambda losses, weights: (losses * weights).sum() / weights.sum())(
        logits, targets, mask
    )


@misconception(
    "loss.masked_cross_entropy",
    "a constant 0",
    "With nothing to count you return a 0 that does not hang on the logits. loss.backward() "
    "raises an error then: element 0 of tensors does not require grad.",
)
def masked_constant(logits, targets, mask=None):
    if mask is not None and not mask.any():
        return torch.tensor(0.0)
    return masked_nan(logits, targets, mask)


@misconception(
    "loss.masked_cross_entropy",
    "NaN painted over",
    "You divide 0 by 0 and then replace the NaN. The value is 0, but backward goes through the "
    "division all the same, and the gradient is NaN. The division must not happen.",
)
def masked_where(logits, targets, mask=None):
    loss = masked_nan(logits, targets, mask)
    return torch.where(loss.isnan(), torch.zeros_like(loss), loss)


@misconception(
    "loss.masked_cross_entropy",
    "mean of the means of rows",
    "You take a mean for each row, then the mean of these. A target in a short row then counts "
    "more than one in a long row.",
)
def masked_row_means(logits, targets, mask=None):
    def way(losses, weights):
        return ((losses * weights).sum(-1) / weights.sum(-1).clamp(min=1)).mean()

    return with_mask(way)(logits, targets, mask)


@misconception(
    "loss.masked_cross_entropy",
    "the mask turned round",
    "You count what the mask leaves out. True, or 1, means that a target counts.",
)
def masked_inverted(logits, targets, mask=None):
    def way(losses, weights):
        return (losses * (1 - weights)).sum() / (1 - weights).sum().clamp(min=1)

    return with_mask(way)(logits, targets, mask)


@misconception(
    "loss.masked_cross_entropy",
    "the mask on the logits",
    "You multiply the logits by the mask. Logits of 0 are no silence: they say that all tokens are "
    "equally likely, and cost ln V. Mask the losses.",
)
def masked_logits(logits, targets, mask=None):
    if mask is not None:
        logits = logits * mask.unsqueeze(-1)
    return right_token_losses(logits, targets).mean()


@misconception(
    "loss.masked_cross_entropy",
    "the mask is ignored",
    "You take the mean over all targets, whatever the mask says. The model then learns to write "
    "filler.",
)
def masked_ignored(logits, targets, mask=None):
    return right_token_losses(logits, targets).mean()


@misconception(
    "loss.masked_cross_entropy",
    "sum instead of mean",
    "You add up what counts and do not divide. Loss and gradient then grow with the batch.",
)
def masked_sum(logits, targets, mask=None):
    return with_mask(lambda losses, weights: (losses * weights).sum())(logits, targets, mask)


@misconception(
    "loss.masked_cross_entropy",
    "a float mask as an index",
    "You index with the mask. That needs booleans; a mask of 1.0 and 0.0 raises an error. Convert "
    "it with .bool(), or multiply.",
)
def masked_by_float_index(logits, targets, mask=None):
    if mask is None:
        return right_token_losses(logits, targets).mean()
    if not mask.any():
        return logits.sum() * 0.0
    return right_token_losses(logits, targets)[mask].mean()


@misconception(
    "loss.masked_cross_entropy",
    "None is forgotten",
    "You use the mask without asking whether there is one. None means that all targets count.",
)
def masked_without_none(logits, targets, mask=None):
    weights = mask.to(logits.dtype)
    losses = right_token_losses(logits, targets)
    return (losses * weights).sum() / weights.sum().clamp(min=1)


@misconception(
    "loss.masked_cross_entropy",
    "one is added to the divisor",
    "You add 1 to the divisor, so that it is never 0. But then every mean is too small. Raise it "
    "to 1 only where it would be 0.",
)
def masked_plus_one(logits, targets, mask=None):
    return with_mask(lambda losses, weights: (losses * weights).sum() / (weights.sum() + 1))(
        logits, targets, mask
    )


@misconception(
    "loss.masked_cross_entropy",
    "a new 0 with a gradient of its own",
    "With nothing to count you return a new tensor that requires a gradient. backward() works, but "
    "it never reaches the logits: they get no gradient, instead of one of 0.",
)
def masked_leaf(logits, targets, mask=None):
    if mask is not None and not mask.any():
        return torch.zeros((), requires_grad=True)
    return masked_nan(logits, targets, mask)


# --- unigram_log_probs -------------------------------------------------------------------------


@misconception(
    "loss.unigram_log_probs",
    "nothing is added",
    "You take the counts as they are. A token that was not seen gets ln 0 = -inf, and if it comes "
    "after all, the mean loss is infinite.",
)
def unigram_unsmoothed(ids, vocab_size):
    counts = np.bincount(np.asarray(ids), minlength=vocab_size)
    with np.errstate(divide="ignore"):
        return np.log(counts / counts.sum())


@misconception(
    "loss.unigram_log_probs",
    "divide by the old number",
    "You add one to every count, but divide by the number of tokens before. The probabilities add "
    "up to more than 1: there are V imagined tokens in the total, too.",
)
def unigram_old_total(ids, vocab_size):
    return np.log((np.bincount(np.asarray(ids), minlength=vocab_size) + 1) / len(ids))


@misconception(
    "loss.unigram_log_probs",
    "one is added to the total only once",
    "You divide by the number of tokens plus 1. Each of the V counts grew by one, so the total "
    "grew by V.",
)
def unigram_total_plus_one(ids, vocab_size):
    return np.log((np.bincount(np.asarray(ids), minlength=vocab_size) + 1) / (len(ids) + 1))


@misconception(
    "loss.unigram_log_probs",
    "only the zeros are raised",
    "You set the counts of 0 to 1 and leave the others. Then new tokens are as likely as those "
    "seen once. One is added to every count.",
)
def unigram_only_zeros(ids, vocab_size):
    counts = np.maximum(np.bincount(np.asarray(ids), minlength=vocab_size), 1)
    return np.log(counts / counts.sum())


@misconception(
    "loss.unigram_log_probs",
    "probabilities without the ln",
    "You return the probabilities. Their logarithms are asked for: they can be added up, and "
    "serve as the bias of a head.",
)
def unigram_probs(ids, vocab_size):
    counts = np.bincount(np.asarray(ids), minlength=vocab_size) + 1
    return counts / counts.sum()


@misconception(
    "loss.unigram_log_probs",
    "repeated ids are counted once",
    "You write counts[ids] += 1. NumPy reads, adds and writes back once per place, so a token that "
    "occurs ten times gets 1. Use np.bincount, np.add.at or a loop.",
)
def unigram_indexed(ids, vocab_size):
    counts = np.ones(vocab_size)
    counts[ids] += 1
    return np.log(counts / counts.sum())


@misconception(
    "loss.unigram_log_probs",
    "as long as the largest id",
    "Your answer ends at the largest id that occurs. Tokens behind it have a place, too: there "
    "are vocab_size of them.",
)
def unigram_too_short(ids, vocab_size):
    counts = np.bincount(np.asarray(ids)) + 1
    return np.log(counts / counts.sum())


@misconception(
    "loss.unigram_log_probs",
    "logarithm to base 2",
    "Your logarithms count in bits. Nats need ln.",
)
def unigram_log_probs_bits(ids, vocab_size):
    counts = np.bincount(np.asarray(ids), minlength=vocab_size) + 1
    return np.log2(counts / counts.sum())


# --- unigram_loss ------------------------------------------------------------------------------


def smoothed(ids, vocab_size):
    counts = np.bincount(np.asarray(ids), minlength=vocab_size) + 1
    return np.log(counts / counts.sum())


def entropy(ids):
    counts = np.bincount(np.asarray(ids))
    probs = counts[counts > 0] / counts.sum()
    return float(-(probs * np.log(probs)).sum())


@misconception(
    "loss.unigram_loss",
    "one is added in the entropy, too",
    "Without val_ids you still add one to every count. A text measured on its own counts needs no "
    "help: every token in it has been seen.",
)
def unigram_loss_smoothed(ids, vocab_size, val_ids=None):
    measured_on = ids if val_ids is None else val_ids
    return float(-smoothed(ids, vocab_size)[np.asarray(measured_on)].mean())


@misconception(
    "loss.unigram_loss",
    "nothing is added for validation",
    "You measure val_ids with raw counts. A token that is new there was impossible, and the loss "
    "is infinite.",
)
def unigram_loss_unsmoothed(ids, vocab_size, val_ids=None):
    if val_ids is None:
        return entropy(ids)
    counts = np.bincount(np.asarray(ids), minlength=vocab_size)
    with np.errstate(divide="ignore"):
        return float(-np.log(counts / counts.sum())[np.asarray(val_ids)].mean())


@misconception(
    "loss.unigram_loss",
    "val_ids are not used",
    "You measure on ids even if val_ids are given. That is how well the counts fit the text they "
    "come from; how well they fit another text is the question.",
)
def unigram_loss_without_val(ids, vocab_size, val_ids=None):
    return entropy(ids)


@misconception(
    "loss.unigram_loss",
    "counted in validation",
    "You count in val_ids what you then measure on val_ids. This is the entropy of the "
    "validation text, which nobody knows before reading it.",
)
def unigram_loss_counts_val(ids, vocab_size, val_ids=None):
    return entropy(ids if val_ids is None else val_ids)


@misconception(
    "loss.unigram_loss",
    "0 times ln 0",
    "You compute 0 · ln 0 for tokens that do not occur, and that is NaN. They add nothing: leave "
    "them out.",
)
def unigram_loss_zero_log_zero(ids, vocab_size, val_ids=None):
    if val_ids is not None:
        return unigram_loss_smoothed(ids, vocab_size, val_ids)
    probs = np.bincount(np.asarray(ids), minlength=vocab_size) / len(ids)
    with np.errstate(divide="ignore", invalid="ignore"):
        return float(-(probs * np.log(probs)).sum())


@misconception(
    "loss.unigram_loss",
    "sum instead of mean",
    "You add up the surprises at all tokens. A loss is per token: a long text is not worse than a "
    "short one.",
)
def unigram_loss_sum(ids, vocab_size, val_ids=None):
    if val_ids is None:
        return entropy(ids) * len(ids)
    return float(-smoothed(ids, vocab_size)[np.asarray(val_ids)].sum())


@misconception(
    "loss.unigram_loss",
    "mean over the vocabulary",
    "You average over the kinds of tokens, each once. A token that comes often must weigh often: "
    "average over the text.",
)
def unigram_loss_over_vocabulary(ids, vocab_size, val_ids=None):
    if val_ids is None:
        counts = np.bincount(np.asarray(ids))
        return float(-np.log(counts[counts > 0] / counts.sum()).mean())
    return float(-smoothed(ids, vocab_size).mean())


@misconception(
    "loss.unigram_loss",
    "bits instead of nats",
    "Your logarithms are to base 2. This course counts in nats: use ln.",
)
def unigram_loss_bits(ids, vocab_size, val_ids=None):
    if val_ids is None:
        return entropy(ids) / math.log(2)
    return unigram_loss_smoothed(ids, vocab_size, val_ids) / math.log(2)


@misconception(
    "loss.unigram_loss",
    "the minus sign is missing",
    "Your loss is below 0. Logarithms of probabilities are; surprise is their negative.",
)
def unigram_loss_negative(ids, vocab_size, val_ids=None):
    if val_ids is None:
        return -entropy(ids)
    return -unigram_loss_smoothed(ids, vocab_size, val_ids)


# --- bits_per_byte -----------------------------------------------------------------------------


@misconception(
    "loss.bits_per_byte",
    "nats per byte",
    "You share out the nats, and do not convert them. One bit is ln 2 nats: divide by ln 2.",
)
def nats_per_byte(total_nats, n_bytes):
    if n_bytes < 1:
        raise ValueError(n_bytes)
    return total_nats / n_bytes


@misconception(
    "loss.bits_per_byte",
    "times ln 2",
    "You multiply by ln 2. A bit is smaller than a nat, so there are more bits than nats: divide.",
)
def bits_times_ln_2(total_nats, n_bytes):
    if n_bytes < 1:
        raise ValueError(n_bytes)
    return total_nats * math.log(2) / n_bytes


@misconception(
    "loss.bits_per_byte",
    "no question about the bytes",
    "You divide without looking at n_bytes. At 0 Python raises another error, and a negative "
    "number gives a negative loss.",
)
def bits_unchecked(total_nats, n_bytes):
    return total_nats / math.log(2) / n_bytes


@misconception(
    "loss.bits_per_byte",
    "only 0 is refused",
    "You refuse 0 bytes and accept -3. A text has one byte at least.",
)
def bits_only_zero(total_nats, n_bytes):
    if n_bytes == 0:
        raise ValueError(n_bytes)
    return total_nats / math.log(2) / n_bytes


@misconception(
    "loss.bits_per_byte",
    "eight bits in a byte",
    "You divide by 8 as well. How many bits a byte can hold does not matter: the question is how "
    "many bits of surprise fall on each.",
)
def bits_by_eight(total_nats, n_bytes):
    if n_bytes < 1:
        raise ValueError(n_bytes)
    return total_nats / math.log(2) / n_bytes / 8


@misconception(
    "loss.bits_per_byte",
    "log2 of the nats",
    "You take the logarithm of the surprise, which is a logarithm already. To change the unit, "
    "divide by ln 2.",
)
def bits_by_log2(total_nats, n_bytes):
    if n_bytes < 1:
        raise ValueError(n_bytes)
    return math.log2(total_nats + 1e-12) / n_bytes


# --- loss_of_step ------------------------------------------------------------------------------


@misconception(
    "loss.loss_of_step",
    "mean of means",
    "You take the mean of the batches' means. A target in a small batch then counts more than one "
    "in a large batch: one of 1 pulls as hard as four of 4 together.",
    stub=True,
)
def mean_of_means(batches):
    means = []
    for losses, mask in batches:
        count = mask.sum().clamp(min=1)
        means.append((losses * mask).sum() / count)
    return torch.stack(means).mean()


@misconception(
    "loss.loss_of_step",
    "weighed by places",
    "You weigh each mean by the size of its batch, the places that do not count included. What "
    "weighs is the number of targets that count.",
)
def weighed_by_places(batches):
    total = sum((x * m).sum() / m.sum().clamp(min=1) * m.numel() for x, m in batches)
    return total / sum(m.numel() for _, m in batches)


@misconception(
    "loss.loss_of_step",
    "weighed by rows",
    "You weigh each mean by the number of rows. Rows differ in how many targets they hold.",
)
def weighed_by_rows(batches):
    total = sum((x * m).sum() / m.sum().clamp(min=1) * len(m) for x, m in batches)
    return total / sum(len(m) for _, m in batches)


@misconception(
    "loss.loss_of_step",
    "divided by all places",
    "You add up what counts, but divide by all places. The more filler, the smaller the loss.",
)
def step_by_places(batches):
    return sum((x * m).sum() for x, m in batches) / sum(m.numel() for _, m in batches)


@misconception(
    "loss.loss_of_step",
    "mean over batches of the sums",
    "You divide the total by the number of batches. The loss then grows with their size.",
)
def sum_by_batches(batches):
    return sum((x * m).sum() for x, m in batches) / len(batches)


@misconception(
    "loss.loss_of_step",
    "the mask is forgotten",
    "You take the mean of all surprises, filler included.",
)
def step_without_mask(batches):
    return torch.cat([losses.flatten() for losses, _ in batches]).mean()


@misconception(
    "loss.loss_of_step",
    "empty batches are left out of the mean",
    "You leave out the batches without targets and take the mean of the other means. It is still "
    "a mean of means: targets in small batches count more.",
)
def mean_of_full_means(batches):
    return torch.stack([x[m].mean() for x, m in batches if m.any()]).mean()


@misconception(
    "loss.loss_of_step",
    "a float without a gradient",
    "You return a Python number. It has forgotten where it came from, and no gradient flows. "
    "Stay with tensors; .item() is for the log.",
)
def step_as_float(batches):
    return sum((x * m).sum().item() for x, m in batches) / sum(m.sum().item() for _, m in batches)


# --- hide_targets ------------------------------------------------------------------------------


@misconception(
    "loss.hide_targets",
    "a list compared with a number",
    "`mask == 0` asks whether the whole list is 0. It is not: the answer is one False, and as an "
    "index False is 0. So the first target is hidden, always, and no other.",
    stub=True,
)
def hide_first(targets, mask):
    hidden = list(targets)
    hidden[mask == 0] = IGNORE
    return hidden


@misconception(
    "loss.hide_targets",
    "only one of the two is made an array",
    "Your targets are an array, but the mask is still a list. `mask == 0` is one False, which "
    "selects nothing at all: nothing is hidden.",
)
def hide_nothing(targets, mask):
    hidden = np.array(targets)
    hidden[mask == 0] = IGNORE
    return hidden.tolist()


@misconception(
    "loss.hide_targets",
    "the mask turned round",
    "You hide what counts, and leave the filler. Hide where the mask is 0.",
)
def hide_inverted(targets, mask):
    return np.where(mask, IGNORE, targets).tolist()


@misconception(
    "loss.hide_targets",
    "ones and zeros as places",
    "You index with an array of the numbers 1 and 0. NumPy takes them for places: place 1 and "
    "place 0. Only booleans select.",
)
def hide_places(targets, mask):
    hidden = np.array(targets)
    hidden[1 - np.array(mask, dtype=int)] = IGNORE
    return hidden.tolist()


@misconception(
    "loss.hide_targets",
    "multiply by the mask",
    "You multiply targets by the mask. What is hidden becomes 0, and 0 is the id of a token: the "
    "model is taught to write it.",
)
def hide_by_product(targets, mask):
    return [target * int(counts) for target, counts in zip(targets, mask, strict=True)]


@misconception(
    "loss.hide_targets",
    "filler is cut out",
    "You drop the targets that do not count. The others move up, and no longer stand beside the "
    "logits they belong to.",
)
def hide_by_dropping(targets, mask):
    return [target for target, counts in zip(targets, mask, strict=True) if counts]


@misconception(
    "loss.hide_targets",
    "the targets are changed in place",
    "You write into the list you were given. Whoever handed it over finds holes in it.",
)
def hide_in_place(targets, mask):
    for i, counts in enumerate(mask):
        if not counts:
            targets[i] = IGNORE
    return targets


@misconception(
    "loss.hide_targets",
    "-100 instead of IGNORE",
    "You write -100, which PyTorch leaves out unless told otherwise. Here the value is IGNORE, "
    "and what is not IGNORE is taken for an id.",
)
def hide_with_100(targets, mask):
    return np.where(mask, targets, -100).tolist()


@misconception(
    "loss.hide_targets",
    "0 is taken for filler",
    "You hide the targets that are 0. What counts is the mask: 0 is an id as any other, and filler "
    "may hold any id.",
)
def hide_zeros(targets, mask):
    return [IGNORE if target == 0 else target for target in targets]


@misconception(
    "loss.hide_targets",
    "filler is taken to be at the end",
    "You count the ones and hide what comes after as many places. The zeros of a mask may stand "
    "anywhere.",
)
def hide_the_end(targets, mask):
    count = sum(mask)
    return targets[:count] + [IGNORE] * (len(targets) - count)


# --- counts_padding ----------------------------------------------------------------------------


def two_rows(filler=3):
    """Logits (2, 6, 7), targets and mask: rows of 4 and 2, then filler."""
    g = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 6, 7, generator=g)
    mask = torch.arange(6) < torch.tensor([[4], [2]])
    targets = torch.randint(1, 7, (2, 6), generator=g).masked_fill(~mask, filler)
    return logits, targets, mask


def differ(a, b):
    return not torch.allclose(a, b)


@misconception(
    "loss.counts_padding",
    "only other content",
    "You change what stands at the filler, never how much filler there is. A loss that divides by "
    "all places passes your test.",
)
def by_content(loss_fn):
    logits, targets, mask = two_rows()
    changed = torch.where(mask.unsqueeze(-1), logits, logits.flip(1) + logits.flip(2))
    other = targets.masked_fill(~mask, 5)
    return differ(loss_fn(logits, targets, mask), loss_fn(changed, other, mask))


@misconception(
    "loss.counts_padding",
    "only other targets",
    "You change the targets at the filler, but neither the logits there nor the amount of filler.",
)
def by_targets(loss_fn):
    logits, targets, mask = two_rows()
    other = targets.masked_fill(~mask, 5)
    return differ(loss_fn(logits, targets, mask), loss_fn(logits, other, mask))


@misconception(
    "loss.counts_padding",
    "only whole columns of filler",
    "You add filler behind rows of equal length. A loss that cuts off what all rows share, and "
    "counts the rest, passes your test. Give the rows different lengths.",
)
def by_columns(loss_fn):
    logits, targets, mask = two_rows()
    mask = torch.arange(6).expand(2, 6) < 4
    longer = loss_fn(logits, targets, mask)
    return differ(longer, loss_fn(logits[:, :4], targets[:, :4], mask[:, :4]))


@misconception(
    "loss.counts_padding",
    "equal logits everywhere",
    "All your logits are equal, so every target costs ln V. The mean is ln V, whichever of them "
    "are counted. Use logits that differ.",
)
def by_equal_logits(loss_fn):
    logits, targets, mask = two_rows()
    logits = torch.zeros_like(logits)
    before = loss_fn(logits, targets, mask)
    content = loss_fn(logits, targets.masked_fill(~mask, 5), mask)
    return differ(before, content) or differ(
        before, loss_fn(logits[:, :4], targets[:, :4], mask[:, :4])
    )


@misconception(
    "loss.counts_padding",
    "filler is always token 0",
    "All your filler is token 0. A loss that leaves out token 0, and never looks at the mask, "
    "passes your test.",
)
def by_token_0(loss_fn):
    logits, targets, mask = two_rows(filler=0)
    changed = torch.where(mask.unsqueeze(-1), logits, logits.flip(1) + logits.flip(2))
    before = loss_fn(logits, targets, mask)
    return differ(before, loss_fn(changed, targets, mask)) or differ(
        before, loss_fn(logits[:, :4], targets[:, :4], mask[:, :4])
    )


@misconception(
    "loss.counts_padding",
    "compare with the right number",
    "You ask whether the loss is right. Another mistake is not the question: compare the loss "
    "with itself, before and after the filler is changed.",
)
def by_against_truth(loss_fn):
    logits, targets, mask = two_rows()
    return differ(loss_fn(logits, targets, mask), F.cross_entropy(logits[mask], targets[mask]))


@misconception(
    "loss.counts_padding",
    "exactly equal",
    "You demand that the numbers are equal to the last digit. The same additions in another order "
    "change it: use torch.allclose, or math.isclose with rel_tol=1e-4.",
)
def by_exactly(loss_fn):
    logits, targets, mask = two_rows()
    changed = torch.where(mask.unsqueeze(-1), logits, logits.flip(1) + logits.flip(2))
    before = loss_fn(logits, targets, mask).item()
    return any(
        before != loss_fn(*other).item()
        for other in [
            (changed, targets.masked_fill(~mask, 5), mask),
            (logits[:, :5], targets[:, :5], mask[:, :5]),
            (logits[:, :4], targets[:, :4], mask[:, :4]),
        ]
    )


@misconception(
    "loss.counts_padding",
    "the verdict turned round",
    "You return True for the losses that are blind to filler. True means: filler changes it.",
)
def by_turned_round(loss_fn):
    logits, targets, mask = two_rows()
    other = loss_fn(logits[:, :4], targets.masked_fill(~mask, 5)[:, :4], mask[:, :4])
    changed = torch.where(mask.unsqueeze(-1), logits, logits.flip(1) + logits.flip(2))
    before = loss_fn(logits, targets, mask)
    return not (differ(before, other) or differ(before, loss_fn(changed, targets, mask)))


@misconception(
    "loss.counts_padding",
    "True for every loss",
    "Your test finds fault with every loss, also with those that are blind to filler. Do the two "
    "calls differ in filler, and in nothing else?",
)
def by_nothing_right(loss_fn):
    return True


@misconception(
    "loss.counts_padding",
    "False for every loss",
    "Your test lets every loss pass, also one that counts all filler. Is the mask False somewhere, "
    "and does something differ there between two calls?",
)
def by_nothing_wrong(loss_fn):
    return False


# --- losses_by_hand ----------------------------------------------------------------------------

LN_2 = math.log(2)


def numbers(**changed):
    """The right numbers, some of them changed: `number_3=0.5`."""
    right = [math.log(11_868), -math.log(0.9), 10.0, 1.5 * LN_2, 0.5 * LN_2, 8.0, 2.0]
    return [changed.get(f"number_{i}", number) for i, number in enumerate(right, start=1)]


@misconception(
    "loss.losses_by_hand",
    "bits where nats are asked for",
    "Some of your losses are in bits: they are 1.44 times too large. One bit is ln 2 = 0.693 nats.",
)
def predict_bits():
    in_nats = numbers()
    return [number / LN_2 for number in in_nats[:5]] + in_nats[5:]


@misconception(
    "loss.losses_by_hand",
    "what is missing to 1",
    "You subtract the probability from 1. Surprise is -ln p: near p = 1 the two are alike, but it "
    "has no upper end.",
)
def predict_missing():
    missing = 1 / (1 + math.exp(-10))
    return numbers(number_1=1 - 1 / 11_868, number_2=0.1, number_3=missing)


@misconception(
    "loss.losses_by_hand",
    "the bigram is always in doubt",
    "You let the bigram choose between two tokens at every place. It does so only after 春; after "
    "花 and 月 it is certain, and half of the places cost nothing.",
)
def predict_bigram_always():
    return numbers(number_5=LN_2)


@misconception(
    "loss.losses_by_hand",
    "the bigram is always certain",
    "You give the bigram a loss of 0. After 春 it cannot know which of 花 and 月 comes: it sees "
    "one character, and would have to remember the two before.",
)
def predict_bigram_never():
    return numbers(number_5=0.0)


@misconception(
    "loss.losses_by_hand",
    "each kind of token weighs the same",
    "In the unigram you average over the three characters, each once. 春 fills half of the text, "
    "so its surprise weighs one half.",
)
def predict_unigram_over_kinds():
    return numbers(number_4=5 / 3 * LN_2)


@misconception(
    "loss.losses_by_hand",
    "three equal characters",
    "You take 春, 花 and 月 for equally likely, which costs ln 3. 春 is as common as the two "
    "others together.",
)
def predict_unigram_equal():
    return numbers(number_4=math.log(3))


@misconception(
    "loss.losses_by_hand",
    "mean of the perplexities",
    "You average 4 and 16. Surprises are averaged, and they are logarithms: of 2 and 4 bits the "
    "mean is 3, which is 8 equal tokens.",
)
def predict_mean_perplexity():
    return numbers(number_6=10.0)


@misconception(
    "loss.losses_by_hand",
    "mean of the probabilities",
    "You average 1/4 and 1/16 and turn the result round. Surprises are averaged, not "
    "probabilities.",
)
def predict_mean_probability():
    return numbers(number_6=6.4)


@misconception(
    "loss.losses_by_hand",
    "bits per character",
    "You stop at the bits of a character. They are shared out over its three bytes.",
)
def predict_bits_per_character():
    return numbers(number_7=6.0)


@misconception(
    "loss.losses_by_hand",
    "nats per byte",
    "You share out nats. Bits are asked for: 64 is 2 to the power of 6.",
)
def predict_nats_per_byte():
    return numbers(number_7=math.log(64) / 3)


@misconception(
    "loss.losses_by_hand",
    "perplexity over bytes",
    "You divide the perplexity by the bytes. It is no sum of surprises; take its logarithm first.",
)
def predict_perplexity_over_bytes():
    return numbers(number_7=64 / 3)
