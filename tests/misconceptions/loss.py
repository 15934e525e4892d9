"""Wrong answers to the tasks of chapter 05."""

import math
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F

from nanopoet.checker.trial import misconception

IGNORE = -1


def right_log_softmax(logits):
    return logits - logits.logsumexp(-1, keepdim=True)


def right_token_losses(logits, targets):
    return -right_log_softmax(logits).gather(-1, targets.unsqueeze(-1)).squeeze(-1)


SMALL = (1e-6, 1e-8, 1e-9, 1e-10, 1e-12)  # that people add before a ln


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


@misconception(
    "loss.uniform_loss",
    "one term of the entropy",
    "You weigh the surprise at one token by its probability. The loss is the sum over all V of "
    "them: V times 1/V is 1, and the whole surprise is left.",
)
def uniform_one_term(vocab_size):
    return math.log(vocab_size) / vocab_size


@misconception(
    "loss.uniform_loss",
    "rounded",
    "You round to two digits, as the example does to print it. Return the number as it is.",
)
def uniform_rounded(vocab_size):
    return round(math.log(vocab_size), 2)


@misconception(
    "loss.uniform_loss",
    "the number of the example",
    "You return 9.38, whatever vocab_size is. That is the loss for 11,868 tokens.",
)
def uniform_constant(vocab_size):
    return 9.38


@misconception(
    "loss.uniform_loss",
    "V - 1 instead of V",
    "You count one token too few. The right one is as likely as each of the others, and belongs "
    "to them.",
)
def uniform_of_others(vocab_size):
    return math.log(max(vocab_size - 1, 1))


@misconception(
    "loss.uniform_loss",
    "V + 1 instead of V",
    "You count one token too many. With one token only, there is no surprise: ln 1 = 0.",
)
def uniform_of_more(vocab_size):
    return math.log(vocab_size + 1)


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
    "cut off to whole tokens",
    "You cut off the digits behind the point. Perplexity is a mean, and need not be whole.",
)
def perplexity_floored(loss):
    return int(math.exp(loss))


@misconception(
    "loss.perplexity",
    "e times the loss",
    "You multiply by e instead of raising e to the loss.",
)
def perplexity_times_e(loss):
    return math.e * loss


@misconception(
    "loss.perplexity",
    "10 to the loss",
    "You raise 10 to the loss. A loss in nats is a natural logarithm: only e undoes it.",
)
def perplexity_base_10(loss):
    return 10**loss


@misconception(
    "loss.perplexity",
    "e to the loss in bits",
    "You turn nats into bits and then raise e to them. Either e to the nats, or 2 to the bits.",
)
def perplexity_e_to_bits(loss):
    return math.exp(loss / math.log(2))


@misconception(
    "loss.perplexity",
    "2 to the loss times ln 2",
    "You multiply by ln 2 to get bits. There are more bits than nats: divide, or raise e at once.",
)
def perplexity_times_ln_2(loss):
    return 2 ** (loss * math.log(2))


@misconception(
    "loss.perplexity",
    "the loss itself",
    "You return the loss. It is a logarithm; perplexity undoes it, and is a number of tokens.",
)
def perplexity_identity(loss):
    return loss


for rough in (2.7, 2.718, 2.72):

    @misconception(
        "loss.perplexity",
        f"{rough} for e",
        "You raise a rounded e to the loss. The error grows with the loss: use math.exp.",
    )
    def perplexity_rounded_e(loss, rough=rough):
        return rough**loss


@misconception(
    "loss.perplexity",
    "rounded",
    "You round the perplexity to a few digits. Return the number as it is.",
)
def perplexity_two_digits(loss):
    return round(math.exp(loss), 2)


@misconception(
    "loss.perplexity",
    "the number of the example",
    "You return 100, whatever the loss is. That is the perplexity of 100 equal tokens.",
)
def perplexity_constant(loss):
    return 100.0


@misconception(
    "loss.perplexity",
    "minus 1",
    "You subtract 1. A loss of 0 is the surprise of somebody who has one token to choose from, "
    "not none.",
)
def perplexity_minus_one(loss):
    return math.expm1(loss)


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


@misconception(
    "loss.log_softmax",
    "the largest logit is still there",
    "You take the sum over shifted logits, and subtract its ln from the logits as they were. The "
    "shift belongs to both, or must be added back to the ln.",
)
def log_softmax_half_shifted(logits):
    shifted = logits - logits.amax(-1, keepdim=True)
    return logits - shifted.exp().sum(-1, keepdim=True).log()


@misconception(
    "loss.log_softmax",
    "the largest logit is added",
    "You add the largest logit where it must be subtracted. ln of the sum is the largest logit "
    "plus ln of the shifted sum, and all of this is subtracted.",
)
def log_softmax_wrong_sign(logits):
    largest = logits.amax(-1, keepdim=True)
    return logits + largest - (logits - largest).exp().sum(-1, keepdim=True).log()


@misconception(
    "loss.log_softmax",
    "clamped logits",
    "You clamp the logits, so that exp does not overflow. 1000 and 999 are then the same. Shift "
    "them: only their distances matter.",
)
def log_softmax_clamped(logits):
    return right_log_softmax(logits.clamp(-50, 50))


@misconception(
    "loss.log_softmax",
    "shifted by the mean",
    "You subtract the mean of the row. The largest logit may lie far above it, and its exp "
    "overflows. Subtract the largest.",
)
def log_softmax_shifted_by_mean(logits):
    shifted = logits - logits.mean(-1, keepdim=True)
    return shifted - shifted.exp().sum(-1, keepdim=True).log()


@misconception(
    "loss.log_softmax",
    "one sum for all rows",
    "You add up the exp of the whole tensor. Each row is a distribution of its own: sum over the "
    "last axis only.",
)
def log_softmax_one_sum(logits):
    shifted = logits - logits.amax(-1, keepdim=True)
    return shifted - shifted.exp().sum().log()


@misconception(
    "loss.log_softmax",
    "the sign turned round",
    "You return surprises. ln of a probability is at most 0; the minus comes later, in the loss.",
)
def log_softmax_negated(logits):
    return -right_log_softmax(logits)


@misconception(
    "loss.log_softmax",
    "logarithm to base 2",
    "Your logarithms count in bits. Nats need ln.",
)
def log_softmax_bits(logits):
    return right_log_softmax(logits) / math.log(2)


@misconception(
    "loss.log_softmax",
    "cut off from the gradient",
    "You leave the graph: by detach, no_grad, .item(), NumPy or a new torch.tensor. The values are "
    "right, but nothing can be learned through them.",
)
def log_softmax_without_gradient(logits):
    return right_log_softmax(logits.detach())


@misconception(
    "loss.log_softmax",
    "always float32",
    "You turn the logits into float32. float64 goes in, so float64 comes out.",
)
def log_softmax_float32(logits):
    return right_log_softmax(logits.float())


@misconception(
    "loss.log_softmax",
    "always float64",
    "You compute in float64 and do not go back. float32 goes in, so float32 comes out.",
)
def log_softmax_float64(logits):
    return right_log_softmax(logits.double())


for small in SMALL:

    @misconception(
        "loss.log_softmax",
        f"{small:.0e} inside the ln",
        "You add a small number before the ln, or clamp there, to avoid ln 0. This caps every "
        "surprise: what has a probability of e^-1000 looks like e^-20, and has no gradient.",
    )
    def log_with_epsilon(logits, small=small):
        return (logits.softmax(-1) + small).log()


@misconception(
    "loss.log_softmax",
    "the largest logit of each column",
    "You take the largest logit over the first axis. Then a row may still hold a large logit, or "
    "only very small ones. Each row needs its own.",
)
def log_softmax_column_max(logits):
    shifted = logits - logits.amax(0, keepdim=True)
    return shifted - shifted.exp().sum(-1, keepdim=True).log()


