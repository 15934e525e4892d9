"""Chapter 06 · your answers.

Check them: nanopoet check schedule. Try them: the lines after >>> are examples, which
`python -m doctest exercises/schedule.py` runs; print() shows what you want to see.
"""

import math
from collections.abc import Callable


def warmup(step: int, warmup_steps: int) -> float:
    """The multiplier of update `step` while the run warms up (预热).

    Updates are numbered from 0. Over the first `warmup_steps` updates the multiplier rises in
    equal steps from 1/`warmup_steps` to 1, and there it stays. With `warmup_steps=0` there is no
    warmup: always 1.

    >>> [warmup(step, warmup_steps=4) for step in range(6)]
    [0.25, 0.5, 0.75, 1.0, 1.0, 1.0]
    """
    # TODO: your code
    raise NotImplementedError("schedule.warmup")


def warmup_cosine(
    step: int, max_steps: int, warmup_steps: int = 0, final_frac: float = 0.1
) -> float:
    """The multiplier of update `step`: a warmup, then half a cosine down (余弦衰减).

    The first `warmup_steps` updates rise as in `warmup`. The others lie on half a cosine, from its
    top to its bottom. Update `warmup_steps` stands at the top, where the multiplier is 1. Update
    `max_steps` would stand at the bottom, where it is `final_frac`, but that update is never made:
    the last one, `max_steps - 1`, runs near `final_frac`, not at it.

    `step` is at least 0 and less than `max_steps`. The warmup may be as long as the run, or
    longer: the run is then over before the cosine begins.

    >>> [round(warmup_cosine(step, max_steps=6, warmup_steps=2), 2) for step in range(6)]
    [0.5, 1.0, 1.0, 0.87, 0.55, 0.23]
    """
    # TODO: your code
    raise NotImplementedError("schedule.warmup_cosine")


def warmdown(progress: float, warmdown_frac: float, final_frac: float = 0.0) -> float:
    """The multiplier of a run that stays level and comes down at its end (末段衰减).

    `progress` is the share of the run that is done: 0 at its beginning, 1 at its end. The
    multiplier is 1 until only the share `warmdown_frac` of the run is left. From there it falls on
    a straight line, to `final_frac` at the end of the run. Beyond the end (`progress` above 1) it
    stays at `final_frac`.

    `warmdown_frac` lies between 0 and 1. 1 means that the line takes the whole run; 0 means that
    there is no warmdown: always 1.

    >>> [warmdown(progress, warmdown_frac=0.5) for progress in (0.0, 0.5, 0.75, 1.0)]
    [1.0, 1.0, 0.5, 0.0]
    """
    # TODO: your code
    raise NotImplementedError("schedule.warmdown")


def warmup_warmdown(
    step: int,
    max_steps: int,
    warmup_steps: int = 0,
    warmdown_frac: float = 0.4,
    final_frac: float = 0.0,
) -> float:
    """The multiplier of update `step`: a warmup, a level stretch, a warmdown.

    It rises as in `warmup`. It falls as in `warmdown`; the progress at update `step` is the share
    of all `max_steps` updates that has been made before it. Where both are below 1, because the
    warmup has not ended when the warmdown begins, the smaller of the two counts.

    `step` is at least 0 and less than `max_steps`.

    >>> [warmup_warmdown(step, 8, warmup_steps=2, warmdown_frac=0.5) for step in range(8)]
    [0.5, 1.0, 1.0, 1.0, 1.0, 0.75, 0.5, 0.25]
    """
    # TODO: your code
    raise NotImplementedError("schedule.warmup_warmdown")


def cosine_rate(step: int, max_steps: int, lr: float) -> float:
    """The learning rate of update `step`: half a cosine from `lr` down towards a tenth of `lr`.

    Update 0 runs at `lr`. Update `max_steps`, which is never made, would run at `lr / 10`.
    `step` is at least 0 and less than `max_steps`.

    The symptom: you ask for 0.0003. The log begins at 0.00033 and ends near 0.00003. The end is
    as it should be. Nobody asked for the beginning.

    >>> [round(cosine_rate(step, max_steps=4, lr=0.01), 4) for step in range(4)]
    [0.01, 0.0087, 0.0055, 0.0023]
    """
    lowest = lr / 10
    return lowest + 0.5 * lr * (1 + math.cos(math.pi * step / max_steps))


def late_decay(
    step: int, max_steps: int, decay_frac: float = 0.2, final_frac: float = 0.05
) -> float:
    """The multiplier of update `step`: 1, and over the last part of the run a line downwards.

    The multiplier is 1 while less than the share `1 - decay_frac` of all `max_steps` updates has
    been made. Then it falls on a straight line. Update `max_steps`, which is never made, would
    have `final_frac`. `decay_frac` is above 0 and at most 1; `step` is at least 0 and less than
    `max_steps`.

    The symptom: in a run of 100 updates the first 20 hardly change the loss. The log of the rates
    begins at a twentieth, climbs for 20 updates, and stays at the top until the end.

    >>> [round(late_decay(step, max_steps=5, decay_frac=0.4), 3) for step in range(5)]
    [1.0, 1.0, 1.0, 1.0, 0.525]
    """
    progress = (max_steps - step) / max_steps
    level = 1 - decay_frac
    if progress < level:
        return 1.0
    done = (progress - level) / decay_frac
    return 1.0 + (final_frac - 1.0) * done


def wastes_a_step(schedule: Callable[[int], float], max_steps: int) -> bool:
    """Whether a schedule is wrong for at least one update of a run of `max_steps` updates.

    `schedule(step)` gives the multiplier of update `step`. The updates of the run are numbered
    from 0 to `max_steps - 1`, and `max_steps` is at least 1. Ask about no other step: a schedule
    may refuse to answer, and what it says of an update that is never made does not count.

    A multiplier is right when it is above 0 and at most 1. At 0 the update is paid for and
    changes nothing; below 0 it climbs uphill; above 1 it moves faster than you asked for.
    Return True if any multiplier is wrong, False if all are right. Exactly 1 is right, and so is
    a very small multiplier.

    >>> wastes_a_step(lambda step: 1.0, max_steps=3)
    False
    >>> wastes_a_step(lambda step: step / 3, max_steps=3)
    True
    """
    # TODO: your code
    raise NotImplementedError("schedule.wastes_a_step")
