"""Learning-rate schedules (学习率调度): pure functions from a step to a multiplier.

Update `step` (0 is the first) of `max_steps` runs at the multiplier times each group's own
learning rate. No schedule gives 0 for an update that is made: a step at rate 0 is a wasted step.

Sources: Goyal et al. 2017 (warmup); Loshchilov & Hutter 2017 (cosine); Hägele et al. 2024
(constant, then a linear warmdown).
"""

import math


def constant(step: int, max_steps: int) -> float:
    """Always 1.

    >>> constant(7, max_steps=10)
    1.0
    """
    return 1.0


def warmup(step: int, warmup_steps: int) -> float:
    """Rise in equal steps from 1/n to 1 over the first n updates.

    >>> [warmup(step, warmup_steps=4) for step in range(5)]
    [0.25, 0.5, 0.75, 1.0, 1.0]
    """
    # step + 1: the first update is made at 1/n, not at 0, where it would cost and change nothing.
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps > 0 else 1.0


def warmup_cosine(
    step: int, max_steps: int, warmup_steps: int = 0, final_frac: float = 0.1
) -> float:
    """Warmup, then half a cosine from 1 towards `final_frac`.

    >>> [round(warmup_cosine(step, max_steps=4), 2) for step in range(4)]
    [1.0, 0.87, 0.55, 0.23]
    """
    if step < warmup_steps:
        return warmup(step, warmup_steps)
    # From 0 up to, but not including, 1: the last update is number max_steps - 1.
    done = (step - warmup_steps) / max(max_steps - warmup_steps, 1)
    # cos runs from 1 to -1; raised by 1 and halved, from 1 to 0.
    return final_frac + (1 - final_frac) * 0.5 * (1 + math.cos(math.pi * done))


def warmdown(progress: float, warmdown_frac: float, final_frac: float = 0.0) -> float:
    """1, and over the last `warmdown_frac` of the run a straight line towards `final_frac`.

    `progress` is the share of the run that is done, 0 at its beginning: of steps, tokens or
    examples.

    >>> [warmdown(p, warmdown_frac=0.5) for p in (0.0, 0.5, 0.75, 1.0)]
    [1.0, 1.0, 0.5, 0.0]
    """
    # Not below 0, since a run that counts tokens may end a little past its goal.
    remaining = max(1.0 - progress, 0.0)
    # Level for most of the run: large steps travel, and only the end has to settle.
    if remaining >= warmdown_frac:
        return 1.0
    return final_frac + (1 - final_frac) * remaining / warmdown_frac


def warmup_warmdown(
    step: int,
    max_steps: int,
    warmup_steps: int = 0,
    warmdown_frac: float = 0.4,
    final_frac: float = 0.0,
) -> float:
    """Warmup, a level stretch, then a warmdown.

    >>> [warmup_warmdown(step, 8, warmup_steps=2, warmdown_frac=0.5) for step in range(8)]
    [0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    # The smaller of the two: in a short run they may overlap, and neither jumps.
    rise = warmup(step, warmup_steps)
    return min(rise, warmdown(step / max_steps, warmdown_frac, final_frac))


# By name, so that a preset can choose one.
SCHEDULES = {
    "constant": constant,
    "warmup_cosine": warmup_cosine,
    "warmup_warmdown": warmup_warmdown,
}
