"""Checks of chapter 03."""

import copy
import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from numbers import Integral
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from torch import Tensor, nn

from nanopoet.checker.trial import Answer, Difference, Trial, check, gradients
from nanopoet_ref import gpt as reference
from nanopoet_ref import sampling
from nanopoet_ref.attention import CausalSelfAttention, KVCache, causal_mask
from nanopoet_ref.gpt import GPT, MLP, STYLES, Block, GPTConfig

SEEDS = st.integers(0, 2**31)
WHOLE = "a real vocabulary has about 12,000 tokens"


def shape(style: str, **more: float) -> GPTConfig:
    sizes = {"vocab_size": 11, "block_size": 9, "n_layer": 2, "n_head": 3, "n_embd": 12}
    return GPTConfig(**(sizes | more), style=style)  # type: ignore[arg-type]


def random_weights(t: Trial, model: nn.Module) -> dict[str, Tensor]:
    """Weights large enough that every effect can be seen."""
    return {name: 0.4 * t.randn(*tensor.shape) for name, tensor in model.state_dict().items()}


def with_weights(model: nn.Module, weights: dict[str, Tensor]) -> nn.Module:
    model = model.double()
    model.load_state_dict(weights)
    return model.eval()


def compare_parts(
    t: Trial, use: Answer, why: str, name: str, part: Callable[[int], str], **near: float
) -> None:
    """Compare a list; a difference is said of `part(i)`, in words, and not of name[i]."""
    try:
        t.compare(use, why=why, name=name, **near)
    except Difference as difference:
        symptom = difference.symptom
        inner = r"(?:item (\d+) of |'(.+?)' of )?"
        found = re.match(rf"{inner}item (\d+) of {re.escape(name)}", symptom)
        if found:
            place, key, number = found.groups()
            words = (f"place {place} of " if place else "") + part(int(number))
            difference.symptom = words + (f" as {key}" if key else "") + symptom[found.end() :]
        raise


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- The model ----------------------------------------------------------------------------------


class Counted(nn.Module):
    """Parts within parts, a norm with buffers, a parameter of its own, one matrix in two places."""

    def __init__(self, C: int = 4, V: int = 7) -> None:
        super().__init__()
        self.wte = nn.Embedding(V, C)
        self.parts = nn.ModuleList(nn.Sequential(nn.Linear(C, C), nn.Tanh()) for _ in range(3))
        self.norm = nn.BatchNorm1d(C)
        self.scale = nn.Parameter(torch.ones(2, 3, 5))
        self.register_buffer("mask", torch.ones(9, 9))
        self.head = nn.Linear(C, V)

    def tied(self) -> "Counted":
        self.head.weight = self.wte.weight
        return self


@check("gpt.count_parameters", reference=reference.count_parameters)
def count_parameters(t: Trial) -> None:
    models = {
        "a matrix of 5 × 3 and a bias of 3": lambda: nn.Linear(5, 3),
        "a matrix without a bias": lambda: nn.Linear(6, 4, bias=False),
        "two layers within one another": lambda: nn.Sequential(
            nn.Sequential(nn.Linear(2, 9), nn.GELU()), nn.Linear(9, 4)
        ),
        "a GPT": lambda: GPT(shape("gpt2")),
        "a modern GPT": lambda: GPT(shape("modern")),
        "a part with buffers": lambda: nn.BatchNorm1d(6),
        "a model with a bit of everything": Counted,
    }
    for name, build in models.items():
        t.compare(
            lambda count, build=build: count(build()),
            why="every learned number counts, in matrices, biases and norms, at any depth",
            name=f"the count of {name}",
        )
    t.compare(
        lambda count: count(Counted().tied()),
        why="a matrix used in two places is stored and learned once",
        name="the count of a model whose head shares the embedding's matrix",
    )


@cache
def parameter_names(cls: type) -> list[str]:
    return list(dict(cls(shape("gpt2")).named_parameters()))


def gradient_of(names: list[str], style: str, i: int) -> str:
    return f"the gradient of {names[i]} in {style} style"


@check("gpt.MLP", reference=MLP)
def mlp(t: Trial) -> None:
    # The sizes differ, so that no two axes can be mistaken for one another.
    for style, bend in (("gpt2", "GELU, exactly x·Φ(x)"), ("modern", "ReLU, then squared")):
        config = shape(style, n_embd=6, n_head=1)
        weights = random_weights(t, MLP(config))
        for B, T in ((1, 3), (4, 5)):
            x = 2 * t.randn(B, T, 6)

            def answer(cls: Answer, config=config, weights=weights, x=x) -> Tensor:
                return with_weights(cls(config), weights)(x.clone())

            t.compare(
                answer,
                why=f"widen, bend, narrow; the bend of this style is {bend}",
                name=f"the answer in {style} style",
            )

        def backward(cls: Answer, config=config, weights=weights, x=x) -> list[Tensor]:
            model = with_weights(cls(config), weights)
            leaf = x.clone().requires_grad_()
            return gradients(model(leaf), [leaf, *model.parameters()])

        compare_parts(
            t,
            backward,
            why="every weight must learn from the answer",
            name=f"the list of gradients in {style} style",
            part=partial(gradient_of, ["x", *weights], style),
        )

        def input_after(cls: Answer, config=config, weights=weights, x=x) -> Tensor:
            given = x.clone()
            with_weights(cls(config), weights)(given)
            return given

        t.compare(
            input_after,
            why="x is the residual stream's copy, and others read it, too",
            name="x, after the call,",
        )


@check("gpt.MLP")
def many_positions(t: Trial) -> None:
    config = shape("gpt2", n_embd=6, n_head=1)
    weights, x = random_weights(t, MLP(config)), t.randn(1, 300, 6)
    t.compare(
        lambda cls: with_weights(cls(config), weights)(x.clone()),
        why="each position by itself, however many there are",
        name="the answer for 300 positions",
    )


def padding_mask(fill: Tensor, T: int) -> Tensor:
    """Left padding: nobody sees the fillers, which see themselves. (B, 1, T, T)."""
    _, mask = sampling.positions_and_mask(fill, 0, T, T)
    assert mask is not None
    return mask


def blocks_of(t: Trial) -> tuple[Tensor, Tensor, Callable[..., Any]]:
    """A stream (2, 5, 12), its columns, and what builds an answer's block with large weights."""
    x, columns = t.randn(2, 5, 12), torch.arange(5)
    weights = {s: random_weights(t, Block(shape(s))) for s in STYLES}

    @cache
    def build(cls: Answer, style: str, dropout: float = 0.0) -> nn.Module:
        config = shape(style, dropout=dropout)
        return with_weights(cls(config, CausalSelfAttention, MLP), weights[style])

    return x, columns, build


@check("gpt.Block", reference=Block)
def the_stream_after_a_block(t: Trial) -> None:
    x, columns, build = blocks_of(t)
    for style in STYLES:
        t.compare(
            lambda cls, style=style: build(cls, style)(x.clone(), columns),
            why="x + attention(norm_1(x)), and of that x + MLP(norm_2(x))",
            name=f"the stream after a block in {style} style",
        )
    uneven = torch.tensor([[0, 2, 3, 7, 8], [1, 2, 4, 5, 6]])
    t.compare(
        lambda cls: build(cls, "modern")(x.clone(), uneven),
        why="attention turns queries and keys by the positions it is given",
        name="the stream at given positions",
    )
    mask = padding_mask(torch.tensor([2, 1]), 5)
    t.compare(
        lambda cls: build(cls, "gpt2")(x.clone(), columns, mask=mask),
        why="the mask hides the fillers of a padded row; attention must get it",
        name="the stream under a mask",
    )


