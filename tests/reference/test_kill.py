"""A run that is killed at any moment loses at most the steps since its last save."""

import itertools
import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch

from nanopoet_ref.checkpoint import load_checkpoint, save_checkpoint
from nanopoet_ref.gpt import GPT, GPTConfig
from nanopoet_ref.loss import masked_cross_entropy
from nanopoet_ref.optim import configure_optimizers
from nanopoet_ref.pretraining import window_batches
from nanopoet_ref.runtime import seed_everything
from nanopoet_ref.tokenizer import SPECIAL_TOKENS, CharTokenizer
from nanopoet_ref.training import BatchStream, TrainConfig, train

ROOT = Path(__file__).resolve().parents[2]
TOKENIZER = CharTokenizer([*SPECIAL_TOKENS, *"春眠不觉晓处闻啼鸟夜来风雨声花落知多少"])
IDS = np.random.default_rng(0).integers(8, len(TOKENIZER), size=500).astype(np.uint16)
KILLS, EVERY, ENDLESS = 20, 2, 10**6


def go_on(path, max_steps, say=None):
    """Train from the checkpoint, or from the beginning; if told to say so, save on the way."""
    shape = {
        "block_size": 8,
        "n_layer": 1,
        "n_head": 2,
        "n_embd": 32,
        "dropout": 0.2,
        "style": "modern",
    }
    if path.exists():
        found = load_checkpoint(path)
        model, start = found.model, found.step
        optimizers = configure_optimizers(model, lr=0.01, muon_lr=0.02)
        found.restore(optimizers)
    else:
        seed_everything(0)
        model, start = GPT(GPTConfig(len(TOKENIZER), **shape)), 0
        optimizers = configure_optimizers(model, lr=0.01, muon_lr=0.02)

    def callback(log):
        if say and log.step and log.step % EVERY == 0:
            say("saving", log.step)
            save_checkpoint(path, model, TOKENIZER, log.step, optimizers)
            say("saved", log.step)

    config = TrainConfig(max_steps=max_steps, eval_interval=ENDLESS)
    batches, fixed = window_batches(
        IDS, IDS, model.config.block_size, batch_size=2, eval_iters=1, seed=3
    )
    train(
        model,
        BatchStream(batches, start),
        masked_cross_entropy,
        lambda step: 1.0,
        config,
        eval_batches=fixed,
        optimizers=optimizers,
        start_step=start,
        callback=callback,
    )
    return model


def nursery(path):
    """For each line read, start a run as a child, and report when it is dead.

    A child is a copy of this process, which has loaded PyTorch already: that saves the wait.
    """
    torch.set_num_threads(1)
    model = GPT(GPTConfig(len(TOKENIZER), n_layer=1))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    for optimizer in configure_optimizers(model, muon_lr=0.0):
        optimizer.step()  # the first step loads much of PyTorch
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            print("born", os.getpid(), flush=True)
            go_on(path, ENDLESS, say=lambda *words: print(*words, flush=True))
        os.waitpid(child, 0)
        print("dead", child, flush=True)


@contextmanager
def running_nursery(path):
    process = subprocess.Popen(
        [sys.executable, __file__, str(path)],
        env=os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        start_new_session=True,
    )
    watchdog = threading.Timer(120, os.killpg, (process.pid, signal.SIGKILL))
    watchdog.start()
    try:
        yield process
    finally:
        watchdog.cancel()
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def test_a_run_killed_at_random_moments_loses_nothing_it_had_saved(tmp_path):
    path, rng, announced, progress = tmp_path / "model.pt", np.random.default_rng(1), 0, []
    with running_nursery(path) as process:

        def hear():
            word, number = process.stdout.readline().split()
            return word, int(number)

        for _ in range(KILLS):
            print("go", file=process.stdin, flush=True)
            word, pid = hear()
            assert word == "born"
            said = [hear() for _ in range(rng.integers(3, 12))]
            for _ in range(rng.integers(60_000)):
                pass  # into the middle of whatever comes next
            os.kill(pid, signal.SIGKILL)
            while said[-1] != ("dead", pid):
                said.append(hear())
            announced = max([step for word, step in said if word == "saved"], default=announced)
            found = load_checkpoint(path)
            assert announced <= found.step <= announced + EVERY
            progress.append(found.step)
    assert all(later > earlier for earlier, later in itertools.pairwise(progress))

    undisturbed = go_on(tmp_path / "none.pt", progress[-1] + 3)
    goes_on = go_on(path, progress[-1] + 3)
    for a, b in zip(undisturbed.parameters(), goes_on.parameters(), strict=True):
        assert torch.equal(a, b)


if __name__ == "__main__":
    nursery(Path(sys.argv[1]))
