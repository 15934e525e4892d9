"""The commands around the chapters: run them again, set their quiz, train what a table shows."""

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from nanopoet.bench.experiments import run_experiment
from nanopoet.book import datacard, features, glossary
from nanopoet.book.notebooks import place_tasks, tidy
from nanopoet.book.quiz import Option, Question, load_quiz, quiz_markdown
from nanopoet.checker.tasks import TaskError, load_tasks
from nanopoet.poet.presets import PresetError
from nanopoet.poet.run import Run
from nanopoet_ref.poem import Poem
from nanopoet_ref.prosody import find_faults

QUESTION = Question(
    "Why?", "Because.", "It is so.", (Option("No.", "It is not."), Option("Yes.", "Of what?"))
)


def refresh(*paths: Path) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own: a kernel needs sockets, and here they are blocked."""
    command = [sys.executable, "-m", "nanopoet.cli", "dev", "notebooks", *map(str, paths)]
    return subprocess.run(command, capture_output=True, encoding="utf-8", timeout=120)


@pytest.fixture
def chapter(tmp_path: Path) -> Path:
    uncompared = new_code_cell(
        "import time; time.time()", metadata={"tags": ["nbval-ignore-output"]}
    )
    cells = [new_markdown_cell("# One"), new_code_cell("x = 6"), new_code_cell("x * 7"), uncompared]
    path = tmp_path / "99_one.ipynb"
    nbformat.write(new_notebook(cells=cells), path)
    return path


def test_a_chapter_is_run_and_says_which_cells_changed(chapter):
    done = refresh(chapter)
    assert done.returncode == 0, done.stderr
    assert "1 compared cells changed" in done.stdout
    assert "In [2]: x * 7" in done.stdout
    cells = nbformat.read(chapter, as_version=4).cells
    assert cells[2].outputs[0].data["text/plain"] == "42"
    assert [cell.execution_count for cell in cells[1:]] == [1, 2, 3]
    again = refresh(chapter)
    assert "0 compared cells changed" in again.stdout


def test_a_cell_that_fails_leaves_the_chapter_as_it_was(chapter):
    notebook = nbformat.read(chapter, as_version=4)
    notebook.cells[2].source = "x / 0"
    nbformat.write(notebook, chapter)
    before = chapter.read_bytes()
    done = refresh(chapter)
    assert done.returncode == 1
    assert "99_one.ipynb" in done.stderr
    assert "ZeroDivisionError" in done.stderr
    assert chapter.read_bytes() == before


def test_a_chapter_that_is_edited_while_it_runs_keeps_the_edit(chapter):
    notebook = nbformat.read(chapter, as_version=4)
    notebook.cells[2].source = f"open({str(chapter)!r}, 'a').write(' ')"  # an editor saves
    nbformat.write(notebook, chapter)
    before = chapter.read_bytes()
    done = refresh(chapter)
    assert (done.returncode, done.stdout) == (1, "")
    assert "99_one.ipynb stays as it was. It was edited while it ran" in done.stderr
    assert chapter.read_bytes() == before + b" "


def test_a_task_without_its_section_is_an_error():
    notebook = new_notebook(cells=[new_markdown_cell("# One\n\n## Why?\n\nBecause.")])
    with pytest.raises(TaskError, match="chapter 1 has no section"):
        place_tasks(notebook, 1)
    place_tasks(notebook, 99)  # a chapter without tasks: only its sections are parted
    assert [cell.source for cell in notebook.cells] == ["# One", "## Why?\n\nBecause."]


def test_a_task_stands_above_its_answer_which_is_folded():
    (task, *_) = (t for t in load_tasks().values() if t.name == "attention.causal_mask")
    others = [t for t in load_tasks().values() if t.chapter == 2 and t.after != task.after]
    sections = [new_markdown_cell(f"## {name}") for name in dict.fromkeys(t.after for t in others)]
    answer = new_code_cell("def causal_mask(T):\n    pass", metadata={"tags": ["reference"]})
    notebook = new_notebook(
        cells=[new_markdown_cell(f"## {task.after}"), answer, new_code_cell("1"), *sections]
    )
    for _ in range(2):  # the second time changes nothing
        place_tasks(notebook, 2)
        cells = notebook.cells
        place = next(i for i, cell in enumerate(cells) if cell.source == answer.source)
        assert f"`nanopoet check {task.name}`" in cells[place - 1].source
        assert "Then open the folded cell" in cells[place - 1].source
        assert cells[place].metadata["tags"] == ["reference", "answer"]
        tidy(notebook)
        assert cells[place].metadata["jupyter"] == {"source_hidden": True}
        assert "folded" not in cells[place + 2].source  # the rest of the section's tasks


def test_what_is_folded_stays_folded_and_other_metadata_goes():
    folds = {"source_hidden": True, "outputs_hidden": True}
    cells = [
        new_code_cell("1", metadata={"jupyter": dict(folds), "collapsed": True}),
        new_code_cell("2", metadata={"jupyter": {"outputs_hidden": False}}),
    ]
    tidy(notebook := new_notebook(cells=cells))
    assert [cell.metadata for cell in notebook.cells] == [{"jupyter": folds}, {}]


def test_a_notebook_that_is_not_there_is_named(tmp_path):
    done = refresh(tmp_path / "none.ipynb")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no such notebook: ")
    assert "none.ipynb" in done.stderr


# --- Quiz


def test_a_quiz_says_of_every_option_whether_it_is_right():
    text = quiz_markdown([QUESTION])
    assert text.count("Right. ") == 1
    assert "Right. It is so." in text
    assert text.count("No. ") == 2
    assert text.index("<details>") > text.index("Because.")


def test_options_stand_in_the_same_order_wherever_the_right_one_was():
    other = Question("Why?", "No.", "It is not.", (Option("Because.", "a"), Option("Yes.", "b")))
    assert [o.option for o in QUESTION.options()] == [o.option for o in other.options()]


def test_an_unknown_key_in_the_quiz_is_an_error(tmp_path):
    path = tmp_path / "quiz.toml"
    path.write_text('[[loss]]\nquestion = "?"\nright = "a"\nwhy = "b"\nwrng = []\n', "utf-8")
    with pytest.raises((TypeError, KeyError)):
        load_quiz(path)


# --- Experiments


def test_an_experiment_keeps_what_its_runs_logged(nanopoet, tmp_path):
    result = json.loads(run_experiment("tiny.toml", 2).read_text("utf-8"))
    row = result["rows"]["tiny"]
    assert row["preset"]["stages"][0]["max_steps"] == 3
    assert list(row["runs"]) == ["0", "1"]
    assert row["runs"]["0"]["stages"]["pretrain"] != row["runs"]["1"]["stages"]["pretrain"]
    run = row["runs"]["1"]
    assert list(run["stages"]) == ["pretrain", "midtrain"]
    assert list(run["stages"]["pretrain"]["val_loss"]) == ["0", "2", "3"]
    assert run["evaluation"]["samples"] > 0
    assert run["precision"] == "float32"
    assert list(run["fields"]) == ["author", "form", "title", "content"]
    weights = Run("tiny-tiny-1").weights_path("midtrain").stat().st_mtime_ns
    assert json.loads(run_experiment("tiny.toml", 2).read_text("utf-8"))["rows"] == result["rows"]
    assert Run("tiny-tiny-1").weights_path("midtrain").stat().st_mtime_ns == weights


def test_the_baselines_of_an_experiment_are_counted_where_its_runs_are_measured(nanopoet):
    stages = json.loads(run_experiment("tiny.toml", 1).read_text("utf-8"))["rows"]["tiny"]["runs"]
    for stage in stages["0"]["stages"].values():
        found = stage["baselines"]
        assert found["uniform"] > found["unigram"] > found["bigram"] > 0
        assert abs(stage["val_loss"]["0"] - found["uniform"]) < 0.2, "an untrained model"


def test_an_experiment_with_other_settings_trains_again(nanopoet, tmp_path, monkeypatch, capsys):
    path = Path("tiny.toml")
    old = run_experiment("tiny.toml", 1).read_bytes()
    path.write_text(path.read_text("utf-8").replace("max_steps = 3", "max_steps = 2"), "utf-8")
    row = json.loads(run_experiment("tiny.toml", 1).read_text("utf-8"))["rows"]["tiny"]["runs"]["0"]
    assert list(row["stages"]["pretrain"]["val_loss"]) == ["0", "2"]
    (kept,) = (tmp_path / "memory" / "backup").iterdir()
    assert (kept.suffix, kept.read_bytes()) == (".json", old)
    assert f"tiny.json (what was there: {kept})" in capsys.readouterr().out
    new = path.with_suffix(".json").read_bytes()
    monkeypatch.setattr("nanopoet.bench.experiments.train_row", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run_experiment("tiny.toml", 1)
    assert path.with_suffix(".json").read_bytes() == new, "an older log is whole until the end"


def test_a_row_of_an_experiment_may_begin_with_another_of_the_same_seed(nanopoet):
    path = Path("tiny.toml")
    first = path.read_text("utf-8")
    second = first.replace("[tiny]", '[second]\nstart = "tiny"').replace("[tiny.", "[second.")
    second = second.replace("[[tiny.", "[[second.")
    path.write_text(f"{first}\n{second}", "utf-8")
    rows = json.loads(run_experiment("tiny.toml", 2).read_text("utf-8"))["rows"]
    assert rows["second"]["preset"]["start"] == "tiny", "as it is written"
    for seed in ("0", "1"):
        assert Run(f"tiny-second-{seed}").config.preset.start == f"tiny-tiny-{seed}"


def test_a_file_says_how_many_poems_are_judged_and_in_which_other_ways(nanopoet):
    path = Path("tiny.toml")
    judging = '[experiment]\nsamples = 7\nbest_of_8 = ["tiny"]\npoems = 2\n\n'
    path.write_text(judging + path.read_text("utf-8"), "utf-8")
    result = json.loads(run_experiment("tiny.toml", 1).read_text("utf-8"))
    assert list(result["rows"]) == ["tiny"]
    run = result["rows"]["tiny"]["runs"]["0"]
    assert run["evaluation"]["samples"] == run["best_of_8"]["samples"] == 7
    assert "masked" not in run
    assert [find_faults(Poem(**poem)) for poem in run["poems"]] == [[], []]
    path.write_text(path.read_text("utf-8").replace("best_of_8", "best_of_9"), "utf-8")
    with pytest.raises(PresetError, match="best_of_9"):
        run_experiment("tiny.toml", 1)
    path.write_text(path.read_text("utf-8").replace('best_of_9 = ["tiny"', 'masked = ["huge"'))
    with pytest.raises(PresetError, match="huge"):
        run_experiment("tiny.toml", 1)


def test_end_pages_and_a_data_card_that_somebody_has_edited_are_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("NANOPOET_MEMORY", str(tmp_path / "memory"))
    paths = [tmp_path / name for name in ("glossary.md", "features.md", datacard.CARD)]
    for path in paths:
        path.write_text("my own words")
    monkeypatch.setattr(glossary, "GLOSSARY", paths[0])
    glossary.write_glossary()
    monkeypatch.setattr(features, "FEATURES", paths[1])
    features.write_features()
    for name in ("load_poems", "build_card", "draw_lengths", "prepared"):
        monkeypatch.setattr(datacard, name, lambda *_: "made up")
    assert datacard.write_card(folder=tmp_path) == 0
    assert not any("my own words" in path.read_text("utf-8") for path in paths)
    kept = list((tmp_path / "memory" / "backup").iterdir())
    assert [path.read_text() for path in kept] == ["my own words"] * 3
