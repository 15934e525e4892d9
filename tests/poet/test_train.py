"""`nanopoet train`: what a run leaves behind, and that it can be interrupted at any moment."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nanopoet.poet import recorder as recorder_module
from nanopoet.poet import train as train_module
from nanopoet.poet.components import REFERENCE
from nanopoet.poet.run import Run
from nanopoet_ref.checkpoint import load_checkpoint
from nanopoet_ref.files import NoRoomError
from nanopoet_ref.gpt import GPT
from tests.conftest import files_limited_to, made_up_poems

TINY = ("train", "--preset", "tiny.toml")


def rows(run: Run) -> list[dict[str, Any]]:
    """metrics.jsonl, without what a clock says."""
    return [row | {"seconds": None} for row in run.read_metrics()]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path).model.state_dict()


def same_weights(a: Path, b: Path) -> bool:
    left, right = weights(a), weights(b)
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def assert_same_run(a: Run, b: Run) -> None:
    """Equal to the last bit: every stage, the last state, every line of the metrics."""
    assert a.stage_names == b.stage_names
    for name in (*a.stage_names, "checkpoint"):
        assert same_weights(a.path / f"{name}.pt", b.path / f"{name}.pt"), name
    assert rows(a) == rows(b)


def stop_at(monkeypatch: pytest.MonkeyPatch, stage: str, step: int) -> None:
    """Press Ctrl-C in the middle of one step."""
    append = Run.append_metrics

    def press(self: Run, name: str, log: Any) -> None:
        append(self, name, log)
        if (name, log.step) == (stage, step):
            monkeypatch.setattr(Run, "append_metrics", append)
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Run, "append_metrics", press)


# --- What is left behind


def test_a_run_leaves_these_files(poet):
    assert sorted(path.name for path in poet.path.iterdir()) == [
        "catalog.json",
        "checkpoint.pt",
        "config.json",
        "metrics.jsonl",
        "midtrain.png",
        "midtrain.pt",
        "pretrain.png",
        "pretrain.pt",
        "samples.txt",
        "tokenizer.json",
    ]
    for stage in ("pretrain", "midtrain"):
        assert poet.curve_path(stage).read_bytes().startswith(b"\x89PNG")


def test_config_says_how_the_run_was_started(poet):
    config = poet.config
    assert (config.seed, config.device, config.threads) == (0, "cpu", 1)
    assert config.versions["torch"] == torch.__version__
    assert [stage.max_steps for stage in config.preset.stages] == [3, 4]
    assert config.preset.model["block_size"] == 80


def test_the_vocabulary_is_that_of_the_training_poems(poet):
    vocab = json.loads(poet.tokenizer_path.read_text("utf-8"))["vocab"]
    assert set("春李白五言绝句，。") <= set(vocab)
    assert vocab == load_checkpoint(poet.checkpoint_path).tokenizer.vocab


def test_the_catalog_counts_what_was_seen(poet):
    catalog = poet.catalog()
    assert sum(catalog["forms"].values()) == 272  # every 10th of 75 poems in 4 forms is held out
    assert set(catalog["forms"]) == {"五言绝句", "七言绝句", "五言律诗", "七言律诗"}
    assert set(catalog["authors"]) == {"李白", "杜甫", "王维", "孟浩然", "苏轼"}
    assert "江雪" in catalog["titles"]


def test_every_step_has_a_line_and_the_first_and_last_are_evaluated(poet):
    for stage, last in (("pretrain", 3), ("midtrain", 4)):
        logs = poet.logs(stage)
        assert [log.step for log in logs] == list(range(last + 1))
        assert [log.step for log in logs if log.val_loss is not None] == sorted({0, 2, last})
        assert logs[0].loss is None
        assert all(log.tokens > 0 and log.grad_norm > 0 for log in logs[1:])
    lrs = [log.lr for log in poet.logs("midtrain")[1:]]
    assert lrs == pytest.approx([0.02, 0.02, 0.02, 0.02 * 0.25 / 0.4])


def test_the_first_loss_is_that_of_knowing_nothing(poet):
    vocab_size = len(load_checkpoint(poet.checkpoint_path).tokenizer)
    first = poet.logs("pretrain")[0]
    assert first.val_loss == pytest.approx(torch.tensor(vocab_size).log().item(), abs=1e-4)


def test_midtraining_begins_where_pretraining_ended(poet):
    assert poet.logs("midtrain")[0].val_loss < poet.logs("pretrain")[0].val_loss


def test_samples_are_written_at_every_evaluation(poet):
    lines = poet.samples_path.read_text("utf-8").splitlines()
    assert [line.split(":")[0] for line in lines] == [
        f"{stage} step {step}"
        for stage, steps in (("pretrain", (0, 2, 3)), ("midtrain", (0, 2, 4)))
        for step in steps
    ]


def test_the_last_checkpoint_holds_the_weights_of_the_last_stage(poet):
    assert same_weights(poet.checkpoint_path, poet.weights_path("midtrain"))
    assert not same_weights(poet.checkpoint_path, poet.weights_path("pretrain"))


def test_what_is_printed_says_what_happens(poet, trained):
    printed = (trained / "printed.txt").read_text("utf-8")
    assert re.search(r"run tiny: [\d,]+ parameters, \d+ tokens, 272 poems to learn from", printed)
    assert "stage 2 of 2: midtrain" in printed
    assert "0 of 272 poems are longer than the block" in printed
    assert printed.count("tokens/s") == 2  # the head of each table
    assert "curves: midtrain.png, pretrain.png" in printed


# --- One seed, one result


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(nanopoet, poet):
    assert nanopoet(*TINY, "--name", "again").code == 0
    assert_same_run(Run("again"), poet)
    assert nanopoet(*TINY, "--name", "other", "--seed", 1).code == 0
    assert not same_weights(Run("other").checkpoint_path, poet.checkpoint_path)


class Wrapper(nn.Module):
    """As a parallel training does: it computes the same, under other names, and shows nothing."""

    def __init__(self, module: GPT) -> None:
        super().__init__()
        self.module = module

    def forward(self, idx: torch.Tensor) -> torch.Tensor:
        return self.module(idx)


def test_a_model_may_be_wrapped_and_goes_on_where_it_stopped(nanopoet, poet, monkeypatch):
    wrapped, components = Run("wrapped"), replace(REFERENCE, model=Wrapper)
    wrapped.path.mkdir(parents=True)
    train_module.start_run(wrapped, poet.config.preset, 0, "cpu", components)
    with monkeypatch.context() as patch:
        stop_at(patch, "midtrain", 2)
        with pytest.raises(recorder_module.RunInterrupted):
            train_module.train_run(wrapped, components)
    train_module.train_run(wrapped, components)
    assert_same_run(wrapped, poet)
    assert nanopoet("write", "--run", "wrapped").out == nanopoet("write", "--run", "tiny").out


def test_no_steps_leave_the_model_as_it_begins(nanopoet):
    done = nanopoet(*TINY, "--steps", 0)
    assert done.code == 0
    assert [row["step"] for row in Run("tiny").read_metrics()] == [0, 0]
    assert nanopoet("write").code == 0


# --- Stopping and going on


@pytest.mark.parametrize(
    ("stage", "step"), [("pretrain", 0), ("pretrain", 1), ("pretrain", 3), ("midtrain", 3)]
)
def test_ctrl_c_then_resume_gives_the_same_bits(nanopoet, poet, monkeypatch, stage, step):
    stop_at(monkeypatch, stage, step)
    done = nanopoet(*TINY, "--name", "stopped")
    assert done.code == 130
    assert "Go on with: nanopoet train --resume --name stopped" in done.out
    assert not Run("stopped").finished()
    assert nanopoet("train", "--resume", "--name", "stopped").code == 0
    assert_same_run(Run("stopped"), poet)
    assert Run("stopped").samples_path.read_text("utf-8") == poet.samples_path.read_text("utf-8")


PAID = """
[paid]
about = "poems that keep the rules, and then what the model writes, paid by rules"
forms = "regulated"
start = "tiny"
model = { style = "modern", n_layer = 1, n_head = 2, n_embd = 16, block_size = 80 }

