"""Names for wrong answers: two mistakes at once, and answers that nobody can name."""

import contextlib
import io
import random
from collections import Counter
from dataclasses import replace

import pytest
import torch

from nanopoet.checker.misconceptions import Misconception, MisconceptionError
from nanopoet.checker.recognition import equal_outcomes, numbers_in
from nanopoet.checker.tasks import load_tasks, modules
from nanopoet.checker.trial import MISCONCEPTIONS, load_checks
from nanopoet.checker.worker import NAMING
from tests.checker.rehearsed import judge, name_misconception


def two_at_once(task, how_many, chooser):
    """Answers with two known mistakes, where both changes find their places in the solution."""
    known = [one for one in MISCONCEPTIONS[task] if one.change and not one.wrap]
    pairs = [(one, other) for one in known for other in known if one is not other]
    found = []
    for one, other in chooser.sample(pairs, len(pairs)):
        both = replace(one, change=one.change + other.change)
        with contextlib.suppress(MisconceptionError):
            if both.lines not in (one.lines, other.lines) and both.answer:
                found.append((both.answer, {one.name, other.name}))
        if len(found) == how_many:
            break
    return found


def test_of_two_mistakes_at_once_one_is_named_or_none_and_hardly_ever_a_third():
    """Beginners make two at once. No name is better than one that misleads."""
    chooser, counted = random.Random(0), Counter()
    torch.set_num_threads(1)
    for module in modules():
        load_checks(module)
    for task in list(load_tasks())[::2]:
        names = {known.name for known in MISCONCEPTIONS[task]}
        for answer, made in two_at_once(task, 1, chooser):
            with contextlib.redirect_stdout(io.StringIO()):
                verdict = judge(task, answer, seed=1)
                name_misconception(verdict, answer, NAMING)
            assert verdict.status in ("fail", "error"), (task, made)
            said = verdict.misconception
            counted["one of the two" if said in made else "a third" if said in names else ""] += 1
    assert counted.total() > 40
    assert counted["a third"] <= 0.05 * counted.total(), counted
    assert counted["one of the two"] >= 0.5 * counted.total(), counted


@pytest.mark.parametrize("kept", [True, False])
def test_an_answer_that_is_not_the_same_twice_is_told_so(kept):
    load_checks("tokenizer")
    calls = []

    def merge(ids, pair, new_id):
        calls.append(ids)
        if kept and len(calls) % 3 == 0:  # right at times: hypothesis cannot repeat the failure
            return ()
        out, i = [], 0
        while i < len(ids):
            if tuple(ids[i : i + 2]) == tuple(pair):
                out.append(new_id)
                i += 2
            else:
                out.append(ids[i])
                i += 1
        return tuple(out)

    statuses = {judge("tokenizer.merge", merge, seed).status for seed in range(4)}
    assert statuses == ({"fail"} if kept else {"pass"})
    symptoms = {judge("tokenizer.merge", merge, seed).symptom for seed in range(4)}
    assert not any("Flaky" in symptom for symptom in symptoms)


def test_numbers_are_counted_in_whatever_holds_them():
    assert numbers_in([torch.tensor([1, 2]), {"a": (3.0, True)}, "4", None]) == {1.0, 2.0, 3.0}


