"""Chapter 03 · GPT: a decoder-only transformer (仅解码器的变换器), and how to write with it.

The model turns ids into logits and does nothing else: it knows no loss, no file, no command line.

Sources: Radford et al. 2019 (GPT-2: pre-norm, learned positions, GELU); Zhang & Sennrich 2019
(RMSNorm); So et al. 2021 (ReLU²); Holtzman et al. 2020 (top-p sampling).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor, nn

from nanopoet_ref.attention import CausalSelfAttention, KVCache, causal_mask
from nanopoet_ref.runtime import autocast, evaluating

STYLES = ("gpt2", "modern")


@dataclass(frozen=True)
class GPTConfig:
    """The shape of a model. All problems are reported at once.

    `style="gpt2"`: learned positions, LayerNorm, GELU, biases. `style="modern"`: rotary positions,
    RMSNorm, normalised queries and keys, ReLU², no biases but the head's, projections that start
    at zero.

    >>> GPTConfig(vocab_size=100, n_embd=30, n_head=4, dropout=1.5)
    Traceback (most recent call last):
    ValueError: n_embd=30 is not a multiple of n_head=4; dropout=1.5 is not in [0, 1)
    """

    vocab_size: int
    block_size: int = 256
    n_layer: int = 8
    n_head: int = 8
    n_embd: int = 256
    dropout: float = 0.0
    style: str = "gpt2"
    fused: bool = True

    def __post_init__(self) -> None:
        # Whoever writes a configuration wants to hear of three mistakes at once, not one by one.
        sizes = ("vocab_size", "block_size", "n_layer", "n_head", "n_embd")
        problems = [
            f"{name}={getattr(self, name)} is not positive"
            for name in sizes
            if getattr(self, name) < 1
        ]
        if self.n_head > 0 and self.n_embd % self.n_head:
            problems.append(f"n_embd={self.n_embd} is not a multiple of n_head={self.n_head}")
        elif self.n_head > 0 and self.style == "modern" and self.n_embd // self.n_head % 2:
            # Rotation turns pairs of numbers, and an odd one would have no partner.
            problems.append(
                f"rotary positions need an even head size, not {self.n_embd // self.n_head}"
            )
        if not 0 <= self.dropout < 1:
            problems.append(f"dropout={self.dropout} is not in [0, 1)")
        if self.style not in STYLES:
            problems.append(f"style={self.style!r} is not one of {STYLES}")
        if problems:
            raise ValueError("; ".join(problems))

    @property
    def modern(self) -> bool:
        # Two styles, not ten switches: the parts of each were made for one another.
        return self.style == "modern"


def make_norm(config: GPTConfig) -> nn.Module:
    """LayerNorm, or RMSNorm without weights: both keep the residual stream at a steady size."""
    if config.modern:
        return nn.RMSNorm(config.n_embd, elementwise_affine=False)
    return nn.LayerNorm(config.n_embd)


class MLP(nn.Module):
    """Each position by itself: widen four times, bend, narrow again. (B, T, C) → (B, T, C)."""

    def __init__(self, config: GPTConfig) -> None:
        super().__init__()
        # Four times as wide, as in every GPT: two thirds of a block's parameters are here.
        self.fc = nn.Linear(config.n_embd, 4 * config.n_embd, bias=not config.modern)
        self.proj = nn.Linear(4 * config.n_embd, config.n_embd, bias=not config.modern)
        self.modern = config.modern

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc(x)  # (B, T, 4C)
        # Without a bend, two linear layers are one linear layer.
        x = F.relu(x).square() if self.modern else F.gelu(x)
        return self.proj(x)  # (B, T, C)


class Block(nn.Module):
    """Attention, then MLP; each reads a normalised copy and adds its answer to the stream.

    Whoever has parts of their own passes them: `attention` and `mlp` are called to make them.
    """

    def __init__(
        self,
        config: GPTConfig,
        attention: Callable[..., nn.Module] = CausalSelfAttention,
        mlp: Callable[[GPTConfig], nn.Module] = MLP,
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
        cache: KVCache | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        # x itself is never normalised: it runs through all blocks as it is, and so does its
        # gradient. Each part reads a copy of steady size, and only adds to the stream.
        x = x + self.dropout(self.attn(self.norm_1(x), positions, cache, mask))
        return x + self.dropout(self.mlp(self.norm_2(x)))


class GPT(nn.Module):
    """Ids (B, T) in, logits (B, T, V) out: the logits at t say what may follow character t.

    >>> model = GPT(GPTConfig(vocab_size=100, block_size=8, n_layer=2, n_head=2, n_embd=16))
    >>> model(torch.zeros(3, 5, dtype=torch.long)).shape
    torch.Size([3, 5, 100])
    """

    def __init__(self, config: GPTConfig, block: Callable[[GPTConfig], nn.Module] = Block) -> None:
        super().__init__()
        self.config = config
        # "Word token embedding", "word position embedding": GPT-2's names, known everywhere.
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = None if config.modern else nn.Embedding(config.block_size, config.n_embd)
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(block(config) for _ in range(config.n_layer))
        self.norm_f = make_norm(config)
        self.head = nn.Linear(config.n_embd, config.vocab_size)
        self.init_weights()

    @torch.no_grad()
    def init_weights(self) -> None:
        """GPT-2: normal, std 0.02, so the first logits are near 0 and the first loss near ln V.

        Modern: every block starts as the identity and the head at zero, so it is exactly ln V.
        """
        for name, parameter in self.named_parameters():
            if "norm" in name:
                continue  # LayerNorm starts as 1 and 0
            if name.endswith("bias"):
                parameter.zero_()
            elif not self.config.modern:
                parameter.normal_(std=0.02)
            elif "wte" in name:
                parameter.normal_(std=1.0)  # the norm after it makes every row that size anyway
            elif "proj" in name or "head" in name:
                parameter.zero_()  # what a block adds to the stream is nothing at first
            else:
                # A sum of C products of numbers of size 1 then has size 1 again.
                parameter.normal_(std=self.config.n_embd**-0.5)

    @torch.no_grad()
    def init_head_bias(self, log_probs: ArrayLike) -> None:
        """Begin with how often each token occurs, (V,), instead of learning it step by step.

        While the rest of the model says nothing, the logits are the head's bias.
        """
        self.head.bias.copy_(torch.as_tensor(log_probs))

    def forward(
        self,
        idx: Tensor,
        positions: Tensor | None = None,
        caches: Sequence[KVCache] | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Logits (B, T, V). With `caches`, `idx` holds only characters not yet in them."""
        T = idx.shape[1]
        if self.config.block_size < T:
            raise ValueError(f"{T} tokens do not fit block_size={self.config.block_size}")
        if positions is None:
            positions = torch.arange(T, device=idx.device)
        x = self.wte(idx)  # (B, T, C)
        # Attention alone cannot tell 明月 from 月明. Positions are added here (T, C), or turned
        # into queries and keys later; then the rows only need a steady size.
        x = x + self.wpe(positions) if self.wpe is not None else F.rms_norm(x, x.shape[-1:])
        x = self.dropout(x)
        for i, block in enumerate(self.blocks):
            x = block(x, positions, caches[i] if caches else None, mask)  # (B, T, C)
        # All T rows predict at once. In training every one is a lesson; in writing only the last
        # is asked for.
        return self.head(self.norm_f(x))  # (B, T, V)


