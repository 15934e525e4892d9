"""Checks of chapter 10."""

import math
import operator
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor

from nanopoet.checker.trial import Trial, check
from nanopoet_ref import alignment as reference

# --- tone_faults ------------------------------------------------------------------------------

TONES = {"平": "平", "仄": "仄", "*": "平仄"}


def wrong_tones(tones: Sequence[str]) -> list[int]:
    """Each place counts for one of two schemes: the one in which it would be right."""
    against: dict[bool, list[int]] = {True: [], False: []}  # opens level, opens oblique
    for place in range(2, len(tones) + 1, 2):
        if tones[place - 1] != "平仄":
            opens_level = (tones[place - 1] == "平") == (place % 4 == 2)
            against[not opens_level].append(place)
    level, oblique = against[True], against[False]
    if len(level) == len(oblique):
        return max(level, oblique)  # lists compare by what comes first
    return min(level, oblique, key=len)


def judge_line(t: Trial, line: str, why: str) -> None:
    """`line` says it shortly, with * for either tone."""
    t.same([TONES[tone] for tone in line], why=why, name="the list of places")


@check("alignment.tone_faults", reference=wrong_tones)
def lines_of_five_and_seven(t: Trial) -> None:
    judge_line(t, "平平平仄仄", "places 2 and 4 are 平仄: they alternate")
    judge_line(t, "仄仄仄平平", "places 2 and 4 are 仄平: they alternate, too")
    judge_line(t, "仄平平平仄", "one of 2 and 4 is wrong; what is heard first decides, so it is 4")
    judge_line(t, "平仄仄仄平", "one of 2 and 4 is wrong; what is heard first decides, so it is 4")
    judge_line(t, "平平仄仄仄平平", "平仄平 alternates")
    judge_line(t, "仄仄平平平仄仄", "仄平仄 alternates")
    judge_line(t, "平平仄仄平仄平", "2, 4, 6 are 平仄仄: only 6 is wrong")
    judge_line(t, "平仄仄仄仄平平", "2, 4, 6 are 仄仄平: 平仄平 makes only 2 wrong")
    judge_line(t, "平仄仄仄平仄平", "2, 4, 6 are 仄仄仄: only 4 is wrong")


@check("alignment.tone_faults")
def characters_of_either_tone(t: Trial) -> None:
    judge_line(t, "*****", "what may be either is never wrong")
    judge_line(t, "平*仄平仄", "2 may be either, so 4 has nothing to differ from")
    judge_line(t, "平平仄*仄", "4 may be either, and fits what 2 asks for")
    judge_line(t, "平平仄*仄仄平", "2 and 6 should be alike, whatever stands between")
    judge_line(t, "平*仄平仄平平", "4 and 6 are alike, so one is wrong: the later one")
    judge_line(t, "平仄仄*仄仄仄", "2 and 6 are alike, and should be")


@check("alignment.tone_faults")
def lines_of_any_length(t: Trial) -> None:
    judge_line(t, "", "no place, none wrong")
    judge_line(t, "平", "one character has no even place")
    judge_line(t, "平平仄平", "a line may end at an even place")
    judge_line(t, "平平仄仄平平仄平仄仄平", "2, 4, 6 are 平仄平, and so on: 8 and 10 are wrong")

    @t.for_all(tones=st.text("平仄*", max_size=11), examples=40)
    def any_line(tones: str) -> None:
        judge_line(t, tones, "the even places alternate, in the way that makes fewer wrong")


# --- rhyme_holds ------------------------------------------------------------------------------

GROUPS = {
    "光": ["阳"],
    "霜": ["阳"],
    "乡": ["阳"],
    "枝": ["支"],
    "思": ["支"],
    "东": ["东"],
    "看": ["寒", "翰"],
    "观": ["寒", "翰"],
    "叹": ["寒", "翰"],
    "寒": ["寒"],
    "散": ["翰"],
    "月": [],
}


def rhymed(ends: Sequence[str], groups: Mapping[str, Collection[str]]) -> bool:
    even = [ends[i] for i in range(1, len(ends), 2)]
    names = {name for end in even for name in groups.get(end, [])}
    in_one = any(all(name in groups.get(end, []) for end in even) for name in names)
    return in_one and all(end not in [ends[0], *even[:i]] for i, end in enumerate(even))