@misconception(
    "loss.log_softmax",
    "one distribution for all rows",
    "You take the softmax of the whole tensor. Each row is a distribution of its own: dim=-1.",
)
def log_softmax_of_all(logits):
    return logits - logits.logsumexp(tuple(range(logits.dim())))


@misconception(
    "loss.log_softmax",
    "two axes only",
    "You unpack the shape into two sizes. Logits (V,) or (B, T, V) are as good: write it for any "
    "number of axes, with dim=-1.",
)
def log_softmax_two_axes(logits):
    B, V = logits.shape
    return right_log_softmax(logits.view(B, V))


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


@misconception(
    "loss.token_losses",
    "squeeze without an axis",
    "You squeeze all axes of size 1. One row, or rows of one target, lose an axis that they need. "
    "squeeze(-1) takes away the one that gather wanted.",
)
def token_losses_squeezed(logits, targets):
    return -right_log_softmax(logits).gather(-1, targets.unsqueeze(-1)).squeeze()


@misconception(
    "loss.token_losses",
    "left flat",
    "You return one long row. Give it the shape of the targets again.",
)
def token_losses_flat(logits, targets):
    return right_token_losses(logits, targets).flatten()


@misconception(
    "loss.token_losses",
    "three axes only",
    "You unpack the shape into B, T and V. Logits (N, V) or (V,) are as good: write it for any "
    "number of axes, with ... or -1.",
)
def token_losses_three_axes(logits, targets):
    B, T, V = logits.shape
    return right_token_losses(logits.view(B * T, V), targets.view(B * T)).view(B, T)


@misconception(
    "loss.token_losses",
    "reshape where a transpose is needed",
    "You reshape (B, T, V) to (B, V, T). The sizes fit, but the numbers are shuffled: only a "
    "transpose moves an axis.",
)
def token_losses_reshaped(logits, targets):
    if logits.dim() < 3:
        return F.cross_entropy(logits, targets, reduction="none")
    wrong = logits.reshape(len(logits), logits.shape[-1], *targets.shape[1:])
    return F.cross_entropy(wrong, targets, reduction="none")


@misconception(
    "loss.token_losses",
    "shifted by one",
    "You shift the targets against the logits. They are shifted when the batch is made; to do it "
    "twice asks for the token after the next.",
)
def token_losses_shifted(logits, targets):
    return right_token_losses(logits[..., :-1, :], targets[..., 1:])


@misconception(
    "loss.token_losses",
    "cut off from the gradient",
    "You leave the graph: by detach, no_grad, .item(), NumPy or a new torch.tensor. The values are "
    "right, but nothing can be learned through them.",
)
def token_losses_without_gradient(logits, targets):
    return right_token_losses(logits, targets).detach()


@misconception(
    "loss.token_losses",
    "the likeliest token",
    "You take the surprise at the token that the model prefers. The target may be another one.",
)
def token_losses_of_favourite(logits, targets):
    return -right_log_softmax(logits).amax(-1)


@misconception(
    "loss.token_losses",
    "summed over the vocabulary",
    "You add up the surprises at all tokens. Only the one at the target happened: pick it, or "
    "multiply by a one-hot row first.",
)
def token_losses_of_all(logits, targets):
    return -right_log_softmax(logits).sum(-1)


@misconception(
    "loss.token_losses",
    "mean over the one-hot row",
    "You multiply with a one-hot row and take its mean. The zeros count then, too: each loss is "
    "too small by a factor of V. Take the sum.",
)
def token_losses_one_hot_mean(logits, targets):
    return right_token_losses(logits, targets) / logits.shape[-1]


@misconception(
    "loss.token_losses",
    "one term of the entropy",
    "You weigh the surprise by the probability that the model gave. The target did happen: its "
    "weight is 1.",
)
def token_losses_weighed(logits, targets):
    losses = right_token_losses(logits, targets)
    return (-losses).exp() * losses


@misconception(
    "loss.token_losses",
    "bits instead of nats",
    "Your logarithms are to base 2. This course counts in nats: use ln.",
)
def token_losses_bits(logits, targets):
    return right_token_losses(logits, targets) / math.log(2)


@misconception(
    "loss.token_losses",
    "token 0 costs nothing",
    "You leave out the targets that are 0, as if it were filler. 0 is an id as any other; what "
    "does not count is for a mask to say.",
)
def token_losses_ignore_0(logits, targets):
    return right_token_losses(logits, targets) * (targets != 0)


@misconception(
    "loss.token_losses",
    "each token on its own",
    "You ask V questions of yes or no, with a sigmoid each. The tokens exclude one another: it is "
    "one question with V answers, and softmax.",
)
def token_losses_binary(logits, targets):
    y = F.one_hot(targets, logits.shape[-1]).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, y, reduction="none").sum(-1)


@misconception(
    "loss.token_losses",
    "always float32",
    "You turn the logits into float32. float64 goes in, so float64 comes out.",
)
def token_losses_float32(logits, targets):
    return right_token_losses(logits.float(), targets)


for small in SMALL:

    @misconception(
        "loss.token_losses",
        f"{small:.0e} inside the ln",
        "You add a small number before the ln, or clamp there, to avoid ln 0. This caps every "
        "surprise: what has a probability of e^-1000 looks like e^-20, and has no gradient.",
    )
    def token_losses_with_epsilon(logits, targets, small=small):
        probs = logits.softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)
        return -(probs + small).log()


@misconception(
    "loss.token_losses",
    "exp without a shift",
    "You compute exp of the logits as they are. It overflows, and infinity divided by infinity is "
    "NaN.",
)
def token_losses_naive(logits, targets):
    probs = logits.exp() / logits.exp().sum(-1, keepdim=True)
    return -probs.gather(-1, targets.unsqueeze(-1)).squeeze(-1).log()


@misconception(
    "loss.token_losses",
    "the probability without the ln",
    "You return minus the probability of the target. Surprise is minus its logarithm: use "
    "log_softmax where you have softmax.",
)
def token_losses_minus_p(logits, targets):
    return -logits.softmax(-1).gather(-1, targets.unsqueeze(-1)).squeeze(-1)


@misconception(
    "loss.token_losses",
    "the sum already",
    "You return one number. Here each target keeps its own loss: reduction='none'.",
)
def token_losses_sum(logits, targets):
    return right_token_losses(logits, targets).sum()


@misconception(
    "loss.token_losses",
    "two axes only",
    "You index with arange(len(targets)), which fits rows (N, V). Flatten the other axes first, or "
    "use gather, which takes any number of them.",
)
def token_losses_two_axes(logits, targets):
    return -right_log_softmax(logits)[torch.arange(len(targets)), targets]


@misconception(
    "loss.token_losses",
    "axes 1 and 2 always change places",
    "You write transpose(1, 2), which fits (B, T, V) only. Logits (N, V) or (V,) are as good.",
)
def token_losses_transposed(logits, targets):
    return F.cross_entropy(logits.transpose(1, 2), targets, reduction="none")


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


@misconception(
    "loss.cross_entropy",
    "one mean per row",
    "You take the mean over the last axis of the targets only. Training needs one number: the "
    "mean over all.",
)
def cross_entropy_per_row(logits, targets):
    losses = right_token_losses(logits, targets)
    return losses.mean(-1) if losses.dim() > 1 else losses


@misconception(
    "loss.cross_entropy",
    "perplexity",
    "You return e to the loss. That is for people to read; the loss is the mean surprise itself.",
)
def cross_entropy_exp(logits, targets):
    return right_token_losses(logits, targets).mean().exp()


@misconception(
    "loss.cross_entropy",
    "ln of the mean probability",
    "You average the probabilities and take the ln at the end. One target that was nearly "
    "impossible is lost in that mean. Average the surprises.",
)
def cross_entropy_of_mean(logits, targets):
    return -(-right_token_losses(logits, targets)).exp().mean().log()


@misconception(
    "loss.cross_entropy",
    "divided by the vocabulary",
    "You divide the sum by V. The mean is over targets; V is only how many tokens could have come.",
)
def cross_entropy_by_vocabulary(logits, targets):
    return right_token_losses(logits, targets).sum() / logits.shape[-1]


