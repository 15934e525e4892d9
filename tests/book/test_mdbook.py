"""The book: notebooks become pages that need nothing from elsewhere, and no link leads nowhere."""

import base64
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from dukpy import JSInterpreter
from nbformat.v4 import (
    new_code_cell,
    new_markdown_cell,
    new_notebook,
    new_output,
    new_raw_cell,
    writes,
)

from nanopoet.book.mdbook import BookError, fenced, formula, page, preprocess, prose, target

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
CHAPTERS = [
    "00_start",
    "01_tokenizer",
    "02_attention",
    "03_gpt",
    "04_training",
    "05_loss",
    "06_pretraining",
    "07_midtraining",
    "08_mixture",
    "09_scaling",
    "10_alignment",
]
LOADING = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}


def png(width: int = 3, height: int = 2) -> str:
    """A white picture, as notebooks keep it."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        sum_ = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + sum_

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress((b"\x00" + b"\xff" * width) * height)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + parts).decode()


def figure(alt: str | None, data: str | None = None) -> Any:
    metadata = {} if alt is None else {"image/png": {"alt": alt}}
    data_ = {"image/png": data or png(), "text/plain": f"[{alt}]"}
    return new_output("display_data", data=data_, metadata=metadata)


def shown(kind: str, text: str) -> Any:
    return new_output("display_data", data={kind: text, "text/plain": "<an object>"})


def printed(text: str) -> Any:
    return new_output("stream", name="stdout", text=text)


def notebook(*parts: Any, source: str = "f()") -> str:
    """A notebook as JSON: a string is a Markdown cell, a list the outputs of a code cell."""
    cells = [
        new_markdown_cell(part)
        if isinstance(part, str)
        else new_code_cell(source, outputs=part, execution_count=1)
        for part in parts
    ]
    return writes(new_notebook(cells=cells))


def markdown(*parts: Any, source: str = "f()") -> str:
    return page(notebook(*parts, source=source), "01_one.ipynb")[0]


def build(folder: Path) -> subprocess.CompletedProcess[str]:
    """`mdbook build` in a folder, as `make book` does it."""
    path = f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}"
    return subprocess.run(
        [BIN / "mdbook", "build", "--dest-dir", folder / "out", folder],
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=300,
    )


def make_book(folder: Path, chapters: dict[str, str]) -> Path:
    """A book with our settings and other chapters."""
    shutil.copy(ROOT / "book.toml", folder)
    shutil.copytree(ROOT / "theme", folder / "theme")
    shutil.copytree(ROOT / "chapters" / "assets", folder / "chapters" / "assets")
    for name, text in chapters.items():
        (folder / "chapters" / name).write_text(text, "utf-8")
    summary = "".join(f"- [Chapter {name[:2]}]({name})\n" for name in chapters)
    (folder / "chapters" / "SUMMARY.md").write_text(summary, "utf-8")
    return folder


@pytest.mark.parametrize(
    "text",
    [
        "`$x$` and ``$`y`$``",
        "```python\ncost = '$x$' # $$\n```",
        "- a list\n\n  ~~~\n  $x$ [a](b.ipynb)\n  ~~~",
        "> ```\n> $x$\n> ```",
        r"\$5 and \$6",
        "$5 and $10",
        "a $\n\n$ b",
        "costs $5 and `x` then $6",
        "costs $5 and `a$b`, or `c$`",
        "`` `$y` `` and ``` ``$z`` ```",
        "- ```\n  $x$\n\n  $y$\n  ```",
        "1. ~~~\n   $x$\n\n   $y$\n   ~~~",
        "![a figure](../figure.png)",
        "[a paper](https://arxiv.org/abs/1706.03762 'title')",
    ],
)
def test_prose_leaves_alone_what_is_neither_a_formula_nor_a_link_into_the_course(text: str):
    assert prose(text) == text


def test_formulas_become_html_where_they_stand():
    text = prose("Take $a_i$ and `$b$`:\n\n$$\n\\sqrt{d}\n$$\n\n| $|x|$ |\n|---|\n| 1 |")
    assert text.startswith('Take <span class="katex">')
    assert '`$b$`:\n\n<span class="katex-display">' in text
    assert text.endswith("</span> |\n|---|\n| 1 |")


def test_markdown_finds_nothing_to_change_in_a_formula():
    html = formula(r"a_{ij} * b_i * c [0] |x| \sim \text{`~\_'} \sqrt{\frac{1}{2}}", True)
    assert "\n" not in html
    for text in re.findall(r">([^<]+)<", html):
        assert not re.search(r"[*_\\`\[\]~|$'\"]", text), text


def test_formula_is_there_for_eyes_and_for_screen_readers():
    html = formula("x^2", False)
    assert "<math" in html
    assert 'class="katex-html" aria-hidden="true"' in html


def test_a_formula_that_does_not_parse_names_chapter_and_formula(tmp_path: Path):
    context = {"root": str(tmp_path), "config": {"book": {"src": "."}}}
    text = notebook(r"# One", r"Here $\frac{1$ ends.")
    chapter = {"path": "01_one.ipynb", "content": text, "sub_items": []}
    with pytest.raises(BookError) as caught:
        preprocess(context, {"items": ["Separator", {"Chapter": chapter}]})
    assert "01_one.ipynb" in str(caught.value)
    assert r"\frac{1" in str(caught.value)
    assert "KaTeX parse error" in str(caught.value)


@pytest.mark.parametrize("text", ["$$ x = 1", "$$5.\n\n```sh\necho $$\n```", "$$ `x` $$"])
def test_a_formula_without_an_end_is_refused(text: str):
    with pytest.raises(BookError, match="does not end"):
        prose(text)


def test_a_dollar_and_code_may_stand_beside_a_formula():
    text = prose(r"\$5, `a$b` and $x$ and `$c` and $\text{`}$")
    assert (
        text == rf"\$5, `a$b` and {prose('$x$')} and `$c` and {formula(chr(92) + 'text{`}', False)}"
    )


@pytest.mark.parametrize(
    ("link", "expected"),
    [
        ("02_attention.ipynb", "02_attention.md"),
        ("02_attention.ipynb#Causal-mask", "02_attention.md#causal-mask"),
        ("#A-%E5%AD%97,-one?", "#a-字-one"),
        ("glossary.md#loss", "glossary.md#loss"),
        ("../nanopoet_ref/attention.py", None),
        ("mailto:x.ipynb", "mailto:x.ipynb"),
    ],
)
def test_links_lead_to_pages(link: str, expected: str | None):
    assert target(link) == expected


def test_links_out_of_the_book_keep_their_words():
    assert (
        prose("see [`attention[0]`](../attention.py), $x$") == f"see `attention[0]`, {prose('$x$')}"
    )
    assert prose('[a $x$](b.ipynb "t")') == f'[a {prose("$x$")}](b.md "t")'


def test_fences_are_longer_than_what_they_hold():
    assert fenced("a ```` b", "text") == "`````text\na ```` b\n`````"


def test_outputs_stand_below_their_cell_as_text_without_colours():
    error = new_output("error", ename="E", evalue="v", traceback=["\x1b[31mE\x1b[0m: v"])
    value = new_output("execute_result", data={"text/plain": "'<b>'"}, execution_count=1)
    text = markdown(
        [printed("\x1b[1mbold\x1b[0m ```\n"), value, error], source="def f():\n\n\n    1"
    )
    assert "```python\ndef f():\n\n\n    1\n```" in text
    assert "````text,output\nbold ```\n````" in text
    assert "```text,output\n'<b>'\n```" in text
    assert "```text,output\nE: v\n```" in text


@pytest.mark.parametrize(
    ("tags", "summary"), [(["answer"], "One way to write it"), (["reference"], "The code")]
)
def test_a_folded_cell_is_folded_on_the_page_and_its_picture_is_not(tags: list[str], summary: str):
    metadata = {"jupyter": {"source_hidden": True}, "tags": tags}
    cell = new_code_cell("def f():\n    pass", metadata=metadata, outputs=[figure("a cat")])
    text, _ = page(writes(new_notebook(cells=[cell])), "a.ipynb")
    folded = text[text.index("<details") : text.index("</details>")]
    assert f"<summary>{summary}</summary>\n\n```python\ndef f():" in folded
    assert 'alt="a cat"' in text.partition("</details>")[2]
    assert text.count("<details") == 1


def test_outputs_that_are_folded_are_folded_on_the_page_and_their_source_is_not():
    outputs = [printed("seven"), shown("text/markdown", "| a |\n|---|\n| 1 |")]
    cell = new_code_cell("f()", metadata={"jupyter": {"outputs_hidden": True}}, outputs=outputs)
    text, _ = page(writes(new_notebook(cells=[cell])), "a.ipynb")
    before, _, rest = text.partition("<details")
    folded, _, after = rest.partition("</details>")
    assert "```python\nf()\n```" in before
    assert "<summary>What it shows</summary>\n" in folded
    assert "```text,output\nseven\n```" in folded
    assert "\n\n| a |\n|---|\n| 1 |\n\n" in folded
    assert "seven" not in after


def test_tables_stay_markdown_and_of_html_its_text_is_shown():
    table = new_output("display_data", data={"text/html": "<i>\n\n</i>", "text/plain": "  a\n0 1"})
    text = markdown([shown("text/markdown", "| a |\n|---|\n| 1 |"), table])
    assert "\n\n| a |\n|---|\n| 1 |\n\n" in text
    assert "<i>" not in text
    assert "```text,output\n  a\n0 1\n```" in text


@pytest.mark.parametrize(
    "kind",
    [
        "text/html",
        "application/json",
        "application/javascript",
        "application/vnd.jupyter.widget-view+json",
    ],
)
def test_an_output_of_which_only_a_name_would_be_left_is_refused(kind: str):
    with pytest.raises(BookError, match=f"cell 2 shows {re.escape(kind)}, which a page cannot"):
        markdown("# One", [shown(kind, "x")])
    with pytest.raises(BookError, match="which a page cannot"):
        markdown("# One", [new_output("display_data", data={kind: "x"})])


def test_latex_is_a_formula_or_refused():
    environment = "\\begin{align}\na &= b\n\\end{align}"
    assert formula("x^2", False) in markdown([shown("text/latex", "so $x^2$")])
    assert formula(environment, True) in markdown([shown("text/latex", environment)])
    assert formula(environment, True) in markdown(f"Thus\n\n{environment}\n\nholds.")
    with pytest.raises(BookError, match="put it between dollars"):
        markdown([shown("text/latex", "\\frac{1}{2}")])


def test_an_error_without_a_traceback_still_has_its_name():
    error = new_output("error", ename="ValueError", evalue="no such poem", traceback=[])
    assert "```text,output\nValueError: no such poem\n```" in markdown([error])


def test_a_raw_cell_is_refused():
    raw = writes(new_notebook(cells=[new_markdown_cell("# One"), new_raw_cell("$x$ --- <b>")]))
    with pytest.raises(BookError, match="cell 2 is raw"):
        page(raw, "01_one.ipynb")


# --- Pictures of every kind


JPEG = base64.b64encode(b"\xff\xd8\xff\xe0 a picture").decode()
SVG = '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><circle r="4"/></svg>'


@pytest.mark.parametrize(
    ("kind", "data", "name"),
    [
        ("image/jpeg", JPEG, "01_one-1.jpg"),
        ("image/svg+xml", SVG, "01_one-1.svg"),
        ("image/gif", base64.b64encode(b"GIF89a").decode(), "01_one-1.gif"),
    ],
)
def test_pictures_of_every_kind_become_files(kind: str, data: str, name: str):
    output = new_output("display_data", data={kind: data}, metadata={kind: {"alt": "a circle"}})
    text, files = page(notebook([output]), "01_one.ipynb")
    assert list(files) == [name]
    assert f'<img src="figures/{name}" alt="a circle" loading="lazy">' in text
    assert files[name] == (data.encode() if data == SVG else base64.b64decode(data))
    with pytest.raises(BookError, match="no alt text"):
        page(notebook([new_output("display_data", data={kind: data})]), "01_one.ipynb")
    broken = {"data": {kind: "AAAA"}, "metadata": {kind: {"alt": "a circle"}}}
    with pytest.raises(BookError, match="figure 1 is no"):
        page(notebook([new_output("display_data", **broken)]), "01_one.ipynb")


def with_attachment(source: str, bundle: dict[str, str]) -> str:
    cell = new_markdown_cell(source, attachments={"a b.png": bundle, "c.png": bundle})
    return writes(new_notebook(cells=[cell]))


@pytest.mark.parametrize(
    "source",
    [
        "See ![a line](attachment:a%20b.png).",
        "See ![a line](attachment:c.png 'a title').",
        'See <img src="attachment:c.png" alt="a line">.',
    ],
)
def test_a_picture_that_was_pasted_into_a_cell_is_shown(source: str):
    code = "\n\n```\n![x](attachment:a.png)\n```"
    text, files = page(with_attachment(source + code, {"image/png": png()}), "01_one.ipynb")
    assert base64.b64encode(files["01_one-1.png"]).decode() == png()
    place = re.sub(r"attachment:a.*?png", "figures/01_one-1.png", source)
    place = place.replace("attachment:c.png", "figures/01_one-2.png")
    assert place + code in text


def test_a_picture_that_was_pasted_and_is_gone_or_none_is_refused():
    with pytest.raises(BookError, match=r"there is no attachment x\.png in its cell"):
        page(with_attachment("![a](attachment:x.png)", {"image/png": png()}), "01_one.ipynb")
    with pytest.raises(BookError, match="is no picture: application/pdf"):
        page(with_attachment("[a](attachment:a.pdf)", {"application/pdf": "AAAA"}), "01_one.ipynb")


@pytest.mark.parametrize("text", ["![](a.png)", "![ ](a.png)", '<img src="a.png">', '<img alt="">'])
def test_a_picture_in_the_text_without_words_is_refused(text: str):
    with pytest.raises(BookError, match="a picture has no alt text"):
        prose(f"Look: {text}")
    assert prose(f"`{text}`") == f"`{text}`"


def test_the_notebook_is_offered_below_the_title():
    lines = markdown("# One\n\nText.").split("\n\n")
    assert lines[0] == "# One"
    assert 'href="01_one.ipynb" download' in lines[1]
    assert lines[2].strip() == "Text."
    assert 'href="01_one.ipynb" download' in markdown("No title.")


def test_figures_become_files_that_are_described():
    text, files = page(notebook([figure('1 < 2 "x"')], [figure("b")]), "01_one.ipynb")
    assert list(files) == ["01_one-1.png", "01_one-2.png"]
    assert base64.b64encode(files["01_one-1.png"]).decode() == png()
    first = '<img src="figures/01_one-1.png" alt="1 &lt; 2 &#34;x&#34;" width="3" height="2"'
    assert first in text
    assert "[b]" not in text


@pytest.mark.parametrize("alt", [None, "", " \n"])
def test_a_figure_without_words_is_refused(alt: str | None):
    with pytest.raises(BookError, match="figure 1 has no alt text"):
        markdown([figure(alt)])


@pytest.mark.parametrize("data", ["AAA", "AAAA"])
def test_a_damaged_figure_is_refused(data: str):
    with pytest.raises(BookError, match="figure 1 is no PNG"):
        markdown([figure("a", data)])


def test_figures_are_written_when_they_change_and_removed_when_they_are_gone(tmp_path: Path):
    context = {"root": str(tmp_path), "config": {"book": {"src": "."}}}

    def run(*figures: Any) -> list[str]:
        chapter = {"path": "01_one.ipynb", "content": notebook(list(figures)), "sub_items": []}
        preprocess(context, {"items": [{"Chapter": chapter}]})
        return sorted(path.name for path in (tmp_path / "figures").iterdir())

    assert run(figure("a"), figure("b")) == ["01_one-1.png", "01_one-2.png"]
    first = tmp_path / "figures" / "01_one-1.png"
    os.utime(first, (1, 1))
    assert run(figure("a")) == ["01_one-1.png"]
    assert first.stat().st_mtime == 1
    run(figure("a", png(4)))
    assert first.stat().st_mtime > 1


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"cells": [{}], "nbformat": 4}'])
def test_a_damaged_notebook_is_refused(text: str):
    with pytest.raises(BookError, match="not a valid notebook"):
        page(text, "01_one.ipynb")


def test_damage_stops_the_build_with_a_message(tmp_path: Path):
    make_book(tmp_path, {"01_one.ipynb": "{}"})
    result = build(tmp_path)
    assert result.returncode != 0
    assert "error: 01_one.ipynb: not a valid notebook" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(("renderer", "code"), [("html", 0), ("markdown", 1)])
def test_the_preprocessor_says_what_it_serves(renderer: str, code: int):
    command = [sys.executable, "-m", "nanopoet.book.mdbook", "supports", renderer]
    assert subprocess.run(command, timeout=60).returncode == code


def test_that_answer_waits_for_no_heavy_import():
    heavy = "{'nbconvert', 'torch'} & set(sys.modules)"
    program = f"import sys, nanopoet.book.mdbook; sys.exit(bool({heavy}))"
    assert subprocess.run([sys.executable, "-c", program], timeout=60).returncode == 0


class Page(HTMLParser):
    """What a page holds: names, links, what it loads, its figures, and its text but for code."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.undescribed: list[str] = []
        self.text: list[str] = []
        self.verbatim = 0
        self.feed(path.read_text("utf-8"))

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attributes}
        self.ids.update(values[name] for name in ("id", "name") if name in values)
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if tag in LOADING and LOADING[tag] in values:
            self.loaded.append(values[LOADING[tag]])
        if tag == "img" and not values.get("alt", "").strip():
            self.undescribed.append(values.get("src", ""))
        self.verbatim += tag in ("code", "annotation", "script", "style")

    def handle_endtag(self, tag: str) -> None:
        self.verbatim -= tag in ("code", "annotation", "script", "style")

    def handle_data(self, data: str) -> None:
        if not self.verbatim:
            self.text.append(data)


