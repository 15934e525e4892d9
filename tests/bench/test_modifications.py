"""`nanopoet dev modifications`: each change does what it says, on a model of toy size."""

import json
import math

import pytest
import torch

from nanopoet.bench import modifications
from nanopoet.bench.modifications import CLASS, POLAR, ROWS, Muon, optimizers_of, orthogonal
from nanopoet_ref.loss import masked_cross_entropy
from nanopoet_ref.training import Batch, TrainConfig, training_step

TABLE = {"lr": 0.01, "embedding_lr": 0.1, "head_lr": 0.002, "muon_lr": 0.01}


@pytest.fixture
def batch():
    idx = torch.randint(23, (4, 9))
    return Batch(idx[:, :-1], idx[:, 1:])


@pytest.mark.parametrize("name", ROWS)
def test_a_row_learns_a_batch_by_heart_and_none_looks_ahead(make_gpt, batch, name):
    model = make_gpt("modern")
    loss_fn = ROWS[name].change(model) or masked_cross_entropy
    optimizers = optimizers_of(model, ROWS[name], TABLE)
    first, _ = training_step(model, [batch], loss_fn, optimizers, TrainConfig())
    for _ in range(100):
        last, _ = training_step(model, [batch], loss_fn, optimizers, TrainConfig())
    assert last < first - 0.5
    changed = batch.idx.clone()
    changed[:, -1] = (changed[:, -1] + 1) % 23
    with torch.no_grad():
        before, after = model(batch.idx), model(changed)
    assert torch.equal(before[:, :-1], after[:, :-1])
    assert not torch.equal(before[:, -1], after[:, -1])


@pytest.mark.parametrize("name", ["smear", "bigram embeddings", "value embeddings"])
def test_what_is_added_to_the_model_begins_as_nothing_and_is_learned(make_gpt, batch, name):
    model = make_gpt("modern")
    with torch.no_grad():
        before = model(batch.idx)
        ROWS[name].change(model)
        assert torch.equal(model(batch.idx), before)
    own = {
        n: p for n, p in model.named_parameters() if n not in dict(make_gpt().named_parameters())
    }
    old = {n: p.detach().clone() for n, p in model.named_parameters()}
    optimizers = optimizers_of(model, ROWS[name], TABLE)
    for _ in range(3):  # at first the blocks are the identity, and the head is zero
        training_step(model, [batch], masked_cross_entropy, optimizers, TrainConfig())
    assert own
    assert any(not torch.equal(p, old[n]) for n, p in model.named_parameters() if n in own)


def test_the_smear_takes_from_the_row_before(make_gpt):
    model = make_gpt("modern")
    plain = model.wte.weight.detach().clone()
    ROWS["smear"].change(model)
    with torch.no_grad():
        model.smear_strength.fill_(2.0)  # a gate of zeros lets in one half
        rows = model.wte(torch.tensor([[3, 5]]))[0]
    assert torch.allclose(rows, torch.stack([plain[3], plain[5] + plain[3]]))


def test_two_levels_sum_to_one_over_the_vocabulary(make_gpt):
    model = make_gpt("modern", vocab_size=CLASS + 5)
    loss = ROWS["two-level softmax"].change(model)
    for parameter in model.head.parameters():
        torch.nn.init.normal_(parameter)
    row = torch.randn(1, 1, 16).expand(1, CLASS + 5, 16)
    everyone = torch.arange(CLASS + 5).unsqueeze(0)
    nats = [loss(row[:, :1], everyone[:, i : i + 1]).item() for i in range(CLASS + 5)]
    assert sum(math.exp(-x) for x in nats) == pytest.approx(1, abs=1e-5)
    assert loss(row, everyone).item() == pytest.approx(sum(nats) / len(nats), abs=1e-5)
    few = torch.arange(CLASS + 5).unsqueeze(0) < 2
    assert loss(row, everyone, few).item() == pytest.approx(sum(nats[:2]) / 2, abs=1e-5)


def test_polar_express_comes_nearer_than_muon_as_it_is():
    matrix = torch.randn(16, 24) * torch.logspace(-2, 0, 16).unsqueeze(1)
    off = [
        (torch.linalg.svdvals(orthogonal(matrix, coefficients)) - 1).abs().max()
        for coefficients in (POLAR, modifications.QUINTIC * 5)
    ]
    assert off[0] < 0.15 < off[1]


def test_muon_as_it_is_moves_as_pytorchs_does(make_gpt, batch):
    moved = []
    for own in (False, True):
        model = make_gpt("modern", awake=True)
        optimizers = optimizers_of(model, ROWS["quick"], {**TABLE, "muon_ns_steps": 3})
        if own:
            matrices = optimizers[0].param_groups[0]["params"]
            optimizers[0] = Muon(
                matrices, 0.01, coefficients=modifications.QUINTIC * 3, per_row=False
            )
            optimizers[0].param_groups[0]["initial_lr"] = 0.01
        for _ in range(3):
            training_step(model, [batch], masked_cross_entropy, optimizers, TrainConfig())
        moved.append(model.blocks[0].mlp.fc.weight.detach())
    assert torch.allclose(*moved, atol=2e-3)
    assert not torch.allclose(
        moved[0], make_gpt("modern", awake=True).blocks[0].mlp.fc.weight, atol=5e-3
    )


def test_rows_get_one_size_by_normuon():
    weight = torch.nn.Parameter(torch.zeros(4, 6))
    muon = Muon([weight], 1.0, coefficients=modifications.QUINTIC * 3, per_row=True)
    weight.grad = torch.randn(4, 6) * torch.tensor([[1.0], [10.0], [0.1], [1.0]])
    muon.step()
    assert torch.allclose(weight.norm(dim=1), weight.norm(dim=1).mean().expand(4), rtol=1e-2)


def test_what_was_tried_is_not_tried_again_and_is_kept_at_once(monkeypatch, tmp_path):
    tried = []

    def fake(name, seed):
        if (name, seed) == ("NorMuon", 0) and not (tmp_path / "second").exists():
            raise KeyboardInterrupt
        tried.append((name, seed))
        return {"val_loss": 4.5}

    monkeypatch.setattr(modifications, "try_row", fake)
    path = tmp_path / "modifications.json"
    with pytest.raises(KeyboardInterrupt):
        modifications.write_modifications(1, path)
    assert len(json.loads(path.read_text("utf-8"))["rows"]) == len(ROWS) - 1
    (tmp_path / "second").touch()
    modifications.write_modifications(2, path)
    assert len(tried) == len(set(tried)) == 2 * len(ROWS)
    found = json.loads(path.read_text("utf-8"))
    assert all(set(runs) == {"0", "1"} for runs in found["rows"].values())
    assert found["preset"]["stages"][0]["max_steps"] == 650
