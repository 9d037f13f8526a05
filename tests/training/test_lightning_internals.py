"""What is relied on of Lightning beyond its public names."""

from typing import Any
from warnings import catch_warnings

import pytest
import torch
from mylab.data.numbers import Numbers
from mylab.data.resumable import ResumableNumbers
from mylab.models.regression import Regression
from pytorch_lightning import Callback, LightningModule, Trainer
from torch.utils.data import DataLoader

from labbook.training import lightning_internals
from labbook.training.lightning_internals import (
    disable_signal_handlers,
    logs_each_step,
    restart_epoch,
    without_trainer,
)

QUIET: dict[str, Any] = {
    "accelerator": "cpu", "logger": False, "enable_checkpointing": False, "enable_progress_bar": False,
    "enable_model_summary": False, "max_epochs": 1, "limit_val_batches": 1, "num_sanity_val_steps": 0,
}  # fmt: skip


class Trained(Regression):
    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.001)


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_what_is_logged_by_step_follows_the_hook() -> None:
    said: dict[str, list[bool | None]] = {}

    class Asking(Trained):
        def ask(self, hook: str) -> None:
            said[hook] = [logs_each_step(self, on_step) for on_step in (None, True, False)]

        def training_step(self, batch: Any, batch_idx: int) -> Any:
            self.ask("training_step")
            return super().training_step(batch, batch_idx)

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.ask("validation_step")
            super().validation_step(batch, batch_idx)

        def on_train_epoch_end(self) -> None:
            self.ask("on_train_epoch_end")

    module = Asking()
    Trainer(**QUIET).fit(module, datamodule=ResumableNumbers())
    of_epochs = [False, True, False]
    assert said == {"training_step": [True, True, False], "validation_step": of_epochs, "on_train_epoch_end": of_epochs}
    assert logs_each_step(module, None) is None  # outside of hooks


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_an_epoch_is_restarted_from_the_states_of_its_loaders() -> None:
    seen: list[Any] = []

    class Anew(Callback):
        def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            vars(trainer.fit_loop)["_combined_loader_states_to_load"] = [{"epoch": 0, "next": 3}]
            restart_epoch(trainer, lambda: seen.append("restored"))

        def on_train_batch_start(
            self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
        ) -> None:
            seen.append(batch[0])

    data = ResumableNumbers()
    Trainer(**QUIET, callbacks=[Anew()]).fit(Trained(), datamodule=data)
    rows = torch.randperm(32, generator=torch.Generator().manual_seed(0))[24:]
    assert seen.pop(0) == "restored"
    assert [batch.equal(data.parts[0].tensors[0][rows]) for batch in seen] == [True]  # the last of four


class Stateful(DataLoader[Any]):
    """As torchdata's: from the state after its last batch, it first has nothing, and then all batches."""

    taken = 0

    def __iter__(self) -> Any:
        start, self.taken = self.taken, 0
        return iter(list(super().__iter__())[start:])

    def state_dict(self) -> dict[str, int]:
        return {"taken": self.taken}

    def load_state_dict(self, state_dict: dict[str, int]) -> None:
        self.taken = state_dict["taken"]


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
def test_a_loader_at_the_end_of_an_epoch_begins_the_next() -> None:
    seen: list[int] = []

    class Anew(Callback):
        def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            vars(trainer.fit_loop)["_combined_loader_states_to_load"] = [{"taken": 2}]
            restart_epoch(trainer, lambda: None)

        def on_train_batch_start(
            self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
        ) -> None:
            seen.append(batch_idx)

    data = Numbers()
    data.setup("fit")
    Trainer(**QUIET, callbacks=[Anew()]).fit(Trained(), Stateful(data.parts[0], 16), data.val_dataloader())
    assert seen == [0, 1]


def test_lightning_installs_no_handlers_of_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(**QUIET)
    called: list[str] = []
    connector = type(trainer._signal_connector)
    monkeypatch.setattr(connector, "register_signal_handlers", lambda _: called.append("installed"))
    Trainer(**QUIET).fit(Trained(), datamodule=ResumableNumbers())
    assert called == ["installed"]
    disable_signal_handlers(trainer)
    trainer.fit(Trained(), datamodule=ResumableNumbers())
    assert called == ["installed"]


def test_processes_that_lightning_starts_are_kept_in_a_list() -> None:
    from lightning_fabric.plugins.environments import LightningEnvironment

    launcher = lightning_internals._SubprocessScriptLauncher(LightningEnvironment(), 2, 1)
    assert launcher.procs == []


def test_a_module_is_traced_without_its_trainer() -> None:
    with without_trainer(), catch_warnings(action="ignore"):
        torch.jit.trace(Trained(), torch.zeros(1, 4))
    with pytest.raises(RuntimeError, match="not attached to a `Trainer`"), catch_warnings(action="ignore"):
        torch.jit.trace(Trained(), torch.zeros(1, 4))
