"""Chapter 03 · Sampling (采样): how a model writes, one character after the other.

Source: Holtzman et al. 2020 (top-p sampling).
"""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from torch import Tensor

from nanopoet_ref.attention import KVCache, causal_mask
from nanopoet_ref.gpt import GPT
from nanopoet_ref.masks import VerseMask
from nanopoet_ref.poem import Poem, fields_of
from nanopoet_ref.runtime import autocast, evaluating
from nanopoet_ref.tokenizer import BOS, END, FIELDS, CharTokenizer, parse_poem


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
        ordered = ordered.masked_fill((before > 0) & (before >= top_p), 0.0)
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
    # Drawn where the generator lives: the same seed gives the same poem on every device.
    where = probs.device if generator is None else generator.device
    drawn = torch.rand(len(probs), 1, generator=generator, device=where).to(probs.device)  # (B, 1)
    # Times the last end, not times 1: rounding may leave the whole a little short of 1.
    point = ends[:, -1:] * drawn  # (B, 1)
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
            if not logits.amax(dim=-1).isfinite().all():
                raise ValueError("the model's logits are not finite: nothing can be drawn by them")
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


def write_poems(
    model: GPT,
    tokenizer: CharTokenizer,
    requests: Sequence[Poem],
    *,
    begin: str = "",
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float | None = None,
    generator: torch.Generator | None = None,
    precision: str = "float32",
    verse_mask: VerseMask | None = None,
) -> list[Poem]:
    """Write a poem for each request; whatever a request leaves empty, the model makes up.

    Fields are filled in the order of the frame: author, form, title, content. No marker can be
    drawn inside a field, and the next marker ends it. A poem that is made up starts with `begin`.
    `verse_mask` is a new one, with the form of each poem that is to be made up.
    """
    # All rows begin alike, and grow field by field, each with its marker in front.
    special, block_size = tokenizer.special, model.config.block_size
    rows = [[special[BOS]] for _ in requests]
    for field, next_marker in zip(FIELDS, [*(f"<|{f}|>" for f in FIELDS[1:]), END], strict=True):
        # What is given is put into its row; what is not is written, for all such rows at once.
        given = [getattr(request, field) for request in requests]
        for row, text in zip(rows, given, strict=True):
            row += [special[f"<|{field}|>"], *tokenizer.encode(text).tolist()]
        open_rows = [row for row, text in zip(rows, given, strict=True) if not text]
        # In a request for author, form and title only the poem is left to write.
        if not open_rows:
            continue
        # What the poem is to begin with is given to the model as if it had written it.
        if field == "content":
            for row in open_rows:
                row += tokenizer.encode(begin).tolist()
            if verse_mask:
                asked = [r.form for r, text in zip(requests, given, strict=True) if not text]
                if verse_mask.forms != asked or verse_mask.t:
                    raise ValueError("a mask is made for one batch: for these forms, to use once")
                pairs = zip(open_rows, verse_mask.lengths, strict=True)
                if any(len(row) + length - len(begin) > block_size for row, length in pairs):
                    raise ValueError("author and title leave no room for the poem")
                verse_mask.begin(tokenizer.encode(begin).tolist())
        # The marker that begins the next field ends this one; all others are out of place here.
        stop = special[next_marker]
        # What would break a rule of verse gets no probability.
        masked = verse_mask.applied(model) if verse_mask and field == "content" else nullcontext()
        with masked:
            written = generate(
                model,
                open_rows,
                block_size if field == "content" else block_size // 8,  # room for all fields
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                stop_token=stop,
                banned=[token for token in special.values() if token != stop],
                generator=generator,
                precision=precision,
            )
        for row, longer in zip(open_rows, written, strict=True):
            # Without the marker: the next field puts it there for given and written ones alike.
            row[:] = longer[:-1] if longer[-1] == stop else longer
    # What was asked for stands as it was asked, even where the vocabulary lacks a character.
    written_poems = [parse_poem(tokenizer, row) for row in rows]
    return [
        Poem(*(asked or made_up for asked, made_up in zip(*map(fields_of, pair), strict=True)))
        for pair in zip(requests, written_poems, strict=True)
    ]
