"""Every number of the page "From 2 cores to a cluster", worked out again."""

import json
import math
import re
from typing import NamedTuple

import pytest
import torch

from nanopoet.bench.experiments import EXPERIMENTS
from nanopoet.bench.processes import VOCAB_SIZE, tables
from nanopoet.paths import CHAPTERS, ROOT
from nanopoet.poet.presets import load_presets
from nanopoet_ref.gpt import GPT, GPTConfig, count_parameters
from nanopoet_ref.scaling import accumulation_steps, flops_per_token, utilisation

PAGE = (CHAPTERS / "cluster.md").read_text("utf-8")
PRESETS = load_presets()
QUICK = PRESETS["quick"].stages[0]
TOKENS = QUICK.max_steps * QUICK.batch_size * PRESETS["quick"].block_size
PEAK, USE = 1e15, 0.4  # what the page assumes of a GPU
ROOM = 80  # GB of its memory
BYTES = 16  # of a parameter in training: weight, gradient, two moments, in float32


class Size(NamedTuple):
    """One column of the table."""

    times: int  # the tokens of quick
    config: GPTConfig
    step_tokens: int
    rows: int  # of a batch, in each process
    processes: int

    @property
    def tokens(self) -> int:
        return self.times * TOKENS

    @property
    def parameters(self) -> int:
        with torch.device("meta"):  # shapes without numbers: the largest would take 262 GB
            return count_parameters(GPT(self.config))

    @property
    def flops(self) -> int:
        """Of one token."""
        return flops_per_token(self.config, self.config.block_size)

    @property
    def work(self) -> int:
        return self.flops * self.tokens

    @property
    def seconds(self) -> float:
        """On one GPU, at the use that the page assumes."""
        speed = USE * PEAK / self.flops
        assert utilisation(speed, self.config, self.config.block_size, PEAK) == pytest.approx(USE)
        return self.tokens / speed


def modern(vocab_size: int, n_layer: int, n_head: int, n_embd: int, block_size: int) -> GPTConfig:
    return GPTConfig(vocab_size, block_size, n_layer, n_head, n_embd, style="modern")


def of_preset(name: str) -> GPTConfig:
    return GPTConfig(vocab_size=VOCAB_SIZE, **PRESETS[name].model)


SIZES = [
    Size(1, of_preset("quick"), 2048, 16, 1),
    Size(10, modern(VOCAB_SIZE, 8, 6, 384, 256), 8192, 16, 2),
    Size(1000, modern(32_768, 8, 8, 512, 1024), 131_072, 16, 8),
    Size(1_000_000, modern(65_536, 80, 64, 8192, 4096), 4_194_304, 1, 1024),
]
ONE, TEN, THOUSAND, MILLION = SIZES


def duration(seconds: float) -> str:
    units = {"years": 365 * 86400, "days": 86400, "hours": 3600, "minutes": 60, "seconds": 1}
    unit, length = next((u, s) for u, s in units.items() if seconds >= 2 * s or u == "seconds")
    return f"{seconds / length:.2g} {unit}"


def power(x: float) -> str:
    mantissa, exponent = f"{x:.1e}".split("e+")
    raised = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
    return f"{mantissa} · 10{str(int(exponent)).translate(raised)}"


def large(n: float) -> str:
    names = {1e12: "trillion", 1e9: "billion", 1e6: "million"}
    size, name = next((size, name) for size, name in names.items() if n >= size)
    return f"{n / size:.3g} {name}"


ROWS = {
    "tokens": lambda s: large(s.tokens),
    "layers × width": lambda s: f"{s.config.n_layer} × {s.config.n_embd}",
    "parameters": lambda s: large(s.parameters),
    "tokens per parameter": lambda s: f"{s.tokens / s.parameters:.2g}",
    "FLOPs per token": lambda s: power(s.flops),
    "FLOPs in all": lambda s: power(s.work),
    "in trainings of quick": lambda s: f"{float(f'{s.work / ONE.work:.2g}'):,.0f}",
    "tokens in a step": lambda s: f"{s.step_tokens:,}",
    "steps": lambda s: f"{s.tokens // s.step_tokens:,}",
    "memory for weights": lambda s: (
        f"{s.parameters * BYTES / 1e9:,.2g} GB"
        if s.parameters < 1e9
        else f"{s.parameters * BYTES / 1e9:,.0f} GB"
    ),
    "one GPU takes": lambda s: duration(s.seconds),
}


@pytest.mark.parametrize("name", ROWS)
def test_the_table_says_what_the_formulas_say(name):
    assert f"| {name} | {' | '.join(map(ROWS[name], SIZES))} |" in PAGE


def test_the_prose_says_what_the_formulas_say():
    quick = json.loads((EXPERIMENTS / "quick.json").read_text("utf-8"))["rows"]["quick"]
    (run,) = quick["runs"].values()
    uniform = run["stages"]["midtrain"]["baselines"]["uniform"]
    assert math.log(VOCAB_SIZE) == pytest.approx(uniform, abs=5e-5)
    card = (ROOT / "raw" / "README.md").read_text("utf-8")
    corpus = int(re.search(r"([\d,]+) characters of content", card)[1].replace(",", ""))
    gigabytes = MILLION.parameters * BYTES / 1e9
    cut = accumulation_steps(MILLION.step_tokens, MILLION.rows, 4096, processes=128)
    times = {size: size.work / ONE.work * 5 * 60 for size in (TEN, THOUSAND)}  # at 5 minutes each
    for said in (
        f"{QUICK.max_steps} steps of {QUICK.batch_size} rows, each of at most 128 tokens",
        f"the {VOCAB_SIZE:,} tokens of quick's vocabulary",
        f"36 trainings of quick, at five minutes each, are {duration(times[TEN])}.",
        f"{TEN.tokens / corpus:.1f} times all the poems there are, {corpus:,} characters",
        f"9,700 trainings of quick are {duration(times[THOUSAND])} on the same two cores",
        f"on eight of them, {duration(THOUSAND.seconds / 8)}, if",
        f"are {THOUSAND.tokens / corpus:.0f} times through all the poems",
        f"`accumulation_steps(131_072, 16, 1024)` is {accumulation_steps(131_072, 16, 1024)}:",
        f"{large(THOUSAND.parameters)} parameters, {THOUSAND.parameters * 4 / 1e6:.0f} MB",
        f"alone fills {gigabytes / ROOM:.1f} of them",
        f"Over 1,024 GPUs a part is {gigabytes / MILLION.processes:.2f} GB",
        f"Weights and moments are {gigabytes * 12 / 16:.0f} GB",
        f"`accumulation_steps(4_194_304, 1, 4096, processes=128)` = {cut} batches",
        f"**45 years become {duration(MILLION.seconds / MILLION.processes)}** on 1,024 GPUs",
    ):
        assert said in PAGE


@pytest.mark.parametrize("size", SIZES)
def test_each_step_of_the_table_is_a_whole_number_of_batches(size):
    sizes = size.rows, size.config.block_size, size.processes
    assert accumulation_steps(size.step_tokens, *sizes) == 1


def test_options_and_settings_that_the_page_names_are_there():
    for name in ("save_interval", "keep_last", "keep_best"):
        assert hasattr(QUICK, name)
        assert f"`{name}`" in PAGE


def test_what_was_measured_stands_on_the_page():
    path = EXPERIMENTS / "processes.json"
    if not path.exists():
        pytest.skip("chapters/experiments/processes.json: not measured yet")
    assert tables(json.loads(path.read_text("utf-8"))) in PAGE
