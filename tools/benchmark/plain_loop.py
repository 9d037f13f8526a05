"""The limit that every way to train is held against: a loop that does nothing else, in its fastest form."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product

import torch
import torch.nn.functional as F
from torch import nn

from labbook.training import hardware
from labbook.training.fast_lightning import reuse_freed_memory
from labbook.training.threads import computing_with
from tools.benchmark.bare_loop import BITS, DEVICES, now
from tools.benchmark.cases import Case, prepared
from tools.benchmark.sections import Section, say

TRIALS = 3  # of each form; the fastest counts
SHARE = 8  # a trial has this part of a case's steps


@dataclass(frozen=True)
class Form:
    """How a plain loop computes. The default is what a careful engineer would write first."""

    precision: str = "32-true"
    channels_last: bool = True
    fused: bool = True
    threads: int = 0  # 0: as many as torch uses by itself
    compiled: bool = False

    def __str__(self) -> str:
        words = [
            "bf16" if self.precision == "bf16-mixed" else "fp16" if self.precision == "16-mixed" else "32 bits",
            "channels last" if self.channels_last else "channels first",
            "fused" if self.fused else "not fused",
            *([f"{self.threads} thread"] if self.threads else []),
            *(["compiled"] if self.compiled else []),
        ]
        return ", ".join(words)


def plain(case: Case, form: Form, steps: int | None = None) -> float:
    """Seconds of a step of the same network and optimizer, without metrics, logging and checkpoints.

    A batch is a row of indices into one uint8 tensor, scaled to -1 to 1.
    """
    choice, data, model = prepared(case.composed("epochs=1"))
    device = torch.device(DEVICES.get(choice.accelerator, choice.accelerator))
    layout = torch.channels_last if form.channels_last else torch.contiguous_format
    network: nn.Module = model.to(device).to(memory_format=layout)
    if device.type == "cpu":
        reuse_freed_memory()
    if form.compiled:
        torch._dynamo.reset()  # otherwise this network counts as the last one with other sizes
        model.compile()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.001, fused=form.fused)
    images, labels = (part.to(device) for part in data.parts["train"][:2])
    bits = BITS.get(form.precision)
    mixed = torch.autocast(device.type, bits, enabled=bits is not None)
    scaler = torch.amp.GradScaler(device.type, enabled=bits is torch.float16)
    order, started = torch.randperm(len(labels), device=device), 0.0
    steps = case.steps if steps is None else steps
    with computing_with(form.threads or torch.get_num_threads()):
        for rows in torch.split(order, case.batch_size)[: steps + 1]:
            batch = images[rows].float().div_(127.5).sub_(1).contiguous(memory_format=layout)
            with mixed:
                loss = F.cross_entropy(network(batch), labels[rows])
            optimizer.zero_grad()
            torch.autograd.backward(scaler.scale(loss))
            scaler.step(optimizer)
            scaler.update()
            started = started or now(device)
        return (now(device) - started) / steps


def forms() -> list[Form]:
    """Every form that this machine has, but compiled ones, which take long to make."""
    machine = hardware.describe_machine()
    gpu = machine.gpus > 0
    precisions = ["32-true"]
    if machine.cpu_bf16 or gpu:
        precisions.append("16-mixed" if gpu and machine.capability < (8, 0) else "bf16-mixed")
    counts = [0] if gpu else [0, 1]
    return [Form(*each) for each in product(precisions, (True, False), (True, False), counts)]


def fastest(case: Case) -> Form:
    """The form with the fastest trial, among all forms and the compiled one of the best."""
    steps = max(case.steps // SHARE, 1)
    best, seconds = _fastest(case, forms(), steps)
    compiled, otherwise = _fastest(case, [replace(best, compiled=True)], steps)
    found = compiled if otherwise < seconds else best
    say(f"{case.name}: the fastest plain loop has {found}")
    return found


def _fastest(case: Case, among: Sequence[Form], steps: int) -> tuple[Form, float]:
    seconds = {form: min(plain(case, form, steps) for _ in range(TRIALS)) for form in among}
    best = min(seconds, key=lambda form: seconds[form])
    return best, seconds[best]


def chosen(case: Case, precision: str) -> Form:
    """The form that Labbook chooses for a case."""
    choice, _, _ = prepared(case.composed(f"trainer.precision={precision}"))
    return Form(choice.precision, choice.channels_last, threads=choice.threads or 0)


def otherwise(form: Form) -> dict[str, Form | None]:
    """A form with one choice made the other way; None if this machine cannot, or is known to be slow."""
    machine = hardware.describe_machine()
    low = form.precision == "32-true" and not (machine.gpus or machine.cpu_bf16)  # 40 times as slow
    other = "bf16-mixed" if form.precision == "32-true" else "32-true"
    return {
        "other precision": None if low else replace(form, precision=other),
        "other layout": replace(form, channels_last=not form.channels_last),
        "not fused": replace(form, fused=False),
        "other threads": None if machine.gpus else replace(form, threads=1 - form.threads),
        "compiled": replace(form, compiled=True),
    }


def choices(cases: Sequence[Case], repetitions: int, precision: str) -> Section:
    """A row for each case: the time of a step with one choice made the other way, over that as Labbook chooses."""
    rows = []
    for case in cases:
        form = chosen(case, precision)
        ways = {"": form, **otherwise(form)}
        seconds: dict[str, list[float]] = {name: [] for name in ways}
        for repetition in range(repetitions + 1):
            for name, each in ways.items():
                if each is not None and (took := plain(case, each)) and repetition > 0:
                    seconds[name].append(took)
        ratios = [
            f"{statistics.median(own / least for own, least in zip(found, seconds[''], strict=True)):.2f}"
            if found
            else ""
            for name, found in seconds.items()
            if name
        ]
        rows.append((case.name, str(form), f"{1000 * statistics.median(seconds['']):.2f}", *ratios))
    note = (
        "Of the plain loop: milliseconds of a step as Labbook chooses, and the time with one choice made the other way"
        f" over it; medians of {repetitions}. Above 1 the choice pays. Compiling itself is not counted. Other threads:"
        " 1, or all if 1 is chosen."
    )
    return Section("Choices", ("case", "chosen", "ms", *otherwise(Form())), rows, note)