def pages(book: Path) -> dict[Path, Page]:
    """All pages but the one for wrong addresses, which is written for the root of a server."""
    return {path: Page(path) for path in book.rglob("*.html") if path.name != "404.html"}


def broken_links(book: Path) -> Iterator[str]:
    """Links, figures, scripts and styles that are not there, and names that no page has."""
    found = pages(book)
    for path, content in found.items():
        for link in content.links + content.loaded:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            to = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            missing_name = (
                to in found and parts.fragment and (unquote(parts.fragment) not in found[to].ids)
            )
            if not to.is_file() or missing_name:
                yield f"{path.name}: {link}"
    for path in book.rglob("*.css"):
        for link in re.findall(r"url\(['\"]?([^)'\"]+)", path.read_text("utf-8")):
            if not link.startswith("data:") and not (path.parent / link).is_file():
                yield f"{path.name}: {link}"


def remote_resources(book: Path) -> Iterator[str]:
    """What the browser would fetch from elsewhere when it opens a page."""
    for path, content in pages(book).items():
        for link in content.loaded:
            if urlsplit(link).netloc:
                yield f"{path.name}: {link}"
    for path in book.rglob("*.css"):
        for link in re.findall(
            r"(?:url\(|@import)\s*['\"]?(?:https?:)?//", path.read_text("utf-8")
        ):
            yield f"{path.name}: {link}"


