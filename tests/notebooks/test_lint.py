"""The chapters as documents: run in order, comparable everywhere, true to the reference."""

import ast
import importlib
import inspect
import re
from pathlib import Path
from urllib.parse import unquote

import nbformat
import pytest

from nanopoet.book.glossary import GLOSSARY, first_use, glossary_markdown, load_terms
from nanopoet.book.notebooks import (
    ANSWER,
    CHAPTERS,
    QUIZ,
    REFERENCE,
    TAGS,
    TASK,
    TIMES,
    UNCOMPARED,
    chapter_paths,
    code_cells,
    minutes_of_tasks,
    minutes_to_read,
    place_tasks,
    tags,
)
from nanopoet.book.quiz import load_quiz, quiz_markdown
from nanopoet.checker.tasks import load_tasks
from tests.notebooks.plugin import BUDGETS

NAMES = (
    "start",  # has no module of its own and no task to write
    "tokenizer",
    "attention",
    "gpt",
    "training",
    "loss",
    "pretraining",
    "midtraining",
    "mixture",
    "scaling",
    "alignment",
)
SHARED = {
    0: {"poem", "corpus", "spelling", "pinyin", "gloss", "figures", "lesson"},
    1: {"poem", "corpus", "runtime", "figures", "lesson", "pinyin", "gloss"},
    3: {"sampling"},
    4: {"schedule", "optim", "checkpoint"},
    7: {"prosody", "evaluation"},
    8: {"conversation", "tools", "streaming"},
    10: {"rewards", "rollouts", "masks", "rhymebook"},
}
ALSO_TAUGHT = {
    3: {"sampling"},
    6: {"schedule", "optim", "checkpoint"},
    8: {"conversation", "tools", "streaming"},
    10: {"rewards", "masks", "prosody"},
}
# An absolute path, a drive of Windows, the address of an object.
FROM_A_MACHINE = re.compile(r"(^|[\s'\"(])/\w+/\w|\b[A-Z]:\\|0x[0-9a-f]{6}")
PATHS = chapter_paths()
each_chapter = pytest.mark.parametrize("path", PATHS, ids=lambda path: path.stem)
each_module = pytest.mark.parametrize("path", PATHS[1:], ids=lambda path: path.stem)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def prose(notebook: nbformat.NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def texts(cell: nbformat.NotebookNode) -> str:
    """All that a cell has printed, pixels left out."""
    found = []
    for output in cell.outputs:
        found.append(output.get("text", ""))
        data = output.get("data", {})
        found += [text for kind, text in data.items() if not kind.startswith("image/")]
    return "\n".join(found)


def test_all_chapters_are_there():
    assert [path.stem for path in PATHS] == [f"{n:02}_{name}" for n, name in enumerate(NAMES)]


@each_chapter
def test_cells_were_run_once_from_first_to_last(path):
    counts = [cell.execution_count for cell in code_cells(read(path))]
    assert counts == list(range(1, len(counts) + 1))


@each_chapter
def test_tags_are_known(path):
    notebook = read(path)
    assert {tag for cell in notebook.cells for tag in tags(cell)} <= TAGS
    assert not re.search(r"^# NBVAL", "\n".join(c.source for c in notebook.cells), re.MULTILINE)


@each_chapter
def test_outputs_hold_no_errors_warnings_paths_or_machines(path):
    for cell in code_cells(read(path)):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", cell.source
            assert len(str(output)) <= 200_000, cell.source
        assert not FROM_A_MACHINE.search(texts(cell)), cell.source


@each_chapter
def test_figures_have_a_sentence_for_those_who_cannot_see_them(path):
    figures = 0
    for cell in code_cells(read(path)):
        for output in cell.outputs:
            if "image/png" in output.get("data", {}):
                figures += 1
                assert len(output.metadata["image/png"]["alt"]) > 15, cell.source
    assert figures >= 2


@each_chapter
def test_few_cells_are_uncompared_and_each_is_followed_by_a_verdict(path):
    cells = list(code_cells(read(path)))
    uncompared = [i for i, cell in enumerate(cells) if UNCOMPARED in tags(cell)]
    assert len(uncompared) <= 0.2 * len(cells)
    for i in uncompared:
        verdict = cells[i + 1]
        assert UNCOMPARED not in tags(verdict)
        assert "assert " in verdict.source
        assert verdict.outputs


@each_chapter
def test_only_its_own_and_earlier_modules_are_imported(path):
    number = int(path.stem[:2])
    allowed = set(NAMES[: number + 1]).union(*(found for n, found in SHARED.items() if n <= number))
    for cell in code_cells(read(path)):
        for node in ast.walk(ast.parse(cell.source)):
            if isinstance(node, ast.ImportFrom) and node.module == "nanopoet_ref":
                assert {alias.name for alias in node.names} <= allowed
            elif isinstance(node, ast.ImportFrom) and node.module.startswith("nanopoet"):
                package, _, module = node.module.partition(".")
                assert package == "nanopoet_ref"
                assert module in allowed
            elif isinstance(node, ast.Import):
                for alias in node.names:
                    if alias.name.startswith("nanopoet"):
                        assert alias.name.removeprefix("nanopoet_ref.") in allowed


def without_docstrings(node: ast.AST) -> str:
    """Code as it runs: docstrings and layout left out."""
    for inner in ast.walk(node):
        body = getattr(inner, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            value = body[0].value
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                inner.body = body[1:]
    return ast.dump(node)


@each_module
def test_the_final_form_of_a_function_is_the_reference(path):
    places = [path.stem[3:], *sorted(ALSO_TAUGHT.get(int(path.stem[:2]), ()))]
    modules = [importlib.import_module(f"nanopoet_ref.{name}") for name in places]
    compared = 0
    for cell in code_cells(read(path)):
        if REFERENCE not in tags(cell):
            continue
        for node in ast.parse(cell.source).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found = [vars(module)[node.name] for module in modules if node.name in vars(module)]
                assert found, f"{path.stem}: {node.name} is in none of {places}"
                source = inspect.getsource(found[0])
                assert without_docstrings(node) == without_docstrings(ast.parse(source).body[0]), (
                    f"{path.stem}: {node.name} is not the code of the reference"
                )
                compared += 1
    assert compared >= 1


# --- Words


@each_chapter
def test_a_chapter_begins_with_what_it_is_about(path):
    first = read(path).cells[0].source
    assert re.match(rf"# {path.stem[:2]} · .+ \(.*[\u4e00-\u9fff].*\)", first)
    opening = prose(read(path)).partition("\n## ")[0]
    for words in ("After this chapter", "You need", "Reading", "Running", "→"):
        assert words in opening


@each_chapter
def test_a_chapter_ends_with_what_was_found(path):
    headings = re.findall(r"^## (.+)$", prose(read(path)), re.MULTILINE)
    for wanted in ("Break", "Tasks", "Recap", "Quiz", "differently", "Sources", "Next"):
        assert any(wanted in heading for heading in headings), wanted


@each_chapter
def test_no_word_that_only_fills(path):
    banned = r"\b(simply|obviously|of course|as we all know|let's dive|needless to say)\b"
    assert not re.findall(banned, prose(read(path)), re.IGNORECASE)


# Code, formulas, tags, and years in brackets.
NOT_PROSE = re.compile(r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|<[^>]*>|\([^)]*\d{4}\)", re.DOTALL)
NUMBER = re.compile(r"(?<![\w.,/-])(?<![=≈+] )(\d[\d,]*\.\d+|\d{1,3}(?:,\d{3})+|\d{3,}(?![\w/,-]))")


@each_chapter
def test_every_number_in_the_prose_stands_in_a_cell(path):
    """Decimals, and numbers of three digits or more: printed by a cell or written in its code.

    What a sentence works out before the reader's eyes (`= 7.4`), what a task proposes, the quiz and
    the times at the top need no cell.
    """
    notebook = read(path)
    shown = " ".join(cell.source + texts(cell) for cell in code_cells(notebook))
    shown = re.sub("[,_]", "", shown)
    chapter = [cell for cell in notebook.cells if not {QUIZ, TASK} & set(tags(cell))]
    text = re.sub(
        r"\n## Tasks.*?(?=\n## )", "", prose(nbformat.NotebookNode(cells=chapter)), flags=re.DOTALL
    )
    text = NOT_PROSE.sub(" ", TIMES.sub("", text.partition("\n## Sources")[0]))
    missing = [n for n in NUMBER.findall(text) if n.replace(",", "") not in shown]
    assert not missing


# --- Quiz and glossary


@pytest.mark.parametrize("chapter", NAMES)
def test_a_quiz_has_five_questions_with_every_option_explained(chapter):
    questions = load_quiz()[chapter]
    assert len(questions) == 5
    for question in questions:
        options = question.options()
        assert len(question.wrong) == 3
        assert sum(option.option == question.right for option in options) == 1
        assert len({option.option for option in options}) == len(options)
        assert len({option.why for option in options}) == len(options)
        assert all(len(option.why) > 20 for option in options)


@each_chapter
def test_the_quiz_in_a_chapter_is_that_of_the_data(path):
    cells = [cell for cell in read(path).cells if QUIZ in tags(cell)]
    assert [cell.source for cell in cells] == [quiz_markdown(load_quiz()[path.stem[3:]])]


@each_chapter
def test_each_task_is_named_where_its_idea_is_taught(path):
    """After a change of the manifest: nanopoet dev notebooks."""
    notebook, again = read(path), read(path)
    place_tasks(again, int(path.stem[:2]))
    assert [cell.source for cell in notebook.cells] == [cell.source for cell in again.cells]
    text = "\n".join(cell.source for cell in notebook.cells if TASK in tags(cell))
    tasks = [task.name for task in load_tasks().values() if task.chapter == int(path.stem[:2])]
    assert tasks
    assert re.findall(r"`nanopoet check (\w+\.\w+)`", text) == tasks  # in the same order


@each_chapter
def test_the_times_at_the_top_are_those_of_the_formula_the_manifest_and_a_run(path):
    """After a change: nanopoet dev notebooks."""
    notebook = read(path)
    reading, running, tasks = map(int, TIMES.search(notebook.cells[0].source).groups())
    assert reading == minutes_to_read(notebook)
    assert tasks == minutes_of_tasks(int(path.stem[:2]))
    assert 0 < running <= BUDGETS[path.stem]


@each_chapter
def test_no_cell_in_sight_is_longer_than_a_page(path):
    for cell in code_cells(read(path)):
        if not cell.metadata.get("jupyter", {}).get("source_hidden"):
            assert len(cell.source.splitlines()) <= 40, cell.source[:200]


def says_what_to_expect(notebook: nbformat.NotebookNode) -> set[int]:
    """The numbers of the tasks at the end that say what comes out."""
    section = re.search(r"^## Tasks\n(.*?)(?=^## )", prose(notebook), re.DOTALL | re.MULTILINE)[1]
    items = re.findall(r"^(\d+)\. (.*?)(?=^\d+\. |\Z)", section, re.DOTALL | re.MULTILINE)
    return {int(number) for number, text in items if "Expect" in text}


@each_module
def test_what_the_tasks_say_to_expect_is_run(path):
    """By a test of that number in expectations/, which may hold more."""
    module = Path(__file__).with_name("expectations") / f"test_{path.stem}.py"
    tested = re.findall(r"^def test_task_(\d+)", module.read_text("utf-8"), re.MULTILINE)
    assert says_what_to_expect(read(path)) <= set(map(int, tested))


@each_module
def test_no_answer_stands_unfolded(path):
    """What a task asks for by its name is folded, and stands below the task."""
    told, folded = "", 0
    tasks = {t.function: t.name for t in load_tasks().values() if t.chapter == int(path.stem[:2])}
    for cell in read(path).cells:
        if TASK in tags(cell):
            told += cell.source
        if cell.cell_type != "code":
            continue
        given = {getattr(node, "name", "") for node in ast.parse(cell.source).body}
        for function in given & set(tasks):
            folded += 1
            assert f"`nanopoet check {tasks[function]}`" in told, function
            assert ANSWER in tags(cell), function
            assert cell.metadata["jupyter"]["source_hidden"], function
    assert folded >= 1


def test_the_glossary_is_that_of_the_data():
    assert GLOSSARY.read_text(encoding="utf-8") == glossary_markdown()


def test_every_term_is_introduced_with_its_chinese_name_in_its_chapter():
    for term in load_terms():
        path, heading = first_use(term)  # raises where it is not
        assert (int(path.stem[:2]), bool(heading)) == (term.chapter, True)


def test_every_link_of_the_glossary_leads_to_a_heading():
    links = re.findall(r"\((\d\d_\w+\.ipynb)#([^)]+)\)", GLOSSARY.read_text(encoding="utf-8"))
    assert len(links) == len(load_terms())
    for name, anchor in links:
        headings = re.findall(r"^#+ (.+)$", prose(read(CHAPTERS / name)), re.MULTILINE)
        assert unquote(anchor) in [heading.replace(" ", "-") for heading in headings]
