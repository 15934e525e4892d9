"""Wrong answers to the tasks of chapter 02."""

import torch
import torch.nn.functional as F

from nanopoet.checker.trial import misconception

INF = float("inf")


def causal(T):
    return torch.ones(T, T, dtype=torch.bool).tril()


def scaled(q, k):
    return q @ k.mT / q.shape[-1] ** 0.5


def mask_for(q, k, mask):
    """The mask that is given, or the causal one."""
    if mask is None:
        return torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril()
    return mask


def average(weights, v):
    return weights @ v, weights


def cut_off(answer):
    """The same numbers, but no gradient passes."""
    return torch.no_grad()(answer)


CUT_OFF = (
    "Your numbers are right, but no gradient can flow back through them. `.item()`, `.tolist()`, "
    "`.detach()`, `torch.tensor(…)`, NumPy and `no_grad` all lose how a number was computed."
)


def in_float32(answer):
    """The same numbers, always in float32."""

    def lower(*args, **kwargs):
        result = answer(*args, **kwargs)
        return tuple(x.float() for x in result) if isinstance(result, tuple) else result.float()

    return lower


IN_FLOAT32 = (
    "Your result is in float32 whatever comes in. `torch.zeros` and `.float()` give float32: say "
    "`dtype=x.dtype`, or use `zeros_like`."
)


# --- causal_mask ------------------------------------------------------------------------------


@misconception(
    "attention.causal_mask",
    "upper triangle",
    "Your rows see what comes after them. A poem is written forwards: row t sees columns 0 … t.",
)
def upper_triangle(T):
    return torch.ones(T, T, dtype=torch.bool).triu()


@misconception(
    "attention.causal_mask",
    "True means forbidden",
    "You mark what is hidden. Here True means: may look. Some libraries have it the other way "
    "round, which is why it is worth asking each time.",
)
def true_means_forbidden(T):
    return torch.ones(T, T, dtype=torch.bool).triu(1)


@misconception(
    "attention.causal_mask",
    "not even itself",
    "Your diagonal is False, so nobody sees itself. The first character then sees nobody, and a "
    "softmax over nothing is NaN.",
)
def not_itself(T):
    return torch.ones(T, T, dtype=torch.bool).tril(-1)


@misconception(
    "attention.causal_mask",
    "one column too far",
    "Your rows see one character ahead. That is just the one which the model has to guess.",
)
def one_too_far(T):
    return torch.ones(T, T, dtype=torch.bool).tril(1)


@misconception(
    "attention.causal_mask",
    "everybody sees everybody",
    "Your mask is True everywhere: it hides nothing. Row t sees columns 0 … t only.",
)
def all_true(T):
    return torch.ones(T, T, dtype=torch.bool)


@misconception(
    "attention.causal_mask",
    "numbers instead of booleans",
    "Your mask holds 0 and 1 as numbers. `~` and `masked_fill` want booleans: True and False.",
)
def floats(T):
    return torch.ones(T, T).tril()


@misconception(
    "attention.causal_mask",
    "whole numbers instead of booleans",
    "Your mask holds 0 and 1 as integers. `~` turns 1 into −2, and `masked_fill` wants booleans.",
)
def integers(T):
    return torch.ones(T, T, dtype=torch.int64).tril()


@misconception(
    "attention.causal_mask",
    "−∞ instead of False",
    "You return what is added to the scores: 0 and −∞. Here a mask is boolean, True for may look; "
    "it becomes −∞ only in the softmax.",
)
def minus_infinity(T):
    return torch.full((T, T), -INF).triu(1)


@misconception(
    "attention.causal_mask",
    "axes for poems and heads",
    "Your mask has axes in front. (T, T) is enough: it broadcasts to all poems and heads.",
)
def four_axes_mask(T):
    return causal(T).view(1, 1, T, T)


@misconception(
    "attention.causal_mask",
    "only itself",
    "Your mask is True on the diagonal only. A character also looks at all before it.",
)
def only_itself(T):
    return torch.eye(T, dtype=torch.bool)


@misconception(
    "attention.causal_mask",
    "the example only",
    "Your mask is always the one of the example, for three characters. It has T rows and columns.",
)
def three_characters(T):
    return causal(3)


@misconception(
    "attention.causal_mask",
    "no tensor",
    "You return a list or a NumPy array. `torch.tensor(…)` makes a tensor of it.",
)
def no_tensor(T):
    return causal(T).tolist()


@misconception(
    "attention.causal_mask",
    "the last row is missing",
    "Your last row is empty. `range(T)` already stops at T − 1: do not subtract 1 again.",
)
def no_last_row(T):
    mask = causal(T)
    mask[-1] = False
    return mask


# --- average_before ---------------------------------------------------------------------------


@misconception(
    "attention.average_before",
    "sum without dividing",
    "You add up the rows so far, but do not divide by how many they are. Shares must sum to 1.",
)
def only_sum(x):
    return x.cumsum(dim=1)


@misconception(
    "attention.average_before",
    "divide by T everywhere",
    "You divide every sum by T. Position t has only t + 1 rows behind it, so early rows come out "
    "too small.",
)
def divide_by_length(x):
    return x.cumsum(dim=1) / x.shape[1]


@misconception(
    "attention.average_before",
    "divide by t instead of t + 1",
    "Positions are counted from 0: at position t there are t + 1 rows. You divide by t, and by 0 "
    "at the first position.",
)
def divide_by_t(x):
    return x.cumsum(dim=1) / torch.arange(x.shape[1]).unsqueeze(1)


@misconception(
    "attention.average_before",
    "average over the whole poem",
    "Each of your rows is the mean of all rows, later ones included. Row t may use only 0 … t.",
)
def whole_poem(x):
    return x.mean(dim=1, keepdim=True).expand_as(x) + 0 * x


@misconception(
    "attention.average_before",
    "leave oneself out",
    "You average what stands before a position, but not the position itself.",
)
def without_oneself(x):
    before = x.cumsum(dim=1) - x
    return before / torch.arange(x.shape[1]).clamp(min=1).unsqueeze(1)


@misconception(
    "attention.average_before",
    "average with the last average",
    "You take the mean of the new row and the average so far. That gives half of the weight to the "
    "new row alone; each row should have the same share.",
)
def half_and_half(x):
    rows = [x[:, 0]]
    for t in range(1, x.shape[1]):
        rows.append((rows[-1] + x[:, t]) / 2)
    return torch.stack(rows, dim=1)


@misconception(
    "attention.average_before",
    "average over the batch",
    "You average along the first axis, so poems run into each other. Characters are axis 1.",
)
def over_the_batch(x):
    return x.cumsum(dim=0) / torch.arange(1, x.shape[0] + 1).view(-1, 1, 1)


@misconception(
    "attention.average_before",
    "average over the columns",
    "You average along the last axis, so the C numbers of a character are mixed with each other. "
    "Characters are axis 1.",
)
def over_the_columns(x):
    return x.cumsum(dim=2) / torch.arange(1, x.shape[2] + 1)


@misconception(
    "attention.average_before",
    "write into the input",
    "You write the averages into `x` itself. Whoever called you still needs the old rows, and so "
    "do the positions that you have not reached yet.",
)
def into_the_input(x):
    for t in range(x.shape[1]):
        x[:, t] = x[:, : t + 1].mean(dim=1)
    return x


def shares(x):
    """Weights (T, T) of equal shares."""
    weights = torch.ones(x.shape[1], x.shape[1], dtype=x.dtype).tril()
    return weights / weights.sum(dim=1, keepdim=True)


def right_averages(x):
    return shares(x) @ x


@misconception(
    "attention.average_before",
    "one row too few in the divisor",
    "You divide by t, and only the first row by 1. At position t there are t + 1 rows.",
)
def one_too_few(x):
    return x.cumsum(dim=1) / torch.arange(x.shape[1]).clamp(min=1).unsqueeze(1)


@misconception(
    "attention.average_before",
    "the slice ends too early",
    "`x[:, :t]` ends before row t: you leave a position out of its own mean. At the first one "
    "nothing is left, and the mean of nothing is NaN. Write `x[:, : t + 1]`.",
)
def slice_too_short(x):
    return torch.stack([x[:, :t].mean(dim=1) for t in range(x.shape[1])], dim=1)


@misconception(
    "attention.average_before",
    "leave oneself out, but for the first",
    "From the second position on you average only what stands before it. Its own row belongs to "
    "the mean: `x[:, : t + 1]`.",
)
def without_oneself_but_first(x):
    rows = [x[:, : max(t, 1)].mean(dim=1) for t in range(x.shape[1])]
    return torch.stack(rows, dim=1)


@misconception(
    "attention.average_before",
    "average what follows",
    "You average from a position to the end. A poem is written forwards: take rows 0 … t.",
)
def what_follows(x):
    return torch.stack([x[:, t:].mean(dim=1) for t in range(x.shape[1])], dim=1)


@misconception(
    "attention.average_before",
    "a mean without an axis",
    "`mean()` without an axis is one number for all poems and columns. Each column of each poem "
    "has a mean of its own: `mean(dim=1)`.",
)
def one_mean(x):
    rows = [x[:, : t + 1].mean() * torch.ones_like(x[:, t]) for t in range(x.shape[1])]
    return torch.stack(rows, dim=1)


@misconception(
    "attention.average_before",
    "all poems in one mean",
    "You take the mean over the batch, too, so poems run into each other. Only characters, axis 1.",
)
def all_poems(x):
    rows = [x[:, : t + 1].mean(dim=(0, 1)) for t in range(x.shape[1])]
    return torch.stack(rows).expand_as(x)


@misconception(
    "attention.average_before",
    "columns sum to 1",
    "You divide each column of the weights by its sum. The rows are shares, so they sum to 1.",
)
def columns_sum_to_1(x):
    weights = torch.ones(x.shape[1], x.shape[1], dtype=x.dtype).tril()
    return weights / weights.sum(dim=0) @ x


@misconception(
    "attention.average_before",
    "softmax over zeros",
    "You take a softmax over ones and zeros. e⁰ is 1, not 0, so later rows get a share. Divide "
    "each row by its sum, or put −∞ where nothing may be seen.",
)
def softmax_over_zeros(x):
    weights = torch.ones(x.shape[1], x.shape[1], dtype=x.dtype).tril()
    return weights.softmax(dim=-1) @ x


@misconception(
    "attention.average_before",
    "averages in place of x",
    "Your averages are right, but you store them in `x`, which the caller still needs. Make a new "
    "tensor.",
)
def in_place_of_x(x):
    with torch.no_grad():
        return x.copy_(right_averages(x))


misconception("attention.average_before", "cut off from the gradient", CUT_OFF)(
    cut_off(right_averages)
)
misconception("attention.average_before", "always float32", IN_FLOAT32)(in_float32(right_averages))


# --- attention_scores -------------------------------------------------------------------------


@misconception(
    "attention.attention_scores",
    "scale by d instead of √d",
    "Your scores are divided by d. Their variance is then 1/d, all weights are nearly equal, and "
    "the head averages everything.",
)
def scores_by_d(q, k):
    return q @ k.mT / q.shape[-1]


@misconception(
    "attention.attention_scores",
    "no scale",
    "You return the bare dot products. Their variance grows with d, and softmax has made up its "
    "mind before it has learned anything.",
)
def scores_unscaled(q, k):
    return q @ k.mT


@misconception(
    "attention.attention_scores",
    "multiply by √d",
    "You multiply by √d instead of dividing by it. The scores grow twice: their variance is d².",
)
def scores_multiplied(q, k):
    return q @ k.mT * q.shape[-1] ** 0.5


@misconception(
    "attention.attention_scores",
    "scale by the number of keys",
    "You divide by the root of how many keys there are. The sum in a dot product goes over the d "
    "numbers of a row, so its size depends on d.",
)
def scores_by_length(q, k):
    return q @ k.mT / k.shape[-2] ** 0.5


