"""Several processes that train one model: each takes its rows of every batch, all move alike.

    torchrun --nproc-per-node 2 -m nanopoet train --preset quick

torchrun starts the processes and tells each its number, the rank, in its environment. Every process
has the whole model. PyTorch's DistributedDataParallel adds their gradients up, so all take the same
step. They read one folder of runs: rank 0 alone writes, prints and measures.
"""

import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from nanopoet_ref.gpt import GPT
from nanopoet_ref.runtime import make_generator, unwrapped
from nanopoet_ref.training import Batch, LossFn, TrainConfig, estimate_loss, training_step

Value = TypeVar("Value")
# What gloo says when another process is gone.
LOST = re.compile(r"gloo|connection (reset|closed|refused)|broken pipe", re.IGNORECASE)


class ParallelError(ValueError):
    """A training in several processes that cannot begin."""


# --- Who is there


def rank() -> int:
    """The number of this process; 0 where there is one alone."""
    return dist.get_rank() if dist.is_available() and dist.is_initialized() else 0


def world_size() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def restarts() -> int:
    """How often torchrun has started this again after a process was lost (`--max-restarts`)."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", 0))


@contextmanager
def process_group() -> Iterator[None]:
    """Join the processes that torchrun has started; without torchrun, do nothing.

    When another process ends before its work is done, this one says so and ends.
    """
    if not {"RANK", "WORLD_SIZE"} <= os.environ.keys():
        yield
        return
    if not (dist.is_available() and dist.is_gloo_available()):
        raise ParallelError("this PyTorch has no gloo, over which processes speak: train in one")
    store, number, size = next(dist.rendezvous("env://"))
    # Where torchrun keeps its store through a restart, it still holds addresses of the dead.
    store = dist.PrefixStore(f"attempt {restarts()}", store)
    dist.init_process_group("gloo", store=store, rank=number, world_size=size)
    with ExitStack() as stack:
        stack.callback(dist.destroy_process_group)
        # Taking gloo down holds Python's lock and waits for gloo's thread. That one may still want
        # the lock, to forget the last tensor: it gets it now.
        stack.callback(time.sleep, 0.1)
        if rank() > 0:
            silence = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(redirect_stdout(silence))
        try:
            yield
        except RuntimeError as error:
            if LOST.search(str(error)):
                end_with_others()
            raise


def end_with_others() -> NoReturn:
    """Say that another process has ended, and end this one at once.

    Not in an orderly way: whoever takes gloo down holds Python's lock and waits for gloo's thread,
    which after a failure has been seen to wait for this lock, for ever.
    """
    print(
        f"error: process {rank()} of {world_size()} stops, because another one has ended; what was "
        "saved last is safe. Go on with: nanopoet train --resume, under torchrun as before",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)


# --- What they tell each other; every process has to ask


def barrier() -> None:
    """Wait until all processes are here."""
    if world_size() > 1:
        dist.barrier()


def any_rank(flag: bool) -> bool:
    """Whether any process says yes. All get the same answer, so all stop, or none.

    Processes run out of data at different times, and a signal may reach one of them alone. Whoever
    went on would wait for ever for the gradients of the others.
    """
    if world_size() == 1:
        return flag
    said = torch.tensor(int(flag))
    dist.all_reduce(said, dist.ReduceOp.MAX)
    return bool(said)


def total(x: float) -> float:
    """The sum over all processes."""
    if world_size() == 1:
        return x
    summed = torch.tensor(x, dtype=torch.float64)
    dist.all_reduce(summed)
    return summed.item()


def from_rank_zero(value: Value) -> Value:
    """What rank 0 has, whatever the others brought."""
    if world_size() == 1:
        return value
    values = [value]
    dist.broadcast_object_list(values, src=0)
    return values[0]


# --- Who learns from what


def own_rows(batch_at: Callable[[int], Batch]) -> Callable[[int], Batch]:
    """Of every batch each `world_size()`-th row, beginning with the `rank()`-th.

    No two processes have a row in common, and none is left out: together they learn from the
    batches that one process would learn from.
    """
    rows = slice(rank(), None, world_size())

    def own(i: int) -> Batch:
        batch = batch_at(i)
        idx, targets, mask = batch
        mask = None if mask is None else mask[rows]
        return batch._replace(idx=idx[rows], targets=targets[rows], mask=mask)

    return own


# --- One step of all


class DataParallel(DistributedDataParallel):
    """PyTorch's own, which adds gradients up in every backward pass; here, in a step's last one."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__(model)
        self.passes_left = 1

    def forward(self, idx: Tensor) -> Tensor:
        self.passes_left -= 1
        with nullcontext() if self.passes_left == 0 else self.no_sync():
            return super().forward(idx)


