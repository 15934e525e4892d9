"""Checkpoints: all or nothing, and as if the run had never stopped."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nanopoet_ref.checkpoint import CheckpointError, load_checkpoint, save_checkpoint, warm_start
from nanopoet_ref.loss import masked_cross_entropy
from nanopoet_ref.midtraining import poem_batches
from nanopoet_ref.optim import configure_optimizers
from nanopoet_ref.pretraining import poem_stream, window_batches
from nanopoet_ref.runtime import seed_everything
from nanopoet_ref.schedule import warmup_cosine
from nanopoet_ref.tokenizer import SPECIAL_TOKENS, CharTokenizer, render_poems
from nanopoet_ref.training import BatchStream, TrainConfig, train

OPTIMIZERS = {"adamw": {"lr": 0.01}, "muon": {"lr": 0.01, "muon_lr": 0.02, "weight_decay": 0.1}}


def same(one, other):
    """Equal to the last bit, through dictionaries and lists."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


@pytest.fixture
def model(make_gpt, tokenizer):
    return make_gpt(vocab_size=len(tokenizer), dropout=0.2)


@pytest.fixture
def saved(model, tokenizer, tmp_path):
    path = tmp_path / "model.pt"
    save_checkpoint(path, model, tokenizer, 7, configure_optimizers(model), {"preset": "quick"})
    return path


@pytest.fixture(scope="module")
def one_file(make_gpt, tokenizer, tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "model.pt"
    save_checkpoint(path, make_gpt(vocab_size=len(tokenizer)), tokenizer, 7)
    return path


def edit(path, change):
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)


def refused(path):
    """The message with which a checkpoint is refused; it names the file."""
    with pytest.raises(CheckpointError) as error:
        load_checkpoint(path)
    assert str(path) in str(error.value)
    return str(error.value)


# --- There and back ---------------------------------------------------------------------------


@pytest.mark.parametrize("style", ["gpt2", "modern"])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_what_is_saved_is_what_is_loaded(make_gpt, tokenizer, tmp_path, style, kind):
    model = make_gpt(style, vocab_size=len(tokenizer), dropout=0.2)
    optimizers = configure_optimizers(model, **OPTIMIZERS[kind])
    model(torch.arange(12).unsqueeze(0)).square().mean().backward()
    for optimizer in optimizers:
        optimizer.step()
    torch.rand(5)
    path, state = tmp_path / "model.pt", torch.get_rng_state()
    save_checkpoint(path, model, tokenizer, 7, optimizers, {"preset": "quick", "seed": 3})
    assert torch.equal(torch.get_rng_state(), state)
    found = load_checkpoint(path)
    assert found.model.config == model.config
    assert found.tokenizer.vocab == tokenizer.vocab
    assert (found.step, found.notes) == (7, {"preset": "quick", "seed": 3})
    assert same(found.model.state_dict(), model.state_dict())
    others = configure_optimizers(found.model, **OPTIMIZERS[kind])
    found.restore(others)
    assert same([o.state_dict() for o in others], [o.state_dict() for o in optimizers])
    assert torch.equal(torch.get_rng_state(), state)


def test_nothing_but_the_checkpoint_is_left_behind(saved):
    assert list(saved.parent.iterdir()) == [saved]


def test_restoring_more_optimizers_than_were_saved_is_refused(saved, model):
    with pytest.raises(CheckpointError, match=r"1 .* 2"):
        load_checkpoint(saved).restore(configure_optimizers(model, muon_lr=0.02))


def test_restoring_another_kind_of_optimizer_is_refused(saved, model):
    with pytest.raises(CheckpointError):
        load_checkpoint(saved).restore([torch.optim.AdamW(model.parameters())])


def stages(tokenizer, poems):
    stream, framed = poem_stream(tokenizer, poems), render_poems(tokenizer, poems * 3)
    return {
        "pretrain": (window_batches, stream),
        "midtrain": (poem_batches, framed),
    }


