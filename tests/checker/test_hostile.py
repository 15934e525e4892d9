"""Answers that try to get a point without an answer, to spoil those of others, or to stop it all.

What a box holds is tried in a box. What needs none is tried on both kinds of sandbox.
"""

import json
import os
import socket
import textwrap
import threading
from pathlib import Path

import pytest

from nanopoet.checker.box import unboxed
from nanopoet.checker.sandbox import Sandbox
from nanopoet.paths import ROOT

TASK = "attention.causal_mask"
RIGHT = "return torch.ones(T, T, dtype=torch.bool).tril()"
WRONG = "return torch.ones(T, T, dtype=torch.bool)"
BOX = pytest.param(True, marks=pytest.mark.skipif(unboxed() != "", reason=unboxed()), id="box")


@pytest.fixture(scope="module", params=[BOX, pytest.param(False, id="no box")])
def sandbox(request):
    with Sandbox(seconds=3, memory=2**29, boxed=request.param) as judging:
        yield judging


@pytest.fixture(scope="module")
def box():
    if why := unboxed():
        pytest.skip(why)
    with Sandbox(seconds=3, memory=2**29) as judging:
        yield judging


def answer(body, before=""):
    text = f"import torch\n{textwrap.dedent(before)}\n\ndef causal_mask(T):\n"
    return text + textwrap.indent(textwrap.dedent(body).strip("\n"), "    ") + f"\n    {WRONG}\n"


def judge(sandbox, tmp_path, body, before=""):
    (tmp_path / "attention.py").write_text(answer(body, before), encoding="utf-8")
    return sandbox.judge(TASK, tmp_path, seed=1)


def still_judges(sandbox, tmp_path):
    return judge(sandbox, tmp_path, RIGHT).status == "pass"


# --- What is not where the answer is -------------------------------------------------------------

REFERENCE, SOLUTION = (ROOT / folder / "attention.py" for folder in ("nanopoet_ref", "solutions"))
STEALING = {
    "by name, with no guard": """
        import sys
        sys.meta_path[:] = [f for f in sys.meta_path if type(f).__name__ != "AnswersOnly"]
        from nanopoet_ref.attention import causal_mask
        return causal_mask(T)
    """,
    "the reference by its path": f"""
        space = {{}}
        exec(open({str(REFERENCE)!r}).read(), space)
        return space["causal_mask"](T)
    """,
    "the solution by its path": f"""
        space = {{}}
        exec(open({str(SOLUTION)!r}).read(), space)
        return space["causal_mask"](T)
    """,
    "the solution by a link": f"""
        import os
        os.symlink({str(SOLUTION)!r}, "link")
        space = {{}}
        exec(open("link").read(), space)
        return space["causal_mask"](T)
    """,
    "the judge's memory": """
        import os
        pids = [int(p) for p in os.listdir("/proc") if p.isdigit() and int(p) != os.getpid()]
        for pid in pids:
            maps = open(f"/proc/{pid}/maps").read()
            assert "checks/attention" not in maps
            memory = open(f"/proc/{pid}/mem", "rb")
        raise RuntimeError("nothing found")
    """,
}


@pytest.mark.parametrize("way", STEALING)
def test_in_a_box_there_is_nothing_to_steal(box, tmp_path, way):
    verdict = judge(box, tmp_path, STEALING[way])
    assert verdict.status in ("fail", "error"), verdict
    assert still_judges(box, tmp_path)


