"""Checks of chapter 02."""

from collections.abc import Mapping
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from nanopoet.checker.trial import Answer, Difference, Trial, check
from nanopoet_ref import attention as reference
from nanopoet_ref.attention import attention as right_attention
from nanopoet_ref.attention import causal_mask as right_mask


def numbers(seed: int, *shape: int) -> Tensor:
    """Random numbers that depend on the seed only: a smaller example is then the same again."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def some_mask(seed: int, *shape: int) -> Tensor:
    """A random mask in which every row may look at something."""
    mask = numbers(seed, *shape) > 0
    keys = numbers(seed + 1, *shape).argmax(dim=-1, keepdim=True)
    return mask.scatter(-1, keys, True)


def places(B: int, T: int, C: int, dtype: torch.dtype = torch.float64) -> Tensor:
    """(B, T, C): 123 is number 3 of character 2 of poem 1."""
    poem, character, number = torch.arange(B), torch.arange(T), torch.arange(C)
    return (100 * poem[:, None, None] + 10 * character[:, None] + number).to(dtype)


seeds = st.integers(0, 1_000)
few = st.integers(1, 4)


# --- Masks, averages, scores ------------------------------------------------------------------


@check("attention.causal_mask", reference=reference.causal_mask)
def causal_mask(t: Trial) -> None:
    why = "row t may look at columns 0 … t, its own included: what comes later is not written yet"
    t.same(4, why=why, name="the mask for T = 4")

    @t.for_all(T=st.integers(1, 9), examples=10)
    def rows_see_what_is_before(T: int) -> None:
        t.same(T, why=why, name=f"the mask for T = {T}")


@check("attention.causal_mask")
def a_mask_for_many_characters(t: Trial) -> None:
    why = "a mask fits every T that comes"
    t.compare(
        lambda f: tuple(getattr(f(1100), "shape", ())) == (1100, 1100),
        why=why,
        name="whether the mask for T = 1,100 has 1,100 rows and columns",
    )
    t.same(300, why=why, name="the mask for T = 300")


def average_before_by_loops(x: Tensor) -> Tensor:
    return torch.stack([x[:, : t + 1].mean(dim=1) for t in range(x.shape[1])], dim=1)


@check("attention.average_before", reference=average_before_by_loops)
def average_before(t: Trial) -> None:
    light = torch.tensor([[[2.0], [4.0], [9.0], [1.0]]])  # (1, 4, 1)
    t.same(light, why="position t is the mean of t + 1 rows: those before it and its own")
    two_poems = t.randn(2, 5, 3)
    t.same(two_poems, why="each poem and each column is averaged by itself, along the characters")
    why = "training follows the gradient: each row of x gets its share of every average it is in"
    t.same(t.randn(3, 4, 2, grad=True), why=why)

    @t.for_all(B=few, T=st.integers(1, 6), C=few, seed=seeds, examples=15)
    def any_shape(B: int, T: int, C: int, seed: int) -> None:
        t.same(numbers(seed, B, T, C), why="B poems of T characters with C numbers each, any sizes")


@check("attention.average_before")
def averages_of_300_characters(t: Trial) -> None:
    t.same(t.randn(2, 300, 2), why="a row may be as long as it likes")


def scores_by_einsum(q: Tensor, k: Tensor) -> Tensor:
    return torch.einsum("...td,...sd->...ts", q, k) / torch.tensor(q.shape[-1]).sqrt()


@check("attention.attention_scores", reference=scores_by_einsum)
def attention_scores(t: Trial) -> None:
    q = torch.tensor([[1.0, 1.0, 1.0, 1.0], [3.0, 0.0, 0.0, 0.0]])
    k = torch.tensor([[2.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0], [0.0, 2.0, 4.0, 0.0]])
    why = "row t, column s is q[t] · k[s] / √d; here d = 4, so every dot product is halved"
    t.same(q, k, why=why, name="the matrix of 2 queries and 3 keys")
    why = "√d is the size of a sum of d random products; dividing by it leaves a variance of 1"
    t.same(t.randn(3, 7), t.randn(5, 7), why=why, name="the matrix of scores")
    why = "leading axes are poems and heads: each has its own queries and keys"
    t.same(
        t.randn(2, 3, 7, grad=True),
        t.randn(2, 5, 7, grad=True),
        why=why,
        name="the matrix of scores",
    )
    q, k = t.randn(2, 3, 4, 6, grad=True), t.randn(2, 3, 5, 6, grad=True)
    t.same(q, k, why=why, name="the matrix of each head")

    @t.for_all(Tq=few, Tk=few, d=st.integers(1, 9), seed=seeds, examples=15)
    def any_shape(Tq: int, Tk: int, d: int, seed: int) -> None:
        q, k = numbers(seed, 2, Tq, d), numbers(seed + 1, 2, Tk, d)
        t.same(q, k, why="one score for each query and each key", name="the matrix of scores")


@check("attention.attention_scores")
def scores_of_300_characters(t: Trial) -> None:
    why = "one score for each query and each key, however many there are"
    t.same(t.randn(2, 300, 5), t.randn(2, 301, 5), why=why, name="the matrix of scores")


def masked_softmax_by_rows(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the visible scores of each row, by itself."""
    rows, visible = scores.reshape(-1, scores.shape[-1]), mask.expand_as(scores).reshape(-1)
    weights = torch.zeros_like(rows)
    for i, seen in enumerate(visible.view(rows.shape)):
        weights[i, seen] = rows[i, seen].softmax(dim=0)
    return weights.view(scores.shape)


