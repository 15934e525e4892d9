"""Wrong answers to the tasks of chapter 02."""

import torch
import torch.nn.functional as F

from nanopoet.trial import misconception

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
    scores = scaled(x @ w_query, x @ w_key).masked_fill(~causal(x.shape[1]), -1e4)
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
