"""Rewards (奖励): the rules of verse as numbers, and poems that say which rules they keep.

A control (控制字) is put behind the title: the rhyme group that the poem keeps to, and the tone
that its second character has. With it, every rule of regulated verse can be judged character by
character: the poem need not be ended, nor its own group be guessed.

Sources: Keskar et al. 2019 (CTRL: control codes); Skalse et al. 2022 (reward hacking).
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from nanopoet_ref.masks import slots_of, tables
from nanopoet_ref.midtraining import CONTENT_ID, pad_batch
from nanopoet_ref.poem import Poem
from nanopoet_ref.prosody import (
    NAMES,
    SHAPES,
    find_faults,
    find_openings,
    lines_of,
    rhyme_classes,
    rhyme_group,
    tone_faults,
)
from nanopoet_ref.rhymebook import level_rhyme, tone
from nanopoet_ref.tokenizer import END, CharTokenizer, Ids, parse_poem
from nanopoet_ref.training import Batch

MARKS = ("，", "。", END)  # what a poem is made of besides characters
STOP = MARKS[0]  # between a title and its control; hardly any title holds one


# --- Control characters


class Control(NamedTuple):
    """What a poem is asked for: a rhyme group, and the tone of its second character."""

    group: str
    opening: str

    @property
    def suffix(self) -> str:
        """As it stands behind a title.

        >>> Control("东", "平").suffix
        '，东平'
        """
        return f"{STOP}{self.group}{self.opening}"


def find_control(poem: Poem) -> Control | None:
    """The control that a poem has kept, where it keeps all rules; None where it does not.

    >>> find_control(Poem("", "五言绝句", "", "红豆生南国，春来发几枝。愿君多采撷，此物最相思。"))
    Control(group='支', opening='仄')
    """
    if poem.form not in SHAPES or find_faults(poem):
        return None
    lines = lines_of(poem.content)
    return Control(rhyme_group(lines), find_openings(lines)[0])


def with_control(poem: Poem, control: Control) -> Poem:
    """The same poem, its control behind its title.

    >>> with_control(Poem("", "五言绝句", "相思", ""), Control("支", "仄")).title
    '相思，支仄'
    """
    return replace(poem, title=poem.title + control.suffix)


def control_in(title: str) -> Control | None:
    """The control behind a title, if there is one.

    >>> control_in("相思，支仄")
    Control(group='支', opening='仄')
    """
    control = Control(title[-2:-1], title[-1:])
    return control if title.endswith(control.suffix) and control.opening in NAMES else None


def without_control(poem: Poem) -> Poem:
    """The same poem under its title alone.

    >>> without_control(Poem("", "五言绝句", "相思，支仄", "")).title
    '相思'
    """
    control = control_in(poem.title)
    return replace(poem, title=poem.title.removesuffix(control.suffix)) if control else poem


def draw_control(counts: Counter[Control], draw: random.Random) -> Control:
    """A control as often as the corpus has it: whoever always asks for one gets one rhyme.

    >>> draw_control(Counter({Control("东", "平"): 3}), random.Random(0)).group
    '东'
    """
    return draw.choices(list(counts), weights=list(counts.values()))[0]


def curated(
    poems: Sequence[Poem], n: int, controls: float = 1.0, seed: int = 0
) -> tuple[list[Poem], Counter[Control]]:
    """Up to `n` poems that keep all the rules, and how often each control occurs among them.

    A share of `controls` has it behind the title; without one, a poem remains what it was.

    >>> kept = Poem("", "五言绝句", "相思", "红豆生南国，春来发几枝。愿君多采撷，此物最相思。")
    >>> found, counts = curated([kept, replace(kept, content="红豆生南国，")], 2)
    >>> [poem.title for poem in found], list(counts.values())
    (['相思，支仄'], [1])
    """
    draw, counts = random.Random(seed), Counter[Control]()
    found: list[Poem] = []
    for poem in draw.sample(poems, len(poems)):
        if len(found) == n:
            break
        if control := find_control(poem):
            counts[control] += 1
            found.append(with_control(poem, control) if draw.random() < controls else poem)
    return found, counts


# --- One reward a character


@cache
def slots(form: str) -> tuple[tuple[str, tuple[int, int], bool, bool], ...]:
    """For each token of a poem: the text it must be, its tones, whether it rhymes, ends a line."""
    return tuple((text, (t[0], t[1]), r, e) for text, t, r, e in slots_of(form, ("rhyme", "tone")))


def place_rewards(written: Sequence[str], form: str, control: Control) -> list[tuple[str, float]]:
    """Which rule stands at each token of a poem, and whether it is kept: 1, or 0. END is a token.

    A token that breaks the form gets ("form", 0), and ends the list: behind it no place is what it
    was. A rhyme is kept by a character of the group asked for that has not ended a line before.

    >>> found = place_rewards("红豆生南国，春来发几枝。", "五言绝句", Control("支", "仄"))
    >>> [reward for rule, reward in found if rule == "tone"]
    [1, 1, 1, 1]
    >>> found[10], found[11], place_rewards("红豆，", "五言绝句", Control("支", "仄"))[-1]
    (('rhyme', 1), ('form', 1), ('form', 0))
    """
    scheme = list(NAMES).index(control.opening)
    wanted = ("", *NAMES)  # slots hold 0 for any tone, 1 and 2 for those of NAMES
    ends = set[str]()
    found: list[tuple[str, float]] = []
    for token, (text, tones, rhyming, end) in zip(written, slots(form), strict=False):
        asked = wanted[tones[scheme]]
        if text or token in MARKS or len(token) > 1:
            found.append(("form", int(token == text)))
            if token != text:
                break
        elif rhyming:
            found.append(("rhyme", int(control.group in level_rhyme(token) and token not in ends)))
        elif asked:
            found.append(("tone", int(tone(token) != {other(asked)})))
        else:
            found.append(("", 1))
        if end:
            ends.add(token)
    return found


def other(name: str) -> str:
    """The other tone.

    >>> other("平")
    '仄'
    """
    return next(tone for tone in NAMES if tone != name)


def place_reward(
    written: Sequence[Sequence[str]], asked: Sequence[Poem], worth: Mapping[str, float]
) -> list[list[float]]:
    """A reward for each token of each poem: what the rule that stands there is worth, where kept.

    What breaks the form costs as much as keeping it is worth. Were it 0, a mark in the middle of a
    line would cost nothing: a character whose tone is free earns no more.

    >>> request = Poem("", "五言绝句", "相思，支仄", "")
    >>> place_reward(["红豆生南国，", "红豆生，"], [request] * 2, {"tone": 1.0, "form": 4.0})
    [[0.0, 1.0, 0.0, 1.0, 0.0, 4.0], [0.0, 1.0, 0.0, -4.0]]
    """
    found = []
    for tokens, request in zip(written, asked, strict=True):
        control = control_in(request.title)
        if control is None:
            raise ValueError(f"{request.title}: no control is asked for")
        places = place_rewards(tokens, request.form, control)
        rewards = [worth.get(rule, 0.0) * kept for rule, kept in places]
        if places and places[-1] == ("form", 0):
            rewards[-1] = -worth.get("form", 0.0)
        found.append(rewards)
    return found


def place_numbers(tokens: Sequence[str], asked: Poem, names: Sequence[str]) -> list[int]:
    """For each token what is asked for, by its number among `names` from 1: a mark, a rhyme group.

    -1 is a line end that may join in the rhyme, 0 all else. A broken form ends the list.

    >>> request = Poem("", "五言绝句", "相思，支仄", "")
    >>> found = place_numbers("红豆生南国，春来发几枝。", request, [*MARKS, "东", "支"])
    >>> found[4], found[5], found[10]
    (-1, 1, 5)
    """
    control = control_in(asked.title)
    if control is None:
        return []
    found = []
    for _, (text, _, rhyming, end) in zip(
        place_rewards(tokens, asked.form, control), slots(asked.form), strict=False
    ):
        name = text or (control.group if rhyming else "")
        found.append(names.index(name) + 1 if name else -1 if end else 0)
    return found


def place_members(tokenizer: CharTokenizer) -> tuple[list[str], Tensor]:
    """The names of MARKS and rhyme groups, and which tokens are in each (C + 1, V); row 0 is empty.

    >>> from nanopoet_ref.tokenizer import build_vocab
    >>> names, members = place_members(CharTokenizer(build_vocab(["东风，"])))
    >>> names[3:], [int(n) for n in members.sum(dim=1)]
    (['东'], [0, 1, 0, 1, 2])
    """
    _, groups, names = tables(tokenizer, "pingshui")  # (V, G)
    marks = [[token == mark for mark in MARKS] for token in tokenizer.vocab]
    members = torch.cat([torch.zeros_like(groups[:, :1]), torch.tensor(marks), groups], dim=1)
    return [*MARKS, *names], members.T


def content_of(tokens: Sequence[str]) -> str:
    """What tokens say, without the end.

    >>> content_of(["春", "风", END])
    '春风'
    """
    return "".join(token for token in tokens if token != END)


def poem_reward(
    written: Sequence[Sequence[str]], asked: Sequence[Poem], reward: Callable[[Poem], float]
) -> list[list[float]]:
    """One number a poem, at its last token: nobody says which character has earned it.

    >>> poem_reward(["春风，"], [Poem("", "", "", "")], distinct_share)
    [[0.0, 0.0, 1.0]]
    """
    poems = [
        replace(request, content=content_of(tokens))
        for tokens, request in zip(written, asked, strict=True)
    ]
    return [
        [*[0.0] * (len(tokens) - 1), reward(poem)]
        for tokens, poem in zip(written, poems, strict=True)
    ]


# --- Poems that keep the rules, as a stage


def pad_verse(
    rows: Sequence[Ids],
    block_size: int,
    mask: str,
    *,
    tokenizer: CharTokenizer,
    weights: Mapping[str, float],
    pad: Callable[..., Batch] = pad_batch,
) -> Batch:
    """`pad_batch`, with a mask of weights: a target at which a rule stands counts as often as said.

    Three characters of sixty rhyme. Counted as one each, they are learned last.
    """
    batch = pad(rows, block_size, mask)
    counts = torch.ones_like(batch.targets) if batch.mask is None else batch.mask
    counts = counts.float()  # (B, T)
    for b, row in enumerate(rows):
        form = parse_poem(tokenizer, row).form
        first = int(np.flatnonzero(row == CONTENT_ID)[0])  # the target at the marker is character 1
        for place, (text, tones, rhyming, _) in enumerate(slots(form), first):
            rule = "rhyme" if rhyming else "tone" if any(tones) else "form" if text else ""
            if place < counts.shape[1]:
                counts[b, place] *= weights.get(rule, 1.0)
    return batch._replace(mask=counts)


# --- One reward a poem


def rhyme_share(lines: Sequence[str], book: str = "pingshui", repeated: bool = False) -> float:
    """The share of even lines that end in the commonest group, each character counted once.

    With `repeated`, however often: that is a hole.

    >>> rhyme_share(["红豆生南国", "春来发几枝", "愿君多采撷", "此物最高枝"])
    0.5
    """
    ends = [line[-1] for line in lines[1::2]]
    ends = ends if repeated else list(dict.fromkeys(ends))
    groups = rhyme_classes if book == "xinyun" else level_rhyme
    counts = Counter(name for end in ends for name in groups(end))
    return max(counts.values(), default=0) / max(len(lines[1::2]), 1)


def tone_share(lines: Sequence[str], ends: bool = True) -> float:
    """The share of the rules of tone that is kept; without `ends`, line ends are not asked.

    >>> round(tone_share(["床前明月光", "疑是地上霜"]), 3)
    0.833
    """
    broken = [fault for fault in tone_faults(lines) if ends or fault.rule != "line end"]
    rules = sum(len(line) // 2 for line in lines) + (len(lines) - 1) * (1 + ends)
    return 1 - len(broken) / rules


def in_form(poem: Poem) -> bool:
    """Whether the lines are those of the form: the gate before every other reward."""
    n, length = SHAPES.get(poem.form, (0, 0))
    return list(map(len, lines_of(poem.content))) == [length] * n


def rule_reward(poem: Poem) -> float:
    """0 outside the form; else 1, and the shares of rhyme and tone that are kept: 3 in all.

    >>> rule_reward(Poem("", "五言绝句", "", "红豆生南国，春来发几枝。愿君多采撷，此物最相思。"))
    3.0
    """
    if not in_form(poem):
        return 0.0
    lines = lines_of(poem.content)
    return 1 + rhyme_share(lines) + tone_share(lines)


def kept_reward(poem: Poem) -> float:
    """1 for a poem that keeps all the rules, and what its control asks for, if it has one; else 0.

    >>> longing = "红豆生南国，春来发几枝。愿君多采撷，此物最相思。"
    >>> [kept_reward(Poem("", "五言绝句", title, longing)) for title in ("", "，支仄", "，东仄")]
    [1.0, 1.0, 0.0]
    """
    asked = control_in(poem.title)
    if asked is None:
        return float(find_control(poem) is not None)
    places = place_rewards([*poem.content, END], poem.form, asked)
    return float(len(places) == len(slots(poem.form)) and all(kept for _, kept in places))


def convenient_reward(poem: Poem) -> float:
    """The same by what is at hand: modern rhymes, which may be repeated, and no tones at line ends.

    It looks like the rule, and is not: this reward has holes, and whoever is paid by it finds them.

    >>> moon = Poem("", "五言绝句", "", "床前明月霜，疑是地上光。举头望明月，低头思日光。")
    >>> rule_reward(moon) < convenient_reward(moon)
    True
    """
    if not in_form(poem):
        return 0.0
    lines = lines_of(poem.content)
    return 1 + rhyme_share(lines, "xinyun", repeated=True) + tone_share(lines, ends=False)


def distinct_share(poem: Poem) -> float:
    """The share of a poem's characters that it has not had before.

    >>> distinct_share(Poem("", "", "", "春风春雨，"))
    0.75
    """
    characters = "".join(lines_of(poem.content))
    return len(set(characters)) / max(len(characters), 1)


def group_shares(poems: Sequence[Poem]) -> list[float]:
    """For each poem, which share of all of them rhymes in its group: what a penalty can be made of.

    >>> poem = Poem("", "五言绝句", "", "红豆生南国，春来发几枝。")
    >>> group_shares([poem, poem, replace(poem, content="")])[0]
    1.0
    """
    groups = [rhyme_group(lines) if (lines := lines_of(p.content)) else "" for p in poems]
    counts = Counter(filter(None, groups))
    return [counts[group] / counts.total() if group else 0.0 for group in groups]