@check("attention.masked_softmax", reference=masked_softmax_by_rows)
def weights_of_what_may_be_seen(t: Trial) -> None:
    name = "the matrix of weights"
    causal = reference.causal_mask(4)
    why = "what is hidden must not count, not even in the sum by which softmax divides"
    weights = t.same(t.randn(4, 4), causal, why=why, name=name)
    hidden = ~causal
    t.require(
        isinstance(weights, Tensor) and not weights[hidden].any(),
        "weights are small where the mask is False, but not 0",
        "a weight that is nearly 0 still lets the future through",
        expected="0",
        got=f"{weights[hidden].max():.3g}" if isinstance(weights, Tensor) else "",
    )
    why = "each row goes over the keys: the last axis sums to 1"
    t.same(t.randn(3, 5), some_mask(1, 3, 5), why=why, name=name)
    why = "the mask is True where a query may look, whatever the scores are"
    t.same(t.randn(2, 3, 4, grad=True), some_mask(2, 2, 3, 4), why=why, name=name)
    why = "a mask may serve many heads at once: it broadcasts to the scores"
    t.same(t.randn(2, 3, 4, 5, grad=True), some_mask(3, 4, 5), why=why, name=name)
    t.same(t.randn(2, 3, 4, 5, grad=True), some_mask(4, 2, 1, 4, 5), why=why, name=name)
    t.same(t.randn(2, 4, 5), some_mask(5, 5), why=why, name=name)
    why = "the precision of the scores is that of the weights"
    t.same(t.randn(3, 4, dtype=torch.float32), some_mask(6, 3, 4), why=why, name=name)

    @t.for_all(Tq=few, Tk=few, seed=seeds, examples=10)
    def any_mask(Tq: int, Tk: int, seed: int) -> None:
        why = "one, some or all keys may be visible"
        t.same(numbers(seed, 2, Tq, Tk), some_mask(seed, 2, Tq, Tk), why=why, name=name)


@check("attention.masked_softmax")
def scores_of_many_thousands(t: Trial) -> None:
    causal = reference.causal_mask(3)
    why = "softmax is about differences: subtract the largest score before exp, or it overflows"
    t.same(2_000 + t.randn(3, 3), causal, why=why, name="the softmax of large scores")
    t.same(t.randn(3, 3) - 20_000, causal, why=why, name="the softmax of very low scores")
    high = torch.tensor([[1.0, 5_000.0, 2.0], [2.0, 1.0, 4_000.0], [0.0, 1.0, 2.0]])
    why = "a hidden score must not matter, however large it is: hide it before exp"
    t.same(high.double(), causal, why=why, name="the softmax beside a large hidden score")
    high = torch.tensor([[1.0, 1e30, 2.0], [2.0, 1.0, 1e30], [0.0, 1.0, 2.0]], dtype=torch.float64)
    t.same(high, causal, why=why, name="the softmax beside a huge hidden score")
    steps = torch.tensor([[0.0], [5_000.0], [-5_000.0]], dtype=torch.float64)
    why = "each row has a softmax of its own: subtract the largest score of that row"
    name = "the softmax of rows far apart"
    t.same(t.randn(3, 3) + steps, causal, why=why, name=name)


