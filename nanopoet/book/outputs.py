"""What a page can show of a notebook: its pictures become files, and what would be lost is refused.

Jupyter shows an output in the richest form that it has. A page has Markdown, pictures, formulas and
plain text; of what is only there as a widget or a script, nothing would be left but a name.
"""

import base64
import binascii
import re
import struct
from typing import Any

# What a page shows of an output, the best first.
PICTURES = {"image/png": ".png", "image/jpeg": ".jpg", "image/gif": ".gif", "image/svg+xml": ".svg"}
KINDS = ["text/markdown", *PICTURES, "text/latex", "text/plain"]
BEGINNINGS = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8", "image/gif": b"GIF8"}
NAME_ONLY = re.compile(r"<[^>\n]*>")  # what Python says of an object that has no text


class BookError(Exception):
    """The book cannot be built; the message says where, and what is to be mended."""


def shown_kind(output: Any, where: str) -> str:
    """The kind of data that a page shows of an output.

    Raises `BookError` if a reader would not see what it is.
    """
    data = output.data
    best = next((kind for kind in KINDS if kind in data), None)
    lost = [kind for kind in data if kind not in KINDS]
    if best == "text/plain" and lost == ["text/html"] and not NAME_ONLY.fullmatch(data[best]):
        return best  # a table that has a text of its own
    if best is None or (best == "text/plain" and lost):
        said = ", ".join(lost) or "nothing"
        raise BookError(f"{where} shows {said}, which a page cannot: print text or Markdown")
    return best


def picture(kind: str, data: str, what: str) -> bytes:
    """The file of a picture as notebooks keep it: base64, or SVG as text."""
    try:
        if kind == "image/svg+xml" and "<svg" in data:
            return data.encode()
        content = base64.b64decode(data)
    except binascii.Error as error:
        raise BookError(f"{what} is no {PICTURES[kind][1:].upper()}: {error}") from error
    if not content.startswith(BEGINNINGS.get(kind, b"")) or (
        kind == "image/svg+xml" and b"<svg" not in content
    ):
        raise BookError(f"{what} is no {PICTURES[kind][1:].upper()}")
    return content


def size(kind: str, content: bytes, what: str) -> dict[str, int]:
    """Width and height of a PNG, so that a page does not jump while it loads."""
    if kind != "image/png":
        return {}
    try:
        width, height = struct.unpack(">II", content[16:24])
    except struct.error as error:
        raise BookError(f"{what} is no PNG: {error}") from error
    return {"width": width, "height": height}


class Pictures:
    """The pictures of one chapter as files, by name."""

    def __init__(self, chapter: str, folder: str) -> None:
        self.chapter, self.folder = chapter, folder
        self.files: dict[str, bytes] = {}

    def add(self, kind: str, content: bytes) -> str:
        """Keep a picture; returns where the page finds it."""
        name = f"{self.chapter}-{len(self.files) + 1}{PICTURES[kind]}"
        self.files[name] = content
        return f"{self.folder}/{name}"

    def take_output(self, output: Any, where: str) -> None:
        """Tell an output which kind of it is shown, and of a picture, where it is."""
        kind = shown_kind(output, where)
        output.data = {kind: output.data[kind]}
        if kind not in PICTURES:
            return
        what = f"figure {len(self.files) + 1}"
        alt = " ".join(output.metadata.get(kind, {}).get("alt", "").split())
        if not alt:
            raise BookError(f"{what} has no alt text; draw it with lesson.show")
        content = picture(kind, output.data[kind], what)
        src = self.add(kind, content)
        output.metadata["figure"] = {"src": src, "alt": alt, **size(kind, content, what)}

    def take_attachments(self, cell: Any) -> None:
        """Tell a cell where the pictures are that were pasted into it."""
        places = {}
        for name, bundle in cell.get("attachments", {}).items():
            kind = next((kind for kind in bundle if kind in PICTURES), None)
            if kind is None:
                raise BookError(f"the attachment {name} is no picture: {', '.join(bundle)}")
            places[name] = self.add(kind, picture(kind, bundle[kind], f"the attachment {name}"))
        cell.metadata["attached"] = places


def take_pictures(notebook: Any, chapter: str, folder: str) -> dict[str, bytes]:
    """The pictures of a notebook as files; each cell and output is told which is its own.

    Raises `BookError` for what a page cannot show.
    """
    pictures = Pictures(chapter, folder)
    for number, cell in enumerate(notebook.cells, start=1):
        if cell.cell_type == "raw":
            raise BookError(f"cell {number} is raw, which a page cannot show: make it Markdown")
        pictures.take_attachments(cell)
        for output in cell.get("outputs", []):
            if "data" in output:
                pictures.take_output(output, f"cell {number}")
    return pictures.files
