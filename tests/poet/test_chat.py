"""The stage of the mixture, what its run begins with, its table, and `nanopoet chat`."""

import json
import math
import shutil
import signal
from pathlib import Path

import pytest
import torch

from nanopoet.poet import chat as chat_module
from nanopoet.poet.evaluate import bits_by_speaker
from nanopoet.poet.presets import Preset, PresetError, Stage
from nanopoet.poet.run import Run
from nanopoet.poet.stages import BATCHES
from nanopoet_ref.checkpoint import load_checkpoint
from nanopoet_ref.conversation import CHAT_TOKENS, render_conversation
from nanopoet_ref.mixture import CHARACTERS, TASKS, ask
from tests.conftest import PRESET, STAGE, run_command, train_in

MODEL = next(line for line in PRESET.splitlines() if line.startswith("model"))
TALK = f"""
[talk]
about = "conversations in a second"
forms = "regulated"
start = "tiny"
{MODEL}

[[talk.stages]]
name = "mixture"
max_steps = 4
examples = 20
{STAGE}
"""


@pytest.fixture(scope="module")
def learned(trained, tmp_path_factory):
    """The trained run, and one that began with it and learned to answer."""
    home = tmp_path_factory.mktemp("learned")
    shutil.copytree(trained / "runs", home / "runs")
    (home / "talk.toml").write_text(TALK, "utf-8")
    train_in(home, trained / "raw", home / "talk.toml")
    return home


@pytest.fixture
def talk(nanopoet, learned, tmp_path):
    """A copy of both runs, and the preset at hand."""
    shutil.copytree(learned / "runs", tmp_path / "runs")
    shutil.copy(learned / "talk.toml", "talk.toml")
    return Run("talk")


@pytest.fixture
def scripted(monkeypatch):
    """An answer that is known beforehand; `stop` presses Ctrl-C in its midst."""
    asked = []

    def install(*tokens, stop=False):
        def answer_tokens(model, tokenizer, conversation, **options):
            asked.append((conversation[0]["content"], options["temperature"]))
            yield from (tokenizer.vocab.index(token) for token in tokens)
            if stop:
                raise KeyboardInterrupt

        monkeypatch.setattr(chat_module, "answer_tokens", answer_tokens)
        return asked

    return install


def type_in(monkeypatch, *lines):
    """What is typed at the prompt: texts, or what Ctrl-C and Ctrl-D raise."""
    typed = iter(lines)

    def read(prompt):
        line = next(typed)
        if isinstance(line, type):
            raise line
        return line

    monkeypatch.setattr("builtins.input", read)


# --- The stage


def test_the_run_begins_with_the_weights_of_the_other(talk):
    start, before = load_checkpoint(talk.start_path), load_checkpoint(Run("tiny").checkpoint_path)
    for name, old in before.model.state_dict().items():
        assert torch.equal(start.model.state_dict()[name][: len(old)], old), name
    old, new = before.tokenizer.vocab, talk.tokenizer().vocab
    assert new[: len(old)] == old
    assert set(CHAT_TOKENS) | set(CHARACTERS) <= set(new)
    assert load_checkpoint(talk.checkpoint_path).tokenizer.vocab == new


def test_training_says_what_is_mixed_and_moves_the_weights(talk, learned):
    printed = (learned / "printed.txt").read_text("utf-8")
    assert "140 conversations (Compose 14.3%, " in printed
    assert "are longer than the block and cut" in printed
    assert [log.step for log in talk.logs("mixture")] == [0, 1, 2, 3, 4]
    assert talk.logs("mixture")[0].val_loss != talk.logs("mixture")[4].val_loss
    assert talk.read_samples()[0].startswith("mixture step 0: 写一首五言绝句，题为春望。")
    assert talk.curve_path("mixture").is_file()


def test_it_goes_on_to_the_same_bits_although_the_other_run_is_gone(talk, monkeypatch):
    whole = load_checkpoint(talk.weights_path("mixture")).model.state_dict()
    append = Run.append_metrics

    def press(self, name, log):
        append(self, name, log)
        if log.step == 3:
            signal.raise_signal(signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "append_metrics", press)
        assert run_command("train", "--preset", "talk.toml", "--overwrite").code == 130
    shutil.rmtree(Run("tiny").path)
    assert run_command("train", "--resume", "--name", "talk").code == 0
    again = load_checkpoint(talk.weights_path("mixture")).model.state_dict()
    assert all(torch.equal(again[name], whole[name]) for name in whole)


