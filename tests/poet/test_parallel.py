"""Several processes train as one: same gradients, same bits after any end, one of them writes.

Processes are started outside of this one, in which no socket may be opened; they speak over
loopback alone. torchrun starts those that test torchrun. For the others this file is run as a
program: it imports PyTorch once, and forks. No test depends on a clock: `LIMIT` ends what hangs.
"""

import faulthandler
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist

from nanopoet.cli import main
from nanopoet.poet import order as order_module
from nanopoet.poet import parallel
from nanopoet.poet.parallel import own_rows
from nanopoet.poet.presets import find_preset
from nanopoet.poet.recorder import Recorder
from nanopoet.poet.run import RunError
from nanopoet_ref import figures
from nanopoet_ref.checkpoint import load_checkpoint
from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.loss import masked_cross_entropy
from nanopoet_ref.optim import configure_optimizers
from nanopoet_ref.runtime import make_generator, unwrapped
from nanopoet_ref.training import Batch, StepLog, TrainConfig, estimate_loss, training_step

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 600  # seconds, for any process: far more than a busy machine takes
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
    """Batch i: four rows, of which more or less counts."""
    ids = torch.randint(23, (4, 13), generator=make_generator(i))
    lengths = torch.tensor([[1 + 5 * i % 12], [3], [9], [i % 4]])
    return Batch(ids[:, :-1], ids[:, 1:], torch.arange(12) < lengths)


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
    """How far a step of all processes is from a step of one that has all their rows."""
    from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

    config, n = TrainConfig(grad_clip=None), 3
    alone, together = tiny_model(dtype), tiny_model(dtype)
    keeps = [Keep(model.parameters(), lr=0.0) for model in (alone, together)]
    batches = [ragged(i) for i in range(n)]
    expected = training_step(alone, batches, masked_cross_entropy, [keeps[0]], config)
    model, calls = parallel.DataParallel(together), []

    def count(state: Any, bucket: dist.GradBucket) -> torch.futures.Future[torch.Tensor]:
        calls.append(bucket.index())
        return allreduce_hook(None, bucket)  # what is done without a hook

    model.register_comm_hook(None, count)
    own = [own_rows(ragged)(i) for i in range(n)]
    got = parallel.SharedStep(0, 0)(model, own, masked_cross_entropy, [keeps[1]], config)
    pairs = zip(keeps[0].gradients, keeps[1].gradients, strict=True)
    return {
        "gradients": max((a - b).abs().max().item() for a, b in pairs),
        "loss": abs(got[0] - expected[0]),
        "norm": abs(got[1] - expected[1]),
        "sums": len(calls),
    }


def until_one_runs_out() -> int:
    """How many steps are made by processes of which each has two batches more than the one before.

    Whoever stopped alone would leave the others waiting in the middle of a step.
    """
    model, config = parallel.DataParallel(tiny_model(torch.float32)), TrainConfig()
    adamw = configure_optimizers(unwrapped(model), lr=0.01)
    step = parallel.SharedStep(0, 0)
    batches = [own_rows(ragged)(i) for i in range(3 + 2 * parallel.rank())]
    while not parallel.any_rank(len(batches) == step.step):
        step(model, [batches[step.step]], masked_cross_entropy, adamw, config)
    return step.step


def begun_sharded() -> tuple[GPT, list[torch.optim.Optimizer]]:
    model = parallel.shard(tiny_model(torch.float64))
    return model, configure_optimizers(model, lr=0.01)


def learn(model: GPT, optimizers: list[torch.optim.Optimizer], step: int) -> None:
    own = [own_rows(ragged)(3 * step + i) for i in range(3)]
    parallel.SharedStep(0, step)(model, own, masked_cross_entropy, optimizers, TrainConfig())


def furthest(model: GPT, other: GPT) -> float:
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    parts = [[getattr(w, "full_tensor", lambda w=w: w)() for w in pair] for pair in pairs]
    return max((a - b).abs().max().item() for a, b in parts)


def trained_alone(steps: int) -> GPT:
    """What one process learns without any of this."""
    alone = tiny_model(torch.float64)
    adamw = configure_optimizers(alone, lr=0.01)
    for step in range(steps):
        batches = [ragged(3 * step + i) for i in range(3)]
        training_step(alone, batches, masked_cross_entropy, adamw, TrainConfig())
    return alone


def sharded(folder: Path) -> dict[str, float]:
    """A model of which each process holds a part is saved after two steps, and goes on."""
    model, optimizers = begun_sharded()
    for step in range(2):
        learn(model, optimizers, step)
    found = {"weights": furthest(model, trained_alone(2))}
    found["held"] = model.wte.weight.to_local().shape[0]
    parallel.save_sharded(folder, model, optimizers)
    later, its_optimizers = begun_sharded()
    parallel.load_sharded(folder, later, its_optimizers)
    for some, theirs in ((model, optimizers), (later, its_optimizers)):
        learn(some, theirs, 2)
    return found | {"resumed": furthest(model, later)}


