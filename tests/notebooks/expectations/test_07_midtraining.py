"""What the tasks and the quiz of chapter 07 say to expect."""

import math

import numpy as np
import pytest
import torch

from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.loss import masked_cross_entropy
from nanopoet_ref.midtraining import (
    END_ID,
    MASKS,
    PAD_ID,
    count_truncated,
    pad_batch,
    poems_by_number,
    target_mask,
)
from nanopoet_ref.poem import Poem, fields_of
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.tokenizer import (
    SPECIAL_TOKENS,
    CharTokenizer,
    build_vocab,
    render_poem,
    render_poems,
)
from nanopoet_ref.training import Batch

PAIR = [
    Poem("贾岛", "五言绝句", "寻隐者不遇", "松下问童子，言师采药去。只在此山中，云深不知处。"),
    Poem("李白", "五言绝句", "静夜思", "床前明月光，疑是地上霜。举头望明月，低头思故乡。"),
]


@pytest.fixture(scope="module")
def quatrains(halves):
    """The short poems of the chapter, framed, and their tokenizer."""
    train, _ = halves
    fives, sevens = ([p for p in train if p.form == form] for form in ("五言绝句", "七言绝句"))
    poems = fives + sevens[::5]
    texts = [text for poem in poems for text in fields_of(poem)]
    tokenizer = CharTokenizer(build_vocab(texts, min_count=50))
    return tokenizer, render_poems(tokenizer, poems)


def small_tokenizer():
    return CharTokenizer(build_vocab([text for poem in PAIR for text in fields_of(poem)]))


def awake(tokenizer):
    """A model in which every weight is random, so that every input can matter."""
    torch.manual_seed(0)
    model = GPT(GPTConfig(len(tokenizer), 64, 1, 2, 16, style="gpt2"))
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    return model.eval()


def loss_with_noise(model, batch, seed):
    """The loss when the padded inputs are overwritten by random characters."""
    noise = torch.randint(
        len(SPECIAL_TOKENS),
        model.config.vocab_size,
        batch.idx.shape,
        generator=make_generator(seed),
    )
    idx = torch.where(batch.idx == PAD_ID, noise, batch.idx)
    with torch.no_grad():
        return masked_cross_entropy(model(idx), batch.targets, batch.mask).item()


def test_task_1_a_title_in_front_can_be_asked_for_alone():
    tokenizer = small_tokenizer()
    poem = PAIR[1]
    order = ("title", "author", "form", "content")
    begin, end = [tokenizer.special["<|bos|>"]], [END_ID]

    def field(name):
        return [tokenizer.special[f"<|{name}|>"], *tokenizer.encode(getattr(poem, name)).tolist()]

    row = [*begin, *(token for name in order for token in field(name)), *end]
    assert row[: len(field("title")) + 1] == begin + field("title")
    author = begin + field("author")
    assert row[: len(author)] != author, "an author alone is no front of this row"
    assert render_poem(tokenizer, poem)[: len(author)].tolist() == author


def test_task_2_at_48_inputs_nearly_four_rows_in_ten_have_no_end(quatrains):
    _, (ids, starts) = quatrains
    lengths = np.diff(starts)
    careless = sum(
        END_ID not in ids[start : start + min(length, 49)]
        for start, length in zip(starts, lengths, strict=False)
    )
    assert careless == count_truncated(starts, 48)
    assert 0.37 < careless / len(lengths) < 0.41


def test_task_3_a_batch_counts_the_lengths_less_one_whatever_the_pool(quatrains):
    _, (ids, starts) = quatrains
    lengths = np.minimum(np.diff(starts), 65)
    for pool in (1, 4, 64):
        at = poems_by_number(ids, starts, 64, 32, seed=0, pool=pool)
        per_epoch = -(-len(lengths) // 32)
        assert sum(at(i).n_tokens for i in range(per_epoch)) == (lengths - 1).sum()


def test_task_4_padding_on_the_left_is_seen_by_every_position():
    tokenizer = small_tokenizer()
    rows = [render_poem(tokenizer, poem) for poem in PAIR]
    model, right = awake(tokenizer), pad_batch(rows, 64)
    width = right.idx.shape[1] + 1
    block = torch.full((2, width), PAD_ID)
    for i, row in enumerate(rows):
        block[i, width - len(row) :] = torch.from_numpy(row.astype(np.int64))
    idx, targets = block[:, :-1], block[:, 1:]
    left = Batch(idx, targets, (targets != PAD_ID) & (idx != PAD_ID))
    for batch, changes in ((right, False), (left, True)):
        losses = [loss_with_noise(model, batch, seed) for seed in (1, 2)]
        assert (not math.isclose(*losses, rel_tol=1e-5)) is changes


def test_quiz_1_a_masked_author_gets_a_gradient():
    tokenizer = small_tokenizer()
    idx, targets, mask = pad_batch([render_poem(tokenizer, p) for p in PAIR], 64, "content")
    model = awake(tokenizer)
    masked_cross_entropy(model(idx), targets, mask).backward()
    (li,) = tokenizer.encode("李").tolist()
    assert li not in targets[mask].tolist()
    assert model.wte.weight.grad[li].norm() > 0


def test_quiz_2_counting_padding_can_lower_the_mean_without_a_better_line():
    tokenizer = small_tokenizer()
    idx, targets, _ = pad_batch([render_poem(tokenizer, poem) for poem in PAIR], 64)
    model = awake(tokenizer)
    with torch.no_grad():
        model.head.bias[PAD_ID] += 20
        losses = [
            masked_cross_entropy(model(idx), targets, target_mask(idx, targets, kind)).item()
            for kind in MASKS
        ]
    assert losses[0] < losses[1]


def test_quiz_4_cutting_before_the_shift_loses_the_end():
    row = [2, 10, 11, 12, END_ID]  # block_size + 1 tokens, block_size 4
    assert END_ID not in row[:4][1:]
    assert row[:5][1:][-1] == END_ID
    assert pad_batch([np.array(row)], 4).targets[0, -1] == END_ID