@check("attention.masked_softmax")
def weights_of_300_characters(t: Trial) -> None:
    why = "a row may be as long as it likes"
    t.same(t.randn(300, 300), reference.causal_mask(300), why=why, name="the matrix of weights")


@check("attention.attention", reference=reference.attention)
def attention(t: Trial) -> None:
    parts = ("out", "weights")
    why = "three steps in this order: scale, mask, softmax over the keys; then average the values"
    four = torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, 2.0], [0.0, 1.0]])  # 明月松间: light, land
    t.same(four, four, four, why=why, parts=parts)
    t.same(t.randn(4, 3), t.randn(4, 3), t.randn(4, 3), why=why, parts=parts)
    q, k, v = (t.randn(2, 5, 8, grad=True) for _ in range(3))
    _, weights = t.same(q, k, v, why=why, parts=parts)
    t.require(
        isinstance(weights, Tensor) and not weights.triu(1).any(),
        "weights above the diagonal are not 0",
        "a character must not see what comes after it",
    )
    why = "heads are leading axes: each attends by itself"
    q, k, v = (t.randn(2, 3, 4, 6, grad=True) for _ in range(3))
    t.same(q, k, v, why=why, parts=parts)
    why = "a mask that is given replaces the causal one: True means may look"
    q, k, v = t.randn(3, 4), t.randn(5, 4), t.randn(5, 4)
    t.same(q, k, v, some_mask(1, 3, 5), why=why, parts=parts)
    t.same(q[:1], k, v, torch.ones(1, 1, dtype=torch.bool), why=why, parts=parts)
    q, k, v = (t.randn(2, 3, 4, 6, grad=True) for _ in range(3))
    t.same(q, k, v, some_mask(2, 2, 1, 4, 4), why=why, parts=parts)
    q, k, v = t.randn(2, 3, 1, 6), t.randn(2, 3, 5, 6), t.randn(2, 3, 5, 6)
    t.same(q, k, v, mask=some_mask(3, 2, 1, 1, 5), why=why, parts=parts)
    why = "large scores make a decision, not NaN"
    q, k, v = 100 * t.randn(2, 6, 4), 100 * t.randn(2, 6, 4), t.randn(2, 6, 4)
    t.same(q, k, v, why=why, parts=parts)
    why = "even the lowest visible score counts more than any hidden one"
    t.same(2 * q, -2 * q, v, why=why, parts=parts)  # nobody likes itself
    why = "the model computes in float32"
    q, k, v = (t.randn(2, 2, 3, 4, dtype=torch.float32) for _ in range(3))
    t.same(q, k, v, why=why, parts=parts)


@check("attention.attention")
def attention_over_300_characters(t: Trial) -> None:
    parts = ("out", "weights")
    q, k, v = (t.randn(2, 300, 4) for _ in range(3))
    t.same(q, k, v, why="a poem may be as long as it likes", parts=parts)
    why = "a query with a cache looks at many keys"
    t.same(q[:, :1], k, v, some_mask(8, 1, 300), why=why, parts=parts)


# --- Heads ------------------------------------------------------------------------------------


def split_by_slices(x: Tensor, n_head: int) -> Tensor:
    d = x.shape[2] // n_head
    return torch.stack([x[:, :, h * d : (h + 1) * d] for h in range(n_head)], dim=1)