def sharded_elsewhere(folder: Path) -> dict[str, float]:
    """What several processes have saved, one goes on with."""
    model, optimizers = begun_sharded()
    parallel.load_sharded(folder, model, optimizers)
    learn(model, optimizers, 2)
    return {"weights": furthest(model, trained_alone(3))}


def in_each_process(folder: Path) -> dict[str, Any]:
    """Everything that processes do together, once."""
    if parallel.world_size() == 1:
        return sharded_elsewhere(folder)
    rank, model = parallel.rank(), tiny_model(torch.float32)
    batches = [ragged(i) for i in range(3)]
    rows = Batch(*(torch.arange(5)[:, None] for _ in range(2)))
    return {
        "rank": rank,
        "steps": until_one_runs_out(),
        "rows": own_rows(lambda i: rows)(0).idx.flatten().tolist(),
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
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    figures.plot_curves = lambda logs, path, lines: path.touch()  # takes longer than training here
    if order["end"] and order["end"][0] == rank and not parallel.restarts():
        end_at(*order["end"][1:])
    if order["argv"]:
        sys.argv = ["nanopoet", *order["argv"]]
        main()
    else:
        with parallel.process_group():
            found = in_each_process(Path("sharded"))
            Path(f"{rank}.json").write_text(json.dumps(found), "utf-8")


def torchrun(arguments: list[str], port: int) -> None:
    """What the command of this name does; PORT in the arguments is a free one."""
    from torch.distributed.run import main

    signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGTERM))
    signal.alarm(LIMIT)  # it takes what it has started with it
    main([argument.replace("PORT", str(port)) for argument in arguments])


