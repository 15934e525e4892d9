"""Figures: a font for Chinese, curves of a training, matrices as shades."""

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib import font_manager
from matplotlib.axes import Axes
from torch import Tensor

FONT = Path(__file__).with_name("fonts") / "NotoSansCJKsc-poems.otf"


def use_chinese_font() -> None:
    """Let matplotlib take Chinese characters from the packaged font, all others from its own."""
    font_manager.fontManager.addfont(FONT)
    plt.rcParams["font.family"] = ["DejaVu Sans", "Noto Sans CJK SC"]


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
