"""What the tasks and the quiz of chapter 08 say to expect."""

import random
from collections import deque

import numpy as np
import pytest

from nanopoet_ref.conversation import CHAT_TOKENS, chat_tokenizer, render_conversation
from nanopoet_ref.mixture import (
    CHARACTERS,
    TASKS,
    Arithmetic,
    Identity,
    TaskMixture,
    ask,
    call,
    mixture_shares,
)
from nanopoet_ref.poem import fields_of
from nanopoet_ref.schedule import warmdown
from nanopoet_ref.streaming import buffered_batches, packed_batches, packed_rows
from nanopoet_ref.tokenizer import UNK, CharTokenizer, build_vocab
from nanopoet_ref.tools import calculate


def talks(lengths):
    """Rendered conversations of these lengths; their tokens are numbered from 2 on."""
    starts = np.cumsum([2, *lengths])
    return [
        (np.arange(start, start + n, dtype=np.uint16), np.ones(n, bool))
        for start, n in zip(starts, lengths, strict=False)
    ]


SIZES = {
    "Compose": 4500,
    "FinishCouplet": 2500,
    "WhoWrote": 1000,
    "WhichForm": 1000,
    "Count": 1000,
    "Arithmetic": 4677,
    "Identity": 81,
}


@pytest.fixture(scope="module")
def mixed(halves):
    """The mixture of the chapter, and its tokenizer."""
    fives, sevens = ([p for p in halves[0] if p.form == f] for f in ("五言绝句", "七言绝句"))
    poems = fives + sevens[::5]
    texts = [text for poem in poems for text in fields_of(poem)]
    tokenizer = chat_tokenizer(CharTokenizer(build_vocab(texts, min_count=50)), [CHARACTERS])
    unknown = tokenizer.special[UNK]
    poems = [poem for poem in poems if unknown not in tokenizer.encode(poem.content)]
    listed = [*SIZES, *["Identity"] * 9]
    return tokenizer, TaskMixture([TASKS[name](poems, "train", SIZES[name]) for name in listed])


@pytest.fixture(scope="module")
def rendered(mixed):
    tokenizer, talks = mixed
    return [render_conversation(tokenizer, talk, 10_000) for talk in talks]


def test_task_1_once_in_place_of_ten_times_is_half_a_percent(mixed):
    tasks = mixed[1].tasks
    assert 0.05 < mixture_shares(tasks)["Identity"] < 0.055
    assert 0.005 < mixture_shares(tasks[:7])["Identity"] < 0.006


def test_task_2_without_a_choice_there_is_three_times_the_padding(rendered):
    tokens = sum(len(ids) for ids, _ in rendered)
    padding, n_rows = [], []
    for lookahead in (1, 64):
        rows = list(packed_rows(rendered, 129, lookahead))
        n_rows.append(len(rows))
        padding.append(1 - (tokens - sum(row.lost for row in rows)) / (129 * len(rows)))
    assert 2.7 < padding[0] / padding[1] < 3.3
    assert 1.15 < n_rows[0] / n_rows[1] < 1.2


def test_task_3_targets_and_lost_are_all_tokens_but_one():
    draw = random.Random(0)
    checked = 0
    for _ in range(200):
        lengths = [draw.randrange(2, 30) for _ in range(draw.randrange(1, 20))]
        B, T = draw.randrange(1, 5), draw.randrange(1, 12)
        if sum(lengths) <= B * T:
            with pytest.raises(ValueError, match="too few"):
                list(buffered_batches(talks(lengths), len(lengths), B, T))
            continue
        steps = list(buffered_batches(talks(lengths), len(lengths), B, T))
        counted = sum(batch.targets.numel() for batch, _ in steps)
        assert counted + steps[-1][1].lost == sum(lengths) - 1
        checked += 1
    assert checked > 100


def test_task_4_two_machines_do_not_always_end_at_the_same_step(rendered):
    differ = []
    for seed in range(30):
        order = random.Random(seed).sample(rendered, 400)
        halves = order[::2], order[1::2]
        steps = [len(list(buffered_batches(half, 200, 2, 64))) for half in halves]
        differ.append(steps[0] != steps[1])
    assert any(differ)


def test_task_5_a_quotation_mark_in_a_text_is_an_error_as_text():
    assert calculate('"a"b".count("a")').startswith("error: ")


def test_quiz_1_calls_texts_and_the_end_are_learned():
    tokenizer = chat_tokenizer(CharTokenizer(build_vocab(["问答"])), [CHARACTERS])
    ids, said = render_conversation(tokenizer, ask("问", *call("3*5"), "答"), 100)
    learned = tokenizer.decode(ids[said])
    assert learned == "<|python_start|>3*5<|python_end|>答<|assistant_end|>"
    assert len([mark for mark in CHAT_TOKENS if mark in learned]) == 3


def test_quiz_2_a_task_that_is_listed_ten_times():
    c = Identity([], size=50)
    shares = mixture_shares([Arithmetic([], size=450), *[c] * 10])
    assert shares["Identity"] == 500 / 950
    mixed = TaskMixture([c] * 10)
    assert len({str(talk) for talk in mixed}) <= 50


def test_quiz_3_whoever_removes_every_token_loses_a_target_a_batch():
    tokens, B, T = deque(range(100)), 2, 4
    targets, batches = set(), 0
    while len(tokens) > B * T:
        taken = [tokens.popleft() for _ in range(B * T + 1)]
        targets |= set(taken[1:])
        batches += 1
    missing = set(range(1, 9 * batches)) - targets
    assert missing == {9 * n for n in range(1, batches)}


def test_quiz_4_progress_that_wraps_takes_the_full_rate_at_the_end():
    assert warmdown(1.0, 0.4) == 0
    assert warmdown(0.0, 0.4) == 1
    for cut in (buffered_batches, packed_batches):
        progress = [state.progress for _, state in cut(talks([5, 6, 7, 4]), 4, 1, 8)]
        assert progress == sorted(progress)
        assert progress[-1] == 1
