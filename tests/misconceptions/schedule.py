"""Wrong answers to the tasks on schedules, chapter 06."""

import math

from nanopoet.checker.trial import misconception


def rise(step, n):
    return min(1.0, (step + 1) / n) if n > 0 else 1.0


def fall(progress, frac, final):
    remaining = max(1.0 - progress, 0.0)
    return 1.0 if remaining >= frac else final + (1 - final) * remaining / frac


def wave(done):
    return 0.5 * (1 + math.cos(math.pi * done))


def wave_after_warmup(step, max_steps, warmup_steps, final_frac):
    if step < warmup_steps:
        return rise(step, warmup_steps)
    done = (step - warmup_steps) / (max_steps - warmup_steps)
    return final_frac + (1 - final_frac) * wave(done)


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


@misconception(
    "schedule.warmup",
    "integer division",
    "You divide with //, which drops the fraction: 0 until the warmup is over, then 1.",
)
def whole_numbers(step, warmup_steps):
    return min(1.0, (step + 1) // warmup_steps) if warmup_steps > 0 else 1.0


@misconception(
    "schedule.warmup",
    "from 0 to 1",
    "You divide by n - 1, so that n updates lead from 0 to 1. Update 0 moves nothing; they lead "
    "from 1/n to 1.",
)
def from_nothing(step, warmup_steps):
    return min(1.0, step / (warmup_steps - 1)) if warmup_steps > 1 else 1.0


@misconception(
    "schedule.warmup",
    "brackets forgotten",
    "`step + 1 / warmup_steps` divides first: only the 1 is divided. The sum needs brackets.",
)
def no_brackets(step, warmup_steps):
    return min(1.0, step + 1 / warmup_steps) if warmup_steps > 0 else 1.0


@misconception(
    "schedule.warmup",
    "the larger of the two",
    "You take the larger of 1 and the rising number. The multiplier is then never below 1; the "
    "smaller of the two counts.",
)
def larger_number(step, warmup_steps):
    return max(1.0, (step + 1) / warmup_steps) if warmup_steps > 0 else 1.0


@misconception(
    "schedule.warmup",
    "above 1 for one update",
    "You ask for `step > warmup_steps`. Update `warmup_steps` still counts as warmup and gets (n "
    "+ 1)/n, more than 1.",
)
def above_one(step, warmup_steps):
    return 1.0 if warmup_steps == 0 or step > warmup_steps else (step + 1) / warmup_steps


@misconception(
    "schedule.warmup",
    "nothing after the warmup",
    "After the warmup your function returns nothing. The multiplier stays at 1.",
)
def nothing_afterwards(step, warmup_steps):
    return (step + 1) / warmup_steps if step < warmup_steps else None


@misconception(
    "schedule.warmup",
    "the length of the example",
    "Your warmup takes 4 updates, as in the example, whatever `warmup_steps` says.",
)
def four_steps(step, warmup_steps):
    return min(1.0, (step + 1) / 4)


@misconception(
    "schedule.warmup",
    "steps of unequal height",
    "You divide 1 by the updates that are left: 1/4, 1/3, 1/2, 1. These steps grow; the contract "
    "asks for equal ones.",
)
def unequal_steps(step, warmup_steps):
    return 1 / (warmup_steps - step) if step < warmup_steps else 1.0


@misconception(
    "schedule.warmup",
    "always 1",
    "Your multiplier is 1 from the first update on. It rises over `warmup_steps` updates.",
)
def no_rise(step, warmup_steps):
    return 1.0


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


@misconception(
    "schedule.warmup_cosine",
    "final_frac forgotten",
    "Your wave leads to 0 whatever `final_frac` says. It leads to `final_frac`.",
)
def wave_to_zero(step, max_steps, warmup_steps=0, final_frac=0.1):
    return wave_after_warmup(step, max_steps, warmup_steps, 0.0)


@misconception(
    "schedule.warmup_cosine",
    "always down to a tenth",
    "You wrote down 0.1 and 0.9. The bottom is the caller's: use `final_frac`.",
)
def always_a_tenth(step, max_steps, warmup_steps=0, final_frac=0.1):
    return wave_after_warmup(step, max_steps, warmup_steps, 0.1)


@misconception(
    "schedule.warmup_cosine",
    "another default",
    "Without settings, `final_frac` is 0.1. You changed that in the first line of the function.",
)
def another_bottom(step, max_steps, warmup_steps=0, final_frac=0.0):
    return wave_after_warmup(step, max_steps, warmup_steps, final_frac)


@misconception(
    "schedule.warmup_cosine",
    "a quarter of a wave",
    "Your angle ends at π/2. A quarter of a wave begins level and ends steep; half a wave, to π, "
    "is level at both ends.",
)
def quarter_wave(step, max_steps, warmup_steps=0, final_frac=0.1):
    if step < warmup_steps:
        return rise(step, warmup_steps)
    done = (step - warmup_steps) / (max_steps - warmup_steps)
    return final_frac + (1 - final_frac) * math.cos(math.pi / 2 * done)


@misconception(
    "schedule.warmup_cosine",
    "one update ahead",
    "You count update `step` as done before it is made. Update `warmup_steps` should stand at the "
    "top, and the last one above the bottom.",
)
def one_ahead(step, max_steps, warmup_steps=0, final_frac=0.1):
    if step < warmup_steps:
        return rise(step, warmup_steps)
    done = (step - warmup_steps + 1) / (max_steps - warmup_steps)
    return final_frac + (1 - final_frac) * wave(done)


@misconception(
    "schedule.warmup_cosine",
    "the wave upside down",
    "You subtract the cosine, so the wave begins at the bottom and rises. Add it.",
)
def upside_down(step, max_steps, warmup_steps=0, final_frac=0.1):
    if step < warmup_steps:
        return rise(step, warmup_steps)
    done = (step - warmup_steps) / (max_steps - warmup_steps)
    return final_frac + (1 - final_frac) * (1 - wave(done))


@misconception(
    "schedule.warmup_cosine",
    "twice as high",
    "1 + cos goes from 2 to 0. You forgot to halve it: the run begins near twice the rate that "
    "was asked for.",
)
def twice_as_high(step, max_steps, warmup_steps=0, final_frac=0.1):
    if step < warmup_steps:
        return rise(step, warmup_steps)
    done = (step - warmup_steps) / (max_steps - warmup_steps)
    return final_frac + (1 - final_frac) * 2 * wave(done)


@misconception(
    "schedule.warmup_cosine",
    "warmup times cosine",
    "You multiply the warmup by a cosine over the whole run. The cosine waits until the warmup is "
    "over, and then begins at 1.",
)
def warmup_times_cosine(step, max_steps, warmup_steps=0, final_frac=0.1):
    falling = final_frac + (1 - final_frac) * wave(step / max_steps)
    return rise(step, warmup_steps) * falling


@misconception(
    "schedule.warmup_cosine",
    "the smaller of warmup and cosine",
    "You take the smaller of the warmup and a cosine over the whole run. The cosine waits until "
    "the warmup is over, and then begins at 1.",
)
def smaller_of_the_two(step, max_steps, warmup_steps=0, final_frac=0.1):
    return min(rise(step, warmup_steps), final_frac + (1 - final_frac) * wave(step / max_steps))


@misconception(
    "schedule.warmup_cosine",
    "one step too many",
    "Your warmup divides by n + 1. It then needs n + 1 updates to reach 1; the contract gives it "
    "n.",
)
def warmup_too_slow(step, max_steps, warmup_steps=0, final_frac=0.1):
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return wave_after_warmup(step, max_steps, warmup_steps, final_frac)


@misconception(
    "schedule.warmup_cosine",
    "above 1 for one update",
    "Update `warmup_steps` still counts as warmup and gets (n + 1)/n, more than 1. It is the "
    "first of the cosine.",
)
def one_update_above(step, max_steps, warmup_steps=0, final_frac=0.1):
    if step <= warmup_steps:
        return (step + 1) / max(warmup_steps, 1)
    return wave_after_warmup(step, max_steps, warmup_steps, final_frac)


@misconception(
    "schedule.warmup_cosine",
    "a warmup from final_frac",
    "Your warmup begins at `final_frac`. That is the bottom of the cosine only; the warmup rises "
    "as in `warmup`.",
)
def warmup_from_the_bottom(step, max_steps, warmup_steps=0, final_frac=0.1):
    if step < warmup_steps:
        return final_frac + (1 - final_frac) * rise(step, warmup_steps)
    return wave_after_warmup(step, max_steps, warmup_steps, final_frac)


@misconception(
    "schedule.warmup_cosine",
    "a rate that never falls",
    "After the warmup your multiplier stays at 1. If the formula has a cosine, look for //: it "
    "drops the fraction, and what is done is always 0.",
)
def cosine_of_whole_numbers(step, max_steps, warmup_steps=0, final_frac=0.1):
    return rise(step, warmup_steps)


@misconception(
    "schedule.warmup_cosine",
    "a long warmup refused",
    "You raise an error when the warmup is as long as the run. That is allowed: the run ends "
    "before the cosine begins.",
)
def long_warmup_refused(step, max_steps, warmup_steps=0, final_frac=0.1):
    if warmup_steps >= max_steps:
        raise ValueError
    return wave_after_warmup(step, max_steps, warmup_steps, final_frac)


@misconception(
    "schedule.warmup_cosine",
    "a long warmup cut short",
    "You shorten a warmup that is as long as the run, or longer. It rises in its own steps, and "
    "the run ends meanwhile.",
)
def long_warmup_cut(step, max_steps, warmup_steps=0, final_frac=0.1):
    return wave_after_warmup(step, max_steps, min(warmup_steps, max_steps - 1), final_frac)


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
    "schedule.warmup_cosine",
    "the cosine one update early",
    "Your cosine has its top at update `warmup_steps - 1`, where the warmup reaches 1. It begins "
    "one later: update `warmup_steps` stands at the top.",
)
def cosine_one_early(step, max_steps, warmup_steps=0, final_frac=0.1):
    if step < warmup_steps:
        return rise(step, warmup_steps)
    done = (step - warmup_steps + 1) / (max_steps - warmup_steps + 1)
    return final_frac + (1 - final_frac) * wave(done)