@check("attention.split_heads", reference=split_by_slices)
def split_heads(t: Trial) -> None:
    why = "a head gets one piece of every character: here 23 is number 3 of character 2"
    t.same(places(1, 3, 4), 2, why=why)
    why = "poem, head, character, number: attention works on the last two axes"
    t.same(places(2, 5, 12), 3, why=why)
    t.same(t.randn(3, 4, 10, grad=True), 5, why=why)

    @t.for_all(B=few, T=few, H=few, d=few, seed=seeds, examples=15)
    def any_shape(B: int, T: int, H: int, d: int, seed: int) -> None:
        t.same(numbers(seed, B, T, H * d), H, why=why)


@check("attention.split_heads")
def heads_of_300_characters(t: Trial) -> None:
    t.same(t.randn(2, 300, 16), 4, why="T, C and H come from the call")


def merge_by_cat(x: Tensor) -> Tensor:
    return torch.cat(x.unbind(dim=1), dim=-1)


@check("attention.merge_heads", reference=merge_by_cat)
def merge_heads(t: Trial) -> None:
    why = "the row of a character is its piece of head 0, then its piece of head 1, and so on"
    t.same(split_by_slices(places(1, 3, 4), 2), why=why)
    t.same(split_by_slices(places(2, 5, 12), 3), why=why)
    t.same(t.randn(2, 5, 4, 3, grad=True), why=why)

    @t.for_all(B=few, T=few, H=few, d=few, seed=seeds, examples=15)
    def any_shape(B: int, T: int, H: int, d: int, seed: int) -> None:
        t.same(numbers(seed, B, H, T, d), why=why)


@check("attention.merge_heads")
def merged_heads_of_300_characters(t: Trial) -> None:
    t.same(t.randn(2, 4, 300, 4), why="T, d and H come from the shape")


def whole_layer(x: Tensor, qkv_weight: Tensor, proj_weight: Tensor, n_head: int) -> Tensor:
    with torch.device("meta"):  # a layer without numbers: those are given
        layer = reference.CausalSelfAttention(x.shape[2], n_head, bias=False, fused=False)
    weights = {"qkv.weight": qkv_weight, "proj.weight": proj_weight}
    return torch.func.functional_call(layer, weights, (x,))


@check("attention.multi_head", reference=whole_layer)
def multi_head(t: Trial) -> None:
    why = "a first character sees only itself: the layer is then two products, value and proj"
    t.same(t.randn(1, 1, 4), t.randn(12, 4), t.randn(4, 4), 2, why=why)
    why = "one head: queries, keys and values are the three thirds of one product"
    t.same(t.randn(1, 3, 4), t.randn(12, 4), t.randn(4, 4), 1, why=why)
    why = "each head compares its own d numbers, and gets its own weights"
    t.same(t.randn(1, 5, 6), t.randn(18, 6), t.randn(6, 6), 3, why=why)
    x, qkv, proj = (t.randn(*shape, grad=True) for shape in ((2, 5, 12), (36, 12), (12, 12)))
    t.same(x, 0.3 * qkv.detach(), proj, 3, why=why)
    why = "both matrices learn: every gradient must reach them"
    t.same(x, qkv, proj, 3, why=why)
    x, qkv, proj = (t.randn(*shape, grad=True) for shape in ((3, 4, 10), (30, 10), (10, 10)))
    t.same(x, qkv, proj, 2, why=why)
    t.same(x, qkv, proj, 10, why="heads may be as narrow as one number")


@check("attention.multi_head")
def a_layer_over_300_characters(t: Trial) -> None:
    why = "a poem may be as long as it likes"
    t.same(t.randn(1, 300, 8), 0.5 * t.randn(24, 8), t.randn(8, 8), 2, why=why)


# --- Positions, cache -------------------------------------------------------------------------


