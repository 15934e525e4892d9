"""Where and how things run: device, threads, seeds, precision."""

import contextlib
import random
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import nn

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
# Gradients in float16 vanish unless the loss is scaled up; bfloat16 has the range of float32.
TRAINING_PRECISIONS = ("float32", "bfloat16")


def pick_device(name: str = "auto") -> torch.device:
    """The device by name, or the best there is: CUDA, then Apple's MPS, then the CPU.

    Raises `ValueError` for a device that this machine does not have.

    >>> pick_device("cpu")
    device(type='cpu')
    """
    has = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(device for device, there in has.items() if there))
    if not has.get(name.split(":")[0], False):
        there = ", ".join(device for device, there in has.items() if there)
        raise ValueError(f"device {name!r} is not on this machine; it has: {there}")
    return torch.device(name)


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch, so that a run can be repeated to the last bit."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)


def make_generator(*seed: int) -> torch.Generator:
    """A generator of its own for one purpose, such as batch 7 of run 0.

    What it gives depends on the numbers alone, not on who else drew numbers before.

    >>> a, b = make_generator(0, 7), make_generator(0, 7)
    >>> torch.equal(torch.rand(3, generator=a), torch.rand(3, generator=b))
    True
    """
    mixed = np.random.SeedSequence((len(seed), *seed)).generate_state(1, dtype=np.uint32)[0]
    return torch.Generator().manual_seed(int(mixed))


def autocast(device: torch.device, precision: str) -> contextlib.AbstractContextManager:
    """Matrix products in `precision`; everything that needs care stays in float32."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision {precision!r} is unknown; choose from {list(PRECISIONS)}")
    if precision == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, PRECISIONS[precision])


def unwrapped(model: nn.Module) -> Any:
    """The model itself, without what `torch.compile` or a parallel training puts around it.

    What is around it computes the same, but hides the configuration and renames the weights.

    >>> inside = nn.Linear(2, 2)
    >>> unwrapped(nn.DataParallel(inside)) is inside
    True
    """
    while isinstance(model, nn.Module):
        for name in ("module", "_orig_mod"):  # DistributedDataParallel's, torch.compile's
            if isinstance(inside := getattr(model, name, None), nn.Module):
                model = inside
                break
        else:
            break
    return model


def rng_states(device: torch.device) -> dict[str, torch.Tensor]:
    """The states of PyTorch's own generators, from which dropout draws: the CPU's, the device's."""
    states = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        states[device.type] = torch.get_device_module(device).get_rng_state()
    return states


def set_rng_states(states: Mapping[str, torch.Tensor], device: torch.device) -> None:
    """Go on drawing where `rng_states` stood; a run that has moved has no state for its device."""
    torch.set_rng_state(states["cpu"])
    if device.type != "cpu" and device.type in states:
        torch.get_device_module(device).set_rng_state(states[device.type])


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, and afterwards the mode there was, whatever happened in between."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


@contextmanager
def limit_threads(n: int) -> Iterator[None]:
    """No more than `n` threads, for work in steps too small for many, such as one character.

    >>> with limit_threads(1):
    ...     torch.get_num_threads()
    1
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(min(n, threads))
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def fast_precision(device: torch.device) -> str:
    """The faster precision for training here, found by trying both.

    Many CPUs have no instructions for bfloat16 and are many times slower with it.
    """
    seconds = {}
    for name in TRAINING_PRECISIONS:
        a = torch.ones(1024, 1024, dtype=PRECISIONS[name], device=device)
        (a @ a)[0, 0].item()  # the first product also sets up the kernel
        began = time.perf_counter()
        for _ in range(3):
            (a @ a)[0, 0].item()
        seconds[name] = time.perf_counter() - began
    return min(seconds, key=lambda name: seconds[name])
