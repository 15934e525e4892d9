"""`python -m nanopoet.book.mdbook`: the step of mdBook that makes pages of notebooks.

mdBook starts this program twice, see its manual under "Preprocessors": once to ask whether it
serves a renderer, once with the whole book as JSON on stdin; the changed book goes to stdout.
Notebooks become Markdown, their figures files, and formulas the HTML that KaTeX makes of them, so
that an opened page needs nothing but itself. What a reader would stumble over stops the build: a
damaged notebook, a formula that does not parse, a picture that is not described, an output that a
page cannot show.
"""

import functools
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from nanopoet.book.outputs import KINDS, PICTURES, BookError, take_pictures
from nanopoet.paths import CHAPTERS

TEMPLATE = Path(__file__).with_name("book.md.j2")
KATEX = CHAPTERS / "assets" / "katex" / "katex.min.js"
FIGURES = "figures"  # beside the chapters; mdBook copies it into the book

# What a Markdown text is made of, as far as formulas, links and pictures are concerned. Code and
# escaped characters are there to be passed over. A backtick that opens code ends no formula, and a
# blank line ends a paragraph.
PIECES = re.compile(
    r"""
      ^[ \t>]*(?:(?:[-+*]|\d+[.)])[ \t]+)*                         # in a quotation or a list,
        (?P<fence>`{3,}(?=[^`\n]*$)|~{3,})                         # a block of code, to its end
        .*?(?:^[ \t>]*(?P=fence)[`~]*[ \t]*$|\Z)
    | (?<!`)(?P<ticks>`+)(?!`)                                      # code in a line
        (?:[^\n]|\n(?![ \t]*\n))*?(?<!`)(?P=ticks)(?!`)
    | (?P<environment>\\begin\{(?P<name>\w+\*?)\}.*?\\end\{(?P=name)\})
    | \\.                                                           # an escaped character
    | \$\$(?P<display>(?:\\.|\$(?!\$)|`(?![^`\n]*`)|[^\\$`\n]|\n(?![ \t]*\n))+?)\$\$
    | \$(?![\s$])(?P<inline>(?:\\.|`(?![^`\n]*`)|[^\\$`\n]|\n(?![ \t]*\n))+?)(?<!\s)\$(?!\d)
    | (?P<open>\$\$)
    | (?P<undescribed>!\[\s*\]\([^)\n]*\)|<img\b(?![^>]*\balt=["'][^"'])[^>]*>)
    | (?<=[\s("'<])attachment:(?P<attachment>[^\s()"'<>]+)
    | (?<!!)\[(?P<label>(?:`[^`]*`|[^][])*)\]\((?P<link>[^()\s]+)(?P<title>\s[^()]*)?\)
    """,
    re.VERBOSE | re.DOTALL | re.MULTILINE,
)
# What Markdown would still read between the tags of a formula.
SPECIAL = re.compile(r"[*_\\`\[\]~|$'\"]")
ANSI = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


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


def prose(text: str, attached: Mapping[str, str] | None = None) -> str:
    """Markdown with its formulas rendered and its links turned to pages; code stays as it is.

    `attached` says where the pictures are that were pasted into the cell.
    """

    def replace(piece: re.Match[str]) -> str:
        if piece["open"]:
            rest = text[piece.start() : piece.start() + 60]
            raise BookError(f"a formula begins and does not end: {rest}")
        if piece["undescribed"]:
            raise BookError(f"a picture has no alt text: {piece[0]:.60}")
        if piece["attachment"]:
            place = (attached or {}).get(unquote(piece["attachment"]))
            if place is None:
                raise BookError(f"there is no attachment {piece['attachment']} in its cell")
            return place
        if tex := piece["environment"] or piece["display"]:
            return formula(tex, display=True)
        if piece["inline"]:
            return formula(piece["inline"], display=False)
        if piece["link"]:
            label, to = prose(piece["label"]), target(piece["link"])
            return label if to is None else f"[{label}]({to}{piece['title'] or ''})"
        return piece[0]

    return PIECES.sub(replace, text)


def latex(text: str) -> str:
    """An output of LaTeX: text with formulas between dollars, or one environment."""
    if "$" not in text and "\\begin{" not in text:
        raise BookError(f"LaTeX that is no formula: put it between dollars: {text.strip():.60}")
    return prose(text)


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


@functools.cache
def exporter() -> Any:
    """nbconvert's way to Markdown, with our template. It takes a second to import."""
    from nbconvert import MarkdownExporter
    from traitlets.config import Config

    config = Config(
        NbConvertBase={"display_data_priority": KINDS},
        ExtractOutputPreprocessor={"enabled": False},
        ExtractAttachmentsPreprocessor={"enabled": False},
    )
    filters = {"prose": prose, "latex": latex, "fenced": fenced}
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
    figures = take_pictures(notebook, Path(file).stem, FIGURES)
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
    for old in folder.glob("*"):
        if old.suffix in PICTURES.values() and old.name not in figures:
            old.unlink()
    for name, content in figures.items():
        path = folder / name
        if not path.is_file() or path.read_bytes() != content:
            folder.mkdir(exist_ok=True)
            path.write_bytes(content)


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