@check("attention.rotate", reference=reference.rotate)
def rotate(t: Trial) -> None:
    # Angles in float32 are good enough: they are off by a few millionths.
    near = {"rtol": 1e-4, "atol": 2e-5}
    pair = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(1, 1, 4, 2)
    why = "with d = 2 there is one pair: position p turns it by p radians, to (cos p, sin p)"
    t.same(pair, torch.arange(4), why=why, name="(1, 0) at positions 0 … 3", **near)
    ones = torch.ones(1, 1, 3, 6, dtype=torch.float64)
    why = "pair i turns by p · base^(−i / (d/2)): the first fastest, the others more slowly"
    t.same(ones, torch.arange(3), why=why, name="ones at positions 0 … 2", **near)
    why = "number i and number i + d/2 are a pair"
    x = t.randn(2, 3, 5, 8, grad=True)
    t.same(x, torch.arange(5), why=why, **near)
    why = "the angle depends on the position that is given, not on the place in the tensor"
    six = t.randn(2, 1, 6, 4)
    t.same(six, torch.tensor([9, 4, 30, 8, 2, 17]), why=why, **near)
    again = "each call has positions of its own, also if the length is that of another call"
    t.same(six, torch.arange(6) + 3, why=again, **near)
    t.same(x, torch.tensor([7, 3, 11, 0, 20]), why=why, **near)
    t.same(t.randn(2, 3, 1, 8), torch.tensor([23]), why=why, **near)
    why = "the model turns queries and keys at once: more axes may stand in front"
    t.same(t.randn(2, 2, 3, 5, 8, grad=True), torch.arange(5), why=why, **near)
    why = "positions (B, T): each poem has its own, and all its heads share them"
    own = torch.tensor([[0, 1, 2, 3], [0, 0, 1, 2], [5, 9, 4, 6]])
    t.same(t.randn(3, 2, 4, 6, grad=True), own, why=why, **near)
    t.same(t.randn(3, 3, 4, 6), own, why=why, **near)
    t.same(t.randn(3, 4, 4, 6), own, why=why, **near)
    t.same(t.randn(2, 3, 2, 4, 6), own, why=why, **near)
    t.same(t.randn(2, 3, 3, 4, 6), own, why=why, **near)
    why = "base sets how slowly the last pairs turn"
    t.same(t.randn(1, 2, 4, 6), torch.arange(4), base=100.0, why=why, **near)
    why = "the precision of the result is that of x"
    x = t.randn(2, 2, 3, 4, dtype=torch.float32)
    t.same(x, torch.arange(3), why=why, **near)
    t.same(x, torch.tensor([[0, 1, 2], [0, 0, 1]]), why=why, **near)

    @t.for_all(T=few, half=few, start=st.integers(0, 40), seed=seeds, examples=10)
    def any_shape(T: int, half: int, start: int, seed: int) -> None:
        why = "d/2 pairs, each with its own speed"
        x = numbers(seed, 1, 2, T, 2 * half)
        t.same(x, torch.arange(start, start + T), why=why, **near)


@check("attention.rotate")
def positions_up_to_a_thousand(t: Trial) -> None:
    # At position 1,000 an angle in float32 is off by some ten-thousandths.
    near = {"rtol": 1e-3, "atol": 1e-3}
    why = "positions begin anywhere: a book is longer than any table"
    t.same(t.randn(1, 2, 300, 6), torch.arange(700, 1000), why=why, **near)
    t.same(t.randn(1, 2, 1, 6), torch.tensor([1023]), why=why, **near)


def fill(cache_class: Answer, chunks: list[tuple[Tensor, Tensor]], capacity: int) -> dict:
    """What a cache holds after these keys and values."""
    cache = cache_class(capacity)
    begins = set()  # where in memory the space begins
    for k, v in chunks:
        keys, values = cache.append(k.clone(), v.clone())
        if isinstance(cache.k, Tensor) and isinstance(cache.v, Tensor):
            begins.add((cache.k.data_ptr(), cache.v.data_ptr()))
    space = [tuple(x.shape) if isinstance(x, Tensor) else None for x in (cache.k, cache.v)]
    return {
        "keys": keys.clone(),
        "values": values.clone(),
        "length": cache.length,
        "shape of self.k": space[0],
        "shape of self.v": space[1],
        "space is taken once": len(begins) == 1,
        "keys and values apart": all(keys != values for keys, values in begins),
    }