def count_parameters(model: nn.Module) -> int:
    """How many numbers are learned.

    The model of the first texts, 8 layers of 256 over 11,868 characters:

    >>> count_parameters(GPT(GPTConfig(vocab_size=11_868)))
    12466268
    """
    return sum(parameter.numel() for parameter in model.parameters())


# --- Writing ----------------------------------------------------------------------------------


def next_token_probs(
    logits: Tensor, temperature: float = 1.0, top_k: int | None = None, top_p: float | None = None
) -> Tensor:
    """From logits (B, V) to the probabilities (B, V) to draw from.

    `temperature` divides the logits: below 1 the likely grow likelier; 0 takes the likeliest.
    `top_k` keeps the k likeliest. `top_p` keeps the fewest tokens whose sum reaches p.

    >>> next_token_probs(torch.tensor([[2.0, 1.0, 0.0]]), top_k=1).tolist()
    [[1.0, 0.0, 0.0]]
    """
    if temperature < 0:
        raise ValueError(f"temperature={temperature} is negative")
    if top_k is not None and top_k < 1:
        raise ValueError(f"top_k={top_k} keeps nothing")
    if top_p is not None and not 0 < top_p <= 1:
        raise ValueError(f"top_p={top_p} is not in (0, 1]")
    if temperature < 1e-6:  # dividing by less could overflow
        return F.one_hot(logits.argmax(dim=-1), logits.shape[-1]).to(logits.dtype)
    logits = logits / temperature
    if top_k is not None:
        # exp(-inf) is 0, so what is cut off here gets no probability, and the rest sums to 1.
        best, index = logits.topk(min(top_k, logits.shape[-1]))  # (B, k)
        logits = torch.full_like(logits, float("-inf")).scatter(-1, index, best)
    probs = logits.softmax(dim=-1)
    if top_p is not None:
        ordered, index = probs.sort(dim=-1, descending=True)
        before = ordered.cumsum(dim=-1) - ordered  # what the likelier ones already hold
        # Compared with what stood *before* a token: the likeliest one always stays.
        ordered = ordered.masked_fill(before >= top_p, 0.0)
        probs = torch.zeros_like(probs).scatter(-1, index, ordered)
        probs = probs / probs.sum(dim=-1, keepdim=True)
    return probs


