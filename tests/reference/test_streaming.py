"""Batches from a stream of conversations: nothing is lost unseen, and progress is true."""

import itertools
import sys
import threading

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nanopoet_ref.midtraining import PAD_ID
from nanopoet_ref.streaming import (
    CHAT_MASKS,
    State,
    buffered_batches,
    chat_batch,
    mixture_batches,
    packed_batches,
    packed_rows,
    prefetch,
    read_shards,
    write_shards,
)

BOS_ID = 2


def talk(number, length):
    """A conversation of `length` tokens: bos, and then its own number; its second half is said."""
    ids = np.array([BOS_ID, *[10 + number] * (length - 1)], np.uint16)
    return ids, np.arange(length) >= (length + 1) // 2


def talks(lengths):
    return [talk(number, length) for number, length in enumerate(lengths)]


LENGTHS = st.lists(st.integers(2, 12), min_size=6, max_size=40)
SIZES = {"batch_size": st.integers(1, 3), "block_size": st.integers(3, 12)}


def progress_of(steps):
    return [state.progress for _, state in steps]


def assert_progress_is_true(steps, total):
    states = [state for _, state in steps]
    progress = progress_of(steps)
    assert progress == sorted(progress)
    assert [state.last_step for state in states] == [False] * (len(states) - 1) + [True]
    assert states[-1].consumed == total
    assert progress[-1] == 1.0
    assert all(0 < p <= 1 for p in progress)


# --- Masks


def test_what_counts_is_what_is_predicted():
    ids, said = np.array([[2, 9, 8, 7, PAD_ID]]), np.array([[0, 0, 1, 1, 0]], dtype=bool)
    expected = {"all": [1, 1, 1, 1], "not_padding": [1, 1, 1, 0], "answer": [0, 1, 1, 0]}
    assert set(expected) == set(CHAT_MASKS)
    for mask, counts in expected.items():
        batch = chat_batch(ids, said, mask)
        assert batch.mask.int().tolist() == [counts]
        assert (batch.idx.tolist(), batch.targets.tolist()) == ([[2, 9, 8, 7]], [[9, 8, 7, PAD_ID]])
    with pytest.raises(ValueError, match="'content' is not one of"):
        chat_batch(ids, said, "content")


# --- End to end


@given(lengths=LENGTHS, **SIZES)
def test_a_buffer_loses_no_target_but_at_the_end(lengths, batch_size, block_size):
    stream = talks(lengths)
    ids, said = (np.concatenate(parts) for parts in zip(*stream, strict=True))
    if len(ids) <= batch_size * block_size:
        return
    steps = list(buffered_batches(stream, len(stream), batch_size, block_size))
    batches = [batch for batch, _ in steps]
    kept = len(ids) - 1 - steps[-1][1].lost
    assert 0 <= steps[-1][1].lost < batch_size * block_size
    assert sum(batch.targets.numel() for batch in batches) == kept
    assert all(batch.idx.shape == (batch_size, block_size) for batch in batches)
    for made, real in [("idx", ids[:-1]), ("targets", ids[1:]), ("mask", said[1:])]:
        flat = torch.cat([getattr(batch, made).flatten() for batch in batches])
        assert flat.tolist() == real[:kept].tolist(), made
    assert_progress_is_true(steps, len(stream))


def test_one_huge_conversation_gives_all_its_batches():
    steps = list(buffered_batches([talk(0, 1001)], 1, batch_size=2, block_size=50))
    assert len(steps) == 10
    assert steps[-1][1] == State(total=1, consumed=1, lost=0, last_step=True)


def test_too_few_tokens_for_a_batch_are_an_error():
    """Text 002's four conversations of 650 tokens, of which 2,049 are taken."""
    four = talks([200, 150, 200, 100])
    with pytest.raises(ValueError, match="too few tokens for a single batch"):
        next(buffered_batches(four, 4, batch_size=4, block_size=512))
    [(batch, state)] = packed_batches(four, 4, batch_size=4, block_size=512)
    assert batch.idx.shape == (2, 512)
    assert (state.lost, state.last_step) == (0, True)


def test_a_stream_is_drawn_as_it_is_needed():
    drawn = itertools.count()
    stream = (talk(next(drawn), 11) for _ in range(1000))
    next(buffered_batches(stream, 1000, batch_size=2, block_size=10))
    assert next(drawn) == 4  # 41 tokens are two batches: one, and one to know that it is not last


# --- Whole conversations


@given(lengths=LENGTHS, **SIZES)
def test_packing_keeps_conversations_whole(lengths, batch_size, block_size):
    stream = talks(lengths)
    steps = list(packed_batches(stream, len(stream), batch_size, block_size, lookahead=5))
    assert_progress_is_true(steps, len(stream))
    cut = [min(length, block_size + 1) for length in lengths]
    assert steps[-1][1].lost == sum(lengths) - sum(cut)
    found = []
    for batch, _ in steps:
        assert 1 <= len(batch.idx) <= batch_size
        rows = torch.cat([batch.idx, batch.targets[:, -1:]], dim=1)
        assert (rows[:, 0] == BOS_ID).all()
        for row in rows.tolist():
            text = [token for token in row if token != PAD_ID]
            assert row == text + [PAD_ID] * (len(row) - len(text))
            starts = [i for i, token in enumerate(text) if token == BOS_ID]
            for start, end in itertools.pairwise([*starts, len(text)]):
                assert len(set(text[start + 1 : end])) == 1
                found.append((text[start + 1] - 10, end - start))
    assert sorted(found) == list(enumerate(cut))