@misconception(
    "schedule.warmup_cosine",
    "brackets forgotten",
    "`final_frac + 1 - final_frac * wave` multiplies first, and the wave is turned over. The "
    "difference needs brackets.",
)
def difference_without_brackets(step, max_steps, warmup_steps=0, final_frac=0.1):
    if step < warmup_steps:
        return rise(step, warmup_steps)
    done = (step - warmup_steps) / (max_steps - warmup_steps)
    return final_frac + 1 - final_frac * wave(done)


@misconception(
    "schedule.warmup_cosine",
    "the sum goes below the bottom",
    "Your wave goes from 1 to −1. Add 1 to the cosine and halve it, before it is stretched "
    "between `final_frac` and 1.",
)
def below_the_bottom(step, max_steps, warmup_steps=0, final_frac=0.1):
    if step < warmup_steps:
        return rise(step, warmup_steps)
    done = (step - warmup_steps) / (max_steps - warmup_steps)
    return final_frac + (1 - final_frac) * math.cos(math.pi * done)


@misconception(
    "schedule.warmup_cosine",
    "the bottom not added",
    "You make the wave less high, but do not lift it: it begins below 1 and ends at 0. Add "
    "`final_frac`.",
)
def bottom_not_added(step, max_steps, warmup_steps=0, final_frac=0.1):
    if step < warmup_steps:
        return rise(step, warmup_steps)
    return (1 - final_frac) * wave((step - warmup_steps) / (max_steps - warmup_steps))


