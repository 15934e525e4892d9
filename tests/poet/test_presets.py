"""presets.toml is data; what is wrong with it is said before anything is trained."""

from functools import partial
from pathlib import Path

import pytest

from nanopoet.poet.presets import STAGES, PresetError, find_preset, load_presets, make_optimizers
from nanopoet.poet.run import Run
from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.schedule import SCHEDULES
from nanopoet_ref.training import TrainConfig

GOOD = """
[mine]
about = "short"
model = { n_layer = 1, n_head = 2, n_embd = 16, block_size = 80 }
[[mine.stages]]
name = "midtrain"
max_steps = 1
batch_size = 4
optimizer = { lr = 0.01 }
schedule = { name = "constant" }
"""


@pytest.mark.parametrize("name", list(load_presets()))
def test_every_preset_builds_what_it_describes(name):
    preset = load_presets()[name]
    assert preset.about
    assert Run(preset.name).name == name
    model = GPT(GPTConfig(vocab_size=20, **preset.model))
    assert [s.name for s in preset.stages] == [s for s in STAGES if s in str(preset.stages)]
    for stage in preset.stages:
        assert make_optimizers(model, stage.optimizer)
        TrainConfig(
            stage.max_steps, stage.micro_steps, stage.eval_interval, stage.grad_clip or None
        )
        schedule = dict(stage.schedule)
        lr_mult = partial(SCHEDULES[schedule.pop("name")], max_steps=stage.max_steps, **schedule)
        mults = [lr_mult(step) for step in range(stage.max_steps)]
        assert all(0 < mult <= 1 for mult in mults)
        assert max(mults) == 1


def test_seed_has_the_numbers_of_the_texts():
    pretrain, midtrain = find_preset("seed").stages
    assert list(pretrain.text_losses.values()) == [9.094, 8.176, 7.501, 6.885, 6.810, 6.746]
    assert list(midtrain.text_losses.values()) == [7.452, 6.964, 6.106, 5.743]
    for stage in (pretrain, midtrain):
        printed = set(range(0, stage.max_steps + 1, stage.eval_interval))
        assert set(map(int, stage.text_losses)) <= printed


def test_the_numbers_of_a_text_stand_beside_ours(nanopoet):
    text = Path("tiny.toml").read_text("utf-8")
    Path("tiny.toml").write_text(text + "text_losses = { 0 = 7.452, 2 = 6.964 }\n", "utf-8")
    printed = nanopoet("train", "--preset", "tiny.toml").out
    assert "  text " in printed
    assert "  7.452" in printed
    assert "  6.964" in printed


def test_a_preset_survives_its_config_file():
    for preset in load_presets().values():
        assert type(preset).from_dict(preset.name, preset.as_dict()) == preset


def test_an_unknown_preset_names_those_there_are(nanopoet):
    error = nanopoet("train", "--preset", "quik").error
    for name in ("'quik'", "quick", "evening", "seed", "text", ".toml"):
        assert name in error


def test_a_preset_of_ones_own_works(nanopoet):
    Path("mine.toml").write_text(GOOD, "utf-8")
    assert nanopoet("train", "--preset", "mine.toml").code == 0
    assert Run("mine").finished()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[mine]", "[mine", "mine.toml"),
        (GOOD, "", "holds 0 presets"),
        (GOOD, "x = 1", "'x'"),
        (GOOD, GOOD + GOOD.replace("mine", "other"), "holds 2 presets"),
        ('about = "short"', "", "about"),
        ('about = "short"', 'about = "short"\ncolour = 3', "colour"),
        ("max_steps = 1", "max_step = 1", "max_step"),
        ("max_steps = 1", "", "max_steps"),
        ("max_steps = 1", "max_steps = -1", "max_steps"),
        ("max_steps = 1", 'max_steps = "1"', "max_steps"),
        ("batch_size = 4", "batch_size = 0", "batch_size"),
        ("batch_size = 4", "batch_size = 4\nmicro_steps = 0", "micro_steps"),
        ("batch_size = 4", "batch_size = 4\neval_interval = 0", "eval_interval"),
        ("batch_size = 4", "batch_size = 4\neval_iters = 0", "eval_iters"),
        ("batch_size = 4", "batch_size = 4\nsave_interval = 0", "save_interval"),
        ("batch_size = 4", "batch_size = 4\ngrad_clip = -1", "grad_clip"),
        ("batch_size = 4", "batch_size = 4\ngrad_clip = nan", "grad_clip"),
        ("batch_size = 4", 'batch_size = 4\ngrad_clip = "1"', "grad_clip"),
        ("batch_size = 4", 'batch_size = 4\ntext_losses = { 0 = "x" }', "text_losses"),
        ("batch_size = 4", "batch_size = 4\nmask = []", "mask"),
        ("n_layer = 1", "n_layer = 1.5", "n_layer"),
        ("n_embd = 16", "n_embd = 20_000_000_000", "not enough memory: make n_embd"),
        ("n_embd = 16", "n_embd = 200_000_000_000", "n_embd"),
        ("n_embd = 16", "n_embd = 1_000_000_000_000_000_000_000_000", "n_embd"),
        ("batch_size = 4", 'batch_size = 4\nprecision = "int8"', "int8"),
        ('"midtrain"', '"finetune"', "finetune"),
        ("n_layer = 1", "n_layers = 1", "n_layers"),
        ("n_embd = 16", "n_embd = 15", "n_embd=15"),
        ("n_embd = 16", 'n_embd = "16"', "n_embd"),
        ("n_embd = 16", "vocab_size = 9", "vocab_size"),
        ("lr = 0.01", "learning_rate = 0.01", "learning_rate"),
        ("lr = 0.01", "plain_adamw = 0.01, lr = 0.01", "plain_adamw"),
        ('name = "constant"', 'name = "linear"', "linear"),
        ('name = "constant"', 'name = "constant", warmup_steps = 2', "warmup_steps"),
        ('about = "short"', 'about = "short"\nforms = "sonnets"', "sonnets"),
        ('about = "short"', 'about = "short"\nscript = "latin"', "latin"),
        ("[[mine.stages]]", "[[mine.steps]]", "steps"),
        (GOOD, GOOD + GOOD[GOOD.index("[[") :], "twice"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_leaves_no_run(nanopoet, tmp_path, old, new, said):
    assert old in GOOD
    Path("mine.toml").write_text(GOOD.replace(old, new), "utf-8")
    error = nanopoet("train", "--preset", "mine.toml").error
    assert "mine.toml" in error
    assert said in error
    assert not (tmp_path / "runs").exists()


def test_a_byte_order_mark_is_no_mistake(nanopoet):
    Path("mine.toml").write_text(GOOD, "utf-8-sig")
    assert nanopoet("train", "--preset", "mine.toml", "--steps", 0).code == 0


def test_a_preset_file_that_is_not_there_is_named(nanopoet):
    with pytest.raises(PresetError, match=r"nowhere\.toml"):
        find_preset("nowhere.toml")
    assert "nowhere.toml" in nanopoet("train", "--preset", "nowhere.toml").error
