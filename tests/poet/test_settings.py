"""config.json is read with care, and what was changed in it under a run is not ignored."""

from pathlib import Path

import pytest

from nanopoet.poet.run import Run


def edit(run: Run, old: str, new: str) -> None:
    text = run.config_path.read_text("utf-8")
    assert old in text
    run.config_path.write_text(text.replace(old, new), "utf-8")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"lr": 0.02', '"lr": 0.5', "stages.0.optimizer.lr is 0.5, and was 0.02"),
        ('"max_steps": 4', '"max_steps": 9', "stages.1.max_steps is 9, and was 4"),
        ('"batch_size": 8', '"batch_size": 4', "batch_size is 4, and was 8"),
        ('"grad_clip": 1.0', '"grad_clip": 0.1', "grad_clip is 0.1, and was 1.0"),
        ('"seed": 0', '"seed": 1', "seed is 1, and was 0"),
        ('"name": "constant"', '"name": "warmup_cosine"', "schedule.name is warmup_cosine"),
        ('"lr": 0.02,', '"lr": 0.02, "weight_decay": 0.5,', "weight_decay is 0.5, and was not"),
    ],
)
def test_an_edited_setting_is_refused_by_name(nanopoet, poet, old, new, said):
    poet.weights_path("midtrain").unlink()
    edit(poet, old, new)
    error = nanopoet("train", "--resume").error
    assert "config.json was changed since checkpoint.pt was saved" in error
    assert said in error
    edit(poet, new, old)
    assert nanopoet("train", "--resume").code == 0


def test_a_run_may_move(nanopoet):
    Path("a.txt").write_text("one two three " * 200, "utf-8")
    assert nanopoet("train", "--preset", "tiny.toml", "--text", "a.txt").code == 0
    Run("a").weights_path("pretrain").unlink()
    Path("a.txt").rename("b.txt")
    edit(Run("a"), "a.txt", "b.txt")
    edit(Run("a"), '"threads": 1', '"threads": 2')
    assert nanopoet("train", "--resume").code == 0


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"threads": 1', '"threads": null', "threads=None"),
        ('"threads": 1', '"threads": "1"', "threads='1'"),
        ('"threads": 1', '"threads": 1e99', "threads=1e+99"),
        ('"seed": 0', '"seed": 0.5', "seed=0.5"),
        ('"seed": 0', '"seed": 1' + "0" * 30, "seed=1"),
        ('"device": "cpu"', '"device": 0', "device=0"),
        ('"precision": "float32",\n  "data"', '"precision": [],\n  "data"', "precision=[]"),
        ('"eval_iters": 1', '"eval_iters": null', "eval_iters=None"),
        ('"micro_steps": 1', '"micro_steps": null', "micro_steps=None"),
        ('"grad_clip": 1.0', '"grad_clip": "1"', "grad_clip='1'"),
        ('"text_losses": {}', '"text_losses": {"2": "x"}', "text_losses"),
        ('"loss": "masked"', '"loss": ["masked"]', "loss=['masked']"),
        ('"n_layer": 1', '"n_layer": null', "n_layer"),
        ('"n_layer": 1', '"n_layer": 1.5', "n_layer"),
        ('"lr": 0.02', '"lr": null', "optimizer"),
        ('"text": null', '"text": 5', "text=5"),
        ('"init_head_bias": false', '"init_head_bias": 0', "init_head_bias=0"),
        ('"mine": null', '"mine": {"root": null, "own": []}', "root=None"),
        ('"mine": null', '"mine": 7', "config.json"),
    ],
)
def test_a_setting_of_another_type_is_one_clear_line(nanopoet, poet, old, new, said):
    poet.weights_path("midtrain").unlink()
    edit(poet, old, new)
    error = nanopoet("train", "--resume").error
    assert "config.json" in error
    assert said in error


def test_a_config_with_a_byte_order_mark_is_read(nanopoet, poet):
    poet.config_path.write_bytes(b"\xef\xbb\xbf" + poet.config_path.read_bytes())
    assert "already trained" in nanopoet("train", "--resume").out