@misconception(
    "schedule.warmup_cosine",
    "0 taken for no setting",
    "`final_frac or 0.1` is 0.1 when `final_frac` is 0. A bottom of 0 is a setting like any other.",
)
def zero_as_no_setting(step, max_steps, warmup_steps=0, final_frac=0.1):
    return wave_after_warmup(step, max_steps, warmup_steps, final_frac or 0.1)


@misconception(
    "schedule.warmup_cosine",
    "no warmup",
    "Your schedule only falls. The first `warmup_steps` updates rise.",
)
def cosine_without_warmup(step, max_steps, warmup_steps=0, final_frac=0.1):
    return wave_after_warmup(step, max_steps, 0, final_frac)


@misconception(
    "schedule.warmup_cosine",
    "the warmup not taken off the step",
    "You divide by the length of the cosine, but count steps from update 0. Count them from "
    "update `warmup_steps`.",
)
def warmup_not_taken_off(step, max_steps, warmup_steps=0, final_frac=0.1):
    if step < warmup_steps:
        return rise(step, warmup_steps)
    return final_frac + (1 - final_frac) * wave(step / (max_steps - warmup_steps))


# --- warmdown ---------------------------------------------------------------------------------


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


@misconception(
    "schedule.warmdown",
    "final_frac forgotten",
    "Your line leads to 0 whatever `final_frac` says. It leads to `final_frac`.",
)
def line_to_zero(progress, warmdown_frac, final_frac=0.0):
    return fall(progress, warmdown_frac, 0.0)


@misconception(
    "schedule.warmdown",
    "the bottom added on top",
    "You add `final_frac` to a line that is already 1 high. Between `final_frac` and 1 there is "
    "only room for 1 - `final_frac`.",
)
def tall_line(progress, warmdown_frac, final_frac=0.0):
    remaining = max(1.0 - progress, 0.0)
    return 1.0 if remaining >= warmdown_frac else final_frac + remaining / warmdown_frac


@misconception(
    "schedule.warmdown",
    "a fall without warmdown",
    "With `warmdown_frac=0` your multiplier still drops to `final_frac` at the end of the run. No "
    "warmdown means: always 1.",
)
def falls_without_warmdown(progress, warmdown_frac, final_frac=0.0):
    return final_frac if progress >= 1 else fall(progress, warmdown_frac, final_frac)


@misconception(
    "schedule.warmdown",
    "0 after the end",
    "Beyond the end of the run you return 0. It stays at `final_frac`.",
)
def nothing_after_the_end(progress, warmdown_frac, final_frac=0.0):
    return 0.0 if progress > 1 and warmdown_frac else fall(progress, warmdown_frac, final_frac)


