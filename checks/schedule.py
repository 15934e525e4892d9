"""Checks of the schedules of chapter 06."""

import math
from collections.abc import Callable
from functools import partial
from numbers import Real

import numpy as np
from hypothesis import strategies as st

from nanopoet.checker.trial import Answer, Trial, check
from nanopoet_ref import schedule as reference
from nanopoet_ref.schedule import warmdown as straight_down
from nanopoet_ref.schedule import warmup_cosine as right_cosine
from nanopoet_ref.schedule import warmup_warmdown as right_line

shares = st.sampled_from([0.0, 0.1, 0.25, 0.4, 0.5, 0.9, 1.0])
lengths = st.integers(1, 30)
warmups = st.integers(0, 35)


def whole_run(max_steps: int, *args: float) -> Callable[[Answer], np.ndarray]:
    """The multipliers of all updates of a run, as the schedule gives them."""
    return lambda schedule: np.array(
        [schedule(step, max_steps, *args) for step in range(max_steps)], dtype=float
    )


@check("schedule.warmup", reference=reference.warmup)
def warmup(t: Trial) -> None:
    why = "n equal steps lead from 1/n to 1, so no update of the run is wasted at 0"
    t.same(0, 4, why=why, name="warmup(0, 4)")
    for n in (4, 1, 7):
        t.compare(
            lambda f, n=n: np.array([f(step, n) for step in range(n + 4)], dtype=float),
            why=why,
            name=f"a warmup over {n}",
        )
    t.same(0, 0, why="without warmup the first update runs at the full rate", name="warmup(0, 0)")
    t.same(3, 0, why="without warmup every update runs at the full rate", name="warmup(3, 0)")

    @t.for_all(step=st.integers(0, 300), warmup_steps=st.integers(0, 200), examples=20)
    def rises_and_stays(step: int, warmup_steps: int) -> None:
        t.same(step, warmup_steps, why=why, name=f"warmup({step}, {warmup_steps})")


@check("schedule.warmup_cosine", reference=reference.warmup_cosine)
def warmup_cosine(t: Trial) -> None:
    t.compare(
        whole_run(8, 0, 0.0),
        why="half a cosine: from 1 at update 0 to `final_frac` at update `max_steps`",
        name="a run of 8 updates (no warmup, down to 0)",
    )
    t.compare(
        whole_run(8, 0, 0.1),
        why="the wave fills the space between `final_frac` and 1; it never leaves it",
        name="a run of 8 updates (no warmup, down to 0.1)",
    )
    t.compare(
        whole_run(8, 0, 0.3),
        why="the wave fills the space between `final_frac` and 1; it never leaves it",
        name="a run of 8 updates (no warmup, down to 0.3)",
    )
    t.compare(
        whole_run(8, 3, 0.1),
        why="the cosine begins where the warmup ends, and has only the rest of the run",
        name="a run of 8 updates (3 of warmup, down to 0.1)",
    )
    t.compare(
        whole_run(6), why="the defaults: no warmup, down to 0.1", name="a run without settings"
    )
    for max_steps, n in ((1, 0), (1, 1), (5, 5), (3, 7)):
        t.compare(
            whole_run(max_steps, n),
            why="a warmup may take the whole run, or more",
            name=f"a run of {max_steps} updates (warmup {n})",
        )

    @t.for_all(max_steps=lengths, warmup_steps=warmups, final_frac=shares, examples=15)
    def any_run(max_steps: int, warmup_steps: int, final_frac: float) -> None:
        t.compare(
            whole_run(max_steps, warmup_steps, final_frac),
            why="a warmup from 1/n to 1, then half a cosine towards `final_frac`",
            name=f"a run of {max_steps} updates (warmup {warmup_steps}, down to {final_frac})",
        )


def multipliers_at(*progress: float, **options: float) -> Callable[[Answer], np.ndarray]:
    return lambda f: np.array([f(p, **options) for p in progress], dtype=float)


