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

from nanopoet_ref.attention import CausalSelfAttention, KVCache

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
    # RMSNorm divides by the size alone. LayerNorm also takes the mean away, and learns a scale and
    # a shift, which the matrix that comes next could learn as well.
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
        self.modern = config.modern  # which bend

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
        # Two norms: attention and MLP each read a copy of their own.
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
        # Blocks of the same shape: what each of them is for is not designed, it is learned.
        self.blocks = nn.ModuleList(block(config) for _ in range(config.n_layer))
        self.norm_f = make_norm(config)
        # Not tied to `wte`: what a character means as input need not be how it is predicted.
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
