"""`nanopoet dev processes`: two processes beside two threads and one, and what talking costs them.

torchrun starts this module in two processes, which stay for all that is measured. Ways of training
take turns, and each turn gives a ratio to the one it is compared with: a machine that is slower a
minute later is slower for both. Figures are medians, with the smallest and the largest beside them.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from statistics import median
from typing import Any

import torch

from nanopoet.bench.experiments import EXPERIMENTS, commit
from nanopoet.bench.step import BenchError
from nanopoet.files import write_atomically
from nanopoet.poet.parallel import (
    DataParallel,
    SharedStep,
    barrier,
    from_rank_zero,
    own_rows,
    process_group,
    rank,
)
from nanopoet.poet.presets import LOSSES, load_presets, make_optimizers
from nanopoet_ref.gpt import GPT, GPTConfig, count_parameters
from nanopoet_ref.runtime import fast_precision, make_generator, seed_everything
from nanopoet_ref.training import Batch, TrainConfig, training_step

VOCAB_SIZE = 6908  # as many tokens as preset quick has
ROWS, LENGTH = 16, 128  # a batch, the same for every way and size
SIZES = ("text", "quick", "evening")  # presets whose models are trained, the smallest first
SPEED = "quick"  # the one that all ways train
TIME_LIMIT = 3600.0  # seconds, for all of it

Turn = Callable[[], object]  # one step of the weights, by this process


def model_config(preset: str) -> GPTConfig:
    """The model of a preset, with a vocabulary of VOCAB_SIZE."""
    return GPTConfig(vocab_size=VOCAB_SIZE, **load_presets()[preset].model)


@cache
def precision() -> str:
    """The faster one here, as rank 0 has found."""
    return from_rank_zero(fast_precision(torch.device("cpu")))


def training(preset: str, *, share: bool, talk: bool) -> Turn:
    """A step of training: on this process's rows alone or on all, with or without the others."""
    seed_everything(0)
    stage = load_presets()[preset].stages[-1]
    model = GPT(model_config(preset))
    optimizers = make_optimizers(model, stage.optimizer)
    ids = torch.randint(VOCAB_SIZE, (ROWS, LENGTH + 1), generator=make_generator(0))
    whole = Batch(ids[:, :-1], ids[:, 1:])
    batch = own_rows(lambda i: whole)(0) if share else whole
    config = TrainConfig(precision=precision())
    others = [batch], LOSSES[stage.loss], optimizers, config
    if talk:
        return partial(SharedStep(0, 0), DataParallel(model), *others)
    return partial(training_step, model, *others)


def seconds(turn: Turn, steps: int, threads: int, everyone: bool) -> float:
    """How long the steps of one turn take; whoever has no part in it waits."""
    torch.set_num_threads(threads)
    barrier()
    began = time.perf_counter()
    for _ in range(steps if everyone or rank() == 0 else 0):
        turn()
    barrier()
    return time.perf_counter() - began


