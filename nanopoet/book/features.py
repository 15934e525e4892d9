"""`nanopoet dev features`: what is taught where, from data to a page with links.

chapters/features.toml has a row for each feature of the texts that this course grew out of: the
headings that teach it here, and the places where it runs. tests/book/test_features.py goes to every
one of them.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from nanopoet.backup import rewrite_and_tell
from nanopoet.book.glossary import heading_link, table_row
from nanopoet.paths import CHAPTERS

FILE = CHAPTERS / "features.toml"
FEATURES = CHAPTERS / "features.md"
INTRODUCTION = """\
# What is taught where (何处讲授)

This course grew out of five texts: two published notebooks on a poet like this one, walk-throughs
of nanochat's and of MiniMind's training, and a chapter on the training loop. What these and the
programs they describe teach or use comes to 91 features. Each row says which headings of the book
teach one, and where it runs: a name of `nanopoet_ref` or `nanopoet`, a command, a key of a preset,
or a test. Where this course does it in another way, or leaves it out, the row says so *in this
hand*. A test follows every link and looks up every name.
"""


@dataclass(frozen=True)
class Feature:
    """A feature of the texts, the headings that teach it (`page#heading`), and where it runs."""

    number: int
    title: str
    taught: tuple[str, ...]
    runs: tuple[str, ...]
    note: str = ""  # where the course does it in another way


def load_features(path: Path = FILE) -> list[Feature]:
    """All features, in the order of the file."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))["feature"]
    return [
        Feature(**{**table, "taught": tuple(table["taught"]), "runs": tuple(table["runs"])})
        for table in tables
    ]


def features_markdown() -> str:
    """The page: a table of features, each with links to what teaches it and names of what runs."""
    lines = [
        INTRODUCTION,
        table_row("", "feature", "taught", "runs"),
        table_row(*["---"] * 4),
    ]
    for feature in load_features():
        links = []
        for place in feature.taught:
            page, _, heading = place.partition("#")
            links.append(heading_link(f"{page[:2]} {heading}", page, heading))
        words = [feature.title, *([f"*{feature.note}*"] if feature.note else [])]
        runs = [f"`{place}`" for place in feature.runs]
        parts = ([str(feature.number)], words, links, runs)
        lines.append(table_row(*("<br>".join(part) for part in parts)))
    return "\n".join(lines) + "\n"


def write_features() -> None:
    """The page anew from the rows; what stood there is kept if it was another."""
    rewrite_and_tell(FEATURES, features_markdown())