def step_of(name: str, i: int) -> str:
    return ("the first part of ", "the second part of ", "cache.length after ")[i] + name


@check("gpt.Block")
def a_stream_read_with_a_cache(t: Trial) -> None:
    x, columns, build = blocks_of(t)

    def in_steps(*lengths: int) -> Answer:
        """Read some characters, then the next ones, with what came before in a cache."""

        def use(cls: Answer) -> list[Tensor]:
            model, cache, out, end = build(cls, "modern"), KVCache(40), [], 0
            for length in lengths:
                start, end = end, end + length
                rows = causal_mask(5)[start:end, :end].view(1, 1, length, end)
                one = length == 1 or start == 0  # these need no mask
                new = x[:, start:end].clone()
                out.append(model(new, columns[start:end], cache, None if one else rows))
            return [*out, torch.tensor(cache.length)]

        return use

    why = "what was read before is in the cache; attention must get it, and only once"
    for lengths, how in (
        ((4, 1), "in two steps with a cache"),
        ((3, 2), "with a cache and a mask"),
    ):
        name = f"the stream, read {how},"
        compare_parts(t, in_steps(*lengths), why, name, partial(step_of, name))


@check("gpt.Block")
def dropout_in_a_block(t: Trial) -> None:
    x, columns, build = blocks_of(t)

    def with_dropout(train: bool) -> Answer:
        def use(cls: Answer) -> Tensor:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(t.seed)
                return build(cls, "gpt2", 0.5).train(train)(x.clone(), columns)

        return use

    t.compare(
        with_dropout(True),
        why="in training, dropout silences parts of each answer, never of the stream itself",
        name="the stream in training mode",
    )
    t.compare(
        with_dropout(False),
        why="outside of training, dropout does nothing",
        name="the stream in evaluation mode",
    )


@check("gpt.Block")
def input_and_gradients_of_a_block(t: Trial) -> None:
    x, columns, build = blocks_of(t)

    def input_after(cls: Answer) -> Tensor:
        given = x.clone()
        with torch.no_grad():
            build(cls, "gpt2")(given, columns)
        return given

    t.compare(
        input_after,
        why="x = x + … makes a new tensor; x += … writes into the caller's",
        name="x, after the call,",
    )

    def backward(cls: Answer) -> list[Tensor]:
        model, leaf = build(cls, "gpt2"), x.clone().requires_grad_()
        return gradients(model(leaf, columns), [leaf, *model.parameters()])

    names = ["x", *parameter_names(Block)]
    part = partial(gradient_of, names, "gpt2")
    why = "every weight must learn from the stream"
    compare_parts(t, backward, why, "the list of gradients", part)


@check("gpt.Block")
def a_stream_of_300_positions(t: Trial) -> None:
    _, _, build = blocks_of(t)
    x, positions = t.randn(1, 300, 12), torch.arange(700, 1000)
    t.compare(
        lambda cls: build(cls, "modern")(x.clone(), positions),
        why="a stream may be as long as it likes, and positions begin anywhere",
        name="the stream of 300 positions",
    )


class Listening(nn.Module):
    """A block that hands the stream on as it is, and notes what else it was given."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()

    def forward(
        self,
        x: Tensor,
        positions: Tensor | None = None,
        cache: KVCache | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        self.heard = positions, cache, mask
        return x


LIMIT = 9  # the block_size of `shape`


def places_and_mask() -> tuple[Tensor, Tensor]:
    """Uneven positions of two rows of 6 ids, and a mask that hides fillers; new ones each time."""
    uneven = torch.tensor([[0, 2, 3, 4, 7, 8], [1, 2, 4, 5, 6, 3]])
    return uneven, padding_mask(torch.tensor([3, 1]), 6)


def models_of(t: Trial) -> tuple[Tensor, Callable[..., Any]]:
    """Ids (2, 6), and what builds an answer's model of a style with large weights."""
    idx = t.randint(11, 2, 6)
    weights = {s: random_weights(t, GPT(shape(s))) for s in STYLES}
    for style in STYLES:
        weights[style]["wte.weight"] *= 4  # far from size 1, and from the eps of a norm

    @cache
    def build(cls: Answer, style: str, dropout: float = 0.0) -> nn.Module:
        return with_weights(cls(shape(style, dropout=dropout), Block), weights[style])

    return idx, build


@check("gpt.GPT", reference=GPT)
def the_logits_of_a_model(t: Trial) -> None:
    idx, build = models_of(t)
    uneven, mask = places_and_mask()

    def compare(style: str, name: str, why: str, ids: Tensor = idx, **arguments: Tensor) -> None:
        t.compare(
            lambda cls: build(cls, style)(ids, **arguments),
            why=why,
            name=f"the result in {style} style{name}",
            rtol=1e-3,
            atol=1e-4,
        )

    compare("gpt2", "", "embedding + position, all blocks, the last norm, the head")
    compare(
        "modern", "", "the embedding at size 1, all blocks (they turn by position), norm and head"
    )
    for style in STYLES:
        why = "positions are what the caller says: a padded row begins later than column 0"
        compare(style, " at given positions (T,)", why, positions=torch.arange(6) + 3)
        compare(style, " at given positions (B, T)", why, positions=uneven)
        why = "every block has to hide what the mask hides"
        compare(style, " under a mask", why, mask=mask)
        why = f"block_size={LIMIT} is the longest input that fits"
        compare(style, f" of {LIMIT} ids", why, ids=t.randint(11, 3, LIMIT))
    why = "the limit is on the number of ids, not on where they stand"
    compare("modern", " at positions behind the block", why, positions=torch.arange(6) + LIMIT)


@check("gpt.GPT")
def logits_read_in_two_steps_with_caches(t: Trial) -> None:
    idx, build = models_of(t)
    T = idx.shape[1]

    def cached(style: str, new: int) -> Answer:
        def use(cls: Answer) -> list[Tensor]:
            model, caches, old = build(cls, style), [KVCache(40), KVCache(40)], T - new
            rows = None if new == 1 else causal_mask(T)[old:].view(1, 1, new, T)
            first = model(idx[:, :old], None, caches)
            return [first, model(idx[:, old:], torch.arange(old, T), caches, rows)]

        return use

    for style in STYLES:
        for new in (1, 2):
            name = f"the result in {style} style, read in two steps with caches,"
            why = "each block finds its own keys and values in its own cache"
            part = partial(step_of, name)
            compare_parts(t, cached(style, new), why, name, part, rtol=1e-3, atol=1e-4)