@given(lengths=LENGTHS, **SIZES)
def test_packing_supervises_what_the_assistant_says(lengths, batch_size, block_size):
    stream = talks(lengths)
    steps = list(packed_batches(stream, len(stream), batch_size, block_size))
    said = sum(int(part[: block_size + 1].sum()) for _, part in stream)
    assert sum(batch.n_tokens for batch, _ in steps) == said
    steps = list(packed_batches(stream, len(stream), batch_size, block_size, mask="not_padding"))
    for batch, _ in steps:
        assert torch.equal(batch.mask, batch.targets != PAD_ID)


def test_best_fit_pads_less_than_rows_in_order():
    lengths = np.random.default_rng(0).integers(5, 60, 400).tolist()
    rows = [len(list(packed_rows(talks(lengths), 65, lookahead=n))) for n in (1, 64)]
    assert rows[1] < 0.85 * rows[0]
    assert rows[1] < 1.08 * sum(lengths) / 65


def test_of_what_waits_the_longest_that_fits_is_taken():
    rows = packed_rows(talks([5, 6, 2, 3, 4, 4]), 10)
    assert [[int(i) for i in dict.fromkeys(row.ids.tolist())] for row in rows] == [
        [BOS_ID, 10, 14, PAD_ID],  # 5 + 4, although 5 + 2 + 3 would be full: it looks one ahead
        [BOS_ID, 11, 15],
        [BOS_ID, 12, 13, PAD_ID],
    ]


# --- By number


def test_a_stage_gives_every_row_once_an_epoch_and_the_same_by_number():
    train, val = talks([9] * 20), talks([9] * 3)
    sizes = {"block_size": 8, "batch_size": 6, "eval_iters": 2}
    batches, fixed = mixture_batches(train, val, **sizes)
    epochs = [torch.cat([batches(e * 4 + i).idx[:, 1] for i in range(4)]) for e in range(2)]
    for epoch in epochs:
        assert sorted(epoch.tolist()) == list(range(10, 30))
    assert not torch.equal(*epochs)
    again, _ = mixture_batches(train, val, **sizes)
    assert torch.equal(again(5).idx, batches(5).idx)
    other, _ = mixture_batches(train, val, **sizes, seed=1)
    assert not torch.equal(other(0).idx, batches(0).idx)
    assert {split: len(b) for split, b in fixed.items()} == {"train": 2, "val": 1}


def test_answers_are_measured_whatever_is_trained_on():
    train = talks([7, 8, 9] * 5)
    for mask in CHAT_MASKS:
        batches, fixed = mixture_batches(train, train, 8, 4, mask=mask)
        assert [b.n_tokens for b in fixed["val"]] == [b.n_tokens for b in fixed["train"]]
        assert sum(b.n_tokens for b in fixed["val"]) == sum(said.sum() for _, said in train)
    assert batches(0).n_tokens < batches(0).targets.numel()


# --- Prefetching


def threads():
    return [thread for thread in threading.enumerate() if "fill" in thread.name]


@given(st.lists(st.integers()), st.integers(1, 3))
def test_prefetching_changes_nothing(items, ahead):
    assert list(prefetch(items, ahead)) == items
    assert not threads()


def test_the_next_item_is_made_while_this_one_is_used():
    made = [threading.Event() for _ in range(3)]

    def items():
        for event in made:
            event.set()
            yield event

    stream = prefetch(items())
    next(stream)
    assert made[1].wait(timeout=10), "nobody has asked for it yet"
    assert [event.is_set() for event in stream] == [True, True]


def test_an_error_is_raised_in_its_place():
    def items():
        yield 1
        raise ArithmeticError("in the thread")

    stream = prefetch(items())
    assert next(stream) == 1
    with pytest.raises(ArithmeticError, match="in the thread"):
        next(stream)
    assert not threads()


def test_who_stops_early_leaves_no_thread():
    drawn = itertools.count()
    stream = prefetch(drawn)
    assert [next(stream), next(stream)] == [0, 1]
    stream.close()
    assert not threads()
    assert next(drawn) < 8


# --- Shards

TALKS = [[{"role": "user", "content": f"月{i}\n"}] for i in range(7)]


def test_conversations_come_back_from_their_shards(tmp_path):
    pytest.importorskip("pyarrow", reason="shards need pyarrow: the extra [mixture]")
    paths = write_shards(tmp_path / "new", iter(TALKS), per_shard=3)
    assert [path.name for path in paths] == [f"shard_0000{i}.parquet" for i in range(3)]
    assert sorted(paths) == sorted((tmp_path / "new").iterdir())
    assert list(read_shards(tmp_path / "new", at_once=2)) == TALKS
    with pytest.raises(FileExistsError, match="holds shards already"):
        write_shards(tmp_path / "new", TALKS)


def test_a_shard_is_written_before_the_next_is_begun(tmp_path):
    pytest.importorskip("pyarrow", reason="shards need pyarrow: the extra [mixture]")
    there = []

    def stream():
        for conversation in TALKS:
            there.append(len(list(tmp_path.glob("*.parquet"))))
            yield conversation

    write_shards(tmp_path, stream(), per_shard=3)
    assert there == [0, 0, 0, 1, 1, 1, 2]


def test_a_folder_without_shards_is_an_error(tmp_path):
    pytest.importorskip("pyarrow", reason="shards need pyarrow: the extra [mixture]")
    with pytest.raises(FileNotFoundError, match="no shards in"):
        next(read_shards(tmp_path))


def test_without_pyarrow_it_is_said_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for use in (lambda: write_shards(tmp_path, TALKS), lambda: next(read_shards(tmp_path))):
        with pytest.raises(ImportError, match=r"pip install 'nanopoet\[mixture\]'"):
            use()
