"""What `nanopoet compare` looks like in a terminal: as many columns as there is room for."""

import re
import textwrap
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nanopoet.checker.comparison import Block, Comparison
from nanopoet.checker.pieces import Row, one_side
from nanopoet.checker.show import LABEL, show_verdict, wrapped

COLUMN = 46  # characters; with fewer, code is broken too often to be read in columns
GAP = 2
MARK = "≠ "


def code(rows: list[Row], side: int, width: int) -> list[list[Text]]:
    """One side of all rows as lines of at most `width` characters, those that differ marked."""
    found = []
    for row in rows:
        mark, style = (MARK, "bold yellow") if row.differs else ("  ", "")
        lines = []
        for line in row.sides[side]:
            indent = " " * (len(line) - len(line.lstrip()))
            # rich counts columns: a Chinese character has two.
            room = max(width - len(mark), 20)
            pieces = textwrap.wrap(
                line,
                room,
                subsequent_indent=indent[: room // 2] + "    ",
                drop_whitespace=True,
                replace_whitespace=False,
                break_on_hyphens=False,
            )
            lines += [Text(mark + piece, style=style) for piece in pieces or [""]]
        found.append(lines)
    return found


def table(block: Block, width: int) -> Table:
    """The code of a block, its columns side by side."""
    each = (width - GAP * (len(block.titles) - 1)) // len(block.titles)
    grid = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    for _ in block.titles:
        grid.add_column(width=each, overflow="fold")
    grid.add_row(*(Text(f"── {title} ".ljust(each, "─"), style="bold") for title in block.titles))
    sides = [code(block.rows, side, each) for side in range(len(block.titles))]
    for cells in zip(*sides, strict=True):
        grid.add_row(*(Text("\n").join(lines) for lines in cells))
    return grid


def columns(block: Block) -> list[Block]:
    """Its columns as blocks of their own, one below the other."""
    return [Block((title,), one_side(block.rows, side)) for side, title in enumerate(block.titles)]


def show_blocks(blocks: list[Block], console: Console) -> None:
    """The code, side by side if each column is wide enough, else one below the other."""
    count, width = sum(len(block.titles) for block in blocks), console.width
    if width >= count * (COLUMN + GAP) - GAP:
        outer = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
        each = (width - GAP * (count - 1)) // count
        tables = [table(b, each * len(b.titles) + GAP * (len(b.titles) - 1)) for b in blocks]
        outer.add_row(*tables)
        console.print(outer)
        return
    if width < 2 * COLUMN + GAP:
        blocks = [column for block in blocks for column in columns(block)]
    for block in blocks:
        console.print(table(block, width))


def show_rows(rows: list[tuple[str, str]], console: Console) -> None:
    """Labels and what is said of each; a label that repeats is said once."""
    width, before = max(console.width - LABEL - 1, 24), ""
    for label, text in rows:
        lines = [part for line in text.split("\n") for part in wrapped(line, width)]
        name = "" if label == before else label
        shown = ("\n" + " " * LABEL).join(lines)
        console.print(Text(f"  {name:{LABEL - 2}}{shown}"), soft_wrap=True)
        before = label


def show_comparison(comparison: Comparison, console: Console, root: Path | None) -> None:
    """A task from what it asks for to what is said of the answer."""
    task = comparison.task
    console.rule(Text(f"{task.name} · {task.title}", style="bold"), align="left")
    for paragraph in comparison.contract.split("\n\n"):
        prose = not re.search(r"^(>>>|\s|-|\d)", paragraph, re.MULTILINE)
        said = " ".join(paragraph.split("\n")) if prose else paragraph
        console.print(Text(f"{said}\n", style="dim"))
    show_blocks(comparison.blocks, console)
    console.print()
    if comparison.verdict and root:
        show_verdict(comparison.verdict, console, root, alone=False)
    show_rows(comparison.notes + comparison.explanation, console)
    console.print()