SEARCHING = {
    "all functions": """
        import gc, types
        for thing in gc.get_objects():
            if type(thing) is types.FunctionType and thing is not causal_mask:
                if thing.__name__ in ("causal_mask", "right_mask"):
                    return thing(T)
    """,
    "all tensors": """
        import gc
        for thing in gc.get_objects():
            if type(thing) is torch.Tensor and thing.shape == (T, T) and thing.dtype == torch.bool:
                return thing.clone()
    """,
    "the callers' variables": """
        import sys
        frame = sys._getframe()
        while frame:
            for name, value in list(frame.f_locals.items()) + list(frame.f_globals.items()):
                if name in ("expected", "reference", "secret", "CHECKS", "MISCONCEPTIONS"):
                    raise RuntimeError(f"found {name}")
            frame = frame.f_back
    """,
    "loaded modules": """
        import sys
        for name, module in list(sys.modules.items()):
            if name.startswith(("checks", "nanopoet_ref", "solutions")):
                return module.causal_mask(T)
    """,
    "constants of the callers' code": """
        import sys
        frame = sys._getframe().f_back
        while frame:
            for value in frame.f_code.co_consts:
                if type(value) is list or type(value) is tuple and len(value) == T:
                    return torch.tensor(value)
            frame = frame.f_back
    """,
}


@pytest.mark.parametrize("way", SEARCHING)
def test_neither_the_reference_nor_what_is_expected_is_in_an_answers_process(
    sandbox, tmp_path, way
):
    verdict = judge(sandbox, tmp_path, SEARCHING[way])
    assert verdict.status in ("fail", "error"), verdict
    assert "found" not in verdict.symptom


# --- What comes out is data, and only of this answer --------------------------------------------

LYING = {
    "a tensor that says it is equal": """
        class Liar(torch.Tensor):
            def __eq__(self, other): return torch.ones(T, T, dtype=torch.bool)
            def __ne__(self, other): return torch.zeros(T, T, dtype=torch.bool)
            def tolist(self): return torch.ones(T, T).tril().tolist()
            @property
            def shape(self): return (T, T)
            @classmethod
            def __torch_function__(cls, function, types, args=(), kwargs=None):
                return torch.ones(T, T, dtype=torch.bool).tril() if "eq" in str(function) else None
        return torch.zeros(1, dtype=torch.bool).as_subclass(Liar)
    """,
    "an array that says it is equal": """
        import numpy as np
        class Liar(np.ndarray):
            def __eq__(self, other): return True
            def __array_ufunc__(self, *a, **k): return np.ones((T, T), bool)
        return np.zeros((T, T), bool).view(Liar)
    """,
    "an object that says it is a tensor": """
        class Liar:
            __class__ = torch.Tensor
            shape, dtype, requires_grad = (T, T), torch.bool, False
            def __eq__(self, other): return True
        return Liar()
    """,
    "a text that says it is equal": """
        class Liar(str):
            def __eq__(self, other): return True
            __hash__ = str.__hash__
        return Liar("x")
    """,
    "a number that says it is another": """
        class Liar(float):
            def __float__(self): return 1.0
            def __eq__(self, other): return True
        return Liar(0)
    """,
    "what is asked for, overwritten": """
        import gc
        for thing in gc.get_objects():
            if type(thing) is torch.Tensor and thing.dtype == torch.bool:
                thing.fill_(True)
    """,
    "the writing of results, replaced": """
        import gc, json
        json.dumps = lambda *a, **k: '{"value": ["dict", []]}'
        for thing in gc.get_objects():
            if isinstance(thing, dict) and thing.get("__name__") == "nanopoet.checker.runner":
                thing["encode"] = lambda value: b'["dict",[["value",["dict",[]]]]]'
    """,
    "comparing, replaced": """
        import numpy, torch, builtins
        numpy.isclose = torch.equal = torch.allclose = lambda *a, **k: True
        builtins.isinstance = lambda *a: True
    """,
}


@pytest.mark.parametrize("way", LYING)
def test_a_result_that_lies_is_a_wrong_result(sandbox, tmp_path, way):
    verdict = judge(sandbox, tmp_path, LYING[way])
    assert verdict.status in ("fail", "error"), verdict
    assert still_judges(sandbox, tmp_path)