def judge_ends(t: Trial, ends: str, why: str) -> None:
    t.same(list(ends), GROUPS, why=why, name=f"the verdict on the ends {' '.join(ends)}")


@check("alignment.rhyme_holds", reference=rhymed)
def quatrains(t: Trial) -> None:
    judge_ends(t, "光霜月乡", "霜 and 乡 are both of 阳; the first line joins in")
    judge_ends(t, "月霜思乡", "霜 and 乡 are both of 阳; odd lines need not rhyme")
    judge_ends(t, "霜月乡枝", "月 rhymes with nothing, whatever the odd lines do")
    judge_ends(t, "月霜月枝", "霜 and 枝 have no group in common")
    judge_ends(t, "月霜月霜", "the same character twice is no rhyme")
    judge_ends(t, "乡霜月乡", "乡 has ended the first line before")
    judge_ends(t, "月霜乡乡", "line 3 is odd, and not the first: what it ends in does not matter")
    judge_ends(t, "光霜光乡", "odd lines may repeat each other")
    judge_ends(t, "月霜月云", "云 is no key: it rhymes with nothing")
    judge_ends(t, "云云月云", "what rhymes with nothing does not rhyme with itself")
    judge_ends(t, "云光月霜", "what odd lines end in need not be a key")
    judge_ends(t, "月月光月", "月 is in no group, and rhymes with nothing")


@check("alignment.rhyme_holds")
def several_readings_and_longer_poems(t: Trial) -> None:
    judge_ends(t, "月看月寒", "看 is in 寒, too")
    judge_ends(t, "月看月观", "two groups in common are one at least")
    judge_ends(t, "月霜月光月枝月乡", "three of four rhyme, and all should")
    judge_ends(t, "月寒月看月散月观", "寒 and 散 share no group, though 看 shares one with each")
    judge_ends(t, "月寒月看月叹月观", "all four are in 寒")
    judge_ends(t, "月看月寒月霜月光", "two pairs that rhyme are not one rhyme")
    judge_ends(t, "月看月观月寒月看", "看 comes back in line 8")
    judge_ends(t, "寒看光观月叹月寒", "寒 has ended the first line before")
    judge_ends(t, "月光", "one even line has nobody to rhyme with, and is in a group")
    judge_ends(t, "月云", "one even line, and it is in no group")
    judge_ends(t, "光光", "one even line, and it repeats the first")

    sets = {end: frozenset(names) for end, names in GROUPS.items() if len(names) < 2}
    t.same(list("月霜光乡"), sets, why="groups may come as sets")

    character = st.sampled_from("甲乙丙丁戊己")
    names = st.lists(st.sampled_from("东支阳"), unique=True)

    @t.for_all(
        ends=st.lists(character, min_size=4, max_size=4, unique=True),
        more=st.lists(character, max_size=4),
        groups=st.dictionaries(character, names, min_size=3),
        examples=40,
    )
    def any_poem(ends: list[str], more: list[str], groups: dict[str, list[str]]) -> None:
        t.same([*ends, *more], groups, why="one group in common, and no end repeated")


# --- may_follow -------------------------------------------------------------------------------


def can_be_ended(
    groups: Tensor, open_groups: Tensor, used: Tensor, level: Tensor, to_come: int
) -> Tensor:
    """By looking at each character and the poem that it would leave."""
    free = [bool(ok) and not bool(gone) for ok, gone in zip(level, used, strict=True)]
    members = [[v for v, ok in enumerate(free) if ok and column[v]] for column in groups.T]
    good = [
        any(is_open and v in group and len(group) - 1 >= to_come for is_open, group in rooms)
        for rooms in [list(zip(open_groups.tolist(), members, strict=True))]
        for v in range(len(free))
    ]
    return torch.tensor(good, dtype=torch.bool)


def flags(bits: str) -> Tensor:
    """One boolean for each character: "101" is True, False, True."""
    return torch.tensor([bit == "1" for bit in bits])


NOBODY, EVERYBODY = "0" * 7, "1" * 7
TWO_GROUPS = torch.stack([flags("1111000"), flags("0001110")], dim=1)  # 3 is in both, 6 in none


def judge_place(
    t: Trial,
    why: str,
    open_groups: str = "11",
    used: str = NOBODY,
    level: str = EVERYBODY,
    to_come: int = 1,
) -> None:
    t.same(
        TWO_GROUPS,
        flags(open_groups),
        flags(used),
        flags(level),
        to_come,
        why=why,
        name="the tensor of characters that may follow",
    )