@misconception(
    "loss.cross_entropy",
    "logits into nll_loss",
    "You give logits to F.nll_loss, which only picks and takes the mean. It wants "
    "log-probabilities: log_softmax first, or F.cross_entropy, which does both.",
)
def cross_entropy_of_logits(logits, targets):
    return -logits.gather(-1, targets.unsqueeze(-1)).mean()


@misconception(
    "loss.cross_entropy",
    "three axes only",
    "You unpack the shape into B, T and V. Logits (N, V) or (V,) are as good: write it for any "
    "number of axes, with reshape(-1, V).",
)
def cross_entropy_three_axes(logits, targets):
    B, T, V = logits.shape
    return F.cross_entropy(logits.reshape(B * T, V), targets.reshape(B * T))


@misconception(
    "loss.cross_entropy",
    "token 0 is left out",
    "You leave out the targets that are 0, as if it were filler. 0 is an id as any other; what "
    "does not count is for a mask to say.",
)
def cross_entropy_ignore_0(logits, targets):
    return F.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), targets.reshape(-1), ignore_index=0
    )


@misconception(
    "loss.cross_entropy",
    "shifted by one",
    "You shift the targets against the logits. They are shifted when the batch is made; to do it "
    "twice asks for the token after the next.",
)
def cross_entropy_shifted(logits, targets):
    if logits.dim() > 1:
        logits, targets = logits[..., :-1, :], targets[..., 1:]
    return right_token_losses(logits, targets).mean()


@misconception(
    "loss.cross_entropy",
    "the last place only",
    "You look at the last place of each row. That is how one writes; in training all places learn.",
)
def cross_entropy_last(logits, targets):
    losses = right_token_losses(logits, targets)
    return losses[..., -1].mean() if losses.dim() else losses


@misconception(
    "loss.cross_entropy",
    "bits instead of nats",
    "Your logarithms are to base 2. This course counts in nats: use ln.",
)
def cross_entropy_bits(logits, targets):
    return right_token_losses(logits, targets).mean() / math.log(2)


@misconception(
    "loss.cross_entropy",
    "an axis is left",
    "You return a tensor (1,). A loss has no axes: use .mean() or .sum() without keepdim.",
)
def cross_entropy_one_axis(logits, targets):
    return right_token_losses(logits, targets).mean().reshape(1)


@misconception(
    "loss.cross_entropy",
    "cut off from the gradient",
    "You leave the graph: by detach, no_grad, NumPy or a new torch.tensor. The value is right, but "
    "backward() has nothing to go back to.",
)
def cross_entropy_without_gradient(logits, targets):
    return right_token_losses(logits, targets).mean().detach()


@misconception(
    "loss.cross_entropy",
    "always float32",
    "You turn the logits into float32. float64 goes in, so float64 comes out.",
)
def cross_entropy_float32(logits, targets):
    return right_token_losses(logits.float(), targets).mean()


for small in SMALL:

    @misconception(
        "loss.cross_entropy",
        f"{small:.0e} inside the ln",
        "You add a small number before the ln, or clamp there, to avoid ln 0. This caps every "
        "surprise: what has a probability of e^-1000 looks like e^-20, and has no gradient.",
    )
    def cross_entropy_with_epsilon(logits, targets, small=small):
        return -(logits.softmax(-1).gather(-1, targets.unsqueeze(-1)) + small).log().mean()


@misconception(
    "loss.cross_entropy",
    "exp without a shift",
    "You compute exp of the logits as they are. It overflows, and infinity divided by infinity is "
    "NaN.",
)
def cross_entropy_naive(logits, targets):
    probs = logits.exp() / logits.exp().sum(-1, keepdim=True)
    return -probs.gather(-1, targets.unsqueeze(-1)).log().mean()


@misconception(
    "loss.cross_entropy",
    "softmax over the first axis",
    "Your softmax goes over the first axis, and mixes rows. The vocabulary is the last.",
)
def cross_entropy_first_axis(logits, targets):
    return -logits.log_softmax(0).gather(-1, targets.unsqueeze(-1)).mean()


@misconception(
    "loss.cross_entropy",
    "the probability without the ln",
    "You return minus the mean probability of the targets. Surprise is minus its logarithm: use "
    "log_softmax where you have softmax.",
)
def cross_entropy_minus_p(logits, targets):
    return -logits.softmax(-1).gather(-1, targets.unsqueeze(-1)).mean()


@misconception(
    "loss.cross_entropy",
    "no mean yet",
    "You return one loss for each target. Training needs one number: their mean.",
)
def cross_entropy_not_reduced(logits, targets):
    return right_token_losses(logits, targets)


@misconception(
    "loss.cross_entropy",
    "axes 1 and 2 always change places",
    "You write transpose(1, 2), which fits (B, T, V) only. Logits (N, V) or (V,) are as good.",
)
def cross_entropy_transposed(logits, targets):
    return F.cross_entropy(logits.transpose(1, 2), targets)


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


def mean_grad(probs, targets):
    return (probs - F.one_hot(targets, probs.shape[-1])) / targets.numel()


@misconception(
    "loss.cross_entropy_grad",
    "y is forgotten",
    "You return p / N. That is only what was believed; subtract what happened, 1 at the target.",
)
def grad_without_target(logits, targets):
    return logits.softmax(-1) / targets.numel()


@misconception(
    "loss.cross_entropy_grad",
    "logits instead of probabilities",
    "You subtract y from the logits. The derivative of the log-sum is the softmax of the logits.",
)
def grad_of_logits(logits, targets):
    return mean_grad(logits, targets)


@misconception(
    "loss.cross_entropy_grad",
    "softmax over the first axis",
    "Your softmax goes over the first axis, and mixes rows. The vocabulary is the last.",
)
def grad_first_axis(logits, targets):
    return mean_grad(logits.softmax(0), targets)


@misconception(
    "loss.cross_entropy_grad",
    "softmax twice",
    "You apply softmax to probabilities. What was believed is softmax of the logits, once.",
)
def grad_softmax_twice(logits, targets):
    return mean_grad(logits.softmax(-1).softmax(-1), targets)


@misconception(
    "loss.cross_entropy_grad",
    "the derivative of softmax as a factor",
    "You multiply by p, as in the derivative p(1 - p) of the softmax. The ln in the loss has a "
    "derivative of 1/p, and the two cancel: p - y is left.",
)
def grad_times_p(logits, targets):
    probs = logits.softmax(-1)
    return probs * mean_grad(probs, targets)


@misconception(
    "loss.cross_entropy_grad",
    "p(1 - p) instead of p",
    "You take p(1 - p), the derivative of softmax by its own logit. The derivative of the log-sum "
    "is p itself.",
)
def grad_of_softmax(logits, targets):
    probs = logits.softmax(-1)
    return mean_grad(probs * (1 - probs), targets)


@misconception(
    "loss.cross_entropy_grad",
    "every row gets every target",
    "You write grad[..., targets] -= 1. It takes 1 away at the targets of all rows, in each row. "
    "Each row has one target of its own: scatter_add_, or one_hot.",
)
def grad_all_pairs(logits, targets):
    grad = logits.softmax(-1)
    grad[..., targets] -= 1
    return grad / targets.numel()


@misconception(
    "loss.cross_entropy_grad",
    "one_hot without the size",
    "You leave out the number of classes. F.one_hot then ends at the largest target, and the row "
    "is too short.",
)
def grad_short_one_hot(logits, targets):
    return (logits.softmax(-1) - F.one_hot(targets)) / targets.numel()


@misconception(
    "loss.cross_entropy_grad",
    "divided by the vocabulary",
    "You divide by V. The mean is over targets; V is only how many tokens could have come.",
)
def grad_by_vocabulary(logits, targets):
    return (logits.softmax(-1) - F.one_hot(targets, logits.shape[-1])) / logits.shape[-1]


