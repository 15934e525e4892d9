"""Chapter 03 · your answers.

Check them: nanopoet check gpt. Try them: the lines after >>> are examples, which
`python -m doctest exercises/gpt.py` runs; print() shows what you want to see.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

if TYPE_CHECKING:
    from nanopoet_ref.attention import KVCache


# --- Given, to try things with -----------------------------------------------------------------


@dataclass(frozen=True)
class GPTConfig:
    """The shape of a model; `style` is "gpt2" or "modern"."""

    vocab_size: int
    block_size: int = 256
    n_layer: int = 8
    n_head: int = 8
    n_embd: int = 256
    dropout: float = 0.0
    style: str = "gpt2"
    fused: bool = True

    @property
    def modern(self) -> bool:
        return self.style == "modern"


def make_norm(config: GPTConfig) -> nn.Module:
    """LayerNorm, or RMSNorm without weights: both keep the residual stream at a steady size."""
    if config.modern:
        return nn.RMSNorm(config.n_embd, elementwise_affine=False)
    return nn.LayerNorm(config.n_embd)


class Silent(nn.Module):
    """Stands for any part of a model, and has nothing to say: its answer is all zeros."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__()

    def forward(self, x: Tensor, *others: object) -> Tensor:
        return torch.zeros_like(x)


class NextNumber(nn.Module):
    """Stands for a whole model over ids 0 … 8: after i it is sure of i + 1, and after 8 of 0."""

    def __init__(self, block_size: int = 16) -> None:
        super().__init__()
        self.config = GPTConfig(vocab_size=9, block_size=block_size)

    def forward(self, idx: Tensor) -> Tensor:
        return 10.0 * F.one_hot((idx + 1) % 9, 9)


class MLP(nn.Module):
    """Each position by itself: widen four times, bend, narrow again."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        self.fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=not config.modern)
        self.proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=not config.modern)
        self.modern = config.modern

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, T, C) → (B, T, C): `fc` widens, every number is bent, `proj` narrows.

        The bend is GELU in the style of GPT-2: x·Φ(x) exactly, where Φ is the normal distribution
        function, and not the approximation by tanh. It is ReLU² in the modern style: negative
        numbers become 0, the others are squared. `x` itself is left as it is.

        >>> MLP(GPTConfig(vocab_size=10, n_embd=8))(torch.zeros(2, 5, 8)).shape
        torch.Size([2, 5, 8])
        """
        # TODO: your code
        raise NotImplementedError("gpt.MLP")