@check("alignment.may_follow", reference=can_be_ended)
def seven_characters_in_two_groups(t: Trial) -> None:
    judge_place(t, "all of both groups; character 6 is in none, and rhymes with nothing")
    judge_place(t, "only the first group is open", open_groups="10")
    judge_place(t, "only the second group is open, and 3 is in it, too", open_groups="01")
    judge_place(t, "what has ended a line must not do so again", used="1000100")
    judge_place(t, "a rhyme is level", level="0110110")
    judge_place(t, "used and not level are two reasons to be out", used="1010000", level="1101111")
    judge_place(t, "no group is open: nothing rhymes", open_groups="00", to_come=0)


@check("alignment.may_follow")
def no_dead_end(t: Trial) -> None:
    judge_place(t, "the last rhyme needs nobody beside it", used="1101110", to_come=0)
    judge_place(t, "four lines in all: only the group of four has as many", to_come=3)
    judge_place(t, "group 2 has one free character left, and needs two", used="0001100")
    judge_place(t, "both groups have two free ones, and need three", used="1100100", to_come=2)
    judge_place(t, "characters that are not level help nobody", level="1100011")
    judge_place(t, "3 is in both groups; 0, 1, 2 are out, so it lives by 4 and 5", used="1110000")
    judge_place(t, "a large group that is closed helps nobody", open_groups="01", to_come=3)
    judge_place(t, "five lines cannot rhyme with four characters", to_come=4)
    judge_place(t, "all are used: nothing may follow", used="1111111", to_come=0)


@check("alignment.may_follow")
def any_vocabulary(t: Trial) -> None:
    @t.for_all(V=st.integers(1, 12), G=st.integers(1, 4), to_come=st.integers(0, 3), examples=25)
    def any_place(V: int, G: int, to_come: int) -> None:
        groups, open_groups = t.randint(3, V, G) > 0, t.randint(3, G) > 0
        used, level = t.randint(4, V) == 0, t.randint(4, V) > 0
        why = "level, not used, in an open group with enough others for the lines to come"
        t.same(groups, open_groups, used, level, to_come, why=why)


# --- expected_reward --------------------------------------------------------------------------


def mean_over_characters(logits: Tensor, rewards: Tensor) -> Tensor:
    weights = (logits - logits.logsumexp(dim=0)).exp()
    return weights @ rewards


@check("alignment.expected_reward", reference=mean_over_characters)
def rewards_by_their_probability(t: Trial) -> None:
    why = "each reward weighs as much as its character is probable"
    t.same(torch.zeros(2), torch.tensor([1.0, 0.0]), why="two arms, one of them pays")
    t.same(torch.tensor([0.0, math.log(3)]), torch.tensor([1.0, 0.0]), why="1 : 3 is 1/4 and 3/4")
    t.same(t.randn(6, grad=True), t.randn(6), why=why)
    t.same(t.randn(50, grad=True) * 3, t.randn(50) - 4, why="rewards may be negative")
    t.same(t.randn(3, dtype=torch.float32), t.randn(3, dtype=torch.float32), why=why)
    t.same(t.randn(4), torch.ones(4, dtype=torch.float64), why="where all pay 1, 1 is earned")
    t.same(t.randn(4) + 2000, t.randn(4), why="a number added to all logits changes nothing")


# --- policy_loss ------------------------------------------------------------------------------


def reinforce(log_probs: Tensor, advantages: Tensor, mask: Tensor) -> Tensor:
    counts = mask.to(log_probs.dtype)
    weights = advantages.detach()[:, None] * counts
    return -(weights * log_probs).sum() / counts.sum()


def kept_to(lengths: Sequence[int], T: int) -> Tensor:
    """A mask whose rows begin with so many tokens that count."""
    return torch.arange(T) < torch.tensor(lengths)[:, None]


def learn(t: Trial, lengths: Sequence[int], T: int, why: str, **kw: Any) -> None:
    log_probs = -t.randn(len(lengths), T, **kw).abs()
    advantages = t.randn(len(lengths), **kw).requires_grad_()
    t.same(log_probs.detach().requires_grad_(), advantages, kept_to(lengths, T), why=why)


