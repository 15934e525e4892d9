"""`nanopoet bench`: what the fast ways of this course bring, beside the baseline's.

A machine can be twice as busy a minute later, so seconds say little. Ours and the baseline's take
turns; each pair gives a ratio; the figure is the median ratio, with the smallest and the largest
beside it. `--full` also trains for 100 steps, to see how much is learned from the texts' budget.
"""

import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from typing import Any

import numpy as np
import torch
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from tqdm import tqdm

from nanopoet.bench import baseline
from nanopoet.bench.step import TINY, BenchError, Sizes, baseline_step, in_fresh_process, our_step
from nanopoet.bench.token_budget import learn
from nanopoet.paths import raw
from nanopoet_ref.poem import load_poems
from nanopoet_ref.runtime import fast_precision, limit_threads
from nanopoet_ref.sampling import generate
from nanopoet_ref.tokenizer import SPECIAL_TOKENS, UNK, CharTokenizer, build_vocab

# key: (what it is, must reach, should reach, which is better)
TARGETS: dict[str, tuple[str, float, float, str]] = {
    "train_speedup": ("tokens per second in training, ours ÷ baseline", 2.5, 4, "higher"),
    "train_speedup_fused": (
        "the same ÷ a baseline with fused attention and AdamW",
        2.0,
        3,
        "higher",
    ),
    "train_memory_ratio": ("peak memory of one update, ours ÷ baseline", 0.25, 0.1, "lower"),
    "encode_speedup": ("corpus to ids, ours ÷ a dictionary loop", 20, 50, "higher"),
    "generate_speedup": ("200 characters, ours ÷ the whole window each time", 8, 15, "higher"),
    "generate_flatness": ("time of characters 151-200 ÷ 1-50", 1.5, 1.2, "lower"),
    "val_loss_100": ("validation loss after 100 × 16,384 tokens", 5.0, 4.9, "lower"),
    "steps_to_unigram": ("updates until validation ≤ 6.75", 12, 8, "lower"),
}


def figure(key: str, values: Sequence[float], **details: Any) -> dict[str, Any]:
    """The median of some values with their range, what was wanted, and details."""
    _, must, aim, better = TARGETS[key]
    found = {"value": median(values), "low": min(values), "high": max(values)}
    found = {name: round(value, 3) for name, value in found.items()}
    return {**found, "must": must, "aim": aim, "better": better, **details}


def take_turns(
    key: str, slow: Callable[[], object], fast: Callable[[], object], pairs: int, bar: tqdm
) -> dict[str, Any]:
    """Time both in turn, and divide pair by pair."""
    seconds: list[list[float]] = [[], []]
    for pair in range(pairs):
        for function, times in zip((slow, fast), seconds, strict=True):
            bar.set_postfix_str(f"{key} {pair + 1}/{pairs}")
            began = time.perf_counter()
            function()
            times.append(time.perf_counter() - began)
    ratios = [a / b for a, b in zip(*seconds, strict=True)]
    bar.update()
    names = ("baseline_seconds", "our_seconds")
    medians = {name: round(median(t), 3) for name, t in zip(names, seconds, strict=True)}
    return figure(key, ratios, **medians)


def bench_training(sizes: Sizes, bar: tqdm) -> dict[str, dict[str, Any]]:
    """Time for the same number of tokens: one update from `batch_size` windows."""
    fast = our_step(sizes)
    fast(sizes.micro_batch)  # the first one also sets up kernels and optimizer
    found = {}
    for key, fused in (("train_speedup", False), ("train_speedup_fused", True)):
        slow = baseline_step(sizes, fused)
        slow(sizes.micro_batch)
        turns = partial(slow, sizes.batch_size), partial(fast, sizes.batch_size)
        found[key] = take_turns(key, *turns, sizes.pairs, bar)
    return found


def bench_memory(sizes: Sizes, bar: tqdm) -> dict[str, Any]:
    """Peaks of whole processes, torch and weights included; beside them, the update's own share."""
    bar.set_postfix_str("train_memory_ratio")
    ours, slow = (in_fresh_process(name, sizes) for name in ("ours", "baseline"))
    update_alone = (ours["peak"] - ours["start"]) / max(slow["peak"] - slow["start"], 1)
    bar.update()
    return figure(
        "train_memory_ratio",
        [ours["peak"] / slow["peak"]],
        baseline_mb=slow["peak"] // 2**20,
        our_mb=ours["peak"] // 2**20,
        update_alone=round(update_alone, 3),
    )