@check("schedule.warmdown", reference=reference.warmdown)
def warmdown(t: Trial) -> None:
    at = multipliers_at
    t.same(0.0, 0.4, why="a run begins at its full rate", name="the multiplier at the beginning")
    t.compare(
        at(0.0, 0.3, 0.6, 0.7, 0.8, 0.9, 1.0, warmdown_frac=0.4),
        why="level at 1; when 0.4 of the run is left, a straight line down to 0",
        name="a warmdown over 0.4",
    )
    t.compare(
        at(0.0, 0.5, 0.75, 0.875, 1.0, warmdown_frac=0.25, final_frac=0.2),
        why="the line leads from 1 to `final_frac`",
        name="a warmdown over 0.25 to 0.2",
    )
    t.compare(
        at(1.0, 1.01, 1.5, warmdown_frac=0.5, final_frac=0.1),
        why="beyond the end it stays at `final_frac`",
        name="after the end",
    )
    t.compare(
        at(0.0, 0.9, 1.0, 1.2, warmdown_frac=0.0),
        why="no warmdown: level to the end, and beyond",
        name="a warmdown over 0",
    )
    t.compare(
        at(0.5, 1.0, 1.5, warmdown_frac=0.0, final_frac=0.3),
        why="no warmdown: level to the end, and beyond",
        name="a warmdown over 0 to 0.3",
    )


@check("schedule.warmdown")
def any_warmdown(t: Trial) -> None:
    @t.for_all(
        progress=st.integers(0, 24).map(lambda n: n / 20),
        warmdown_frac=shares,
        final_frac=shares,
        examples=20,
    )
    def any_share(progress: float, warmdown_frac: float, final_frac: float) -> None:
        t.same(
            progress,
            warmdown_frac,
            final_frac,
            why="1 until only `warmdown_frac` is left, then a straight line to `final_frac`",
            name=f"warmdown({progress}, {warmdown_frac}, {final_frac})",
        )


@check("schedule.warmup_warmdown", reference=reference.warmup_warmdown)
def warmup_warmdown(t: Trial) -> None:
    t.compare(
        whole_run(8, 2, 0.5),
        why="up over 2 updates, level, and down over the last half of the run",
        name="a run of 8 updates (warmup 2, warmdown 0.5)",
    )
    t.compare(
        whole_run(8, 2, 0.5, 0.2),
        why="`final_frac` belongs to the warmdown; the warmup still begins at 1/n",
        name="a run of 8 updates (warmup 2, warmdown 0.5 to 0.2)",
    )
    t.compare(
        whole_run(8),
        why="the defaults: no warmup, and down to 0 over the last 0.4",
        name="a run without settings",
    )
    t.compare(
        whole_run(6, 5, 0.8),
        why="where the warmup meets the warmdown, the smaller of the two counts",
        name="a run of 6 updates (warmup 5, warmdown 0.8)",
    )
    for max_steps, n in ((1, 0), (1, 1), (3, 7)):
        t.compare(
            whole_run(max_steps, n),
            why="a warmup may take the whole run, or more",
            name=f"a run of {max_steps} updates (warmup {n})",
        )


@check("schedule.warmup_warmdown")
def any_warmup_and_warmdown(t: Trial) -> None:
    @t.for_all(
        max_steps=lengths,
        warmup_steps=warmups,
        warmdown_frac=shares,
        final_frac=shares,
        examples=15,
    )
    def any_run(max_steps: int, warmup_steps: int, warmdown_frac: float, final_frac: float) -> None:
        t.compare(
            whole_run(max_steps, warmup_steps, warmdown_frac, final_frac),
            why="the smaller of warmup and warmdown; update 0 has 0 of the run behind it",
            name=f"a run of {max_steps} updates (warmup {warmup_steps}, "
            f"warmdown {warmdown_frac} to {final_frac})",
        )


def right_cosine_rate(step: int, max_steps: int, lr: float) -> float:
    return lr * (0.55 + 0.45 * math.cos(math.pi * step / max_steps))