def take_turns(ways: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """The seconds of every way in every round, after one round that is not counted."""
    measured = [{name: way() for name, way in ways.items()} for _ in range(rounds + 1)]
    return {name: [found[name] for found in measured[1:]] for name in ways}


def with_spread(values: list[float], digits: int = 3) -> dict[str, float]:
    """The median, the smallest and the largest."""
    found = {"value": median(values), "low": min(values), "high": max(values)}
    return {name: round(value, digits) for name, value in found.items()}


def measure_speed(steps: int, rounds: int) -> dict[str, Any]:
    """Tokens per second in each way, and how many times those of one process."""
    shared = training(SPEED, share=True, talk=True)
    alone = training(SPEED, share=False, talk=False)
    ways = {
        "1 process of 1 thread": partial(seconds, alone, steps, 1, False),
        "1 process of 2 threads": partial(seconds, alone, steps, 2, False),
        "2 processes of 1 thread": partial(seconds, shared, steps, 1, True),
    }
    found = take_turns(ways, rounds)
    one, two, _ = found.values()
    tokens = steps * ROWS * LENGTH
    return {
        name: {
            "tokens_per_second": with_spread([tokens / t for t in times], 0),
            "beside_1_thread": with_spread([a / b for a, b in zip(one, times, strict=True)]),
            "beside_2_threads": with_spread([a / b for a, b in zip(two, times, strict=True)]),
        }
        for name, times in found.items()
    }


def measure_talk(preset: str, steps: int, rounds: int) -> dict[str, Any]:
    """Which share of a step two processes spend on adding up gradients, for one size of model.

    The rest of the step is what both take, each with its rows, when neither hears of the other.
    """
    ways = {
        "together": partial(seconds, training(preset, share=True, talk=True), steps, 1, True),
        "apart": partial(seconds, training(preset, share=True, talk=False), steps, 1, True),
    }
    found = take_turns(ways, rounds)
    together, apart = found["together"], found["apart"]
    parameters = count_parameters(GPT(model_config(preset)))
    return {
        "parameters": parameters,
        "megabytes": round(parameters * 4 / 1e6, 1),  # of gradients, as float32
        "step_seconds": with_spread([t / steps for t in together], 4),
        "talk": with_spread([1 - b / a for a, b in zip(together, apart, strict=True)]),
    }


def measure(steps: int, rounds: int, sizes: Sequence[str]) -> dict[str, Any]:
    """All of it, by every process; rank 0's clock counts."""
    with process_group():
        return {
            "precision": precision(),
            "speed": measure_speed(steps, rounds),
            "communication": {name: measure_talk(name, steps, rounds) for name in sizes},
        }


def in_two_processes(steps: int, rounds: int, sizes: Sequence[str] = SIZES) -> dict[str, Any]:
    """What `measure` finds when torchrun starts this module twice."""
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    program = ["--nproc-per-node", "2", "-m", "nanopoet.bench.processes"]
    command = [*torchrun, *program, str(steps), str(rounds), *sizes]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", timeout=TIME_LIMIT)
    if done.returncode:
        raise BenchError("the processes did not come to an end: see above")
    return json.loads(done.stdout)


def write_processes(steps: int, rounds: int) -> None:
    """Measure, write chapters/experiments/processes.json, and print the tables."""
    found = {
        "command": f"nanopoet dev processes --steps {steps} --rounds {rounds}",
        "commit": commit(),
        "machine": {"cores": os.cpu_count(), "torch": torch.__version__},
        "model": SPEED,
        **in_two_processes(steps, rounds),
    }
    path = EXPERIMENTS / "processes.json"
    write_atomically(path, json.dumps(found, ensure_ascii=False, indent=1) + "\n")
    print(tables(found))


def span(found: Mapping[str, float], form: str) -> str:
    """A median and its range, as in a table."""
    return f"{found['value']:{form}} ({found['low']:{form}} to {found['high']:{form}})"


def tables(found: Mapping[str, Any]) -> str:
    """What was measured, as chapters/cluster.md shows it."""
    lines = ["| way | tokens a second | ÷ 1 thread | ÷ 2 threads |", "|---|---|---|---|"]
    for name, way in found["speed"].items():
        ratios = [span(way[key], ".2f") for key in ("beside_1_thread", "beside_2_threads")]
        lines.append(
            f"| {name} | {span(way['tokens_per_second'], ',.0f')} | {' | '.join(ratios)} |"
        )
    lines += ["", "| model | parameters | gradients | a step | talking |", "|---|---|---|---|---|"]
    for name, size in found["communication"].items():
        cells = f"{size['parameters']:,} | {size['megabytes']} MB"
        step, talk = span(size["step_seconds"], ".3f"), span(size["talk"], ".0%")
        lines.append(f"| {name} | {cells} | {step} s | {talk} |")
    return "\n".join(lines)


if __name__ == "__main__":
    results = measure(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
    if int(os.environ["RANK"]) == 0:
        print(json.dumps(results))
