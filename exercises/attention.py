"""Chapter 02 · your answers.

Check them: nanopoet check attention. Try them: the lines after >>> are examples, which
`python -m doctest exercises/attention.py` runs; print() shows what you want to see.
"""

from collections.abc import Callable

import torch
from torch import Tensor

# A function of queries, keys and values, (..., T, d) each. Returns out (..., T, d) and
# weights (..., T, T).
Attend = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]


def average_before(x: Tensor) -> Tensor:
    """Attention (注意力) with equal shares: the mean of all rows so far.

    `x` (B, T, C) holds floats. Returns a new tensor of the same shape and dtype: at position t, the
    mean of `x` at positions 0 … t of the same poem, its own row included. Loops are allowed.
    Gradients must pass through, so compute with torch. `x` stays as it is.

    >>> average_before(torch.tensor([[[2.0], [4.0]]])).tolist()
    [[[2.0], [3.0]]]
    """
    # TODO: your code
    raise NotImplementedError("attention.average_before")


def attention_scores(q: Tensor, k: Tensor) -> Tensor:
    """Scores (分数): how well each key answers each query.

    `q` (..., Tq, d) and `k` (..., Tk, d), with any number of leading axes, also none. Returns
    (..., Tq, Tk): row t, column s holds the dot product of query t and key s, divided by √d.
    There is no mask yet. Gradients must pass through.

    >>> q = torch.tensor([[1.0, 1.0, 1.0, 1.0]])
    >>> k = torch.tensor([[2.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    >>> attention_scores(q, k).tolist()
    [[1.0, 2.0]]
    """
    # TODO: your code
    raise NotImplementedError("attention.attention_scores")


def causal_mask(T: int) -> Tensor:
    """The causal mask (因果掩码): who may look at whom. Booleans, (T, T).

    Row t is the character that looks, column s the one that is looked at. A poem is written
    forwards: a character may look at itself and at all before it. True means: may look.

    >>> causal_mask(3).int().tolist()
    [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    """
    # TODO: your code
    raise NotImplementedError("attention.causal_mask")


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Weights (权重) from scores: a softmax over those that may be looked at.

    `scores` (..., Tq, Tk) holds floats. `mask` is boolean, True where a query may look. It
    broadcasts to the shape of `scores`: (Tq, Tk), (B, 1, Tq, Tk) and (Tk,) may come, too. Each row
    has at least one True.
    Returns weights of the shape and dtype of `scores`. They are exactly 0 where the mask is False,
    and each row, over the last axis, sums to 1. What stands under a False must not matter, however
    large it is. Scores of many thousands, positive or negative, must not give NaN.
    Gradients must pass through. `scores` stays as it is.

    >>> scores = torch.tensor([[0.0, 5.0], [3.0, 3.0]])
    >>> masked_softmax(scores, torch.tensor([[True, False], [True, True]])).tolist()
    [[1.0, 0.0], [0.5, 0.5]]
    """
    # TODO: your code
    raise NotImplementedError("attention.masked_softmax")


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention: scale, mask, softmax, average.

    `q` (..., Tq, d), `k` and `v` (..., Tk, d), with any number of leading axes, also none. `mask`
    is boolean, True where a query may look, and broadcasts to (..., Tq, Tk). It replaces the causal
    mask. If it is None, the mask is causal (then Tq = Tk).
    Returns `out` (..., Tq, d) and `weights` (..., Tq, Tk). Row t of `out` is the average of the
    rows of `v`, with the weights of row t. Rows of weights sum to 1, and are exactly 0 where the
    mask is False, also if scores are very large, positive or negative. Each row of the mask has at
    least one True. Gradients must pass through.

    With --mine, the model trains with your function. It is called at every step, so avoid loops
    over positions.

    >>> v = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> out, weights = attention(v, v, v)
    >>> out[0].tolist(), weights[0].tolist()
    ([1.0, 2.0], [1.0, 0.0])
    """
    # TODO: your code
    raise NotImplementedError("attention.attention")