@check("alignment.policy_loss", reference=reinforce)
def likelier_by_its_advantage(t: Trial) -> None:
    learn(t, [4], 4, "one poem: the mean of −advantage · log-probability")
    learn(t, [3, 3], 3, "all tokens of a poem have the advantage of this poem")
    learn(t, [5, 1, 3], 5, "the mean is over the tokens that count")
    learn(t, [2, 0, 6, 6], 7, "a poem without tokens that count adds nothing")
    learn(t, [0, 1], 3, "one token is enough")
    learn(t, [4, 4, 2, 1], 4, "as many poems as tokens: which axis is which?")
    learn(t, [5, 2], 6, "numbers stay in their precision", dtype=torch.float32)
    mask = torch.tensor([[False, True, True, False], [False, False, True, True]])
    why = "what counts need not begin a row: a prompt comes before it"
    t.same(t.randn(2, 4, grad=True), t.randn(2), mask, why=why)
    why = "where no poem was better than expected, nothing is to be learned"
    t.same(t.randn(2, 4, grad=True), torch.zeros(2, dtype=torch.float64), mask, why=why)


# --- group_advantages -------------------------------------------------------------------------


@check("alignment.group_advantages", reference=reference.group_advantages)
def less_the_mean_by_the_spread(t: Trial) -> None:
    t.same(torch.tensor([1.0, 0.0]), 2, why="the mean is 0.5, the spread 0.5")
    t.same(t.randn(8), 8, why="less the mean, by the spread")
    t.same(t.randn(12) * 3 + 100, 4, why="each group has its own mean and its own spread")
    t.same(t.randn(12), 3, why="the first three are a group, then the next three")
    t.same(t.randn(9), 3, why="as many groups as there are in one")
    t.same(t.randn(6, dtype=torch.float32), 2, why="numbers stay in their precision")
    t.same(torch.tensor([0.0, 0.0, 0.0, 1.0]), 4, why="one poem of four has earned: it stands out")


@check("alignment.group_advantages")
def groups_that_teach_nothing(t: Trial) -> None:
    why = "where all are equal, each is 0, and never NaN"
    t.same(torch.tensor([2.0, 2.0, 2.0, 1.0, 0.0, 2.0]), 3, why=why)
    t.same(torch.zeros(4), 4, why=why)
    t.same(torch.full((3,), 0.1, dtype=torch.float64), 3, why="rounding is no difference")
    t.same(torch.tensor([1.0, 4.0, 2.0]), 1, why="a group of one has nobody to be better than")
    close = torch.tensor([1.0, 1.0002, 1.0001, 3.0, 1.0, 2.0], dtype=torch.float64)
    t.same(close, 3, why="a spread below 0.001 counts as 0.001")
    small = torch.tensor([1.0, 1.008], dtype=torch.float64)
    t.same(small, 2, why="a spread of 0.004 counts as what it is")


# --- kl_estimates -----------------------------------------------------------------------------


def estimated() -> dict[str, float]:
    p, q = (torch.tensor(x, dtype=torch.float64) for x in ([0.5, 0.5], [0.25, 0.75]))
    estimates = [k(p.log(), q.log()) for k in (reference.kl_k1, reference.kl_k2, reference.kl_k3)]
    means = [(p * k).sum() for k in estimates]
    found = {
        "kl": (p * (p / q).log()).sum(),
        "other_way": (q * (q / p).log()).sum(),
        "k2": means[1],
        "k3": means[2],
        "negative": p[estimates[0] < 0].sum(),
    }
    for i, (k, mean) in enumerate(zip(estimates, means, strict=True), 1):
        found[f"spread_{i}"] = (p * (k - mean).square()).sum().sqrt()
    return {name: float(number) for name, number in found.items()}


@check("alignment.kl_estimates", reference=estimated)
def kl_estimates(t: Trial) -> None:
    whys = {
        "kl": "each character weighs as often as p draws it, and logarithms are natural ones",
        "other_way": "now q draws; the two ways round are two distances",
        "k2": "the mean of half a square, which is not quite KL",
        "k3": "the mean of r is 1, so r − 1 moves no mean",
        "spread_1": "two values, equally often: each is half their distance from the mean",
        "spread_2": "two values, equally often: each is half their distance from the mean",
        "spread_3": "two values, equally often: each is half their distance from the mean",
        "negative": "k1 is below 0 for what q likes better than p",
    }
    t.predicts(whys, exact=["negative"])