[[paid.stages]]
name = "curate"
max_steps = 2
batch_size = 4
eval_iters = 1
weights = { rhyme = 8.0 }

[[paid.stages]]
name = "align"
max_steps = 4
batch_size = 4
eval_iters = 1
save_interval = 2
optimizer = { lr = 0.01 }
grpo = { group_size = 2, real = 2, expected = true }
"""


@pytest.mark.parametrize(("stage", "step"), [("curate", 1), ("align", 1), ("align", 3)])
def test_a_model_that_is_paid_goes_on_to_the_same_bits(
    nanopoet, use_corpus, monkeypatch, stage, step
):
    longing = "红豆生南国，春来发几枝。愿君多采撷，此物最相思。"
    poem = {"author": "王维", "form": "五言绝句", "title": "支仄", "content": longing}
    use_corpus([*made_up_poems(300), poem])
    Path("paid.toml").write_text(PAID, "utf-8")
    assert nanopoet(*TINY).code == 0
    assert nanopoet("train", "--preset", "paid.toml", "--name", "whole").code == 0
    with monkeypatch.context() as patch:
        stop_at(patch, stage, step)
        assert nanopoet("train", "--preset", "paid.toml", "--name", "stopped").code == 130
    assert nanopoet("train", "--resume", "--name", "stopped").code == 0
    stopped, whole = Run("stopped"), Run("whole")
    assert_same_run(stopped, whole)
    assert stopped.read_rollouts() == whole.read_rollouts() != []
    assert nanopoet("write", "--run", "stopped", "--free").out


def test_ctrl_c_in_the_very_last_step_is_too_late(nanopoet, poet, monkeypatch):
    stop_at(monkeypatch, "midtrain", 4)
    assert nanopoet(*TINY, "--name", "late").code == 0
    assert_same_run(Run("late"), poet)


@pytest.fixture
def heard_ctrl_c() -> Iterator[None]:
    """Ctrl-C as in a terminal, though a shell starts what runs in the background without it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("heard_ctrl_c")