def one_head(x: Tensor, w_query: Tensor, w_key: Tensor, w_value: Tensor) -> Tensor:
    """One causal head: (B, T, C) → (B, T, d). There is a bug in it; find it and mend it.

    The three matrices are (C, d): `x @ w_query` are the queries. A character looks at itself and
    at those before it. Its weights are a softmax of the scaled scores and sum to 1. The result
    must be right for very large scores, too, positive or negative. Gradients must pass through.

    Symptoms: no error, the shapes fit, and no later value is ever added in. Yet the first
    character, which sees only itself, gets back a fraction of its own value. And the fraction
    changes when the last character of the poem is another one.

    >>> x, w = torch.tensor([[[1.0], [1.0]]]), torch.ones(1, 1)
    >>> one_head(x, w, w, w).flatten().tolist()
    [1.0, 1.0]
    """
    T = x.shape[1]
    q, k, v = x @ w_query, x @ w_key, x @ w_value  # (B, T, d) each
    scores = q @ k.mT / q.shape[2] ** 0.5  # (B, T, T)
    allowed = torch.ones(T, T, dtype=torch.bool).tril()
    weights = scores.softmax(dim=2)
    return weights.masked_fill(~allowed, 0.0) @ v


def split_heads(x: Tensor, n_head: int) -> Tensor:
    """Cut each row into heads (注意力头): (B, T, C) → (B, H, T, d), with H = n_head, d = C / H.

    Head 0 gets the first d numbers of every character, head 1 the next d, and so on. C is a
    multiple of H. Gradients must pass through.

    >>> x = torch.tensor([[[10, 11, 12, 13], [20, 21, 22, 23]]])  # two characters, C = 4
    >>> split_heads(x, 2).tolist()
    [[[[10, 11], [20, 21]], [[12, 13], [22, 23]]]]
    """
    # TODO: your code
    raise NotImplementedError("attention.split_heads")


def merge_heads(x: Tensor) -> Tensor:
    """Lay the heads side by side again: (B, H, T, d) → (B, T, C), with C = H·d.

    The way back from `split_heads`: the row of a character holds its d numbers of head 0, then
    those of head 1, and so on. Gradients must pass through.

    >>> merge_heads(torch.tensor([[[[10, 11], [20, 21]], [[12, 13], [22, 23]]]])).tolist()
    [[[10, 11, 12, 13], [20, 21, 22, 23]]]
    """
    # TODO: your code
    raise NotImplementedError("attention.merge_heads")


def multi_head(x: Tensor, qkv_weight: Tensor, proj_weight: Tensor, n_head: int) -> Tensor:
    """Causal multi-head attention (多头注意力) with given weights: (B, T, C) → (B, T, C).

    `qkv_weight` (3C, C) and `proj_weight` (C, C) are stored as in `nn.Linear`: row i holds what is
    needed for output number i. The first C rows of `qkv_weight` make the queries of all heads, the
    next C rows the keys, the last C rows the values. Within each, the first d = C / n_head rows
    belong to head 0, the next d to head 1, and so on.
    Each head attends by itself, with the causal mask. The results lie side by side, head 0 first,
    and `proj_weight` mixes them. There is no bias. Gradients must pass through, to the
    weights, too.

    A single character sees only itself:

    >>> x = torch.tensor([[[1.0, 2.0]]])
    >>> multi_head(x, torch.eye(2).repeat(3, 1), torch.tensor([[0.0, 1.0], [5.0, 0.0]]), n_head=2)
    tensor([[[2., 5.]]])
    """
    # TODO: your code
    raise NotImplementedError("attention.multi_head")


