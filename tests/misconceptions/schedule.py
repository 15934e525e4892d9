"""Wrong answers to the tasks on schedules, chapter 06."""

import math

from nanopoet.trial import misconception


def rise(step, n):
    return min(1.0, (step + 1) / n) if n > 0 else 1.0


def fall(progress, frac, final):
    remaining = max(1.0 - progress, 0.0)
    return 1.0 if remaining >= frac else final + (1 - final) * remaining / frac


def wave(done):
    return 0.5 * (1 + math.cos(math.pi * done))


# --- warmup -----------------------------------------------------------------------------------


@misconception(
    "schedule.warmup",
    "a first update at 0",
    "You divide the number of the step, and the first number is 0. Update 0 then computes a whole "
    "batch and moves nothing: the loss after it is the loss before it, to the last digit.",
)
def lazy_warmup(step, warmup_steps):
    return min(1.0, step / warmup_steps) if warmup_steps > 0 else 1.0


@misconception(
    "schedule.warmup",
    "never stop rising",
    "Your multiplier grows on after the warmup: 2 after twice as many updates, 100 after a hundred "
    "times as many. Once it has reached 1 it has to stay there.",
)
def endless_rise(step, warmup_steps):
    return (step + 1) / warmup_steps if warmup_steps > 0 else 1.0


@misconception(
    "schedule.warmup",
    "one step too many",
    "You divide by n + 1. The warmup then needs n + 1 updates to reach 1; the contract gives it n.",
)
def one_more_step(step, warmup_steps):
    return min(1.0, (step + 1) / (warmup_steps + 1))


@misconception(
    "schedule.warmup",
    "the first step twice",
    "You keep the multiplier above 0 by treating update 0 like update 1. The two run at the same "
    "rate, and every later update of the warmup is one step behind.",
)
def first_step_twice(step, warmup_steps):
    return min(1.0, max(step, 1) / warmup_steps) if warmup_steps > 0 else 1.0


@misconception(
    "schedule.warmup",
    "divide by no steps",
    "A run without warmup has `warmup_steps=0`, and you divide by it.",
)
def divide_by_zero(step, warmup_steps):
    return min(1.0, (step + 1) / warmup_steps)


@misconception(
    "schedule.warmup",
    "no warmup, no rate",
    "Without warmup your multiplier is 0, so no update of the run moves anything. No warmup means: "
    "at full rate from the first update on.",
)
def no_warmup_no_rate(step, warmup_steps):
    return min(1.0, (step + 1) / warmup_steps) if warmup_steps > 0 else 0.0


# --- warmup_cosine ----------------------------------------------------------------------------


@misconception(
    "schedule.warmup_cosine",
    "the bottom added on top",
    "You add `final_frac` to a wave that is already 1 high. The run begins at 1 + `final_frac`, "
    "faster than anyone asked for.",
)
def tall_cosine(step, max_steps, warmup_steps=0, final_frac=0.1):
    if step < warmup_steps:
        return rise(step, warmup_steps)
    return final_frac + wave((step - warmup_steps) / (max_steps - warmup_steps))


@misconception(
    "schedule.warmup_cosine",
    "a cosine from update 0",
    "Your cosine counts the warmup as a part of itself. When the warmup has reached 1, the "
    "multiplier falls at once to where the wave has got to meanwhile.",
)
def cosine_from_zero(step, max_steps, warmup_steps=0, final_frac=0.1):
    if step < warmup_steps:
        return rise(step, warmup_steps)
    return final_frac + (1 - final_frac) * wave(step / max_steps)


@misconception(
    "schedule.warmup_cosine",
    "a cosine as long as the whole run",
    "You start the wave after the warmup but give it `max_steps` updates. The run is over before "
    "the wave is down.",
)
def cosine_too_long(step, max_steps, warmup_steps=0, final_frac=0.1):
    if step < warmup_steps:
        return rise(step, warmup_steps)
    return final_frac + (1 - final_frac) * wave((step - warmup_steps) / max_steps)


