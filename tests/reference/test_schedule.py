"""Schedules: from a step to a multiplier."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanopoet_ref.schedule import (
    SCHEDULES,
    constant,
    warmdown,
    warmup,
    warmup_cosine,
    warmup_warmdown,
)

RUNS = st.integers(1, 300).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))
any_schedule = pytest.mark.parametrize("name", SCHEDULES)


def multipliers(schedule, max_steps, **options):
    return [schedule(step, max_steps, **options) for step in range(max_steps)]


def options_of(name, warmup_steps):
    return {} if name == "constant" else {"warmup_steps": warmup_steps}


@any_schedule
@given(RUNS)
def test_no_update_is_made_at_rate_0_or_above_1(name, run):
    max_steps, warmup_steps = run
    values = multipliers(SCHEDULES[name], max_steps, **options_of(name, warmup_steps))
    assert all(0 < value <= 1 for value in values)


@any_schedule
@given(RUNS)
def test_after_warmup_the_multiplier_never_rises(name, run):
    max_steps, warmup_steps = run
    values = multipliers(SCHEDULES[name], max_steps, **options_of(name, warmup_steps))
    after = values[max(warmup_steps - 1, 0) :]
    assert all(later <= earlier for earlier, later in itertools.pairwise(after))


@pytest.mark.parametrize("schedule", [warmup_cosine, warmup_warmdown])
@given(st.integers(1, 40))
def test_warmup_rises_in_equal_steps(schedule, warmup_steps):
    values = multipliers(schedule, 200, warmup_steps=warmup_steps)
    assert values[:warmup_steps] == pytest.approx(
        [(step + 1) / warmup_steps for step in range(warmup_steps)]
    )


@given(RUNS.filter(lambda run: run[1] < run[0]))
def test_cosine_begins_at_1_after_warmup_and_stays_above_its_end(run):
    max_steps, warmup_steps = run
    values = multipliers(warmup_cosine, max_steps, warmup_steps=warmup_steps, final_frac=0.1)
    assert values[warmup_steps] == 1
    assert min(values[warmup_steps:]) > 0.1


def test_cosine_is_half_way_in_the_middle():
    assert warmup_cosine(60, 110, warmup_steps=10, final_frac=0.2) == pytest.approx(0.6)


def test_cosine_would_reach_its_end_one_update_later():
    assert warmup_cosine(100, 100, final_frac=0.1) == pytest.approx(0.1)


@given(st.integers(1, 300), st.floats(0.05, 1), st.floats(0, 1))
def test_warmdown_by_step_is_warmdown_by_progress(max_steps, frac, final):
    for step in range(max_steps):
        by_step = warmup_warmdown(step, max_steps, warmdown_frac=frac, final_frac=final)
        assert by_step == warmdown(step / max_steps, frac, final)


def test_warmdown_is_level_and_then_a_straight_line():
    values = multipliers(warmup_warmdown, 10, warmdown_frac=0.4, final_frac=0.2)
    assert values == pytest.approx([1] * 7 + [0.8, 0.6, 0.4])


@given(st.floats(0, 1), st.floats(0.05, 1), st.floats(0, 1))
def test_progress_done_lowers_the_multiplier(progress, frac, final):
    assert warmdown(progress, frac, final) >= warmdown(1.0, frac, final) == pytest.approx(final)


def test_no_warmup_and_no_warmdown_are_level():
    assert warmup(0, 0) == 1
    assert multipliers(warmup_warmdown, 5, warmdown_frac=0) == [1] * 5
    assert multipliers(constant, 5) == [1] * 5
