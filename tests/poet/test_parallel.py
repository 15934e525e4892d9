"""Several processes train as one: same gradients, same bits after any end, one of them writes.

Processes are started outside of this one, in which no socket may be opened; they speak over
loopback alone. torchrun starts those that test torchrun. For the others this file is run as a
program: it imports PyTorch once, and forks.
"""

import importlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from nanopoet.cli import main
from nanopoet.poet import parallel
from nanopoet.poet.parallel import cut_stage, strided
from nanopoet.poet.presets import PresetError, Stage
from nanopoet.poet.recorder import Recorder
from nanopoet_ref import figures
from nanopoet_ref.checkpoint import load_checkpoint
from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.loss import masked_cross_entropy
from nanopoet_ref.optim import configure_optimizers
from nanopoet_ref.runtime import make_generator
from nanopoet_ref.training import (
    Batch,
    BatchStream,
    StepLog,
    TrainConfig,
    estimate_loss,
    training_step,
)

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = "lo0" if sys.platform == "darwin" else "lo"
ENV = os.environ | {
    "PYTHONPATH": str(ROOT),
    "OMP_NUM_THREADS": "1",
    "GLOO_SOCKET_IFNAME": LOOPBACK,
    "MPLBACKEND": "Agg",
}
HAS_GLOO = dist.is_available() and dist.is_gloo_available()
needs_gloo = pytest.mark.skipif(not HAS_GLOO, reason="this PyTorch has no gloo")


# --- What runs in each process of a group


def ragged(i: int) -> Batch:
    """Batch i: two rows, of which more or less counts."""
    ids = torch.randint(23, (2, 13), generator=make_generator(i))
    return Batch(ids[:, :-1], ids[:, 1:], torch.arange(12) < torch.tensor([[1 + 5 * i % 12], [3]]))