@misconception(
    "schedule.warmdown",
    "refused after the end",
    "You raise an error when `progress` is above 1. Beyond the end the multiplier stays at "
    "`final_frac`.",
)
def refused_after_the_end(progress, warmdown_frac, final_frac=0.0):
    if progress > 1:
        raise ValueError
    return fall(progress, warmdown_frac, final_frac)


@misconception(
    "schedule.warmdown",
    "a line that rises",
    "Your line jumps down when the warmdown begins and climbs back to 1. What is left goes from 1 "
    "to 0: it belongs to 1, what is done to `final_frac`.",
)
def rising_line(progress, warmdown_frac, final_frac=0.0):
    remaining = max(1.0 - progress, 0.0)
    return 1.0 if remaining >= warmdown_frac else 1 - (1 - final_frac) * remaining / warmdown_frac


@misconception(
    "schedule.warmdown",
    "divided by the level stretch",
    "You divide by 1 - `warmdown_frac`, the length of the level stretch. The line is "
    "`warmdown_frac` long.",
)
def divided_by_the_level(progress, warmdown_frac, final_frac=0.0):
    remaining = max(1.0 - progress, 0.0)
    if remaining >= warmdown_frac or warmdown_frac == 1:
        return 1.0
    return final_frac + (1 - final_frac) * remaining / (1 - warmdown_frac)


@misconception(
    "schedule.warmdown",
    "a cosine",
    "Yours comes down on a cosine. A warmdown is a straight line.",
)
def cosine_down(progress, warmdown_frac, final_frac=0.0):
    done = 1 - fall(progress, warmdown_frac, 0.0)
    return final_frac + (1 - final_frac) * wave(done)


@misconception(
    "schedule.warmdown",
    "a line over the whole run",
    "Your line begins with the run, and you only look at its last part: the multiplier jumps down "
    "where the warmdown begins.",
)
def line_over_the_run(progress, warmdown_frac, final_frac=0.0):
    if progress < 1 - warmdown_frac or warmdown_frac == 0:
        return 1.0
    return 1 - (1 - final_frac) * min(progress, 1.0)


@misconception(
    "schedule.warmdown",
    "no line at all",
    "Your multiplier drops to `final_frac` at once when the warmdown begins. It comes down on a "
    "line.",
)
def cliff(progress, warmdown_frac, final_frac=0.0):
    return 1.0 if 1 - progress >= warmdown_frac else final_frac


@misconception(
    "schedule.warmdown",
    "always over one half",
    "Your warmdown takes half of the run, as in the example, whatever `warmdown_frac` says.",
)
def over_one_half(progress, warmdown_frac, final_frac=0.0):
    return fall(progress, 0.5, final_frac)


@misconception(
    "schedule.warmdown",
    "another default",
    "Without settings, `final_frac` is 0. You changed that in the first line of the function.",
)
def another_end(progress, warmdown_frac, final_frac=0.1):
    return fall(progress, warmdown_frac, final_frac)


@misconception(
    "schedule.warmdown",
    "always 1",
    "Your multiplier is 1 for the whole run. It comes down over its last part.",
)
def always_one(progress, warmdown_frac, final_frac=0.0):
    return 1.0


@misconception(
    "schedule.warmdown",
    "a fall from the beginning",
    "Yours falls from the beginning of the run. It is level until only `warmdown_frac` is left.",
)
def from_the_beginning(progress, warmdown_frac, final_frac=0.0):
    return fall(progress, 1.0, final_frac)


@misconception(
    "schedule.warmdown",
    "above 1 before the warmdown",
    "Before the warmdown your line is above 1. The multiplier stops at 1.",
)
def line_above_one(progress, warmdown_frac, final_frac=0.0):
    if warmdown_frac == 0:
        return 1.0
    return final_frac + (1 - final_frac) * max(1.0 - progress, 0.0) / warmdown_frac


@misconception(
    "schedule.warmdown",
    "0 taken for the whole run",
    "With `warmdown_frac=0` yours falls during the whole run; `warmdown_frac or 1` does that. 0 "
    "means that there is no warmdown.",
)
def zero_as_the_whole_run(progress, warmdown_frac, final_frac=0.0):
    return fall(progress, warmdown_frac or 1.0, final_frac)


@misconception(
    "schedule.warmdown",
    "what is done of the run for what is done of the line",
    "You divide the progress of the run by `warmdown_frac`. Where the line begins, nothing of it "
    "is done.",
)
def done_of_the_run(progress, warmdown_frac, final_frac=0.0):
    if 1 - progress >= warmdown_frac or warmdown_frac == 0:
        return 1.0
    return max(final_frac, 1 - (1 - final_frac) * progress / warmdown_frac)


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