@misconception(
    "schedule.warmup_cosine",
    "the last update at the bottom",
    "Your last update runs at `final_frac` itself. The wave reaches it one update later; with "
    "`final_frac=0` you pay for an update that changes nothing.",
)
def last_at_the_bottom(step, max_steps, warmup_steps=0, final_frac=0.1):
    if step < warmup_steps:
        return rise(step, warmup_steps)
    done = (step - warmup_steps) / max(max_steps - warmup_steps - 1, 1)
    return final_frac + (1 - final_frac) * wave(done)


@misconception(
    "schedule.warmup_cosine",
    "a floor under the cosine",
    "Your wave goes down to 0 and you hold it at `final_frac` with max. It falls too fast and ends "
    "in a flat stretch; the wave itself should be less deep.",
)
def floor_under_the_cosine(step, max_steps, warmup_steps=0, final_frac=0.1):
    if step < warmup_steps:
        return rise(step, warmup_steps)
    return max(final_frac, wave((step - warmup_steps) / (max_steps - warmup_steps)))


@misconception(
    "schedule.warmup_cosine",
    "a whole wave",
    "Your angle goes to 2π, so the wave comes back up: the run ends at full rate. Half a wave, "
    "from 0 to π, only falls.",
)
def whole_wave(step, max_steps, warmup_steps=0, final_frac=0.1):
    if step < warmup_steps:
        return rise(step, warmup_steps)
    done = (step - warmup_steps) / (max_steps - warmup_steps)
    return final_frac + (1 - final_frac) * wave(2 * done)


@misconception(
    "schedule.warmup_cosine",
    "a straight line",
    "Yours falls on a straight line. A cosine falls slowly at first, fast in the middle, and "
    "slowly at the end.",
)
def straight_line(step, max_steps, warmup_steps=0, final_frac=0.1):
    if step < warmup_steps:
        return rise(step, warmup_steps)
    return 1 - (1 - final_frac) * (step - warmup_steps) / (max_steps - warmup_steps)


@misconception(
    "schedule.warmup_cosine",
    "no guard for a long warmup",
    "You divide by what the warmup leaves of the run, before you ask whether it leaves anything.",
)
def no_guard(step, max_steps, warmup_steps=0, final_frac=0.1):
    done = (step - warmup_steps) / (max_steps - warmup_steps)
    if step < warmup_steps:
        return rise(step, warmup_steps)
    return final_frac + (1 - final_frac) * wave(done)


# --- warmdown ---------------------------------------------------------------------------------


@misconception(
    "schedule.warmup_cosine",
    "a first update at 0",
    "Your warmup gives update 0 a multiplier of 0: nothing is learned from its batch. Update 0 is "
    "the first that is made: it gets 1/n.",
)
def cosine_after_a_warmup_from_zero(step, max_steps, warmup_steps=0, final_frac=0.1):
    if step < warmup_steps:
        return step / warmup_steps
    done = (step - warmup_steps) / max(max_steps - warmup_steps, 1)
    return final_frac + (1 - final_frac) * 0.5 * (1 + math.cos(math.pi * done))


@misconception(
    "schedule.warmdown",
    "progress read as what is left",
    "You take `progress` for the share that is left. It is the share that is done: your run begins "
    "slowly, climbs, and ends at full rate.",
)
def progress_as_remaining(progress, warmdown_frac, final_frac=0.0):
    return fall(max(1.0 - progress, 0.0), warmdown_frac, final_frac)


@misconception(
    "schedule.warmdown",
    "warmdown_frac as where it begins",
    "You begin the warmdown when `warmdown_frac` of the run is done. It should begin when "
    "`warmdown_frac` of the run is left.",
)
def frac_as_start(progress, warmdown_frac, final_frac=0.0):
    return fall(progress, 1 - warmdown_frac, final_frac)