def bench_encode(text: str, pairs: int, bar: tqdm) -> dict[str, Any]:
    """All contents of the corpus as one text, to 16-bit ids."""
    tokenizer = CharTokenizer(build_vocab([text]))
    unk = tokenizer.special[UNK]
    stoi = {token: i for i, token in enumerate(tokenizer.vocab) if i >= len(SPECIAL_TOKENS)}
    if not np.array_equal(baseline.encode(stoi, unk, text[:1000]), tokenizer.encode(text[:1000])):
        raise BenchError("the two ways of encoding disagree")
    slow = partial(baseline.encode, stoi, unk, text)
    return take_turns("encode_speedup", slow, lambda: tokenizer.encode(text), pairs, bar)


def bench_generation(sizes: Sizes, bar: tqdm) -> dict[str, dict[str, Any]]:
    """Speed beside the baseline's, and whether a late character costs more than an early one.

    Ours runs as `nanopoet write` does, on two threads and in float16. A character's time is that
    between two calls of the model, so reading the prompt, before the first, flatters nothing; late
    and early times are medians, so a hiccup of the machine does not count.
    """
    slow, model, prompt = sizes.model(fused=False), sizes.model(fused=True), [0] * sizes.prompt
    model.load_state_dict(slow.state_dict())
    moments: list[float] = []
    model.register_forward_hook(lambda *_: moments.append(time.perf_counter()))

    def ours() -> None:
        with limit_threads(2):
            generate(model, [prompt], sizes.characters, precision="float16")

    theirs = partial(baseline.write, slow, prompt, sizes.characters)
    speed = take_turns("generate_speedup", theirs, ours, sizes.pairs, bar)
    runs = np.diff(np.array(moments).reshape(sizes.pairs, sizes.characters))
    quarter = sizes.characters // 4
    late, early = np.median(runs[:, -quarter:], axis=1), np.median(runs[:, :quarter], axis=1)
    flatness = figure("generate_flatness", (late / early).tolist())
    return {"generate_speedup": speed, "generate_flatness": flatness}


def bench_learning(bar: tqdm) -> dict[str, dict[str, Any]]:
    """What is learned from the texts' budget of tokens. One run: there is no range."""
    learned = learn(report=bar.set_postfix_str)
    bar.update()
    return {
        "val_loss_100": figure("val_loss_100", [learned.val_loss], curve=learned.curve),
        "steps_to_unigram": figure("steps_to_unigram", [learned.unigram_step]),
    }


def run_bench(full: bool, quick_test: bool = False) -> dict[str, Any]:
    """Measure everything; `quick_test` takes a toy's shape and text, to see that it runs.

    Raises `BenchError` or `CorpusError` when something is missing.
    """
    sizes = TINY if quick_test else Sizes()
    if quick_test:
        text = "床前明月光，疑是地上霜。" * 100
    else:
        text = "".join(poem.content for poem in load_poems(raw()))
    with tqdm(total=5 + full, unit="figure", disable=None) as bar:
        results = {"train_memory_ratio": bench_memory(sizes, bar)}
        results |= bench_training(sizes, bar)
        results["encode_speedup"] = bench_encode(text, sizes.pairs, bar)
        results |= bench_generation(sizes, bar)
        if full:
            results |= bench_learning(bar)
    machine = {
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "python": platform.python_version(),
        "cpu": f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()}",
        "fast_precision": fast_precision(torch.device("cpu")),
    }
    return {key: results[key] for key in TARGETS if key in results} | {"machine": machine}


def print_table(results: dict[str, Any], console: Console) -> None:
    """The figures beside what they must reach, what they mean, and the machine."""
    table = Table("figure", "value", "range", "must", "aim", "", box=SIMPLE)
    measured = [key for key in TARGETS if key in results]
    for key in measured:
        _, must, aim, better = TARGETS[key]
        found, sign = results[key], 1 if better == "higher" else -1
        met = [sign * found["value"] >= sign * wanted for wanted in (must, aim)]
        verdict = "aim met" if met[1] else "must met" if met[0] else "missed"
        bound = "≥" if better == "higher" else "≤"
        value, spread = f"{found['value']:g}", f"{found['low']:g}–{found['high']:g}"
        table.add_row(key, value, spread, f"{bound} {must:g}", f"{bound} {aim:g}", verdict)
    console.print(table)
    for key in measured:
        console.print(f"{key}: {TARGETS[key][0]}")
    console.print("machine:", ", ".join(f"{k} {v}" for k, v in results["machine"].items()))


def bench_command(as_json: bool, full: bool) -> None:
    """Run, then print a table, or JSON."""
    results = run_bench(full)
    if as_json:
        print(json.dumps(results, ensure_ascii=False, indent=2))
    else:
        print_table(results, Console())
