"""Mid-training: framed poems, padding, masks, and writing."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nanopoet_ref.loss import fused_cross_entropy, masked_cross_entropy
from nanopoet_ref.midtraining import (
    CONTENT_ID,
    END_ID,
    PAD_ID,
    count_truncated,
    length_buckets,
    pad_batch,
    poem_batches,
    poems_by_number,
    target_mask,
)
from nanopoet_ref.poem import Poem
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.sampling import write_poems
from nanopoet_ref.tokenizer import SPECIAL_TOKENS, render_poem, render_poems
from nanopoet_ref.training import BatchStream, TrainConfig, estimate_loss, train

N = len(SPECIAL_TOKENS)


def row(length):
    """A made-up poem of so many tokens."""
    return np.array([2, *(N + np.arange(length - 2) % 40), END_ID], dtype=np.uint16)


def made_up_lengths(n=5000, seed=0):
    return np.random.default_rng(seed).gamma(4, 17, n).astype(np.int64) + 2


def padding_share(lengths, batches):
    rows = sum(len(batch) * lengths[batch].max() for batch in batches)
    return 1 - sum(lengths[batch].sum() for batch in batches) / rows


# --- Padding and masks ------------------------------------------------------------------------


@given(st.lists(st.integers(2, 12), min_size=1, max_size=6))
def test_rows_are_padded_at_the_end_and_padding_does_not_count(lengths):
    batch = pad_batch([row(length) for length in lengths], block_size=20)
    assert batch.idx.shape == batch.targets.shape == (len(lengths), max(lengths) - 1)
    assert batch.n_tokens == sum(lengths) - len(lengths)
    for i, length in enumerate(lengths):
        assert batch.idx[i, : length - 1].tolist() == row(length)[:-1].tolist()
        assert batch.targets[i, : length - 1].tolist() == row(length)[1:].tolist()
        assert (batch.targets[i, length - 1 :] == PAD_ID).all()
        assert batch.mask[i].tolist() == [column < length - 1 for column in range(max(lengths) - 1)]


@pytest.mark.parametrize("length", [256, 257, 258, 444])
def test_a_poem_as_long_as_the_block_keeps_its_end(length):
    batch = pad_batch([row(length), row(10)], block_size=256)
    assert batch.idx.shape[1] == min(length - 1, 256)
    assert batch.targets[0, -1] == END_ID
    assert batch.n_tokens == min(length, 257) - 1 + 9
    kept = min(length, 257) - 1
    assert batch.idx[0].tolist() == row(length)[:kept].tolist()


def test_poems_that_are_cut_are_counted():
    starts = np.cumsum([0, 256, 257, 258, 444])
    assert count_truncated(starts, block_size=256) == 2
    assert count_truncated(np.array([0]), block_size=256) == 0


@pytest.mark.parametrize("lengths", [[], [1], [5, 1], [0, 4]])
def test_a_row_of_one_token_is_refused(lengths):
    with pytest.raises(ValueError, match="two tokens"):
        pad_batch([np.arange(length) for length in lengths], block_size=8)


def test_the_three_masks():
    tokens = torch.tensor([[2, 3, 9, CONTENT_ID, 10, 11, END_ID, PAD_ID, PAD_ID]])
    idx, targets = tokens[:, :-1], tokens[:, 1:]
    masks = {
        kind: "".join(map(str, target_mask(idx, targets, kind)[0].int().tolist()))
        for kind in ("all", "not_padding", "content")
    }
    assert masks == {"all": "11111111", "not_padding": "11111100", "content": "00011100"}


def test_an_unknown_mask_is_named():
    with pytest.raises(ValueError, match="poem"):
        pad_batch([row(5)], 8, "poem")


def test_a_poem_cut_before_its_content_counts_nothing_and_breaks_nothing(make_gpt):
    long_title = np.array([2, *[N] * 30, CONTENT_ID, N, END_ID])
    batch = pad_batch([long_title], 12, "content")
    assert batch.n_tokens == 0
    loss = masked_cross_entropy(make_gpt()(batch.idx), batch.targets, batch.mask)
    loss.backward()
    assert loss.item() == 0


@pytest.mark.parametrize("loss_fn", [masked_cross_entropy, fused_cross_entropy])
@pytest.mark.parametrize("style", ["gpt2", "modern"])
def test_what_stands_in_the_padding_changes_no_loss_and_no_gradient(make_gpt, style, loss_fn):
    batch, results = pad_batch([row(12), row(5), row(3)], 12), []
    for filler in (PAD_ID, 20):
        model = make_gpt(style, awake=True, vocab_size=60)
        inside = torch.cat([torch.ones(3, 1, dtype=torch.bool), batch.mask[:, :-1]], dim=1)
        idx = batch.idx.masked_fill(~inside, filler)
        targets = batch.targets.masked_fill(~batch.mask, filler)
        loss = loss_fn(model(idx), targets, batch.mask)
        loss.backward()
        results.append([loss, *(parameter.grad for parameter in model.parameters())])
    for a, b in zip(*results, strict=True):
        assert torch.allclose(a, b, rtol=0, atol=1e-6)


def test_a_padded_row_has_the_loss_it_has_alone(make_gpt):
    model = make_gpt(awake=True, vocab_size=60, dtype=torch.float64)
    rows = [row(12), row(5), row(3)]
    together = estimate_loss(model, [pad_batch(rows, 12)], masked_cross_entropy)
    alone = estimate_loss(model, [pad_batch([r], 12) for r in rows], masked_cross_entropy)
    assert together == pytest.approx(alone, abs=1e-12)


# --- Buckets ----------------------------------------------------------------------------------


@given(st.integers(1, 300), st.integers(1, 9), st.integers(1, 5), st.integers(0, 99))
def test_every_poem_is_in_exactly_one_batch_of_an_epoch(n, batch_size, pool, seed):
    batches = length_buckets(made_up_lengths(n), batch_size, make_generator(seed), pool)
    assert sorted(i for batch in batches for i in batch.tolist()) == list(range(n))
    assert len(batches) == -(-n // batch_size)
    assert max(map(len, batches)) <= batch_size


def test_buckets_waste_a_fraction_of_what_random_batches_do():
    lengths = made_up_lengths()
    order = np.random.default_rng(1).permutation(len(lengths))
    at_random = [order[i : i + 32] for i in range(0, len(order), 32)]
    bucketed = length_buckets(lengths, 32, make_generator(0))
    assert padding_share(lengths, at_random) > 0.4
    assert padding_share(lengths, bucketed) < 0.05


def test_short_and_long_batches_are_mixed_and_epochs_differ():
    lengths = made_up_lengths()
    one, same, other = (length_buckets(lengths, 32, make_generator(0, e)) for e in (0, 0, 1))
    means = np.array([lengths[batch].mean() for batch in one])
    assert abs(np.corrcoef(means, np.arange(len(means)))[0, 1]) < 0.3
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert {frozenset(b.tolist()) for b in one} != {frozenset(b.tolist()) for b in other}


def test_an_epoch_of_batches_holds_every_poem_once_and_the_next_one_too(tokenizer, poems):
    ids, starts = render_poems(tokenizer, poems)
    batch_at = poems_by_number(ids, starts, block_size=60, batch_size=3, seed=0)
    rows = {tuple(ids[a:b].tolist()) for a, b in itertools.pairwise(starts)}
    for epoch in range(3):
        batches = [batch_at(2 * epoch + i) for i in range(2)]
        found = [
            (*idx[: mask.sum()].tolist(), END_ID)
            for batch in batches
            for idx, mask in zip(batch.idx, batch.mask, strict=True)
        ]
        assert len(found) == 4
        assert set(found) == rows


def test_epochs_group_the_poems_anew(tokenizer, poems):
    batch_at = poems_by_number(*render_poems(tokenizer, poems * 3), 60, batch_size=4, seed=0)
    epochs = [[batch_at(3 * epoch + i).idx.tolist() for i in range(3)] for epoch in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]


def test_a_batch_does_not_depend_on_those_asked_for_before(tokenizer, poems):
    framed = render_poems(tokenizer, poems * 5)
    one, other = (poems_by_number(*framed, block_size=60, batch_size=3, seed=0) for _ in range(2))
    forwards = [one(i) for i in range(15)]
    for i in reversed(range(15)):
        assert torch.equal(other(i).idx, forwards[i].idx)


# --- Training ---------------------------------------------------------------------------------


def test_midtraining_learns_and_evaluation_ignores_the_training_mask(make_gpt, tokenizer, poems):
    framed, first = render_poems(tokenizer, poems), []
    for mask in ("not_padding", "content", "all"):
        model = make_gpt("modern", vocab_size=len(tokenizer), block_size=60, awake=True)
        batches, fixed = poem_batches(framed, framed, model.config.block_size, 4, mask=mask)
        logs = train(
            model,
            BatchStream(batches),
            masked_cross_entropy,
            lambda step: 1.0,
            TrainConfig(max_steps=10, eval_interval=10),
            eval_batches=fixed,
            optimizers=[torch.optim.AdamW(model.parameters(), lr=0.01)],
        )
        first.append(logs[0].val_loss)
        assert logs[-1].val_loss < logs[0].val_loss
    assert first[0] == first[1] == first[2]


def test_the_content_mask_trains_on_fewer_targets(make_gpt, tokenizer, poems):
    framed, tokens = render_poems(tokenizer, poems), {}
    for mask in ("content", "not_padding", "all"):
        model = make_gpt(vocab_size=len(tokenizer), block_size=60)
        config = TrainConfig(max_steps=1)
        batches, fixed = poem_batches(framed, framed, model.config.block_size, 4, mask=mask)
        logs = train(
            model,
            BatchStream(batches),
            masked_cross_entropy,
            lambda step: 1.0,
            config,
            eval_batches=fixed,
        )
        tokens[mask] = logs[1].tokens
    assert tokens["content"] == sum(len(poem.content) + 1 for poem in poems)
    assert tokens["not_padding"] == len(framed[0]) - 4
    assert tokens["all"] > tokens["not_padding"]


# --- Writing ----------------------------------------------------------------------------------


@pytest.fixture
def poet(make_gpt, tokenizer):
    return make_gpt("modern", vocab_size=len(tokenizer), block_size=64)


def fields_of(poem):
    return (poem.author, poem.form, poem.title, poem.content)


def test_given_fields_are_kept_and_the_others_written(poet, tokenizer):
    requests = [
        Poem("李白", "五言绝句", "静夜思", ""),
        Poem("", "七言绝句", "", ""),
        Poem("王维", "", "春晓", "床前明月光"),
    ]
    written = write_poems(poet, tokenizer, requests, generator=make_generator(1))
    for request, poem in zip(requests, written, strict=True):
        for given_text, text in zip(fields_of(request), fields_of(poem), strict=True):
            assert not given_text or text == given_text
    assert written[0].content


def test_a_poem_starts_as_it_is_asked_to(poet, tokenizer):
    requests = [Poem("李白", "五言绝句", "静夜思", ""), Poem("", "", "", "")]
    for poem in write_poems(poet, tokenizer, requests, begin="床前", generator=make_generator(1)):
        assert poem.content.startswith("床前")
        assert len(poem.content) > 2
    (given,) = write_poems(poet, tokenizer, [Poem("", "", "", "疑是")], begin="床前")
    assert given.content == "疑是"


def test_characters_the_model_does_not_know_are_kept_as_given(poet, tokenizer):
    request = Poem("李白", "五言绝句", "咏𠀀雪", "")
    (poem,) = write_poems(poet, tokenizer, [request], generator=make_generator(1))
    assert poem.title == request.title


@pytest.mark.parametrize("seed", range(5))
def test_no_marker_stands_inside_a_field_even_of_an_untrained_model(poet, tokenizer, seed):
    known = set(tokenizer.vocab[N:])
    assert not known & set("<|>")
    requests = [Poem("李白", "五言绝句", "", ""), Poem("王维", "五言绝句", "春晓", "")] * 2
    for poem in write_poems(poet, tokenizer, requests, generator=make_generator(seed)):
        assert set("".join(fields_of(poem))) <= known


def test_a_marker_spelled_in_a_request_ends_nothing(poet, tokenizer):
    request = Poem("<|end|>", "<|content|>", "春晓", "")
    (poem,) = write_poems(poet, tokenizer, [request], generator=make_generator(1))
    assert poem.title == "春晓"
    assert poem.content


@pytest.mark.parametrize(
    "request_",
    [Poem("", "五言绝句", "春晓", ""), Poem("李白", "五言绝句", "", ""), Poem("", "", "", "")],
    ids=["no author", "no title", "nothing"],
)
def test_a_model_that_never_ends_a_field_still_gives_a_poem(poet, tokenizer, request_):
    never = torch.zeros(len(tokenizer)).index_fill(0, torch.arange(N), -1e4)
    poet.head.register_forward_hook(lambda module, args, logits: logits + never)
    (poem,) = write_poems(poet, tokenizer, [request_], generator=make_generator(0))
    for given_text, text in zip(fields_of(request_), fields_of(poem), strict=True):
        assert text == given_text if given_text else text


def test_a_request_longer_than_the_block_is_refused(poet, tokenizer):
    with pytest.raises(ValueError, match="block_size=64"):
        write_poems(poet, tokenizer, [Poem("李白", "五言绝句", "春" * 70, "")])


def test_the_same_generator_writes_the_same_poems(poet, tokenizer):
    requests = [Poem("李白", "", "", ""), Poem("", "五言绝句", "春晓", "")]
    one, same, other = (
        write_poems(poet, tokenizer, requests, generator=make_generator(seed)) for seed in (1, 1, 2)
    )
    assert one == same != other


def test_a_poet_that_knows_its_poems_by_heart_writes_them(make_gpt, tokenizer, poems):
    model = make_gpt("modern", vocab_size=len(tokenizer), block_size=60, n_embd=48)
    batch = pad_batch([render_poem(tokenizer, poem) for poem in poems], 60)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(60):
        loss = masked_cross_entropy(model(batch.idx), batch.targets, batch.mask)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    requests = [Poem(poem.author, poem.form, poem.title, "") for poem in poems]
    assert write_poems(model, tokenizer, requests, temperature=0) == poems
