"""The ways to train that are timed against each other; each returns its seconds for a step."""

from collections.abc import Callable
from contextlib import redirect_stdout
from io import StringIO
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from pytorch_lightning import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

from labbook.callbacks.run_description import describe_run
from labbook.data.datamodule import ImageDataModule
from labbook.fit import fit_model
from labbook.runs import run_session
from labbook.trainer import build_trainer
from labbook.training import capabilities, threads
from tools.benchmark.bare_loop import DEVICES, now
from tools.benchmark.cases import Case, prepared, scratch

Contestant = Callable[[Case, str], float]


class Terminal(StringIO):
    """A place for output that looks like a terminal, so that a progress bar is drawn."""

    def isatty(self) -> bool:
        """It is said to be one."""
        return True


class Clock(Callback):
    """Notes when the first steps, which do not count, and the last one are over, with all their figures added up."""

    first = last = 0.0
    uncounted = 1  # steps: those whose images were prepared together

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look how many steps are prepared together."""
        loader: Any = trainer.train_dataloader
        self.uncounted = min(loader.together, len(loader) // 2)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Note the time."""
        if batch_idx + 1 == self.uncounted:
            capabilities.check_losses_finite(pl_module)
            self.first = now(pl_module.device)
        elif batch_idx + 1 == trainer.num_training_batches:
            capabilities.check_losses_finite(pl_module)
            self.last = now(pl_module.device)
            self.step = (self.last - self.first) / (batch_idx + 1 - self.uncounted)


def ours(case: Case, precision: str) -> float:
    """The program as it comes: metrics, progress bar, TensorBoard, checkpoints and log.

    What ends an epoch counts by its part of an epoch of the lab's own length.
    """
    clock = Clock()
    with scratch() as folder, redirect_stdout(Terminal()):
        bar = "callbacks.progress.bar=true"
        config = case.composed("epochs=1", f"log_dir={folder}", f"trainer.precision={precision}", bar)
        choice, data, model = prepared(config)
        with run_session.open_run(config) as run:
            threads.use_threads(run, choice)
            describe_run(run.folder, model, data, choice)
            trainer = build_trainer(config, choice, run, model, data)
            trainer.callbacks.append(clock)  # type: ignore[attr-defined]
            fit_model(trainer, model, data, run, choice.channels_last, config.compile)
            end = now(model.device) - clock.last
    return clock.step + end / case.epoch


def notebook(case: Case, precision: str) -> float:
    """As the labs' own notebooks: a Dataset of PIL images, a transform for each, a DataLoader, `loss.item()`.

    A quarter of the steps, as it takes so long.
    """
    config = case.composed("epochs=1", f"trainer.precision={precision}")
    choice, data, model = prepared(config)
    device = torch.device(DEVICES.get(choice.accelerator, choice.accelerator))
    model.to(device)
    loader = DataLoader(OneByOne(data), batch_size=case.batch_size, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.001)
    steps = max(1, case.steps // 4)
    started, running, correct = 0.0, 0.0, 0
    for images, labels in islice(loader, steps + 1):
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        logits = model(images)
        loss = F.cross_entropy(logits, labels)
        torch.autograd.backward(loss)
        optimizer.step()
        running += loss.item()
        correct += int((logits.argmax(1) == labels).sum().item())
        started = started or now(device)
    return (now(device) - started) / steps


class OneByOne(Dataset[tuple[torch.Tensor, int]]):
    """Images as torchvision's data sets give them: one at a time, from an array through PIL and transforms."""

    def __init__(self, data: ImageDataModule) -> None:
        images = data.parts["train"]
        self.pixels, self.labels = images.pixels.permute(0, 2, 3, 1).squeeze(-1).numpy(), images.labels.tolist()
        channels = data.spec.channels
        normalize = transforms.Normalize((0.5,) * channels, (0.5,) * channels)
        self.transform = transforms.Compose([transforms.ToTensor(), normalize])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


CONTESTANTS: dict[str, Contestant] = {"Labbook": ours, "notebook": notebook}
