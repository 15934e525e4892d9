"""Masks: whatever is drawn under them keeps the rules, and there is always something to draw."""

from dataclasses import replace

import pytest
import torch

from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.masks import SHAPES, VerseMask, slots_of
from nanopoet_ref.poem import Poem
from nanopoet_ref.prosody import find_faults
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.sampling import write_poems
from nanopoet_ref.tokenizer import END, SPECIAL_TOKENS, CharTokenizer

# Level and oblique characters, some with both tones, one unlisted; two groups large enough for
# eight lines, others too small; and what is no character of verse.
LEVELS = "东风空中红光阳霜乡长看思过难听重为教不"
VOCAB = [*SPECIAL_TOKENS, "，", "。", *dict.fromkeys(LEVELS + "月日上下白玉雪夜𠀀人a1")]


@pytest.fixture(scope="module")
def small() -> CharTokenizer:
    return CharTokenizer(VOCAB)


def drawn(mask: VerseMask, tokenizer, steps: int, generator) -> list[str]:
    """Texts of what chance draws among what is allowed; each step has something in each row."""
    rows = []
    for _ in range(steps):
        allowed = mask.allowed()
        assert allowed.any(1).all(), "a dead end"
        tokens = torch.multinomial(allowed.float(), 1, generator=generator)[:, 0]
        mask.advance(tokens)
        rows.append(tokens)
    return ["".join(tokenizer.vocab[i] for i in row).split(END)[0] for row in torch.stack(rows, 1)]


@pytest.mark.parametrize("form", SHAPES)
def test_chance_under_the_mask_keeps_every_rule_and_meets_no_dead_end(form, small):
    generator = torch.Generator().manual_seed(0)
    mask = VerseMask(small, [form] * 200)
    for content in drawn(mask, small, len(slots_of(form, [])), generator):
        assert find_faults(Poem("", form, "", content)) == []


# 东风空中红 are of one group, 光霜长阳乡 of another; 不 and 𠀀 may have any tone; 思 is of a group
# too small to rhyme in. Few enough characters that every state can be walked.
FEW = [*SPECIAL_TOKENS, "，", "。", *"东风空中红光霜长阳乡月𠀀思"]
ROWS = ("forced", "tones", "rhyming", "rhymes", "open_groups", "open_schemes", "used")


@pytest.mark.parametrize("form", SHAPES)
def test_no_state_that_can_be_reached_is_a_dead_end(form):
    """All states are rows of one batch: each goes on with all that is allowed, equal ones merge."""
    mask, walked = VerseMask(CharTokenizer(FEW), [form]), 0
    for _ in slots_of(form, ()):
        allowed = mask.allowed()
        assert allowed.any(1).all(), "a dead end"
        rows, tokens = allowed.nonzero(as_tuple=True)
        keep(mask, rows)
        mask.advance(tokens)
        states = torch.cat([mask.open_schemes, mask.open_groups, mask.used], dim=1)
        distinct, which = states.unique(dim=0, return_inverse=True)
        first = torch.full((len(distinct),), len(states)).scatter_reduce(
            0, which, torch.arange(len(states)), "amin"
        )
        keep(mask, first)
        walked += len(first)
    assert walked > 400


def keep(mask: VerseMask, rows: torch.Tensor) -> None:
    for name in ROWS:
        setattr(mask, name, getattr(mask, name)[rows])


def test_forms_may_be_mixed_in_a_batch(small):
    generator = torch.Generator().manual_seed(1)
    forms = [*SHAPES] * 5
    contents = drawn(VerseMask(small, forms), small, 65, generator)
    for form, content in zip(forms, contents, strict=True):
        assert find_faults(Poem("", form, "", content)) == []


def test_a_long_title_of_a_short_form_leaves_room_beside_a_longer_form(small):
    """Each row needs room for its own form, not for the longest of the batch."""
    long_title = small.vocab[-1] * 30
    asked = [Poem("", "五言绝句", long_title, ""), Poem("", "七言律诗", small.vocab[-1], "")]
    asked = [replace(request, author=small.vocab[-1]) for request in asked]
    model = GPT(GPTConfig(len(small), 80, 1, 2, 8, style="modern"))
    mask = VerseMask(small, [request.form for request in asked])
    for poem in write_poems(model, small, asked, verse_mask=mask, generator=make_generator(0)):
        assert find_faults(poem) == []
    two = [replace(request, title=long_title) for request in asked]
    with pytest.raises(ValueError, match="no room"):
        write_poems(model, small, two, verse_mask=VerseMask(small, [r.form for r in two]))


