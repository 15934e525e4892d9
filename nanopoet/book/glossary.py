"""`nanopoet dev glossary`: the terms of the course, from data to a page with links.

chapters/glossary.toml holds each term in English and Chinese with its meaning and its chapter.
Where a chapter introduces it is looked up in the notebook itself, so a link cannot go stale.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import nbformat

from nanopoet.backup import rewrite_and_tell
from nanopoet.paths import CHAPTERS

FILE = CHAPTERS / "glossary.toml"
GLOSSARY = CHAPTERS / "glossary.md"


@dataclass(frozen=True)
class Term:
    """A term of the field, and the chapter that introduces it."""

    english: str
    chinese: str
    pinyin: str
    meaning: str
    chapter: int


def load_terms(path: Path = FILE) -> list[Term]:
    """All terms, in the order of the alphabet."""
    tables = tomllib.loads(path.read_text(encoding="utf-8"))["term"]
    return sorted((Term(**table) for table in tables), key=lambda term: term.english.lower())


def first_use(term: Term) -> tuple[Path, str]:
    """The notebook of a term's chapter, and the heading under which it is first explained.

    Raises `ValueError` if the chapter never writes it as `english (chinese)`.
    """
    path = next(CHAPTERS.glob(f"{term.chapter:02}_*.ipynb"))
    written = re.compile(rf"{re.escape(term.english)}\w*\W* \({term.chinese}", re.IGNORECASE)
    heading = ""
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "markdown":
            continue
        for line in cell.source.splitlines():
            if line.startswith("#"):
                heading = line.lstrip("#").strip()
            if written.search(line):
                return path, heading
    raise ValueError(f"{path.name} does not introduce {term.english} ({term.chinese})")


def heading_link(label: str, page: str, heading: str) -> str:
    """A link to a heading, as Jupyter and the book name it."""
    anchor = heading.replace(" ", "-").replace("(", "%28").replace(")", "%29")
    return f"[{label}]({page}#{anchor})"


def table_row(*cells: str) -> str:
    """One row of a table in Markdown, whatever stands in its cells."""
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def glossary_markdown() -> str:
    """The page: a table of terms, each with a link to where it is first used."""
    lines = [
        "# Glossary (术语表)",
        "",
        "Each term leads to the place that introduces it.",
        "",
        table_row("term", "Chinese", "pinyin", "meaning", "first used"),
        table_row(*["---"] * 5),
    ]
    for term in load_terms():
        path, heading = first_use(term)
        link = heading_link(f"chapter {term.chapter:02}", path.name, heading)
        lines.append(table_row(term.english, term.chinese, f"*{term.pinyin}*", term.meaning, link))
    return "\n".join(lines) + "\n"


def write_glossary() -> None:
    """The page anew from the terms; what stood there is kept if it was another."""
    rewrite_and_tell(GLOSSARY, glossary_markdown())
