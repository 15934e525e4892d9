"""Judging answers that misbehave: a clear message each time, and never a pass."""

import sys
import textwrap
import time
from pathlib import Path

import pytest

from nanopoet.sandbox import Sandbox, SandboxError
from nanopoet.stubs import SOLUTIONS

TASK = "welcome.first_line"
RIGHT = 'return "床前明月光"'


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(seconds=3, memory=2**29) as judging:
        yield judging


@pytest.fixture
def judge(sandbox, tmp_path):
    def run(body=RIGHT, before="", file=None):
        text = file
        if text is None:
            text = f"{textwrap.dedent(before)}\n\ndef first_line():\n"
            text += textwrap.indent(textwrap.dedent(body), "    ")
        (tmp_path / "welcome.py").write_text(text, encoding="utf-8")
        return sandbox.judge(TASK, tmp_path, seed=3)

    return run


def test_a_right_answer_passes_and_a_wrong_one_does_not(judge):
    right, wrong = judge(), judge('return "床前明月明"')
    assert (right.status, right.seed) == ("pass", 3)
    assert (wrong.status, wrong.expected, wrong.got) == ("fail", "'床前明月光'", "'床前明月明'")
    assert wrong.line == 3
    assert wrong.file.endswith("welcome.py")


@pytest.mark.parametrize(
    ("status", "said", "body"),
    [
        ("timeout", "longer than 3 s", "while True: pass"),
        ("timeout", "longer than 3 s", "import time\ntime.sleep(100)"),
        (
            "timeout",
            "longer than 3 s",
            "while True:\n    try: raise ValueError\n    except BaseException: continue",
        ),
        ("error", "SystemExit", "raise SystemExit(0)"),
        ("error", "SystemExit", "import sys\nsys.exit()"),
        ("error", "ended the process", "import os\nos._exit(0)"),
        ("error", "was killed", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)"),
        ("error", "SIGSEGV", "import ctypes\nctypes.string_at(0)"),
        ("error", "without end (RecursionError)", "return first_line()"),
        ("error", "KeyboardInterrupt", "raise KeyboardInterrupt"),
        ("error", "ZeroDivisionError", "1 / 0"),
        ("error", "more memory", f"a = bytearray(2**33)\n{RIGHT}"),
        ("error", "more memory", f"import torch\na = torch.ones(2**32)\n{RIGHT}"),
        ("error", "prints", f'print("平仄" * 2**20)\n{RIGHT}'),
        ("error", "prints", f'for _ in range(2**15): print("平仄")\n{RIGHT}'),
        ("error", "prints", f'import os\nos.write(2, b"x" * 2**17)\n{RIGHT}'),
        ("error", "replaces torch.allclose", f"import torch\ntorch.allclose = None\n{RIGHT}"),
        ("error", "replaces torch.Tensor", "import torch\ntorch.Tensor = None"),
        ("error", "replaces builtins.len", "import builtins\nbuiltins.len = lambda x: 5"),
        ("error", "default dtype", "import torch\ntorch.set_default_dtype(torch.float64)"),
        ("error", "gradients off", f"import torch\ntorch.set_grad_enabled(False)\n{RIGHT}"),
        ("error", "NotImplementedError", "raise NotImplementedError(1, 2)"),
        ("todo", "not written yet", 'raise NotImplementedError("welcome.first_line")'),
        ("todo", "needs attention.attention", 'raise NotImplementedError("attention.attention")'),
        ("fail", "None: is a `return` missing?", 'print("pass")'),
    ],
)
def test_misbehaviour_gets_a_message_and_never_a_pass(judge, status, said, body):
    verdict = judge(body)
    assert said in verdict.symptom
    assert verdict.status == status


def test_what_an_answer_prints_is_kept_for_whoever_is_looking_for_a_bug(judge):
    assert judge(f'print("平仄")\n{RIGHT}').printed == "平仄\n"
    assert judge(f'import os\nos.write(2, b"x" * 9999)\n{RIGHT}').printed == "x" * 1000
    assert judge('print("before")\nwhile True: pass').printed == "before\n"
    # The misconceptions that it is compared with print the line, too. That is not shown.
    assert judge('print("once")\nreturn "明月"').printed == "once\n"


def test_a_verdict_stands_even_if_the_search_for_a_name_never_ends(judge):
    """The first run of the check fails. The second one, made to find a name, hangs."""
    body = """
    first_line.calls = getattr(first_line, "calls", 0) + 1
    while first_line.calls > 1:
        pass
    return "明月"
    """
    verdict = judge(body)
    assert (verdict.status, verdict.got, verdict.misconception) == ("fail", "'明月'", "")


def test_a_result_of_another_kind_is_a_failure_that_says_so(sandbox, tmp_path):
    text = "def random_windows(*_):\n    return 1, 2\n"
    (tmp_path / "training.py").write_text(text, encoding="utf-8")
    verdict = sandbox.judge("training.random_windows", tmp_path, 0)
    assert verdict.status == "fail"
    assert "not what its contract says" in verdict.symptom