@check("schedule.cosine_rate", reference=right_cosine_rate)
def cosine_rate(t: Trial) -> None:
    t.same(
        0,
        100,
        3e-4,
        why="update 0 runs at the rate that was asked for",
        name="the rate of update 0 (lr=0.0003)",
        atol=1e-12,
    )
    t.compare(
        whole_run(8, 0.01),
        why="the wave fills the space between `lr / 10` and `lr`, and never leaves it",
        name="the rate of each update (lr=0.01)",
        atol=1e-12,
    )

    @t.for_all(max_steps=lengths, lr=st.sampled_from([1.0, 0.02, 3e-4]), examples=10)
    def any_run(max_steps: int, lr: float) -> None:
        t.compare(
            whole_run(max_steps, lr),
            why="`lr` at update 0, and a tenth of it at update `max_steps`",
            name=f"the rate of each update ({max_steps} updates, lr={lr})",
            atol=1e-12,
        )


def right_late_decay(
    step: int, max_steps: int, decay_frac: float = 0.2, final_frac: float = 0.05
) -> float:
    return straight_down(step / max_steps, decay_frac, final_frac)


@check("schedule.late_decay", reference=right_late_decay)
def late_decay(t: Trial) -> None:
    t.compare(
        whole_run(8, 0.5, 0.0),
        why="a rate that decays late is level at its top, then falls; it never rises",
        name="a run of 8 updates (decay over 0.5, to 0)",
    )
    t.compare(
        whole_run(20),
        why="level, then a line towards `final_frac` over the last `decay_frac` of the run",
        name="a run of 20 updates without settings",
    )

    @t.for_all(
        max_steps=lengths,
        decay_frac=st.sampled_from([0.1, 0.25, 0.4, 0.9, 1.0]),
        final_frac=shares,
        examples=15,
    )
    def any_run(max_steps: int, decay_frac: float, final_frac: float) -> None:
        t.compare(
            whole_run(max_steps, decay_frac, final_frac),
            why="1 at the beginning; `final_frac` is where update `max_steps` would be",
            name=f"a run of {max_steps} updates (decay over {decay_frac}, to {final_frac})",
        )


def table(*multipliers: float) -> Callable[[int], float]:
    """A schedule that was written down, and knows no other steps."""

    def schedule(step: int) -> float:
        if not 0 <= step < len(multipliers):
            raise IndexError(f"there is no update {step}, only 0 … {len(multipliers) - 1}")
        return multipliers[step]

    return schedule


class WarmupThenLevel:
    """A schedule that is an object with a memory of its settings."""

    def __init__(self, first: int, n: int) -> None:
        self.first, self.n = first, n

    def __call__(self, step: int) -> float:
        return min(1.0, (step + self.first) / self.n)


def any_is_wrong(schedule: Callable[[int], float], max_steps: int) -> bool:
    return not all(0 < float(schedule(step)) <= 1 for step in range(max_steps))


ZERO_FIRST = "update 0 is an update: at a multiplier of 0 it changes nothing"


def verdict_on(
    t: Trial, about: str, schedule: Callable[[int], float], max_steps: int, why: str
) -> None:
    t.compare(lambda f: f(schedule, max_steps), why=why, name=f"the verdict on {about}")


@check("schedule.wastes_a_step", reference=any_is_wrong)
def schedules_of_the_field(t: Trial) -> None:
    asked = partial(verdict_on, t)
    asked("a level schedule", lambda step: 1.0, 5, "1 is right: as fast as you asked for")
    asked("a level schedule at one half", lambda step: 0.5, 5, "above 0 and at most 1 is right")
    asked("step / 4, as a warmup", lambda step: min(1.0, step / 4), 8, ZERO_FIRST)
    asked("(step + 1) / 4, as a warmup", WarmupThenLevel(1, 4), 8, "every update moves the weights")
    asked("a warmup that begins at 0", WarmupThenLevel(0, 3), 2, ZERO_FIRST)
    asked(
        "0.1 + half a cosine",
        lambda step: 0.1 + 0.5 * (1 + math.cos(math.pi * step / 10)),
        10,
        "it begins at 1.1: faster than you asked for",
    )
    asked(
        "a warmup and a cosine",
        partial(right_cosine, max_steps=12, warmup_steps=3),
        12,
        "above 0 and at most 1, from the first update to the last",
    )
    asked(
        "a warmdown to 0",
        partial(right_line, max_steps=10, warmup_steps=2),
        10,
        "it would be 0 at update 10, but the last update of ten is number 9",
    )
    asked(
        "a warmdown that ends one update early",
        lambda step: straight_down((step + 1) / 10, 0.4),
        10,
        "its last update, number 9, has a multiplier of 0",
    )
    asked(
        "a line that falls below 0 at the end",
        lambda step: 1 - step / 6.5,
        8,
        "below 0 an update climbs uphill",
    )