def rotate(x: Tensor, positions: Tensor, base: float = 10_000.0) -> Tensor:
    """Rotary position embedding (旋转位置编码): turn pairs of numbers by an angle.

    `x` (B, H, T, d), d even, holds queries or keys. There may be more axes in front: the model
    turns both at once, as (2, B, H, T, d). `positions` holds integers: (T,), the same for all
    poems, or (B, T), those of each poem. They begin anywhere.
    Number i (for i < d/2) and number i + d/2 are a pair (a, b), a point in the plane. At position p
    it turns by the angle p · base^(−i / (d/2)), in radians:

        a becomes a · cos(angle) − b · sin(angle)
        b becomes a · sin(angle) + b · cos(angle)

    Returns a new tensor of the shape and dtype of `x`. Gradients must pass through. `x` stays as
    it is.

    >>> turned = rotate(torch.tensor([[[[1.0, 0.0]]]]), torch.tensor([3]))
    >>> [round(number, 2) for number in turned.flatten().tolist()]  # cos 3 and sin 3
    [-0.99, 0.14]
    """
    # TODO: your code
    raise NotImplementedError("attention.rotate")


class KVCache:
    """The KV cache (键值缓存): keys and values of the characters already read.

    They depend on the past only, so none has to be computed twice.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity  # for how many characters there is space
        self.length = 0  # how many characters are in it
        self.k: Tensor | None = None  # (B, n_head, capacity, d), made when the first keys arrive
        self.v: Tensor | None = None

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Add the keys and values of new characters; return those of all characters so far.

        `k` and `v` (B, n_head, T_new, d), T_new is 1 or more. Returns keys and values, both
        (B, n_head, length, d), in the order in which they came. `length` counts all characters
        so far, the new ones included.
        The first call takes space for `capacity` characters, once: `self.k` and `self.v` are
        then (B, n_head, capacity, d), of the dtype of `k` and `v`. Later calls write into the same
        tensors, so that a step costs the same at character 200 as at character 1.
        Raises ValueError if more than `capacity` characters would be in it.

        >>> cache = KVCache(capacity=3)
        >>> one = torch.ones(1, 1, 1, 1)
        >>> _ = cache.append(one, 10 * one)
        >>> keys, values = cache.append(2 * one, 20 * one)
        >>> keys.flatten().tolist(), values.flatten().tolist(), cache.length
        ([1.0, 2.0], [10.0, 20.0], 2)
        """
        # TODO: your code
        raise NotImplementedError("attention.KVCache")


def predict_head() -> dict[str, float]:
    """Predict, with pencil and paper. Return your numbers, or expressions such as 3 / 4.

    One head compares d = 36 numbers. The numbers in queries and keys are random: independent, of
    mean 0 and variance 1. A poem has T = 20 characters. Keep the names of the dictionary:

    raw       variance of a score q · k
    scaled    its variance after division by √d
    by_d      its variance after division by d instead
    tripled   variance of the scaled score after training has made all queries and all keys three
              times as large
    nonzero   how many of the T × T weights may be other than 0, under a causal mask
    products  multiplications of two numbers in `q @ k.mT` for the whole poem at once, mask or not
    cached    the same for one step of writing: the query of character 20 asks the 20 keys in the
              cache

    >>> sorted(predict_head())
    ['by_d', 'cached', 'nonzero', 'products', 'raw', 'scaled', 'tripled']
    """
    # TODO: your code
    raise NotImplementedError("attention.predict_head")


def some_qkv() -> Tensor:
    """Queries, keys and values of a random poem of six characters, to try things on.

    (3, 1, 6, 4), to be taken apart by `q, k, v = some_qkv()`. Every call gives another poem.
    """
    return torch.randn(3, 1, 6, 4, dtype=torch.float64)


def looks_ahead(attend: Attend) -> bool:
    """A test for a leak: does `attend` let any position depend on a later one?

    `attend(q, k, v)` returns (out, weights), for q, k, v and out (..., T, d), weights (..., T, T).
    It may be any function of this kind: with a mask, with loops, with weights that do not sum to 1.
    Look at what it does, for inputs of your choice, such as `some_qkv()`.
    Returns True if row t of `out` depends on a query, key or value at a position after t, for any
    t; False otherwise. A difference by rounding, below a millionth, is no dependence.

    >>> looks_ahead(attention)
    False
    """
    # TODO: your code
    raise NotImplementedError("attention.looks_ahead")