@misconception(
    "schedule.warmdown",
    "a jump where it begins",
    "Your line is what is left of the whole run, not of the warmdown. It does not begin at 1: the "
    "rate jumps down when the warmdown begins.",
)
def jump_down(progress, warmdown_frac, final_frac=0.0):
    remaining = max(1.0 - progress, 0.0)
    return 1.0 if remaining >= warmdown_frac else final_frac + (1 - final_frac) * remaining


@misconception(
    "schedule.warmdown",
    "a floor under the line",
    "Your line leads to 0 and you hold it at `final_frac` with max. The line itself should lead to "
    "`final_frac`.",
)
def floor_under_the_line(progress, warmdown_frac, final_frac=0.0):
    return max(final_frac, fall(progress, warmdown_frac, 0.0))


@misconception(
    "schedule.warmdown",
    "below the end",
    "Beyond the end of the run your line goes on downwards, below `final_frac` and soon below 0: "
    "a negative rate climbs uphill.",
)
def below_the_end(progress, warmdown_frac, final_frac=0.0):
    remaining = 1.0 - progress
    if remaining >= warmdown_frac or warmdown_frac == 0:
        return 1.0
    return final_frac + (1 - final_frac) * remaining / warmdown_frac


@misconception(
    "schedule.warmdown",
    "divide by no warmdown",
    "A run without warmdown has `warmdown_frac=0`, and at its end you divide by it.",
)
def divide_by_no_warmdown(progress, warmdown_frac, final_frac=0.0):
    share = min(1.0, max(1.0 - progress, 0.0) / warmdown_frac)
    return final_frac + (1 - final_frac) * share


# --- warmup_warmdown --------------------------------------------------------------------------


