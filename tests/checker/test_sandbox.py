"""Judging answers that misbehave: a clear message each time, and never a pass."""

import os
import select
import signal
import subprocess
import sys
import tempfile
import textwrap
import venv
from pathlib import Path

import pytest

from nanopoet.checker.box import PLACES, bubblewrap, unboxed, walls
from nanopoet.checker.sandbox import SECONDS, Sandbox, SandboxError
from nanopoet.checker.source import SOLUTIONS

TASK = "welcome.first_line"
RIGHT = 'return "床前明月光"'


BOX = pytest.param(True, marks=pytest.mark.skipif(unboxed() != "", reason=unboxed()), id="box")
each_kind = pytest.mark.parametrize("boxed", [BOX, pytest.param(False, id="no box")])


@pytest.fixture(scope="module", params=[BOX, pytest.param(False, id="no box")])
def sandbox(request):
    with Sandbox(seconds=2, memory=2**29, boxed=request.param) as judging:
        yield judging


@pytest.fixture(scope="module")
def open_sandbox():
    """Where answers see what the user sees, so that it can be seen what they leave there."""
    with Sandbox(seconds=2, memory=2**29, boxed=False) as judging:
        yield judging


@pytest.fixture
def judge(sandbox, tmp_path):
    return judge_with(sandbox, tmp_path)


@pytest.fixture
def judge_openly(open_sandbox, tmp_path):
    return judge_with(open_sandbox, tmp_path)