# --- clipped_objective ------------------------------------------------------------------------


def pessimistic_gain(
    log_probs: Tensor, old: Tensor, advantages: Tensor, clip: float = 0.2
) -> Tensor:
    """By cases: which of the ratios are free to move?"""
    ratio, advantages = (log_probs - old.detach()).exp(), advantages.detach()
    too_far = torch.where(advantages > 0, ratio > 1 + clip, ratio < 1 - clip)
    limit = torch.where(advantages > 0, 1 + clip, 1 - clip).to(ratio.dtype)
    return torch.where(too_far, limit, ratio) * advantages


def gain_of(t: Trial, ratios: Sequence[float], advantage: float, why: str, **kw: float) -> None:
    old = -t.randn(1, len(ratios)).abs()
    now = old + torch.tensor([ratios], dtype=torch.float64).log()
    advantages = torch.full_like(old, advantage)
    t.same(
        now.requires_grad_(),
        old.requires_grad_(),
        advantages,
        why=why,
        name="the tensor of gains",
        **kw,
    )


@check("alignment.clipped_objective", reference=pessimistic_gain)
def both_ways_from_where_it_was(t: Trial) -> None:
    gain_of(t, [1.0, 0.95, 1.1], 2.0, "near 1 the gain is ratio · advantage")
    gain_of(t, [1.0, 0.95, 1.1], -2.0, "near 1 the gain is ratio · advantage")
    gain_of(t, [1.5, 3.0], 1.0, "what has moved far enough earns no more, and has no gradient")
    gain_of(t, [0.5, 0.1], -1.0, "what has moved far enough earns no more, and has no gradient")
    gain_of(t, [0.5, 0.1], 1.0, "what has moved the wrong way is pulled back, however far it is")
    gain_of(t, [1.5, 3.0], -1.0, "what has moved the wrong way is pulled back, however far it is")
    gain_of(t, [0.4, 0.9, 1.1, 2.0], 1.0, "the clip is the one that was asked for", clip=0.5)
    gain_of(t, [0.4, 0.9, 1.1, 2.0], -1.0, "the clip is the one that was asked for", clip=0.05)
    gain_of(t, [0.4, 1.0, 2.0], 0.0, "without an advantage there is nothing to gain")


@check("alignment.clipped_objective")
def many_tokens(t: Trial) -> None:
    for shape in ((4, 6), (1, 1), (3, 3)):
        old = -t.randn(*shape).abs()
        now = (old + 0.5 * t.randn(*shape)).requires_grad_()
        t.same(now, old, t.randn(*shape, grad=True), why="token by token, the smaller of the two")
    old = t.randn(2, 5, dtype=torch.float32)
    args = old + 0.3, old, t.randn(2, 5, dtype=torch.float32), 0.1
    t.same(*args, why="numbers stay in their precision")


# --- mean_loss --------------------------------------------------------------------------------


def mean_of(losses: Tensor, mask: Tensor, unit: str) -> Tensor:
    if unit not in ("token", "poem"):
        raise ValueError(unit)
    rows = [row[kept] for row, kept in zip(losses, mask, strict=True)]
    rows = [torch.cat(rows)] if unit == "token" else rows
    return torch.stack([row.sum() / max(len(row), 1) for row in rows]).mean()


@check("alignment.mean_loss", reference=mean_of)
def tokens_or_poems(t: Trial) -> None:
    whys = {
        "token": "every token that counts weighs the same",
        "poem": "every poem weighs the same, however long it is",
    }
    for unit, why in whys.items():
        for lengths in ([4, 4], [5, 1, 2], [6], [1], [2, 3, 1, 4, 4, 1]):
            T = max(lengths) + 1
            t.same(t.randn(len(lengths), T, grad=True), kept_to(lengths, T), unit, why=why)
        mask = torch.tensor([[False, True, True], [False, False, True]])
        t.same(t.randn(2, 3, grad=True), mask, unit, why="what counts need not begin a row")
        t.same(t.randn(2, 3, dtype=torch.float32), mask, unit, why="in its precision")


