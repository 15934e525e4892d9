import shutil
from types import SimpleNamespace

import pytest

from nanopoet import doctor


def lines(capsys):
    return capsys.readouterr().out.splitlines()


def test_every_check_prints_one_marked_line(capsys):
    doctor.doctor_command()
    printed = lines(capsys)
    marked = [line for line in printed if line.startswith(("[ok] ", "[fix]"))]
    assert len(marked) == len(doctor.CHECKS)
    for what in ("Python", "torch", "threads", "memory", "disk", "corpus", "fonts", "UTF-8", "npm"):
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
    def missing(name):
        raise doctor.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.importlib.metadata, "version", missing)
    assert doctor.torch_version().fix.startswith("pip install")


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


@pytest.mark.parametrize("prepared", [True, False])
def test_npm_is_needed_only_until_the_poems_are_there(monkeypatch, prepared):
    monkeypatch.setattr("nanopoet.prepare.npm_command", lambda: None)
    fix = "" if prepared else "nanopoet corpus"
    monkeypatch.setattr(doctor, "corpus", lambda: doctor.Finding("corpus", "", fix))
    assert doctor.npm().needed is not prepared


def test_without_a_chinese_font_the_course_still_works(monkeypatch):
    monkeypatch.setattr("nanopoet.picture.chinese_font", lambda: None)
    found = doctor.fonts()
    assert found.fix
    assert not found.needed