@check("gpt.GPT")
def texts_longer_than_the_block(t: Trial) -> None:
    _, build = models_of(t)
    ids = torch.zeros(1, LIMIT + 1, dtype=torch.long)

    def too_long(style: str, positions: Tensor | None) -> Answer:
        def use(cls: Answer) -> str:
            try:
                build(cls, style)(ids, positions)
            except Exception as error:
                return type(error).__name__
            return "no error"

        return use

    for style in STYLES:
        for positions, where in ((None, ""), (torch.zeros_like(ids[0]), " at given positions")):
            t.compare(
                too_long(style, positions),
                why="a text longer than the block must be refused by name, not crash or pass",
                name=f"the error for {LIMIT + 1} ids in {style} style{where}",
            )


@check("gpt.GPT")
def what_each_block_is_given(t: Trial) -> None:
    idx, _ = models_of(t)

    def heard(*given: Tensor | None, cached: bool) -> Answer:
        """What each block is given: positions, which of the caches, and the mask."""

        def use(cls: Answer) -> list[dict[str, object]]:
            model, caches = cls(shape("gpt2"), Listening), [KVCache(9), KVCache(9)]
            model(idx, given[0], caches if cached else None, *given[1:])
            return [
                {
                    "positions": places.expand(idx.shape) if torch.is_tensor(places) else "none",
                    "cache": [i for i, one in enumerate(caches) if one is cache],
                    "mask": "none" if seen is None else seen,
                }
                for places, cache, seen in (block.heard for block in model.blocks)
            ]

        return use

    why = "a block is called as block(x, positions, cache, mask); no mask stays None"
    part = "what block {} gets".format
    compare_parts(t, heard(None, cached=False), why, "what the blocks get", part)
    name, part = (
        "what the blocks get of the caller's",
        "what block {} gets, of the caller's,".format,
    )
    compare_parts(t, heard(*places_and_mask(), cached=True), why, name, part)


@check("gpt.GPT")
def dropout_and_gradients_of_a_model(t: Trial) -> None:
    idx, build = models_of(t)

    def training(cls: Answer) -> Tensor:
        model = build(cls, "gpt2", 0.5).train()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(t.seed)
            return model(idx)

    t.compare(
        training,
        why="in training, dropout is applied once to the sum of embedding and position",
        name="the result in training mode",
    )

    def backward(cls: Answer) -> list[Tensor]:
        model = build(cls, "gpt2")
        return gradients(model(idx), list(model.parameters()))

    names = parameter_names(GPT)
    part, why = partial(gradient_of, names, "gpt2"), "every weight must learn from the logits"
    compare_parts(t, backward, why, "the list of gradients", part, rtol=1e-3, atol=1e-4)


@check("gpt.GPT")
def a_block_of_300_and_a_whole_vocabulary(t: Trial) -> None:
    for V, T in ((11, 300), (12_000, 3)):
        config = shape("gpt2", vocab_size=V, block_size=300, n_layer=1, n_head=1, n_embd=2)
        weights = random_weights(t, GPT(config))
        idx = t.randint(V, 1, T)
        t.compare(
            lambda cls, config=config, weights=weights, idx=idx: with_weights(
                cls(config, Block), weights
            )(idx),
            why="T and V are what the configuration says",
            name=f"the result for {T} ids of {V:,}",
            rtol=1e-3,
            atol=1e-4,
        )


# --- Choosing a token ---------------------------------------------------------------------------


def written_over(function: Answer, given: Tensor, limit: float) -> Tensor:
    """What was given, after the caller has written into the result."""
    given = given.clone()
    function(given, limit).fill_(0.0)
    return given


def keep_largest(logits: Tensor, k: int) -> Tensor:
    rank = logits.argsort(dim=1, descending=True).argsort(dim=1)
    return logits.masked_fill(rank >= k, float("-inf"))


@check("gpt.keep_top_k", reference=keep_largest)
def keep_top_k(t: Trial) -> None:
    order = "each row keeps its own k largest, in their places; exp(−∞) is a probability of 0"
    t.same(torch.tensor([[1.0, 5.0, 3.0, 4.0]]), 2, why=order)
    rows = t.randn(3, 6)
    t.same(rows, 2, why=order)
    t.same(rows - 40, 1, why=order)
    t.same(rows, 6, why="k = V keeps everything")
    t.same(rows, 50, why="a k larger than the vocabulary keeps everything")
    banned = rows.clone()
    banned[:, 1:4] = float("-inf")
    t.same(banned, 2, why="a banned token, −∞ already, is never among the best")
    t.same(t.randn(2, 5, dtype=torch.float32), 3, why="the dtype of the logits stays as it is")
    t.compare(
        lambda function: written_over(function, rows, 6),
        why="a new tensor: the caller may write into it without changing the logits",
        name="logits, after zeros have been written into the result,",
    )

    @t.for_all(
        B=st.integers(1, 4), V=st.integers(1, 9), k=st.integers(1, 12), seed=SEEDS, examples=12
    )
    def every_shape(B: int, V: int, k: int, seed: int) -> None:
        logits = 3 * torch.randn(B, V, generator=seeded(seed), dtype=torch.float64)
        t.same(logits, k, why=order)


@check("gpt.keep_top_k")
def the_largest_of_a_whole_vocabulary(t: Trial) -> None:
    t.same(t.randn(2, 12_000), 50, why=WHOLE)
    t.same(t.randn(2, 12_000), 11_000, why=WHOLE)


def keep_nucleus(probs: Tensor, p: float) -> Tensor:
    kept = torch.zeros_like(probs)
    for b, row in enumerate(probs):
        total = 0.0
        for i in row.argsort(descending=True).tolist():
            if total >= p:
                break
            kept[b, i] = row[i]
            total += row[i].item()
    return kept / kept.sum(dim=1, keepdim=True)


@check("gpt.keep_top_p", reference=keep_nucleus)
def keep_top_p(t: Trial) -> None:
    fewest = "the fewest likeliest tokens that reach p, in their places, scaled to sum 1"
    exact = torch.tensor([[0.1875, 0.5, 0.0625, 0.25]])  # sums of these are exact
    t.same(exact, 0.6, why=fewest)
    t.same(exact, 0.75, why="0.5 + 0.25 reaches 0.75, so two are enough")
    t.same(exact, 0.8, why="0.5 + 0.25 does not reach 0.8, so the third belongs to them")
    t.same(exact, 0.3, why="the likeliest alone exceeds p, and it is kept: something must be left")
    t.same(exact, 0.01, why="p below every probability still keeps the likeliest")
    t.same(exact, 1.0, why="p = 1 keeps everything")
    certain = torch.tensor([[0.0, 1.0, 0.0], [0.25, 0.125, 0.625]])
    t.same(certain, 0.9, why="every row is cut by itself; certainty keeps one token")
    t.same(
        t.randn(2, 5, dtype=torch.float32).softmax(1),
        0.7,
        why="the dtype of the probabilities stays",
    )
    t.compare(
        lambda function: written_over(function, exact, 1.0),
        why="a new tensor: the caller may write into it without changing the probabilities",
        name="probs, after zeros have been written into the result,",
    )

    @t.for_all(
        B=st.integers(1, 4),
        V=st.integers(1, 9),
        p=st.floats(0.05, 1),
        sharpness=st.floats(0.3, 4),
        seed=SEEDS,
        examples=12,
    )
    def every_shape(B: int, V: int, p: float, sharpness: float, seed: int) -> None:
        logits = sharpness * torch.randn(B, V, generator=seeded(seed), dtype=torch.float64)
        t.same(logits.softmax(1), p, why=fewest)


