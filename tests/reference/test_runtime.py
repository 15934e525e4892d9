"""Devices, seeds and precisions."""

import random

import numpy as np
import pytest
import torch

from nanopoet_ref.runtime import (
    PRECISIONS,
    autocast,
    fast_precision,
    make_generator,
    pick_device,
    seed_everything,
)

CPU = torch.device("cpu")


def draw(*seed):
    return torch.rand(4, generator=make_generator(*seed)).tolist()


def test_auto_picks_a_device_that_can_compute():
    device = pick_device()
    assert torch.ones(2, device=device).sum().item() == 2


@pytest.mark.parametrize("name", ["tpu", "cuda:0", "gpu"])
def test_a_device_that_is_not_here_is_named(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match=name) as error:
        pick_device(name)
    assert "cpu" in str(error.value)


def test_the_best_device_there_is_comes_first(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert pick_device().type == "cuda"
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert pick_device().type == "mps"


def test_a_seed_repeats_python_numpy_and_torch():
    def draws():
        seed_everything(7)
        return random.random(), np.random.rand(), torch.rand(1).item()

    assert draws() == draws()


def test_a_generator_depends_on_its_numbers_alone():
    before = draw(3, 5)
    torch.rand(100)
    assert draw(3, 5) == before


def test_a_generator_leaves_the_global_one_alone():
    state = torch.get_rng_state()
    draw(1, 2)
    assert torch.equal(torch.get_rng_state(), state)


def test_other_numbers_give_other_draws():
    seeds = [(), (0, 1), (1, 0), (1, 1), (2**40, 1), (10, 1), (1, 10)]
    assert len({tuple(draw(*seed)) for seed in seeds}) == len(seeds)


def test_batch_0_of_a_run_is_not_the_run_itself():
    assert draw(3, 0) != draw(3)


def test_autocast_in_bfloat16_rounds_matrix_products_only():
    a = torch.rand(4, 4)
    with autocast(CPU, "bfloat16"):
        assert (a @ a).dtype == torch.bfloat16
        assert (a + a).dtype == torch.float32
    with autocast(CPU, "float32"):
        assert (a @ a).dtype == torch.float32


def test_an_unknown_precision_is_named():
    with pytest.raises(ValueError, match="int8"):
        autocast(CPU, "int8")


def test_fast_precision_is_one_of_ours():
    assert fast_precision(CPU) in PRECISIONS
