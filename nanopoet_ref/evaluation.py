"""Evaluation (评测): what a poet has learned, counted.

A loss says how well the model foresees real poems. The other counts look at poems it wrote: are
the lines as many and as long as the form asks, are they new, do they rhyme? A rate says little by
itself: beside it belongs what chance would give, and what real poems reach.

Source: E. B. Wilson 1927 (the interval of a share).
"""

from collections.abc import Collection, Iterable, Sequence

import torch

from nanopoet_ref.gpt import GPT
from nanopoet_ref.loss import masked_cross_entropy, token_losses
from nanopoet_ref.midtraining import PAD_ID, field_losses, pad_batch
from nanopoet_ref.poem import Poem
from nanopoet_ref.prosody import lines_of, share
from nanopoet_ref.runtime import evaluating
from nanopoet_ref.tokenizer import SPECIAL_TOKENS, CharTokenizer, render_poem
from nanopoet_ref.training import Batch, estimate_loss


def novel_lines(poems: Iterable[Poem], known: Collection[str]) -> float:
    """The share of lines that no poem of the corpus has.

    >>> novel_lines([Poem("", "", "", "床前明月光，我有一只猫。")], {"床前明月光"})
    0.5
    """
    return share(line not in known for poem in poems for line in lines_of(poem.content))


def wilson(hits: int, n: int, z: float = 1.96) -> tuple[float, float]:
    """The 95% interval of a share: the true shares of which `hits` of `n` would be no surprise.

    Wilson's keeps within 0 and 1, and says something of 0 hits: the usual ± has width 0 there.

    >>> [round(end, 3) for end in wilson(0, 200)], [round(end, 3) for end in wilson(100, 200)]
    ([0.0, 0.019], [0.431, 0.569])
    """
    centre = (hits + z**2 / 2) / (n + z**2)
    half = z / (n + z**2) * (hits * (n - hits) / n + z**2 / 4) ** 0.5
    return max(centre - half, 0.0), min(centre + half, 1.0)


def poem_loss(
    model: GPT, tokenizer: CharTokenizer, poems: Sequence[Poem], batch_size: int = 32
) -> tuple[float, float]:
    """Validation loss of framed poems in nats: per token, and per character.

    Per token counts every target, markers too. Per character shares the same nats out over the
    characters alone, so that tokenizers can be compared.
    """
    block_size = model.config.block_size
    rows = sorted((render_poem(tokenizer, poem) for poem in poems), key=len)  # little padding
    batches: list[Batch] = [
        pad_batch(rows[i : i + batch_size], block_size) for i in range(0, len(rows), batch_size)
    ]
    per_token = estimate_loss(model, batches, masked_cross_entropy)
    n_tokens = sum(batch.n_tokens for batch in batches)
    unknown = SPECIAL_TOKENS.index("<|unk|>")
    n_characters = sum(
        int(((batch.targets >= len(SPECIAL_TOKENS)) | (batch.targets == unknown)).sum())
        for batch in batches
    )
    return per_token, per_token * n_tokens / n_characters


@torch.no_grad()
def poem_loss_by_field(
    model: GPT, tokenizer: CharTokenizer, poems: Sequence[Poem], batch_size: int = 32
) -> dict[str, float]:
    """Validation loss of framed poems in nats per token, for author, form, title and content."""
    rows = sorted((render_poem(tokenizer, poem) for poem in poems), key=len)
    idx, targets, _ = pad_batch(rows, model.config.block_size)
    losses = torch.zeros(targets.shape)
    with evaluating(model):  # without no_grad, every part would keep its logits for a backward
        for some in torch.arange(len(rows)).split(batch_size):
            width = int((targets[some] != PAD_ID).sum(dim=1).max())  # little padding: like lengths
            logits = model(idx[some, :width])
            losses[some, :width] = token_losses(logits, targets[some, :width])
    return field_losses(losses, idx, targets)
