import shutil
import sys
from types import SimpleNamespace

import pytest

from nanopoet import doctor
from nanopoet.poet.corpus import BRING_NPM
from nanopoet_ref.corpus import save_poems
from nanopoet_ref.poem import Poem
from nanopoet_ref.source import SOURCE_INTEGRITY

POEMS = [Poem("李白", "五言绝句", "静夜思", "床前明月光，疑是地上霜。举头望明月，低头思故乡。")]


def lines(capsys):
    return capsys.readouterr().out.splitlines()


def test_every_check_prints_one_marked_line(capsys):
    doctor.doctor_command()
    printed = lines(capsys)
    marked = [line for line in printed if line.startswith(("[ok] ", "[fix]"))]
    assert len(marked) == len(doctor.CHECKS)
    names = "project Python torch threads memory disk corpus fonts UTF-8 npm box"
    for what in names.split():
        assert any(f" {what} " in line for line in marked)


def test_what_is_to_be_mended_has_the_command_below_it(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("NANOPOET_RAW", str(tmp_path))
    assert doctor.doctor_command() == 1
    printed = lines(capsys)
    place = next(i for i, line in enumerate(printed) if line.startswith("[fix] corpus"))
    assert printed[place + 1].strip() == "→ nanopoet corpus"


def test_an_old_python_is_named(monkeypatch):
    monkeypatch.setattr(doctor.sys, "version_info", (3, 10, 1))
    assert "3.11" in doctor.python_version().fix


def test_missing_torch_is_a_finding_not_a_traceback(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)  # importing it raises ImportError
    found = doctor.examine(doctor.torch_version)
    assert "torch" in found.found
    assert found.fix.startswith("pip install")


@pytest.mark.parametrize(("version", "good"), [("2.8.1", False), ("2.9.0+cpu", True)])
def test_a_torch_without_muon_is_too_old(monkeypatch, version, good):
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(__version__=version))
    assert bool(doctor.torch_version().fix) is not good


def test_a_containers_limit_is_its_memory(monkeypatch, tmp_path):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(doctor, "MEMORY_LIMIT", limit)
    limit.write_text("max\n")
    whole = doctor.memory()
    limit.write_text(f"{2**30}\n")
    assert doctor.memory().found == "1.0 GiB"
    assert doctor.memory().fix
    assert whole.found != "1.0 GiB"


@pytest.mark.parametrize(("encoding", "good"), [("UTF-8", True), ("ISO-8859-1", False)])
def test_the_locale_decides_not_what_the_program_prints_in(monkeypatch, encoding, good):
    monkeypatch.setattr(doctor.sys, "flags", SimpleNamespace(utf8_mode=0))
    monkeypatch.setattr(doctor.locale, "getencoding", lambda: encoding)
    assert bool(doctor.utf8().fix) is not good


def test_a_damaged_corpus_is_a_finding_not_a_traceback(capsys, monkeypatch):
    def damaged():
        raise ValueError("poems.simplified.json: line 3")

    monkeypatch.setattr(doctor, "CHECKS", (damaged, doctor.disk))
    assert doctor.doctor_command() == 1
    printed = lines(capsys)
    assert "line 3" in printed[0]
    assert "disk" in printed[2]


def test_a_check_that_cannot_import_says_what_is_missing():
    def broken():
        raise ImportError("No module named 'matplotlib'")

    found = doctor.examine(broken)
    assert "matplotlib" in found.found
    assert found.fix


def test_more_threads_than_cores_is_slow(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "999")
    assert "OMP_NUM_THREADS" in doctor.threads().fix


def test_a_full_disk_is_named(monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: SimpleNamespace(free=1))
    assert doctor.disk().fix


@pytest.mark.parametrize("needed", [True, False])
def test_npm_is_missed_only_until_the_poems_are_there(monkeypatch, needed):
    monkeypatch.setattr("nanopoet.poet.corpus.npm_command", lambda: None)
    monkeypatch.setattr("nanopoet.poet.corpus.needs_npm", lambda: needed)
    found = doctor.npm()
    assert "missing" in found.found
    assert found.fix == (BRING_NPM if needed else "")


@pytest.mark.parametrize(
    ("script", "command"),
    [("simplified", "nanopoet corpus"), ("original", "nanopoet corpus --script original")],
)
def test_one_changed_byte_of_the_poems_is_found(tmp_path, monkeypatch, script, command):
    monkeypatch.setenv("NANOPOET_RAW", str(tmp_path))
    for name in ("simplified", "original"):
        save_poems(POEMS, tmp_path, name, {"integrity": SOURCE_INTEGRITY})
    assert not doctor.corpus().fix
    poems = tmp_path / f"poems.{script}.jsonl"
    data = bytearray(poems.read_bytes())
    data[100] ^= 1
    poems.write_bytes(data)
    found = doctor.corpus()
    assert str(poems) in found.found
    assert "damaged" in found.found
    assert found.fix == command


def test_a_missing_font_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("nanopoet_ref.figures.FONT", tmp_path / "none.otf")
    assert doctor.fonts().fix.startswith("git checkout")