@misconception(
    "loss.cross_entropy_grad",
    "divided by the columns only",
    "You divide by T, the length of a row. The mean is over all B times T targets.",
)
def grad_by_columns(logits, targets):
    columns = targets.shape[-1] if targets.dim() else 1
    return (logits.softmax(-1) - F.one_hot(targets, logits.shape[-1])) / columns


@misconception(
    "loss.cross_entropy_grad",
    "the logits are changed in place",
    "You write into the logits you were given. Whoever handed them to you still needs them.",
)
def grad_in_place(logits, targets):
    logits -= logits.amax(-1, keepdim=True)
    return mean_grad(logits.softmax(-1), targets)


@misconception(
    "loss.cross_entropy_grad",
    "the gradient stays in the logits",
    "You call backward() on the logits you were given. Their .grad is kept, and the next call adds "
    "to it: the second answer is twice the first. Ask a copy: logits.detach().clone().",
)
def grad_accumulated(logits, targets):
    logits.requires_grad_()
    right_token_losses(logits, targets).mean().backward()
    return logits.grad


@misconception(
    "loss.cross_entropy_grad",
    "the logits want a gradient afterwards",
    "You call requires_grad_() on the logits you were given. Whoever handed them over then builds "
    "a graph without knowing it. Ask a copy: logits.detach().clone().",
)
def grad_marked(logits, targets):
    logits.requires_grad_()
    return torch.autograd.grad(right_token_losses(logits, targets).mean(), logits)[0]


@misconception(
    "loss.cross_entropy_grad",
    "the gradient of another tensor",
    "You ask for logits.grad, but backward() has gone through a copy. Its .grad is the answer.",
)
def grad_of_original(logits, targets):
    return logits.grad


@misconception(
    "loss.cross_entropy_grad",
    "always float32",
    "You turn the logits into float32. float64 goes in, so float64 comes out.",
)
def grad_float32(logits, targets):
    return mean_grad(logits.float().softmax(-1), targets)


@misconception(
    "loss.cross_entropy_grad",
    "always float64",
    "You compute in float64 and do not go back. float32 goes in, so float32 comes out.",
)
def grad_float64(logits, targets):
    return mean_grad(logits.double().softmax(-1), targets)


@misconception(
    "loss.cross_entropy_grad",
    "y - p, and not divided by N",
    "Your signs are turned round, and you do not divide: the gradient is (p - y) / N.",
)
def grad_negative_sum(logits, targets):
    return F.one_hot(targets, logits.shape[-1]) - logits.softmax(-1)


@misconception(
    "loss.cross_entropy_grad",
    "whole rows instead of one place",
    "You write grad[targets] -= 1. It takes the targets for rows. Each row loses 1 at one place: "
    "grad[arange(N), targets], or scatter_add_.",
)
def grad_rows(logits, targets):
    grad = logits.softmax(-1)
    grad[targets] -= 1
    return grad / targets.numel()


@misconception(
    "loss.cross_entropy_grad",
    "two axes only",
    "You index with arange(len(targets)), which fits rows (N, V). Flatten the other axes first, or "
    "use one_hot, which takes any number of them.",
)
def grad_two_axes(logits, targets):
    grad = logits.softmax(-1)
    grad[torch.arange(len(targets)), targets] -= 1
    return grad / targets.numel()


@misconception(
    "loss.cross_entropy_grad",
    "-1 in the place of p - 1",
    "You write -1 over the probability of the target. Subtract 1 from it: scatter_add_, not "
    "scatter_.",
)
def grad_overwritten(logits, targets):
    grad = logits.softmax(-1)
    return grad.scatter(-1, targets.unsqueeze(-1), -1.0) / targets.numel()


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


@misconception(
    "loss.masked_cross_entropy",
    "the mean of an empty selection",
    "You select what counts and take the mean, or leave the rest to ignore_index. The mean of "
    "nothing is NaN in PyTorch, too.",
)
def masked_empty_mean(logits, targets, mask=None):
    if mask is None:
        return right_token_losses(logits, targets).mean()
    return right_token_losses(logits, targets)[mask.bool()].mean()


@misconception(
    "loss.masked_cross_entropy",
    "nothing to count is an error",
    "You raise an error when nothing counts. Such batches come up; they teach nothing, and the "
    "run must go on: a loss of 0.",
)
def masked_raises(logits, targets, mask=None):
    if mask is not None and not mask.any():
        raise ValueError("nothing to count")
    return masked_nan(logits, targets, mask)


@misconception(
    "loss.masked_cross_entropy",
    "~ on a float mask",
    "You write ~mask. That needs booleans; a mask of 1.0 and 0.0 raises an error. Convert it with "
    ".bool(), or ask for mask == 0.",
)
def masked_by_tilde(logits, targets, mask=None):
    if mask is None:
        return right_token_losses(logits, targets).mean()
    losses = right_token_losses(logits, targets).masked_fill(~mask, 0.0)
    return losses.sum() / mask.sum().clamp(min=1)


@misconception(
    "loss.masked_cross_entropy",
    "0 is taken for filler",
    "You set targets to 0 where they do not count and leave out every 0. But 0 is an id as any "
    "other, and those that count go, too. Mark filler with a value that is no id, such as -100.",
)
def masked_by_target_0(logits, targets, mask=None):
    if mask is not None:
        targets = targets * mask.long()
    return with_mask(lambda losses, weights: (losses * weights).sum() / weights.sum())(
        logits, targets, targets != 0
    )


@misconception(
    "loss.masked_cross_entropy",
    "the targets are changed in place",
    "You write into the targets you were given. Whoever handed them over finds holes in them: "
    "use masked_fill without the underscore, or torch.where.",
)
def masked_in_place(logits, targets, mask=None):
    if mask is not None:
        targets[mask == 0] = -100
    counts = targets != -100
    return with_mask(lambda losses, weights: (losses * weights).sum() / weights.sum().clamp(min=1))(
        logits, targets.clamp(min=0), counts
    )


@misconception(
    "loss.masked_cross_entropy",
    "the filler is added up",
    "You set to 0 the losses that count, and divide what is left by the number of those that "
    "count. masked_fill fills where the mask is True: turn it round there.",
)
def masked_filled(logits, targets, mask=None):
    return with_mask(
        lambda losses, weights: (losses * (1 - weights)).sum() / weights.sum().clamp(min=1)
    )(logits, targets, mask)


@misconception(
    "loss.masked_cross_entropy",
    "divided by the rows",
    "You divide by B, the number of rows. The divisor is the number of targets that count.",
)
def masked_by_rows(logits, targets, mask=None):
    return with_mask(lambda losses, weights: (losses * weights).sum() / len(losses))(
        logits, targets, mask
    )


@misconception(
    "loss.masked_cross_entropy",
    "a float mask as an index, and NaN",
    "You index with the mask, which needs booleans: convert it with .bool(). And the mean of an "
    "empty selection is NaN: ask first whether anything counts.",
)
def masked_by_bare_index(logits, targets, mask=None):
    if mask is None:
        return right_token_losses(logits, targets).mean()
    return right_token_losses(logits, targets)[mask].mean()


@misconception(
    "loss.masked_cross_entropy",
    "None counts nothing",
    "Without a mask you return 0. None means that all targets count.",
)
def masked_none_is_nothing(logits, targets, mask=None):
    if mask is None:
        return logits.sum() * 0.0
    return with_mask(lambda losses, weights: (losses * weights).sum() / weights.sum().clamp(min=1))(
        logits, targets, mask
    )


@misconception(
    "loss.masked_cross_entropy",
    "without a mask, 0 is filler",
    "Without a mask you leave out the targets that are 0. None means that all count, and 0 is an "
    "id as any other.",
)
def masked_none_is_not_0(logits, targets, mask=None):
    return masked_none_is_nothing(logits, targets, targets != 0 if mask is None else mask)