def test_all_stages_can_be_one_run(nanopoet):
    Path("all.toml").write_text(
        PRESET.replace("tiny", "all")
        + TALK.partition("[[talk.stages]]")[2].join(["[[all.stages]]", ""]),
        "utf-8",
    )
    assert nanopoet("train", "--preset", "all.toml").code == 0
    run = Run("all")
    assert run.stage_names == ["pretrain", "midtrain", "mixture"]
    assert set(CHAT_TOKENS) < set(run.tokenizer().special)
    assert not run.start_path.exists()
    assert nanopoet("chat", "--run", "all", "--ask", "你是谁？").code == 0


def test_a_task_that_is_listed_twice_is_there_twice(nanopoet, poet):
    tasks = 'tasks = ["Identity", "Compose", "Identity"]\n'
    Path("talk.toml").write_text(TALK + tasks, "utf-8")
    out = nanopoet("train", "--preset", "talk.toml", "--steps", 0).out
    assert "60 conversations (Identity 66.7%, Compose 33.3%)" in out


@pytest.mark.parametrize("mask", ["all", "not_padding", "answer"])
def test_a_mask_changes_what_is_trained_on_not_what_is_measured(talk, mask):
    data, stage = talk.data(), Stage("mixture", 1, 4, mask=mask, examples=20)
    made = BATCHES["mixture"](data, talk.tokenizer(), 80, stage, 0, None)
    batch = made.batches(0)
    answers = made.fixed["train"][0]
    assert (batch.n_tokens < batch.targets.numel()) == (mask != "all")
    assert answers.n_tokens < 0.8 * answers.targets.numel()
    if mask == "not_padding":
        assert torch.equal(batch.mask, batch.targets != 1)


@pytest.mark.parametrize(
    ("stage", "reason"),
    [
        ({"name": "mixture", "mask": "content"}, "mask='content' is not one of all"),
        ({"name": "midtrain", "mask": "answer"}, "mask='answer' is not one of all"),
        ({"name": "mixture", "tasks": ["Compose", "Cook"]}, r"tasks=\['Cook'\] are not of Compose"),
        ({"name": "mixture", "tasks": []}, "tasks are none"),
        ({"name": "mixture", "tasks": "Compose"}, "tasks='Compose' is not of type list"),
        ({"name": "mixture", "examples": 0}, "examples=0"),
    ],
)
def test_a_stage_that_makes_no_sense_is_refused(stage, reason):
    with pytest.raises(PresetError, match=reason):
        Stage(**{"max_steps": 1, "batch_size": 1, "mask": "all"} | stage)


def test_a_text_has_no_poet_to_begin_with():
    with pytest.raises(PresetError, match="start='quick' is a poet, and a text has none"):
        Preset("x", "", {}, (Stage("pretrain", 1, 1),), text="a.txt", start="quick")


def test_a_run_that_cannot_be_begun_with_is_refused(nanopoet, talk, use_corpus):
    def refused(*options, change=("", "")):
        Path("other.toml").write_text(TALK.replace(*change), "utf-8")
        return nanopoet("train", "--preset", "other.toml", "--name", "other", *options).error

    assert "no run 'nobody'" in refused(change=('"tiny"', '"nobody"'))
    assert "'tiny' cannot begin with itself" in refused("--name", "tiny", "--overwrite")
    assert Run("tiny").finished()
    assert "'tiny' is of another shape" in refused(change=("n_head = 2", "n_head = 4"))
    use_corpus()
    assert "'tiny' has learned from other poems" in refused()
    (Run("tiny").path / "midtrain.pt").unlink()
    assert "no finished poet: nanopoet train --resume --name tiny" in refused()
    assert not Run("other").path.exists()


# --- What else the run is good for


def test_poems_are_asked_of_the_poet_where_there_is_one(nanopoet, talk):
    assert nanopoet("write").err.startswith("run tiny\n")
    assert nanopoet("write", "--run", "talk", "--author", "李白").code == 0
    shutil.rmtree(Run("tiny").path)
    assert nanopoet("write").err.startswith("run talk\n")


def test_evaluate_has_a_row_for_each_task(nanopoet, talk):
    numbers = json.loads(nanopoet("evaluate", "talk", "--json", "--samples", 2).out)
    assert list(numbers["tasks"]) == list(TASKS)
    for found in numbers["tasks"].values():
        assert list(found) == ["accuracy", "chance", "format_errors", "no_end", "questions"]
        assert found["questions"] == 2
        assert found["accuracy"] + found["format_errors"] + found["no_end"] <= 1 + 1e-9
    assert numbers["samples"] == 2, "and the poems as of any other run"
    assert list(numbers["bits_per_byte"]) == ["prompts", "answers"]
    assert all(0.5 < bits < 9 for bits in numbers["bits_per_byte"].values())
    out = nanopoet("evaluate", "--samples", 1).out
    assert "run talk" in out
    for said in (*TASKS, "right", "by chance", "format errors", "no end", "bits per byte: "):
        assert said in out