class Block(nn.Module):
    """Attention, then MLP; each reads a normalised copy and adds its answer to the stream."""

    def __init__(
        self,
        config: GPTConfig,
        attention: Callable[..., nn.Module],
        mlp: Callable[[GPTConfig], nn.Module],
    ) -> None:
        super().__init__()
        self.norm_1 = make_norm(config)
        self.attn = attention(
            config.n_embd,
            config.n_head,
            config.dropout,
            bias=not config.modern,
            rope=config.modern,
            qk_norm=config.modern,
            fused=config.fused,
        )
        self.norm_2 = make_norm(config)
        self.mlp = mlp(config)
        self.dropout = nn.Dropout(config.dropout)

    def forward(
        self,
        x: Tensor,
        positions: Tensor,
        cache: "KVCache | None" = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """One turn of the residual stream `x` (B, T, C) → (B, T, C), in pre-norm order.

        First attention, which reads through `norm_1`; then the MLP, which reads through `norm_2`
        what attention has left. The answer of each passes through `dropout` and is added to the
        stream; the stream itself is never normalised. Attention is called as
        `attn(input, positions, cache, mask)`. The caller's `x` is not changed in place.

        >>> block = Block(GPTConfig(vocab_size=10, n_embd=8), attention=Silent, mlp=Silent)
        >>> x = torch.randn(2, 5, 8)
        >>> torch.equal(block(x, torch.arange(5)), x)  # nobody had anything to add
        True
        """
        # TODO: your code
        raise NotImplementedError("gpt.Block")


class GPT(nn.Module):
    """Ids (B, T) in, logits (B, T, V) out: the logits at t say what may follow character t."""

    def __init__(self, config: GPTConfig, block: Callable[[GPTConfig], nn.Module]) -> None:
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = None if config.modern else nn.Embedding(config.block_size, config.n_embd)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(block(config) for _ in range(config.n_layer))
        self.norm_f = make_norm(config)
        self.head = nn.Linear(config.n_embd, config.vocab_size)

    def forward(
        self,
        idx: Tensor,
        positions: Tensor | None = None,
        caches: "Sequence[KVCache] | None" = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Logits (B, T, V) for ids `idx` (B, T): any numbers, not yet probabilities.

        The stream begins with the embedding `wte`. The style of GPT-2 adds the row of `wpe` for
        each position. The modern style has no `wpe` (it is None): there each vector is divided by
        the root of its mean square, as RMSNorm does. Then come `dropout`, all `blocks` in order,
        `norm_f` and `head`.

        `positions` is (T,) or (B, T); None means 0, 1, …, T − 1, on the device of `idx`. `caches`
        holds one cache per block, in their order, or is None. A block is called as
        `block(x, positions, cache, mask)`; `mask` goes to each as it is.
        Raises ValueError, in both styles, if T is larger than `config.block_size`.

        >>> config = GPTConfig(vocab_size=100, block_size=8, n_layer=2, n_head=2, n_embd=16)
        >>> GPT(config, block=Silent)(torch.zeros(3, 5, dtype=torch.long)).shape
        torch.Size([3, 5, 100])
        """
        # TODO: your code
        raise NotImplementedError("gpt.GPT")


# --- The model ---------------------------------------------------------------------------------


def count_parameters(model: nn.Module) -> int:
    """How many numbers `model` learns: an int.

    Matrices, biases and norms count, at any depth. A tensor that two parts share counts once. A
    buffer is stored, but not learned: it does not count.

    >>> count_parameters(nn.Linear(3, 2))  # a matrix of 6 numbers and a bias of 2
    8
    """
    # TODO: your code
    raise NotImplementedError("gpt.count_parameters")


def parameter_budget() -> dict[str, int]:
    """How many parameters each part of a model has, worked out on paper.

    The model: GPTConfig(vocab_size=2_000, block_size=64, n_layer=6, n_head=4, n_embd=96), in the
    style of GPT-2. No matrix is shared. Attention has `qkv`, without a bias, and `proj`, with one.
    Every norm has a scale and a shift. Return a dictionary of ints with the keys

    - "embedding", "positions", "attention", "mlp", "norms", "head": the part's parameters, those
      of all layers together, biases included;
    - "more_heads": how many more the model has with n_head=8 (negative if it has fewer);
    - "modern": how many the whole model has with style="modern".

    Write numbers or formulas, but build no model: this is a prediction.

    >>> len(parameter_budget())
    8
    """
    # TODO: your code
    raise NotImplementedError("gpt.parameter_budget")


# --- Looking into it ---------------------------------------------------------------------------


def sees_the_future(model: Callable[[Tensor], Tensor], vocab_size: int) -> bool:
    """Whether any logit of `model` depends on a token that comes after it.

    `model(ids)` takes ids (1, T), integers from 0 to `vocab_size` − 1 (at least 2 tokens), T from 1
    to 16, and returns logits (1, T, vocab_size); the same ids always give the same logits. The
    logits at t may depend on tokens 0 … t only. A leak may start at a single place and reach a
    single place, both among the first 8, and it may show only if one certain token stands there:
    look everywhere. A logit that moves by less than 1e-6 has been rounded; a leak is larger than
    1e-3.

    >>> sees_the_future(NextNumber(), 9)  # it looks at the last token only
    False
    >>> sees_the_future(lambda ids: NextNumber()(ids.flip(1)), 9)  # it reads backwards
    True
    """
    # TODO: your code
    raise NotImplementedError("gpt.sees_the_future")


# --- Choosing a token --------------------------------------------------------------------------


def keep_top_k(logits: Tensor, k: int) -> Tensor:
    """The `k` largest logits of each row; all others become −∞.

    `logits` (B, V) floats, some may be −∞ already; no two finite ones in a row are equal. `k` is
    at least 1; if it is larger than V, everything is kept. Returns a new tensor (B, V) of the same
    dtype, every logit in its place; `logits` is left as it is.

    >>> keep_top_k(torch.tensor([[1.0, 3.0, 2.0]]), 2).tolist()
    [[-inf, 3.0, 2.0]]
    """
    # TODO: your code
    raise NotImplementedError("gpt.keep_top_k")


def keep_top_p(probs: Tensor, p: float) -> Tensor:
    """The fewest tokens, likeliest first, whose probabilities sum to `p` or more; the others 0.

    `probs` (B, V): each row sums to 1, and no two positive ones in it are equal. 0 < p ≤ 1. What is
    kept is scaled so that each row sums to 1 again. Returns a new tensor (B, V) of the same dtype,
    every token in its place; `probs` is left as it is.

    >>> keep_top_p(torch.tensor([[0.125, 0.5, 0.375]]), 0.5).tolist()
    [[0.0, 1.0, 0.0]]
    """
    # TODO: your code
    raise NotImplementedError("gpt.keep_top_p")


def next_token_probs(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """From logits (B, V) to the probabilities (B, V) to draw from, of the same dtype.

    In this order: the logits are divided by `temperature`; the `top_k` largest are kept; softmax;
    of the resulting probabilities the fewest likeliest that sum to `top_p` are kept and scaled to
    sum 1. None leaves a step out. Temperature 0 means greedy: probability 1 for the largest logit,
    0 for all others. `logits` is left as it is; some may be −∞; no two finite ones are equal.

    Raises ValueError if `temperature` is negative, `top_k` less than 1, or `top_p` not in (0, 1],
    whatever the other arguments are.

    >>> next_token_probs(torch.tensor([[2.0, 1.0, 0.0]]), top_k=1).tolist()
    [[1.0, 0.0, 0.0]]
    """
    # TODO: your code
    raise NotImplementedError("gpt.next_token_probs")


def sample(probs: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """One token for each row, drawn with its probability: ids (B, 1), integers.

    `probs` (B, V), not negative. A row need not sum to 1: only the ratios in it count; but it has
    something to draw. A token of probability 0 is never drawn. Rows are drawn independently.
    All randomness comes from `generator`, which moves on, so that the next call draws anew;
    PyTorch's global generator then stays as it is. None means the global one.

    >>> sample(torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 0.3]])).tolist()
    [[1], [2]]
    """
    # TODO: your code
    raise NotImplementedError("gpt.sample")


# --- Writing -----------------------------------------------------------------------------------


def pad_left(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Prompts of different lengths as one block whose rows end together.

    `prompts` holds at least one, each of at least one id. Returns two tensors of integers: ids
    (B, T), where T is the longest length and fillers have the id 0, and the number of fillers of
    each row (B,). An id 0 in a prompt is no filler. Both lie on `device`; here it is always the
    CPU. The prompts are left as they are.

    >>> [t.tolist() for t in pad_left([[5], [6, 7]], torch.device("cpu"))]
    [[[0, 5], [6, 7]], [1, 0]]
    """
    # TODO: your code
    raise NotImplementedError("gpt.pad_left")


