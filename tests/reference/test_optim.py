"""Optimizers: every weight is moved once, in the way that suits it."""

import pytest
import torch

from nanopoet_ref.optim import configure_optimizers

SETTINGS = [{}, {"weight_decay": 0.1}, {"muon_lr": 0.02, "weight_decay": 0.1}]


def groups_of(optimizers):
    return [group for optimizer in optimizers for group in optimizer.param_groups]


def group_by_name(model, optimizers):
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(p)]: group for group in groups_of(optimizers) for p in group["params"]}


@pytest.mark.parametrize("style", ["gpt2", "modern"])
@pytest.mark.parametrize("settings", SETTINGS, ids=str)
def test_every_weight_is_in_exactly_one_group(make_gpt, style, settings):
    model = make_gpt(style)
    optimizers = configure_optimizers(model, **settings)
    held = [id(p) for group in groups_of(optimizers) for p in group["params"]]
    assert len(held) == len(set(held))
    assert set(held) == {id(p) for p in model.parameters()}


@pytest.mark.parametrize("settings", SETTINGS[1:], ids=str)
def test_decay_spares_biases_norms_and_embeddings(make_gpt, settings):
    model = make_gpt("gpt2")
    for name, group in group_by_name(model, configure_optimizers(model, **settings)).items():
        spared = name.endswith("bias") or "norm" in name or name.startswith(("wte", "wpe"))
        assert group["weight_decay"] == (0.0 if spared else 0.1), name


@pytest.mark.parametrize("style", ["gpt2", "modern"])
def test_muon_takes_the_matrices_of_the_blocks_and_nothing_else(make_gpt, style):
    model = make_gpt(style)
    muon, adamw = configure_optimizers(model, muon_lr=0.02)
    assert isinstance(muon, torch.optim.Muon)
    assert isinstance(adamw, torch.optim.AdamW)
    taken = set(group_by_name(model, [muon]))
    blocks = {n for n, p in model.named_parameters() if n.startswith("blocks.") and p.dim() == 2}
    assert taken == blocks


def test_without_muon_there_is_adamw_alone(make_gpt):
    (optimizer,) = configure_optimizers(make_gpt())
    assert isinstance(optimizer, torch.optim.AdamW)


def test_each_kind_of_weight_has_its_own_rate(make_gpt):
    model = make_gpt("gpt2")
    rates = {"lr": 0.001, "muon_lr": 0.02, "embedding_lr": 0.3, "head_lr": 0.004}
    groups = group_by_name(model, configure_optimizers(model, **rates))
    expected = {
        "wte.weight": 0.3,
        "wpe.weight": 0.3,
        "head.weight": 0.004,
        "head.bias": 0.001,
        "norm_f.weight": 0.001,
        "blocks.0.mlp.fc.weight": 0.02,
    }
    assert {name: groups[name]["lr"] for name in expected} == expected
    assert all(group["initial_lr"] == group["lr"] for group in groups.values())


def test_rates_not_given_are_the_common_one(make_gpt):
    optimizers = configure_optimizers(make_gpt("gpt2"), lr=0.005)
    assert {group["lr"] for group in groups_of(optimizers)} == {0.005}


def test_a_rate_of_0_freezes_the_embedding(make_gpt):
    model = make_gpt("gpt2")
    groups = group_by_name(model, configure_optimizers(model, lr=0.005, embedding_lr=0.0))
    assert groups["wte.weight"]["lr"] == 0.0


def test_two_steps_of_adamw_by_hand(make_gpt):
    lr, decay, beta1, beta2, eps = 0.01, 0.1, 0.9, 0.95, 1e-8
    model = make_gpt("gpt2", awake=True, dtype=torch.float64)
    optimizers = configure_optimizers(model, lr=lr, weight_decay=decay, betas=(beta1, beta2))
    weight = model.blocks[0].mlp.fc.weight
    w, m, v = weight.detach().clone(), 0.0, 0.0
    for t in (1, 2):
        model.zero_grad()
        model(torch.arange(12).unsqueeze(0)).square().mean().backward()
        g = weight.grad.clone()
        for optimizer in optimizers:
            optimizer.step()
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g**2
        w = w * (1 - lr * decay)  # decoupled: the decay never passes through m and v
        w = w - lr * (m / (1 - beta1**t)) / ((v / (1 - beta2**t)).sqrt() + eps)
        assert torch.allclose(weight, w, rtol=0, atol=1e-10)


def test_muon_moves_a_matrix_evenly_in_all_directions(make_gpt):
    model = make_gpt("gpt2")
    weight = model.blocks[0].attn.proj.weight
    before = weight.detach().clone()
    muon, _ = configure_optimizers(model, muon_lr=0.02)
    directions = [torch.linalg.qr(torch.randn(16, 16))[0] for _ in range(2)]
    weight.grad = directions[0] @ torch.linspace(1, 10, 16).diag() @ directions[1]
    muon.step()
    moved = torch.linalg.svdvals(weight.detach() - before)
    assert moved.max() / moved.min() < 2
