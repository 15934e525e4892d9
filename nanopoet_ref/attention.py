"""Chapter 02 · Attention (注意力): every character takes a weighted average of those before it.

By hand first (`causal_mask`, `attention`, `SingleHead`), then all heads in one matrix product
(`CausalSelfAttention`), by hand or through PyTorch's fused kernel. Both give the same numbers.

Sources: Vaswani et al. 2017 (scaled dot-product, heads); Su et al. 2021 (rotary positions);
Henry et al. 2020 (query-key normalisation).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

# The largest score of normalised queries and keys: enough for softmax to single out one position
# in a block, not so much that it cannot change its mind.
MAX_SCORE = 16.0


def causal_mask(T: int, device: torch.device | str | None = None) -> Tensor:
    """Which positions a position may look at: (T, T), True at and below the diagonal.

    A poem is written from its first character to its last, so row t sees columns 0 … t.

    >>> causal_mask(3).int().tolist()
    [[1, 0, 0], [1, 1, 0], [1, 1, 1]]
    """
    return torch.ones(T, T, dtype=torch.bool, device=device).tril()


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Scaled dot-product attention, step by step.

    `q` (..., Tq, d), `k` and `v` (..., Tk, d); `mask` is True where a query may look, and is
    causal when not given. Returns `out` (..., Tq, d) and `weights` (..., Tq, Tk): rows of weights
    sum to 1 and are exactly 0 where the mask is False.

    The first position sees only itself, so it gets its own value back:

    >>> v = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> out, weights = attention(v, v, v)
    >>> out[0].tolist(), weights[0].tolist()
    ([1.0, 2.0], [1.0, 0.0])
    """
    if mask is None:
        mask = causal_mask(q.shape[-2], q.device)
    scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5  # (..., Tq, Tk), variance about 1
    scores = scores.masked_fill(~mask, float("-inf"))  # exp(-inf) = 0: no weight at all
    weights = scores.softmax(dim=-1)
    return weights @ v, weights