@misconception(
    "attention.attention_scores",
    "keys ask queries",
    "Your rows are keys and your columns queries. Softmax goes over the last axis, which must "
    "be the keys.",
)
def scores_transposed(q, k):
    return k @ q.mT / q.shape[-1] ** 0.5


@misconception(
    "attention.attention_scores",
    "cosine instead of dot product",
    "You divide by the lengths of query and key. A score is the dot product itself: a long query "
    "may ask loudly.",
)
def scores_cosine(q, k):
    return F.normalize(q, dim=-1) @ F.normalize(k, dim=-1).mT


@misconception(
    "attention.attention_scores",
    "swap axes 0 and 1",
    "You swap axes 0 and 1 of the keys. With poems and heads in front these are other axes: count "
    "from the end, −2 and −1.",
)
def scores_axes_0_1(q, k):
    return q @ k.transpose(0, 1) / q.shape[-1] ** 0.5


@misconception(
    "attention.attention_scores",
    "swap axes 1 and 2",
    "You swap axes 1 and 2 of the keys, which works for three axes only. Count from the end, −2 "
    "and −1: it then works with heads, too, and without a batch.",
)
def scores_axes_1_2(q, k):
    return q @ k.transpose(1, 2) / q.shape[-1] ** 0.5


@misconception(
    "attention.attention_scores",
    "softmax already",
    "You return weights: softmax is a later step. Scores may be negative, and do not sum to 1.",
)
def scores_softmaxed(q, k):
    return scaled(q, k).softmax(dim=-1)


@misconception(
    "attention.attention_scores",
    "mask already",
    "You hide the future. There is no mask yet: every query meets every key.",
)
def scores_masked(q, k):
    return scaled(q, k).masked_fill(~mask_for(q, k, None), -INF)


@misconception(
    "attention.attention_scores",
    "the root rounded down",
    "You round √d to an integer. It is right only if d is a square.",
)
def root_rounded(q, k):
    return q @ k.mT / int(q.shape[-1] ** 0.5)


@misconception(
    "attention.attention_scores",
    "always halved",
    "You divide by 2, which is √d in the example only. Take d from the last axis.",
)
def always_halved(q, k):
    return q @ k.mT / 2


@misconception(
    "attention.attention_scores",
    "d from axis 1",
    "You take d from axis 1. With poems and heads in front that is another number: d is the last "
    "axis, −1.",
)
def d_from_axis_1(q, k):
    return q @ k.mT / q.shape[1] ** 0.5


@misconception(
    "attention.attention_scores",
    "reshape instead of transpose",
    "You bring the keys into the shape (d, Tk) by `reshape` or `view`. That keeps the order in "
    "memory and mixes the keys: swap the axes with `transpose` or `mT`.",
)
def scores_reshaped(q, k):
    return q @ k.reshape(*k.shape[:-2], k.shape[-1], k.shape[-2]) / q.shape[-1] ** 0.5


@misconception(
    "attention.attention_scores",
    "half of the scale",
    "You divide by the fourth root of d. If you share the scale out, both `q` and `k` need it.",
)
def half_of_the_scale(q, k):
    return q @ k.mT / q.shape[-1] ** 0.25


@misconception(
    "attention.attention_scores",
    "write into the queries",
    "You scale `q` itself, which the caller still needs. `q / …` makes a new tensor, `q /= …` "
    "does not.",
)
def into_the_queries(q, k):
    with torch.no_grad():
        q /= q.shape[-1] ** 0.5
    return q @ k.mT


misconception("attention.attention_scores", "cut off from the gradient", CUT_OFF)(cut_off(scaled))
misconception("attention.attention_scores", "always float32", IN_FLOAT32)(in_float32(scaled))


@misconception(
    "attention.attention_scores",
    "queries turned instead of keys",
    "You swap the axes of the queries. The product then goes over the characters, not over the d "
    "numbers. Swap those of the keys: q @ k.mT.",
)
def scores_queries_turned(q, k):
    return q.mT @ k / q.shape[-1] ** 0.5


@misconception(
    "attention.attention_scores",
    "number by number only",
    "You multiply query t with key t alone. Every query meets every key: that is a matrix product, "
    "q @ k.mT.",
)
def scores_row_by_row(q, k):
    return (q * k).sum(dim=-1) / q.shape[-1] ** 0.5


# --- masked_softmax ---------------------------------------------------------------------------


@misconception(
    "attention.masked_softmax",
    "mask after softmax",
    "You set hidden weights to 0 after softmax. The hidden scores are still in the sum by which "
    "softmax has divided, so rows sum to less than 1, and move with what is hidden.",
)
def softmax_then_mask(scores, mask):
    return scores.softmax(dim=-1).masked_fill(~mask, 0.0)


@misconception(
    "attention.masked_softmax",
    "divide again afterwards",
    "You mask after softmax and divide each row by its sum. In exact numbers that is right. But "
    "beside a large hidden score all visible weights round to 0, and 0 / 0 is NaN.",
)
def softmax_mask_divide(scores, mask):
    weights = scores.softmax(dim=-1).masked_fill(~mask, 0.0)
    return weights / weights.sum(dim=-1, keepdim=True)


@misconception(
    "attention.masked_softmax",
    "a score of 0 for what is hidden",
    "You set hidden scores to 0. But exp(0) is 1, so a hidden character gets a weight, and may get "
    "more than a visible one with a negative score.",
)
def hidden_score_zero(scores, mask):
    return (scores * mask).softmax(dim=-1)


@misconception(
    "attention.masked_softmax",
    "True means hidden",
    "You hide what the mask allows. Here True means: may look.",
)
def true_is_hidden(scores, mask):
    return scores.masked_fill(mask, -INF).softmax(dim=-1)


@misconception(
    "attention.masked_softmax",
    "softmax over the queries",
    "Your columns sum to 1, not your rows. Each query shares out its own attention: the last axis, "
    "the keys.",
)
def softmax_over_queries(scores, mask):
    return scores.masked_fill(~mask, -INF).softmax(dim=-2)


@misconception(
    "attention.masked_softmax",
    "exp without care",
    "You compute exp of the scores as they are. exp(800) is infinite, and infinite / infinite is "
    "NaN. Subtract the largest visible score first, or let softmax do it.",
)
def plain_exp(scores, mask):
    powers = scores.exp() * mask
    return powers / powers.sum(dim=-1, keepdim=True)


@misconception(
    "attention.masked_softmax",
    "a low score instead of −∞",
    "You give hidden characters a low score. Their weight is then small, not 0. And if all scores "
    "are low, yours is not low at all.",
)
def low_score(scores, mask):
    return scores.masked_fill(~mask, -100.0).softmax(dim=-1)


@misconception(
    "attention.masked_softmax",
    "write into the scores",
    "You write −∞ into the scores that were given to you. Whoever called you may still need them. "
    "`masked_fill` makes a copy, `masked_fill_` does not.",
)
def into_the_scores(scores, mask):
    return scores.masked_fill_(~mask, -INF).softmax(dim=-1)


@misconception(
    "attention.masked_softmax",
    "an index that needs the full shape",
    "You use the mask as an index, which works if it has as many axes as the scores. A mask (T, T) "
    "for scores (B, H, T, T) has to broadcast: `masked_fill` and `where` do so.",
)
def index_by_mask(scores, mask):
    scores = scores.clone()
    scores[~mask] = -INF
    return scores.softmax(dim=-1)


@misconception(
    "attention.masked_softmax",
    "mask forgotten",
    "You take a softmax over all scores. The mask says which of them count.",
)
def mask_forgotten(scores, mask):
    return scores.softmax(dim=-1)


def right_weights(scores, mask):
    return scores.masked_fill(~mask, -INF).softmax(dim=-1)


@misconception(
    "attention.masked_softmax",
    "a low score is added",
    "You add a low number to hidden scores. A hidden score that is larger still wins all the same. "
    "Replace it: `masked_fill` or `where`, with −∞.",
)
def low_score_added(scores, mask):
    return (scores + ~mask * -1e4).softmax(dim=-1)


@misconception(
    "attention.masked_softmax",
    "one largest score for all rows",
    "You subtract the largest score of the whole tensor. In a row far below it every exp is 0, and "
    "0 / 0 is NaN. Take the largest of each row: dim=-1, keepdim=True.",
)
def largest_of_all(scores, mask):
    hidden = scores.masked_fill(~mask, -INF)
    powers = (hidden - hidden.max()).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


@misconception(
    "attention.masked_softmax",
    "hidden first, but exp without care",
    "You hide before exp, which is right, but compute exp of the scores as they are. exp(800) is "
    "infinite, and infinite / infinite is NaN. Subtract the largest score of the row first.",
)
def plain_exp_of_hidden(scores, mask):
    powers = scores.masked_fill(~mask, -INF).exp()
    return powers / powers.sum(dim=-1, keepdim=True)


@misconception(
    "attention.masked_softmax",
    "softmax over axis 1",
    "You take softmax over axis 1, which is the last one only without a batch. Rows go over the "
    "keys: dim=-1.",
)
def softmax_over_axis_1(scores, mask):
    return scores.masked_fill(~mask, -INF).softmax(dim=1)


@misconception(
    "attention.masked_softmax",
    "a causal mask of your own",
    "You hide the future and ignore `mask`. It says what may be seen, and need not be causal.",
)
def own_causal_mask(scores, mask):
    future = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
    return scores.masked_fill(future, -INF).softmax(dim=-1)


@misconception(
    "attention.masked_softmax",
    "NaN replaced by 0",
    "Large scores overflow in exp, and you put 0 for the NaN that follows. Such rows then sum to "
    "0. Subtract the largest visible score before exp, or let softmax do it.",
)
def nan_replaced(scores, mask):
    powers = scores.exp() * mask
    return (powers / powers.sum(dim=-1, keepdim=True)).nan_to_num(0.0)


@misconception(
    "attention.masked_softmax",
    "scores cut to a range",
    "You clamp the scores, so that exp cannot overflow. Large scores become equal by that. "
    "Subtract the largest visible score instead: differences stay as they are.",
)
def scores_clamped(scores, mask):
    powers = scores.clamp(-50, 50).exp() * mask
    return powers / powers.sum(dim=-1, keepdim=True)


@misconception(
    "attention.masked_softmax",
    "an index for the last axes only",
    "You use the mask as an index behind `...`, which does not broadcast. A mask (B, 1, T, T) for "
    "scores (B, H, T, T) then fits nowhere: `masked_fill` and `where` broadcast it.",
)
def index_last_axes(scores, mask):
    scores = scores.clone()
    scores[..., ~mask] = -INF
    return scores.softmax(dim=-1)


misconception("attention.masked_softmax", "cut off from the gradient", CUT_OFF)(
    cut_off(right_weights)
)
misconception("attention.masked_softmax", "always float32", IN_FLOAT32)(in_float32(right_weights))


@misconception(
    "attention.masked_softmax",
    "0 times −∞",
    "You multiply the mask by −∞, and 0 · −∞ is NaN. Let `masked_fill` or `where` put −∞ where it "
    "belongs.",
)
def zero_times_infinity(scores, mask):
    return (scores + ~mask * -INF).softmax(dim=-1)


@misconception(
    "attention.masked_softmax",
    "divide again, by a little more",
    "You mask after softmax and divide by a sum that cannot become 0. Beside a large hidden score "
    "all visible weights round to 0, and such a row sums to 0. Hide before softmax.",
)
def divide_again_safely(scores, mask):
    weights = scores.softmax(dim=-1).masked_fill(~mask, 0.0)
    return weights / weights.sum(dim=-1, keepdim=True).clamp(min=1e-9)


@misconception(
    "attention.masked_softmax",
    "keepdim forgotten",
    "You divide by sums without `keepdim=True`. They then lie along the keys, and each column is "
    "divided by the sum of another row.",
)
def keepdim_forgotten(scores, mask):
    hidden = scores.masked_fill(~mask, -INF)
    powers = (hidden - hidden.amax(dim=-1, keepdim=True)).exp()
    return powers / powers.sum(dim=-1)


