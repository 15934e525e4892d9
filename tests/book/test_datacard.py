"""The data card says what the corpus says; when they differ, the check names the line."""

import re
from collections import Counter
from pathlib import Path
from string import Formatter

import pytest

from nanopoet.book import datacard
from nanopoet.book.datacard import (
    CARD,
    PICTURE,
    PINYIN,
    TEMPLATE,
    build_card,
    differences,
    entropy,
    near_copies,
    table_rows,
)
from nanopoet_ref.corpus import prepared
from nanopoet_ref.poem import REGULATED, CorpusError, Poem, load_poems, raw_folder
from nanopoet_ref.source import Record

FOLDER = Path(__file__).resolve().parents[2] / "raw"


@pytest.fixture(scope="module")
def meta() -> Record:
    """What the prepared corpus says of itself."""
    meta = prepared(raw_folder(), "simplified")
    if meta is None:
        pytest.fail(f"no up-to-date corpus in {raw_folder()}: run `nanopoet corpus` first")
    return meta


@pytest.fixture(scope="module")
def card(meta: Record) -> str:
    """The card that the prepared corpus calls for."""
    return build_card(meta, load_poems())


def test_committed_card_is_true(card: str) -> None:
    assert not (found := differences(FOLDER / CARD, card)), (
        f"{found}\nwrite it again: nanopoet dev datacard"
    )


def test_committed_picture_is_small() -> None:
    data = (FOLDER / PICTURE).read_bytes()
    assert data.startswith(b"\x89PNG")
    assert len(data) < 60_000


def test_one_changed_number_is_found(card: str, tmp_path: Path) -> None:
    path = tmp_path / CARD
    path.write_text(card.replace("332,908", "332,909"), "utf-8")
    found = differences(path, card)
    assert found.count("\n-") == 1
    assert "332,909 poems were read" in found
    assert differences(tmp_path / "none", card), "a missing card differs, too"


def test_card_names_no_machine(card: str) -> None:
    assert str(FOLDER) not in card


def test_without_a_corpus_the_command_is_named(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="Run: nanopoet corpus"):
        datacard.write_card(check=True, folder=tmp_path)


def names() -> list[str]:
    """The names in the template, in its order."""
    return [name for _, name, _, _ in Formatter().parse(TEMPLATE.read_text("utf-8")) if name]


def test_every_figure_stands_in_the_template(meta: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    class Collect:
        def read_text(self, _: str) -> "Collect":
            return self

        def format(self, **figures: object) -> set[str]:
            return set(figures)

    monkeypatch.setattr(datacard, "TEMPLATE", Collect())
    figures = set(build_card(meta, load_poems()[:1000])) - set(meta)
    assert not figures - {name.partition("[")[0] for name in names()}


@pytest.mark.parametrize("group", ["dropped", "kept_by_kind", "respelled"])
def test_every_reason_every_era_and_every_way_stands_in_the_template(
    meta: Record, group: str
) -> None:
    assert {f"{group}[{key}]" for key in meta[group]} <= set(names())


def test_the_commonest_reason_comes_first(meta: Record) -> None:
    reasons = [name[len("dropped[") : -1] for name in names() if name.startswith("dropped[")]
    counts = [meta["dropped"][reason] for reason in reasons]
    assert counts == sorted(counts, reverse=True)


def test_each_regulated_form_is_explained() -> None:
    assert set(PINYIN) == set(REGULATED.values())


def test_tables_align_numbers(card: str) -> None:
    def is_number(cell: str) -> bool:
        return cell.strip().replace(",", "").replace(".", "").removesuffix("%").isdigit()

    for rule, rows in re.findall(r"^(\|[-:|]+\|)\n((?:\|.*\n)+)", card, re.MULTILINE):
        cells = [row.split("|")[1:-1] for row in rows.splitlines()]
        right = [all(map(is_number, column)) for column in zip(*cells, strict=True)]
        assert rule == "|" + "|".join("---:" if it else "---" for it in right) + "|"


def test_rows_separate_thousands() -> None:
    assert table_rows([["x", 1234], ["y", 5]]) == "| x | 1,234 |\n| y | 5 |"


def test_entropy_of_even_and_certain_characters() -> None:
    assert entropy(Counter("aabb")) == pytest.approx(0.693147, abs=1e-6)
    assert entropy(Counter("aaaa")) == 0


def test_near_copies_share_half_of_their_lines() -> None:
    def poem(*lines: str) -> Poem:
        return Poem("某", "五言绝句", "诗", "，".join(lines) + "。")

    moon = poem("床前看月光", "疑是地上霜", "举头望山月", "低头思故乡")
    variant = poem("床前明月光", "疑是地上霜", "举头望明月", "低头思故乡")
    quotation = poem("床前看月光", "春眠不觉晓", "处处闻啼鸟", "花落知多少")
    assert near_copies([moon], [variant, quotation]) == [variant]


def test_picture_is_drawn_without_a_display(tmp_path: Path) -> None:
    poems = [Poem("某", "五言绝句", "诗", "花" * 24), Poem("某", "如梦令", "诗", "花" * 40)]
    datacard.draw_lengths(poems, tmp_path / PICTURE)
    assert (tmp_path / PICTURE).stat().st_size > 1000