@misconception(
    "loss.masked_cross_entropy",
    "cut off from the gradient",
    "You leave the graph: by detach, no_grad, .item() and a new torch.tensor. The value is right, "
    "but backward() has nothing to go back to.",
)
def masked_without_gradient(logits, targets, mask=None):
    return masked_none_is_nothing(
        logits, targets, torch.ones_like(targets) if mask is None else mask
    ).detach()


@misconception(
    "loss.masked_cross_entropy",
    "always float32",
    "You turn losses or weights into float32. float64 goes in, so float64 comes out.",
)
def masked_float32(logits, targets, mask=None):
    return masked_none_is_nothing(
        logits.float(), targets, torch.ones_like(targets) if mask is None else mask
    )


@misconception(
    "loss.masked_cross_entropy",
    "-inf on the logits",
    "You set logits to -inf, as attention does with its scores. A row of nothing but -inf has no "
    "softmax: NaN. Here whole places are left out: mask the losses.",
)
def masked_minus_inf(logits, targets, mask=None):
    if mask is not None:
        logits = logits.masked_fill(mask.unsqueeze(-1) == 0, -math.inf)
    return right_token_losses(logits, targets).mean()


@misconception(
    "loss.masked_cross_entropy",
    "the mask as a condition",
    "You ask `if mask`, or write `mask or ...`. A tensor of several numbers has no truth value. "
    "Ask `if mask is None`.",
)
def masked_truth(logits, targets, mask=None):
    return masked_nan(logits, targets, mask or torch.ones_like(targets))


@misconception(
    "loss.masked_cross_entropy",
    "three axes only",
    "You unpack the shape into B, T and V. Logits (N, V) or (V,) are as good: write it for any "
    "number of axes.",
)
def masked_three_axes(logits, targets, mask=None):
    B, T, V = logits.shape
    counts = torch.ones(B, T) if mask is None else mask
    return masked_none_is_nothing(logits.view(B, T, V), targets, counts)


@misconception(
    "loss.masked_cross_entropy",
    "nothing to count, so all count",
    "If nothing counts you take the mean over everything. Then the model learns from filler.",
)
def masked_nothing_is_all(logits, targets, mask=None):
    if mask is not None and not mask.any():
        mask = None
    return masked_nan(logits, targets, mask)


@misconception(
    "loss.masked_cross_entropy",
    "mean of the means of the rows that count",
    "You take a mean for each row that holds something, then the mean of these. A target in a "
    "short row then counts more than one in a long row.",
)
def masked_full_row_means(logits, targets, mask=None):
    def way(losses, weights):
        return ((losses * weights).sum(-1) / weights.sum(-1)).nanmean()

    return with_mask(way)(logits, targets, mask)


# --- unigram_log_probs -------------------------------------------------------------------------


def smoothed(ids, vocab_size):
    counts = np.bincount(np.asarray(ids), minlength=vocab_size) + 1
    return np.log(counts / counts.sum())


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


@misconception(
    "loss.unigram_log_probs",
    "surprises instead",
    "You return -ln p. Log-probabilities are at most 0; the minus comes later, in the loss.",
)
def unigram_surprises(ids, vocab_size):
    return -smoothed(ids, vocab_size)


@misconception(
    "loss.unigram_log_probs",
    "a small number inside the ln",
    "You add a small number to the probabilities, not one to the counts. What was not seen is "
    "then all but impossible, and the sum is not 1.",
)
def unigram_epsilon(ids, vocab_size):
    counts = np.bincount(np.asarray(ids), minlength=vocab_size)
    return np.log(counts / counts.sum() + 1e-9)


@misconception(
    "loss.unigram_log_probs",
    "softmax of the counts",
    "You take a softmax of the counts. That raises e to them: a count of 10 against 5 is then e^5 "
    "times as likely, not twice. Divide by their sum.",
)
def unigram_softmax(ids, vocab_size):
    counts = np.bincount(np.asarray(ids), minlength=vocab_size) + 1.0
    return counts - np.logaddexp.reduce(counts)


@misconception(
    "loss.unigram_log_probs",
    "only the tokens that occur",
    "You count the tokens that ids hold, as np.unique does, and no others. There are vocab_size "
    "of them, and each has its place.",
)
def unigram_only_seen(ids, vocab_size):
    _, counts = np.unique(np.asarray(ids), return_counts=True)
    return np.log((counts + 1) / (counts + 1).sum())


@misconception(
    "loss.unigram_log_probs",
    "one is added to the probabilities",
    "You add one to each share instead of to each count. A share is at most 1, so all tokens "
    "become nearly alike.",
)
def unigram_shares_plus_one(ids, vocab_size):
    shares = np.bincount(np.asarray(ids), minlength=vocab_size) / len(ids) + 1
    return np.log(shares / shares.sum())


@misconception(
    "loss.unigram_log_probs",
    "another number than one is added",
    "You add 1/2 to every count. That is a smoothing, too, but here it is one.",
)
def unigram_plus_half(ids, vocab_size):
    counts = np.bincount(np.asarray(ids), minlength=vocab_size) + 0.5
    return np.log(counts / counts.sum())


@misconception(
    "loss.unigram_log_probs",
    "one is shared out",
    "You add 1/V to every count, one in all. One is added to each.",
)
def unigram_plus_share(ids, vocab_size):
    counts = np.bincount(np.asarray(ids), minlength=vocab_size) + 1 / vocab_size
    return np.log(counts / counts.sum())


@misconception(
    "loss.unigram_log_probs",
    "arrays only",
    "You compare or index ids as an array. `ids == v` is one False for a list: np.asarray first.",
)
def unigram_array_only(ids, vocab_size):
    counts = np.array([(ids == v).sum() for v in range(vocab_size)]) + 1
    return np.log(counts / counts.sum())


@misconception(
    "loss.unigram_log_probs",
    "lists only",
    "You use a method of lists. An array has no count: np.bincount takes both.",
)
def unigram_list_only(ids, vocab_size):
    counts = np.array([ids.count(v) for v in range(vocab_size)]) + 1
    return np.log(counts / counts.sum())


@misconception(
    "loss.unigram_log_probs",
    "the counts are not divided",
    "You return ln of the counts. Divide by their sum first: log-probabilities are at most 0.",
)
def unigram_not_divided(ids, vocab_size):
    return np.log(np.bincount(np.asarray(ids), minlength=vocab_size) + 1)


@misconception(
    "loss.unigram_log_probs",
    "the total grows, the counts do not",
    "You add V to the total, but nothing to the counts. What was not seen is still impossible.",
)
def unigram_only_total(ids, vocab_size):
    counts = np.bincount(np.asarray(ids), minlength=vocab_size)
    with np.errstate(divide="ignore"):
        return np.log(counts / (len(ids) + vocab_size))


@misconception(
    "loss.unigram_log_probs",
    "log1p of the shares",
    "You write log1p of the shares. That adds one to a share, not to a count.",
)
def unigram_log1p(ids, vocab_size):
    return np.log1p(np.bincount(np.asarray(ids), minlength=vocab_size) / len(ids))


@misconception(
    "loss.unigram_log_probs",
    "divided by the largest count",
    "You divide by the largest count. Probabilities add up to 1: divide by the sum.",
)
def unigram_by_largest(ids, vocab_size):
    counts = np.bincount(np.asarray(ids), minlength=vocab_size) + 1
    return np.log(counts / counts.max())


# --- unigram_loss ------------------------------------------------------------------------------


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


@misconception(
    "loss.unigram_loss",
    "the entropy of the smoothed counts",
    "Without val_ids you weigh by the counts with one added, too. What happened are the counts as "
    "they are; nothing is added to them.",
)
def unigram_loss_smoothed_entropy(ids, vocab_size, val_ids=None):
    if val_ids is not None:
        return unigram_loss_smoothed(ids, vocab_size, val_ids)
    log_probs = smoothed(ids, vocab_size)
    return float(-(np.exp(log_probs) * log_probs).sum())