def in_parallel(model: nn.Module) -> nn.Module:
    """The model with what adds up its gradients, and with the weights that rank 0 has."""
    return DataParallel(model) if world_size() > 1 else model


class SharedStep:
    """`training_step`, made by all processes together, each from its own rows.

    Dropout draws what follows from seed, step and rank, so a step that is made again after a
    restart draws the same.
    """

    def __init__(self, seed: int, step: int) -> None:
        self.seed, self.step = seed, step

    def __call__(
        self,
        model: DataParallel,
        batches: Sequence[Batch],
        loss_fn: LossFn,
        optimizers: Sequence[torch.optim.Optimizer],
        config: TrainConfig,
    ) -> tuple[float, float]:
        torch.manual_seed(make_generator(self.seed, self.step, rank()).initial_seed())
        self.step += 1
        model.passes_left = len(batches)
        own = sum(batch.n_tokens for batch in batches)
        # PyTorch takes the mean over processes, and `training_step` that over a process's tokens.
        # The mean over all tokens is what one process would learn from.
        share = world_size() * own / max(total(own), 1)

        def weighed(logits: Tensor, targets: Tensor, mask: Tensor | None) -> Tensor:
            return loss_fn(logits, targets, mask) * share

        loss, grad_norm = training_step(model, batches, weighed, optimizers, config)
        return total(loss) / world_size(), grad_norm


def estimate_once(
    model: nn.Module, batches: Sequence[Batch], loss_fn: LossFn, precision: str = "float32"
) -> float:
    """`estimate_loss` by rank 0, for all."""
    loss = 0.0
    if rank() == 0:
        loss = estimate_loss(unwrapped(model), batches, loss_fn, precision)
    return from_rank_zero(loss)


def loop_parts(seed: int, start_step: int) -> dict[str, Any]:
    """The parts of the loop that differ where several processes train; none in one process."""
    if world_size() == 1:
        return {}
    return {"step_fn": SharedStep(seed, start_step), "estimate": estimate_once}


# --- A model too large for one process


def shard(model: GPT) -> GPT:
    """FSDP2: of every weight, its gradient and its optimizer's state each process holds a part.

    A block's weights are gathered when it computes, and let go again; its gradients are added up
    in parts. The optimizer has to be made afterwards: it moves what this process holds.
    """
    # Imported here: all this takes a second to load, and most trainings do without it.
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(model.wte.weight.device.type, (world_size(),))
    for block in model.blocks:
        fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)
    return model


def save_sharded(
    folder: Path, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> None:
    """Every process writes its part. A later `load_sharded` may be in more processes, or fewer."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_state_dict

    weights, states = get_state_dict(model, optimizers)
    dcp.save({"model": weights, "optimizers": states}, checkpoint_id=folder)


def load_sharded(
    folder: Path, model: nn.Module, optimizers: Sequence[torch.optim.Optimizer]
) -> None:
    """Every process reads what it holds, wherever it was written."""
    import torch.distributed.checkpoint as dcp
    from torch.distributed.checkpoint.state_dict import get_state_dict, set_state_dict

    weights, states = get_state_dict(model, optimizers)
    dcp.load({"model": weights, "optimizers": states}, checkpoint_id=folder)
    set_state_dict(model, optimizers, model_state_dict=weights, optim_state_dict=states)