@check("schedule.wastes_a_step")
def tables_with_one_odd_update(t: Trial) -> None:
    asked = partial(verdict_on, t)
    asked("a table of one update", table(1.0), 1, "exactly 1 is right")
    asked("a table of one update at 0", table(0), 1, ZERO_FIRST)
    asked("a table of three, one of them 1e-12", table(1, 1e-12, 1), 3, "very small is not 0")
    asked("a table of three, one of them 1.0001", table(1, 1.0001, 1), 3, "at most 1 is at most 1")
    why = "NaN is not above 0 and not at most 1: after such an update every weight is NaN"
    asked("a table of three, one of them NaN", table(1, math.nan, 1), 3, why)
    asked("1 / √(step + 1)", lambda step: np.float64((step + 1) ** -0.5), 50, "small is not 0")

    @t.for_all(
        length=st.integers(1, 12),
        place=st.integers(0, 11),
        value=st.sampled_from([0.0, -0.2, 1.01, 1.0, 1e-6]),
        level=st.sampled_from([0.5, 1.0]),
        examples=25,
    )
    def one_odd_update(length: int, place: int, value: float, level: float) -> None:
        multipliers = [level] * length
        multipliers[place % length] = value
        asked(
            f"the multipliers {multipliers}",
            table(*multipliers),
            length,
            "one wrong update is enough, wherever it stands; a multiplier is above 0, at most 1",
        )


@check("schedule.wastes_a_step")
def a_run_of_a_thousand_updates(t: Trial) -> None:
    asked = partial(verdict_on, t)
    for place in (400, 900):
        multipliers = [0.5] * 1000
        multipliers[place] = 0.0
        asked(
            f"a table of 1,000, only update {place} at 0",
            table(*multipliers),
            1000,
            "one wrong update is enough, also in a long run",
        )
    asked("a table of 1,000 that are right", table(*[0.5] * 1000), 1000, "every one is right")


# --- Of all that compute a multiplier or a rate ---------------------------------------------------


def a_plain_number(*args: float) -> Callable[[Trial], None]:
    """A check of what kind of number comes back."""

    def type_of(result: object) -> str:
        return "float" if isinstance(result, Real) else type(result).__name__

    def a_plain_number(t: Trial) -> None:
        t.compare(
            lambda f: type_of(f(*args)),
            why="the optimizer multiplies by a number, and the log keeps one; `math` gives numbers",
            name="the type of what is returned",
        )

    return a_plain_number


def a_long_run(*args: float) -> Callable[[Trial], None]:
    """A check of a thousand updates."""

    def a_long_run(t: Trial) -> None:
        t.compare(
            whole_run(1000, *args),
            why="a run may have any number of updates",
            name="a run of 1,000 updates",
        )

    return a_long_run


check("schedule.warmup")(a_plain_number(1, 4))
check("schedule.warmup_cosine")(a_plain_number(5, 9, 2))
check("schedule.warmdown")(a_plain_number(0.8, 0.5))
check("schedule.warmup_warmdown")(a_plain_number(5, 7, 2))
check("schedule.cosine_rate")(a_plain_number(3, 7, 0.1))
check("schedule.late_decay")(a_plain_number(6, 7, 0.5))
check("schedule.warmup_cosine")(a_long_run(300))
check("schedule.warmup_warmdown")(a_long_run(300))
check("schedule.cosine_rate")(a_long_run(0.01))
check("schedule.late_decay")(a_long_run(0.7))
