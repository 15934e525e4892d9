"""What is taught where: every heading is there, and every name, command, key and test."""

import importlib
import inspect
import re
import shlex
from dataclasses import fields
from pathlib import Path

import nbformat
import pytest
import typer

from nanopoet import cli
from nanopoet.book.features import FEATURES, Feature, features_markdown, load_features
from nanopoet.paths import CHAPTERS, ROOT
from nanopoet.poet.presets import Preset, Stage, find_preset
from nanopoet_ref.gpt import GPTConfig
from nanopoet_ref.optim import configure_optimizers

ROWS = load_features()
KEYS = {
    *(field.name for field in fields(Preset)),
    *(f"model.{field.name}" for field in fields(GPTConfig)),
    *(f"stages.{field.name}" for field in fields(Stage)),
    *(f"stages.optimizer.{name}" for name in inspect.signature(configure_optimizers).parameters),
}


def headings(page: Path) -> list[str]:
    """Of a notebook."""
    cells = nbformat.read(page, as_version=4).cells
    prose = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return re.findall(r"^#+ (.+)$", prose, re.MULTILINE)


def find_heading(place: str) -> None:
    """Raise if a page does not have a heading, or has it twice, so that a link has no one goal."""
    page, _, heading = place.partition("#")
    if headings(CHAPTERS / page).count(heading) != 1:
        raise LookupError(place)


def find_command(line: str) -> None:
    """Raise if a command line has a command, an option, a preset or a file that is not there."""
    _, *args = shlex.split(line)
    command = typer.main.get_command(cli.app)
    while hasattr(command, "commands"):
        command = command.commands[args.pop(0)]
    given = command.make_context(line, list(args)).params
    if given.get("preset"):
        find_preset(given["preset"])
    for arg in args:
        if arg.endswith(".toml") and not (ROOT / arg).is_file():
            raise LookupError(arg)


def find_test(place: str) -> None:
    """Raise if a file has no such test."""
    file, _, name = place.partition("::")
    if not re.search(rf"^def {name}\(", (ROOT / file).read_text("utf-8"), re.MULTILINE):
        raise LookupError(place)


def find_name(dotted: str) -> None:
    """Raise if a module, or a name in it, is not there."""
    parts = dotted.split(".")
    found = importlib.import_module(parts.pop(0))
    while parts:
        name = parts.pop(0)
        if not hasattr(found, name):
            importlib.import_module(f"{found.__name__}.{name}")
        found = getattr(found, name)


def find_place(place: str) -> None:
    """Raise if what is said to run is not there."""
    if place.startswith("nanopoet "):
        find_command(place)
    elif place.startswith("preset "):
        if place.removeprefix("preset ") not in KEYS:
            raise LookupError(place)
    elif place.startswith("tests/"):
        find_test(place)
    else:
        find_name(place)


def test_all_91_features_are_there():
    assert [feature.number for feature in ROWS] == list(range(1, 92))
    assert len({feature.title for feature in ROWS}) == 91


@pytest.mark.parametrize("feature", ROWS, ids=lambda feature: str(feature.number))
def test_every_place_of_a_feature_is_there(feature: Feature):
    for place in feature.taught:
        find_heading(place)
    for place in feature.runs:
        find_place(place)


@pytest.mark.parametrize("feature", ROWS, ids=lambda feature: str(feature.number))
def test_a_feature_is_taught_and_runs_or_is_left_out_with_a_reason(feature: Feature):
    left_out = feature.note.startswith("Left out: ")
    assert bool(feature.taught) == bool(feature.runs) == (not left_out)


@pytest.mark.parametrize(
    "place",
    [
        "nanopoet_ref.nowhere",
        "nanopoet_ref.tokenizer.nothing",
        "nanopoet_ref.tokenizer.CharTokenizer.nothing",
        "nanopoet nothing",
        "nanopoet dev nothing",
        "nanopoet train --nothing",
        "nanopoet train --preset nothing",
        "nanopoet dev experiment chapters/experiments/nothing.toml",
        "preset nothing",
        "preset stages.nothing",
        "preset model.nothing",
        "tests/book/test_features.py::test_nothing",
        "tests/nothing.py::test_nothing",
    ],
)
def test_what_is_not_there_is_found_out(place: str):
    with pytest.raises(Exception):  # noqa: B017, PT011 (each kind of place has its own)
        find_place(place)


def test_a_heading_that_is_not_there_is_found_out():
    with pytest.raises(LookupError):
        find_heading("01_tokenizer.ipynb#Nothing")
    with pytest.raises(FileNotFoundError):
        find_heading("99_none.ipynb#Quiz")


def test_the_page_is_that_of_the_data():
    """After a change of the data: nanopoet dev features."""
    assert FEATURES.read_text("utf-8") == features_markdown()