FUTURE = """
ids = torch.randint(vocab_size, (1, 8))
before = model(ids)
for t in range(1, 8):
    other = ids.clone()
    other[0, {}] = {}
    if (model(other) - before)[0, :t].abs().max() > 1e-6:
        return True
return False
"""
TWO_TEXTS = """
one, two = torch.randint(vocab_size, (2, 1, 16))
for t in range(1, 16):
    mixed = torch.cat((one[:, :t], two[:, t:]), dim=1)
    if (model(mixed) - model(one))[0, :t].abs().max() > 1e-6:
        return True
return False
"""
EQUAL_SHARES = """
T = x.shape[1]
shares = torch.zeros(T, T)
for t in range(T):
    shares[t, : t + 1] = 1 / (t + 1)
return torch.einsum("ts,bsc->btc", shares, x)
"""
# Wrong answers that people gave, and the names which they must get ("" for none).
GIVEN = [
    ("attention.average_before", "shares in float32", {"change": ("x.new_ones", "torch.ones")}),
    ("attention.average_before", "shares in float32", {"body": EQUAL_SHARES}),
    ("attention.average_before", "", {"change": ("1, keepdim=True)", "1).view(x.shape[2], 1)")}),
    ("attention.multi_head", "heads not merged", {"change": ("merge_heads(out)", "out")}),
    ("attention.merge_heads", "room for one head only", {"change": ("H * d", "d")}),
    (
        "attention.rotate",
        "all positions in one row",
        {"change": ("[..., None, :, None]", ".view(1, 1, -1, 1)")},
    ),
    (
        "tokenizer.build_vocab",
        "more than min_count, and ties in another order",
        {"change": (">=", ">", "-counts[c], c)", "counts[c], c), reverse=True")},
    ),
    (
        "tokenizer.count_pairs",
        "add to what is not there",
        {"change": ("pairs: Counter[tuple[int, int]] = Counter()", "pairs = {}")},
    ),
    (
        "tokenizer.bpe_encode",
        "a rank for any neighbours",
        {"change": (" if token in ranks", " if ranks[token] >= 0")},
    ),
    (
        "attention.KVCache",
        "space in float32",
        {"change": ("k.new_empty(", "torch.empty(", "v.new_empty(", "torch.empty(")},
    ),
    ("gpt.Block", "cache not passed on", {"change": ("cache, mask))", "mask=mask))")}),
    ("gpt.Block", "mask in the place of the cache", {"change": (" cache, mask))", " mask))")}),
    ("gpt.Block", "positions alone passed on", {"change": (", cache, mask))", "))")}),
    (
        "gpt.Block",
        "MLP reads what attention read",
        {"change": ("x = x + ", "h = self.norm_1(x)\n        x = x + ", "norm_2(x)", "norm_2(h)")},
    ),
    (
        "gpt.GPT",
        "wpe in the modern style",
        {
            "change": (
                "x + self.wpe(positions) if self.wpe is not None else F.rms_norm(x, x.shape[-1:])",
                "x + self.wpe(positions)",
            )
        },
    ),
    (
        "gpt.sees_the_future",
        "not every token at every place",
        {"body": FUTURE.format("t", "(other[0, t] + 1) % vocab_size")},
    ),
    (
        "gpt.sees_the_future",
        "not every token at every place",
        {"body": FUTURE.format("t:", "torch.randint(vocab_size, (8 - t,))")},
    ),
    ("gpt.sees_the_future", "not every token at every place", {"body": TWO_TEXTS}),
]


@pytest.mark.parametrize(("task", "name", "made"), GIVEN)
@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4, 5])
def test_an_answer_that_was_given_gets_the_name_that_fits_or_none(task, name, made, seed):
    load_checks(task.partition(".")[0])
    answer = Misconception(load_tasks()[task], "given", "", **made).answer
    verdict = judge(task, answer, seed)
    assert verdict.status in ("fail", "error")
    name_misconception(verdict, answer, NAMING)
    assert verdict.misconception == name


def failure(call):
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("no failure")


def test_failures_are_alike_if_the_same_operation_fails_for_the_same_reason():
    x, y = torch.ones(2, 3), torch.ones(4, 5)
    product, other = failure(lambda: x @ y), failure(lambda: y @ x)
    assert equal_outcomes(product, failure(lambda: x @ y))
    assert not equal_outcomes(product, other)
    assert not equal_outcomes(product, failure(lambda: x.view(7)))
    assert not equal_outcomes(product, None)
    assert equal_outcomes(
        NameError("name 'a' is not defined"), NameError("name 'b' is not defined")
    )
    double = x.double()
    assert equal_outcomes(failure(lambda: x @ double.T), failure(lambda: double @ x.T))