@misconception(
    "attention.masked_softmax",
    "an axis added to the mask",
    "You give the mask an axis for the heads. It comes in a form that broadcasts as it is.",
)
def axis_added(scores, mask):
    return scores.masked_fill(~mask.unsqueeze(1), -INF).softmax(dim=-1)


# --- attention --------------------------------------------------------------------------------


@misconception(
    "attention.attention",
    "scale by d instead of √d",
    "Your scores shrink by 1/d. Their variance is then 1/d, all weights are nearly equal, and the "
    "head averages everything.",
)
def scale_by_d(q, k, v, mask=None):
    scores = (q @ k.mT / q.shape[-1]).masked_fill(~mask_for(q, k, mask), -INF)
    return average(scores.softmax(dim=-1), v)


@misconception(
    "attention.attention",
    "no scale",
    "Your scores are bare dot products. Their variance grows with d: one character takes all.",
)
def no_scale(q, k, v, mask=None):
    scores = (q @ k.mT).masked_fill(~mask_for(q, k, mask), -INF)
    return average(scores.softmax(dim=-1), v)


@misconception(
    "attention.attention",
    "mask after softmax",
    "You hide the future after softmax. It is still in the denominator: rows sum to less than 1, "
    "and earlier rows move when later characters change.",
)
def mask_after_softmax(q, k, v, mask=None):
    weights = scaled(q, k).softmax(dim=-1).masked_fill(~mask_for(q, k, mask), 0.0)
    return average(weights, v)


@misconception(
    "attention.attention",
    "softmax over the queries",
    "Your columns sum to 1. Each query shares out its own attention, so rows must: dim=-1.",
)
def over_queries(q, k, v, mask=None):
    scores = scaled(q, k).masked_fill(~mask_for(q, k, mask), -INF)
    return average(scores.softmax(dim=-2), v)


@misconception(
    "attention.attention",
    "no mask unless one is given",
    "Without a mask you let everybody see everything. `mask=None` means the causal mask here.",
)
def none_means_all(q, k, v, mask=None):
    scores = scaled(q, k)
    if mask is not None:
        scores = scores.masked_fill(~mask, -INF)
    return average(scores.softmax(dim=-1), v)


@misconception(
    "attention.attention",
    "the given mask is ignored",
    "You always use the causal mask. A mask that is given takes its place: one query with a cache "
    "sees all keys.",
)
def mask_ignored(q, k, v, mask=None):
    scores = scaled(q, k).masked_fill(~mask_for(q, k, None), -INF)
    return average(scores.softmax(dim=-1), v)


@misconception(
    "attention.attention",
    "both masks at once",
    "You use the causal mask and the given one together. The given one replaces it: what it "
    "allows is allowed.",
)
def both_masks(q, k, v, mask=None):
    both = mask_for(q, k, None)
    if mask is not None:
        both = both & mask
    return average(scaled(q, k).masked_fill(~both, -1e9).softmax(dim=-1), v)


@misconception(
    "attention.attention",
    "True means hidden",
    "You hide where the given mask is True. Here True means: may look.",
)
def given_mask_inverted(q, k, v, mask=None):
    hidden = ~mask_for(q, k, None) if mask is None else mask
    return average(scaled(q, k).masked_fill(hidden, -INF).softmax(dim=-1), v)


@misconception(
    "attention.attention",
    "average the keys",
    "Your output is an average of keys. A key is how a character is found, a value what it hands "
    "over: weights @ v.",
)
def averages_keys(q, k, v, mask=None):
    scores = scaled(q, k).masked_fill(~mask_for(q, k, mask), -INF)
    return average(scores.softmax(dim=-1), k)


@misconception(
    "attention.attention",
    "scores instead of weights",
    "The second thing that you return are the scores. Return what the values were averaged with: "
    "the weights, after softmax.",
)
def returns_scores(q, k, v, mask=None):
    scores = scaled(q, k).masked_fill(~mask_for(q, k, mask), -INF)
    return scores.softmax(dim=-1) @ v, scores


@misconception(
    "attention.attention",
    "a score of 0 for what is hidden",
    "You set hidden scores to 0. e⁰ is 1, so what is hidden still gets a weight; only −∞ gives 0.",
)
def hidden_scores_are_zero(q, k, v, mask=None):
    if mask is None:
        mask = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril()
    scores = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).masked_fill(~mask, 0.0)
    weights = scores.softmax(dim=-1)
    return weights @ v, weights


@misconception(
    "attention.attention",
    "a low score instead of −∞",
    "You give hidden characters a low score. If the visible scores are lower still, the hidden "
    "ones get all the weight.",
)
def low_score_for_hidden(q, k, v, mask=None):
    scores = scaled(q, k).masked_fill(~mask_for(q, k, mask), -1e4)
    return average(scores.softmax(dim=-1), v)


@misconception(
    "attention.attention",
    "weights forgotten",
    "You return the output alone. Return two things, `out, weights`: the weights can be looked at.",
)
def weights_forgotten(q, k, v, mask=None):
    return scaled(q, k).masked_fill(~mask_for(q, k, mask), -INF).softmax(dim=-1) @ v


def right_attention(q, k, v, mask=None):
    scores = scaled(q, k).masked_fill(~mask_for(q, k, mask), -INF)
    return average(scores.softmax(dim=-1), v)


def with_diagonal(shift):
    """Attention whose causal mask is shifted."""

    def attend(q, k, v, mask=None):
        if mask is None:
            mask = torch.ones(q.shape[-2], k.shape[-2], dtype=torch.bool).tril(shift)
        return right_attention(q, k, v, mask)

    return attend


misconception(
    "attention.attention",
    "not even itself",
    "Your diagonal is False, so nobody sees itself. The first character then sees nobody, and a "
    "softmax over nothing is NaN.",
)(with_diagonal(-1))
misconception(
    "attention.attention",
    "one column too far",
    "Your rows see one character ahead. That is just the one which the model has to guess.",
)(with_diagonal(1))


@misconception(
    "attention.attention",
    "the past is hidden",
    "Your causal mask is the wrong way round: rows see what comes after them. Row t sees 0 … t.",
)
def past_is_hidden(q, k, v, mask=None):
    return right_attention(q, k, v, mask_for(q, k, None).mT if mask is None else mask)


@misconception(
    "attention.attention",
    "divide again afterwards",
    "You mask after softmax and divide each row by its sum. In exact numbers that is right. But "
    "beside a large hidden score all visible weights round to 0, and 0 / 0 is NaN.",
)
def divides_again(q, k, v, mask=None):
    weights = scaled(q, k).softmax(dim=-1) * mask_for(q, k, mask)
    return average(weights / weights.sum(dim=-1, keepdim=True), v)


@misconception(
    "attention.attention",
    "exp without care",
    "You compute exp of the scores as they are. exp(800) is infinite, and infinite / infinite is "
    "NaN. Subtract the largest visible score first, or let softmax do it.",
)
def exp_without_care(q, k, v, mask=None):
    powers = scaled(q, k).exp() * mask_for(q, k, mask)
    return average(powers / powers.sum(dim=-1, keepdim=True), v)


@misconception(
    "attention.attention",
    "the mask is added",
    "You add the mask to the scores. True counts as 1 and False as 0, so nothing is hidden: put −∞ "
    "where the mask is False.",
)
def mask_is_added(q, k, v, mask=None):
    return average((scaled(q, k) + mask_for(q, k, mask)).softmax(dim=-1), v)


@misconception(
    "attention.attention",
    "a tensor as a condition",
    "You ask whether the mask is true, as in `mask or …` or `if mask:`. A tensor of many booleans "
    "has no single answer: ask `if mask is None`.",
)
def tensor_as_condition(q, k, v, mask=None):
    return right_attention(q, k, v, mask or mask_for(q, k, None))


@misconception(
    "attention.attention",
    "scale by the number of characters",
    "You divide by √T. The sum in a dot product goes over the d numbers of a row: √d.",
)
def scale_by_length(q, k, v, mask=None):
    scores = (q @ k.mT / k.shape[-2] ** 0.5).masked_fill(~mask_for(q, k, mask), -INF)
    return average(scores.softmax(dim=-1), v)


@misconception(
    "attention.attention",
    "scale after softmax",
    "You divide by √d after softmax, so rows no longer sum to 1. Scale the scores, before it.",
)
def scale_after_softmax(q, k, v, mask=None):
    scores = (q @ k.mT).masked_fill(~mask_for(q, k, mask), -INF)
    return average(scores.softmax(dim=-1) / q.shape[-1] ** 0.5, v)


@misconception(
    "attention.attention",
    "keys ask queries",
    "Your rows of scores are keys and your columns queries. Rows must be the queries: q @ k.mT.",
)
def keys_ask(q, k, v, mask=None):
    scores = scaled(k, q).masked_fill(~mask_for(q, k, mask), -INF)
    return average(scores.softmax(dim=-1), v)


@misconception(
    "attention.attention",
    "weights turned over",
    "You average the values with the columns of the weights. Row t of `out` takes row t of the "
    "weights: weights @ v.",
)
def weights_turned_over(q, k, v, mask=None):
    _, weights = right_attention(q, k, v, mask)
    return weights.mT @ v, weights


@misconception(
    "attention.attention",
    "weights before out",
    "You return the weights first. The order is `out, weights`.",
)
def weights_first(q, k, v, mask=None):
    return right_attention(q, k, v, mask)[::-1]


@misconception(
    "attention.attention",
    "axes counted from the front",
    "You swap axes of the keys counted from the front, such as 1 and 2 or 2 and 3. There may be "
    "any number of leading axes: count from the end, −2 and −1.",
)
def four_axes_only(q, k, v, mask=None):
    scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
    weights = scores.masked_fill(~mask_for(q, k, mask), -INF).softmax(dim=-1)
    return average(weights, v)


@misconception(
    "attention.attention",
    "weights are cut off",
    "You detach the weights before you average with them. Queries and keys then get no gradient, "
    "and the model cannot learn where to look.",
)
def weights_cut_off(q, k, v, mask=None):
    weights = right_attention(q, k, v, mask)[1].detach()
    return average(weights, v)


@misconception(
    "attention.attention",
    "returned weights are cut off",
    "You detach the weights that you return. Gradients must pass through both results.",
)
def returned_weights_cut_off(q, k, v, mask=None):
    out, weights = right_attention(q, k, v, mask)
    return out, weights.detach()


misconception("attention.attention", "cut off from the gradient", CUT_OFF)(cut_off(right_attention))
misconception("attention.attention", "always float32", IN_FLOAT32)(in_float32(right_attention))


@misconception(
    "attention.attention",
    "softmax over axis 1",
    "You take softmax over axis 1, which is the last one only without a batch. Each query shares "
    "out its own attention: dim=-1.",
)
def softmax_axis_1(q, k, v, mask=None):
    scores = scaled(q, k).masked_fill(~mask_for(q, k, mask), -INF)
    return average(scores.softmax(dim=1), v)


@misconception(
    "attention.attention",
    "all axes turned",
    "`k.T` turns all axes round. With poems and heads in front only the last two may change "
    "places: `k.mT` or `k.transpose(-2, -1)`.",
)
def all_axes_turned(q, k, v, mask=None):
    scores = q @ k.permute(*range(k.dim() - 1, -1, -1)) / q.shape[-1] ** 0.5
    return average(scores.masked_fill(~mask_for(q, k, mask), -INF).softmax(dim=-1), v)


# --- split_heads ------------------------------------------------------------------------------


