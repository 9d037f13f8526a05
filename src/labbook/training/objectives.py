"""The metric that runs are selected and compared by: whether it is logged, and the error if not."""

from collections.abc import Iterable

from omegaconf import DictConfig
from pytorch_lightning import LightningDataModule, LightningModule

from labbook.config import instantiate
from labbook.config.schema import held_out_name, lower_is_better
from labbook.config.target_rules import return_type
from labbook.errors import SettingError, list_choices
from labbook.training import capabilities

LIBRARIES = ("labbook.", "pytorch_lightning.")
FIGURES = ("loss", "acc", "top5_acc")  # of a classifier, in training and validation


def check_objective(config: DictConfig) -> None:
    """Refuse a wrong objective before training, if a classifier of this package shows what is logged."""
    model = return_type(instantiate.resolve_target(config.model._target_, "model"))
    callbacks = {name: node for name, node in (config.callbacks or {}).items() if isinstance(node, DictConfig)}
    if not capabilities.is_classifier_type(model) or not capabilities.logs_only_known_metrics(model):
        return
    if not all(str(node.get("_target_")).startswith(LIBRARIES) for node in callbacks.values()):
        return
    known = [f"{part}/{name}" for part in ("val", "train") for name in FIGURES]
    known += [f"val/{name}" for name, node in (config.get("metrics") or {}).items() if node]
    named = {"objective": config.objective}
    named |= {f"callbacks.{name}.monitor": node.get("monitor") for name, node in callbacks.items()}
    for setting, name in named.items():
        if name is not None and name not in known and not name.startswith("gradient/"):
            raise SettingError(unlogged_message(f"{setting}={name}", model.__name__, known))


def effective_objective(name: str, model: LightningModule, data: LightningDataModule) -> str:
    """The metric used for an objective: of training, if there is no validation data to choose by."""
    chosen = capabilities.is_validated(model, data) and not capabilities.validates_on_test(data)
    return name if chosen else held_out_name(name, "test")


def objective_mode_of(config: DictConfig, model: LightningModule) -> str:
    """A note on which values of the objective are better, if only its name says so; None for well-known metrics."""
    part, _, name = config.objective.rpartition("/")
    usual = part in ("val", "train") and name in FIGURES and capabilities.is_classifier(model)
    if usual or config.objective_mode != "auto":
        return ""
    better, other = ("smaller", "max") if lower_is_better(config.objective) else ("larger", "min")
    return f"objective={config.objective}: the {better} the better, by its name (else objective_mode={other})"


def unlogged_message(setting: str, title: str, logged: Iterable[str]) -> str:
    return f"{setting} is not logged by {title}; {list_choices(setting.partition('=')[2], logged, 'logged are')}"
