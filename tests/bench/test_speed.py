"""`nanopoet bench`: the same code as in earnest, at a toy's shape. Times are not judged here."""

import io
import json
import shutil
from functools import partial

import numpy as np
import pytest
import torch
from rich.console import Console

from nanopoet.bench import baseline
from nanopoet.bench import speed as bench
from nanopoet.bench import step as update
from nanopoet.bench import token_budget as budget
from nanopoet.bench.step import TINY, BenchError, in_fresh_process, our_step, peak_memory
from nanopoet.poet.data import Data
from nanopoet_ref.poem import REGULATED, Poem
from nanopoet_ref.sampling import generate
from nanopoet_ref.tokenizer import UNK, CharTokenizer, build_vocab

MEASURED = [key for key in bench.TARGETS if key not in ("val_loss_100", "steps_to_unigram")]
TINY_RECIPE = """
about = "three updates"
script = "original"
model = { style = "modern", n_layer = 1, n_head = 2, n_embd = 16, block_size = 16 }

[[stages]]
name = "pretrain"
max_steps = 3
batch_size = 2
micro_steps = 2
eval_interval = 1
eval_iters = 2
optimizer = { lr = 0.02, muon_lr = 0.02 }
schedule = { name = "warmup_warmdown", warmup_steps = 1 }
"""


def result(value: float) -> dict:
    return {"value": value, "low": value, "high": value}


@pytest.fixture(scope="module")
def measured():
    return bench.run_bench(full=False, quick_test=True)


@pytest.fixture
def few_poems(monkeypatch):
    """Forty poems without sense instead of the corpus, and a recipe of three updates."""
    draw = np.random.default_rng(0)
    characters = list("春花秋月山水风云江南天地人心雪雨夜日")
    poems = [
        Poem("李白", next(iter(REGULATED.values())), "春望", "".join(draw.choice(characters, 24)))
        for _ in range(40)
    ]
    monkeypatch.setattr(budget, "load_data", lambda _: Data(poems[:30], poems[30:], "few"))
    monkeypatch.setattr(budget, "RECIPE", TINY_RECIPE)


def test_every_figure_comes_with_its_range_and_what_it_must_reach(measured):
    assert list(measured) == [*MEASURED, "machine"]
    for key in MEASURED:
        found = measured[key]
        assert 0 < found["low"] <= found["value"] <= found["high"]
        assert (found["must"], found["aim"], found["better"]) == bench.TARGETS[key][1:]


def test_the_machine_is_described(measured):
    machine = measured["machine"]
    assert machine["torch"] == torch.__version__
    assert machine["threads"] == torch.get_num_threads()
    assert machine["cores"] >= 1
    assert machine["cpu"]


def test_json_is_json_and_nothing_else(measured, monkeypatch, capsys):
    monkeypatch.setattr(bench, "run_bench", lambda full: measured)
    bench.bench_command(as_json=True, full=False)
    assert json.loads(capsys.readouterr().out) == measured


@pytest.mark.parametrize(
    ("key", "value", "verdict"),
    [
        ("train_speedup", 4.0, "aim met"),
        ("train_speedup", 2.6, "must met"),
        ("train_speedup", 2.4, "missed"),
        ("train_memory_ratio", 0.1, "aim met"),
        ("train_memory_ratio", 0.2, "must met"),
        ("train_memory_ratio", 0.3, "missed"),
    ],
)
def test_the_table_says_what_is_met(key, value, verdict):
    console = Console(width=80, file=io.StringIO())
    bench.print_table({key: result(value), "machine": {"cores": 2}}, console)
    text = console.file.getvalue()
    assert verdict in text
    assert "cores 2" in text


def test_the_median_pair_is_the_figure():
    found = bench.figure("encode_speedup", [30.0, 70.0, 40.0], our_seconds=1)
    assert (found["value"], found["low"], found["high"]) == (40.0, 30.0, 70.0)
    assert found["our_seconds"] == 1


def test_turns_alternate():
    calls: list[str] = []
    with bench.tqdm(disable=True) as bar:
        sides = (partial(calls.append, side) for side in ("baseline", "ours"))
        bench.take_turns("train_speedup", *sides, 2, bar)
    assert calls == ["baseline", "ours"] * 2