def test_a_second_ctrl_c_ends_at_once_and_what_was_saved_stays(nanopoet, poet, monkeypatch):
    append = Run.append_metrics

    def press_twice(self: Run, name: str, log: Any) -> None:
        append(self, name, log)
        if (name, log.step) == ("midtrain", 3):
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "append_metrics", press_twice)
        done = nanopoet(*TINY, "--name", "stopped")
    assert done.code == 130
    assert load_checkpoint(Run("stopped").checkpoint_path).step == 2  # the last regular save
    assert nanopoet("train", "--resume", "--name", "stopped").code == 0
    assert_same_run(Run("stopped"), poet)


@pytest.fixture
def long_preset(nanopoet) -> Path:
    """Enough steps for a signal to arrive among them."""
    text = Path("tiny.toml").read_text("utf-8")
    text = re.sub(r"max_steps = \d+", "max_steps = 60", text)
    text = text.replace("eval_interval = 2", "eval_interval = 20")
    Path("tiny.toml").write_text(text.replace("save_interval = 2", "save_interval = 7"), "utf-8")
    return Path("tiny.toml")


def train_and_signal(name: str, sent: signal.Signals, enough: Callable[[str], bool]) -> Any:
    """Train in a process of its own; send the signal once a line is enough; return it."""
    process = subprocess.Popen(
        [sys.executable, "-m", "nanopoet.cli", *TINY, "--name", name, "--threads", "1"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=os.environ | {"PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
    )
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if enough(line):
                process.send_signal(sent)
                break
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
    return process.returncode, out, err


def test_signals_from_outside_cost_nothing(nanopoet, long_preset):
    code, out, err = train_and_signal("asked", signal.SIGINT, lambda s: s.startswith("   20 "))
    assert (code, err) == (130, "")
    assert "Go on with: nanopoet train --resume --name asked" in out
    code, _, err = train_and_signal("killed", signal.SIGKILL, lambda s: s.startswith("   20 "))
    assert (code, err) == (-signal.SIGKILL, "")
    assert not Run("asked").finished()
    assert not Run("killed").finished()
    assert nanopoet(*TINY, "--name", "whole").code == 0
    for name in ("asked", "killed"):
        assert nanopoet("train", "--resume", "--name", name).code == 0
        assert_same_run(Run(name), Run("whole"))


def test_resume_goes_on_from_one_stage_to_the_next(nanopoet, poet):
    done = nanopoet(*TINY, "--name", "half", "--stage", "pretrain")
    assert done.code == 0
    assert not Run("half").weights_path("midtrain").exists()
    assert nanopoet("train", "--resume").code == 0  # the newest run
    assert_same_run(Run("half"), poet)


def test_a_finished_run_is_left_alone(nanopoet, poet):
    before = poet.checkpoint_path.stat().st_mtime_ns
    for args in (TINY, ("train", "--resume"), ("train", "--resume", "--name", "tiny")):
        done = nanopoet(*args)
        assert (done.code, done.err) == (0, "")
        assert "already trained" in done.out
        assert "--overwrite" in done.out
    assert poet.checkpoint_path.stat().st_mtime_ns == before


@pytest.mark.parametrize("more", [("--seed", 1), ("--steps", 9)])
def test_a_finished_run_with_other_settings_is_not_taken_for_this_one(nanopoet, poet, more):
    assert "trained with other settings" in nanopoet(*TINY, *more).error


def test_a_text_is_not_taken_for_a_run_of_the_same_name(nanopoet, poet):
    Path("tiny.txt").write_text("春花秋月" * 500, "utf-8")
    assert "trained with other settings" in nanopoet("train", "--text", "tiny.txt").error


def test_ctrl_c_while_poems_are_read_names_the_way_to_go_on(nanopoet, poet, monkeypatch):
    load = Run.data

    def press_and_load(run: Run) -> Any:
        signal.raise_signal(signal.SIGINT)
        return load(run)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "data", press_and_load)
        done = nanopoet(*TINY, "--name", "early")
    assert done.code == 130
    assert "Go on with: nanopoet train --resume --name early" in done.out
    assert nanopoet("train", "--resume", "--name", "early").code == 0
    assert_same_run(Run("early"), poet)


def test_overwrite_starts_over_and_leaves_nothing_behind(nanopoet, poet):
    assert nanopoet(*TINY, "--overwrite", "--seed", 1, "--stage", "pretrain").code == 0
    assert Run(poet.name).config.seed == 1
    assert not poet.curve_path("midtrain").exists()
    assert not poet.weights_path("midtrain").exists()


def test_an_unfinished_run_is_refused_with_the_ways_out(nanopoet):
    assert nanopoet(*TINY, "--stage", "pretrain").code == 0
    error = nanopoet(*TINY).error
    assert "nanopoet train --resume --name tiny" in error
    assert "--overwrite" in error
    assert "another --name" in error


@pytest.mark.parametrize(
    "more",
    [
        ("--preset", "tiny.toml"),
        ("--steps", 3),
        ("--overwrite",),
        ("--text", "tiny.toml"),
        ("--seed", 0),
        ("--device", "cpu"),
        ("--threads", 1),
    ],
)
def test_resume_takes_no_new_settings(nanopoet, poet, more):
    assert "--resume goes on as the run was begun" in nanopoet("train", "--resume", *more).error


def test_a_stage_that_the_preset_does_not_have_is_refused(nanopoet):
    error = nanopoet("train", "--preset", "quick", "--stage", "pretrain").error
    assert "'quick' has no stage 'pretrain'" in error
    assert not Run("quick").path.exists()


# --- What can be wrong


def test_poems_too_few_to_hold_one_out_are_refused(nanopoet, use_corpus):
    poem = {"author": "李白", "form": "五言绝句", "title": "春望"}
    use_corpus([poem | {"content": "春花秋月山，" * n} for n in (1, 2, 3)])
    assert "3 poems are too few" in nanopoet(*TINY).error
    assert not Run("tiny").path.exists()


def test_other_data_under_a_run_is_refused(nanopoet, use_corpus):
    assert nanopoet(*TINY, "--stage", "pretrain").code == 0
    use_corpus()
    error = nanopoet("train", "--resume").error
    assert "started on other data" in error
    assert "--overwrite" in error
    assert nanopoet(*TINY, "--overwrite", "--steps", 0).code == 0


def test_another_model_under_a_run_is_refused(nanopoet, poet):
    poet.weights_path("midtrain").unlink()
    poet.weights_path("pretrain").unlink()
    text = poet.config_path.read_text("utf-8")
    poet.config_path.write_text(text.replace('"n_embd": 16', '"n_embd": 32'), "utf-8")
    assert "checkpoint.pt: not the model of config.json" in nanopoet("train", "--resume").error


def test_without_a_corpus_the_command_for_it_is_named(nanopoet, tmp_path, monkeypatch):
    monkeypatch.setenv("NANOPOET_RAW", str(tmp_path / "nowhere"))
    assert "Run: nanopoet corpus" in nanopoet(*TINY).error
    assert not Run("tiny").path.exists()


@pytest.mark.parametrize("device", ["banana", "cuda:99"])
def test_a_device_that_is_not_here_is_refused(nanopoet, device):
    assert "is not on this machine" in nanopoet(*TINY, "--device", device).error
    assert not Run("tiny").path.exists()


@pytest.mark.parametrize("seed", [-1, 2**64])
def test_a_seed_that_no_generator_takes_is_refused(nanopoet, seed):
    for command in (TINY, ("write",), ("evaluate",)):
        done = nanopoet(*command, "--seed", seed)
        assert done.code == 2
        assert "--seed" in done.err
    assert not Run("tiny").path.exists()


@pytest.mark.parametrize("name", ["checkpoint.pt", "config.json", "tokenizer.json", "pretrain.pt"])
@pytest.mark.parametrize("damage", ["cut", "empty", "noise", "json"])
def test_a_damaged_file_is_one_clear_line(nanopoet, poet, name, damage):
    poet.weights_path("midtrain").unlink()
    if name == "pretrain.pt":
        poet.checkpoint_path.unlink()
    content = (poet.path / name).read_bytes()
    damaged = {"cut": content[: len(content) // 2], "empty": b"", "noise": b"\xff\x00" * 99}
    (poet.path / name).write_bytes(damaged.get(damage, b"[1]"))
    assert name in nanopoet("train", "--resume").error
    if name == "config.json":
        assert name in nanopoet(*TINY).error
    assert nanopoet(*TINY, "--overwrite", "--steps", 0).code == 0


# --- A text of one's own


@pytest.mark.parametrize(
    "text",
    [
        "thermos bottle 500 ml\ngarden chair, green\n" * 60,
        "The moon is bright. " * 90,
        "白日依山尽 white sun\n黄河入海流 🌊\n" * 60,
    ],
)
def test_any_text_can_be_learned_from(nanopoet, text):
    Path("my names.txt").write_text(text, "utf-8")
    done = nanopoet(*TINY, "--text", "my names.txt", "--steps", 2)
    assert (done.code, done.err) == (0, "")
    assert f"{len(text) * 9 // 10:,} characters to learn from" in done.out
    run = Run("my-names")
    assert run.finished()
    assert not run.catalog_path.exists()
    assert [row["step"] for row in run.read_metrics()] == [0, 1, 2]
    assert nanopoet("write", "--run", "my-names").code == 0


def test_a_text_takes_a_preset_and_a_name(nanopoet):
    Path("a.txt").write_text("one two three " * 80, "utf-8")
    assert nanopoet(*TINY, "--text", "a.txt", "--name", "b").code == 0
    assert [stage.name for stage in Run("b").config.preset.stages] == ["pretrain"]
    error = nanopoet("train", "--preset", "quick", "--text", "a.txt").error
    assert "'quick' has no pretrain stage" in error


def test_a_text_is_found_again_from_another_folder(nanopoet, monkeypatch, tmp_path):
    Path("a.txt").write_text("one two three " * 200, "utf-8")
    stop_at(monkeypatch, "pretrain", 1)
    assert nanopoet("train", "--text", "a.txt", "--steps", 2).code == 130
    monkeypatch.chdir(tmp_path)
    assert nanopoet("train", "--resume").code == 0
    Path("here/a.txt").write_text("another text " * 200, "utf-8")
    assert "other data" in nanopoet("evaluate").error


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("春眠不觉晓".encode("gbk"), "not UTF-8"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"too short" * 99, "891 characters are too few; it takes 1,281 or more"),
    ],
)
def test_a_text_that_cannot_be_learned_from_leaves_no_run(nanopoet, content, said):
    Path("a.txt").write_bytes(content)
    error = nanopoet("train", "--text", "a.txt").error
    assert "a.txt" in error
    assert said in error
    Path("a.txt").write_bytes(b"0123456789 " * 117)  # 1,287 characters
    assert nanopoet("train", "--text", "a.txt", "--steps", 0).code == 0


@pytest.mark.parametrize("command", [("train", "--preset", "tiny.toml"), ("corpus",)])
def test_a_tail_of_other_characters_is_announced(nanopoet, command):
    Path("a.txt").write_text("春花秋月" * 500 + "ABCDEFGHIJ" * 20, "utf-8")
    out = nanopoet(*command, "--text", "a.txt").out
    assert "unknown characters: 0.00% of the training part, 90.91% of the validation part" in out
    assert "warning: 91% of the validation part is unknown" in out
    Path("b.txt").write_text("春花秋月" * 500, "utf-8")
    out = nanopoet(*command, "--text", "b.txt").out
    assert "0.00% of the validation part" in out
    assert "warning" not in out


def test_the_split_of_a_text_is_said_before_it_is_learned_from(nanopoet):
    Path("a.txt").write_text("春花秋月" * 500, "utf-8")
    assert (
        "split: 1,800 to train, the last 200 to validate"
        in nanopoet("corpus", "--text", "a.txt").out
    )


@pytest.mark.skipif(sys.platform == "darwin", reason="its disks hold UTF-8 names only")
def test_a_name_that_is_not_utf8_is_one_clear_line(nanopoet, poet):
    name = os.fsdecode(b"b\xff.txt")
    Path(name).write_text("春花秋月" * 500, "utf-8")
    Path(os.fsdecode(b"d\xff")).mkdir()
    assert "is not UTF-8: rename it" in nanopoet(*TINY, "--text", name).error
    root = ("--mine", "--root", os.fsdecode(b"d\xff"))
    assert "is not UTF-8: rename it" in nanopoet(*TINY, *root).error
    assert "cannot name a run" in nanopoet(*TINY, "--name", name).error
    assert r"b\udcff.toml" in nanopoet("train", "--preset", os.fsdecode(b"b\xff.toml")).error
    assert "is not UTF-8: rename it" in nanopoet("corpus", "--text", name).error


def test_a_text_that_is_not_there_is_refused(nanopoet, tmp_path):
    assert "nothing.txt" in nanopoet("train", "--text", "nothing.txt").error
    assert str(tmp_path) in nanopoet("train", "--text", tmp_path, "--name", "x").error


# --- Threads, memory, room


def test_threads_beyond_the_cores_are_not_taken(nanopoet, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    out = nanopoet(*TINY, "--steps", 0, "--threads", 100_000).out
    assert "100,000 threads were asked for: 1, as many as there are cores" in out
    assert Run("tiny").config.threads == 1


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB\nmore\nlines"),
        MemoryError(),
    ],
)
def test_too_little_memory_names_what_to_make_smaller(nanopoet, monkeypatch, error):
    def fail(*args: Any, **options: Any) -> None:
        raise error

    assert nanopoet(*TINY, "--stage", "pretrain").code == 0
    monkeypatch.setattr(GPT, "forward", fail)
    said = nanopoet("train", "--resume").error
    assert "not enough memory for stage midtrain: halve batch_size" in said
    assert "the end of pretrain is safe" in said
    monkeypatch.setattr(Run, "data", fail)
    assert "not enough memory" in nanopoet("train", "--resume").error