@pytest.mark.parametrize("stage", ["pretrain", "midtrain"])
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_resumed_run_gives_the_bits_of_an_uninterrupted_one(
    make_gpt, tokenizer, poems, tmp_path, stage, kind
):
    make_batches, data = stages(tokenizer, poems)[stage]
    path, config = tmp_path / "model.pt", TrainConfig(max_steps=9, micro_steps=2, eval_interval=4)

    def go(model, optimizers, **options):
        def mult(step):
            return warmup_cosine(step, 9, warmup_steps=3)

        batches, fixed = make_batches(data, data, 30, batch_size=3, eval_iters=2)
        stream = BatchStream(batches, config.micro_steps * options.get("start_step", 0))
        return train(
            model,
            stream,
            masked_cross_entropy,
            mult,
            config,
            eval_batches=fixed,
            optimizers=optimizers,
            **options,
        )

    def save(log):
        if log.step == 4:
            save_checkpoint(path, model, tokenizer, log.step, optimizers)

    model = make_gpt("modern", vocab_size=len(tokenizer), block_size=30, dropout=0.3)
    optimizers = configure_optimizers(model, **OPTIMIZERS[kind])
    logs = go(model, optimizers, callback=save)

    seed_everything(12345)
    found = load_checkpoint(path)
    resumed = configure_optimizers(found.model, **OPTIMIZERS[kind])
    found.restore(resumed)
    later = go(found.model, resumed, start_step=found.step)

    assert same(found.model.state_dict(), model.state_dict())
    assert same([o.state_dict() for o in resumed], [o.state_dict() for o in optimizers])
    facts = [(x.step, x.loss, x.lr, x.grad_norm, x.tokens, x.val_loss) for x in logs[5:]]
    assert facts == [(x.step, x.loss, x.lr, x.grad_norm, x.tokens, x.val_loss) for x in later]


# --- Files that cannot be used ----------------------------------------------------------------


def test_a_missing_file_is_refused(tmp_path):
    refused(tmp_path / "none.pt")
    refused(tmp_path)