@check("gpt.keep_top_p")
def the_likeliest_of_a_whole_vocabulary(t: Trial) -> None:
    t.same((3 * t.randn(2, 12_000)).softmax(1), 0.9, why=WHOLE)


PLAIN = torch.tensor([[0.5, 2.0, 1.0, -1.0]], dtype=torch.float64)
# Probabilities 0.4, 0.3, 0.2, 0.1: at temperature ½ the first two hold 25/30, and of two the
# first 4/7.
FOUR = torch.tensor([[0.1, 0.4, 0.3, 0.2]], dtype=torch.float64).log()
ORDER = "temperature first, then top-k, and top-p of the probabilities that these leave"


@check("gpt.next_token_probs", reference=sampling.next_token_probs)
def probabilities_at_a_temperature(t: Trial) -> None:
    logits = 2 * t.randn(3, 7)
    t.same(PLAIN, why="with nothing else to do, it is a softmax", name="the probabilities")
    divided = "logits are divided by the temperature, before softmax"
    t.same(PLAIN, 0.5, why=divided, name="the probabilities at temperature 0.5")
    t.same(logits, 2.0, why=divided, name="the probabilities at temperature 2")
    greedy = "temperature 0 puts everything on the largest logit of each row"
    t.same(PLAIN, 0.0, why=greedy, name="the probabilities at temperature 0")
    t.same(logits, temperature=0, why=greedy, name="the probabilities at temperature 0")
    t.same(
        logits,
        temperature=0,
        top_k=3,
        top_p=0.9,
        why=greedy,
        name="the probabilities at temperature 0 with top-k and top-p",
    )
    close = torch.tensor([[-1.0, 1e-20, 0.0]], dtype=torch.float64)
    t.same(close, 0.0, why=greedy, name="the probabilities at temperature 0 of two close logits")
    why = "only differences of logits count: exp(1000) is ∞, and softmax can do without it"
    t.same(logits + 1000, why=why, name="the probabilities of large logits")


@check("gpt.next_token_probs")
def probabilities_of_what_is_left(t: Trial) -> None:
    logits = 2 * t.randn(3, 7)
    cut = "what is cut off has probability 0, and what is left sums to 1"
    t.same(logits, top_k=3, why=cut, name="the probabilities of top-k 3")
    t.same(logits, top_k=1, why=cut, name="the probabilities of top-k 1")
    t.same(
        logits, top_k=20, why="k larger than V cuts nothing", name="the probabilities of top-k 20"
    )
    t.same(logits, top_p=0.6, why=cut, name="the probabilities of top-p 0.6")
    t.same(logits, top_p=1.0, why="top-p 1 cuts nothing", name="the probabilities of top-p 1")


@check("gpt.next_token_probs")
def temperature_and_cuts_together(t: Trial) -> None:
    banned = 2 * t.randn(3, 7)
    t.same(FOUR, 0.5, top_p=0.8, why=ORDER, name="the probabilities at temperature 0.5, top-p 0.8")
    t.same(FOUR, 3.0, top_p=0.65, why=ORDER, name="the probabilities at temperature 3, top-p 0.65")
    t.same(FOUR, 0.05, why="greedy is 0 alone", name="the probabilities at temperature 0.05")
    t.same(FOUR, top_k=2, top_p=0.5, why=ORDER, name="the probabilities of top-k 2, top-p 0.5")
    t.same(FOUR, 0.7, 3, 0.8, why=ORDER, name="the probabilities with all three")
    banned[:, ::2] = float("-inf")
    t.same(banned, 0.7, 5, 0.9, why="a banned token, −∞, stays at 0", name="the probabilities")
    single = t.randn(2, 5, dtype=torch.float32)
    for temperature in (1.0, 0.0):
        why = "the probabilities have the dtype of the logits"
        t.same(single, temperature, why=why, name=f"the result at temperature {temperature:.0f}")

    @t.for_all(
        temperature=st.floats(0.2, 3),
        top_k=st.none() | st.integers(1, 9),
        top_p=st.none() | st.floats(0.05, 1),
        seed=SEEDS,
        examples=15,
    )
    def every_setting(
        temperature: float, top_k: int | None, top_p: float | None, seed: int
    ) -> None:
        drawn = 2 * torch.randn(3, 7, generator=seeded(seed), dtype=torch.float64)
        t.same(drawn, temperature, top_k, top_p, why=ORDER, name="the probabilities")


@check("gpt.next_token_probs")
def settings_that_are_refused(t: Trial) -> None:
    why = "a negative temperature would make the unlikely likely"
    t.refuses(PLAIN, -0.5, why=why)
    for top_k in (0, -3):
        t.refuses(PLAIN, top_k=top_k, why="fewer than one token leaves nothing to draw")
    for top_p in (0.0, -0.1, 1.5):
        t.refuses(PLAIN, top_p=top_p, why="a sum of probabilities to reach lies in (0, 1]")
    t.refuses(PLAIN, 0.0, top_k=0, why="a wrong argument is wrong at temperature 0, too")
    t.refuses(PLAIN, 0.0, top_p=2.0, why="a wrong argument is wrong at temperature 0, too")


@check("gpt.next_token_probs")
def probabilities_of_a_whole_vocabulary(t: Trial) -> None:
    logits = 3 * t.randn(2, 12_000)
    t.same(
        logits,
        0.8,
        500,
        0.9,
        why=WHOLE,
        name="the probabilities",
    )
    t.same(
        logits,
        0.0,
        why=WHOLE,
        name="the probabilities at temperature 0",
    )


# Rows that need not sum to 1, with tokens that were ruled out.
SCALED = torch.tensor([[0.1, 0.6, 0.3, 0.0], [0.0, 0.5, 1.0, 0.5], [0.05, 0.0, 0.0, 0.15]])


def apart(t: Trial, use: Answer) -> Answer:
    """Leave the global generator as it was, whatever an answer does to it."""

    def run(function: Answer) -> Any:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7 + t.seed)
            return use(function)

    return run


@check("gpt.sample", reference=sampling.sample)
def rows_with_one_possible_token(t: Trial) -> None:
    certain = torch.eye(4)[[2, 0, 3, 0, 1]] * torch.tensor([[1.0], [0.3], [4.0], [1.0], [0.01]])
    t.compare(
        apart(t, lambda function: function(certain.clone(), seeded(1 + t.seed))),
        why="where a single token has all the probability, it must be drawn: ids (B, 1)",
        name="the draw from rows with one possible token",
    )
    t.compare(
        apart(t, lambda function: function(certain[:1].clone())),
        why="no generator means the global one; a batch of 1 is a batch",
        name="the draw from one such row without a generator",
    )


