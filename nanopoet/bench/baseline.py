"""The baseline's ways: what `nanopoet bench` compares ours with.

Nothing here is slow on purpose. It is what the chapters build first and what most tutorials stop
at: float32, attention by hand, logits of the whole batch, rows cut one by one, AdamW as PyTorch
gives it, one look-up per character, the whole window again for each character written.

For an update there is a second one, as good projects have it, nanoGPT among them: the kernels of
PyTorch for attention and AdamW; still float32, and logits of the whole batch.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from nanopoet_ref.gpt import GPT
from nanopoet_ref.loss import masked_cross_entropy
from nanopoet_ref.tokenizer import Ids
from nanopoet_ref.training import Batch


def cut_batch(ids: Ids, block_size: int, batch_size: int) -> Batch:
    """Random windows, one row at a time.

    >>> cut_batch(np.arange(4), block_size=3, batch_size=1).targets.tolist()
    [[1, 2, 3]]
    """
    starts = torch.randint(len(ids) - block_size, (batch_size,)).tolist()
    idx = [torch.tensor(ids[start : start + block_size].tolist()) for start in starts]
    targets = [torch.tensor(ids[start + 1 : start + 1 + block_size].tolist()) for start in starts]
    return Batch(torch.stack(idx), torch.stack(targets))


def make_step(model: GPT, ids: Ids) -> Callable[[int], None]:
    """A function that makes one update from so many rows; with a fused model, by a fused AdamW."""
    optimizer = torch.optim.AdamW(model.parameters(), fused=model.config.fused)

    def step(batch_size: int) -> None:
        batch = cut_batch(ids, model.config.block_size, batch_size)
        loss = masked_cross_entropy(model(batch.idx), batch.targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def encode(stoi: dict[str, int], unk: int, text: str) -> Ids:
    """Ids of a text, one look-up per character.

    >>> encode({"春": 8}, 0, "春雪").tolist()
    [8, 0]
    """
    return np.array([stoi.get(character, unk) for character in text], dtype=np.uint16)


@torch.no_grad()
def write(model: GPT, prompt: Sequence[int], max_new_tokens: int) -> list[int]:
    """Continue a prompt: the whole window goes through the model for each new character."""
    idx = torch.tensor([list(prompt)])
    for _ in range(max_new_tokens):
        window = idx[:, -model.config.block_size :]
        probs = model(window)[:, -1].softmax(dim=-1)
        idx = torch.cat((idx, torch.multinomial(probs, 1)), dim=1)
    return idx[0].tolist()
