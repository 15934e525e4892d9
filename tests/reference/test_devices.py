"""Any device, without having one: on torch's `meta` device, tensors have shapes and no numbers.

An operation that mixes it with the CPU is an error there, as it is on a GPU. What needs numbers
(`.item()`, indexing by a mask) is seen to by a rule over the source: no tensor is made without a
device in what runs on one.
"""

import ast
import contextlib
from pathlib import Path

import pytest
import torch
from torch import nn

import nanopoet_ref
from nanopoet_ref import runtime
from nanopoet_ref.attention import KVCache
from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.loss import fused_cross_entropy, masked_cross_entropy
from nanopoet_ref.runtime import make_generator, rng_states, set_rng_states, unwrapped
from nanopoet_ref.sampling import next_token_probs, sample

META = torch.device("meta")
STYLES = ["gpt2", "modern"]


@pytest.fixture(autouse=True)
def no_autocast(monkeypatch):
    """Precisions are for devices that compute; meta knows none."""
    monkeypatch.setattr(torch, "autocast", lambda *_, **__: contextlib.nullcontext())


def meta_gpt(style, fused=True):
    config = GPTConfig(9, block_size=8, n_layer=2, n_head=2, n_embd=8, style=style, fused=fused)
    return GPT(config).to(META)


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("style", STYLES)
def test_a_forward_pass_makes_no_tensor_elsewhere(style, fused):
    model = meta_gpt(style, fused)
    idx = torch.zeros(3, 5, dtype=torch.long, device=META)
    assert model(idx).device == META
    caches = [KVCache(8) for _ in model.blocks]
    assert model(idx, caches=caches).device == META
    assert model(idx[:, :1], torch.arange(5, 6, device=META), caches).shape == (3, 1, 9)


@pytest.mark.parametrize("loss_fn", [masked_cross_entropy, fused_cross_entropy])
@pytest.mark.parametrize("style", STYLES)
def test_a_loss_and_its_gradients_stay_on_the_device(style, loss_fn):
    model = meta_gpt(style)
    idx = torch.zeros(3, 5, dtype=torch.long, device=META)
    for mask in (None, torch.ones(3, 5, dtype=torch.bool, device=META)):
        loss_fn(model(idx), idx, mask).backward()
    assert {p.grad.device for p in model.parameters()} == {META}


def test_sampling_stays_on_the_device_and_draws_where_the_generator_is():
    logits = torch.zeros(3, 9, device=META)
    for options in ({}, {"temperature": 0}, {"top_k": 2}, {"top_p": 0.5}):
        assert next_token_probs(logits, **options).device == META
    assert sample(logits, make_generator(0)).device == META  # a generator of the CPU


# --- No tensor without a device -------------------------------------------------------------------

MAKERS = {"arange", "empty", "eye", "full", "linspace", "ones", "rand", "randn", "randint"}
MAKERS |= {"randperm", "tensor", "zeros"}
RUNS_ON_A_DEVICE = ["attention", "gpt", "sampling", "loss", "optim"]


def homeless(source: str) -> list[str]:
    """Calls that make a tensor on the CPU whatever the device."""
    return [
        ast.unparse(node)
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and (node.func.value.id, node.func.attr in MAKERS) == ("torch", True)
        and "device" not in {keyword.arg for keyword in node.keywords}
    ]


@pytest.mark.parametrize("name", RUNS_ON_A_DEVICE)
def test_no_tensor_is_made_without_a_device(name):
    source = (Path(nanopoet_ref.__file__).parent / f"{name}.py").read_text("utf-8")
    assert homeless(source) == []


def test_the_rule_sees_a_tensor_without_a_device():
    assert homeless("x = torch.arange(3) + torch.ones(2, device=d) + np.zeros(3)") == [
        "torch.arange(3)"
    ]


# --- Wrapped models -------------------------------------------------------------------------------


class Wrapper(nn.Module):
    """As DistributedDataParallel does: computes the same, and shows nothing of what is inside."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, *args, **options):
        return self.module(*args, **options)


@pytest.mark.parametrize("wrap", [Wrapper, lambda model: torch.compile(model, backend="eager")])
def test_what_is_around_a_model_comes_off(make_gpt, wrap):
    bare = make_gpt()
    assert unwrapped(wrap(bare)) is unwrapped(bare) is bare
    assert unwrapped(Wrapper(wrap(bare))) is bare


# --- Generators of a device -----------------------------------------------------------------------


class FakeDevice:
    """A device module with a generator of its own, which counts."""

    def __init__(self):
        self.state = torch.tensor([7], dtype=torch.uint8)

    def get_rng_state(self):
        return self.state.clone()

    def set_rng_state(self, state):
        self.state = state.clone()


def test_a_devices_generator_is_saved_and_set_too(monkeypatch):
    fake = FakeDevice()
    monkeypatch.setattr(runtime.torch, "get_device_module", lambda device: fake)
    device = torch.device("cuda")
    states = rng_states(device)
    assert set(states) == {"cpu", "cuda"}
    fake.set_rng_state(torch.tensor([9], dtype=torch.uint8))
    drawn = torch.rand(3)
    set_rng_states(states, device)
    assert fake.state.tolist() == [7]
    assert torch.equal(torch.rand(3), drawn)


def test_a_run_that_moves_keeps_what_it_can(monkeypatch):
    monkeypatch.setattr(runtime.torch, "get_device_module", lambda device: 1 / 0)
    states = rng_states(torch.device("cpu"))
    set_rng_states(states, torch.device("cuda"))  # begun on the CPU: there is no state for it
    assert set(states) == {"cpu"}