@misconception(
    "schedule.warmup_warmdown",
    "multiply the two",
    "You multiply the warmup by the warmdown. Where they overlap, the rate is reduced twice; the "
    "smaller of the two is enough.",
)
def product(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    return rise(step, warmup_steps) * fall(step / max_steps, warmdown_frac, final_frac)


@misconception(
    "schedule.warmup_warmdown",
    "the warmup goes first",
    "During the warmup you never look at the warmdown. If the run ends soon, the rate climbs when "
    "it should already be falling.",
)
def warmup_first(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    if step < warmup_steps:
        return rise(step, warmup_steps)
    return fall(step / max_steps, warmdown_frac, final_frac)


@misconception(
    "schedule.warmup_warmdown",
    "progress of the next update",
    "You count update `step` as done before it is made. The last update then stands at the very "
    "end of the run, with a multiplier of 0: it is wasted.",
)
def next_progress(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    fallen = fall((step + 1) / max_steps, warmdown_frac, final_frac)
    return min(rise(step, warmup_steps), fallen)


@misconception(
    "schedule.warmup_warmdown",
    "the last update at the end",
    "You divide by `max_steps - 1`, so the last update has a progress of 1 and a multiplier of 0. "
    "It is wasted.",
)
def last_at_the_end(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    fallen = fall(step / max(max_steps - 1, 1), warmdown_frac, final_frac)
    return min(rise(step, warmup_steps), fallen)


@misconception(
    "schedule.warmup_warmdown",
    "progress from the end of the warmup",
    "You measure progress from where the warmup ends. The shares are shares of the whole run, and "
    "`warmdown_frac=0.4` means its last 40%.",
)
def progress_after_warmup(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    if step < warmup_steps:
        return rise(step, warmup_steps)
    done = (step - warmup_steps) / (max_steps - warmup_steps)
    return fall(done, warmdown_frac, final_frac)


@misconception(
    "schedule.warmup_warmdown",
    "the larger of the two",
    "You take the larger of the two. One of them is always 1 outside its own stretch, so the "
    "multiplier is 1 nearly everywhere.",
)
def larger(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    return max(rise(step, warmup_steps), fall(step / max_steps, warmdown_frac, final_frac))


@misconception(
    "schedule.warmup_warmdown",
    "final_frac forgotten",
    "Your warmdown leads to 0 whatever `final_frac` says: hand it on.",
)
def final_frac_forgotten(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    return min(rise(step, warmup_steps), fall(step / max_steps, warmdown_frac, 0.0))


# --- cosine_rate ------------------------------------------------------------------------------


@misconception(
    "schedule.cosine_rate",
    "a tenth on top",
    "At step 0 the wave is already `lr` high, and a tenth is added: 1.1 times the rate. Between "
    "the bottom and `lr` there is only room for nine tenths.",
    stub=True,
)
def tenth_on_top(step, max_steps, lr):
    lowest = lr / 10
    return lowest + 0.5 * lr * (1 + math.cos(math.pi * step / max_steps))


@misconception(
    "schedule.cosine_rate",
    "cut off at lr",
    "You cut off what is above `lr`. The first updates now run level at `lr`, and the wave below "
    "is still too high.",
)
def cut_off(step, max_steps, lr):
    return min(lr, lr / 10 + lr * wave(step / max_steps))


@misconception(
    "schedule.cosine_rate",
    "no bottom",
    "You removed the tenth. The beginning is right, but now the rate goes down to 0 and not to "
    "`lr / 10`.",
)
def no_bottom(step, max_steps, lr):
    return lr * wave(step / max_steps)


@misconception(
    "schedule.cosine_rate",
    "the whole wave made smaller",
    "You divide everything by 1.1. The beginning is right, but the bottom shrinks as well: it is "
    "`lr / 11`.",
)
def made_smaller(step, max_steps, lr):
    return (lr / 10 + lr * wave(step / max_steps)) / 1.1


@misconception(
    "schedule.cosine_rate",
    "the bottom with max",
    "You hold a wave that goes to 0 at `lr / 10` with max. It falls too fast and then lies flat.",
)
def bottom_with_max(step, max_steps, lr):
    return max(lr / 10, lr * wave(step / max_steps))


@misconception(
    "schedule.cosine_rate",
    "a tenth taken off",
    "You take the tenth away where it should stay: the wave begins at nine tenths of `lr` and ends "
    "below 0.",
)
def tenth_taken_off(step, max_steps, lr):
    return lr * wave(step / max_steps) - lr / 10


# --- late_decay -------------------------------------------------------------------------------


@misconception(
    "schedule.late_decay",
    "progress that counts down",
    "`progress` begins at 1 and ends near 0: it is what is left, under the name of what is done. "
    "So the run begins where it should end.",
    stub=True,
)
def counts_down(step, max_steps, decay_frac=0.2, final_frac=0.05):
    progress = (max_steps - step) / max_steps
    level = 1 - decay_frac
    if progress < level:
        return 1.0
    done = (progress - level) / decay_frac
    return 1.0 + (final_frac - 1.0) * done


@misconception(
    "schedule.late_decay",
    "the line turned, the clock left wrong",
    "You turned the line round. It falls now, but at the beginning of the run; then the rate jumps "
    "back to 1. The clock is what runs the wrong way.",
)
def line_turned(step, max_steps, decay_frac=0.2, final_frac=0.05):
    progress = (max_steps - step) / max_steps
    level = 1 - decay_frac
    if progress < level:
        return 1.0
    return final_frac + (1.0 - final_frac) * (progress - level) / decay_frac


@misconception(
    "schedule.late_decay",
    "the question turned, the line left wrong",
    "You ask at the right time now, but the line is still computed from what is left. At the end "
    "of the run the multiplier jumps far above 1.",
)
def question_turned(step, max_steps, decay_frac=0.2, final_frac=0.05):
    progress = (max_steps - step) / max_steps
    if progress > decay_frac:
        return 1.0
    return 1.0 + (final_frac - 1.0) * (progress - (1 - decay_frac)) / decay_frac


@misconception(
    "schedule.late_decay",
    "the next update's progress",
    "You count update `step` as done before it is made. The rate falls one update early, and the "
    "last update runs at `final_frac` itself.",
)
def one_update_early(step, max_steps, decay_frac=0.2, final_frac=0.05):
    return fall((step + 1) / max_steps, decay_frac, final_frac)


@misconception(
    "schedule.late_decay",
    "progress 1 at the last update",
    "You divide by `max_steps - 1`. The last update then stands at the end of the run, which comes "
    "one update later.",
)
def ends_at_the_last(step, max_steps, decay_frac=0.2, final_frac=0.05):
    return fall(step / max(max_steps - 1, 1), decay_frac, final_frac)


@misconception(
    "schedule.late_decay",
    "decay from the first update on",
    "Yours falls during the whole run. The rate stays level until only `decay_frac` of the run is "
    "left.",
)
def decay_at_once(step, max_steps, decay_frac=0.2, final_frac=0.05):
    return 1.0 + (final_frac - 1.0) * step / max_steps


# --- wastes_a_step ----------------------------------------------------------------------------


@misconception(
    "schedule.wastes_a_step",
    "ask about one update too many",
    "You ask about update `max_steps`, which is never made. A warmdown to 0 is 0 exactly there, "
    "and you call a right schedule wrong.",
)
def one_too_many(schedule, max_steps):
    return any(not 0 < schedule(step) <= 1 for step in range(max_steps + 1))


@misconception(
    "schedule.wastes_a_step",
    "look for 0 only",
    "You look for multipliers that are too small. A cosine that begins at 1.1 passes your test.",
)
def zero_only(schedule, max_steps):
    return any(schedule(step) <= 0 for step in range(max_steps))


@misconception(
    "schedule.wastes_a_step",
    "let 0 pass",
    "You let a multiplier of 0 pass. That is the wasted update: a batch is computed, and no weight "
    "moves.",
)
def zero_passes(schedule, max_steps):
    return any(not 0 <= schedule(step) <= 1 for step in range(max_steps))


@misconception(
    "schedule.wastes_a_step",
    "refuse a multiplier of 1",
    "You call 1 wrong. It is the rate that was asked for, and most updates of most schedules run "
    "at it.",
)
def one_refused(schedule, max_steps):
    return any(not 0 < schedule(step) < 1 for step in range(max_steps))


@misconception(
    "schedule.wastes_a_step",
    "only the first and the last",
    "You ask about both ends of the run. A fault in the middle passes your test.",
)
def both_ends(schedule, max_steps):
    return any(not 0 < schedule(step) <= 1 for step in (0, max_steps - 1))


@misconception(
    "schedule.wastes_a_step",
    "begin at update 1",
    "You begin with update 1. The first update has number 0, and that is where a lazy warmup "
    "stands still.",
)
def from_one(schedule, max_steps):
    return any(not 0 < schedule(step) <= 1 for step in range(1, max_steps))


@misconception(
    "schedule.wastes_a_step",
    "forget the last update",
    "You stop before update `max_steps - 1`. That is the last one, and a warmdown that ends too "
    "early wastes exactly it.",
)
def without_the_last(schedule, max_steps):
    return any(not 0 < schedule(step) <= 1 for step in range(max_steps - 1))


@misconception(
    "schedule.wastes_a_step",
    "all must be wrong",
    "You ask whether every update is wrong. One is enough.",
)
def all_wrong(schedule, max_steps):
    return all(not 0 < schedule(step) <= 1 for step in range(max_steps))


@misconception(
    "schedule.wastes_a_step",
    "True for a right schedule",
    "Yours says True when all is well. The name asks whether a step is wasted.",
)
def the_opposite(schedule, max_steps):
    return all(0 < schedule(step) <= 1 for step in range(max_steps))
