"""One update of the weights at the shape of the texts, ours and the baseline's, and its memory.

`nanopoet bench` times both here, and starts `python -m nanopoet.bench.step` for the memory of each:
what a process takes can only be told apart from another's in a process of its own.
"""

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from nanopoet.bench import baseline
from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.loss import fused_cross_entropy
from nanopoet_ref.optim import configure_optimizers
from nanopoet_ref.runtime import fast_precision, make_generator
from nanopoet_ref.tokenizer import Ids
from nanopoet_ref.training import TrainConfig, random_windows, training_step

TIME_LIMIT = 900.0  # seconds, for one process


class BenchError(ValueError):
    """A measurement that could not be made on this machine."""


@dataclass(frozen=True)
class Sizes:
    """The shape of texts 000 and 001; tests take a smaller one."""

    vocab_size: int = 11_868
    block_size: int = 256
    n_layer: int = 8
    n_head: int = 8
    n_embd: int = 256
    batch_size: int = 64
    micro_batch: int = 4  # ours: few enough rows that their activations fit the cache
    prompt: int = 14  # 李白, 五言绝句, 静夜思, framed
    characters: int = 200
    pairs: int = 5

    def model(self, fused: bool) -> GPT:
        """GPT-2 style for both sides: same shape, same number of parameters."""
        shape = ("vocab_size", "block_size", "n_layer", "n_head", "n_embd")
        return GPT(GPTConfig(**{name: getattr(self, name) for name in shape}, fused=fused))


TINY = Sizes(48, 32, 1, 2, 16, batch_size=4, micro_batch=2, prompt=4, characters=12, pairs=2)


def our_step(sizes: Sizes) -> Callable[[int], None]:
    """One update our way: micro-batches, fast products, fused attention, loss and optimizer."""
    model = sizes.model(fused=True)
    optimizers = configure_optimizers(model)
    ids, generator = some_ids(sizes), make_generator(0)
    config = TrainConfig(precision=fast_precision(torch.device("cpu")))

    def step(batch_size: int) -> None:
        batches = [
            random_windows(ids, sizes.block_size, sizes.micro_batch, generator)
            for _ in range(batch_size // sizes.micro_batch)
        ]
        training_step(model, batches, fused_cross_entropy, optimizers, config)

    return step


def baseline_step(sizes: Sizes, fused: bool = False) -> Callable[[int], None]:
    """One update the baseline's way, or with the kernels of PyTorch."""
    return baseline.make_step(sizes.model(fused), some_ids(sizes))


def some_ids(sizes: Sizes) -> Ids:
    """A stream to learn from. What it says makes no difference to time or memory."""
    return np.random.default_rng(0).integers(sizes.vocab_size, size=100_000).astype(np.uint16)


# --- Memory ---------------------------------------------------------------------------------------


def peak_memory() -> int:
    """The most memory this process ever held, in bytes: all of it, Python and torch included."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux: getrusage would also count the parent before the program began
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return int(lines["VmHWM"].split()[0]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def memory_of_update(name: str, sizes: Sizes) -> dict[str, int]:
    """Peak memory of this process before an update, and after it, in bytes."""
    step = {"ours": our_step, "baseline": baseline_step}[name](sizes)
    start = peak_memory()
    step(sizes.micro_batch)  # makes the optimizer's state, which every later update has
    step(sizes.batch_size)
    return {"start": start, "peak": peak_memory()}


def in_fresh_process(name: str, sizes: Sizes) -> dict[str, int]:
    """`memory_of_update` where nothing ran before."""
    command = [sys.executable, "-m", "nanopoet.bench.step", name, json.dumps(asdict(sizes))]
    try:
        result = subprocess.run(
            command, capture_output=True, encoding="utf-8", timeout=TIME_LIMIT, check=True
        )
        return json.loads(result.stdout.splitlines()[-1])
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"one update ({name}) took more than {TIME_LIMIT:g} s") from error
    except subprocess.CalledProcessError as error:
        reason = error.stderr.strip().splitlines()[-1:] or ["no message; was memory short?"]
        raise BenchError(f"one update ({name}) failed: {reason[0]}") from error


if __name__ == "__main__":  # a fresh process, for `in_fresh_process`
    print(json.dumps(memory_of_update(sys.argv[1], Sizes(**json.loads(sys.argv[2])))))