@misconception(
    "loss.unigram_loss",
    "the two texts changed places",
    "You count in val_ids and are surprised by ids. One learns from ids and is tested on val_ids.",
)
def unigram_loss_swapped(ids, vocab_size, val_ids=None):
    if val_ids is None:
        return entropy(ids)
    return unigram_loss_smoothed(val_ids, vocab_size, ids)


@misconception(
    "loss.unigram_loss",
    "val_ids are counted, too",
    "You count in both texts together. What one is tested on must not have been read before.",
)
def unigram_loss_both(ids, vocab_size, val_ids=None):
    if val_ids is None:
        return entropy(ids)
    return unigram_loss_smoothed([*ids, *val_ids], vocab_size, val_ids)


@misconception(
    "loss.unigram_loss",
    "weighed by the belief",
    "You weigh the surprises at val_ids by the probabilities of the unigram. These tokens did "
    "happen: each place has the same weight.",
)
def unigram_loss_weighed(ids, vocab_size, val_ids=None):
    if val_ids is None:
        return entropy(ids)
    log_probs = smoothed(ids, vocab_size)[np.asarray(val_ids)]
    return float(-(np.exp(log_probs) * log_probs).sum())


@misconception(
    "loss.unigram_loss",
    "each new token once",
    "You are surprised by each kind of token in val_ids once. What comes often must weigh often.",
)
def unigram_loss_kinds(ids, vocab_size, val_ids=None):
    if val_ids is None:
        return entropy(ids)
    return unigram_loss_smoothed(ids, vocab_size, np.unique(val_ids))


@misconception(
    "loss.unigram_loss",
    "the divergence only",
    "You subtract the entropy of val_ids. What is left is the price of the error, the KL "
    "divergence. The loss is the whole surprise.",
)
def unigram_loss_divergence(ids, vocab_size, val_ids=None):
    if val_ids is None:
        return entropy(ids)
    return unigram_loss_smoothed(ids, vocab_size, val_ids) - entropy(val_ids)


@misconception(
    "loss.unigram_loss",
    "divided by the length of ids",
    "You divide the surprise at val_ids by the length of the other text. It is a mean over "
    "val_ids.",
)
def unigram_loss_wrong_length(ids, vocab_size, val_ids=None):
    if val_ids is None:
        return entropy(ids)
    return unigram_loss_smoothed(ids, vocab_size, val_ids) * len(val_ids) / len(ids)


@misconception(
    "loss.unigram_loss",
    "ln of the mean probability",
    "You average the probabilities and take the ln at the end. Average the surprises.",
)
def unigram_loss_of_mean(ids, vocab_size, val_ids=None):
    if val_ids is None:
        shares = np.bincount(np.asarray(ids)) / len(ids)
        return float(-np.log((shares**2).sum()))
    return float(-np.log(np.exp(smoothed(ids, vocab_size)[np.asarray(val_ids)]).mean()))


@misconception(
    "loss.unigram_loss",
    "val_ids as a condition",
    "You ask `if val_ids`. An array of several numbers has no truth value and raises an error, "
    "[0] as an array is False. Ask `if val_ids is not None`.",
)
def unigram_loss_truth(ids, vocab_size, val_ids=None):
    if val_ids:
        return unigram_loss_smoothed(ids, vocab_size, val_ids)
    return entropy(ids)


@misconception(
    "loss.unigram_loss",
    "lists only",
    "You use a method of lists. An array has no count: np.bincount takes both.",
)
def unigram_loss_list_only(ids, vocab_size, val_ids=None):
    if val_ids is not None:
        return unigram_loss_smoothed(ids, vocab_size, val_ids)
    shares = np.array([ids.count(i) for i in set(ids)]) / len(ids)
    return float(-(shares * np.log(shares)).sum())


@misconception(
    "loss.unigram_loss",
    "counts that end at the largest id",
    "Your counts end at the largest of ids. val_ids may hold larger ones: minlength=vocab_size.",
)
def unigram_loss_too_short(ids, vocab_size, val_ids=None):
    if val_ids is None:
        return entropy(ids)
    return unigram_loss_smoothed(ids, 0, val_ids)


@misconception(
    "loss.unigram_loss",
    "mean of the terms",
    "You take the mean of the terms p ln p. The weights p are in them already: take the sum.",
)
def unigram_loss_mean_of_terms(ids, vocab_size, val_ids=None):
    if val_ids is not None:
        return unigram_loss_smoothed(ids, vocab_size, val_ids)
    return entropy(ids) / len(set(np.asarray(ids).tolist()))


@misconception(
    "loss.unigram_loss",
    "perplexity",
    "You return e to the loss. That is for people to read; the loss is the mean surprise itself.",
)
def unigram_loss_perplexity(ids, vocab_size, val_ids=None):
    if val_ids is None:
        return math.exp(entropy(ids))
    return math.exp(unigram_loss_smoothed(ids, vocab_size, val_ids))


@misconception(
    "loss.unigram_loss",
    "divide by the old number",
    "You add one to every count, but divide by the number of tokens before: there are V imagined "
    "tokens in the total, too.",
)
def unigram_loss_old_total(ids, vocab_size, val_ids=None):
    if val_ids is None:
        return entropy(ids)
    return unigram_loss_smoothed(ids, vocab_size, val_ids) - math.log(1 + vocab_size / len(ids))


@misconception(
    "loss.unigram_loss",
    "new tokens are skipped",
    "You leave out the tokens of val_ids that ids lack. They surprise most: adding one to every "
    "count is there for them.",
)
def unigram_loss_skips_new(ids, vocab_size, val_ids=None):
    if val_ids is None:
        return entropy(ids)
    known = [i for i in val_ids if i in ids]
    return unigram_loss_smoothed(ids, vocab_size, known) if known else 0.0


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


for error in (AssertionError, TypeError, ZeroDivisionError):

    @misconception(
        "loss.bits_per_byte",
        f"{error.__name__} instead of ValueError",
        "You refuse the right numbers with another error. The contract says ValueError: whoever "
        "calls waits for this one, and assert raises none when Python runs with -O.",
    )
    def bits_other_error(total_nats, n_bytes, error=error):
        if n_bytes < 1:
            raise error(n_bytes)
        return total_nats / math.log(2) / n_bytes


@misconception(
    "loss.bits_per_byte",
    "a number instead of an error",
    "You return a number for a text without bytes. It would look like a model that was never "
    "surprised: raise ValueError.",
)
def bits_without_error(total_nats, n_bytes):
    return total_nats / math.log(2) / max(n_bytes, 1)


@misconception(
    "loss.bits_per_byte",
    "1 byte is refused",
    "You refuse a text of 1 byte. Below 1 is the error.",
)
def bits_one_refused(total_nats, n_bytes):
    if n_bytes <= 1:
        raise ValueError(n_bytes)
    return total_nats / math.log(2) / n_bytes


@misconception(
    "loss.bits_per_byte",
    "a whole number of bits",
    "You divide with //, or round. The mean is a fraction: use /.",
)
def bits_floored(total_nats, n_bytes):
    if n_bytes < 1:
        raise ValueError(n_bytes)
    return total_nats / math.log(2) // n_bytes


for rough, bits_in_a_nat in [(0.69, 1 / 0.69), (0.693, 1 / 0.693), (1.44, 1.44)]:

    @misconception(
        "loss.bits_per_byte",
        f"{rough} is too rough",
        "You write a rounded number for ln 2, or for its inverse. Models differ by less than the "
        "error: use math.log(2).",
    )
    def bits_rounded_ln_2(total_nats, n_bytes, factor=bits_in_a_nat):
        if n_bytes < 1:
            raise ValueError(n_bytes)
        return total_nats * factor / n_bytes


@misconception(
    "loss.bits_per_byte",
    "rounded",
    "You round to three digits, as the example does to print it. Return the number as it is.",
)
def bits_rounded(total_nats, n_bytes):
    if n_bytes < 1:
        raise ValueError(n_bytes)
    return round(total_nats / math.log(2) / n_bytes, 3)