@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_cut_short_is_refused(one_file, share):
    data = one_file.read_bytes()
    path = one_file.with_name("short.pt")
    path.write_bytes(data[: int(share * len(data))])
    refused(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@given(data=st.binary(max_size=60))
def test_garbage_is_refused(one_file, data):
    path = one_file.with_name("garbage.pt")
    path.write_bytes(data)
    refused(path)


@pytest.mark.parametrize("data", [b"", b".", b"a", b"J", b"hello world\n", "床前明月光".encode()])
def test_other_files_are_refused(tmp_path, data):
    path = tmp_path / "poem.txt"
    path.write_bytes(data)
    refused(path)


def test_a_changed_byte_is_refused_or_harmless(one_file):
    data, weights = one_file.read_bytes(), load_checkpoint(one_file).model.state_dict()
    path, rng = one_file.with_name("changed.pt"), np.random.default_rng(0)
    for position in rng.integers(len(data), size=40):
        changed = bytearray(data)
        changed[position] ^= 0x55
        path.write_bytes(changed)
        try:
            found = load_checkpoint(path)
        except CheckpointError:
            continue
        assert same(found.model.state_dict(), weights), f"byte {position} changed the weights"


class Code:
    """Runs a function when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize(
    "write",
    [torch.save, lambda x, path: path.write_bytes(pickle.dumps(x, 2))],
    ids=["torch", "pickle"],
)
def test_code_in_a_file_is_refused_and_never_run(tmp_path, write):
    path, trace = tmp_path / "model.pt", tmp_path / "trace"
    write({"format": 1, "config": Code(trace)}, path)
    refused(path)
    assert not trace.exists()


def test_another_format_is_named(saved):
    edit(saved, lambda content: content.update(format=99))
    assert "99" in refused(saved)


def test_something_else_that_torch_saved_is_refused(tmp_path):
    path = tmp_path / "list.pt"
    torch.save([1, 2, 3], path)
    assert "list" in refused(path)


@pytest.mark.parametrize("key", ["config", "vocab", "step", "model", "optimizers", "rng_states"])
def test_a_missing_part_is_named(saved, key):
    edit(saved, lambda content: content.pop(key))
    assert key in refused(saved)


def test_a_checkpoint_from_before_devices_had_states_of_their_own_is_read(saved):
    state = load_checkpoint(saved).rng_states["cpu"]
    edit(saved, lambda content: content.update(rng_state=content.pop("rng_states")["cpu"]))
    found = load_checkpoint(saved)
    assert list(found.rng_states) == ["cpu"]
    assert torch.equal(found.rng_states["cpu"], state)


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["config"].update(n_embd=32),
        lambda content: content["config"].update(style="modern"),
        lambda content: content["config"].update(n_layer=0),
        lambda content: content["config"].update(colour="red"),
        lambda content: content["model"].pop("wte.weight"),
        lambda content: content["model"].update(more=torch.zeros(1)),
        lambda content: content["vocab"].pop(),
        lambda content: content["vocab"].append("床"),
        lambda content: content["vocab"].reverse(),
    ],
)
def test_parts_that_do_not_fit_one_another_are_refused(saved, change):
    edit(saved, change)
    refused(saved)


# --- Saving -----------------------------------------------------------------------------------


@pytest.mark.parametrize("written", [0, 1000])
def test_a_crash_while_saving_leaves_the_old_file_whole(
    saved, model, tokenizer, monkeypatch, written
):
    before = saved.read_bytes()

    def disk_full(content, file, *args, **kwargs):
        if hasattr(file, "write"):
            file.write(b"x" * written)
        else:
            Path(file).write_bytes(b"x" * written)
        raise OSError("no space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", disk_full)
        with pytest.raises(OSError, match="no space"):
            save_checkpoint(saved, model, tokenizer, 8)
    assert saved.read_bytes() == before
    save_checkpoint(saved, model, tokenizer, 9)
    assert load_checkpoint(saved).step == 9


# --- From one stage to the next ---------------------------------------------------------------


def test_a_warm_start_has_the_weights_of_the_stage_before(saved, make_gpt, model, tokenizer):
    other = make_gpt(vocab_size=len(tokenizer), seed=5)
    warm_start(other, tokenizer, saved)
    assert same(other.state_dict(), model.state_dict())


def test_a_permuted_vocabulary_is_refused(saved, make_gpt, tokenizer):
    vocab = list(tokenizer.vocab)
    n = len(SPECIAL_TOKENS)
    vocab[n], vocab[n + 1] = vocab[n + 1], vocab[n]
    other = make_gpt(vocab_size=len(tokenizer), seed=5)
    before = {name: value.clone() for name, value in other.state_dict().items()}
    with pytest.raises(CheckpointError, match="vocabulary") as error:
        warm_start(other, CharTokenizer(vocab), saved)
    assert str(saved) in str(error.value)
    assert same(other.state_dict(), before)


@pytest.mark.parametrize(
    "shape",
    [{"n_layer": 3}, {"n_embd": 32}, {"style": "modern"}, {"block_size": 20}, {"n_head": 4}],
    ids=str,
)
def test_a_warm_start_from_another_shape_is_refused(saved, make_gpt, tokenizer, shape):
    other = make_gpt(vocab_size=len(tokenizer), **shape)
    with pytest.raises(CheckpointError) as error:
        warm_start(other, tokenizer, saved)
    assert str(saved) in str(error.value)


def test_a_warm_start_from_nowhere_is_refused(model, tokenizer, tmp_path):
    with pytest.raises(CheckpointError, match=r"none\.pt"):
        warm_start(model, tokenizer, tmp_path / "none.pt")