@pytest.mark.parametrize(
    ("said", "before"),
    [
        ("nanopoet_ref", "import nanopoet_ref.corpus"),
        ("nanopoet_ref", "import importlib; importlib.import_module('nanopoet_ref.loss')"),
        ("solutions", "from solutions.welcome import first_line as other"),
        ("tests", "import tests.exercises.welcome"),
        ("nanopoet", "import nanopoet.trial"),
        ("replaces torch.nn.functional.softmax", "import torch; torch.nn.functional.softmax = 1"),
        ("ends the program", "raise SystemExit"),
        ("ZeroDivisionError", "1 / 0"),
        ("ModuleNotFoundError", "import no_such_thing"),
    ],
)
def test_a_file_that_misbehaves_when_it_is_loaded(judge, said, before):
    verdict = judge(before=before)
    assert said in verdict.symptom
    assert verdict.status == "error"


def test_neither_the_solution_nor_the_reference_steps_in(sandbox, judge, tmp_path):
    assert "there is no" in sandbox.judge(TASK, tmp_path, 0).symptom
    verdict = judge(file="def last_line():\n    return 1\n")
    assert (verdict.status, "has no first_line" in verdict.symptom) == ("error", True)
    assert "nanopoet reset welcome.first_line" in verdict.symptom
    verdict = judge(file="def first_line(:\n")
    assert (verdict.status, verdict.line) == ("error", 1)
    assert "syntax error" in verdict.symptom
    verdict = judge(file="")
    assert verdict.status == "error"


def test_inside_a_call_the_solution_cannot_be_imported_either(judge):
    verdict = judge("from solutions.welcome import first_line as other\nreturn other()")
    assert verdict.status == "error"
    assert "your own code" in verdict.symptom


def test_a_judge_that_has_died_between_two_tasks_is_started_again():
    with Sandbox() as sandbox:
        assert sandbox.judge(TASK, SOLUTIONS, 0).status == "pass"
        sandbox.process.kill()
        sandbox.process.wait()
        assert sandbox.judge(TASK, SOLUTIONS, 0).status == "pass"


def test_a_judge_that_cannot_be_started_is_an_error_and_not_a_pass(monkeypatch):
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with Sandbox() as sandbox, pytest.raises(SandboxError, match="does not start"):
        sandbox.judge(TASK, SOLUTIONS, 0)


def test_an_answer_leaves_nothing_behind(judge, tmp_path):
    left = tmp_path / "left"
    assert judge(f'open("left", "w").write("x")\n{RIGHT}').status == "pass"
    assert judge(f"import torch\ntorch.manual_seed(1)\ntorch.secret = 1\n{RIGHT}").status == "pass"
    assert judge('import torch\nreturn str(hasattr(torch, "secret"))').got == "'False'"
    assert not left.exists()
    assert [path.name for path in tmp_path.iterdir()] == ["welcome.py"]


def test_modules_of_the_same_folder_may_be_imported(judge, tmp_path):
    (tmp_path / "helper.py").write_text('LINE = "床前明月光"\n', encoding="utf-8")
    assert judge("return LINE", "from .helper import LINE").status == "pass"
    assert judge("return LINE", "from exercises.helper import LINE").status == "pass"


def test_a_process_of_its_own_where_forking_is_not_safe(tmp_path):
    (tmp_path / "welcome.py").write_text("def first_line():\n    raise SystemExit\n")
    with Sandbox(seconds=5, forks=False) as alone:
        assert alone.judge(TASK, SOLUTIONS, 1).status == "pass"
        assert "SystemExit" in alone.judge(TASK, tmp_path, 1).symptom


@pytest.mark.parametrize("forks", [True, False])
def test_an_optimizer_does_not_wait_for_the_compiler_and_who_needs_it_gets_it(tmp_path, forks):
    body = f"""
    import sys, torch
    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.AdamW([weight], lr=0.5, weight_decay=0.0)
    weight.sum().backward()
    optimizer.step()
    assert torch.allclose(weight, torch.full((2,), 0.5)), weight
    assert "torch._dynamo.config" not in sys.modules
    assert torch.vmap(torch.neg)(weight).tolist() == (-weight).tolist()
    import torch._dynamo.config
    assert torch._dynamo.config.cache_size_limit > 0
    {RIGHT}
    """
    text = "def first_line():\n" + textwrap.indent(textwrap.dedent(body), "    ")
    (tmp_path / "welcome.py").write_text(text, encoding="utf-8")
    with Sandbox(forks=forks) as sandbox:
        verdict = sandbox.judge(TASK, tmp_path, 0)
    assert (verdict.status, verdict.symptom) == ("pass", "")


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_children_of_an_answer_do_not_outlive_it(judge, tmp_path):
    body = f"""
    import subprocess, sys
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    open({str(tmp_path / "pid")!r}, "w").write(str(child.pid))
    {RIGHT}
    """
    assert judge(body).status == "pass"
    state = Path("/proc", (tmp_path / "pid").read_text(), "stat")
    deadline = time.monotonic() + 20  # the kernel takes a moment; sixty seconds would be too long
    while state.exists() and ") Z" not in state.read_text():
        assert time.monotonic() < deadline