@misconception(
    "attention.split_heads",
    "view without transpose",
    "Your shape is right and the content is wrong: a head holds pieces of some characters instead "
    "of one piece of each. The axes must first be cut, T by H by d, and then swapped.",
)
def view_alone(x, n_head):
    B, T, C = x.shape
    return x.reshape(B, n_head, T, C // n_head)


@misconception(
    "attention.split_heads",
    "heads stay behind the characters",
    "You return (B, T, H, d). Attention works on the last two axes: it would compare the heads of "
    "one character instead of the characters of one head.",
)
def heads_behind(x, n_head):
    B, T, C = x.shape
    return x.reshape(B, T, n_head, C // n_head)


@misconception(
    "attention.split_heads",
    "every H-th number",
    "Your heads take turns: head 0 gets numbers 0, H, 2H and so on. It should get the first d.",
)
def interleaved(x, n_head):
    B, T, C = x.shape
    return x.reshape(B, T, C // n_head, n_head).permute(0, 3, 1, 2)


@misconception(
    "attention.split_heads",
    "number of heads for their size",
    "You cut pieces of `n_head` numbers. `n_head` is how many heads there are; each has C / n_head "
    "numbers.",
)
def size_for_number(x, n_head):
    B, T, C = x.shape
    return x.reshape(B, T, C // n_head, n_head).transpose(1, 2)


@misconception(
    "attention.split_heads",
    "heads before the poems",
    "You return (H, B, T, d). The batch stays in front: (B, H, T, d).",
)
def heads_first(x, n_head):
    return torch.stack(x.chunk(n_head, dim=-1))


def right_cut(x, n_head):
    return x.unflatten(-1, (n_head, x.shape[-1] // n_head)).transpose(1, 2)


@misconception(
    "attention.split_heads",
    "numbers before characters",
    "You return (B, H, d, T). The last two axes are characters and numbers: (B, H, T, d).",
)
def numbers_first(x, n_head):
    return right_cut(x, n_head).mT


@misconception(
    "attention.split_heads",
    "swap before the cut",
    "You swap characters and numbers first, and then cut. The cut goes through the numbers of "
    "each character: first `view` to (B, T, H, d), then `transpose`.",
)
def swap_before_cut(x, n_head):
    B, T, C = x.shape
    return x.transpose(1, 2).reshape(B, n_head, T, C // n_head)


@misconception(
    "attention.split_heads",
    "always two heads",
    "You cut in two, as in the example. `n_head` says how many heads there are.",
)
def always_two(x, n_head):
    return right_cut(x, 2)


@misconception(
    "attention.split_heads",
    "a size with a point",
    "`C / n_head` is a float in Python, and a size must be an integer: `C // n_head`.",
)
def float_size(x, n_head):
    B, T, C = x.shape
    return x.view(B, T, n_head, C / n_head).transpose(1, 2)


@misconception(
    "attention.split_heads",
    "poems and heads in one axis",
    "You return (B·H, T, d). Keep an axis for the poems and one for the heads: (B, H, T, d).",
)
def poems_and_heads(x, n_head):
    return right_cut(x, n_head).flatten(0, 1)


misconception("attention.split_heads", "cut off from the gradient", CUT_OFF)(cut_off(right_cut))
misconception("attention.split_heads", "always float32", IN_FLOAT32)(in_float32(right_cut))


@misconception(
    "attention.split_heads",
    "a tuple of pieces",
    "You return the pieces one by one. Stack them to one tensor, the heads as axis 1.",
)
def tuple_of_pieces(x, n_head):
    return x.chunk(n_head, dim=-1)


# --- merge_heads ------------------------------------------------------------------------------


@misconception(
    "attention.merge_heads",
    "reshape without transpose",
    "Your shape is right and the content is wrong: a row holds several characters of one head. "
    "Characters must come before heads, (B, T, H, d), before the last two axes become one.",
)
def reshape_alone(x):
    B, H, T, d = x.shape
    return x.reshape(B, T, H * d)


@misconception(
    "attention.merge_heads",
    "heads take turns",
    "Your rows hold number 0 of all heads, then number 1 of all heads. The numbers of one head "
    "stay together.",
)
def take_turns(x):
    B, H, T, d = x.shape
    return x.permute(0, 2, 3, 1).reshape(B, T, H * d)


@misconception(
    "attention.merge_heads",
    "add the heads",
    "You add the heads up, and d numbers are left. They lie side by side: C = H·d numbers.",
)
def add_heads(x):
    return x.sum(dim=1)


@misconception(
    "attention.merge_heads",
    "flatten the characters",
    "You join characters and heads, and d numbers are left in a row. Join heads and numbers: the "
    "last two axes after the transpose.",
)
def flatten_characters(x):
    return x.transpose(1, 2).flatten(1, 2)


@misconception(
    "attention.merge_heads",
    "view after transpose",
    "After a transpose the numbers do not lie in memory in the order of the axes, and `view` "
    "cannot join them. `reshape` copies them into order, as does `.contiguous()` before `view`.",
)
def view_after_transpose(x):
    B, H, T, d = x.shape
    return x.transpose(1, 2).view(B, T, H * d)


@misconception(
    "attention.merge_heads",
    "average the heads",
    "You average the heads, and d numbers are left. They lie side by side: C = H·d numbers.",
)
def average_heads(x):
    return x.mean(dim=1)


@misconception(
    "attention.merge_heads",
    "heads one below the other",
    "You lay the heads along the characters, (B, H·T, d). They lie side by side, along the "
    "numbers: (B, T, H·d).",
)
def heads_below(x):
    return x.flatten(1, 2)


@misconception(
    "attention.merge_heads",
    "swapped, but not joined",
    "You return (B, T, H, d). The last two axes still have to become one: (B, T, H·d).",
)
def not_joined(x):
    return x.transpose(1, 2)


@misconception(
    "attention.merge_heads",
    "swap the last two axes",
    "You swap characters and numbers. Heads and characters change places: `transpose(1, 2)`.",
)
def swap_last_axes(x):
    B, H, T, d = x.shape
    return x.mT.reshape(B, T, H * d)


@misconception(
    "attention.merge_heads",
    "numbers before characters",
    "You return (B, C, T). The rows are characters: (B, T, C).",
)
def characters_last(x):
    return x.mT.flatten(1, 2)


@misconception(
    "attention.merge_heads",
    "always two heads",
    "You lay two heads side by side, as in the example. There are H of them.",
)
def only_two_heads(x):
    return torch.cat((x[:, 0], x[:, 1]), dim=-1)


@misconception(
    "attention.merge_heads",
    "last head first",
    "Your rows begin with the last head. Head 0 comes first.",
)
def last_head_first(x):
    return torch.cat(x.flip(1).unbind(1), dim=-1)


def right_join(x):
    return x.transpose(1, 2).flatten(2)


misconception("attention.merge_heads", "cut off from the gradient", CUT_OFF)(cut_off(right_join))
misconception("attention.merge_heads", "always float32", IN_FLOAT32)(in_float32(right_join))


@misconception(
    "attention.merge_heads",
    "join characters and numbers",
    "You join the last two axes as they are, (B, H, T·d). First swap heads and characters.",
)
def join_as_they_are(x):
    return x.flatten(2)


# --- multi_head -------------------------------------------------------------------------------


def cut(x, n_head):
    B, T, C = x.shape
    return x.reshape(B, T, n_head, C // n_head).transpose(1, 2)


def join(x):
    return x.transpose(1, 2).flatten(2)


def attend(q, k, v):
    scores = scaled(q, k).masked_fill(~causal(q.shape[-2]), -INF)
    return scores.softmax(dim=-1) @ v


def thirds(x, qkv_weight):
    return (x @ qkv_weight.T).chunk(3, dim=-1)


@misconception(
    "attention.multi_head",
    "no transpose in the last product",
    "You multiply by `proj_weight` as it is. It is square, so nothing fails. But `nn.Linear` "
    "stores outputs by inputs: the product is with its transpose.",
)
def proj_not_transposed(x, qkv_weight, proj_weight, n_head):
    q, k, v = (cut(part, n_head) for part in thirds(x, qkv_weight))
    return join(attend(q, k, v)) @ proj_weight


@misconception(
    "attention.multi_head",
    "proj forgotten",
    "You return the heads side by side. `proj_weight` still has to mix them: without it no head "
    "can use what another found.",
)
def proj_forgotten(x, qkv_weight, proj_weight, n_head):
    q, k, v = (cut(part, n_head) for part in thirds(x, qkv_weight))
    return join(attend(q, k, v))


@misconception(
    "attention.multi_head",
    "heads cut before q, k, v",
    "You cut the 3C numbers into heads first, and each head into q, k and v. Here all queries come "
    "first, then all keys, then all values.",
)
def heads_before_thirds(x, qkv_weight, proj_weight, n_head):
    q, k, v = cut(x @ qkv_weight.T, n_head).chunk(3, dim=-1)
    return join(attend(q, k, v)) @ proj_weight.T


@misconception(
    "attention.multi_head",
    "keys before queries",
    "You take the first third for keys and the second for queries. The order is q, k, v.",
)
def keys_before_queries(x, qkv_weight, proj_weight, n_head):
    k, q, v = (cut(part, n_head) for part in thirds(x, qkv_weight))
    return join(attend(q, k, v)) @ proj_weight.T


@misconception(
    "attention.multi_head",
    "no causal mask",
    "Your characters see what comes after them. Every head needs the causal mask.",
)
def without_mask(x, qkv_weight, proj_weight, n_head):
    q, k, v = (cut(part, n_head) for part in thirds(x, qkv_weight))
    return join(scaled(q, k).softmax(dim=-1) @ v) @ proj_weight.T


@misconception(
    "attention.multi_head",
    "scale by √C",
    "You divide the scores by √C. Each head compares only d = C / n_head numbers: √d.",
)
def scale_by_width(x, qkv_weight, proj_weight, n_head):
    q, k, v = (cut(part, n_head) for part in thirds(x, qkv_weight))
    scores = (q @ k.mT / x.shape[2] ** 0.5).masked_fill(~causal(x.shape[1]), -INF)
    return join(scores.softmax(dim=-1) @ v) @ proj_weight.T


@misconception(
    "attention.multi_head",
    "one wide head",
    "You attend once, with all C numbers. The row has to be cut: each head has weights of its own.",
)
def one_wide_head(x, qkv_weight, proj_weight, n_head):
    return attend(*thirds(x, qkv_weight)) @ proj_weight.T


@misconception(
    "attention.multi_head",
    "cut without transpose",
    "You cut heads by `view` alone. The shape fits, but a head then holds pieces of different "
    "characters, and the past sees the future.",
)
def cut_without_transpose(x, qkv_weight, proj_weight, n_head):
    B, T, C = x.shape
    q, k, v = (p.reshape(B, n_head, T, C // n_head) for p in thirds(x, qkv_weight))
    return join(attend(q, k, v)) @ proj_weight.T


@misconception(
    "attention.multi_head",
    "join without transpose",
    "You join heads by `reshape` alone. A row then holds several characters of one head.",
)
def join_without_transpose(x, qkv_weight, proj_weight, n_head):
    q, k, v = (cut(part, n_head) for part in thirds(x, qkv_weight))
    return attend(q, k, v).reshape(x.shape) @ proj_weight.T


def layer_with(weights_of):
    """A layer whose weights are computed from q and k by `weights_of`."""

    def layer(x, qkv_weight, proj_weight, n_head):
        q, k, v = (cut(part, n_head) for part in thirds(x, qkv_weight))
        return join(weights_of(q, k) @ v) @ proj_weight.T

    return layer


def hide(scores, hidden):
    return scores.masked_fill(hidden, -INF)


misconception(
    "attention.multi_head",
    "no scale",
    "Your scores are bare dot products. Each head divides them by √d, with d = C / n_head.",
)(layer_with(lambda q, k: hide(q @ k.mT, ~causal(q.shape[2])).softmax(dim=-1)))
misconception(
    "attention.multi_head",
    "scale by d instead of √d",
    "You divide the scores by d. Their variance is then 1/d, and all weights are nearly equal.",
)(layer_with(lambda q, k: hide(q @ k.mT / q.shape[3], ~causal(q.shape[2])).softmax(dim=-1)))
misconception(
    "attention.multi_head",
    "mask after softmax",
    "You hide the future after softmax. It is still in the denominator: rows sum to less than 1, "
    "and the past moves with it.",
)(layer_with(lambda q, k: scaled(q, k).softmax(dim=-1).tril()))
misconception(
    "attention.multi_head",
    "the past is hidden",
    "Your mask is the wrong way round: characters see what comes after them.",
)(layer_with(lambda q, k: hide(scaled(q, k), ~causal(q.shape[2]).mT).softmax(dim=-1)))
misconception(
    "attention.multi_head",
    "softmax over the queries",
    "Your columns of weights sum to 1. Each query shares out its own attention: dim=-1.",
)(layer_with(lambda q, k: hide(scaled(q, k), ~causal(q.shape[2])).softmax(dim=-2)))


@misconception(
    "attention.multi_head",
    "values before keys",
    "You take the second third for values and the last for keys. The order is q, k, v.",
)
def values_before_keys(x, qkv_weight, proj_weight, n_head):
    q, v, k = (cut(part, n_head) for part in thirds(x, qkv_weight))
    return join(attend(q, k, v)) @ proj_weight.T


@misconception(
    "attention.multi_head",
    "every H-th number",
    "Your heads take turns: head 0 gets rows 0, H, 2H and so on. It should get the first d.",
)
def heads_take_turns(x, qkv_weight, proj_weight, n_head):
    parts = (part.unflatten(-1, (-1, n_head)) for part in thirds(x, qkv_weight))
    out = attend(*(part.permute(0, 3, 1, 2) for part in parts))
    return out.permute(0, 2, 3, 1).flatten(2) @ proj_weight.T


@misconception(
    "attention.multi_head",
    "heads attend to each other",
    "You attend in (B, T, H, d): the heads of one character look at each other. Swap the axes to "
    "(B, H, T, d), so that characters do.",
)
def heads_attend(x, qkv_weight, proj_weight, n_head):
    q, k, v = (cut(part, n_head).transpose(1, 2) for part in thirds(x, qkv_weight))
    return attend(q, k, v).flatten(2) @ proj_weight.T


@misconception(
    "attention.multi_head",
    "reshape instead of transpose",
    "You bring `qkv_weight` into the shape (C, 3C) by `reshape` or `view`. That mixes its rows: "
    "the product is with its transpose.",
)
def weight_reshaped(x, qkv_weight, proj_weight, n_head):
    mixed = qkv_weight.reshape(qkv_weight.shape[::-1]).T
    q, k, v = (cut(part, n_head) for part in thirds(x, mixed))
    return join(attend(q, k, v)) @ proj_weight.T


@misconception(
    "attention.multi_head",
    "weights cut off from the gradient",
    "You copy the numbers of the weights, into a new `nn.Linear` for example, or detach them. The "
    "gradient then stops there. Multiply by the weights that are given, or use `F.linear`.",
)
def weights_copied(x, qkv_weight, proj_weight, n_head):
    q, k, v = (cut(part, n_head) for part in thirds(x, qkv_weight.detach()))
    return join(attend(q, k, v)) @ proj_weight.detach().T


@misconception(
    "attention.multi_head",
    "the input is added",
    "You add `x` to the result. The model does that around this layer, not inside it.",
)
def input_is_added(x, qkv_weight, proj_weight, n_head):
    return x + right_layer(x, qkv_weight, proj_weight, n_head)


def right_layer(x, qkv_weight, proj_weight, n_head):
    q, k, v = (cut(part, n_head) for part in thirds(x, qkv_weight))
    return join(attend(q, k, v)) @ proj_weight.T


misconception("attention.multi_head", "cut off from the gradient", CUT_OFF)(cut_off(right_layer))
misconception("attention.multi_head", "always float32", IN_FLOAT32)(in_float32(right_layer))


@misconception(
    "attention.multi_head",
    "no transpose in the first product",
    "You multiply by `qkv_weight` as it is. `nn.Linear` stores outputs by inputs, (3C, C): the "
    "product is with its transpose.",
)
def qkv_not_transposed(x, qkv_weight, proj_weight, n_head):
    q, k, v = (cut(part, n_head) for part in (x @ qkv_weight).chunk(3, dim=-1))
    return join(attend(q, k, v)) @ proj_weight.T


@misconception(
    "attention.multi_head",
    "thirds not transposed",
    "You multiply by each third of `qkv_weight` as it is. It is square, so nothing fails. But row "
    "i makes output number i: the product is with its transpose.",
)
def thirds_not_transposed(x, qkv_weight, proj_weight, n_head):
    q, k, v = (cut(x @ third, n_head) for third in qkv_weight.chunk(3))
    return join(attend(q, k, v)) @ proj_weight.T


@misconception(
    "attention.multi_head",
    "every third number",
    "You take numbers 0, 3, 6 … for the queries. The first C are queries, the next C keys.",
)
def every_third(x, qkv_weight, proj_weight, n_head):
    q, k, v = (cut(part, n_head) for part in (x @ qkv_weight.T).unflatten(-1, (-1, 3)).unbind(-1))
    return join(attend(q, k, v)) @ proj_weight.T


@misconception(
    "attention.multi_head",
    "number of heads for their size",
    "You cut pieces of `n_head` numbers. `n_head` is how many heads there are.",
)
def pieces_of_n_head(x, qkv_weight, proj_weight, n_head):
    q, k, v = (cut(part, x.shape[2] // n_head) for part in thirds(x, qkv_weight))
    return join(attend(q, k, v)) @ proj_weight.T


@misconception(
    "attention.multi_head",
    "view after transpose",
    "After a transpose the numbers do not lie in memory in the order of the axes, and `view` "
    "cannot join them. Use `reshape`, or `.contiguous()` before `view`.",
)
def layer_view_after_transpose(x, qkv_weight, proj_weight, n_head):
    q, k, v = (cut(part, n_head) for part in thirds(x, qkv_weight))
    return attend(q, k, v).transpose(1, 2).view(x.shape) @ proj_weight.T


# --- rotate -----------------------------------------------------------------------------------


def angles(x, positions, frequency):
    angle = positions.to(x.dtype).unsqueeze(-1) * frequency
    if angle.dim() == 3:
        angle = angle.unsqueeze(1)
    return angle


def frequencies(x, base):
    half = x.shape[-1] // 2
    return base ** (-torch.arange(half, dtype=x.dtype) / half)


def turned(x, angle):
    a, b = x.chunk(2, dim=-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


@misconception(
    "attention.rotate",
    "pair neighbours",
    "You pair numbers 0 and 1, 2 and 3, and so on, as in the paper. Here number i and number "
    "i + d/2 are a pair.",
)
def pair_neighbours(x, positions, base=10_000.0):
    angle = angles(x, positions, frequencies(x, base))
    a, b = x[..., 0::2], x[..., 1::2]
    cos, sin = angle.cos(), angle.sin()
    return torch.stack((a * cos - b * sin, a * sin + b * cos), dim=-1).flatten(-2)


@misconception(
    "attention.rotate",
    "turn backwards",
    "Your minus sign stands in the wrong line, so pairs turn by −angle. Distances survive, but a "
    "model trained the other way round would not.",
)
def turn_backwards(x, positions, base=10_000.0):
    return turned(x, -angles(x, positions, frequencies(x, base)))


@misconception(
    "attention.rotate",
    "i / d instead of i / (d/2)",
    "You divide i by d, so the slow pairs turn too fast: the last frequency should be near "
    "1 / base, yours is near 1 / √base. There are d/2 pairs.",
)
def exponent_by_d(x, positions, base=10_000.0):
    half = x.shape[-1] // 2
    frequency = base ** (-torch.arange(half, dtype=x.dtype) / x.shape[-1])
    return turned(x, angles(x, positions, frequency))


@misconception(
    "attention.rotate",
    "one speed for all pairs",
    "You turn all pairs by the same angle. Each has its own speed: fast ones tell near characters "
    "apart, slow ones far ones.",
)
def one_speed(x, positions, base=10_000.0):
    return turned(x, angles(x, positions, torch.ones_like(frequencies(x, base))))


@misconception(
    "attention.rotate",
    "minus sign in the exponent forgotten",
    "Your frequencies grow with i. The exponent is negative: later pairs turn more slowly.",
)
def faster_and_faster(x, positions, base=10_000.0):
    return turned(x, angles(x, positions, 1 / frequencies(x, base)))


@misconception(
    "attention.rotate",
    "count from 0 yourself",
    "You number the characters 0, 1, 2 … yourself. Take `positions`: with a cache a single row "
    "comes, and it may be at place 23.",
)
def counts_itself(x, positions, base=10_000.0):
    return turned(x, angles(x, torch.arange(x.shape[-2]), frequencies(x, base)))


@misconception(
    "attention.rotate",
    "the first half is already turned",
    "You compute the new b from the new a. Both lines of the formula mean the old a and b.",
)
def already_turned(x, positions, base=10_000.0):
    angle = angles(x, positions, frequencies(x, base))
    a, b = x.chunk(2, dim=-1)
    a = a * angle.cos() - b * angle.sin()
    b = a * angle.sin() + b * angle.cos()
    return torch.cat((a, b), dim=-1)


@misconception(
    "attention.rotate",
    "no axis for the heads",
    "With positions (B, T) your angles are (B, T, d/2), and B meets the axis of the heads. They "
    "need an axis for the heads: (B, 1, T, d/2).",
)
def no_axis_for_heads(x, positions, base=10_000.0):
    return turned(x, positions.to(x.dtype).unsqueeze(-1) * frequencies(x, base))


@misconception(
    "attention.rotate",
    "four axes only",
    "You take B, H, T and d from the shape of `x`. More axes may stand in front: count from the "
    "end, with −1 and `...`.",
)
def four_axes(x, positions, base=10_000.0):
    _B, _H, _T, d = x.shape
    angle = angles(x, positions, frequencies(x, base))
    a, b = x[:, :, :, : d // 2], x[:, :, :, d // 2 :]
    cos, sin = angle.cos(), angle.sin()
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


def right_turn(x, positions, base=10_000.0):
    return turned(x, angles(x, positions, frequencies(x, base)))


@misconception(
    "attention.rotate",
    "base ignored",
    "You always compute with 10,000. The third argument says how slowly the last pairs turn.",
)
def base_ignored(x, positions, base=10_000.0):
    return right_turn(x, positions)


@misconception(
    "attention.rotate",
    "degrees instead of radians",
    "You turn by degrees. The angle is in radians, which is what `cos` and `sin` take.",
)
def in_degrees(x, positions, base=10_000.0):
    return turned(x, angles(x, positions, frequencies(x, base)).deg2rad())


@misconception(
    "attention.rotate",
    "count pairs from 1",
    "Your first pair has i = 1. Pairs are counted from 0: the first turns by 1 radian a position.",
)
def pairs_from_1(x, positions, base=10_000.0):
    return turned(x, angles(x, positions, frequencies(x, base) * base ** (-2 / x.shape[-1])))


@misconception(
    "attention.rotate",
    "count positions from 1",
    "You add 1 to the positions. Take them as they come: at position 0 nothing turns.",
)
def positions_from_1(x, positions, base=10_000.0):
    return right_turn(x, positions + 1, base)


@misconception(
    "attention.rotate",
    "2i in the exponent",
    "You divide 2i by d/2. The exponent is −i / (d/2), or −2i / d, which is the same.",
)
def twice_i(x, positions, base=10_000.0):
    return turned(x, angles(x, positions, frequencies(x, base) ** 2))


@misconception(
    "attention.rotate",
    "the last pair too slow",
    "You divide by d/2 − 1, so that the last exponent is −1. The formula divides by d/2.",
)
def last_too_slow(x, positions, base=10_000.0):
    half = x.shape[-1] // 2
    exponents = -torch.arange(half, dtype=x.dtype) / max(half - 1, 1)
    return turned(x, angles(x, positions, base**exponents))


@misconception(
    "attention.rotate",
    "minus sign forgotten",
    "You add in both lines. The first one has a minus: a · cos − b · sin.",
)
def no_minus(x, positions, base=10_000.0):
    angle = angles(x, positions, frequencies(x, base))
    a, b = x.chunk(2, dim=-1)
    cos, sin = angle.cos(), angle.sin()
    return torch.cat((a * cos + b * sin, a * sin + b * cos), dim=-1)


@misconception(
    "attention.rotate",
    "sine and cosine swapped",
    "You have cosine and sine the wrong way round. At position 0 nothing may turn: cos 0 is 1.",
)
def sine_for_cosine(x, positions, base=10_000.0):
    angle = angles(x, positions, frequencies(x, base))
    a, b = x.chunk(2, dim=-1)
    sin, cos = angle.cos(), angle.sin()
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


@misconception(
    "attention.rotate",
    "halves in, neighbours out",
    "You turn the right pairs, but lay them out as neighbours. All first numbers come first, then "
    "all second ones: `cat` the halves.",
)
def neighbours_out(x, positions, base=10_000.0):
    halves = right_turn(x, positions, base).chunk(2, dim=-1)
    return torch.stack(halves, dim=-1).flatten(-2)


@misconception(
    "attention.rotate",
    "an axis in the wrong place",
    "With positions (B, T) your angles become (B, T, 1, d/2). `x` is (B, H, T, d), so the axis for "
    "the heads comes before T: (B, 1, T, d/2).",
)
def axis_in_the_wrong_place(x, positions, base=10_000.0):
    angle = positions.to(x.dtype).unsqueeze(-1) * frequencies(x, base)
    return turned(x, angle.unsqueeze(2) if angle.dim() == 3 else angle)


@misconception(
    "attention.rotate",
    "positions of the first poem",
    "You turn all poems by the positions of the first. With (B, T) each poem has its own.",
)
def positions_of_the_first(x, positions, base=10_000.0):
    return right_turn(x, positions[0] if positions.dim() == 2 else positions, base)


@misconception(
    "attention.rotate",
    "write into the input",
    "You store the turned numbers in `x`, which the caller still needs. Make a new tensor.",
)
def turned_in_place(x, positions, base=10_000.0):
    with torch.no_grad():
        return x.copy_(right_turn(x, positions, base))


misconception("attention.rotate", "cut off from the gradient", CUT_OFF)(cut_off(right_turn))
misconception("attention.rotate", "always float32", IN_FLOAT32)(in_float32(right_turn))


@misconception(
    "attention.rotate",
    "one row of positions only",
    "You expect positions (T,), as `torch.outer` does. They may be (B, T), too.",
)
def one_row_only(x, positions, base=10_000.0):
    return turned(x, torch.outer(positions.to(x.dtype), frequencies(x, base)))


@misconception(
    "attention.rotate",
    "a table of T angles",
    "You make a table for positions 0 … T − 1 and look up in it. Positions begin anywhere, and may "
    "lie behind its end.",
)
def table_of_angles(x, positions, base=10_000.0):
    angle = (torch.arange(x.shape[-2])[:, None] * frequencies(x, base))[positions]
    return turned(x, angle.unsqueeze(1) if angle.dim() == 3 else angle)


@misconception(
    "attention.rotate",
    "an axis for the heads always",
    "You give the angles an axis for the heads, also if positions are (T,). It then stands behind "
    "T. Only (B, T) needs one.",
)
def axis_always(x, positions, base=10_000.0):
    return turned(x, (positions.to(x.dtype).unsqueeze(-1) * frequencies(x, base)).unsqueeze(1))


@misconception(
    "attention.rotate",
    "minus in both lines",
    "You subtract in both lines. The second has a plus: a · sin + b · cos.",
)
def minus_twice(x, positions, base=10_000.0):
    a, b = right_turn(x, positions, base).chunk(2, dim=-1)
    angle = angles(x, positions, frequencies(x, base))
    return torch.cat((a, b - 2 * x.chunk(2, dim=-1)[1] * angle.cos()), dim=-1)


@misconception(
    "attention.rotate",
    "count from the first position",
    "You subtract the first position from all, so every row begins at 0. With a cache a single row "
    "comes, and it may be at place 23.",
)
def from_the_first_position(x, positions, base=10_000.0):
    return right_turn(x, positions - positions[..., :1], base)


# --- KVCache ----------------------------------------------------------------------------------


class Empty:
    """What is given in the exercise."""

    def __init__(self, capacity):
        self.capacity = capacity
        self.length = 0
        self.k = None
        self.v = None

    def take_space(self, k, v):
        end = self.length + k.shape[2]
        if end > self.capacity:
            raise ValueError(f"{end} characters do not fit in a cache for {self.capacity}")
        if self.k is None:
            B, n_head, _, d = k.shape
            self.k = k.new_zeros(B, n_head, self.capacity, d)
            self.v = v.new_zeros(B, n_head, self.capacity, d)
        return self.length, end


@misconception(
    "attention.KVCache",
    "always write at the beginning",
    "You write every new character over the first ones. New ones go behind those that are there: "
    "from the old length on.",
)
class AtTheBeginning(Empty):
    def append(self, k, v):
        _, end = self.take_space(k, v)
        self.k[:, :, : k.shape[2]] = k
        self.v[:, :, : k.shape[2]] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]


@misconception(
    "attention.KVCache",
    "return all of the space",
    "You return the whole space, also what has not been written yet. A query would look at "
    "characters that do not exist. Return the first `length` only.",
)
class AllOfTheSpace(Empty):
    def append(self, k, v):
        start, end = self.take_space(k, v)
        self.k[:, :, start:end] = k
        self.v[:, :, start:end] = v
        self.length = end
        return self.k, self.v


@misconception(
    "attention.KVCache",
    "return only what is new",
    "You return the keys and values that have just come. A query asks all characters so far.",
)
class OnlyNew(Empty):
    def append(self, k, v):
        start, end = self.take_space(k, v)
        self.k[:, :, start:end] = k
        self.v[:, :, start:end] = v
        self.length = end
        return k, v


@misconception(
    "attention.KVCache",
    "count calls instead of characters",
    "You add 1 to the length at each call. A prompt brings many characters at once: add "
    "`k.shape[2]`.",
)
class CountsCalls(Empty):
    def append(self, k, v):
        start, _ = self.take_space(k, v)
        end = start + k.shape[2]
        self.k[:, :, start:end] = k
        self.v[:, :, start:end] = v
        self.length += 1
        return self.k[:, :, : self.length], self.v[:, :, : self.length]


@misconception(
    "attention.KVCache",
    "length forgotten",
    "You never change `self.length`. The next call then begins at 0 again and overwrites.",
)
class LengthForgotten(Empty):
    def append(self, k, v):
        start, end = self.take_space(k, v)
        self.k[:, :, start:end] = k
        self.v[:, :, start:end] = v
        return self.k[:, :, :end], self.v[:, :, :end]


@misconception(
    "attention.KVCache",
    "grow by cat",
    "You make a new, longer tensor at each call, and copy all that is there. The numbers are "
    "right, but each step copies more than the last. Take the space once, and write into it.",
)
class GrowsByCat(Empty):
    def append(self, k, v):
        if self.length + k.shape[2] > self.capacity:
            raise ValueError("full")
        self.k = k if self.k is None else torch.cat((self.k, k), dim=2)
        self.v = v if self.v is None else torch.cat((self.v, v), dim=2)
        self.length = self.k.shape[2]
        return self.k, self.v


@misconception(
    "attention.KVCache",
    "new space at each call",
    "You take new, empty space at each call, and what was in the old one is lost. Take it only if "
    "`self.k` is None.",
)
class NewSpace(Empty):
    def append(self, k, v):
        self.k = None
        start, end = self.take_space(k, v)
        self.k[:, :, start:end] = k
        self.v[:, :, start:end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]


@misconception(
    "attention.KVCache",
    "one space for keys and values",
    "`self.k` and `self.v` are the same tensor, so the values overwrite the keys. They need space "
    "of their own.",
)
class OneSpace(Empty):
    def append(self, k, v):
        start, end = self.take_space(k, v)
        self.v = self.k
        self.k[:, :, start:end] = k
        self.v[:, :, start:end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]


@misconception(
    "attention.KVCache",
    "no error when it is full",
    "You do not ask whether the new characters fit. A slice beyond the end is empty, and one more "
    "character is lost without a word.",
)
class NeverFull(Empty):
    def append(self, k, v):
        if self.k is None:
            self.take_space(k[:, :, :0], v[:, :, :0])
        start, end = self.length, self.length + k.shape[2]
        self.k[:, :, start:end] = k
        self.v[:, :, start:end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]


@misconception(
    "attention.KVCache",
    "full one character too early",
    "You refuse when the length reaches the capacity. A cache for 4 characters holds 4.",
)
class FullTooEarly(Empty):
    def append(self, k, v):
        if self.length + k.shape[2] >= self.capacity:
            raise ValueError("full")
        start, end = self.take_space(k, v)
        self.k[:, :, start:end] = k
        self.v[:, :, start:end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]


class Right(Empty):
    def append(self, k, v):
        start, end = self.take_space(k, v)
        self.k[:, :, start:end] = k
        self.v[:, :, start:end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]


@misconception(
    "attention.KVCache",
    "overwrite the oldest",
    "If the space is full, you begin again at its first place and overwrite. The contract asks for "
    "a ValueError.",
)
class OverwritesTheOldest(Empty):
    def append(self, k, v):
        if self.k is None:
            self.take_space(k[:, :, :0], v[:, :, :0])
        for t in range(k.shape[2]):
            self.k[:, :, self.length % self.capacity] = k[:, :, t]
            self.v[:, :, self.length % self.capacity] = v[:, :, t]
            self.length += 1
        end = min(self.length, self.capacity)
        return self.k[:, :, :end], self.v[:, :, :end]


@misconception(
    "attention.KVCache",
    "assert instead of raise",
    "An `assert` raises AssertionError, and nothing at all under `python -O`. Raise ValueError.",
)
class Asserts(Right):
    def append(self, k, v):
        assert self.length + k.shape[2] <= self.capacity
        return super().append(k, v)


@misconception(
    "attention.KVCache",
    "another error than ValueError",
    "You raise an error, but not the one that the contract names. Callers wait for ValueError.",
)
class AnotherError(Right):
    def append(self, k, v):
        if self.length + k.shape[2] > self.capacity:
            raise IndexError("full")
        return super().append(k, v)


@misconception("attention.KVCache", "always float32", IN_FLOAT32)
class InFloat32(Right):
    def append(self, k, v):
        return super().append(k.float(), v.float())


@misconception(
    "attention.KVCache",
    "new ones in front",
    "You put new characters before the old ones. Keys stay in the order in which they came.",
)
class InFront(Right):
    def append(self, k, v):
        if self.k is not None:
            self.take_space(k, v)
            old = self.k[:, :, : self.length], self.v[:, :, : self.length]
            k, v = torch.cat((k, old[0]), dim=2), torch.cat((v, old[1]), dim=2)
            self.length = 0
        return super().append(k, v)


@misconception(
    "attention.KVCache",
    "only the last of a prompt",
    "You write one character at each call. A prompt brings many: write from the old length to the "
    "new one.",
)
class OnlyTheLast(Empty):
    def append(self, k, v):
        _, end = self.take_space(k, v)
        self.k[:, :, end - 1] = k[:, :, -1]
        self.v[:, :, end - 1] = v[:, :, -1]
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]


@misconception(
    "attention.KVCache",
    "copy into new space",
    "You take new space at each call and copy the old characters. The numbers are right, but each "
    "step costs a whole cache. Take the space once, and write into it.",
)
class CopiesIntoNewSpace(Right):
    def append(self, k, v):
        if self.k is not None:
            self.k, self.v = self.k.clone(), self.v.clone()
        return super().append(k, v)


@misconception(
    "attention.KVCache",
    "space for one poem",
    "You take space for one poem. B comes from the shape of the first keys.",
)
class OnePoem(Right):
    def append(self, k, v):
        if self.k is None:
            self.take_space(k[:1, :, :0], v[:1, :, :0])
        return super().append(k, v)


@misconception(
    "attention.KVCache",
    "only the last call counts",
    "You set the length to how many characters have just come. Add them to those before.",
)
class LastCallCounts(Empty):
    def append(self, k, v):
        start, end = self.take_space(k, v)
        self.k[:, :, start:end] = k
        self.v[:, :, start:end] = v
        self.length = k.shape[2]
        return self.k[:, :, : self.length], self.v[:, :, : self.length]


@misconception(
    "attention.KVCache",
    "values before keys",
    "You return values first. The order is keys, values.",
)
class ValuesFirst(Right):
    def append(self, k, v):
        return super().append(k, v)[::-1]


@misconception(
    "attention.KVCache",
    "count heads instead of characters",
    "You take the number of new characters from axis 1. Those are heads; characters are axis 2.",
)
class CountsHeads(Empty):
    def append(self, k, v):
        new = self.length + k.shape[1]
        if new > self.capacity:
            raise ValueError("full")
        if self.k is None:
            self.take_space(k[:, :, :0], v[:, :, :0])
        self.k[:, :, self.length : new] = k
        self.v[:, :, self.length : new] = v
        self.length = new
        return self.k[:, :, :new], self.v[:, :, :new]


@misconception(
    "attention.KVCache",
    "nothing returned",
    "You store what comes, and return nothing. Return keys and values of all characters so far.",
)
class NothingReturned(Right):
    def append(self, k, v):
        super().append(k, v)


@misconception(
    "attention.KVCache",
    "a list of pieces",
    "You keep a list and join it at each call, which copies everything each time. Take the space "
    "once, as a tensor, and write into it.",
)
class ListOfPieces(Empty):
    def append(self, k, v):
        if self.length + k.shape[2] > self.capacity:
            raise ValueError("full")
        self.k, self.v = [*(self.k or []), k], [*(self.v or []), v]
        self.length += k.shape[2]
        return torch.cat(self.k, dim=2), torch.cat(self.v, dim=2)


# --- one_head ---------------------------------------------------------------------------------


@misconception(
    "attention.one_head",
    "mask after softmax",
    "Softmax has divided by a sum over all characters before the future is hidden. So the future "
    "has no weight, but it is in every denominator.",
    stub=True,
)
def late_mask(x, w_query, w_key, w_value):
    T = x.shape[1]
    q, k, v = x @ w_query, x @ w_key, x @ w_value  # (B, T, d) each
    scores = q @ k.mT / q.shape[2] ** 0.5  # (B, T, T)
    allowed = torch.ones(T, T, dtype=torch.bool).tril()
    weights = scores.softmax(dim=2)
    return weights.masked_fill(~allowed, 0.0) @ v


@misconception(
    "attention.one_head",
    "divide again afterwards",
    "You divide each row by its sum after the mask. In exact numbers that is right. But if a "
    "hidden score is larger by a thousand, all visible weights are 0 already, and 0 / 0 is NaN.",
)
def divide_again(x, w_query, w_key, w_value):
    weights = scaled(x @ w_query, x @ w_key).softmax(dim=2).tril()
    return weights / weights.sum(dim=2, keepdim=True) @ (x @ w_value)


@misconception(
    "attention.one_head",
    "a score of 0 for the future",
    "You hide before softmax, but with a score of 0. exp(0) is 1, not 0: the future still gets "
    "weight.",
)
def future_zero(x, w_query, w_key, w_value):
    return scaled(x @ w_query, x @ w_key).tril().softmax(dim=2) @ (x @ w_value)


@misconception(
    "attention.one_head",
    "a low score instead of −∞",
    "You give the future a low score. If the scores of the past are lower still, the future gets "
    "all the weight.",
)
def future_low(x, w_query, w_key, w_value):
    scores = scaled(x @ w_query, x @ w_key).masked_fill(~causal(x.shape[1]), -1e3)
    return scores.softmax(dim=2) @ (x @ w_value)


@misconception(
    "attention.one_head",
    "mask removed",
    "Now the rows sum to 1, as nothing is hidden any more. The future must be hidden, but earlier.",
)
def mask_removed(x, w_query, w_key, w_value):
    return scaled(x @ w_query, x @ w_key).softmax(dim=2) @ (x @ w_value)


@misconception(
    "attention.one_head",
    "the past is hidden",
    "Your mask is the wrong way round: it hides the past, and the last row sees nothing. Fill "
    "where `allowed` is False.",
)
def past_hidden(x, w_query, w_key, w_value):
    scores = scaled(x @ w_query, x @ w_key).masked_fill(causal(x.shape[1]), -INF)
    return scores.softmax(dim=2) @ (x @ w_value)


@misconception(
    "attention.one_head",
    "softmax over the queries",
    "You changed the axis of softmax. Now columns sum to 1, and a column holds later queries.",
)
def other_axis(x, w_query, w_key, w_value):
    scores = scaled(x @ w_query, x @ w_key).masked_fill(~causal(x.shape[1]), -INF)
    return scores.softmax(dim=1) @ (x @ w_value)


def head_with(weights_of):
    """A head whose weights are computed from q and k by `weights_of`."""

    def head(x, w_query, w_key, w_value):
        return weights_of(x @ w_query, x @ w_key) @ (x @ w_value)

    return head


misconception(
    "attention.one_head",
    "no scale",
    "The mask is right now, but the scale is gone. It was right: divide the scores by √d.",
)(head_with(lambda q, k: hide(q @ k.mT, ~causal(q.shape[1])).softmax(dim=2)))
misconception(
    "attention.one_head",
    "not even itself",
    "You shifted the mask, so nobody sees itself. The first character then sees nobody: NaN.",
)(head_with(lambda q, k: hide(scaled(q, k), ~causal(q.shape[1]).tril(-1)).softmax(dim=2)))
misconception(
    "attention.one_head",
    "keys ask queries",
    "You changed the product: now keys ask and queries answer. It was right, q @ k.mT.",
)(head_with(lambda q, k: hide(scaled(k, q), ~causal(q.shape[1])).softmax(dim=2)))
misconception(
    "attention.one_head",
    "softmax twice",
    "You hide the future and take softmax again. A softmax over weights between 0 and 1 is nearly "
    "flat. One is enough: hide first.",
)(
    head_with(
        lambda q, k: hide(scaled(q, k).softmax(dim=2), ~causal(q.shape[1])).softmax(dim=2),
    )
)
misconception(
    "attention.one_head",
    "exp without care",
    "You compute exp of the scores as they are. exp(800) is infinite, and infinite / infinite is "
    "NaN. Let softmax do it: it subtracts the largest score first.",
)(
    head_with(
        lambda q, k: scaled(q, k).exp().tril() / scaled(q, k).exp().tril().sum(2, keepdim=True),
    )
)
misconception(
    "attention.one_head",
    "columns divided by their sums",
    "You divide by the sums of the columns. The rows should sum to 1; and better than to divide "
    "again is to hide the future before softmax.",
)(
    head_with(
        lambda q, k: (
            scaled(q, k).softmax(dim=2).tril()
            / scaled(q, k).softmax(dim=2).tril().sum(1, keepdim=True)
        ),
    )
)


@misconception(
    "attention.one_head",
    "scale by √C",
    "You changed the scale to √C. It was right: a head compares d numbers, the width of `q`.",
)
def head_by_width(x, w_query, w_key, w_value):
    q, k = x @ w_query, x @ w_key
    scores = (q @ k.mT / x.shape[2] ** 0.5).masked_fill(~causal(x.shape[1]), -INF)
    return scores.softmax(dim=2) @ (x @ w_value)


@misconception(
    "attention.one_head",
    "divide again, by a little more",
    "You divide each row by its sum after the mask, and add a little so that it is never 0 / 0. If "
    "a hidden score is larger by a thousand, all visible weights are 0 and stay so.",
)
def divide_by_a_little_more(x, w_query, w_key, w_value):
    weights = scaled(x @ w_query, x @ w_key).softmax(dim=2).tril()
    return weights / (weights.sum(dim=2, keepdim=True) + 1e-9) @ (x @ w_value)


@misconception(
    "attention.one_head",
    "only the first row mended",
    "You set the weight of the first character to 1. Every other row but the last leaks, too.",
)
def first_row_mended(x, w_query, w_key, w_value):
    weights = scaled(x @ w_query, x @ w_key).softmax(dim=2).tril()
    first = torch.zeros_like(weights)
    first[:, 0, 0] = 1 - weights[:, 0, 0]
    return (weights + first) @ (x @ w_value)


misconception(
    "attention.one_head",
    "one column too far",
    "You shifted the mask, so each row sees one character ahead. The mask was right.",
)(head_with(lambda q, k: scaled(q, k).masked_fill(one_ahead(q.shape[1]), -INF).softmax(dim=2)))
misconception(
    "attention.one_head",
    "−∞ after softmax",
    "You put −∞ among the weights. It belongs among the scores: e to the −∞ is 0. Mask first, then "
    "softmax.",
)(head_with(lambda q, k: hide(scaled(q, k).softmax(dim=2), ~causal(q.shape[1]))))


def one_ahead(T):
    return torch.ones(T, T, dtype=torch.bool).triu(2)


# --- looks_ahead ------------------------------------------------------------------------------


def poem():
    return torch.randn(3, 1, 6, 4, dtype=torch.float64)


def moves(attend, change):
    """Whether a row before t moves when `change` is made to the rows from t on; t from 1 on."""
    qkv = poem()
    out, _ = attend(*qkv)
    for t in range(1, 6):
        changed = qkv.clone()
        change(changed, t)
        if not torch.allclose(attend(*changed)[0][:, :t], out[:, :t]):
            return True
    return False


@misconception(
    "attention.looks_ahead",
    "look at the weights only",
    "You ask whether weights above the diagonal are 0. A leak can pass through a denominator, "
    "through the queries or the values: the weights are 0 there, and the past still moves.",
)
def weights_only(attend):
    return bool(attend(*poem())[1].triu(1).any())


@misconception(
    "attention.looks_ahead",
    "weights and their sums",
    "You ask whether weights above the diagonal are 0 and rows sum to 1. Neither says what "
    "happens when the future changes: good sums may leak, and other sums may be right.",
)
def weights_and_sums(attend):
    weights = attend(*poem())[1]
    sums = weights.sum(dim=-1)
    return bool(weights.triu(1).any()) or not torch.allclose(sums, torch.ones_like(sums))


@misconception(
    "attention.looks_ahead",
    "change the last position only",
    "You change only the last character. A leak between the first two stays unseen: try every "
    "position.",
)
def last_only(attend):
    one, other = poem(), poem()
    mixed = torch.cat((one[:, :, :-1], other[:, :, -1:]), dim=2)
    return not torch.allclose(attend(*mixed)[0][:, :-1], attend(*one)[0][:, :-1])


@misconception(
    "attention.looks_ahead",
    "look at the first row only",
    "You change everything after the first character and look at row 0. It has a single key to "
    "look at, so leaks through queries do not show there. Look at every row.",
)
def first_only(attend):
    one, other = poem(), poem()
    mixed = torch.cat((one[:, :, :1], other[:, :, 1:]), dim=2)
    return not torch.allclose(attend(*mixed)[0][:, :1], attend(*one)[0][:, :1])


@misconception(
    "attention.looks_ahead",
    "change the values only",
    "You change later values, and leave queries and keys as they are. A mask after softmax leaks "
    "through later keys. Change all three.",
)
def values_only(attend):
    def change(qkv, t):
        qkv[2, :, t:] += 1

    return moves(attend, change)


@misconception(
    "attention.looks_ahead",
    "change the keys and values only",
    "You change later keys and values, but not the queries. A row may also ask with a query that "
    "is not its own. Change all three.",
)
def keys_and_values(attend):
    def change(qkv, t):
        qkv[1:, :, t:] += 1

    return moves(attend, change)


@misconception(
    "attention.looks_ahead",
    "change the queries only",
    "You change later queries, and leave keys and values as they are. Those are what a row looks "
    "at. Change all three.",
)
def queries_only(attend):
    def change(qkv, t):
        qkv[0, :, t:] += 1

    return moves(attend, change)


@misconception(
    "attention.looks_ahead",
    "the change does not arrive",
    "You say False to everything, even without any mask. The function has to be called again, with "
    "the tensors that you changed; a copy that is thrown away changes nothing.",
)
def never_arrives(attend):
    def change(qkv, t):
        qkv.clone()[:, :, t:].add_(1)

    return moves(attend, change)


@misconception(
    "attention.looks_ahead",
    "compare with the right one",
    "You compare with causal attention as in the chapter. Another function may give other numbers "
    "and not look ahead. Compare `attend` with itself, before and after a change.",
)
def compares_with_causal(attend):
    q, k, v = poem()
    scores = scaled(q, k).masked_fill(~causal(6), -INF)
    return not torch.allclose(attend(q, k, v)[0], scores.softmax(dim=-1) @ v)


@misconception(
    "attention.looks_ahead",
    "only the next position",
    "You change position t + 1 and look at row t. A row may also see what comes after the next: "
    "look at all rows before the change, or change all that follows.",
)
def next_only(attend):
    qkv = poem()
    out, _ = attend(*qkv)
    for t in range(5):
        changed = qkv.clone()
        changed[:, :, t + 1] += 1
        if not torch.allclose(attend(*changed)[0][:, t], out[:, t]):
            return True
    return False


@misconception(
    "attention.looks_ahead",
    "compare all rows",
    "You compare the whole output. The rows that you changed may move, and those after them: only "
    "rows before the change must stay.",
)
def all_rows(attend):
    one, other = poem(), poem()
    mixed = torch.cat((one[:, :, :3], other[:, :, 3:]), dim=2)
    return not torch.allclose(attend(*mixed)[0], attend(*one)[0])


@misconception(
    "attention.looks_ahead",
    "equal to the last digit",
    "You ask for exactly equal numbers. A right function may compute in another order, and then "
    "differ by rounding. Use `torch.allclose`.",
)
def exactly_equal(attend):
    one, other = poem(), poem()
    for t in range(1, 6):
        mixed = torch.cat((one[:, :, :t], other[:, :, t:]), dim=2)
        if not torch.equal(attend(*mixed)[0][:, :t], attend(*one)[0][:, :t]):
            return True
    return False


@misconception(
    "attention.looks_ahead",
    "plant a NaN",
    "You set later rows to NaN and look whether it spreads. But 0 · NaN is NaN: it spreads through "
    "a weight of exactly 0, too. Change to ordinary numbers.",
)
def plant_nan(attend):
    qkv = poem()
    for t in range(1, 6):
        changed = qkv.clone()
        changed[:, :, t:] = float("nan")
        if attend(*changed)[0][:, :t].isnan().any():
            return True
    return False


@misconception(
    "attention.looks_ahead",
    "True for those that are right",
    "You return True if the past stays as it is. The question is whether it looks ahead.",
)
def turned_round(attend):
    def change(qkv, t):
        qkv[:, :, t:] += 1

    return not moves(attend, change)


@misconception(
    "attention.looks_ahead",
    "always True",
    "You say True to everything, even to the right one. A test must let pass what is right.",
)
def always_true(attend):
    return True


@misconception(
    "attention.looks_ahead",
    "sums of the rows only",
    "You ask whether rows of weights sum to 1. Attention without a mask has such rows and looks "
    "ahead; others have other sums and do not. Change the future, and see whether the past moves.",
)
def sums_only(attend):
    sums = attend(*poem())[1].sum(dim=-1)
    return not torch.allclose(sums, torch.ones_like(sums))


@misconception(
    "attention.looks_ahead",
    "change the keys only",
    "You change later keys, and leave queries and values as they are. Change all three.",
)
def keys_only(attend):
    def change(qkv, t):
        qkv[1, :, t:] += torch.arange(1, 5)

    return moves(attend, change)


@misconception(
    "attention.looks_ahead",
    "change the past",
    "You change earlier rows and look at later ones. Those may move: it is the past that must not "
    "move with the future.",
)
def changes_the_past(attend):
    one, other = poem(), poem()
    mixed = torch.cat((other[:, :, :1], one[:, :, 1:]), dim=2)
    return not torch.allclose(attend(*mixed)[0][:, 1:], attend(*one)[0][:, 1:])


@misconception(
    "attention.looks_ahead",
    "one cut in the middle",
    "You change everything from one place on and look at what stands before. A leak within either "
    "half stays unseen: try every place.",
)
def one_cut(attend):
    one, other = poem(), poem()
    mixed = torch.cat((one[:, :, :3], other[:, :, 3:]), dim=2)
    return not torch.allclose(attend(*mixed)[0][:, :3], attend(*one)[0][:, :3])


@misconception(
    "attention.looks_ahead",
    "compare the weights",
    "You change the future, but compare weights. A leak through the values moves `out` alone.",
)
def compares_weights(attend):
    one, other = poem(), poem()
    for t in range(1, 6):
        mixed = torch.cat((one[:, :, :t], other[:, :, t:]), dim=2)
        if not torch.allclose(attend(*mixed)[1][:, :t], attend(*one)[1][:, :t]):
            return True
    return False


@misconception(
    "attention.looks_ahead",
    "one row too many",
    "You change position t and look at rows 0 … t. Row t may move: it is its own. Look at the rows "
    "before t.",
)
def one_row_too_many(attend):
    one, other = poem(), poem()
    for t in range(1, 6):
        mixed = torch.cat((one[:, :, :t], other[:, :, t:]), dim=2)
        if not torch.allclose(attend(*mixed)[0][:, : t + 1], attend(*one)[0][:, : t + 1]):
            return True
    return False


@misconception(
    "attention.looks_ahead",
    "too much tolerance",
    "You let differences of a hundredth pass. A small leak is a leak: allow for rounding only, "
    "below a millionth.",
)
def tolerant(attend):
    one, other = poem(), poem()
    for t in range(1, 6):
        mixed = torch.cat((one[:, :, :t], other[:, :, t:]), dim=2)
        if not torch.allclose(attend(*mixed)[0][:, :t], attend(*one)[0][:, :t], atol=0.01):
            return True
    return False


# --- predict_head -----------------------------------------------------------------------------


def predicted(**changes):
    right = {"raw": 36, "scaled": 1, "by_d": 1 / 36, "tripled": 81}
    return right | {"nonzero": 210, "products": 14_400, "cached": 720} | changes


@misconception(
    "attention.predict_head",
    "divide the variance by the divisor",
    "You divide the variance by what the score is divided by. Variance is a mean of squares: a "
    "divisor counts squared.",
)
def divisor_not_squared():
    return predicted(scaled=6, by_d=1, tripled=54)


@misconception(
    "attention.predict_head",
    "standard deviation instead of variance",
    "You give the typical size of a score, √variance. The question is for the variance itself.",
)
def standard_deviations():
    return predicted(raw=6, by_d=1 / 6, tripled=9)


@misconception(
    "attention.predict_head",
    "nine times the variance",
    "Queries and keys both grow, so it is the score that is nine times as large. In its variance "
    "the nine counts squared.",
)
def nine_not_squared():
    return predicted(tripled=9)


@misconception(
    "attention.predict_head",
    "half of the square",
    "You take half of T × T. The diagonal belongs to the mask as a whole, not by half: a character "
    "sees itself.",
)
def half_of_the_square():
    return predicted(nonzero=200)


@misconception(
    "attention.predict_head",
    "the diagonal is missing",
    "You count only pairs of different characters. A character may look at itself, too.",
)
def without_diagonal():
    return predicted(nonzero=190)


@misconception(
    "attention.predict_head",
    "one multiplication per score",
    "You count scores. Each score is a dot product of d numbers, so it takes d multiplications.",
)
def one_product_per_score():
    return predicted(products=400, cached=20)


@misconception(
    "attention.predict_head",
    "masked scores are not computed",
    "You count only visible pairs. `q @ k.mT` computes all of them; the mask comes afterwards.",
)
def only_visible():
    return predicted(products=7_560)


@misconception(
    "attention.predict_head",
    "the whole product at each step",
    "You count the whole T × T product for one step. With a cache only one query asks: one row.",
)
def whole_product_each_step():
    return predicted(cached=14_400)


ALONE = {  # one wrong number, and nothing else
    "the root of the variance": (
        {"raw": 6},
        "√36 is the typical size of a score. Its variance is the square of that.",
    ),
    "one term instead of the sum": (
        {"raw": 1},
        "1 is the variance of one product. A score is a sum of d of them, and variances add up.",
    ),
    "the square of d": (
        {"raw": 1_296},
        "The variance of a sum of d independent terms is the sum of d variances, not d².",
    ),
    "as if √d were not squared": (
        {"scaled": 6},
        "You divide the variance by √d. A divisor counts squared in a variance.",
    ),
    "the scale changes nothing": (
        {"scaled": 36},
        "You give the variance before the division. Dividing by √d divides it by d.",
    ),
    "the divisor instead of the variance": (
        {"scaled": 1 / 6},
        "You divide 1 by √d. The variance before the division is d, and a divisor counts squared.",
    ),
    "divided by d twice": (
        {"scaled": 1 / 36},
        "You divide the variance by d². The score is divided by √d, so its variance by d.",
    ),
    "a variance of 1 by d": (
        {"by_d": 1},
        "You divide the variance by d. A divisor counts squared in a variance.",
    ),
    "the root of the variance by d": (
        {"by_d": 1 / 6},
        "1/6 is the typical size of the score after division by d. Its variance is the square.",
    ),
    "d squared once too often": (
        {"by_d": 1 / 1_296},
        "You divide 1 by d². The variance before the division is d, not 1.",
    ),
    "three times the score": (
        {"tripled": 3},
        "Queries and keys both grow, so the score grows nine times; its variance grows by 9².",
    ),
    "three cubed": (
        {"tripled": 27},
        "A factor 3 on both sides makes a score 9 times as large, and a variance 9² times.",
    ),
    "nine times the raw variance": (
        {"tripled": 324},
        "You begin with the raw score and let its variance grow ninefold. The question is for the "
        "scaled score, and the nine counts squared.",
    ),
    "the raw score tripled": (
        {"tripled": 2_916},
        "81 is the right factor, but you begin with the raw score. Begin with the scaled one.",
    ),
    "the scale undoes the growth": (
        {"tripled": 1},
        "√d does not know how large queries and keys have become: the scores grow with them.",
    ),
    "no weight is 0": (
        {"nonzero": 400},
        "You count all T × T weights. The causal mask makes those above the diagonal 0.",
    ),
    "one row of weights": (
        {"nonzero": 20},
        "You count the last row. All rows together have 1 + 2 + … + T.",
    ),
    "half of the products": (
        {"products": 7_200},
        "You count half of the products, as if the future were left out. `q @ k.mT` computes all "
        "scores; the mask comes afterwards.",
    ),
    "products and sums": (
        {"products": 28_800, "cached": 1_440},
        "You count additions, too. The question is for multiplications: d for each score.",
    ),
    "d × d instead of T × T": (
        {"products": 25_920},
        "You count T · d · d. There are T × T scores, each a dot product of d numbers.",
    ),
    "one key instead of all": (
        {"cached": 36},
        "You count one dot product. The query meets every key in the cache.",
    ),
    "its own key forgotten": (
        {"cached": 684},
        "You count 19 keys. Character 20 puts its own key into the cache, and looks at it, too.",
    ),
    "scores of one row squared": (
        {"cached": 400},
        "You count T × T. One query meets T keys, and each dot product takes d multiplications.",
    ),
}
for name, (changes, explanation) in ALONE.items():
    misconception("attention.predict_head", name, explanation)(
        lambda changes=changes: predicted(**changes)
    )