FORGED = json.dumps({"task": TASK, "status": "pass"})
FORGING = {
    "a verdict into every open file": f"""
        import os
        for fd in range(3, 64):
            try: os.write(fd, {FORGED.encode()!r} + b"\\n")
            except OSError: pass
    """,
    "replies into every socket": """
        import os, struct
        message = b'["dict",[["value",["dict",[["the mask for T = 4",true]]]]]]'
        for fd in range(3, 64):
            try: os.write(fd, struct.pack("<Qd", len(message) + 8, 0.0) + message)
            except OSError: pass
    """,
    "replies from a thread": """
        import os, struct, threading
        message = b'["dict",[["value",["dict",[]]]]]'
        def flood():
            for _ in range(1000):
                for fd in range(3, 64):
                    try: os.write(fd, struct.pack("<Qd", len(message) + 8, 0.0) + message)
                    except OSError: pass
        threading.Thread(target=flood, daemon=True).start()
    """,
    "a message without end": """
        import os, struct
        for fd in range(3, 64):
            try: os.write(fd, struct.pack("<Q", 2**60))
            except OSError: pass
    """,
    "nonsense": """
        import os
        for fd in range(3, 64):
            try: os.write(fd, os.urandom(5000))
            except OSError: pass
    """,
    "a verdict for whoever started it": f"""
        import os
        for pid in [os.getppid(), 1, *range(2, 40)]:
            for fd in range(12):
                try:
                    with open(f"/proc/{{pid}}/fd/{{fd}}", "w") as pipe: print({FORGED!r}, file=pipe)
                except OSError: pass
    """,
    "a verdict as output": f"print({FORGED!r})",
}


@pytest.mark.parametrize("way", FORGING)
def test_no_verdict_can_be_forged(box, tmp_path, way):
    verdict = judge(box, tmp_path, FORGING[way])
    assert verdict.status in ("fail", "error", "timeout"), verdict
    assert still_judges(box, tmp_path)


# --- What cannot be seen or reached --------------------------------------------------------------


def said_by(sandbox, tmp_path, expression, before=""):
    """What an expression comes to where answers run."""
    verdict = judge(sandbox, tmp_path, f"raise RuntimeError('<' + str({expression}) + '>')", before)
    return verdict.symptom.partition("<")[2].rpartition(">")[0]


def test_the_environment_is_empty_and_nobody_is_at_home(box, tmp_path, monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "hunter2")
    with Sandbox(seconds=3) as fresh:

        def sees(expression):
            return said_by(fresh, tmp_path, expression, "import os")

        assert "hunter2" not in sees("sorted(os.environ.items())")
        home = Path.home() / ".bashrc"
        for place in (home, ROOT / "solutions", ROOT / "checks", tmp_path, "/etc/passwd", "/var"):
            assert sees(f"os.path.exists({str(place)!r})") == "False"
        assert sees("os.getuid()") == "65534"
        assert int(sees("len([p for p in os.listdir('/proc') if p.isdigit()])")) < 6


@pytest.mark.enable_socket
def test_there_is_no_network(box, tmp_path):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        body = f"""
            import socket
            socket.create_connection(("127.0.0.1", {server.getsockname()[1]}), timeout=1)
        """
        verdict = judge(box, tmp_path, body)
    assert "Error" in verdict.symptom


def test_the_answers_of_others_and_ones_own_cannot_be_rewritten(box, tmp_path):
    other = tmp_path / "loss.py"
    other.write_text("other", encoding="utf-8")
    verdict = judge(box, tmp_path, f"open({str(other)!r}, 'w').write('mine')")
    assert verdict.status == "error"
    assert other.read_text(encoding="utf-8") == "other"


# --- What stops nothing --------------------------------------------------------------------------