def test_evaluate_without_samples_asks_nothing(nanopoet, talk):
    numbers = json.loads(nanopoet("evaluate", "talk", "--json", "--samples", 0).out)
    assert numbers["tasks"] == numbers["bits_per_byte"] == {}


def test_bits_are_shared_out_over_the_bytes_of_each_side(talk):
    poet, asked = talk.poet(), [ask("谁作", "我", ("python_output", "1"))]
    # By hand: the ids of one conversation, its nats one by one, 3 bytes a Chinese character.
    ids, said = render_conversation(poet.tokenizer, asked[0], 100)
    logits = poet.model.eval()(torch.tensor(ids[None, :-1].astype(int)))[0]
    nats = -logits.log_softmax(-1)[range(len(ids) - 1), ids[1:].astype(int)].detach()
    tokens = [poet.tokenizer.decode([i]) for i in ids[1:]]
    prompts = [i for i, token in enumerate(tokens) if token in ("谁", "作", "1")]
    answers = [i for i, token in enumerate(tokens) if token == "我"]
    assert said[1:][answers].all()
    assert not said[1:][prompts].any()
    bits = {"prompts": nats[prompts].sum() / (3 + 3 + 1), "answers": nats[answers].sum() / 3}
    found = bits_by_speaker(poet, asked)
    assert found == pytest.approx({side: float(n) / math.log(2) for side, n in bits.items()})


# --- chat


def test_one_question_has_one_answer(nanopoet, talk):
    done = nanopoet("chat", "--ask", "写一首五言绝句。", "--temperature", 0)
    assert done.code == 0
    assert done.out.endswith("\n")
    assert nanopoet("chat", "--ask", "写一首五言绝句。", "--temperature", 0) == done


def test_the_tool_is_seen_at_work(nanopoet, talk, scripted):
    call = ["<|python_start|>", *"3*56", "<|python_end|>"]
    output = ["<|output_start|>", *"168", "<|output_end|>"]
    asked = scripted(*call, *output, *"共168字。", "<|assistant_end|>")
    done = nanopoet("chat", "--ask", " 三首七言律詩共几字？ ", "--temperature", 0.2)
    assert (done.out, done.err) == ("[3*56 = 168] 共168字。\n", "")
    assert asked == [("三首七言律诗共几字？", 0.2)]


@pytest.mark.parametrize(
    ("tokens", "printed"),
    [("你是", "你是 (no end)\n"), (["是", "<|end|>"], "是<|end|> (<|end|> is out of place)\n")],
)
def test_what_is_wrong_with_an_answer_is_said(nanopoet, talk, scripted, tokens, printed):
    scripted(*tokens)
    assert nanopoet("chat", "--ask", "你是谁？").out == printed


def test_characters_it_cannot_read_are_named(nanopoet, talk, scripted):
    scripted("<|assistant_end|>")
    assert nanopoet("chat", "--ask", "龘の龘是谁？").err == "the run cannot read 龘の\n"


def test_a_talk_goes_on_until_ctrl_d(nanopoet, talk, scripted, monkeypatch):
    asked = scripted(*"春。", "<|assistant_end|>")
    type_in(monkeypatch, "你是谁？", "", "  ", "写一首五言绝句。", EOFError)
    done = nanopoet("chat")
    assert (done.code, done.out) == (0, "春。\n春。\n\n")
    assert [question for question, _ in asked] == ["你是谁？", "写一首五言绝句。"]
    assert done.err.startswith("run talk. Ask, for example: 写一首五言绝句")


def test_ctrl_c_ends_the_answer_and_then_the_talk(nanopoet, talk, scripted, monkeypatch):
    scripted("春", stop=True)
    type_in(monkeypatch, "你是谁？", KeyboardInterrupt)
    done = nanopoet("chat")
    assert (done.code, done.out) == (0, "春 …\n\n")
    done = nanopoet("chat", "--ask", "你是谁？")
    assert (done.code, done.out) == (130, "春")


def test_a_question_that_fills_the_block_ends_no_talk(nanopoet, talk, monkeypatch):
    type_in(monkeypatch, "春" * 99, EOFError)
    done = nanopoet("chat")
    assert done.code == 0
    assert "103 tokens leave no room for an answer in 80" in done.err
    assert "leave no room" in nanopoet("chat", "--ask", "春" * 99).error


def test_who_cannot_answer_says_so(nanopoet, poet):
    assert nanopoet("chat").error == (
        "no run answers questions (tiny cannot); train one that does: nanopoet train --preset chat"
    )
    assert "'tiny' has not learned to answer" in nanopoet("chat", "--run", "tiny").error


def test_an_empty_question_is_refused(nanopoet, talk):
    assert nanopoet("chat", "--ask", " ").error == "--ask needs a question"
