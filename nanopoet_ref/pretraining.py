"""Chapter 06 · Pre-training (预训练): learn the language of the poems from one long stream.

All poems stand one after the other, each begun by `<|bos|>`, and windows are cut anywhere. The
model learns characters, words, lines; it is not yet told who writes, or in which form.

Sources: Radford et al. 2018 (generative pre-training); Levy & Goldberg 2014 (embeddings as factors
of a table of pairs).
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from nanopoet_ref.gpt import GPT
from nanopoet_ref.loss import unigram_log_probs
from nanopoet_ref.poem import Poem
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.tokenizer import BOS, CharTokenizer, Ids
from nanopoet_ref.training import SPLITS, Batch, StageBatches, random_windows


def poem_stream(tokenizer: CharTokenizer, poems: Sequence[Poem]) -> Ids:
    """The contents of all poems in one array, `<|bos|>` before each.

    Without a boundary a window would teach that one poem's end leads to the next one's beginning.

    >>> poems = [Poem("", "", "", "春眠"), Poem("", "", "", "床前")]
    >>> from nanopoet_ref.tokenizer import build_vocab
    >>> tokenizer = CharTokenizer(build_vocab([poem.content for poem in poems]))
    >>> tokenizer.decode(poem_stream(tokenizer, poems))
    '<|bos|>春眠<|bos|>床前'
    """
    contents = [poem.content for poem in poems]
    lengths = np.fromiter(map(len, contents), dtype=np.int64, count=len(contents))
    starts = (lengths + 1).cumsum() - (lengths + 1)
    stream = np.zeros(int((lengths + 1).sum()), dtype=np.uint16)
    is_text = np.ones(len(stream), dtype=bool)
    stream[starts] = tokenizer.special[BOS]
    is_text[starts] = False
    stream[is_text] = tokenizer.encode("".join(contents))
    return stream


def windows_by_number(
    ids: Ids,
    block_size: int,
    batch_size: int,
    seed: int,
    windows: Callable[..., Batch] = random_windows,
) -> Callable[[int], Batch]:
    """Batch i of random windows, the same for the same seed."""
    return lambda i: windows(ids, block_size, batch_size, make_generator(seed, i))


def window_batches(
    train_ids: Ids,
    val_ids: Ids,
    block_size: int,
    batch_size: int,
    *,
    eval_iters: int = 8,
    seed: int = 0,
    windows: Callable[..., Batch] = random_windows,
) -> StageBatches:
    """The stage of pre-training: random windows to train on, fixed ones of both streams to measure.

    `windows` cuts those to train on.
    """
    # Other windows than those trained on (seed + 1), and always the same: what is measured twice
    # with the same weights comes out the same.
    fixed = {
        split: windows_by_number(ids, block_size, batch_size, seed + 1)
        for split, ids in zip(SPLITS, (train_ids, val_ids), strict=True)
    }
    return (
        windows_by_number(train_ids, block_size, batch_size, seed, windows),
        {split: [at(i) for i in range(eval_iters)] for split, at in fixed.items()},
    )


FEW = 0.2  # is added to both counts of a pair: a pair seen once says little
SHARPER = 1.6  # the table says 0 of pairs that never come, though they are rarer than by chance


@torch.no_grad()
def init_from_pairs(model: GPT, ids: Ids) -> None:
    """Begin with what counting knows of neighbours, as far as embedding and head can hold it.

    The table has, for each pair of tokens that comes more often than by chance, the log of how many
    times as often (pointwise mutual information, 点互信息). V² numbers do not fit into an embedding
    and a head of width C. The best that do are the first C parts of the singular value
    decomposition (奇异值分解): they become the embedding. The head is then the linear map that
    makes most of the table out of its rows, and the head's bias how common each token is.

    While the blocks say nothing, as in a new model of the modern style, its loss is between that of
    frequencies and that of a table of pairs: the wider the model, the nearer to the table.
    The decomposition begins with random directions: seed before, to get the same weights again.

    Raises:
        ValueError: the model is not of the modern style, whose embeddings all have one length.

    >>> ids = np.array([0, 1, 2, 1] * 100)
    >>> from nanopoet_ref.gpt import GPTConfig
    >>> model = GPT(GPTConfig(3, block_size=4, n_layer=1, n_head=1, n_embd=2, style="modern"))
    >>> init_from_pairs(model, ids)
    >>> model(torch.tensor([[0]])).argmax().item()
    1
    """
    if not model.config.modern:
        raise ValueError("style='gpt2': pairs can be known from the start in the modern style only")
    size, width = model.config.vocab_size, model.config.n_embd
    stream = torch.as_tensor(np.asarray(ids, dtype=np.int64))
    pairs, n = torch.unique(stream[:-1] * size + stream[1:], return_counts=True)
    first, second = pairs // size, pairs % size
    before = torch.zeros(size).index_add(0, first, n.float())  # how often each token stands first
    after = torch.zeros(size).index_add(0, second, n.float())
    by_chance = before[first] * after[second] / n.sum()
    ratio = torch.log((n + FEW) / (by_chance + FEW)).clamp(min=0)
    places = torch.stack([first, second])
    table = torch.sparse_coo_tensor(places, ratio, (size, size), check_invariants=False)
    turn, strengths, _ = torch.svd_lowrank(table, q=min(width, size))
    rows = F.pad(turn * strengths.sqrt(), (0, width - len(strengths)))  # (V, C)
    rows = F.rms_norm(rows, (width,))  # as long as the model makes them anyway
    weights = (before / before.sum()).unsqueeze(1)
    products = rows.T @ (weights * rows) + 1e-6 * torch.eye(width)
    head = torch.linalg.solve(products, torch.sparse.mm(table.T, weights * rows).T).T  # (V, C)
    seen = before > 0
    model.wte.weight[seen] = rows[seen].to(model.wte.weight)
    model.head.weight.copy_(SHARPER * head)
    model.init_head_bias(unigram_log_probs(ids, size))