@misconception(
    "loss.bits_per_byte",
    "bytes per bit",
    "You divide the bytes by the bits. Asked for is how many bits fall on one byte.",
)
def bytes_per_bit(total_nats, n_bytes):
    if n_bytes < 1:
        raise ValueError(n_bytes)
    return n_bytes * math.log(2) / (total_nats + 1e-12)


@misconception(
    "loss.bits_per_byte",
    "a perplexity per byte",
    "You raise 2 or e to the surprise. Bits are surprise themselves: divide, and nothing more.",
)
def bits_exponential(total_nats, n_bytes):
    if n_bytes < 1:
        raise ValueError(n_bytes)
    return 2 ** min(total_nats / n_bytes, 1000)


@misconception(
    "loss.bits_per_byte",
    "not shared out",
    "You return the bits of the whole text. Share them out over its bytes.",
)
def bits_of_all(total_nats, n_bytes):
    if n_bytes < 1:
        raise ValueError(n_bytes)
    return total_nats / math.log(2)


@misconception(
    "loss.bits_per_byte",
    "the logarithm to base 10",
    "You divide by the logarithm of 2 to base 10. Nats are natural: divide by ln 2 = 0.693.",
)
def bits_log10(total_nats, n_bytes):
    if n_bytes < 1:
        raise ValueError(n_bytes)
    return total_nats / math.log10(2) / n_bytes


@misconception(
    "loss.bits_per_byte",
    "log2 of the nats per byte",
    "You share out the nats and take the logarithm of a surprise, which is one already. To change "
    "the unit, divide by ln 2.",
)
def bits_log2_of_mean(total_nats, n_bytes):
    if n_bytes < 1:
        raise ValueError(n_bytes)
    return math.log2(total_nats / n_bytes)


@misconception(
    "loss.bits_per_byte",
    "0 is accepted",
    "You refuse -3 bytes and accept 0. Then Python divides by zero, with an error of its own.",
)
def bits_only_negative(total_nats, n_bytes):
    if n_bytes < 0:
        raise ValueError(n_bytes)
    return total_nats / math.log(2) / n_bytes


@misconception(
    "loss.bits_per_byte",
    "times the bytes",
    "You multiply by the bytes. a / b * c is (a / b) * c: divide twice, or put brackets.",
)
def bits_times_bytes(total_nats, n_bytes):
    if n_bytes < 1:
        raise ValueError(n_bytes)
    return total_nats / math.log(2) * n_bytes


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


@misconception(
    "loss.loss_of_step",
    "sum of means",
    "You add the batches' means up. Each means something else: divide all that counts by all who "
    "count, once.",
)
def sum_of_means(batches):
    return sum((x * m).sum() / m.sum().clamp(min=1) for x, m in batches)


@misconception(
    "loss.loss_of_step",
    "sum without division",
    "You add up what counts and do not divide. Loss and gradient then grow with the batch.",
)
def step_sum(batches):
    return sum((x * m).sum() for x, m in batches)


@misconception(
    "loss.loss_of_step",
    "divided twice",
    "You divide by the number of targets, and by that of batches as well. The first is enough.",
)
def step_divided_twice(batches):
    return sum((x * m).sum() for x, m in batches) / sum(m.sum() for _, m in batches) / len(batches)


@misconception(
    "loss.loss_of_step",
    "an empty batch counts as one target",
    "You raise each batch's count to 1 before you add them up. A batch without targets then adds "
    "one that is not there. Only the total must not be 0.",
)
def step_clamped(batches):
    return sum((x * m).sum() for x, m in batches) / sum(m.sum().clamp(min=1) for _, m in batches)


@misconception(
    "loss.loss_of_step",
    "NaN from an empty batch",
    "You take the mean of each batch, also of one without targets. That is NaN, and NaN times a "
    "weight of 0 is NaN, too.",
)
def step_nan(batches):
    total = sum(m.sum() for _, m in batches)
    return sum(x[m].mean() * m.sum() / total for x, m in batches)


@misconception(
    "loss.loss_of_step",
    "batches of one shape only",
    "You join or stack the batches as they are. B and T may differ: flatten them, or select first.",
)
def step_joined(batches):
    return torch.cat([x for x, _ in batches])[torch.cat([m for _, m in batches])].mean()


@misconception(
    "loss.loss_of_step",
    "mean of the means of rows",
    "You take a mean for each row, then the mean of these. A target in a short row then counts "
    "more than one in a long row.",
)
def step_by_row(batches):
    rows = [row[k].mean() for x, m in batches for row, k in zip(x, m, strict=True) if k.any()]
    return torch.stack(rows).mean()


@misconception(
    "loss.loss_of_step",
    "the last batch only",
    "You write = where += is needed: sum and number are those of the last batch.",
)
def step_last(batches):
    losses, mask = batches[-1]
    return (losses * mask).sum() / mask.sum()


@misconception(
    "loss.loss_of_step",
    "one is added to the divisor",
    "You add 1 to the number of targets. The step holds one at least, so it is never 0.",
)
def step_plus_one(batches):
    return sum((x * m).sum() for x, m in batches) / (1 + sum(m.sum() for _, m in batches))


@misconception(
    "loss.loss_of_step",
    "a running mean of two",
    "You halve the sum of the mean so far and the new mean. The last batch then has half of the "
    "say, the one before a quarter.",
)
def step_running(batches):
    means = [(x * m).sum() / m.sum().clamp(min=1) for x, m in batches]
    loss = means[0]
    for mean in means[1:]:
        loss = (loss + mean) / 2
    return loss


@misconception(
    "loss.loss_of_step",
    "a new tensor without a gradient",
    "You put a number into a new tensor, or detach. The value is right, but nothing can be learned "
    "through it. Stay with the tensors you were given.",
)
def step_without_gradient(batches):
    return torch.cat([x[m] for x, m in batches]).mean().detach()


@misconception(
    "loss.loss_of_step",
    "a new float32 without a gradient",
    "You put a Python number into a new tensor. It has lost its gradient, and its float64.",
)
def step_new_float32(batches):
    return torch.tensor(float(step_without_gradient(batches)))


@misconception(
    "loss.loss_of_step",
    "means of all places, weighed by what counts",
    "Your weights are right, but the means they weigh hold the filler, too. Take the mean of what "
    "counts.",
)
def step_of_plain_means(batches):
    return sum(x.mean() * m.sum() for x, m in batches) / sum(m.sum() for _, m in batches)


@misconception(
    "loss.loss_of_step",
    "sum of means over the number of targets",
    "You divide each batch by its own count, and their sum by the total. Add up the surprises "
    "first, and divide once.",
)
def step_means_by_targets(batches):
    return sum_of_means(batches) / sum(m.sum() for _, m in batches)


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
    "nothing is hidden",
    "Your list holds the targets as they were. If they are an array and the mask is still a list, "
    "`mask == 0` is one False, which selects nothing at all: both must be arrays.",
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
    "0 instead of IGNORE",
    "What does not count becomes 0 in your list, as if multiplied by the mask. But 0 is the id of "
    "a token: the model is taught to write it.",
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


@misconception(
    "loss.hide_targets",
    "the first target is still hidden",
    "You hide what does not count, and the first target as well: the old line with `mask == 0` is "
    "still there.",
)
def hide_first_too(targets, mask):
    hidden = [target if counts else IGNORE for target, counts in zip(targets, mask, strict=True)]
    return [IGNORE, *hidden[1:]]


@misconception(
    "loss.hide_targets",
    "the first target is never hidden",
    "You begin at place 1. The first target is hidden, too, if its mask is 0.",
)
def hide_from_second(targets, mask):
    hidden = [target if counts else IGNORE for target, counts in zip(targets, mask, strict=True)]
    return [targets[0], *hidden[1:]]


@misconception(
    "loss.hide_targets",
    "only the first zero",
    "You hide one place, that of the first 0: mask.index finds no other. Visit every place.",
)
def hide_first_zero(targets, mask):
    hidden = list(targets)
    if 0 in mask:
        hidden[mask.index(0)] = IGNORE
    return hidden