def test_a_bug_is_neither_hidden_nor_a_traceback(nanopoet, poet, monkeypatch):
    def fail(*args: Any) -> None:
        raise RuntimeError("mat1 and mat2 cannot be multiplied\nException raised from here")

    poet.weights_path("midtrain").unlink()
    monkeypatch.setattr(train_module, "run_stage", fail)
    error = nanopoet("train", "--resume").error
    assert error.startswith("RuntimeError: mat1 and mat2 cannot be multiplied (")
    assert "NANOPOET_TRACEBACK=1" in error
    monkeypatch.setenv("NANOPOET_TRACEBACK", "1")
    with pytest.raises(AssertionError, match="ended in a traceback"):
        nanopoet("train", "--resume")


def test_a_full_disk_keeps_the_last_state_and_leaves_no_half(nanopoet, poet):
    first = Run("first")
    assert nanopoet(*TINY, "--name", "first", "--steps", 0, "--stage", "pretrain").code == 0
    room = first.checkpoint_path.stat().st_size + 1000  # too little for the optimizers' state
    with files_limited_to(room):
        error = nanopoet(*TINY, "--name", "full").error
    full = Run("full")
    assert f"no room for {full.checkpoint_path}: File too large" in error
    assert "the state of step 0 is safe" in error
    assert "nanopoet train --resume --name full" in error
    assert load_checkpoint(full.checkpoint_path).step == 0
    assert not list(full.path.glob("*.tmp"))
    assert nanopoet("train", "--resume", "--name", "full").code == 0
    assert_same_run(full, poet)


