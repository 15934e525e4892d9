"""Figures: a font for Chinese, boxes and arrows, curves of a training, matrices as shades."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib import font_manager
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch, Rectangle
from torch import Tensor

FONT = Path(__file__).with_name("fonts") / "NotoSansCJKsc-poems.otf"


def use_chinese_font() -> None:
    """Let matplotlib take Chinese characters from the packaged font, all others from its own."""
    font_manager.fontManager.addfont(FONT)
    plt.rcParams["font.family"] = ["DejaVu Sans", "Noto Sans CJK SC"]


def canvas(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty sheet to draw on, in inches; (0, 0) is its lower left corner."""
    figure, axes = plt.subplots(figsize=(width, height))
    axes.set(xlim=(0, width), ylim=(0, height), aspect="equal")
    axes.axis("off")
    return figure, axes


def draw_box(
    axes: Axes,
    x: float,
    y: float,
    text: str,
    width: float = 1.5,
    height: float = 0.5,
    color: str = "C0",
) -> None:
    """What does something: a box with a text in it, centred at (x, y)."""
    corner = (x - width / 2, y - height / 2)
    shape = FancyBboxPatch(corner, width, height, "round,pad=0,rounding_size=0.08")
    shape.set(facecolor=(color, 0.15), edgecolor=color, linewidth=1.5)
    axes.add_patch(shape)
    axes.text(x, y, text, ha="center", va="center", fontsize=10)


def draw_cells(
    axes: Axes,
    x: float,
    y: float,
    texts: Sequence[object],
    size: float = 0.4,
    color: str = "C7",
    column: bool = False,
) -> None:
    """Data: numbers or characters in a row or a column of squares, centred at (x, y)."""
    for i, text in enumerate(texts):
        offset = (i - (len(texts) - 1) / 2) * size
        at_x, at_y = (x, y - offset) if column else (x + offset, y)
        square = Rectangle((at_x - size / 2, at_y - size / 2), size, size)
        square.set(facecolor=(color, 0.15), edgecolor=color)
        axes.add_patch(square)
        axes.text(at_x, at_y, str(text), ha="center", va="center", fontsize=9)


def draw_arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], text: str = ""
) -> None:
    """An arrow, and what is said of it beside its middle."""
    style = {"arrowstyle": "-|>", "color": "0.3", "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=style)
    middle = [(a + b) / 2 for a, b in zip(start, end, strict=True)]
    axes.text(middle[0] + 0.08, middle[1] + 0.05, text, fontsize=9, color="0.3", va="bottom")


def draw_matrix(
    axes: Axes, matrix: Tensor, rows: Sequence[str], columns: Sequence[str], title: str = ""
) -> None:
    """A matrix as shades, darker for larger, with its rows and columns named."""
    axes.imshow(matrix.detach().float().numpy(), cmap="Blues", vmin=0)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_title(title)


def draw_blocks(axes: Axes, blocks: Sequence[tuple[Tensor, str]], signs: str) -> None:
    """Matrices side by side, each with its name above it and a sign after it: A @ B = C."""
    x = 0
    for (matrix, name), sign in zip(blocks, signs.ljust(len(blocks)), strict=True):
        places = product(*map(range, matrix.shape))
        for (i, j), number in zip(places, matrix.flatten(), strict=True):
            box = plt.Rectangle((x + j, -i - 1), 1, 1, facecolor="#cfe2f3", edgecolor="gray")
            axes.add_patch(box)
            axes.text(x + j + 0.5, -i - 0.5, f"{number:g}", ha="center", va="center")
        axes.text(x + matrix.shape[1] / 2, 0.25, name, ha="center")
        x += matrix.shape[1] + 1
        axes.text(x - 0.5, -1, sign, ha="center", va="center", fontsize=14)
    lowest = max(len(matrix) for matrix, _ in blocks)
    axes.set(xlim=(-0.1, x - 0.9), ylim=(-lowest - 0.1, 1), aspect="equal")
    axes.axis("off")


def plot_curves(logs: Sequence[Any], path: Path, lines: Mapping[str, float] | None = None) -> None:
    """Draw loss, gradient norm and learning rate against steps, as a PNG.

    `logs` are what `nanopoet_ref.training.train` returns; `lines` are losses to compare with, by
    name: uniform, unigram …
    """
    steps = [log for log in logs if log.loss is not None]
    evals = [log for log in logs if log.val_loss is not None]
    figure, (top, middle, bottom) = plt.subplots(
        3, 1, figsize=(8, 8), sharex=True, height_ratios=[3, 1, 1], layout="constrained"
    )
    top.plot([s.step for s in steps], [s.loss for s in steps], alpha=0.4, label="training batch")
    top.plot([e.step for e in evals], [e.val_loss for e in evals], "o-", label="validation")
    for number, (name, loss) in enumerate((lines or {}).items()):
        top.axhline(loss, color=f"C{number + 2}", linestyle="--", label=f"{name} {loss:.2f}")
    top.set_ylabel("loss (nats per token)")
    top.legend()
    middle.plot([s.step for s in steps], [s.grad_norm for s in steps])
    middle.set_ylabel("gradient norm")
    bottom.plot([s.step for s in steps], [s.lr for s in steps])
    bottom.set(ylabel="learning rate", xlabel="step")
    figure.savefig(path, dpi=120, format="png")
    plt.close(figure)