@check("alignment.mean_loss")
def poems_of_no_tokens(t: Trial) -> None:
    for unit in ("token", "poem"):
        why = "a poem in which nothing counts has a mean of 0, and is a poem"
        t.same(t.randn(3, 4, grad=True), kept_to([4, 0, 1], 4), unit, why=why)
        why = "where nothing counts at all, the loss is 0, and not NaN"
        t.same(t.randn(2, 3, grad=True), kept_to([0, 0], 3), unit, why=why)
    for unit in ("tokens", "", "line"):
        t.refuses(t.randn(2, 3), kept_to([1, 2], 3), unit, why="there are two units")

    losses, mask = t.randn(2, 3), kept_to([1, 2], 3)

    def of_lines(function: Callable) -> object:
        try:
            return function(losses, mask, "line")
        except ValueError:
            return "ValueError"

    t.compare(of_lines, why="there are two units", name="what comes of the unit 'line'")


# --- reward -----------------------------------------------------------------------------------


def paid(
    lines: Sequence[str], form: tuple[int, int], groups: Mapping[str, Collection[str]]
) -> float:
    if len(lines) != form[0] or any(len(line) != form[1] for line in lines):
        return 0.0
    even = [line[-1] for i, line in enumerate(lines) if i % 2]
    ends = [end for i, end in enumerate(even) if end not in even[:i]]
    names = {name for end in ends for name in groups.get(end, ())}
    most = max((sum(name in groups.get(end, ()) for end in ends) for name in names), default=0)
    return 1.0 + most / len(even)


def pay(t: Trial, ends: str, why: str, length: int = 5, form: tuple[int, int] = (4, 5)) -> None:
    """The reward of lines with these ends, and something else before them."""
    lines = ["一二三四五六"[: length - 1] + end for end in ends]
    t.same(lines, form, GROUPS, why=why, name="the reward")


@check("alignment.reward", reference=paid)
def every_hole_is_closed(t: Trial) -> None:
    pay(t, "月霜光乡", "form and rhyme: 2 in all")
    pay(t, "月霜光枝", "one of two even lines rhymes in a group: half of the share")
    pay(t, "月霜光霜", "a character that ends several even lines rhymes once")
    pay(t, "月月光月", "月 is in no group: the form alone is paid")
    pay(t, "光云霜云", "云 is no key; odd lines are not paid for")
    pay(t, "月霜", "two lines are no poem of four")
    pay(t, "月", "one line is no poem of four")
    pay(t, "", "no line is no poem")
    pay(t, "月霜光乡光霜", "six lines are no poem of four")
    pay(t, "月霜光乡", "lines of six are no lines of five", length=6)
    lines = ["床前明月光", "地上霜", "举头望明月", "低头思故乡"]
    t.same(lines, (4, 5), GROUPS, why="one line that is short is another form", name="the reward")
    lines = ["床前明月光", "疑是地上有霜", "举头望月", "低头思故乡"]
    t.same(lines, (4, 5), GROUPS, why="one too long and one too short", name="the reward")
    lines = ["床前明月光", "疑是地上霜", "举头望", "低头思故乡"]
    t.same(lines, (4, 5), GROUPS, why="odd lines have a length, too", name="the reward")


@check("alignment.reward")
def poems_of_eight_lines(t: Trial) -> None:
    form = (8, 5)
    pay(t, "月霜月光月乡月寒", "three of four are in 阳", form=form)
    pay(t, "月霜月枝月思月光", "阳 and 支 have two each: a half", form=form)
    pay(t, "月霜月光月霜月光", "two characters, twice each, are two of four", form=form)
    pay(t, "月霜月霜月霜月枝", "霜 counts once, and so does 枝", form=form)
    pay(t, "月看月观月散月叹", "in 翰 are all four", form=form)
    pay(t, "月看月观月散月寒", "three are in 寒, three in 翰; no group has four", form=form)
    pay(t, "月看月看月散月寒", "看 counts once in each of its groups", form=form)

    @t.for_all(ends=st.text("霜光乡枝思看散云", min_size=4, max_size=4), examples=25)
    def any_ends(ends: str) -> None:
        why = "the share of even lines in the commonest group, each character once"
        pay(t, "".join("月" + end for end in ends), why, form=form)


# --- is_hacked --------------------------------------------------------------------------------


def went_on_without(log: Sequence[Mapping[str, float]], spread: float = 0.05) -> int | None:
    kept = [row["kept"] for row in log]
    best = kept.index(max(kept))
    gone = log[best], log[-1]
    rewards = [row["reward"] for row in gone]
    return best if rewards[1] > rewards[0] and kept[best] - kept[-1] > spread else None