def search(book: Path, query: str) -> list[str]:
    """The sections that the book's own scripts find, as in a browser."""
    index = next(book.glob("searchindex-*.js")).read_text("utf-8")
    # mdBook reads its words where ours take the texts: both need elasticlunr, and a search bar.
    program = "\n".join(
        [
            "var window = globalThis; window.search = {};",
            "var bar = {addEventListener() {}}; var document = {getElementById: () => bar};",
            next(book.glob("elasticlunr-*.js")).read_text("utf-8"),
            "window.elasticlunr = elasticlunr;",
            next(book.glob("theme/chinese-search-*.js")).read_text("utf-8"),
            index,
            "var found = elasticlunr.Index.load(window.search.index)",
            "    .search(dukpy.query, window.search.search_options);",
            "JSON.stringify(found.map(one => [window.search.doc_urls[one.ref], one.doc.body]))",
        ]
    )
    return [
        f"{url} {body}" for url, body in json.loads(JSInterpreter().evaljs(program, query=query))
    ]


@pytest.fixture(scope="module")
def tiny_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two chapters, a formula, a figure, a table, a link from one to the other."""
    one = notebook(
        "# One\n\nSee [two](02_two.ipynb#The-end,-明月), [code](../x.py) and $a_i*b_i*c$.",
        [
            figure("a line"),
            printed("{{#include x.py}}\n"),
            shown("text/markdown", "| a |\n|---|\n"),
        ],
        "<details><summary>Answer</summary>\n\n- $x_1$ is *right*\n\n</details>",
    )
    two = "# Two\n\nAttention, of course.\n\n## The end, 明月\n\n床前明月光，疑是地上霜。$$x$$\n"
    book = tmp_path_factory.mktemp("tiny")
    make_book(book, {"01_one.ipynb": one, "02_two.md": two, "03_three.ipynb": notebook("# Three")})
    result = build(book)
    assert result.returncode == 0, result.stderr
    assert not re.search("WARN|ERROR", result.stderr)
    return book / "out"


def test_a_book_is_built_of_notebooks_and_texts(tiny_book: Path):
    html = (tiny_book / "01_one.html").read_text("utf-8")
    assert '<a href="02_two.html#the-end-明月">two</a>' in unquote(html)
    assert "code and <span" in html
    assert '<code class="language-text output">{{#include x.py}}' in html
    assert "<th>a</th>" in html
    assert "is <em>right</em></li>" in html
    assert (tiny_book / "figures" / "01_one-1.png").is_file()
    assert (tiny_book / "01_one.ipynb").is_file()


def test_the_book_needs_nothing_from_elsewhere(tiny_book: Path):
    assert not list(broken_links(tiny_book))
    assert not list(remote_resources(tiny_book))


def test_the_search_takes_words_and_characters(tiny_book: Path):
    assert [found.split()[0] for found in search(tiny_book, "attention")] == ["02_two.html#two"]
    (found,) = search(tiny_book, "明月")
    assert unquote(found).startswith("02_two.html#the-end-明月 ")
    assert "床前 明月 光" in found  # apart, so that mdBook marks it
    assert len(search(tiny_book, "明月 霜")) == 1
    assert not search(tiny_book, "明月 雪")


@pytest.fixture(scope="module")
def real_book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The course's book, built from a copy, so that no other build is disturbed."""
    book = tmp_path_factory.mktemp("book")
    shutil.copy(ROOT / "book.toml", book)
    shutil.copytree(ROOT / "theme", book / "theme")
    shutil.copytree(ROOT / "chapters", book / "chapters")
    result = build(book)
    assert result.returncode == 0, result.stderr
    return book / "out"


def test_every_chapter_has_its_page_and_its_notebook(real_book: Path):
    for name in CHAPTERS:
        assert "<main>" in (real_book / f"{name}.html").read_text("utf-8")
        assert (real_book / f"{name}.ipynb").is_file()
    for name in ("index", "introduction", "glossary", "features"):
        assert (real_book / f"{name}.html").is_file()


def test_no_page_of_the_course_fetches_anything(real_book: Path):
    assert not list(remote_resources(real_book))


def test_every_link_of_the_course_arrives(real_book: Path):
    assert not list(broken_links(real_book))


def test_every_formula_is_rendered_and_every_figure_described(real_book: Path):
    for path, content in pages(real_book).items():
        assert "$$" not in "".join(content.text), path.name
        assert not content.undescribed, path.name


def test_readers_find_characters_and_words(real_book: Path):
    assert search(real_book, "明月")
    assert any(found.startswith("02_attention.html") for found in search(real_book, "attention"))