@misconception(
    "loss.hide_targets",
    "all after the first zero",
    "You hide everything from the first 0 on. Behind it targets may count again.",
)
def hide_after_zero(targets, mask):
    count = mask.index(0) if 0 in mask else len(mask)
    return targets[:count] + [IGNORE] * (len(targets) - count)


@misconception(
    "loss.hide_targets",
    "only the filler at the end",
    "You walk back from the end and stop at the first 1. The zeros of a mask may stand anywhere.",
)
def hide_trailing(targets, mask):
    count = max((i + 1 for i, counts in enumerate(mask) if counts), default=0)
    return targets[:count] + [IGNORE] * (len(targets) - count)


@misconception(
    "loss.hide_targets",
    "a mask of numbers as an index",
    "You index with the mask itself, an array of 1 and 0. NumPy takes the numbers for places 1 and "
    "0. Ask for mask == 0 first, which gives booleans.",
)
def hide_mask_as_places(targets, mask):
    hidden = np.array(targets)
    hidden[np.array(mask)] = IGNORE
    return hidden.tolist()


@misconception(
    "loss.hide_targets",
    "~ of numbers",
    "You write ~ before an array of 1 and 0. For numbers that is -2 and -1, the last two places. "
    "Only booleans are turned round: .astype(bool) first.",
)
def hide_by_tilde(targets, mask):
    hidden = np.array(targets)
    hidden[~np.array(mask)] = IGNORE
    return hidden.tolist()


@misconception(
    "loss.hide_targets",
    "target 0 is hidden, too",
    "You ask whether the target is true, as in `counts and target or IGNORE`. 0 is false, but it "
    "is an id as any other. Ask the mask only.",
)
def hide_false_targets(targets, mask):
    return [(counts and target) or IGNORE for target, counts in zip(targets, mask, strict=True)]


@misconception(
    "loss.hide_targets",
    "the mask one place off",
    "You ask the mask of the next place. Targets and mask stand side by side: both are shifted "
    "already.",
)
def hide_shifted(targets, mask):
    counts = [*mask[1:], 1]
    return [target if count else IGNORE for target, count in zip(targets, counts, strict=True)]


@misconception(
    "loss.hide_targets",
    "the value of the mask as a place",
    "You go through the mask and index with what it holds, 0, instead of where it stands. Use "
    "enumerate.",
)
def hide_by_value(targets, mask):
    hidden = list(targets)
    for counts in mask:
        if counts == 0:
            hidden[counts] = IGNORE
    return hidden


@misconception(
    "loss.hide_targets",
    "None instead of IGNORE",
    "You write None where a target does not count. A tensor holds numbers only: IGNORE is one.",
)
def hide_with_none(targets, mask):
    return [target if counts else None for target, counts in zip(targets, mask, strict=True)]


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
    "You only add filler behind all rows alike. A loss that cuts off what all rows share, and "
    "counts the rest, passes your test. Give the rows different lengths, and change what stands "
    "behind the shorter ones, too.",
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


@misconception(
    "loss.counts_padding",
    "all changes must show",
    "You say True only if every change of filler shows. One is enough: a loss may look at the "
    "logits of filler and not at its targets. Use or, not and.",
)
def by_all(loss_fn):
    logits, targets, mask = two_rows()
    changed = torch.where(mask.unsqueeze(-1), logits, logits.flip(1) + logits.flip(2))
    before = loss_fn(logits, targets, mask)
    return all(
        differ(before, loss_fn(*other))
        for other in [
            (changed, targets, mask),
            (logits, targets.masked_fill(~mask, 5), mask),
            (logits[:, :4], targets[:, :4], mask[:, :4]),
        ]
    )


@misconception(
    "loss.counts_padding",
    "targets that are no ids",
    "You put a target such as -100 at the filler. The contract of a loss says ids from 0 to V - 1: "
    "one raises an error, another leaves the target out by itself. Use another id.",
)
def by_no_ids(loss_fn):
    logits, targets, mask = two_rows()
    return differ(
        loss_fn(logits, targets, mask), loss_fn(logits, targets.masked_fill(~mask, -100), mask)
    )


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


for name, explanation, changed in [
    (
        "number 1: bits",
        "Your first number is in bits. The question is in nats: ln, not log2.",
        {"number_1": math.log2(11_868)},
    ),
    (
        "number 1: the probability",
        "Your first number is 1/V, a probability. The loss is the surprise at it.",
        {"number_1": 1 / 11_868},
    ),
    (
        "number 1: the sign",
        "Your first number is below 0. Surprise is the negative logarithm.",
        {"number_1": -math.log(11_868)},
    ),
    (
        "number 2: 1 - p",
        "You subtract 0.9 from 1. Surprise is -ln 0.9: near p = 1 the two are alike, not the same.",
        {"number_2": 0.1},
    ),
    (
        "number 2: the wrong tokens",
        "You take -ln 0.1, the surprise if another token had come. The right one had 0.9.",
        {"number_2": -math.log(0.1)},
    ),
    (
        "number 2: the sign",
        "Your second number is below 0. Surprise is the negative logarithm.",
        {"number_2": math.log(0.9)},
    ),
    (
        "number 2: bits",
        "Your second number is in bits. The question is in nats: ln, not log2.",
        {"number_2": -math.log2(0.9)},
    ),
    (
        "number 2: two digits",
        "0.11 is too rough. Three digits are asked for.",
        {"number_2": 0.11},
    ),
    (
        "number 3: the probability",
        "0.0000454 is the probability of the second token, e^-10, and nearly the surprise at the "
        "first. Asked for is the surprise at the second.",
        {"number_3": math.exp(-10)},
    ),
    (
        "number 3: the logit",
        "You return the logit of the target, 0. The other tokens have their say, too: softmax, "
        "then -ln.",
        {"number_3": 0.0},
    ),
    (
        "number 3: bits",
        "Your third number is in bits. The question is in nats.",
        {"number_3": 10 / LN_2},
    ),
    (
        "number 4: four equal characters",
        "You take four different characters. 春 comes twice: the shares are 1/2, 1/4, 1/4.",
        {"number_4": math.log(4)},
    ),
    (
        "number 4: bits",
        "1.5 bits are right, but the question is in nats: times ln 2.",
        {"number_4": 1.5},
    ),
    (
        "number 5: bits",
        "Half a bit is right, but the question is in nats: times ln 2.",
        {"number_5": 0.5},
    ),
    (
        "numbers 4 and 5: the other way round",
        "You give the unigram the loss of the bigram, and the reverse. A bigram knows more.",
        {"number_4": 0.5 * LN_2, "number_5": 1.5 * LN_2},
    ),
    (
        "number 6: the loss",
        "You stop at the mean loss, ln 8. Perplexity is e to it.",
        {"number_6": math.log(8)},
    ),
    (
        "number 6: bits",
        "You stop at the mean surprise in bits, 3. Perplexity is 2 to the power of it.",
        {"number_6": 3.0},
    ),
    (
        "number 6: the sum",
        "You add the surprises, or multiply 4 by 16. Perplexity takes their mean: the root of 64.",
        {"number_6": 64.0},
    ),
    (
        "number 7: times the bytes",
        "You multiply by the bytes. The bits of one character are shared out over three.",
        {"number_7": 18.0},
    ),
]:
    misconception("loss.losses_by_hand", name, explanation)(partial(numbers, **changed))


@misconception(
    "loss.losses_by_hand",
    "logarithms to base 10",
    "Some of your losses are 0.43 times what they should be: log on a calculator is often log10. "
    "Nats need ln.",
)
def predict_base_10():
    in_nats = numbers()
    return [number / math.log(10) for number in in_nats[:5]] + in_nats[5:]


@misconception(
    "loss.losses_by_hand",
    "a number is missing",
    "There are seven questions, and you give six numbers.",
)
def predict_six():
    return numbers()[:6]