def test_without_rules_only_the_lines_are_kept(small):
    generator = torch.Generator().manual_seed(2)
    rules = set()
    for content in drawn(VerseMask(small, ["七言绝句"] * 50, rules=()), small, 33, generator):
        rules |= {fault.rule for fault in find_faults(Poem("", "七言绝句", "", content))}
    assert rules >= {"rhyme", "alternation"}
    assert "form" not in rules


def test_a_group_and_an_acrostic_are_kept(small):
    generator = torch.Generator().manual_seed(3)
    mask = VerseMask(small, ["五言绝句"] * 20, group="阳", acrostic="日月人雪")
    for content in drawn(mask, small, 25, generator):
        lines = content.replace("。", "，").split("，")
        assert "".join(line[0] for line in lines[:4]) == "日月人雪"
        assert {lines[1][-1], lines[3][-1]} <= set("光阳霜乡长")


def test_a_beginning_is_gone_on_with_under_the_rules(small):
    generator = torch.Generator().manual_seed(4)
    mask = VerseMask(small, ["五言绝句"] * 20)
    mask.begin(small.encode("日月东风上，").tolist())
    for content in drawn(mask, small, 19, generator):
        assert find_faults(Poem("", "五言绝句", "", "日月东风上，" + content)) == []


@pytest.mark.parametrize(
    ("options", "begin", "reason"),
    [
        ({"forms": ["忆江南"]}, "", "has no rules"),
        ({"group": "虞"}, "", "too few characters that rhyme in 虞; enough in 东 阳"),
        ({"group": "支"}, "", "too few characters that rhyme in 支; enough in 东 阳"),
        ({"acrostic": "日月"}, "", "2 characters, and 五言绝句 has 4 lines"),
        ({"acrostic": "日月山河"}, "", "does not know 山"),
        ({"acrostic": "日，月。"}, "", "no line begins with '，。'"),
        ({"acrostic": "日a月1"}, "", "no line begins with 'a1'"),
        ({}, "日月下雪", "breaks the rules at character 4, 雪"),
        ({}, "日月下东。", "breaks the rules at character 5, 。"),
        ({}, "日月东风上下", "character 6, 下, where ， belongs"),
        ({"forms": ["七言绝句", "五言绝句"]}, "日月东风上下", "character 6, 下, where ， belongs"),
        ({"forms": ["五言绝句", "七言绝句"]}, "日月东风上，", "character 6, ，: no poem"),
    ],
)
def test_what_cannot_be_had_is_refused_in_words(small, options, begin, reason):
    options = {"forms": ["五言绝句"], **options}
    with pytest.raises(ValueError, match=reason):
        VerseMask(small, **options).begin(small.encode(begin).tolist())


def test_a_vocabulary_without_a_tone_is_refused():
    with pytest.raises(ValueError, match="one of the two tones"):
        VerseMask(CharTokenizer([*SPECIAL_TOKENS, "，", "。", *"东红同公工"]), ["五言绝句"])


@pytest.mark.parametrize("rules", [(), ("tone",), ("rhyme", "tone")])
def test_a_vocabulary_without_chinese_characters_is_refused(rules):
    with pytest.raises(ValueError, match="the run knows no Chinese characters"):
        VerseMask(CharTokenizer([*SPECIAL_TOKENS, *"，。a1"]), ["五言绝句"], rules=rules)


@pytest.mark.parametrize("temperature", [0, 1])
@pytest.mark.parametrize("logit", [float("nan"), float("inf"), float("-inf")])
def test_logits_that_are_no_numbers_are_refused_in_words(small, logit, temperature):
    model = GPT(GPTConfig(len(small), 80, 1, 2, 8, style="modern"))
    model.register_forward_hook(lambda _, args, logits: torch.full_like(logits, logit))
    asked = [Poem("日", "五言绝句", "月", "")]
    mask = VerseMask(small, ["五言绝句"])
    with pytest.raises(ValueError, match="logits are not finite"):
        write_poems(model, small, asked, verse_mask=mask, temperature=temperature)


def test_a_mask_serves_the_poems_it_was_made_for_once(small):
    """Of another form, or drawn under before, it would leave poems that break the form."""
    model = GPT(GPTConfig(len(small), 80, 1, 2, 8, style="modern"))
    asked, mask = [Poem("日", "五言绝句", "月", "")], VerseMask(small, ["五言绝句"])
    write_poems(model, small, asked, verse_mask=mask, generator=make_generator(0))
    others = [VerseMask(small, forms) for forms in (["七言绝句"], ["五言绝句"] * 2)]
    for other in (mask, *others):
        with pytest.raises(ValueError, match="a mask is made for one batch"):
            write_poems(model, small, asked, verse_mask=other)