def rows_of(rewards: Sequence[float], kept: Sequence[float], **more: Sequence[float]) -> list[dict]:
    n = len(rewards)
    columns = {
        "reward": rewards,
        "kept": kept,
        "kl": [0.01 * i for i in range(n)],
        "distinct": [0.82] * n,
        "largest": [0.1] * n,
        **more,
    }
    return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]


def row_or_none(verdict: Any) -> str:
    """In words: None is a verdict here, and no missing return."""
    if verdict is None or isinstance(verdict, bool):
        return str(verdict or "no row")
    return f"row {operator.index(verdict)}"


def judge_log(t: Trial, log: list[dict], why: str, **options: float) -> None:
    short = [(row["reward"], row["kept"]) for row in log]
    name = "the verdict on a log with (reward, kept) = " + ", ".join(map(str, short))
    t.compare(lambda f: row_or_none(f([dict(row) for row in log], **options)), why=why, name=name)


@check("alignment.is_hacked", reference=went_on_without)
def runs_that_were_hacked(t: Trial) -> None:
    log = rows_of([1.9, 2.2, 2.5, 2.7], [0.1, 0.3, 0.2, 0.1])
    judge_log(t, log, "from row 1 on the reward rises and the goal falls")
    log = rows_of([1.96, 2.3, 2.68], [0.13, 0.12, 0.02])
    judge_log(t, log, "the goal was nearest before the first update: that is row 0")
    log = rows_of([1.0, 1.5, 1.6, 2.0, 2.1], [0.2, 0.6, 0.6, 0.4, 0.3])
    judge_log(t, log, "of several rows that are equally good, the first")
    log = rows_of([1.0, 1.8, 1.2, 1.9], [0.1, 0.5, 0.2, 0.4])
    judge_log(t, log, "the last row is compared with the best, whatever came between")
    log = rows_of([1.0, 1.4, 1.6, 1.5], [0.1, 0.5, 0.4, 0.4])
    judge_log(t, log, "the reward need not be highest in the last row, only above the best row's")
    log = rows_of([1.0, 1.5, 1.5, 1.7], [0.5, 0.2, 0.3, 0.4])
    judge_log(t, log, "it has come back a little, and is still below what it was")


@check("alignment.is_hacked")
def runs_that_were_not(t: Trial) -> None:
    judge_log(t, rows_of([1.0, 1.5, 2.0], [0.1, 0.3, 0.6]), "reward and goal rise together")
    log = rows_of([1.0, 2.0, 1.2], [0.1, 0.6, 0.2])
    judge_log(t, log, "both fall: the run has become worse, and nobody was paid for it")
    log = rows_of([1.0, 1.5, 1.6], [0.1, 0.42, 0.4])
    judge_log(t, log, "a fall that is smaller than the spread may be chance")
    log = rows_of([1.0, 1.5, 1.5], [0.1, 0.6, 0.2])
    judge_log(t, log, "the reward has stayed: it did not go on without the goal")
    log = rows_of([1.0, 1.9, 1.5, 2.0], [0.1, 0.6, 0.2, 0.7])
    judge_log(t, log, "the last row is the best of all: what it lost, it has won back")
    log = rows_of([1.0, 1.5, 1.9, 2.0], [0.1, 0.6, 0.2, 0.58])
    judge_log(t, log, "in the end it is as near to the goal as it was, up to chance")
    judge_log(t, rows_of([1.5], [0.3]), "one row cannot have fallen")
    log = rows_of([1.0, 1.9, 2.0], [0.1, 0.6, 0.6], kl=[0.0, 2.0, 9.0])
    judge_log(t, log, "a model may move far from where it began, and be right")
    log = rows_of([1.0, 1.8, 1.9], [0.1, 0.6, 0.6], largest=[0.1, 0.4, 0.9])
    judge_log(t, log, "the largest group does not decide")
    log = rows_of([1.0, 1.7, 1.8], [0.1, 0.6, 0.6], distinct=[0.9, 0.5, 0.2])
    judge_log(t, log, "the share of distinct pairs does not decide")
    log = rows_of([1.0, 1.5, 1.6], [0.0, 0.0, 0.0])
    judge_log(t, log, "a goal that was never near has not been left")