# --- The baseline's ways do the same thing ------------------------------------------------------


def test_the_baseline_encodes_the_same_ids():
    tokenizer = CharTokenizer(build_vocab(["春风春雨"]))
    stoi = {token: i for i, token in enumerate(tokenizer.vocab)}
    ids = baseline.encode(stoi, tokenizer.special[UNK], "春雪雨")
    assert ids.dtype == np.uint16
    assert ids.tolist() == tokenizer.encode("春雪雨").tolist()


def test_the_baseline_cuts_windows_whose_targets_are_one_token_later():
    idx, targets, mask = baseline.cut_batch(np.arange(100, dtype=np.uint16), 8, 5)
    assert idx.shape == targets.shape == (5, 8)
    assert torch.equal(targets, idx + 1)
    assert mask is None


def test_the_baseline_writes_what_generate_writes():
    model = TINY.model(fused=False)
    with torch.no_grad():  # logits so far apart that chance has no say
        model.head.bias.copy_(torch.randperm(TINY.vocab_size) * 100.0)
    assert baseline.write(model, [3, 4], 6) == generate(model, [[3, 4]], 6)[0]
    assert baseline.write(model, [3, 4], 6) == generate(model, [[3, 4]], 6, precision="float16")[0]


@pytest.mark.parametrize(
    "make", [our_step, update.baseline_step, partial(update.baseline_step, fused=True)]
)
def test_both_updates_move_the_weights(make, monkeypatch):
    models = []
    build = update.Sizes.model
    monkeypatch.setattr(
        update.Sizes, "model", lambda *a, **k: models.append(build(*a, **k)) or models[-1]
    )
    step = make(TINY)
    before = [parameter.detach().clone() for parameter in models[0].parameters()]
    step(TINY.batch_size)
    after = list(models[0].parameters())
    assert all(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


# --- Memory and learning ------------------------------------------------------------------------


def test_peak_memory_never_falls():
    block = np.ones(2**25)  # 256 MB, all of it written
    full = peak_memory()
    del block
    assert full > 2**28
    assert peak_memory() > full - 2**24  # Linux counts in batches: give or take some pages


def test_an_update_that_dies_without_a_word_may_have_lacked_memory(monkeypatch):
    monkeypatch.setattr(update.sys, "executable", shutil.which("false"))
    with pytest.raises(BenchError, match=r"one update \(ours\) failed: .*memory"):
        in_fresh_process("ours", TINY)


def test_an_update_that_hangs_is_ended(monkeypatch):
    monkeypatch.setattr(update, "TIME_LIMIT", 0.01)
    with pytest.raises(BenchError, match=r"more than 0.01 s"):
        in_fresh_process("ours", TINY)


def test_learning_looks_after_every_update_until_the_unigram_loss_is_reached(few_poems):
    told: list[str] = []
    learned = budget.learn(told.append)
    assert list(learned.curve) == [0, 1, 2, 3]
    assert learned.unigram_step == 0  # 26 tokens: ln 26 is below it from the start
    assert 0 < learned.val_loss < 4
    assert told[-1].startswith("step 3 of 3, validation ")


def test_a_loss_that_never_falls_that_far_counts_one_step_more(few_poems, monkeypatch):
    monkeypatch.setattr(budget, "UNIGRAM", 0.0)
    assert budget.learn(lambda _: None).unigram_step == 4


def test_the_full_benchmark_adds_both_figures_of_learning(few_poems):
    with bench.tqdm(disable=True) as bar:
        found = bench.bench_learning(bar)
    assert list(found) == ["val_loss_100", "steps_to_unigram"]
    assert found["val_loss_100"]["value"] > 0


def test_the_recipe_in_earnest_has_the_budget_of_the_text():
    stage = budget.Preset.from_dict("budget", budget.tomllib.loads(budget.RECIPE)).stages[0]
    tokens = stage.batch_size * stage.micro_steps * 256
    assert (stage.max_steps, tokens) == (100, 16_384)
