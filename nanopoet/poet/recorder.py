"""What happens after every step of a training: note it, show it, save it, stop when asked."""

import math
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import cache

import torch
from torch import nn
from tqdm import tqdm

from nanopoet.errors import lacks_memory, with_type
from nanopoet.files import append_line
from nanopoet.poet.parallel import any_rank, rank, total
from nanopoet.poet.presets import ANSWERING, Stage
from nanopoet.poet.run import Run, RunError
from nanopoet.poet.tracking import Track
from nanopoet_ref.checkpoint import save_checkpoint
from nanopoet_ref.files import NoRoomError, replacing
from nanopoet_ref.poem import Poem
from nanopoet_ref.runtime import make_generator, unwrapped
from nanopoet_ref.sampling import generate, write_poems
from nanopoet_ref.scaling import matmul_peak, utilisation
from nanopoet_ref.tokenizer import BOS, CharTokenizer
from nanopoet_ref.tools import answer
from nanopoet_ref.training import StepLog

QUESTION = "写一首五言绝句，题为春望。"


class RunInterrupted(Exception):  # noqa: N818 (nothing went wrong)
    """The run was asked to stop; everything up to now is saved."""


def state_in_words(step: int) -> str:
    """What is not lost, for the end of a message."""
    return f"the state of step {step} is safe"


@cache
def peak(device: str, precision: str, threads: int) -> float:
    """FLOP/s that a product of matrices reaches here; measured once."""
    return matmul_peak(0.1, precision, device)


@contextmanager
def dispensable(what: str) -> Iterator[None]:
    """What a training can do without: where it fails, a warning, and the training goes on."""
    try:
        yield
    except Exception as error:  # a bug in here must not cost the weights, either
        tqdm.write(f"warning: no {what} ({with_type(error)})", file=sys.stderr)