@check("alignment.is_hacked")
def any_run(t: Trial) -> None:
    log = rows_of([1.0, 1.5, 1.7], [0.1, 0.6, 0.5])
    judge_log(t, log, "a fall of 0.1 is within a spread of 0.15", spread=0.15)
    judge_log(t, log, "a fall of 0.1 is more than a spread of 0.02", spread=0.02)
    log = rows_of([1.0, 1.5, 1.7], [0.25, 0.75, 0.5])
    judge_log(t, log, "a fall of 0.25 is not more than a spread of 0.25", spread=0.25)
    log = rows_of([1.0, 1.5, 1.7], [0.1, 0.6, 0.5498])
    judge_log(t, log, "a fall of 0.0502 is more than 0.05, which is the spread if none is named")
    log = rows_of([1.0, 1.5, 1.7], [0.1, 0.6, 0.58])
    judge_log(t, log, "without a spread every fall counts", spread=0.0)

    tenths = st.integers(0, 5).map(lambda n: n / 10)

    @t.for_all(
        rows=st.lists(st.tuples(tenths, tenths), min_size=1, max_size=6),
        spread=st.sampled_from([0.05, 0.15, 0.25]),
        examples=40,
    )
    def any_log(rows: list[tuple[float, float]], spread: float) -> None:
        rewards, kept = zip(*rows, strict=True)
        why = "the last row beside the first of those that kept most"
        judge_log(t, rows_of(rewards, kept), why, spread=spread)


# --- log_probs --------------------------------------------------------------------------------


def written(logits: Tensor, idx: Tensor, prompt: int) -> Tensor:
    rows = torch.arange(len(idx))
    found = [
        logits[rows, place - 1, idx[:, place]] - logits[:, place - 1].logsumexp(dim=-1)
        for place in range(prompt, idx.shape[1])
    ]
    return torch.stack(found, dim=1)


@check("alignment.log_probs", reference=written)
def what_the_model_wrote(t: Trial) -> None:
    why = "the logits at one place are about the token at the next"
    for B, T, V, prompt in ((1, 4, 3, 2), (3, 6, 5, 1), (2, 7, 4, 6), (4, 4, 4, 2)):
        t.same(t.randn(B, T, V, grad=True), t.randint(V, B, T), prompt, why=why)
    logits = t.randn(2, 5, 9, dtype=torch.float32)
    t.same(logits, t.randint(9, 2, 5), 2, why="numbers stay in their precision")
    why = "a probability may be too small for a float, its logarithm is not"
    t.same(t.randn(2, 5, 9) * 2000, t.randint(9, 2, 5), 3, why=why)


@check("alignment.log_probs")
def logits_of_a_rule(t: Trial) -> None:
    idx = torch.tensor([[5, 6, 7, 8, 9]])
    logits = torch.zeros(1, 5, 11, dtype=torch.float64)
    for place in range(5):
        logits[0, place, idx[0, place] + 1] = 9.0  # it expects the next number
    t.same(logits, idx, 2, why="this model counts: each token that it wrote was nearly certain")


# --- dpo_loss ---------------------------------------------------------------------------------


@check("alignment.dpo_loss", reference=reference.dpo_loss)
def pairs_of_poems(t: Trial) -> None:
    def pairs(n: int, scale: float = 10.0) -> tuple[Tensor, ...]:
        now = [(scale * t.randn(n) - 60).requires_grad_() for _ in range(2)]
        return *now, scale * t.randn(n) - 60, scale * t.randn(n) - 60

    same = torch.full((3,), -50.0)
    t.same(same, same, same, same, why="at the start every margin is 0, and the loss ln 2")
    t.same(*pairs(1), why="−ln σ(beta · margin)")
    t.same(*pairs(6), why="the mean over pairs, not that of their margins")
    t.same(*pairs(6), 0.5, why="beta is the one that was asked for")
    t.same(*pairs(4, scale=1.0), beta=2.0, why="beta is the one that was asked for")
    wide = [torch.tensor(x, dtype=torch.float64) for x in ([-3e4, -1.0], [-1.0, -3e4])]
    near = torch.full((2,), -100.0, dtype=torch.float64)
    for better, worse in ((*wide,), (wide[1], wide[0])):
        why = "a margin may be large, and the loss is finite"
        t.same(better.clone().requires_grad_(), worse, near, near, why=why)
    numbers = [t.randn(3, dtype=torch.float32) for _ in range(4)]
    t.same(*numbers, why="numbers stay in their precision")