def judge_with(sandbox, tmp_path):
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
        ("timeout", "longer than 2 s", "while True: pass"),
        ("timeout", "longer than 2 s", "import time\ntime.sleep(100)"),
        (
            "timeout",
            "longer than 2 s",
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
        ("checks", "import checks.welcome"),
        ("nanopoet", "import nanopoet.checker.trial"),
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


# --- What outlives nothing -----------------------------------------------------------------------

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux brings orphans back")


@pytest.fixture
def lifeline(tmp_path):
    """Code that holds a pipe open, and a function that reads it: until all who hold it are gone."""
    path = tmp_path / "lifeline"
    os.mkfifo(path)
    read_end = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(read_end, True)

    def read(size=1, seconds=30):
        """What was written, or nothing when the last one who could write is gone."""
        ready, _, _ = select.select([read_end], [], [], seconds)
        assert ready, "it still runs"
        return os.read(read_end, size)

    hold = f"""
    import os
    line = os.open({str(path)!r}, os.O_WRONLY)
    os.set_inheritable(line, True)
    os.write(line, b"x")
    """
    yield textwrap.dedent(hold), read
    os.close(read_end)


IN_ITS_OWN_SESSION = """
import subprocess
subprocess.Popen(["sleep", "600"], start_new_session=True, close_fds=False)
"""
A_DAEMON = """
import time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(600)
    os._exit(0)
"""
A_CHILD_IN_ITS_GROUP = """
import subprocess
subprocess.Popen(["sleep", "600"], close_fds=False)
"""
WITH_NO_ENVIRONMENT = """
import subprocess
subprocess.Popen(["/bin/sleep", "600"], start_new_session=True, close_fds=False, env={})
"""


@linux
@pytest.mark.parametrize(
    ("child", "end", "status"),
    [
        (IN_ITS_OWN_SESSION, RIGHT, "pass"),
        (IN_ITS_OWN_SESSION, "os._exit(0)", "error"),
        (IN_ITS_OWN_SESSION, "while True: pass", "timeout"),
        (A_DAEMON, RIGHT, "pass"),
        (A_DAEMON, "while True: pass", "timeout"),
        (A_CHILD_IN_ITS_GROUP, RIGHT, "pass"),
        (WITH_NO_ENVIRONMENT, RIGHT, "pass"),
    ],
)
def test_nothing_that_an_answer_has_started_outlives_it(judge_openly, lifeline, child, end, status):
    hold, read = lifeline
    assert judge_openly(hold + child + end).status == status
    assert (read(), read()) == (b"x", b"")


@linux
@pytest.mark.parametrize("child", [IN_ITS_OWN_SESSION, WITH_NO_ENVIRONMENT])
@pytest.mark.parametrize("boxed", [BOX])
def test_nothing_outlives_it_in_a_box_either(tmp_path, child, boxed):
    """Seen from outside, where the processes of the box are processes as any other."""
    child = child.replace("600", "600.125")
    body = textwrap.indent(f"import os, subprocess\n{child}{RIGHT}", "    ")
    (tmp_path / "welcome.py").write_text(f"def first_line():\n{body}\n", encoding="utf-8")
    with Sandbox(seconds=2, boxed=boxed) as sandbox:
        assert sandbox.judge(TASK, tmp_path, 0).status == "pass"
        assert sleepers("600.125") == []


def sleepers(seconds):
    """All processes of this machine that sleep so long."""
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    return [line for line in lines if line.split(b"\0")[1:2] == [seconds.encode()]]


@linux
@pytest.mark.parametrize("child", ["", IN_ITS_OWN_SESSION, A_DAEMON])
def test_an_answer_that_kills_what_it_runs_in_is_an_error_and_the_next_one_is_judged(
    open_sandbox, judge_openly, lifeline, child, tmp_path, monkeypatch
):
    hold, read = lifeline
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    open_sandbox.close()  # the next one begins there
    verdict = judge_openly(f"{hold}{child}os.kill(os.getppid(), 9)\nwhile True: pass")
    assert (verdict.status, "what it runs in" in verdict.symptom) == ("error", True)
    assert (read(), read()) == (b"x", b"")
    assert judge_openly().status == "pass"
    open_sandbox.close()
    assert list(tmp_path.glob("nanopoet-*")) == [], "its folder is removed, too"


@linux
@each_kind
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_box_that_is_killed_or_stopped_from_inside_is_not_waited_for_without_end(
    tmp_path, boxed, number
):
    body = f"    import os\n    os.kill(os.getppid(), {int(number)})\n    while True: pass"
    (tmp_path / "welcome.py").write_text(f"def first_line():\n{body}\n")
    with Sandbox(seconds=2, boxed=boxed) as sandbox:
        verdict = sandbox.judge(TASK, tmp_path, 0)
        assert verdict.status in ("error", "timeout")
        assert sandbox.judge(TASK, SOLUTIONS, 0).status == "pass"


@linux
@pytest.mark.parametrize(
    ("status", "said", "body"),
    [
        ("timeout", "longer than 2 s", "import os\nos.kill(os.getpid(), 19)"),
        ("error", "ended the process", f"import os\nos.closerange(0, 1000)\n{RIGHT}"),
        ("error", "crashed (SIGTERM)", "import os\nos.kill(0, 15)"),
        ("error", "crashed (signal 40)", "import os\nos.kill(0, 40)"),
        ("pass", "", f"import os\nos.fork()\n{RIGHT}"),
        ("error", "ended the process", "import os\nif os.fork():\n    os._exit(0)\nreturn 1"),
        ("pass", "", f"import os, shutil\nshutil.rmtree(os.getcwd())\n{RIGHT}"),
    ],
)
def test_what_an_answer_does_to_its_own_process_is_its_own_affair(judge, status, said, body):
    verdict = judge(body)
    assert said in verdict.symptom
    assert verdict.status == status
    assert judge().status == "pass"


@linux
def test_a_loop_that_nobody_watches_any_more_runs_out_of_time(judge):
    """The last resort: so many seconds of computing, and the kernel ends it."""
    verdict = judge("import resource\nreturn str(resource.getrlimit(resource.RLIMIT_CPU))")
    limit = (2 + 30) * os.cpu_count()
    assert verdict.got == repr(str((limit, limit)))


CHECK, WATCH = ["check", TASK], ["check", TASK, "--watch"]
MINE = ["train", "--mine", "--name", "never"]


def heard() -> None:
    """Signals as in a terminal, though a background job or nohup begins without some."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@linux
@pytest.mark.parametrize(
    ("arguments", "number"),
    [
        (CHECK, signal.SIGINT),
        (CHECK, signal.SIGHUP),
        (CHECK, signal.SIGTERM),
        (CHECK, signal.SIGKILL),
        (WATCH, signal.SIGINT),
        (WATCH, signal.SIGKILL),
        (MINE, signal.SIGINT),
        (MINE, signal.SIGKILL),
    ],
)
def test_when_a_command_ends_so_does_the_answer_that_it_waits_for(
    lifeline, tmp_path, number, arguments
):
    hold, read = lifeline
    for module in ("welcome", "tokenizer"):
        text = textwrap.indent(f"{hold}{IN_ITS_OWN_SESSION}while True: pass", "    ")
        text = f"def first_line():\n{text}\n\n\nbuild_vocab = first_line\n"
        if module == "tokenizer":
            text = text.replace("()", "(*a)")
        (tmp_path / f"{module}.py").write_text(text)
    folders = ("EXERCISES", "MEMORY", "RUNS")
    command = subprocess.Popen(
        [sys.executable, "-m", "nanopoet.cli", *arguments],
        env=os.environ
        | {f"NANOPOET_{folder}": str(tmp_path) for folder in folders}
        | {"NANOPOET_UNBOXED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        preexec_fn=heard,
    )
    assert read(seconds=60) == b"x"
    command.send_signal(number)
    said, _ = command.communicate(timeout=SECONDS - 3)  # sooner than the answer's time is up
    assert command.returncode == (130 if number == signal.SIGINT else -number)
    assert read() == b""
    assert b"Traceback" not in said


@pytest.mark.parametrize("forks", [True, False])
def test_an_answer_ends_with_whoever_asked_with_and_without_forking(tmp_path, lifeline, forks):
    hold, read = lifeline
    text = textwrap.indent(f"{hold}while True: pass", "    ")
    (tmp_path / "welcome.py").write_text(f"def first_line():\n{text}\n")
    code = f"""
    from pathlib import Path
    from nanopoet.checker.sandbox import Sandbox
    Sandbox(forks={forks}, boxed=False).judge({TASK!r}, Path({str(tmp_path)!r}), 0)
    """
    asking = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)])
    assert read(seconds=60) == b"x"
    asking.kill()
    asking.wait()
    assert read() == b""


def in_the_walls(python, code):
    command = [*walls(bubblewrap()), str(python), "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.mark.skipif(unboxed() != "", reason=unboxed())
def test_in_a_box_only_two_places_can_be_written_to():
    code = """
        import os
        for folder, _, _ in os.walk("/"):
            try:
                open(f"{folder}/new", "x").close()
                print(folder)
            except OSError:
                pass
    """
    done = in_the_walls(sys.executable, textwrap.dedent(code))
    assert (done.returncode, set(done.stdout.split())) == (0, set(PLACES)), done.stderr


@pytest.mark.skipif(unboxed() != "", reason=unboxed())
def test_a_box_stands_where_python_lies_in_a_folder_for_what_is_temporary(monkeypatch):
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        venv.create(folder, symlinks=True)
        monkeypatch.setattr(sys, "prefix", folder)
        done = in_the_walls(f"{folder}/bin/python", "import sys; print(sys.prefix)")
        assert done.stdout.strip() == folder, done.stderr


def test_whoever_wants_no_box_is_told_that_there_is_none(monkeypatch):
    """`grade` and `doctor` say what this says."""
    monkeypatch.setenv("NANOPOET_UNBOXED", "1")
    assert unboxed.__wrapped__() == "NANOPOET_UNBOXED is set"