def write_together(
    model: nn.Module, idx: Tensor, max_new_tokens: int, stop_token: int
) -> list[list[int]]:
    """Continue a batch of prompts of equal length `idx` (B, T), all in one call a step, greedily.

    Returns a list for each row: its prompt and what was written. A row ends with the first
    `stop_token` that is written, which is kept, or after `max_new_tokens`; one in the prompt ends
    nothing. Once all rows have ended, the model is not asked again. It is in evaluation mode,
    gradients are off, and its block is long enough: none of this is your business here.

    The symptom: with one prompt all is well. With a hundred, most poems break off in the middle
    of a line, and some go on after their end as if nothing had happened.

    >>> write_together(NextNumber(), torch.tensor([[0], [2]]), max_new_tokens=3, stop_token=3)
    [[0, 1, 2, 3], [2, 3]]
    """
    for _ in range(max_new_tokens):
        logits = model(idx)[:, -1]  # (B, V)
        token = logits.argmax(dim=-1, keepdim=True)  # (B, 1)
        idx = torch.cat((idx, token), dim=1)
        if token[0].item() == stop_token:
            break
    return idx.tolist()


def generate(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    stop_token: int | None = None,
) -> list[list[int]]:
    """Continue every prompt greedily; returns new lists: each prompt and what was written.

    `model(idx)` takes ids (B, T), at most `model.config.block_size` a row, and returns logits
    (B, T, V), all on the CPU. It takes nothing else, and would read fillers as if they were text.
    Every step adds the token with the largest last logit. A row ends after `max_new_tokens` new
    ones, or when it holds `block_size` tokens, or with the first `stop_token` that is *written*,
    which is kept; one in the prompt ends nothing. Every prompt holds 1 … block_size ids. Rows do
    not disturb each other.

    The model is asked in evaluation mode and no gradients are prepared; afterwards it is in the
    mode it was in. The prompts are left as they are.

    >>> generate(NextNumber(), [[0], [2, 3]], max_new_tokens=3, stop_token=4)
    [[0, 1, 2, 3], [2, 3, 4]]
    """
    # TODO: your code
    raise NotImplementedError("gpt.generate")