PARTS = {
    "keys": "the tensor of keys that comes back",
    "values": "the tensor of values that comes back",
    "length": "self.length",
    "shape of self.k": "the shape of self.k",
    "shape of self.v": "the shape of self.v",
    "space is taken once": "whether space is taken once, for self.k and for self.v,",
    "keys and values apart": "whether keys and values have space of their own",
}


def compare_filled(t: Trial, chunks: list[tuple[Tensor, Tensor]], capacity: int, why: str) -> None:
    """Compare what a cache holds; a difference is said of its part, in words."""
    try:
        t.compare(lambda cls: fill(cls, chunks, capacity), why=why, name="the cache")
    except Difference as difference:
        sizes = " + ".join(str(k.shape[2]) for k, _ in chunks)
        symptom = difference.symptom
        for part, words in PARTS.items():
            symptom = symptom.replace(f"'{part}' of the cache", words)
        difference.symptom = f"after {sizes} characters, {symptom}"
        raise


@check("attention.KVCache", reference=reference.KVCache)
def kv_cache(t: Trial) -> None:
    def chunks(B: int, H: int, d: int, sizes: list[int], **kw: torch.dtype) -> list:
        return [(t.randn(B, H, size, d, **kw), t.randn(B, H, size, d, **kw)) for size in sizes]

    why = {
        (2,): "the first characters are all there is so far; the rest of the space is still empty",
        (1, 1): "new characters go behind those that are already there",
        (3, 1, 1): "the length counts characters: a prompt comes at once, then one at a time",
        (2, 3, 1): "several characters may come at any time",
        (3, 2, 2): "the cache may be filled to its last place",
    }
    for sizes, reason in why.items():
        every = 10 + places(1, sum(sizes), 2).unsqueeze(1)  # (1, 1, T, 2): 31 is number 1 of key 2
        values = t.randn(1, 1, sum(sizes), 2)
        given = list(zip(every.split(sizes, dim=2), values.split(sizes, dim=2), strict=True))
        compare_filled(t, given, 7, reason)
    each = "each poem and head has its own keys and values"
    compare_filled(t, chunks(2, 3, 4, [3, 1, 2]), 9, each)
    single = chunks(2, 2, 3, [2, 1], dtype=torch.float32)
    compare_filled(t, single, 4, "the space has the precision of the keys")
    compare_filled(t, chunks(2, 2, 3, [4]), 4, "a prompt may fill the whole space")
    many = "a cache is as large as it is asked to be"
    compare_filled(t, chunks(1, 2, 3, [300, 1, 1]), 1000, many)

    for sizes in ([4, 1], [3, 2], [5], [4, 3]):
        more = chunks(1, 2, 3, sizes)

        def too_many(cls: Answer, more: list[tuple[Tensor, Tensor]] = more) -> str:
            try:
                fill(cls, more, 4)
            except ValueError:
                return "ValueError"
            return "no error"

        why_full = "a character that does not fit must not be lost in silence"
        name = f"what happens with {' + '.join(map(str, sizes))} characters in a cache for 4"
        t.compare(too_many, why=why_full, name=name)


# --- Find the bug, write a test, predict ------------------------------------------------------


def single_head(x: Tensor, w_query: Tensor, w_key: Tensor, w_value: Tensor) -> Tensor:
    return right_attention(x @ w_query, x @ w_key, x @ w_value)[0]


@check("attention.one_head", reference=single_head)
def one_head(t: Trial) -> None:
    x = t.randn(1, 4, 3)
    matrices = [t.randn(3, 2) for _ in range(3)]
    why = "the future must have no share in the sum by which softmax divides"
    t.same(x, *matrices, why=why)
    x, *matrices = t.randn(2, 5, 6, grad=True), *(t.randn(6, 4, grad=True) for _ in range(3))
    t.same(x, *matrices, why=why)
    why = "a share of 0 cannot be made larger by dividing: hide the future before exp"
    name = "the result for very large scores"
    t.same(100 * x.detach(), *matrices, why=why, name=name)
    query, _, value = matrices
    why = "even the lowest visible score counts more than any hidden one"
    t.same(100 * x.detach(), query, -query.detach(), value, why=why, name=name)
    t.same(t.randn(3, 1, 6), *matrices, why="a single character sees itself")
    t.same(t.randn(1, 300, 6), *matrices, why="a poem may be as long as it likes")


