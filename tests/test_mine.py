"""`train --mine`: a learner's parts in the place of the reference's."""

import json
import shutil
import sys

import pytest
import torch

from nanopoet.checker.source import SOLUTIONS
from nanopoet.checker.stubs import stub_file
from nanopoet.checker.tasks import load_tasks, modules
from nanopoet.mine import Mine, assemble, find_mine, load_own, own_components, own_model
from nanopoet.poet.components import TASKS
from nanopoet.poet.run import Run
from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.tokenizer import build_vocab

pytestmark = pytest.mark.usefixtures("one_sandbox")


def final_loss(name):
    return Run(name).logs("midtrain")[-1].val_loss


@pytest.fixture
def learner(tmp_path):
    """A folder in which only attention and the loss are solved."""
    folder = tmp_path / "learner"
    folder.mkdir()
    for module in modules():
        text = stub_file(module)
        if module in ("attention", "loss"):
            text = (SOLUTIONS / f"{module}.py").read_text("utf-8")
        (folder / f"{module}.py").write_text(text, "utf-8")
    return folder


def test_every_part_is_a_task():
    assert set(TASKS) <= set(load_tasks())


def test_all_solutions_train_the_same_poet_as_the_reference(nanopoet):
    reference = nanopoet("train", "--preset", "tiny.toml", "--name", "theirs")
    mine = nanopoet("train", "--preset", "tiny.toml", "--mine", "--root", SOLUTIONS)
    assert (reference.code, mine.code) == (0, 0)
    assert mine.out.count(" you") >= len(TASKS)
    assert json.loads(Run("tiny-mine").config_path.read_text("utf-8"))["mine"]["own"] == list(TASKS)
    # Other batches are drawn, from the same poems: close, not equal.
    assert final_loss("tiny-mine") == pytest.approx(final_loss("theirs"), abs=0.2)
    signed = nanopoet("write", "--run", "tiny-mine").err
    assert (
        f"{len(TASKS)} of the {len(TASKS)} components that trained this poet are your own" in signed
    )
    assert "your own" not in nanopoet("write", "--run", "theirs").out


def test_what_is_missing_comes_from_the_reference(nanopoet, learner):
    done = nanopoet("train", "--preset", "tiny.toml", "--mine", "--root", learner, "--name", "half")
    assert done.code == 0
    own = json.loads(Run("half").config_path.read_text("utf-8"))["mine"]["own"]
    assert own == ["attention.attention", "attention.rotate", "loss.masked_cross_entropy"]
    assert "the reference (yours is not written yet)" in done.out
    assert "3 of the" in nanopoet("write", "--run", "half").err


@pytest.mark.skipif(sys.platform != "linux", reason="only there its parent is the judge")
def test_an_answer_that_kills_its_judge_or_speaks_markup_is_the_reference_s(
    learner, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "200")
    path = learner / "loss.py"
    text = "\n\ndef masked_cross_entropy(*a):\n    import os\n    os.kill(os.getppid(), 9)\n"
    path.write_text(path.read_text("utf-8") + text, "utf-8")
    path = learner / "attention.py"
    text = "\n\ndef rotate(*a):\n    raise ValueError('[/red] is no end \\x1b[2J')\n"
    path.write_text(path.read_text("utf-8") + text, "utf-8")
    assert own_components(learner)[1]["own"] == ["attention.attention"]
    said = capsys.readouterr().out
    assert "[/red] is no" in said
    assert "\x1b" not in said
    assert said.count("the reference") == len(TASKS) - 1


def test_a_wrong_answer_is_not_used_and_the_table_says_why(nanopoet, learner):
    path = learner / "loss.py"
    path.write_text(path.read_text("utf-8") + "\n\ndef masked_cross_entropy(*a):\n    return 0\n")
    done = nanopoet(
        "train", "--preset", "tiny.toml", "--mine", "--root", learner, "--stage", "pretrain"
    )
    assert done.code == 0
    row = next(line for line in done.out.splitlines() if "loss.masked_cross_entropy" in line)
    assert "the reference (yours:" in row


def test_an_update_and_a_measure_fit_into_the_loop_of_the_reference(nanopoet, learner):
    solved = (SOLUTIONS / "training.py").read_text("utf-8")
    (learner / "training.py").write_text(
        solved.replace("def train(", "def their_own_loop("), "utf-8"
    )
    done = nanopoet("train", "--preset", "tiny.toml", "--mine", "--root", learner, "--name", "half")
    assert done.code == 0
    own = json.loads(Run("half").config_path.read_text("utf-8"))["mine"]["own"]
    assert {"training.training_step", "training.estimate_loss"} < set(own)
    assert "training.train" not in own
    nanopoet("train", "--preset", "tiny.toml", "--name", "theirs")
    assert final_loss("half") == pytest.approx(final_loss("theirs"), abs=0.2)


def test_a_run_goes_on_with_the_parts_it_was_begun_with(nanopoet, learner):
    train = ("train", "--preset", "tiny.toml", "--mine", "--root", learner, "--name", "half")
    nanopoet(*train, "--stage", "pretrain")
    kept = (learner / "loss.py").read_text("utf-8")
    (learner / "loss.py").write_text(stub_file("loss"), "utf-8")
    refused = nanopoet("train", "--resume", "--name", "half").error
    assert "loss.masked_cross_entropy" in refused
    (learner / "loss.py").write_text(kept, "utf-8")
    assert nanopoet("train", "--resume", "--name", "half").code == 0
    assert Run("half").finished()
    shutil.rmtree(learner)
    assert nanopoet("write", "--run", "half").code == 0  # writing needs the weights alone


def test_options_that_do_not_go_together(nanopoet, tmp_path):
    assert "--root goes with --mine" in nanopoet("train", "--root", tmp_path).error
    assert "is not a folder" in nanopoet("train", "--mine", "--root", tmp_path / "nobody").error


@pytest.mark.parametrize("style", ["gpt2", "modern"])
@pytest.mark.parametrize(
    "part", [name for name in TASKS if name.partition(".")[0] in "attention gpt"]
)
def test_each_part_of_the_model_fits_between_the_reference_s(style, part):
    own = {part: load_own(Mine(SOLUTIONS, (part,)))[part]}
    config = GPTConfig(vocab_size=23, block_size=12, n_layer=2, n_head=2, n_embd=8, style=style)
    reference = GPT(config)
    for parameter in reference.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=make_generator(parameter.numel()))
    model = own_model(own, reference)
    idx = torch.randint(23, (3, 9), generator=make_generator(0))
    torch.testing.assert_close(model(idx), reference(idx), atol=1e-5, rtol=1e-4)
    assert model.state_dict().keys() == reference.state_dict().keys()


def test_parts_that_nobody_wrote_are_the_reference_s():
    assert assemble({}).build_vocab is build_vocab
    mine, verdicts = find_mine(SOLUTIONS)
    assert [verdict.task for verdict in verdicts] == list(TASKS)
    assert mine.own == tuple(TASKS)
