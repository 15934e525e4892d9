"""A picture of a poet: how its loss fell, and a poem."""

from collections.abc import Sequence
from pathlib import Path

from pypinyin import Style, lazy_pinyin

from nanopoet_ref.corpus import Poem
from nanopoet_ref.evaluation import lines_of
from nanopoet_ref.training import StepLog

FONTS = (
    "Noto Sans CJK SC",
    "Noto Serif CJK SC",
    "Source Han Sans SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "PingFang SC",
    "Hiragino Sans GB",
    "Heiti TC",
    "Microsoft YaHei",
    "SimHei",
)


def chinese_font() -> str | None:
    """A font on this machine that has Chinese characters, or None.

    matplotlib keeps a list of fonts; one that was installed since is not on it, so the folders
    are looked through as well.
    """
    from matplotlib import font_manager

    def listed() -> str | None:
        there = {font.name for font in font_manager.fontManager.ttflist}
        return next((name for name in FONTS if name in there), None)

    if listed() is None:
        words = {word.lower() for name in FONTS for word in name.split()[:1]} | {"wqy"}
        for path in font_manager.findSystemFonts():
            if any(word in Path(path).name.lower() for word in words):
                font_manager.fontManager.addfont(path)
    return listed()


def draw_poet(logs: Sequence[StepLog], poem: Poem, path: Path) -> None:
    """Draw the loss curve with a poem beside it; in pinyin where no font has the characters."""
    import matplotlib.pyplot as plt

    font = chinese_font()

    def text(line: str) -> str:
        return line if font else " ".join(lazy_pinyin(line, style=Style.TONE))

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(10, 4), width_ratios=[3, 2], layout="constrained"
    )
    steps = [log for log in logs if log.loss is not None]
    evals = [log for log in logs if log.val_loss is not None]
    left.plot([s.step for s in steps], [s.loss for s in steps], alpha=0.4, label="training batch")
    left.plot([e.step for e in evals], [e.val_loss for e in evals], "o-", label="validation")
    left.set(xlabel="step", ylabel="loss (nats per token)")
    left.legend()
    right.axis("off")
    rows = [poem.title, f"{poem.author} · {poem.form}" if font else text(poem.author), ""]
    rows += lines_of(poem.content)
    for number, row in enumerate(rows):
        size = 16 if number == 0 else 11 if number == 1 else 15
        right.text(
            0.5,
            0.95 - 0.9 * number / max(len(rows), 8),
            row if number == 1 else text(row),
            fontfamily=font,
            fontsize=size if font else 0.7 * size,
            color="0.4" if number == 1 else "black",
            ha="center",
            va="top",
        )
    figure.savefig(path, dpi=120)
    plt.close(figure)