def tiny_model(dtype: torch.dtype) -> GPT:
    model = GPT(GPTConfig(23, block_size=12, n_layer=2, n_head=2, n_embd=16)).to(dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(std=0.4, generator=make_generator(0))
    return model


class Keep(torch.optim.SGD):
    """Notes the gradients of each step, and moves nothing."""

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.gradients = [p.grad.clone() for group in self.param_groups for p in group["params"]]


def differences(dtype: torch.dtype) -> dict[str, float]:
    """How far a step of all processes is from a step of one that has all their batches."""
    from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

    config, n = TrainConfig(grad_clip=None), 4
    alone, together = tiny_model(dtype), tiny_model(dtype)
    keeps = [Keep(model.parameters(), lr=0.0) for model in (alone, together)]
    batches = [ragged(i) for i in range(n)]
    expected = training_step(alone, batches, masked_cross_entropy, [keeps[0]], config)
    model, calls = parallel.DataParallel(together), []

    def count(state: Any, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        calls.append(bucket.index())
        return allreduce_hook(None, bucket)  # what is done without a hook

    model.register_comm_hook(None, count)
    stream = BatchStream(strided(ragged))
    own = [stream() for _ in range(n // parallel.world_size())]
    got = parallel.SharedStep(0, 0)(model, own, masked_cross_entropy, [keeps[1]], config)
    pairs = zip(keeps[0].gradients, keeps[1].gradients, strict=True)
    return {
        "gradients": max((a - b).abs().max().item() for a, b in pairs),
        "loss": abs(got[0] - expected[0]),
        "norm": abs(got[1] - expected[1]),
        "sums": len(calls),
    }


def sharded(folder: Path) -> dict[str, float]:
    """The same for a model of which each process holds a part; it goes on where it was saved."""
    config, n = TrainConfig(), 4

    def begun() -> tuple[GPT, list[torch.optim.Optimizer]]:
        model = parallel.shard(tiny_model(torch.float64))
        return model, configure_optimizers(model, lr=0.01)

    def learn(model: GPT, optimizers: list[torch.optim.Optimizer], step: int) -> None:
        own = [strided(ragged)(step * n // 2 + i) for i in range(n // 2)]
        parallel.SharedStep(0, step)(model, own, masked_cross_entropy, optimizers, config)

    def furthest(model: GPT, other: GPT) -> float:
        pairs = zip(model.parameters(), other.parameters(), strict=True)
        parts = [[getattr(w, "full_tensor", lambda w=w: w)() for w in pair] for pair in pairs]
        return max((a - b).abs().max().item() for a, b in parts)

    alone, (model, optimizers) = tiny_model(torch.float64), begun()
    adamw = configure_optimizers(alone, lr=0.01)
    for step in range(2):
        batches = [ragged(step * n + i) for i in range(n)]
        training_step(alone, batches, masked_cross_entropy, adamw, config)
        learn(model, optimizers, step)
    found = {"weights": furthest(model, alone), "held": model.wte.weight.to_local().shape[0]}
    parallel.save_sharded(folder, model, optimizers)
    later, its_optimizers = begun()
    parallel.load_sharded(folder, later, its_optimizers)
    for some, theirs in ((model, optimizers), (later, its_optimizers)):
        learn(some, theirs, 2)
    return found | {"resumed": furthest(model, later)}


def in_each_process(folder: Path) -> dict[str, Any]:
    """Everything that processes do together, once."""
    rank, model = parallel.rank(), tiny_model(torch.float32)
    left, steps = 3 + 2 * rank, 0  # they run out of data at different times
    while not parallel.any_rank(left == 0):
        left, steps = left - 1, steps + 1
    batches = [ragged(i) for i in range(3)]
    return {
        "rank": rank,
        "steps": steps,
        "numbers": [strided(lambda i: i)(i) for i in range(3)],  # type: ignore[arg-type]
        "total": parallel.total(rank + 1),
        "heard": parallel.from_rank_zero(f"from {rank}"),
        "estimate": parallel.estimate_once(model, batches, masked_cross_entropy),
        "alone": estimate_loss(model, batches, masked_cross_entropy),
        "float64": differences(torch.float64),
        "float32": differences(torch.float32),
        "sharded": sharded(folder),
    }


def end_at(stage: str, step: int, sent: int) -> None:
    """Send this process a signal after a step, before it is saved."""
    call = Recorder.__call__

    def end(self: Recorder, log: StepLog) -> None:
        if (self.stage.name, log.step) == (stage, step):
            os.kill(os.getpid(), sent)
        call(self, log)

    Recorder.__call__ = end  # type: ignore[method-assign]


def one_process(order: dict[str, Any], rank: int) -> None:
    """A command of nanopoet, or `in_each_process`; `end` = rank, stage, step, signal."""
    figures.plot_curves = lambda logs, path, lines: path.touch()  # takes longer than training here
    if order.get("end") and order["end"][0] == rank and not parallel.restarts():
        end_at(*order["end"][1:])
    if "argv" in order:
        sys.argv = ["nanopoet", *order["argv"]]
        main()
    else:
        with parallel.process_group():
            found = in_each_process(Path(order["out"], "sharded"))
            Path(order["out"], f"{rank}.json").write_text(json.dumps(found), "utf-8")


def fork(order: dict[str, Any], rank: int, port: int) -> int:
    """Start one process of a group; what it prints goes into files."""
    if child := os.fork():
        return child
    code = 1
    try:
        os.environ |= order["env"] | {"RANK": str(rank), "MASTER_PORT": str(port)}
        os.environ |= {"WORLD_SIZE": str(order["world"]), "MASTER_ADDR": "127.0.0.1"}
        os.chdir(order["out"])
        for stream, name in ((sys.stdout, "out"), (sys.stderr, "err")):
            os.dup2(
                os.open(f"{rank}.{name}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC), stream.fileno()
            )
        one_process(order, rank)
        code = 0
    except SystemExit as end:
        code = int(end.code or 0)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def nursery() -> None:
    """For each line read, start a group of processes; when all have ended, print their codes."""
    torch.set_num_threads(1)
    for module in ("mine", "poet.order"):  # what a command loads is loaded before the forks
        importlib.import_module(f"nanopoet.{module}")
    model = tiny_model(torch.float32)
    training_step(
        model,
        [ragged(0)],
        masked_cross_entropy,
        configure_optimizers(model, muon_lr=0.0),
        TrainConfig(),
    )  # the first step loads much of PyTorch, too
    for line in sys.stdin:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        order = json.loads(line)
        children = [fork(order, rank, port) for rank in range(order["world"])]
        codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(json.dumps(codes), flush=True)


# --- How groups are started


class Group:
    """Starts groups of processes, and tells what became of them."""

    def __init__(self, process: subprocess.Popen, folder: Path) -> None:
        self.process, self.folder = process, folder

    def __call__(self, *argv: str, end: Any = None, world: int = 2) -> list[int]:
        order = {"env": self.env, "out": str(self.folder), "world": world, "end": end}
        print(
            json.dumps(order | ({"argv": argv} if argv else {})),
            file=self.process.stdin,
            flush=True,
        )
        return json.loads(self.process.stdout.readline())

    @property
    def env(self) -> dict[str, str]:
        return {
            "NANOPOET_RAW": str(self.folder / "raw"),
            "NANOPOET_RUNS": str(self.folder / "runs"),
        }

    def said(self, name: str) -> str:
        return (self.folder / name).read_text("utf-8")


@pytest.fixture(scope="module")
def group(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    """A folder with corpus and presets, and a program that starts processes there."""
    folder = tmp_path_factory.mktemp("group")
    (folder / "raw").symlink_to(trained / "raw")
    text = (trained / "tiny.toml").read_text("utf-8").replace("max_steps = 3", "max_steps = 5")
    (folder / "tiny.toml").write_text(text, "utf-8")
    process = subprocess.Popen(
        [sys.executable, __file__],
        env=ENV,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    watchdog = threading.Timer(150, os.killpg, (process.pid, signal.SIGKILL))
    watchdog.start()
    try:
        yield Group(process, folder)
    finally:
        watchdog.cancel()
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def torchrun(group: Group, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Two processes, started by torchrun, whose store outlives a restart."""
    port = str(random.Random(os.getpid()).randint(20_000, 40_000))
    program = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    return subprocess.run(
        [*program, "--master-addr", "127.0.0.1", "--master-port", port, *arguments],
        cwd=group.folder,
        env=ENV | group.env,
        capture_output=True,
        encoding="utf-8",
        timeout=100,
    )


TRAIN = ("train", "--preset", "tiny.toml", "--threads", "1", "--name")


def state(group: Group, name: str) -> Any:
    """All weights and metrics of a run, without what a clock says."""
    folder = group.folder / "runs" / name
    assert not list(folder.glob("*.tmp"))
    weights = {}
    for file in ("pretrain.pt", "midtrain.pt", "checkpoint.pt"):
        model = load_checkpoint(folder / file).model
        weights[file] = {key: value.tolist() for key, value in model.state_dict().items()}
    lines = (folder / "metrics.jsonl").read_text("utf-8").splitlines()
    return weights, [json.loads(line) | {"seconds": None} for line in lines]


@pytest.fixture(scope="module")
def whole(group: Group) -> Any:
    """A run that nothing has disturbed."""
    assert group(*TRAIN, "whole") == [0, 0], group.said("0.err") + group.said("1.err")
    said = [tuple(group.said(f"{rank}.{name}") for rank in (0, 1)) for name in ("out", "err")]
    return (*state(group, "whole"), *said)


# --- What they do together


@needs_gloo
def test_processes_do_together_what_one_does_alone(group):
    assert group() == [0, 0], group.said("0.err") + group.said("1.err")
    first, second = (json.loads(group.said(f"{rank}.json")) for rank in (0, 1))
    assert (first["rank"], second["rank"]) == (0, 1)
    # Disjoint, and together all there is.
    assert (first["numbers"], second["numbers"]) == ([0, 2, 4], [1, 3, 5])
    for found in (first, second):
        assert found["steps"] == 3  # none waits for one that has run out
        assert (found["total"], found["heard"]) == (3, "from 0")
        assert found["estimate"] == found["alone"]
        assert max(found["float64"][key] for key in ("gradients", "loss", "norm")) < 1e-12
        assert max(found["float32"][key] for key in ("gradients", "loss", "norm")) < 1e-6
        assert found["float64"]["sums"] == 1  # gradients are added up once a step
        assert found["sharded"]["weights"] < 1e-12
        assert found["sharded"]["resumed"] == 0
    # Each holds a part of the 23 rows of the embedding, and has written it into a file of its own.
    assert [found["sharded"]["held"] for found in (first, second)] == [12, 11]
    assert len(list((group.folder / "sharded").glob("*.distcp"))) == 2


@needs_gloo
def test_two_processes_learn_what_one_does_from_the_same_steps(group, whole):
    _, rows, *_ = whole
    config = json.loads((group.folder / "runs/whole/config.json").read_text("utf-8"))
    stages = config["preset"]["stages"]
    assert [(stage["batch_size"], stage["micro_steps"]) for stage in stages] == [(4, 2), (4, 2)]
    # No dropout, no rounding that grows: what remains is the same training.
    plain = (
        (group.folder / "tiny.toml").read_text("utf-8").replace("dropout = 0.1", "dropout = 0.0")
    )
    plain = plain.replace("muon_lr = 0.02", "head_lr = 0.002")
    (group.folder / "plain.toml").write_text(plain, "utf-8")
    cut = plain.replace("batch_size = 8", "batch_size = 4\nmicro_steps = 2")
    cut = cut.replace("eval_iters = 1", "eval_iters = 2")
    (group.folder / "cut.toml").write_text(cut, "utf-8")
    for world, preset in ((2, "plain"), (1, "cut")):  # what two did, and what one does
        codes = group("train", "--preset", f"{preset}.toml", "--name", preset, world=world)
        assert codes == [0] * world, group.said("0.err")
    (_, two), (_, one) = state(group, "plain"), state(group, "cut")
    assert [row["tokens"] for row in two] == [row["tokens"] for row in one]
    assert len(two) == len(rows)
    for key in ("loss", "grad_norm", "train_loss", "val_loss"):
        for a, b in zip(two, one, strict=True):
            assert (a[key] or 0) == pytest.approx(b[key] or 0, rel=1e-4), (a["step"], key)


@needs_gloo
def test_rank_zero_alone_prints(whole):
    _, _, out, err = whole
    assert out[0].count("stage 2 of 2: midtrain") == 1
    assert (out[1], err) == ("", ("", ""))


# --- How they end


@needs_gloo
def test_a_signal_to_one_stops_all_after_the_same_step(group, whole):
    name = "stopped"
    assert group(*TRAIN, name, end=(1, "midtrain", 3, signal.SIGTERM)) == [130, 130]
    assert "stopped after step 3 of midtrain; saved." in group.said("0.out")
    assert load_checkpoint(group.folder / "runs" / name / "checkpoint.pt").step == 3
    assert group("train", "--resume", "--name", name) == [0, 0]
    assert state(group, name) == whole[:2]


@needs_gloo
@pytest.mark.parametrize("rank", [0, 1])
def test_a_killed_process_ends_the_others_with_a_clear_error(group, whole, rank):
    name, codes = f"killed-{rank}", [1, 1]
    codes[rank] = -signal.SIGKILL
    assert group(*TRAIN, name, end=(rank, "pretrain", 3, signal.SIGKILL)) == codes
    said = group.said(f"{1 - rank}.err").splitlines()[-1]
    assert f"error: process {1 - rank} of 2 stops, because another one has ended" in said
    assert "nanopoet train --resume" in said
    folder = group.folder / "runs" / name
    assert not list(folder.glob("*.tmp"))
    assert load_checkpoint(folder / "checkpoint.pt").step == 2
    assert group("train", "--resume", "--name", name) == [0, 0], group.said("0.err")
    assert state(group, name) == whole[:2]


@needs_gloo
def test_torchrun_starts_the_same_program(group, whole):
    done = torchrun(group, "-m", "nanopoet", *TRAIN, "by-torchrun")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("stage 1 of 2: pretrain") == 1
    assert state(group, "by-torchrun") == whole[:2]
    assert group(*TRAIN, "by-torchrun") == [0, 0]
    assert "already trained" in group.said("0.out")


@needs_gloo
def test_torchrun_restarts_after_a_kill_and_the_bits_are_the_same(group, whole):
    order = {"argv": [*TRAIN, "restarted"], "end": (1, "midtrain", 3, signal.SIGKILL)}
    done = torchrun(group, "--max-restarts", "1", __file__, json.dumps(order))
    assert done.returncode == 0, done.stderr
    assert "error: process 0 of 2 stops, because another one has ended" in done.stderr
    assert done.stdout.count("stage 1 of 2: pretrain") == 1
    assert done.stdout.count("stage 2 of 2: midtrain") == 2
    assert state(group, "restarted") == whole[:2]


@needs_gloo
def test_what_rank_zero_refuses_is_said_once(group):
    assert group("train", "--preset", "nothing.toml") == [1, 0]
    assert "nothing.toml" in group.said("0.err")
    assert group.said("1.err") == ""
    assert group(*TRAIN, "own", "--mine") == [1, 0]
    assert "trains in one process" in group.said("0.err")


# --- How steps are cut


@pytest.mark.parametrize(
    ("batch_size", "micro_steps", "processes", "cut"),
    [(16, 1, 2, (8, 2, 8)), (16, 2, 2, (16, 2, 4)), (16, 2, 4, (4, 8, 16)), (8, 8, 8, (8, 8, 4))],
)
def test_a_step_stays_as_large_as_it_is(batch_size, micro_steps, processes, cut):
    stage = cut_stage(Stage("pretrain", 10, batch_size, micro_steps), processes)
    assert (stage.batch_size, stage.micro_steps, stage.eval_iters) == cut
    assert stage.batch_size * stage.micro_steps == batch_size * micro_steps


def test_what_cannot_be_cut_is_refused():
    with pytest.raises(PresetError, match="3 processes cannot share out a step of micro_steps = 2"):
        cut_stage(Stage("pretrain", 10, 16, 2), 3)


def test_one_process_alone_asks_nobody():
    assert (parallel.rank(), parallel.world_size(), parallel.loop_parts(0, 0)) == (0, 1, {})
    with parallel.process_group():
        assert parallel.any_rank(True)
        assert not parallel.any_rank(False)
        assert (parallel.total(2.0), parallel.from_rank_zero("x")) == (2.0, "x")


def test_without_gloo_torchrun_is_refused_by_name(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(dist, "is_gloo_available", lambda: False)
    with pytest.raises(parallel.ParallelError, match="no gloo"), parallel.process_group():
        pass


if __name__ == "__main__":
    if len(sys.argv) > 1:
        one_process(json.loads(sys.argv[1]), int(os.environ["RANK"]))
    else:
        nursery()