def test_a_full_disk_at_the_metrics_stops_with_what_is_safe(nanopoet, poet, monkeypatch):
    append = Run.append_metrics

    def fail(self: Run, name: str, log: Any) -> None:
        if (name, log.step) == ("midtrain", 3):
            raise NoRoomError(28, "No space left on device", str(self.metrics_path))
        append(self, name, log)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "append_metrics", fail)
        error = nanopoet(*TINY, "--name", "full").error
    assert "metrics.jsonl: No space left on device; the state of step 2 is safe" in error
    assert nanopoet("train", "--resume", "--name", "full").code == 0
    assert_same_run(Run("full"), poet)


def test_samples_and_curves_never_cost_the_weights(nanopoet, poet, monkeypatch):
    def fail(*args: Any, **options: Any) -> None:
        raise IndexError("no probabilities to draw from")

    monkeypatch.setattr(recorder_module, "generate", fail)
    monkeypatch.setattr(recorder_module, "write_poems", fail)
    monkeypatch.setattr("nanopoet_ref.figures.plot_curves", fail)
    done = nanopoet(*TINY, "--name", "bare")
    assert done.code == 0
    assert "warning: no sample of step 2 (IndexError: no probabilities" in done.err
    assert "warning: no curves of midtrain (IndexError" in done.err
    assert "curves: none" in done.out
    assert_same_run(Run("bare"), poet)
    assert not list(Run("bare").path.glob("*.tmp"))