class Recorder:
    """Called after every step: writes metrics, prints evaluations, saves, stops when asked."""

    def __init__(
        self,
        run: Run,
        stage: Stage,
        model: nn.Module,
        tokenizer: CharTokenizer,
        optimizers: Sequence[torch.optim.Optimizer],
        stopping: list[int],
        safe: str,
    ) -> None:
        self.run, self.stage = run, stage
        # What is saved and made to write is the model itself, whatever was put around it to train.
        self.model, self.tokenizer, self.optimizers = unwrapped(model), tokenizer, optimizers
        self.stopping = stopping
        self.safe = safe  # what would be there if this process ended now, in words
        self.track: Track = lambda log: None  # where else the numbers go
        self.began, self.steps = time.perf_counter(), 0  # since then
        device = str(next(self.model.parameters()).device)
        precision = stage.train_config(run.config.precision).precision
        self.peak = total(peak(device, precision, torch.get_num_threads()))  # of all processes
        beside = "  text " if stage.text_losses else ""
        if beside:
            tqdm.write("text: the losses that texts 001 and 000 print. Theirs at step 0 were taken")
            tqdm.write("after one update, and in mid-training on poems they had trained on.")
        tqdm.write(f" step     %   train     val{beside}        lr   grad  tokens/s   use     left")

    def save(self, step: int) -> None:
        save_checkpoint(
            self.run.checkpoint_path,
            self.model,
            self.tokenizer,
            step,
            self.optimizers,
            {"stage": self.stage.name, "settings": self.run.config.binding},
        )
        self.safe = state_in_words(step)
        if self.stage.keep_last:
            with replacing(self.run.state_path(self.stage.name, step)) as copy:
                shutil.copyfile(self.run.checkpoint_path, copy)
            for old in self.run.states(self.stage.name)[: -self.stage.keep_last]:
                old.unlink()

    def save_weights(self) -> None:
        """The weights at the end of the stage."""
        save_checkpoint(
            self.run.weights_path(self.stage.name),
            self.model,
            self.tokenizer,
            self.stage.max_steps,
            notes={"stage": self.stage.name},
        )

    def keep_if_best(self, log: StepLog) -> None:
        """The weights, if no evaluation of this stage has given a lower validation loss."""
        losses = [earlier.val_loss for earlier in self.run.logs(self.stage.name)]
        if log.val_loss == min(loss for loss in losses if loss is not None):
            save_checkpoint(
                self.run.best_path(self.stage.name),
                self.model,
                self.tokenizer,
                log.step,
                notes={"stage": self.stage.name, "val_loss": log.val_loss},
            )

    @contextmanager
    def loss_named(self) -> Iterator[None]:
        """Say what a full disk or too little memory has cost, and how to go on."""
        try:
            yield
        except NoRoomError as error:
            raise RunError(
                f"{error}; {self.safe}. Make room, then: nanopoet train --resume --name "
                f"{self.run.name}"
            ) from error
        except (RuntimeError, MemoryError) as error:
            if not lacks_memory(error):
                raise
            raise RunError(
                f"not enough memory for stage {self.stage.name}: halve batch_size and double "
                f"micro_steps, or make block_size, n_embd or n_layer smaller; {self.safe}"
            ) from error

    def __call__(self, log: StepLog) -> None:
        """Every process comes here after every step; rank 0 alone writes."""
        self.steps += log.step > 0
        log = replace(log, tokens=int(total(log.tokens)))
        if rank() == 0:
            self.note(log)
        stop, last = any_rank(bool(self.stopping)), log.step == self.stage.max_steps
        due = stop or last or log.step % self.stage.save_interval == 0
        if due and rank() == 0:
            self.save(log.step)
        if stop and not last:
            raise RunInterrupted(f"stopped after step {log.step} of {self.stage.name}")

    def note(self, log: StepLog) -> None:
        """Write down what is known of a step; at an evaluation, print it and write a sample."""
        self.refuse_poison(log)
        self.run.append_metrics(self.stage.name, log)
        with dispensable(f"tracking of step {log.step}"):
            self.track(log)
        if log.val_loss is not None:
            self.print_row(log)
            if self.stage.keep_best:
                self.keep_if_best(log)
            with dispensable(f"sample of step {log.step}"):
                self.write_sample(log.step)

    def refuse_poison(self, log: StepLog) -> None:
        """Raise `RunError` before weights that are not numbers are saved, or made to write.

        A finite loss does not clear the weights: the update after it may have spoilt them.
        """
        measured = {
            "the loss": log.loss,
            "the gradient norm": log.grad_norm,
            "the training loss": log.train_loss,
            "the validation loss": log.val_loss,
        }
        wrong = [f"{what} is {x:g}" for what, x in measured.items() if x and not math.isfinite(x)]
        if not wrong and not all(bool(w.isfinite().all()) for w in self.model.parameters()):
            wrong = ["some weights are not finite"]
        if not wrong:
            return
        start = f"step {log.step} of {self.stage.name}: {wrong[0]}"
        if log.lr is None or log.grad_norm is None:
            raise RunError(f"{start}, before anything was learned; {self.safe}")
        clip = "" if self.stage.grad_clip else " or set grad_clip = 1"
        raise RunError(
            f"{start}; the learning rate is too high ({log.lr:g}, gradient norm "
            f"{log.grad_norm:g}); {self.safe}. Lower lr{clip} in the preset, and train again with "
            "--overwrite"
        )

    def print_row(self, log: StepLog) -> None:
        beside = ""
        if self.stage.text_losses:
            text_loss = self.stage.text_losses.get(str(log.step))
            beside = f"  {text_loss:.3f}" if text_loss is not None else "       "
        percent = log.step / max(self.stage.max_steps, 1)
        row = f"{log.step:5d}  {percent:4.0%}   {log.train_loss:.3f}   {log.val_loss:.3f}{beside}"
        if log.lr is not None and log.grad_norm is not None:
            speed = log.tokens / log.seconds
            row += f"   {log.lr:.5f}  {log.grad_norm:5.2f}  {speed:8,.0f}"
            row += f"  {self.use(log, speed):4.0%}  {self.time_left(log.step):>7}"
        tqdm.write(row)

    def use(self, log: StepLog, speed: float) -> float:
        """Which share of the peak goes into tokens that count, in rows of their mean length."""
        length = log.tokens // (self.stage.batch_size * self.stage.micro_steps)
        return utilisation(speed, self.model.config, length, self.peak)

    def time_left(self, step: int) -> str:
        """Until the end of the stage, at the pace so far, evaluations included."""
        pace = (time.perf_counter() - self.began) / self.steps
        return tqdm.format_interval((self.stage.max_steps - step) * pace)

    def write_sample(self, step: int) -> None:
        """A few characters from what the model knows now, into samples.txt."""
        generator = make_generator(self.run.config.seed, step)
        if self.stage.name in ANSWERING:
            question = [{"role": "user", "content": QUESTION}]
            found = answer(
                self.model, self.tokenizer, question, temperature=0.8, generator=generator
            )
            sample = f"{QUESTION} {found.text} {found.problem and f'({found.problem})'}"
        elif self.run.takes_orders(self.stage.name):
            poem = write_poems(
                self.model,
                self.tokenizer,
                [Poem("", "", "", "")],
                temperature=0.8,
                generator=generator,
            )[0]
            sample = f"{poem.title} ({poem.author}, {poem.form}) {poem.content}"
        else:
            special = self.tokenizer.special
            rows = generate(
                self.model,
                [[special[BOS]]],
                48,
                temperature=0.8,
                banned=[i for token, i in special.items() if token != BOS],
                generator=generator,
            )
            sample = self.tokenizer.decode(rows[0][1:]).replace(BOS, " / ")
        line = f"{self.stage.name} step {step}: {' '.join(sample.split())}"
        append_line(self.run.samples_path, line)