@contextmanager
def free_port() -> Iterator[int]:
    """A port that the system gives to nobody else in the meantime; whoever asks for it gets it."""
    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def fork(order: dict[str, Any], number: int, port: int) -> int:
    """Start one process of a group; what it prints goes into files."""
    if child := os.fork():
        return child
    code = 1
    try:
        os.chdir(order["folder"])
        for stream, name in ((sys.stdout, "out"), (sys.stderr, "err")):
            file = os.open(f"{number}.{name}", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
            os.dup2(file, stream.fileno())
        if order["agents"]:
            torchrun(order["agents"][number], port)
        else:
            os.environ |= {"RANK": str(number), "WORLD_SIZE": str(order["world"])}
            os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
            one_process(order, number)
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
    faulthandler.dump_traceback_later(LIMIT, exit=True)
    torch.set_num_threads(1)
    for module in ("mine", "poet.order"):  # what a command loads is loaded before the forks
        importlib.import_module(f"nanopoet.{module}")
    model = tiny_model(torch.float32)  # the first step loads much of PyTorch, too
    optimizers = configure_optimizers(model, muon_lr=0.0)
    training_step(model, [ragged(0)], masked_cross_entropy, optimizers, TrainConfig())
    faulthandler.cancel_dump_traceback_later()
    for line in sys.stdin:
        order = json.loads(line)
        with free_port() as port:
            children = [fork(order, n, port) for n in range(order["world"])]
            codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        print(json.dumps(codes), flush=True)


# --- How groups are started


class Group:
    """Starts groups of processes, and tells what became of them."""

    def __init__(self, process: subprocess.Popen, folder: Path) -> None:
        self.process, self.folder = process, folder

    def __call__(self, *argv: str, end: Any = None, world: int = 2) -> list[int]:
        """The codes of processes as torchrun would have started them."""
        return self.start({"argv": argv, "end": end, "agents": None, "world": world})

    def torchrun(self, *agents: list[str]) -> list[int]:
        """The codes of torchrun, called once for each of these arguments."""
        return self.start({"agents": agents, "world": len(agents)})

    def start(self, order: dict[str, Any]) -> list[int]:
        order |= {"folder": str(self.folder)}
        print(json.dumps(order), file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def said(self, name: str) -> str:
        return (self.folder / name).read_text("utf-8")


@pytest.fixture(scope="module")
def group(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    """A folder with presets, and a program that starts processes there."""
    folder = tmp_path_factory.mktemp("group")
    text = (trained / "tiny.toml").read_text("utf-8").replace("max_steps = 3", "max_steps = 5")
    (folder / "tiny.toml").write_text(text, "utf-8")
    with subprocess.Popen(
        [sys.executable, __file__],
        env=ENV | {"NANOPOET_RAW": str(trained / "raw"), "NANOPOET_RUNS": str(folder / "runs")},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Group(process, folder)


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
    assert (first["rows"], second["rows"]) == ([0, 2, 4], [1, 3])
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
    assert group(world=1) == [0], group.said("0.err")
    assert json.loads(group.said("0.json"))["weights"] < 1e-12


@needs_gloo
def test_two_processes_learn_what_one_does_with_the_same_preset(group):
    # No dropout, no rounding that grows: what remains is the same training.
    plain = (group.folder / "tiny.toml").read_text("utf-8").replace("dropout = 0.1", "dropout = 0")
    plain = plain.replace("muon_lr = 0.02", "head_lr = 0.002")
    (group.folder / "plain.toml").write_text(plain, "utf-8")
    for world in (1, 2):
        name = f"plain-{world}"
        codes = group("train", "--preset", "plain.toml", "--name", name, world=world)
        assert codes == [0] * world, group.said("0.err")
    (_, one), (_, two) = (state(group, f"plain-{world}") for world in (1, 2))
    for a, b in zip(one, two, strict=True):
        assert a["tokens"] == b["tokens"]
        for key in ("loss", "grad_norm", "train_loss", "val_loss"):
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


# What the command `torchrun` takes where its port may be taken, as it may be in a test.
AT_PORT = ["--master-addr", "127.0.0.1", "--master-port", "PORT", "--nproc-per-node", "2"]


@needs_gloo
def test_torchrun_starts_the_same_program(group, whole):
    codes = group.torchrun([*AT_PORT, "-m", "nanopoet", *TRAIN, "by-torchrun"])
    assert codes == [0], group.said("0.err")
    assert group.said("0.out").count("stage 1 of 2: pretrain") == 1
    assert state(group, "by-torchrun") == whole[:2]
    assert group(*TRAIN, "by-torchrun") == [0, 0]
    assert "already trained" in group.said("0.out")


@needs_gloo
def test_torchrun_restarts_after_a_kill_and_the_bits_are_the_same(group, whole):
    order = {"argv": [*TRAIN, "restarted"], "end": (1, "midtrain", 3, signal.SIGKILL)}
    codes = group.torchrun([*AT_PORT, "--max-restarts", "1", __file__, json.dumps(order)])
    out, err = group.said("0.out"), group.said("0.err")
    assert codes == [0], err
    assert "error: process 0 of 2 stops, because another one has ended" in err
    assert out.count("stage 1 of 2: pretrain") == 1
    assert out.count("stage 2 of 2: midtrain") == 2
    assert state(group, "restarted") == whole[:2]


@needs_gloo
def test_two_machines_train_as_one(group, whole):
    """Two torchruns that meet at an address, as on two machines that share a folder."""
    meet = ["--rdzv-backend", "c10d", "--rdzv-endpoint", "127.0.0.1:PORT", "--rdzv-id", "poet"]
    meet += ["--nnodes", "2", "--nproc-per-node", "1", "--local-addr", "127.0.0.1"]
    train = ["-m", "nanopoet", *TRAIN, "on-two"]
    codes = group.torchrun([*meet, *train], [*meet, *train])  # c10d numbers them itself
    assert codes == [0, 0], group.said("0.err") + group.said("1.err")
    assert state(group, "on-two") == whole[:2]


@needs_gloo
def test_what_rank_zero_refuses_is_said_once(group):
    few = (
        (group.folder / "tiny.toml").read_text("utf-8").replace("batch_size = 8", "batch_size = 1")
    )
    (group.folder / "few.toml").write_text(few, "utf-8")
    for argv, said in (
        (("train", "--preset", "nothing.toml"), "nothing.toml"),
        ((*TRAIN, "own", "--mine"), "trains in one process"),
        (("train", "--preset", "few.toml"), "some of 2 processes get none"),
    ):
        assert group(*argv) == [1, 0]
        assert said in group.said("0.err")
        assert group.said("1.err") == ""


# --- Where there is one alone, or no gloo


def test_one_process_alone_asks_nobody():
    assert (parallel.rank(), parallel.world_size(), parallel.loop_parts(0, 0)) == (0, 1, {})
    with parallel.process_group():
        assert parallel.any_rank(True)
        assert not parallel.any_rank(False)
        assert (parallel.total(2.0), parallel.from_rank_zero("x")) == (2.0, "x")


def test_several_processes_refuse_a_gpu(monkeypatch):
    monkeypatch.setattr(order_module, "world_size", lambda: 2)
    monkeypatch.setattr(order_module, "pick_device", torch.device)
    with pytest.raises(RunError, match="on the CPU alone"):
        order_module.refuse_in_parallel(find_preset("quick"), mine=False, device="cuda")


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