@misconception(
    "schedule.warmup_warmdown",
    "a first update at 0",
    "Your warmup gives update 0 a multiplier of 0: nothing is learned from its batch. Update 0 is "
    "the first that is made: it gets 1/n.",
)
def warmup_from_zero(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    lazy = min(1.0, step / warmup_steps) if warmup_steps else 1.0
    return min(lazy, fall(step / max_steps, warmdown_frac, final_frac))


@misconception(
    "schedule.warmup_warmdown",
    "the warmdown goes first",
    "During the warmdown you never look at the warmup. If the warmup has not ended, the rate "
    "jumps up. The smaller of the two counts.",
)
def warmdown_first(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    fallen = fall(step / max_steps, warmdown_frac, final_frac)
    return fallen if fallen < 1 else rise(step, warmup_steps)


@misconception(
    "schedule.warmup_warmdown",
    "what is left for what is done",
    "You hand on what is left of the run as its progress. So it begins where it should end, and "
    "climbs.",
)
def left_for_done(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    return min(rise(step, warmup_steps), fall(1 - step / max_steps, warmdown_frac, final_frac))


@misconception(
    "schedule.warmup_warmdown",
    "no warmup",
    "Your schedule only falls. Ask `warmup`, too, and take the smaller of the two.",
)
def no_warmup(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    return fall(step / max_steps, warmdown_frac, final_frac)


@misconception(
    "schedule.warmup_warmdown",
    "the mean of the two",
    "You take the mean of the two. Each of them alone must be able to bring the rate down; the "
    "smaller counts.",
)
def mean_of_the_two(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    return (rise(step, warmup_steps) + fall(step / max_steps, warmdown_frac, final_frac)) / 2


@misconception(
    "schedule.warmup_warmdown",
    "a warmdown of whole updates",
    "You round the warmdown to whole updates. Its share is not rounded: it may begin between two "
    "updates.",
)
def whole_updates(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    return min(
        rise(step, warmup_steps),
        fall(step / max_steps, int(max_steps * warmdown_frac) / max_steps, final_frac),
    )


@misconception(
    "schedule.warmup_warmdown",
    "a rate that never falls",
    "After the warmup your multiplier stays at 1. Ask `warmdown`, too; if you do, look for //: it "
    "drops the fraction, and progress is always 0.",
)
def progress_of_whole_numbers(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    return min(rise(step, warmup_steps), fall(0.0, warmdown_frac, final_frac))


@misconception(
    "schedule.warmup_warmdown",
    "the step for the progress",
    "You hand on the number of the step. `progress` is a share: from update 1 on, the run is over "
    "for `warmdown`.",
)
def step_as_progress(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    return min(rise(step, warmup_steps), fall(step, warmdown_frac, final_frac))


@misconception(
    "schedule.warmup_warmdown",
    "warmdown_frac ignored",
    "Your warmdown takes 0.4 of the run whatever `warmdown_frac` says: hand it on.",
)
def warmdown_frac_ignored(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    return min(rise(step, warmup_steps), fall(step / max_steps, 0.4, final_frac))


@misconception(
    "schedule.warmup_warmdown",
    "settings in the wrong order",
    "You hand on `final_frac` and `warmdown_frac` in the wrong order.",
)
def settings_swapped(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    return min(rise(step, warmup_steps), fall(step / max_steps, final_frac, warmdown_frac))


@misconception(
    "schedule.warmup_warmdown",
    "other defaults",
    "Without settings, `warmdown_frac` is 0.4 and `final_frac` is 0. You changed one in the first "
    "line of the function.",
)
def other_defaults(step, max_steps, warmup_steps=0, warmdown_frac=0.5, final_frac=0.0):
    return min(rise(step, warmup_steps), fall(step / max_steps, warmdown_frac, final_frac))


@misconception(
    "schedule.warmup_warmdown",
    "divide by no steps",
    "A run without warmup has `warmup_steps=0`, and you divide by it.",
)
def no_steps(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    return min((step + 1) / warmup_steps, fall(step / max_steps, warmdown_frac, final_frac))


@misconception(
    "schedule.warmup_warmdown",
    "another end",
    "Without settings, `final_frac` is 0. You changed that in the first line of the function.",
)
def another_end_of_the_run(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.1):
    return min(rise(step, warmup_steps), fall(step / max_steps, warmdown_frac, final_frac))


@misconception(
    "schedule.warmup_warmdown",
    "a warmup one update ahead",
    "You ask `warmup` about the next update. Update 0 gets 1/n.",
)
def warmup_one_ahead(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    return min(rise(step + 1, warmup_steps), fall(step / max_steps, warmdown_frac, final_frac))


@misconception(
    "schedule.warmup_warmdown",
    "a floor under the whole run",
    "You hold the whole schedule at `final_frac` with max. It belongs to the warmdown, whose line "
    "leads to it.",
)
def floor_under_the_run(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    return max(final_frac, min(rise(step, warmup_steps), fall(step / max_steps, warmdown_frac, 0)))


@misconception(
    "schedule.warmup_warmdown",
    "a warmup from final_frac",
    "You stretch the warmup as well between `final_frac` and 1. It rises from 1/n; `final_frac` "
    "belongs to the warmdown.",
)
def both_stretched(step, max_steps, warmup_steps=0, warmdown_frac=0.4, final_frac=0.0):
    height = min(rise(step, warmup_steps), fall(step / max_steps, warmdown_frac, 0))
    return final_frac + (1 - final_frac) * height


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


@misconception(
    "schedule.cosine_rate",
    "the whole wave times nine tenths",
    "You multiply everything by 0.9. Both ends shrink: the run begins at 0.99 `lr` and ends below "
    "`lr / 10`.",
)
def whole_times_nine_tenths(step, max_steps, lr):
    return 0.9 * (lr / 10 + lr * wave(step / max_steps))


@misconception(
    "schedule.cosine_rate",
    "only the first update mended",
    "You mend update 0 and leave the formula. Update 1 now runs faster than update 0.",
)
def first_update_mended(step, max_steps, lr):
    return lr if step == 0 else lr / 10 + lr * wave(step / max_steps)


@misconception(
    "schedule.cosine_rate",
    "twice as high",
    "1 + cos goes from 2 to 0. With the half gone, the run begins at nearly twice `lr`.",
)
def twice_the_rate(step, max_steps, lr):
    return lr / 10 + 0.9 * lr * 2 * wave(step / max_steps)


@misconception(
    "schedule.cosine_rate",
    "the last update at the bottom",
    "You divide by `max_steps - 1`. The rate `lr / 10` belongs to update `max_steps`, one later "
    "than the last.",
)
def rate_at_the_bottom(step, max_steps, lr):
    return lr / 10 + 0.9 * lr * wave(step / max(max_steps - 1, 1))


@misconception(
    "schedule.cosine_rate",
    "one update ahead",
    "You count update `step` as done before it is made. Update 0 runs at `lr`.",
)
def rate_one_ahead(step, max_steps, lr):
    return lr / 10 + 0.9 * lr * wave((step + 1) / max_steps)


@misconception(
    "schedule.cosine_rate",
    "a multiplier for a rate",
    "You return a multiplier. This function gives the rate itself: the multiplier times `lr`.",
)
def multiplier_for_a_rate(step, max_steps, lr):
    return 0.1 + 0.9 * wave(step / max_steps)


@misconception(
    "schedule.cosine_rate",
    "a quarter of a wave",
    "Your cosine goes from 1 to 0, a quarter of a wave. The wave was right, only too high.",
)
def quarter_of_a_rate(step, max_steps, lr):
    return lr / 10 + 0.9 * lr * math.cos(math.pi / 2 * step / max_steps)


@misconception(
    "schedule.cosine_rate",
    "a whole wave below 0",
    "You dropped the `1 +`. The cosine alone goes down to −1, and the rate with it below 0.",
)
def below_zero(step, max_steps, lr):
    return lr / 10 + 0.9 * lr * math.cos(math.pi * step / max_steps)


@misconception(
    "schedule.cosine_rate",
    "too low by a tenth",
    "Your wave is too low: the run begins at 0.9 `lr` or near it. From `lr / 10` up to `lr` there "
    "are nine tenths of `lr`.",
)
def too_low(step, max_steps, lr):
    return lr / 10 + 0.8 * lr * wave(step / max_steps)


@misconception(
    "schedule.cosine_rate",
    "shrunk twice",
    "You shrink the wave twice, by 0.9 and by `lr - lr / 10`. Once is enough: update 0 runs at "
    "`lr`.",
)
def shrunk_twice(step, max_steps, lr):
    return lr / 10 + 0.81 * lr * wave(step / max_steps)


@misconception(
    "schedule.cosine_rate",
    "a fixed bottom",
    "You wrote the bottom down as a number. It is a tenth of whatever `lr` is.",
)
def fixed_bottom(step, max_steps, lr):
    return 0.001 + (lr - 0.001) * wave(step / max_steps)


@misconception(
    "schedule.cosine_rate",
    "a straight line",
    "Yours falls on a straight line. It is half a cosine: slow at first, fast in the middle, slow "
    "at the end.",
)
def rate_on_a_line(step, max_steps, lr):
    return lr - 0.9 * lr * step / max_steps


@misconception(
    "schedule.cosine_rate",
    "the wave upside down",
    "Your rate begins at `lr / 10` and rises. It falls from `lr`.",
)
def rate_rises(step, max_steps, lr):
    return lr - 0.9 * lr * wave(step / max_steps)


@misconception(
    "schedule.cosine_rate",
    "the bottom not added",
    "You make the wave less high, but do not lift it: it begins at 0.9 `lr` and ends at 0. Add "
    "`lr / 10`.",
)
def rate_not_lifted(step, max_steps, lr):
    return 0.9 * lr * wave(step / max_steps)


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


@misconception(
    "schedule.late_decay",
    "only the question turned",
    "You turned the question, and the line is computed from what is left as before. It lies above "
    "1 and climbs.",
)
def only_the_question(step, max_steps, decay_frac=0.2, final_frac=0.05):
    progress = (max_steps - step) / max_steps
    level = 1 - decay_frac
    return 1.0 if progress > level else 1.0 + (final_frac - 1.0) * (progress - level) / decay_frac


@misconception(
    "schedule.late_decay",
    "the clock and the question turned",
    "You turned both the clock and the question. Two turns cancel: the multiplier begins above 1.",
)
def both_turned(step, max_steps, decay_frac=0.2, final_frac=0.05):
    progress, level = step / max_steps, 1 - decay_frac
    return 1.0 if progress > level else 1.0 + (final_frac - 1.0) * (progress - level) / decay_frac


@misconception(
    "schedule.late_decay",
    "a line that rises",
    "The decay begins at the right time, but at `final_frac`, and climbs back to 1. The line was "
    "right before: leave it alone.",
)
def line_rises(step, max_steps, decay_frac=0.2, final_frac=0.05):
    progress, level = step / max_steps, 1 - decay_frac
    return 1.0 if progress < level else 1 - (1 - final_frac) * (1 - progress) / decay_frac


@misconception(
    "schedule.late_decay",
    "decay_frac as where it begins",
    "Your decay begins when `decay_frac` of the run is done. It begins when `decay_frac` of the "
    "run is left.",
)
def begins_at_decay_frac(step, max_steps, decay_frac=0.2, final_frac=0.05):
    return fall(step / max_steps, 1 - decay_frac, final_frac)


@misconception(
    "schedule.late_decay",
    "final_frac forgotten",
    "Your line leads to 0. It leads to `final_frac`.",
)
def decay_to_zero(step, max_steps, decay_frac=0.2, final_frac=0.05):
    return fall(step / max_steps, decay_frac, 0.0)


@misconception(
    "schedule.late_decay",
    "a floor under the line",
    "Your line leads to 0 and you hold it at `final_frac` with max. The line itself should lead "
    "to `final_frac`.",
)
def decay_with_a_floor(step, max_steps, decay_frac=0.2, final_frac=0.05):
    return max(final_frac, fall(step / max_steps, decay_frac, 0.0))


@misconception(
    "schedule.late_decay",
    "no decay at all",
    "Your multiplier is 1 in every update. Print `progress`: `//` drops its fraction, and "
    "`step - max_steps` is never above 0.",
)
def never_decays(step, max_steps, decay_frac=0.2, final_frac=0.05):
    return 1.0


@misconception(
    "schedule.late_decay",
    "the length of the decay forgotten",
    "You do not divide by `decay_frac`. The line is then as flat as if it took the whole run, and "
    "never comes near `final_frac`.",
)
def length_forgotten(step, max_steps, decay_frac=0.2, final_frac=0.05):
    return 1.0 + (final_frac - 1.0) * max(step / max_steps - (1 - decay_frac), 0.0)


@misconception(
    "schedule.late_decay",
    "divided by the level stretch",
    "You divide by 1 - `decay_frac`, the length of the level stretch. The line is `decay_frac` "
    "long.",
)
def decay_divided_by_the_level(step, max_steps, decay_frac=0.2, final_frac=0.05):
    done = max(step / max_steps - (1 - decay_frac), 0.0) / max(1 - decay_frac, 1e-9)
    return 1.0 + (final_frac - 1.0) * done


@misconception(
    "schedule.late_decay",
    "no line at all",
    "Your multiplier drops to `final_frac` at once. It comes down on a line.",
)
def decay_at_a_blow(step, max_steps, decay_frac=0.2, final_frac=0.05):
    return 1.0 if step / max_steps < 1 - decay_frac else final_frac


@misconception(
    "schedule.late_decay",
    "decay_frac taken for the level",
    "You replaced `1 - decay_frac` by `decay_frac` and left the clock wrong. It still counts "
    "down: the rate begins low and climbs.",
)
def decay_frac_for_the_level(step, max_steps, decay_frac=0.2, final_frac=0.05):
    progress = (max_steps - step) / max_steps
    if progress < decay_frac:
        return 1.0
    return 1.0 + (final_frac - 1.0) * (progress - decay_frac) / decay_frac


@misconception(
    "schedule.late_decay",
    "another default",
    "Without settings, `decay_frac` is 0.2 and `final_frac` is 0.05. You changed one in the first "
    "line of the function.",
)
def another_decay(step, max_steps, decay_frac=0.4, final_frac=0.05):
    return fall(step / max_steps, decay_frac, final_frac)


@misconception(
    "schedule.late_decay",
    "settings ignored",
    "You wrote down 0.8 and 0.2. The length of the decay is the caller's: use `decay_frac`.",
)
def decay_frac_ignored(step, max_steps, decay_frac=0.2, final_frac=0.05):
    return fall(step / max_steps, 0.2, final_frac)


@misconception(
    "schedule.late_decay",
    "the start of the line forgotten",
    "You divide the progress of the whole run by `decay_frac`. The line begins at `1 - "
    "decay_frac`: subtract it, as before.",
)
def start_forgotten(step, max_steps, decay_frac=0.2, final_frac=0.05):
    done = step / max_steps
    return 1.0 if done < 1 - decay_frac else 1.0 + (final_frac - 1.0) * done / decay_frac


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


@misconception(
    "schedule.wastes_a_step",
    "never True",
    "Yours says False to every schedule. No multiplier is both at most 0 and above 1; a test that "
    "nothing can fail shows nothing.",
)
def never_true(schedule, max_steps):
    return False


@misconception(
    "schedule.wastes_a_step",
    "never False",
    "Yours says True to every schedule, to a right one as well.",
)
def never_false(schedule, max_steps):
    return True


@misconception(
    "schedule.wastes_a_step",
    "only the first update",
    "You give your verdict after the first update; a `return` in the loop ends it. The other "
    "updates are never asked about.",
)
def only_the_first(schedule, max_steps):
    return not 0 < schedule(0) <= 1


@misconception(
    "schedule.wastes_a_step",
    "the last update decides",
    "Your verdict is that of the last update, which overwrites the ones before. One wrong update "
    "is enough, wherever it stands.",
)
def last_decides(schedule, max_steps):
    return not 0 < schedule(max_steps - 1) <= 1


@misconception(
    "schedule.wastes_a_step",
    "the mean of all",
    "You test the mean. A run can be right on average and waste an update.",
)
def mean_of_all(schedule, max_steps):
    return not 0 < sum(schedule(step) for step in range(max_steps)) / max_steps <= 1


@misconception(
    "schedule.wastes_a_step",
    "look above 1 only",
    "You look for multipliers that are too large. A warmup that begins at 0 passes your test.",
)
def above_one_only(schedule, max_steps):
    return any(schedule(step) > 1 for step in range(max_steps))


@misconception(
    "schedule.wastes_a_step",
    "a small multiplier taken for 0",
    "You call a very small multiplier wrong. It is above 0: the update moves the weights a little.",
)
def small_is_zero(schedule, max_steps):
    return any(not 1e-6 <= schedule(step) <= 1 for step in range(max_steps))


@misconception(
    "schedule.wastes_a_step",
    "a little above 1 let pass",
    "You let a multiplier pass that is a little above 1. At most 1 means at most 1.",
)
def a_little_above(schedule, max_steps):
    return any(not 0 < schedule(step) <= 1.001 for step in range(max_steps))


@misconception(
    "schedule.wastes_a_step",
    "updates from 1 to max_steps",
    "You number the updates from 1. They are numbered from 0: you miss the first and ask about "
    "one that is never made.",
)
def numbered_from_one(schedule, max_steps):
    return any(not 0 < schedule(step) <= 1 for step in range(1, max_steps + 1))


@misconception(
    "schedule.wastes_a_step",
    "only exactly 0",
    "You look for a multiplier of exactly 0. One below 0 climbs uphill, and one above 1 is too "
    "fast.",
)
def exactly_zero(schedule, max_steps):
    return any(schedule(step) == 0 for step in range(max_steps))


@misconception(
    "schedule.wastes_a_step",
    "max_steps handed on",
    "You call `schedule(step, max_steps)`. It takes the number of the step alone.",
)
def max_steps_handed_on(schedule, max_steps):
    return any(not 0 < schedule(step, max_steps) <= 1 for step in range(max_steps))


@misconception(
    "schedule.wastes_a_step",
    "no verdict on a right schedule",
    "Where nothing is wrong, your function ends without `return False`, and gives None.",
)
def no_verdict(schedule, max_steps):
    return any(not 0 < schedule(step) <= 1 for step in range(max_steps)) or None


@misconception(
    "schedule.wastes_a_step",
    "a number for a verdict",
    "You return how many multipliers are wrong. The question is whether any is: True or False.",
)
def number_for_a_verdict(schedule, max_steps):
    return sum(not 0 < schedule(step) <= 1 for step in range(max_steps))


@misconception(
    "schedule.wastes_a_step",
    "a list for a verdict",
    "You return the wrong updates themselves. The question is whether there are any: True or "
    "False.",
)
def list_for_a_verdict(schedule, max_steps):
    return [step for step in range(max_steps) if not 0 < schedule(step) <= 1]
