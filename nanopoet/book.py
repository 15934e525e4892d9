"""`python -m nanopoet.book`: the step of mdBook that makes pages of notebooks.

mdBook starts this program twice, see its manual under "Preprocessors": once to ask whether it
serves a renderer, once with the whole book as JSON on stdin; the changed book goes to stdout.
Notebooks become Markdown, their figures files, and formulas the HTML that KaTeX makes of them, so
that an opened page needs nothing but itself. What a reader would stumble over stops the build: a
damaged notebook, a formula that does not parse, a figure that is not described.
"""

import base64
import binascii
import functools
import json
import re
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from nanopoet.paths import CHAPTERS

TEMPLATE = Path(__file__).with_name("book.md.j2")
KATEX = CHAPTERS / "assets" / "katex" / "katex.min.js"
FIGURES = "figures"  # beside the chapters; mdBook copies it into the book

# What a Markdown text is made of, as far as formulas and links are concerned. The first three
# alternatives are there to be passed over.
PIECES = re.compile(
    r"""
      ^[ \t>]*(?P<fence>`{3,}(?=[^`\n]*$)|~{3,})                   # a block of code, to its end
        .*?(?:^[ \t>]*(?P=fence)[`~]*[ \t]*$|\Z)
    | (?<!`)(?P<ticks>`+)(?!`)                                      # code in a line
        (?:[^\n]|\n(?![ \t]*\n))*?(?<!`)(?P=ticks)(?!`)
    | \\.                                                           # an escaped character
    | \$\$(?P<display>.+?)\$\$
    | \$(?![\s$])(?P<inline>(?:\\.|[^\\$\n]|\n(?![ \t]*\n))+?)(?<!\s)\$(?!\d)
    | (?P<open>\$\$)
    | (?<!!)\[(?P<label>(?:`[^`]*`|[^][])*)\]\((?P<link>[^()\s]+)(?P<title>\s[^()]*)?\)
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
# What Markdown would still read between the tags of a formula.
SPECIAL = re.compile(r"[*_\\`\[\]~|$'\"]")
ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


class BookError(Exception):
    """The book cannot be built; the message says where, and what is to be mended."""


@functools.cache
def katex() -> Any:
    """The one interpreter that holds KaTeX. QuickJS inside dukpy: no node is needed."""
    from dukpy import JSInterpreter

    interpreter = JSInterpreter()
    interpreter.evaljs(KATEX.read_text(encoding="utf-8") + ";null")
    return interpreter


@functools.cache
def formula(tex: str, display: bool) -> str:
    """The HTML of a formula, in one line, with nothing in it that Markdown would change."""
    from dukpy import JSRuntimeError

    call = "katex.renderToString(dukpy.tex, {displayMode: dukpy.display, strict: false})"
    try:
        html = katex().evaljs(call, tex=tex, display=display)
    except JSRuntimeError as error:
        reason = str(error).splitlines()[0].removeprefix("ParseError: ")
        raise BookError(f"a formula does not parse: {tex.strip()}\n  {reason}") from error
    text_between_tags = re.compile(r">[^<]+")
    return text_between_tags.sub(
        lambda text: SPECIAL.sub(lambda found: f"&#{ord(found[0])};", text[0]),
        html.replace("\n", " "),
    )


def target(link: str) -> str | None:
    """Where a link leads in the book; None if it leads to a file that the book does not have.

    Notebooks become pages, and Jupyter's names of headings those of mdBook.

    >>> target("02_attention.ipynb#Why-divide-by-√d?")
    '02_attention.md#why-divide-by-d'
    >>> target("https://arxiv.org/abs/1706.03762#A")
    'https://arxiv.org/abs/1706.03762#A'
    """
    if re.match(r"[a-z]+:", link):
        return link
    page, hash_mark, anchor = link.partition("#")
    if page.startswith(("../", "/")):
        return None
    anchor = "".join(c for c in unquote(anchor).lower() if c.isalnum() or c in "_-")
    return re.sub(r"\.ipynb$", ".md", page) + hash_mark + anchor


def prose(text: str) -> str:
    """Markdown with its formulas rendered and its links turned to pages; code stays as it is."""

    def replace(piece: re.Match[str]) -> str:
        if piece["open"]:
            rest = text[piece.start() : piece.start() + 60]
            raise BookError(f"a formula begins and does not end: {rest}")
        if piece["display"]:
            return formula(piece["display"], display=True)
        if piece["inline"]:
            return formula(piece["inline"], display=False)
        if piece["link"]:
            label, to = prose(piece["label"]), target(piece["link"])
            return label if to is None else f"[{label}]({to}{piece['title'] or ''})"
        return piece[0]

    return PIECES.sub(replace, text)


def fenced(text: str, info: str) -> str:
    """A block of code, set between more backticks than there are in it.

    >>> print(fenced("one", "text"))
    ```text
    one
    ```
    """
    text = ANSI.sub("", text).strip("\n")
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{info}\n{text}\n{fence}"


def extract_figures(notebook: Any, chapter: str) -> dict[str, bytes]:
    """The figures of a notebook as files, by name; every output is told which one is its own."""
    files: dict[str, bytes] = {}
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    for output in outputs:
        data = output.get("data", {})
        if "image/png" not in data or "text/markdown" in data:
            continue
        number = len(files) + 1
        name = f"{chapter}-{number}.png"
        alt = " ".join(output.metadata.get("image/png", {}).get("alt", "").split())
        if not alt:
            raise BookError(f"figure {number} has no alt text; draw it with lesson.show")
        try:
            files[name] = base64.b64decode("".join(data["image/png"]))
            width, height = struct.unpack(">II", files[name][16:24])
        except (binascii.Error, struct.error) as error:
            raise BookError(f"figure {number} is no PNG: {error}") from error
        src = f"{FIGURES}/{name}"
        output.metadata["figure"] = {"src": src, "alt": alt, "width": width, "height": height}
    return files


@functools.cache
def exporter() -> Any:
    """nbconvert's way to Markdown, with our template. It takes a second to import."""
    from nbconvert import MarkdownExporter
    from traitlets.config import Config

    kinds = ["text/markdown", "image/png", "text/latex", "text/plain"]
    config = Config(
        NbConvertBase={"display_data_priority": kinds},
        ExtractOutputPreprocessor={"enabled": False},
    )
    filters = {"prose": prose, "fenced": fenced}
    return MarkdownExporter(config=config, template_file=str(TEMPLATE), filters=filters)


def read_notebook(text: str) -> Any:
    """A notebook that keeps to the format, or `BookError`."""
    import nbformat

    try:
        notebook = nbformat.reads(text, as_version=4)
        nbformat.validate(notebook)
    except (ValueError, TypeError, LookupError, AttributeError, nbformat.ValidationError) as error:
        raise BookError(f"not a valid notebook: {str(error).splitlines()[0]:.200}") from error
    return notebook


def page(text: str, file: str) -> tuple[str, dict[str, bytes]]:
    """The page of a notebook, given as JSON, and the figures that go with it."""
    notebook = read_notebook(text)
    figures = extract_figures(notebook, Path(file).stem)
    markdown, _ = exporter().from_notebook_node(notebook)
    link = f'<a href="{file}" download>{file}</a>'
    download = f'\n\n<p class="notebook">Read it here, or run it: {link}</p>\n\n'
    title, _, rest = markdown.lstrip().partition("\n")
    if title.startswith("# "):
        return title + download + rest, figures
    return download + markdown, figures


def chapters(items: list[Any]) -> Iterator[dict[str, Any]]:
    """All chapters that have a file, in order."""
    for item in items:
        if isinstance(item, dict) and (chapter := item.get("Chapter")):
            if chapter["path"]:
                yield chapter
            yield from chapters(chapter["sub_items"])


def preprocess(context: dict[str, Any], book: dict[str, Any]) -> dict[str, Any]:
    """mdBook's book with a page for each notebook; figures are written beside the chapters."""
    figures: dict[str, bytes] = {}
    for chapter in chapters(book["items"]):
        file = chapter["path"]
        try:
            if file.endswith(".ipynb"):
                chapter["content"], found = page(chapter["content"], file)
                chapter["path"] = file.removesuffix(".ipynb") + ".md"
                figures.update(found)
            else:
                chapter["content"] = prose(chapter["content"])
        except BookError as error:
            raise BookError(f"{file}: {error}") from error
    write_figures(Path(context["root"]) / context["config"]["book"]["src"] / FIGURES, figures)
    return book


def write_figures(folder: Path, figures: dict[str, bytes]) -> None:
    """Make the folder hold these figures; `mdbook serve` builds again at every write, so few."""
    for old in folder.glob("*.png"):
        if old.name not in figures:
            old.unlink()
    for name, png in figures.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != png:
            folder.mkdir(exist_ok=True)
            path.write_bytes(png)


def main() -> int:
    if sys.argv[1:2] == ["supports"]:
        return 0 if sys.argv[2:3] == ["html"] else 1
    context, book = json.load(sys.stdin.buffer)
    try:
        json.dump(preprocess(context, book), sys.stdout)
    except BookError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