def sample(probs: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """One token for each row of probabilities (B, V), as ids (B, 1).

    Lay the probabilities end to end and see in whose stretch a random point falls. This is one
    random number a row; `torch.multinomial` takes one for every token of the vocabulary.

    >>> sample(torch.tensor([[0.0, 1.0, 0.0]])).tolist()
    [[1]]
    """
    ends = probs.cumsum(dim=-1)  # (B, V): where each stretch ends
    # Times the last end, not times 1: rounding may leave the whole a little short of 1.
    point = ends[:, -1:] * torch.rand(len(probs), 1, generator=generator, device=probs.device)
    # `right`: a token of probability 0 has a stretch of length 0, and is stepped over.
    return torch.searchsorted(ends, point, right=True)  # (B, 1)


def pad_left(prompts: Sequence[Sequence[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Prompts of different lengths as one block that ends together.

    Returns ids (B, T) and the number of filler ids (B,) at the beginning of each row.

    >>> [t.tolist() for t in pad_left([[5], [6, 7]], torch.device("cpu"))]
    [[[0, 5], [6, 7]], [1, 0]]
    """
    # On the left, so that the last column is the last character of every row: one place to read
    # the logits from, one place to go on.
    T = max(len(prompt) for prompt in prompts)
    rows = [[0] * (T - len(prompt)) + list(map(int, prompt)) for prompt in prompts]
    fill = [T - len(prompt) for prompt in prompts]
    return torch.tensor(rows, device=device), torch.tensor(fill, device=device)


def positions_and_mask(
    fill: Tensor, seen: int, length: int, block_size: int
) -> tuple[Tensor, Tensor | None]:
    """Positions of the columns `seen` … `length`, and what they may look at.

    Rows without fillers share their positions and need no mask of their own. Others begin at
    different columns, so each has its own positions (B, T) and mask (B, 1, T, length).
    """
    columns = torch.arange(length, device=fill.device)
    if not fill.any():
        return columns[seen:], None
    # A row's first real character is at position 0, whatever its column.
    positions = columns[seen:] - fill.unsqueeze(1)  # (B, T)
    positions = positions.clamp(0, block_size - 1)  # fillers, and rows that are done
    # A filler column sees itself, or its softmax would be 0 / 0; nobody else sees it.
    # (B, 1, 1, length) & (T, length) → (B, 1, T, length): real columns, and none that come later.
    mask = (columns >= fill.view(-1, 1, 1, 1)) & causal_mask(length, fill.device)[seen:]
    return positions, mask | (columns == columns[seen:].unsqueeze(1))


@torch.no_grad()
def generate(
    model: GPT,
    prompts: Sequence[Sequence[int]],
    max_new_tokens: int,
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    stop_token: int | None = None,
    banned: Sequence[int] = (),
    generator: torch.Generator | None = None,
    precision: str = "float32",
) -> list[list[int]]:
    """Continue every prompt, one token at a time; returns prompts and what was written.

    A row ends at its own `stop_token` (which is kept), after `max_new_tokens`, or when the block
    is full. `banned` tokens are never drawn. Keys and values are cached, so each step computes
    one new character. Draws come from `generator` alone. A step's time is that of reading all
    matrices once: `precision="float16"` halves what is read.
    """
    if not prompts or any(len(prompt) == 0 for prompt in prompts):
        raise ValueError("every prompt needs at least one token")
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens={max_new_tokens} is negative")
    longest = max(len(prompt) for prompt in prompts)
    block_size = model.config.block_size
    if longest > block_size:
        raise ValueError(f"a prompt of {longest} tokens does not fit block_size={block_size}")
    device = model.wte.weight.device
    idx, fill = pad_left(prompts, device)
    # Fillers take columns, but no positions: a shorter prompt still gets its whole block.
    total = min(longest + max_new_tokens, block_size + int(fill.max()))  # columns
    caches = [KVCache(total) for _ in model.blocks]
    rows = [list(map(int, prompt)) for prompt in prompts]
    writing = [True] * len(rows)
    with evaluating(model), autocast(device, precision):
        for length in range(longest, total):
            seen = length - idx.shape[1]  # what the caches hold already
            positions, mask = positions_and_mask(fill, seen, length, block_size)
            # The first time idx is the whole prompt (B, longest), afterwards one column (B, 1).
            logits = model(idx, positions, caches, mask)[:, -1].float()  # (B, V)
            logits[:, list(banned)] = float("-inf")
            probs = next_token_probs(logits, temperature, top_k, top_p)
            idx = sample(probs, generator)  # (B, 1)
            # Rows that are done go on computing, since the others need the batch; what they draw
            # is thrown away.
            for i, token in enumerate(idx[:, 0].tolist()):
                if writing[i]:
                    rows[i].append(token)
                    writing[i] = token != stop_token and len(rows[i]) < block_size
            if not any(writing):
                break
    return rows