def with_mask(make_mask: Answer) -> Answer:
    """Attention as in the chapter, with a mask made for T."""

    def attend(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        return right_attention(q, k, v, make_mask(q.shape[-2]))

    return attend


def by_loops(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    T, out, rows = q.shape[-2], [], []
    for t in range(T):
        scores = q[..., t : t + 1, :] @ k[..., : t + 1, :].mT / q.shape[-1] ** 0.5
        weights = scores.softmax(dim=-1)  # (..., 1, t + 1)
        out.append(weights @ v[..., : t + 1, :])
        rows.append(torch.nn.functional.pad(weights, (0, T - t - 1)))
    return torch.cat(out, dim=-2), torch.cat(rows, dim=-2)


def by_sigmoid(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Causal, though the rows of weights do not sum to 1."""
    weights = (q @ k.mT).sigmoid() * right_mask(q.shape[-2])
    return weights @ v, weights


def all_but_later(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Equal shares, as the sum of all rows minus the sum of the later ones: causal, but rounded.

    Far from 0, so that the rounding is about 1e-10.
    """
    ones, far = torch.ones(q.shape[-2], q.shape[-2], dtype=torch.float64), 1e5
    count = ones.tril().sum(dim=-1, keepdim=True)
    so_far = (v.double() + far).sum(dim=-2, keepdim=True) - ones.triu(1) @ (v.double() + far)
    weights = (ones.tril() / count).expand(*q.shape[:-1], q.shape[-2])
    return (so_far / count - far).to(v.dtype), weights.to(v.dtype)


def only_before(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Equal shares of what stands before, oneself left out."""
    T = q.shape[-2]
    before = torch.ones(T, T, dtype=v.dtype).tril(-1)
    weights = before / before.sum(dim=-1, keepdim=True).clamp(min=1)
    return weights @ v, weights.expand(*q.shape[:-1], T)


def zeros(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    return 0 * v, 0 * (q @ k.mT)


def masked_too_late(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1).tril()
    return weights @ v, weights


def over_queries(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    scores = q @ k.mT / q.shape[-1] ** 0.5
    hidden = ~right_mask(q.shape[-2])
    weights = scores.masked_fill(hidden, float("-inf")).softmax(dim=-2)
    return weights @ v, weights


def centred_values(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    return right_attention(q, k, v - v.mean(dim=-2, keepdim=True))


def keys_over_time(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    return right_attention(q, k / k.norm(dim=-2, keepdim=True), v)


def next_query(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    return right_attention(torch.cat((q[..., 1:, :], q[..., -1:, :]), dim=-2), k, v)


def a_little_of_the_next(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    out, weights = right_attention(q, k, v)
    return out + 1e-4 * torch.cat((v[..., 1:, :], v[..., -1:, :]), dim=-2), weights


def ones(T: int) -> Tensor:
    return torch.ones(T, T, dtype=torch.bool)


def first_two_together(T: int) -> Tensor:
    mask = ones(T).tril()
    mask[:2, :2] = True
    return mask


def last_two_together(T: int) -> Tensor:
    mask = ones(T).tril()
    mask[-2:, -2:] = True
    return mask


ATTENDS: dict[str, tuple[Answer, str]] = {
    "causal attention": (with_mask(right_mask), "row t changes with rows 0 … t only"),
    "attention without a mask": (with_mask(ones), "every row sees all others"),
    "causal attention by loops": (by_loops, "the past is computed without the future"),
    "attention in which each sees only itself": (
        with_mask(lambda T: torch.eye(T, dtype=torch.bool)),
        "who looks at nobody cannot look ahead",
    ),
    "causal attention with sigmoid": (
        by_sigmoid,
        "rows of weights need not sum to 1: only what moves with the future counts",
    ),
    "equal shares, computed as everything minus what comes later": (
        all_but_later,
        "the future cancels, up to rounding; rounding is no leak",
    ),
    "equal shares of what stands before": (
        only_before,
        "row t changes with rows 0 … t − 1 only",
    ),
    "attention that returns zeros": (zeros, "what never moves does not move with the future"),
    "attention whose mask is shifted by one": (
        with_mask(lambda T: ones(T).tril(1)),
        "row t sees the character after it, which is the one to be guessed",
    ),
    "attention that masks after softmax": (
        masked_too_late,
        "the future is in the denominator: later keys move earlier rows",
    ),
    "attention with softmax over the queries": (
        over_queries,
        "a column also holds later queries, and its sum moves with them",
    ),
    "attention that hides only the next character": (
        with_mask(lambda T: ~ones(T).triu(1).tril(1)),
        "row t sees the character after the next",
    ),
    "attention in which the first two characters see each other": (
        with_mask(first_two_together),
        "row 0 depends on position 1: every position must be tried, the first ones, too",
    ),
    "attention in which the last two characters see each other": (
        with_mask(last_two_together),
        "one row before the end depends on the end: every position must be tried",
    ),
    "attention that subtracts the mean of all values": (
        centred_values,
        "the mean holds later values; the weights are clean, out is not",
    ),
    "attention with keys normalised over the characters": (
        keys_over_time,
        "the length is taken over later keys, too; the weights look clean, but move with them",
    ),
    "attention that asks with the query of the next character": (
        next_query,
        "row t moves with query t + 1; the mask hides keys and values only",
    ),
    "attention that adds a ten-thousandth of the next value": (
        a_little_of_the_next,
        "a small leak is a leak; only differences below a millionth count as rounding",
    ),
}


def past_moves(attend: Answer) -> bool:
    """Whether a gradient flows back from a row of out to anything later."""
    qkv = numbers(7, 3, 2, 6, 5).requires_grad_()
    out, _ = attend(*qkv)
    for t in range(out.shape[1] - 1):
        (grad,) = torch.autograd.grad(out[:, t].cos().sum(), qkv, retain_graph=True)
        if grad[:, :, t + 1 :].abs().max() > 1e-6:
            return True
    return False


@check("attention.looks_ahead", reference=past_moves)
def looks_ahead(t: Trial) -> None:
    for what, (attend, why) in ATTENDS.items():
        name = f"the verdict on {what}"
        t.compare(lambda looks, attend=attend: looks(attend), why=why, name=name)


def measured_head() -> dict[str, float]:
    """The numbers, from coins: 1 or −1 has mean 0 and variance 1."""
    d, T = 36, 20
    coin = torch.tensor([-1.0, 1.0])
    one_product = torch.outer(coin, coin).var(correction=0).item()
    raw = d * one_product
    pairs = torch.cartesian_prod(torch.arange(T), torch.arange(T))
    return {
        "raw": raw,
        "scaled": raw / (d**0.5) ** 2,
        "by_d": raw / d**2,
        "tripled": d * torch.outer(3 * coin, 3 * coin).var(correction=0).item() / (d**0.5) ** 2,
        "nonzero": int(right_mask(T).sum()),
        "products": len(pairs) * d,
        "cached": int((pairs[:, 0] == T - 1).sum()) * d,
    }


def keys_of(found: Any) -> Any:
    return dict.fromkeys(found, "…") if isinstance(found, Mapping) else found


@check("attention.predict_head", reference=measured_head)
def predict_head(t: Trial) -> None:
    t.compare(lambda f: keys_of(f()), why="these keys and no others", name="your dictionary")
    why = {
        "raw": "a sum of independent terms: their variances add up",
        "scaled": "dividing by a number divides the variance by its square",
        "by_d": "dividing by a number divides the variance by its square",
        "tripled": "both sides of the product grow, and a factor counts squared",
        "nonzero": "row t sees t + 1 characters: add up the rows",
        "products": "each of the T × T scores is a sum of d products",
        "cached": "one row of scores, each a sum of d products",
    }
    for key, reason in why.items():
        try:
            name = f'your number for "{key}"'
            t.compare(lambda predict, key=key: predict()[key], why=reason, name=name, rtol=9e-3)
        except Difference as difference:
            difference.expected = ""  # not given away: it is to be worked out
            raise