@check("gpt.sample")
def how_often_a_token_is_drawn(t: Trial) -> None:
    n = 40_000

    def hits(function: Answer, probs: Tensor) -> Tensor:
        """Whether token v was drawn from row b, for n draws of all rows, mixed: (n/B, B, V)."""
        B, V = probs.shape
        ids = function(probs.repeat(n // B, 1), seeded(1 + t.seed))
        return ids.reshape(-1, B, 1) == torch.arange(V)

    def share(probs: Tensor) -> Answer:
        return apart(t, lambda function: hits(function, probs).double().mean(0))

    # Of two right answers each is off by 0.0025 (σ) at most here, and by 0.0043 with three rows.
    t.compare(
        share(torch.tensor([[0.1, 0.5, 0.15, 0.25]])),
        why="a token of probability 0.5 is drawn 50 times in 100, and each row by itself",
        name="the table of frequencies",
        rtol=0,
        atol=0.02,
    )
    t.compare(
        share(SCALED),
        why="only the ratios in a row count: a row need not sum to 1",
        name="the table of frequencies of three rows that sum to 1, 2 and 0.2",
        rtol=0,
        atol=0.03,
    )
    zero = "a token of probability 0 was ruled out, by top-k or by a ban"
    t.compare(
        apart(t, lambda function: int((hits(function, SCALED) & (SCALED == 0)).sum())),
        why=zero,
        name="how often a token of probability 0 was drawn",
    )
    tiny = 1e-9 * SCALED
    t.compare(
        apart(t, lambda function: bool((hits(function, tiny) & (tiny == 0)).any())),
        why=zero,
        name="whether a token of probability 0 is drawn from rows that sum to a billionth",
    )


# Seeds whose first 512 random numbers hold 1 − 2⁻²⁴, the last one below 1, or hold 0.
NEARLY_ONE, EXACTLY_ZERO = 27_559, 28_587


@check("gpt.sample")
def points_at_the_ends_of_a_row(t: Trial) -> None:
    # Rounded sums of this row differ, and divided by one of them it ends before 1 − 2⁻²⁴.
    row = 3 * torch.rand(1, 40, generator=seeded(165))
    row[:, 20:] = 0
    for seed, probs, where in (
        (NEARLY_ONE, row, "behind the others"),
        (EXACTLY_ZERO, row.flip(1), "before the others"),
    ):

        def drawn(function: Answer, probs: Tensor = probs, seed: int = seed) -> bool:
            ids = function(probs.repeat(512, 1), seeded(seed))
            return not torch.isin(ids, probs[0].nonzero()[:, 0]).all()

        t.compare(
            apart(t, drawn),
            why="a random number may be 0, or so near to 1 that a rounded sum lies below it",
            name=f"whether a token of probability 0 that stands {where} is drawn",
        )


@check("gpt.sample")
def rows_of_a_whole_vocabulary(t: Trial) -> None:
    certain = torch.zeros(3, 12_000)
    certain[torch.arange(3), torch.tensor([11_999, 0, 7000])] = 0.5
    t.compare(
        apart(t, lambda function: function(certain.clone(), seeded(1 + t.seed))),
        why=WHOLE,
        name="the draw from long rows with one possible token",
    )


GENERATORS = (
    (
        "the same",
        "generators of the same seed draw different tokens",
        "what is drawn follows from the generator that was given, and from nothing else",
    ),
    (
        "the next",
        "the second draw from a generator equals the first",
        "a generator moves on, or all steps of a poem would draw with the same numbers",
    ),
    ("another", "every seed draws the same", "another seed writes another poem"),
    (
        "untouched",
        "the global generator has moved, though another one was given",
        "it decides what the rest of the program draws",
    ),
    (
        "the next, free",
        "without a generator, the second draw equals the first",
        "the global generator is meant then, which moves on with each draw",
    ),
    (
        "the same, free",
        "without a generator, torch.manual_seed does not decide what is drawn",
        "the global generator is meant then, and nothing else",
    ),
)


@check("gpt.sample")
def which_generator_is_used(t: Trial) -> None:
    many, seed = t.randn(50, 9).softmax(1), 1 + t.seed

    def behaviour(function: Answer) -> dict[str, bool]:
        generator, before = seeded(seed), torch.get_rng_state()
        first, second = function(many.clone(), generator), function(many.clone(), generator)
        untouched = torch.equal(before, torch.get_rng_state())
        torch.rand(3)  # the rest of the program draws something
        again, other = (function(many.clone(), seeded(seed + i)) for i in (0, 1))
        state = torch.get_rng_state()
        free, next_free = function(many.clone()), function(many.clone())
        torch.set_rng_state(state)
        free_again = function(many.clone())
        return {
            "the same": torch.equal(first, again),
            "the next": not torch.equal(first, second),
            "another": not torch.equal(first, other),
            "untouched": untouched,
            "the next, free": not torch.equal(free, next_free),
            "the same, free": torch.equal(free, free_again),
        }

    holds = t.ask(apart(t, behaviour))
    for key, symptom, why in GENERATORS:
        t.require(holds[key], symptom, why)


@check("gpt.sample")
def probabilities_after_a_draw(t: Trial) -> None:
    def input_after(function: Answer) -> Tensor:
        given = SCALED.clone()
        function(given, seeded(1 + t.seed))
        return given

    t.compare(
        apart(t, input_after),
        why="the caller may want to look at the probabilities",
        name="probs, after the call,",
    )


# --- Writing ------------------------------------------------------------------------------------


@check("gpt.pad_left", reference=sampling.pad_left)
def pad_left(t: Trial) -> None:
    cpu, parts = torch.device("cpu"), ("ids", "the number of fillers")
    why = "fillers stand in front, so that all rows end in the same column"
    t.same([[7, 8], [3, 4, 5, 6], [9]], cpu, why=why, name="result", parts=parts)
    t.same([[4, 2, 6]], cpu, why="one prompt needs no filler", name="result", parts=parts)
    t.same([[1, 2], [3, 4], [5, 6]], cpu, why=why, name="result", parts=parts)
    why = "a token may have the id 0: count fillers by lengths"
    t.same([[0, 0, 3], [0], [1, 0]], cpu, why=why, name="result", parts=parts)
    t.same(((3, 1), (2,)), cpu, why="any sequences will do, tuples too", name="result", parts=parts)

    prompts = st.lists(
        st.lists(st.integers(0, 11_867), min_size=1, max_size=6), min_size=1, max_size=5
    )

    @t.for_all(prompts=prompts, examples=15)
    def any_prompts(prompts: list[list[int]]) -> None:
        t.same(prompts, cpu, why="ids (B, T), fillers in front", name="result", parts=parts)


@check("gpt.pad_left")
def long_prompts(t: Trial) -> None:
    prompts = [t.random.choices(range(12_000), k=k) for k in (300, 1, 299, 700)]
    why, parts = "a prompt may be as long as it likes", ("ids", "the number of fillers")
    t.same(prompts, torch.device("cpu"), why=why, name="result", parts=parts)


class Counting(nn.Module):
    """After i comes i + 1, and after the last id 0."""

    def __init__(self, V: int, block_size: int = 12) -> None:
        super().__init__()
        self.config = SimpleNamespace(block_size=block_size, vocab_size=V)
        self.wte = nn.Embedding(V, 1)  # so that its device can be asked for
        self.calls: list[int] = []

    def forward(self, idx: Tensor) -> Tensor:
        if idx.shape[1] > self.config.block_size:
            raise ValueError(f"{idx.shape[1]} tokens do not fit {self.config.block_size}")
        self.calls.append(idx.shape[1])
        V = self.config.vocab_size
        # Logits grow along the row, and only the ratios within a place count.
        sure = torch.arange(5.0, 5.0 + idx.shape[1]).unsqueeze(1)
        return sure * F.one_hot((idx + 1) % V, V).double()


class Remembering(Counting):
    """What comes next depends on every id before it and on its place, and in training mode on
    something else, as with dropout. It notes in which state it was asked."""

    def __init__(self, V: int, block_size: int = 12) -> None:
        super().__init__(V, block_size)
        self.states: set[tuple[bool, bool]] = set()

    def forward(self, idx: Tensor) -> Tensor:
        super().forward(idx)
        self.states.add((self.training, torch.is_grad_enabled()))
        V = self.config.vocab_size
        place = torch.arange(1, idx.shape[1] + 1)
        heard = ((idx + 1) ** 2 * place).cumsum(1).double().unsqueeze(-1)  # (B, T, 1)
        logits = torch.sin(heard * (torch.arange(V) + 1.7) + torch.arange(V))
        return -logits if self.training else logits + 0 * self.wte.weight.sum()


def write_greedily(
    model: nn.Module, prompts: list, max_new_tokens: int, stop_token: int | None = None
) -> list[list[int]]:
    was_training, rows = model.training, [[int(i) for i in prompt] for prompt in prompts]
    model.eval()
    with torch.no_grad():
        for row in rows:
            space = model.config.block_size - len(row)
            for _ in range(min(max_new_tokens, space)):
                row.append(int(model(torch.tensor([row]))[0, -1].argmax()))
                if row[-1] == stop_token:
                    break
    model.train(was_training)
    return rows


def kinds(rows: list[list[int]]) -> str:
    whole = all(isinstance(token, Integral) for row in rows for token in row)
    return "ints" if whole else "other things than ints"


def three_prompts() -> list[list[int]]:
    """New ones each time: an answer may write into them."""
    return [[0], [2, 3], [5, 1, 3]]


def row_of(rows: str, i: int) -> str:
    return f"row {i} of {rows}"


def compare_rows(
    t: Trial, name: str, why: str, model: type, *arguments: object, block_size: int = 12
) -> None:
    def use(function: Answer) -> object:
        try:
            return function(model(9, block_size).eval(), *copy.deepcopy(arguments))
        finally:
            torch.set_grad_enabled(True)

    compare_parts(t, use, why, f"the rows {name}", partial(row_of, f"the rows {name}"))


@check("gpt.generate", reference=write_greedily)
def rows_and_where_they_end(t: Trial) -> None:
    prompts = three_prompts()
    why = "every row gets max_new_tokens new ones, after its prompt"
    compare_rows(t, "of 4 new tokens", why, Counting, prompts, 4)
    why = "a row ends with its own stop token, which is kept; the others go on"
    compare_rows(t, "with stop token 4", why, Counting, prompts, 3, 4)
    compare_rows(t, "with stop token 7", why, Counting, [[1], [5], [8, 6]], 4, 7)
    why = "0 is a token like any other"
    compare_rows(t, "with stop token 0", why, Counting, [[6], [3]], 5, 0)
    why = "only a stop token that is written ends a row"
    compare_rows(t, "whose prompt holds the stop token", why, Counting, [[3, 2], [3, 4]], 4, 3)
    compare_rows(t, "whose prompt ends in the stop token", why, Counting, [[2, 3], [3]], 4, 3)
    why = "no row may hold more than block_size tokens, or the model refuses it"
    full = [[1, 2, 3, 4, 5], [7], [2, 2, 2, 2, 2, 2]]
    compare_rows(t, "in a block of 6", why, Counting, full, 9, block_size=6)
    compare_rows(t, "with nothing to write", "0 new tokens are none", Counting, prompts, 0)
    why = "the model must read the whole row, without fillers, at each step"
    compare_rows(t, "of a model that remembers", why, Remembering, prompts, 8)


GRAD = "torch.is_grad_enabled()"


def mode_after(words: tuple[str, ...], mode: str, i: int) -> str:
    return f"{words[i]}, after writing in {mode} mode,"


@check("gpt.generate")
def modes_and_gradients_while_writing(t: Trial) -> None:
    def state(train: bool) -> Answer:
        def use(function: Answer) -> tuple[object, list[bool]]:
            model = Remembering(9).train(train)
            try:
                rows = function(model, three_prompts(), 5, 99)
                gradients_on = torch.is_grad_enabled()
            finally:
                torch.set_grad_enabled(True)
            return rows, [model.training, gradients_on]

        return use

    why = "writing needs evaluation mode; afterwards the model is in the mode it was in"
    for mode, train in (("training", True), ("evaluation", False)):
        write, name = state(train), f"the rows, written in {mode} mode,"
        compare_parts(t, lambda f, w=write: w(f)[0], why, name, partial(row_of, name))
        name, words = f"the list of modes after {mode} mode", ("model.training", GRAD)
        part = partial(mode_after, words, mode)
        compare_parts(t, lambda f, w=write: w(f)[1], why, name, part)

    def asked(function: Answer) -> str:
        model, on = Remembering(9), {True: "on", False: "off"}
        function(model, three_prompts(), 3)
        states = sorted(model.states)
        return "; ".join(f"training {on[mode]}, gradients {on[grad]}" for mode, grad in states)

    why = "no graph is needed to write, and eval() does not switch it off"
    t.compare(asked, why=why, name="the state in which the model was asked")

    def switch_after(function: Answer) -> bool:
        with torch.no_grad():
            function(Counting(9), three_prompts(), 2)
            return torch.is_grad_enabled()

    why = "whoever has switched gradients off does not want them back"
    t.compare(switch_after, why=why, name="torch.is_grad_enabled(), where it was off before,")


@check("gpt.generate")
def rows_are_new_lists_of_ints(t: Trial) -> None:
    t.compare(
        lambda f: kinds(f(Counting(9).eval(), three_prompts(), 2)),
        why="ids are ints; a tensor of one number is no int",
        name="the kind of what the rows hold",
    )

    def prompts_after(function: Answer) -> list[list[int]]:
        given = three_prompts()
        rows = function(Counting(9), given, 2)
        rows[0].append(-1)  # the caller may do with the rows what it likes
        return given

    t.compare(prompts_after, why="rows are new lists", name="the prompts, after the call,")
    t.compare(
        lambda f: f(Counting(9), ((4, 5), (1,)), 2),
        why="prompts may be any sequences",
        name="the rows of prompts that are tuples",
    )


@check("gpt.generate")
def rows_of_a_gpt_and_of_any_prompts(t: Trial) -> None:
    config = shape("gpt2", block_size=10)
    weights = random_weights(t, GPT(config))
    compare_parts(
        t,
        lambda f: f(with_weights(GPT(config), weights), three_prompts(), 9, 3),
        why="a real GPT reads at most block_size tokens",
        name="the rows of a GPT",
        part=partial(row_of, "the rows of a GPT"),
    )

    row = st.lists(st.integers(0, 8), min_size=1, max_size=8)

    @t.for_all(
        rows=st.lists(row, min_size=1, max_size=4),
        new=st.integers(0, 10),
        stop=st.none() | st.integers(0, 8),
        examples=15,
    )
    def any_prompts(rows: list[list[int]], new: int, stop: int | None) -> None:
        why = "each row by itself: its prompt and what it would write alone"
        compare_rows(t, "of a model that remembers", why, Remembering, rows, new, stop)


@check("gpt.generate")
def rows_of_hundreds_of_tokens(t: Trial) -> None:
    why = "a row may be as long as the block"
    compare_rows(t, "in a block of 300", why, Counting, [[1], [5, 6]], 500, block_size=300)


def each_alone(model: nn.Module, idx: Tensor, max_new_tokens: int, stop_token: int) -> list:
    """Every row by itself, which is what rows that write together must give."""
    rows = write_greedily(model, idx.tolist(), max_new_tokens, stop_token)
    longest = max(len(row) for row in rows)
    model.calls[:] = range(idx.shape[1], longest)  # what a batch needs
    return rows


OWN = "every row ends with its own stop token; the others neither stop nor wait for it"
HOLD_STOP = torch.tensor([[3, 0], [3, 1], [1, 3]])  # prompts that hold the stop token 3


def compare_together(
    t: Trial, name: str, why: str, model: type, idx: Tensor, new: int, stop: int
) -> None:
    def use(function: Answer) -> object:
        with torch.no_grad():
            return function(model(9, 20).eval(), idx.clone(), new, stop)

    compare_parts(t, use, why, name, partial(row_of, name))


@check("gpt.write_together", reference=each_alone)
def rows_that_stop_each_by_itself(t: Trial) -> None:
    def compare(name: str, why: str, idx: Tensor, new: int, stop: int) -> None:
        compare_together(t, name, why, Counting, idx, new, stop)

    compare("the rows from 0, 1, 2, 3", OWN, torch.arange(4)[:, None], 5, 3)
    compare("the rows from 3, 2, 1, 0", OWN, torch.arange(3, -1, -1)[:, None], 5, 4)
    compare("the one row", OWN, torch.tensor([[1, 5]]), 6, 8)
    compare("the rows with stop token 0", OWN, torch.tensor([[4], [7], [6]]), 4, 0)
    why = "a row that meets no stop token ends after max_new_tokens"
    compare("the rows that do not stop", why, torch.tensor([[1], [2]]), 3, 8)
    why = "a stop token in the prompt ends nothing"
    compare("the rows whose prompt holds the stop token", why, HOLD_STOP, 4, 3)
    compare("the rows with nothing to write", "0 new tokens are none", HOLD_STOP, 0, 3)
    # Row 0 would write 5 twice before row 1 writes it once.
    start = torch.tensor([[0], [4]])
    compare_together(t, "the rows from 0 and 4", OWN, Remembering, start, 8, 5)


@check("gpt.write_together")
def calls_of_the_model_and_what_comes_back(t: Trial) -> None:
    def calls(new: int, stop: int) -> Answer:
        def use(function: Answer) -> list[int]:
            model = Counting(9, 20)
            function(model, torch.tensor([[1], [3], [2]]), new, stop)
            return model.calls

        return use

    why = "once the last row has ended there is nothing left to ask; until then, one call a step"
    t.compare(calls(9, 5), why=why, name="the list of lengths at which the model was asked")
    t.compare(calls(2, 8), why=why, name="the list of lengths at which the model was asked")

    t.compare(
        lambda f: kinds(f(Counting(9, 20), HOLD_STOP.clone(), 2, 8)),
        why="ids are ints; a tensor of one number is no int",
        name="the kind of what the rows hold",
    )

    def input_after(function: Answer) -> Tensor:
        given = HOLD_STOP.clone()
        function(Counting(9, 20), given, 3, 6)
        return given

    t.compare(input_after, why="the prompts belong to the caller", name="idx, after the call,")


@check("gpt.write_together")
def rows_of_any_batch(t: Trial) -> None:
    @t.for_all(
        B=st.integers(1, 5),
        T=st.integers(1, 4),
        new=st.integers(0, 9),
        stop=st.integers(0, 8),
        seed=SEEDS,
        examples=20,
    )
    def any_batch(B: int, T: int, new: int, stop: int, seed: int) -> None:
        idx = torch.randint(9, (B, T), generator=seeded(seed))
        name = "the rows of a model that remembers"
        compare_together(t, name, OWN, Remembering, idx, new, stop)


@check("gpt.write_together")
def hundreds_of_tokens(t: Trial) -> None:
    idx = t.randint(9, 2, 5)

    def use(function: Answer) -> object:
        return function(Counting(9, 400), idx.clone(), 290, 10)

    name, why = "the rows of 295 tokens", "a row may be as long as it likes"
    compare_parts(t, use, why, name, partial(row_of, name))


# --- Looking into it ----------------------------------------------------------------------------


class Suspect:
    """A model of which we know whether it sees the future."""

    def __init__(self, forward: Callable[[Tensor], Tensor], leaks: bool) -> None:
        self.forward, self.leaks = forward, leaks

    def __call__(self, ids: Tensor) -> Tensor:
        if ids.dim() != 2 or len(ids) != 1 or not 1 <= ids.shape[1] <= 16:
            raise ValueError(f"the model takes ids (1, T) with T ≤ 16, not {tuple(ids.shape)}")
        with torch.no_grad():
            return self.forward(ids)


Forward = Callable[[Tensor], Tensor]


class Suspects:
    """Models that are quick to ask: each token gives the numbers of a table."""

    V = 5

    def __init__(self, t: Trial) -> None:
        self.t = t
        self.table = t.randn(self.V, self.V) + 2 * torch.eye(self.V, dtype=torch.float64)

    def compare(self, name: str, leaks: bool, forward: Forward, why: str, V: int = V) -> None:
        """The verdict on one model; a leak may be found in any of three runs, with other draws."""
        kind = "leaky" if leaks else "right"
        self.t.compare(
            lambda function: any(
                self.ask(function, Suspect(forward, leaks), V, run) for run in range(1 + 2 * leaks)
            ),
            why=why,
            name=f"the verdict on a {kind} model ({name})",
        )

    def ask(self, function: Answer, model: Suspect, V: int = V, run: int = 0) -> bool:
        # Whatever an answer draws at random is the same each time.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(self.t.seed + run)  # the CPU's alone: that is quick
            return function(model, V)

    def compare_each_token(self, goal: int, source: int, size: float, why: str) -> None:
        """One verdict on as many leaky models as there are tokens: each is to be found."""
        models = [Suspect(self.one_way(goal, source, i, size), True) for i in range(self.V)]
        name = f"place {goal} hears one certain token at place {source}"
        self.t.compare(
            lambda function: all(self.ask(function, model) for model in models),
            why=why,
            name=f"the verdict on a leaky model ({name})",
        )

    def gpt(self, style: str) -> nn.Module:
        sizes = {"vocab_size": self.V, "block_size": 16, "n_layer": 1, "n_head": 1, "n_embd": 8}
        model = GPT(shape(style, **sizes))
        return with_weights(model, {n: 2 * w for n, w in random_weights(self.t, model).items()})

    def past(self, ids: Tensor) -> Tensor:
        """The mean of what has been read: (1, T, V)."""
        return self.table[ids].cumsum(1) / torch.arange(1, ids.shape[1] + 1)[:, None]

    def late(self, ids: Tensor) -> Tensor:
        """The mean of what has been read before the token itself."""
        return F.pad(self.past(ids), (0, 0, 1, 0))[:, :-1]

    def centred(self, ids: Tensor) -> Tensor:
        return self.past(ids) - self.past(ids).mean(1, keepdim=True)

    def third(self, ids: Tensor) -> Tensor:
        """Each place hears the one three places later."""
        return self.past(ids) + 0.1 * F.pad(self.table[ids], (0, 0, 0, 3))[:, 3:]

    def one_way(self, goal: int, source: int, token: int | None, size: float) -> Forward:
        """One place hears one later place, or hears whether a certain token stands there."""

        def forward(ids: Tensor) -> Tensor:
            logits = self.past(ids)
            if ids.shape[1] > source:
                at = int(ids[0, source])
                logits[0, goal, 0] += size * (at + 1 if token is None else at == token)
            return logits

        return forward

    def balanced(self, ids: Tensor) -> Tensor:
        """Place 4 hears place 6: one logit gains what another loses."""
        logits = self.past(ids)
        if ids.shape[1] > 6:
            logits[0, 4] += torch.tensor([0.5, -0.5, 0, 0, 0]) * ids[0, 6]
        return logits

    def rounded(self, ids: Tensor) -> Tensor:
        """Every change moves all logits a little: no leak, not even where a logit is 0."""
        return self.late(ids) + 4e-7 * (ids.sum() % 2) + 1e-9 * ids.shape[1]


CAUSAL = "a model is right if only logits from t on move when token t changes"


@check("gpt.sees_the_future", reference=lambda model, vocab_size: model.leaks)
def verdicts_on_gpts(t: Trial) -> None:
    suspects = Suspects(t)
    old, modern = suspects.gpt("gpt2"), suspects.gpt("modern")

    def under(mask_of: Callable[[int], Tensor]) -> Forward:
        return lambda ids: modern(ids, mask=mask_of(ids.shape[1])[None, None])

    suspects.compare("a GPT", False, old, CAUSAL)
    everywhere = under(lambda T: torch.ones(T, T, dtype=torch.bool))
    why = "every logit moves with every token"
    suspects.compare("a GPT without a mask", True, everywhere, why)
    why = "its mask is shifted by one: position t sees t + 1, the very token it is asked for"
    shifted = under(lambda T: torch.ones(T, T, dtype=torch.bool).tril(1))
    suspects.compare("a GPT whose mask is shifted", True, shifted, why)
    suspects.compare("a modern GPT", False, modern, CAUSAL)


@check("gpt.sees_the_future")
def verdicts_on_models_that_see_the_past(t: Trial) -> None:
    suspects = Suspects(t)
    table, constant = suspects.table, torch.zeros(1, 1, suspects.V, dtype=torch.float64)
    suspects.compare("the mean of the past", False, suspects.past, CAUSAL)
    suspects.compare("the past without the present", False, suspects.late, CAUSAL)
    why = "its logits at t come from token t alone"
    suspects.compare("a table", False, lambda ids: table[ids], why)
    why = "nothing moves at all, so nothing leaks"
    suspects.compare(
        "always the same", False, lambda ids: constant.expand(1, ids.shape[1], -1), why
    )
    why = "differences below 1e-6 are rounding, not knowledge"
    suspects.compare("rounded", False, suspects.rounded, why)
    two = "two tokens are enough"
    suspects.compare("two tokens", False, lambda ids: table[:2, :2][ids], two, 2)


@check("gpt.sees_the_future")
def verdicts_on_leaks_of_any_token(t: Trial) -> None:
    suspects = Suspects(t)
    why = "it takes the mean of the whole text away, the future included"
    suspects.compare("centred", True, suspects.centred, why)
    why = "a leak may skip the next token"
    suspects.compare("every place hears the third after it", True, suspects.third, why)
    why = "a leak may come from a single place, and reach a single place"
    for goal, source, size in ((0, 1, 0.5), (0, 7, -0.5), (1, 2, -0.5), (6, 7, 0.5)):
        name = f"place {goal} hears place {source}"
        suspects.compare(name, True, suspects.one_way(goal, source, None, size), why)


@check("gpt.sees_the_future")
def verdicts_on_leaks_that_hardly_show(t: Trial) -> None:
    suspects = Suspects(t)
    table, one_way = suspects.table, suspects.one_way
    why = "a leak may show only if one certain token stands there"
    suspects.compare_each_token(3, 5, -0.5, why)
    suspects.compare_each_token(2, 4, 0.5, why)
    why = "one logit gains what another loses: each of them has moved"
    suspects.compare("place 4 hears place 6, in balance", True, suspects.balanced, why)
    why = "a logit that falls has moved, too"
    suspects.compare("place 2 hears place 3 and falls", True, one_way(2, 3, None, -0.5), why)
    why = "0.002 is small, but no rounding: training finds it"
    name = "place 1 hears a little of place 6"
    suspects.compare(name, True, one_way(1, 6, None, 0.002), why)
    two = "two tokens are enough to leak"
    name = "two tokens, backwards"
    suspects.compare(name, True, lambda ids: table[:2, :2][ids.flip(1)], two, 2)


@cache
def count_parts() -> dict[str, int]:
    """The counts of `parameter_budget`, from models."""
    sizes = {"vocab_size": 2_000, "block_size": 64, "n_layer": 6, "n_head": 4, "n_embd": 96}

    def build(**more: object) -> nn.Module:
        return GPT(GPTConfig(**(sizes | more)))  # type: ignore[arg-type]

    model = build()
    marks = {"embedding": "wte", "positions": "wpe", "attention": "attn"}
    marks |= {"mlp": "mlp", "norms": "norm", "head": "head"}
    parts = {
        part: sum(p.numel() for name, p in model.named_parameters() if mark in name)
        for part, mark in marks.items()
    }
    more = reference.count_parameters(build(n_head=8)) - reference.count_parameters(model)
    modern = reference.count_parameters(build(style="modern"))
    return parts | {"more_heads": more, "modern": modern}


def keys_of(found: Any) -> Any:
    return dict.fromkeys(found, "…") if isinstance(found, Mapping) else found


@check("gpt.parameter_budget", reference=count_parts)
def parameter_budget(t: Trial) -> None:
    t.compare(lambda f: keys_of(f()), why="these parts and no others", name="your dictionary")
    whys = {
        "embedding": "a table: one row of C numbers for each token",
        "positions": "a table: one row of C numbers for each place in the block",
        "attention": "in each layer: qkv from C to 3C without a bias, proj from C to C with one",
        "mlp": "in each layer: from C to 4C and back, each with a bias for each number it puts out",
        "norms": "two in each block and one before the head, each with 2C numbers",
        "head": "a matrix from C to V and a bias of V",
        "more_heads": "heads share the C numbers out among themselves: qkv keeps its shape",
        "modern": "no position table, no norm weights, no biases but the head's",
    }
    for part, why in whys.items():
        name = f'your count for "{part}"'
        t.compare(lambda f, part=part: f()[part], why=why, name=name, rtol=0, atol=0)