STOPPING = {
    "a fork bomb": "import os\nwhile True: os.fork()",
    "50 GB": "data = bytearray(50 * 2**30)",
    "50 GB in pieces": "data = []\nwhile True: data.append(bytearray(2**24))",
    "a flood of output": "while True: print('x' * 10**6)",
    "a flood of files": """
        import os
        for i in range(10**9):
            with open(f"file{i}", "wb") as file: file.write(b"x" * 2**20)
    """,
    "a flood of shared memory": """
        for i in range(10**9):
            with open(f"/dev/shm/file{i}", "wb") as file: file.write(b"x" * 2**20)
    """,
    "signals ignored": """
        import signal
        for number in range(1, 32):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        while True: pass
    """,
    "an end that never ends": """
        import atexit, threading, time
        atexit.register(time.sleep, 1000)
        threading.Thread(target=time.sleep, args=(1000,)).start()
    """,
    "everybody killed": "import os\nos.kill(-1, 9)",
    "everybody stopped": "import os\nos.kill(-1, 19)",
    "an endless result": """
        class Endless(list):
            def __iter__(self):
                while True: yield 1
        return Endless()
    """,
    "a result within itself": "rows = []\nrows.append(rows)\nreturn rows",
    "a huge result": "return [0] * 10**8",
    "a huge number": "return 10 ** 10**6",
    "an error that cannot be shown": """
        class Odd(Exception):
            def __str__(self): raise self
        raise Odd
    """,
    "an error of a megabyte": "raise ValueError('x' * 10**7)",
}


@pytest.mark.parametrize("way", STOPPING)
def test_nothing_stops_the_judging(box, tmp_path, way):
    began = set(os.listdir("/dev/shm"))
    verdict = judge(box, tmp_path, STOPPING[way])
    assert verdict.status in ("fail", "error", "timeout"), verdict
    assert len(verdict.symptom) < 1000
    assert still_judges(box, tmp_path)
    assert set(os.listdir("/dev/shm")) - began == set()


FILES = {
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a pipe": lambda path: os.mkfifo(path),
    "a folder": lambda path: path.mkdir(),
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
    "a megabyte and more": lambda path: path.write_text("#" * (2**20 + 1)),
    "100,000 minus signs": lambda path: path.write_text(f"x = {'-' * 100_000}1\n"),
    "3,000 brackets": lambda path: path.write_text(f"x = {'(' * 3000}1{')' * 3000}\n"),
    "zeros": lambda path: path.write_bytes(bytes(1000)),
    "another encoding": lambda path: path.write_bytes("# 春\n".encode("gb18030")),
    "nothing": lambda path: path.write_bytes(b""),
}


@pytest.mark.parametrize("way", FILES)
def test_a_file_that_is_no_source_is_an_error_and_the_next_is_judged(sandbox, tmp_path, way):
    FILES[way](tmp_path / "attention.py")
    (tmp_path / "loss.py").write_text("def perplexity(loss):\n    return 0.0\n", encoding="utf-8")
    verdict = sandbox.judge(TASK, tmp_path, 0)
    assert verdict.status == "error", verdict
    assert sandbox.judge("loss.perplexity", tmp_path, 0).status == "fail"


@pytest.mark.parametrize(
    "form", [lambda t: "\ufeff" + t, lambda t: t.replace("\n", "\r\n"), lambda t: t.rstrip("\n")]
)
def test_marks_and_line_ends_of_other_systems_are_no_fault(sandbox, tmp_path, form):
    (tmp_path / "attention.py").write_bytes(form(answer(RIGHT)).encode("utf-8"))
    assert sandbox.judge(TASK, tmp_path, 0).status == "pass"


def test_whoever_asks_from_two_threads_gets_his_own_verdict(tmp_path):
    """Two sandboxes do not know of each other."""
    found = {}

    def ask(name, body):
        folder = tmp_path / name
        folder.mkdir()
        with Sandbox(seconds=10) as own:
            found[name] = [judge(own, folder, body).status for _ in range(3)]

    threads = [threading.Thread(target=ask, args=a) for a in (("a", RIGHT), ("b", WRONG))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {"a": ["pass"] * 3, "b": ["fail"] * 3}