class SingleHead(nn.Module):
    """One head: queries, keys and values are three views of the same characters.

    >>> SingleHead(n_embd=8, head_size=4)(torch.zeros(2, 5, 8)).shape
    torch.Size([2, 5, 4])
    """

    def __init__(self, n_embd: int, head_size: int) -> None:
        super().__init__()
        # What a character asks for, what it offers to be found by, what it hands over when found.
        # No biases: a bias would be the same for every character, and tell nothing about this one.
        self.query = nn.Linear(n_embd, head_size, bias=False)
        self.key = nn.Linear(n_embd, head_size, bias=False)
        self.value = nn.Linear(n_embd, head_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """`x` (B, T, C) → (B, T, head_size)."""
        out, _ = attention(self.query(x), self.key(x), self.value(x))
        return out


class KVCache:
    """Keys and values of the characters already read, so that none is computed twice.

    Space for `capacity` characters is taken once: a step then costs the same at character 200 as
    at character 1.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.length = 0
        self.k: Tensor | None = None  # (B, n_head, capacity, d), made when the first keys arrive
        self.v: Tensor | None = None

    def append(self, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Add the keys and values of new characters; return those of all characters so far.

        Raises `ValueError` if they do not fit: behind the end, one would be lost in silence.
        """
        start, end = self.length, self.length + k.shape[2]
        if end > self.capacity:
            raise ValueError(f"{end} characters do not fit in a cache for {self.capacity}")
        if self.k is None or self.v is None:
            B, n_head, _, d = k.shape
            self.k = k.new_empty(B, n_head, self.capacity, d)
            self.v = v.new_empty(B, n_head, self.capacity, d)
        # Written into the space that is there: joining old and new would copy all of the old.
        self.k[:, :, start:end] = k
        self.v[:, :, start:end] = v
        self.length = end
        return self.k[:, :, :end], self.v[:, :, :end]


def rotate(x: Tensor, positions: Tensor, base: float = 10_000.0) -> Tensor:
    """Rotary position embedding: turn each pair of numbers by an angle that grows with position.

    The dot product of a turned query and a turned key depends on their distance only, which is
    what metre is about. `x` (B, n_head, T, d), `positions` (T,) or (B, T).

    >>> x = torch.ones(1, 1, 1, 2)
    >>> rotate(x, torch.tensor([0])).tolist()
    [[[[1.0, 1.0]]]]
    """
    half = x.shape[-1] // 2
    # The first pair turns by 1 radian a character, the last hardly at all: fast hands of the clock
    # tell neighbours apart, slow ones tell the beginning of a poem from its end.
    frequency = base ** (-torch.arange(half, device=x.device, dtype=x.dtype) / half)
    angle = positions.to(x.dtype).unsqueeze(-1) * frequency  # (T, d/2) or (B, T, d/2)
    if angle.dim() == 3:
        angle = angle.unsqueeze(1)  # (B, 1, T, d/2): the same angles for all heads
    cos, sin = angle.cos(), angle.sin()
    # Number i forms a pair with number i + d/2, not with its neighbour: two slices instead of a
    # shuffle. Which numbers are paired does not matter, as long as queries and keys agree.
    a, b = x[..., :half], x[..., half:]  # (B, H, T, d/2) each
    return torch.cat((a * cos - b * sin, a * sin + b * cos), dim=-1)


class CausalSelfAttention(nn.Module):
    """All heads at once: one product makes q, k and v, each head attends, one product mixes.

    `rope` turns queries and keys by their position; `qk_norm` gives them a fixed length before
    the dot product, so that scores stay bounded whatever the weights do. `fused=False` uses
    `attend`, step by step; `fused=True` the kernel of PyTorch, which never stores the (T, T)
    weights. `turn` is what `rope` turns with.

    >>> CausalSelfAttention(n_embd=8, n_head=2)(torch.zeros(2, 5, 8)).shape
    torch.Size([2, 5, 8])
    """

    def __init__(
        self,
        n_embd: int,
        n_head: int,
        dropout: float = 0.0,
        *,
        bias: bool = True,
        rope: bool = False,
        qk_norm: bool = False,
        fused: bool = True,
        attend: Callable[..., tuple[Tensor, Tensor]] = attention,
        turn: Callable[[Tensor, Tensor], Tensor] = rotate,
    ) -> None:
        super().__init__()
        if n_embd % n_head:
            raise ValueError(f"n_embd={n_embd} is not a multiple of n_head={n_head}")
        self.n_head = n_head
        self.rope, self.qk_norm, self.fused = rope, qk_norm, fused
        self.attend, self.turn = attend, turn
        # Three matrices side by side: one product makes queries, keys and values.
        self.qkv = nn.Linear(n_embd, 3 * n_embd, bias=False)
        self.proj = nn.Linear(n_embd, n_embd, bias=bias)
        self.dropout = dropout

    def forward(
        self,
        x: Tensor,
        positions: Tensor | None = None,
        cache: KVCache | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """`x` (B, T, C) → (B, T, C).

        `mask` (B, 1, T, Tk) replaces the causal mask; a cache needs one unless T is 1.
        """
        B, T, C = x.shape
        d = C // self.n_head
        qkv = self.qkv(x)  # (B, T, 3C)
        # On a CPU the fused kernel is several times faster in float32 than in bfloat16.
        if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            qkv = qkv.float()
        q, k, v = qkv.split(C, dim=-1)  # (B, T, C) each
        # Cut C into heads, and put the heads in front: each attends by itself, like a poem more.
        q = q.view(B, T, self.n_head, d).transpose(1, 2)  # (B, H, T, d)
        k = k.view(B, T, self.n_head, d).transpose(1, 2)  # (B, H, T, d)
        v = v.view(B, T, self.n_head, d).transpose(1, 2)  # (B, H, T, d)
        qk = torch.stack((q, k))  # (2, B, H, T, d): what follows is done to both alike
        if self.qk_norm:
            length = (MAX_SCORE * d**0.5) ** 0.5  # so that q · k / √d is at most MAX_SCORE
            qk = length * F.normalize(qk, dim=-1)
        if self.rope:
            if positions is None:
                positions = torch.arange(T, device=x.device)
            qk = self.turn(qk, positions)
        q, k = qk  # (B, H, T, d) each
        if cache is not None:
            k, v = cache.append(k, v)  # (B, H, Tk, d): those of all characters so far
        dropout = self.dropout if self.training else 0.0
        with torch.autocast(x.device.type, enabled=False):
            if self.fused:
                # A single new character may look at all that is cached: nothing to hide from it.
                is_causal = mask is None and T > 1
                out = F.scaled_dot_product_attention(
                    q, k, v, attn_mask=mask, dropout_p=dropout, is_causal=is_causal
                )
            else:
                if mask is None and T == 1:
                    mask = torch.ones(1, k.shape[2], dtype=torch.bool, device=x.device)
                _, weights = self.attend(q, k, v, mask)
                out = F.dropout(weights, dropout) @ v
        out = out.transpose(1, 2).reshape(B, T, C)  # heads side by side again
        # Until here no head knows of another: the last product lets them speak to each other.
        return self.proj(out)
