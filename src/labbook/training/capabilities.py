"""What a model and a data module support, and the error for what is missing. No other file checks their classes.

Three levels: any `LightningModule` with any `LightningDataModule`; a module with a `spec` and `forward(images)`; a
`Classifier` with an `ImageDataModule`.
"""

import math
from collections.abc import Mapping
from typing import Any, Protocol, TypeGuard, runtime_checkable

from pytorch_lightning import LightningDataModule, LightningModule
from pytorch_lightning.utilities.combined_loader import CombinedLoader
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import nn
from torch.utils.data import DataLoader

from labbook.data.datamodule import ImageDataModule
from labbook.data.image_spec import ImageSpec
from labbook.data.loader import TensorLoader
from labbook.errors import SettingError
from labbook.training.classifier import Classifier
from labbook.training.further_inputs import FurtherInputs
from labbook.training.label_tasks import AnyEvaluationResult

NO_CLASSIFIER = "{} needs a Classifier (labbook.training.classifier), and {} is not one"
NO_IMAGE_DATA = "{} needs an ImageDataModule (labbook.data.datamodule), and {} is not one"

# The hooks of `Classifier` that log: a class that changes one may log other metrics.
LOGGING = (
    *("training_step", "validation_step", "on_train_epoch_end", "on_validation_epoch_end"),
    *("on_train_batch_end", "on_validation_batch_end", "log", "log_dict"),
)


@runtime_checkable
class Resumable(Protocol):
    """A loader that can save its position in an epoch."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any]) -> None: ...


# Models ----------------------------------------------------------------------------------------------------------


def is_classifier(model: object) -> TypeGuard[Classifier]:
    return isinstance(model, Classifier)


def is_classifier_type(kind: type | None) -> TypeGuard[type[Classifier]]:
    return kind is not None and issubclass(kind, Classifier)


def require_classifier(model: LightningModule, purpose: str) -> Classifier:
    """The model as a classifier; `purpose`, such as "predict", is in the error."""
    if not is_classifier(model):
        raise SettingError(NO_CLASSIFIER.format(purpose, model_title(model)))
    return model


def require_classifier_type(kind: type | None, purpose: str) -> type[Classifier]:
    if not is_classifier_type(kind):
        raise SettingError(NO_CLASSIFIER.format(purpose, kind.__name__ if kind else "the model"))
    return kind


def maps_images(model: nn.Module) -> bool:
    """Whether a model is of the second level: `forward` takes the images of its `spec`."""
    return image_spec(model) is not None and has_forward(model)


def spec_of_images(model: LightningModule, purpose: str) -> ImageSpec:
    """The spec of a model of the second level; `purpose`, such as "draw", is in the error."""
    spec = image_spec(model)
    if spec is None or not maps_images(model):
        raise SettingError(
            f"{purpose} needs a model that keeps the `spec` of its images and has forward(images), and"
            f" {model_title(model)} does not"
        )
    if needed := FurtherInputs.of(model).needed:
        raise SettingError(
            f"{purpose} needs forward(images), and {model_title(model)} also takes {' and '.join(needed)}"
        )
    return spec


def has_forward(model: nn.Module) -> bool:
    return type(model).forward is not LightningModule.forward


def takes_channels_last(model: LightningModule) -> bool:
    return maps_images(model) and has_convolutions(model)


def logs_only_known_metrics(kind: type[Classifier]) -> bool:
    """Whether a class logs what `Classifier` logs, and nothing else."""
    return all(getattr(kind, name, None) is getattr(Classifier, name, None) for name in LOGGING)


def pretrained_data_settings(kind: type | None, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of the data for the pretrained weights of a model class, if it declares them."""
    wanted = getattr(kind, "pretrained_data_settings", None)
    return dict(wanted(settings)) if wanted is not None else {}


def model_title(model: LightningModule) -> str:
    return str(getattr(model, "title", type(model).__name__))


def trainable_parameters(model: nn.Module) -> int:
    return sum(item.numel() for item in model.parameters() if item.requires_grad)


def check_losses_finite(model: LightningModule) -> None:
    """Check the losses so far, if the model keeps them.

    Raises:
        TrainingError: the loss of a step was not finite.
    """
    if is_classifier(model):
        model.check_finite_losses()


def evaluation_result_of(model: LightningModule) -> AnyEvaluationResult | None:
    """Predictions and confusion matrix of the last test, if the model keeps them."""
    return model.outcome if is_classifier(model) else None


# Data ------------------------------------------------------------------------------------------------------------


def is_image_data(data: object) -> TypeGuard[ImageDataModule]:
    return isinstance(data, ImageDataModule)


def is_image_data_type(kind: type | None) -> TypeGuard[type[ImageDataModule]]:
    return kind is not None and issubclass(kind, ImageDataModule)


def require_image_data(data: LightningDataModule, purpose: str) -> ImageDataModule:
    if not is_image_data(data):
        raise SettingError(NO_IMAGE_DATA.format(purpose, type(data).__name__))
    return data


def require_image_data_type(kind: type | None, purpose: str) -> type[ImageDataModule]:
    if not is_image_data_type(kind):
        raise SettingError(NO_IMAGE_DATA.format(purpose, kind.__name__ if kind else "the data"))
    return kind


def spec_of_data(data: LightningDataModule) -> Any:
    return getattr(data, "spec", None)


def image_spec(owner: object) -> ImageSpec | None:
    spec = getattr(owner, "spec", None)
    return spec if isinstance(spec, ImageSpec) else None


def tested_part(data: LightningDataModule) -> str:
    return data.test_split if is_image_data(data) else "test"


def validates_on_test(data: LightningDataModule) -> bool:
    """Whether validation uses the test set, so that it must not select anything."""
    return is_image_data(data) and data.validation == "test"


# Both ------------------------------------------------------------------------------------------------------------


def configures_optimizers(model: LightningModule) -> bool:
    """Whether the class of a model creates its optimizers, so that it needs no default ones."""
    return type(model).configure_optimizers is not LightningModule.configure_optimizers


def is_validated(model: LightningModule, data: LightningDataModule) -> bool:
    """Whether there is a validation step, and images or batches for it."""
    there = len(data.rows["val"]) > 0 if is_image_data(data) else defines_loader(model, data, "val_dataloader")
    return there and is_overridden("validation_step", model)


def how_to_validate(model: LightningModule, data: LightningDataModule) -> str:
    missing = missing_parts(model, data, "validation_step", "val_dataloader")
    return missing or "use data.val_fraction above 0"


def how_to_test(model: LightningModule, data: LightningDataModule) -> str:
    return missing_parts(model, data, "test_step", "test_dataloader")


def missing_parts(model: LightningModule, data: LightningDataModule, step: str, loader: str) -> str:
    missing = [] if is_overridden(step, model) else [f"{model_title(model)} has no {step}"]
    missing += [] if defines_loader(model, data, loader) else [f"{type(data).__name__} has no {loader}"]
    return " and ".join(missing)


def is_tested(model: LightningModule, data: LightningDataModule) -> bool:
    return is_overridden("test_step", model) and defines_loader(model, data, "test_dataloader")


def defines_loader(model: LightningModule, data: LightningDataModule, name: str) -> bool:
    return is_overridden(name, data) or is_overridden(name, model)


# Loaders ---------------------------------------------------------------------------------------------------------


def own_loaders(loaders: Any) -> list[Any]:
    """The user's loaders in `train_dataloader`, which may be nested in lists and dictionaries."""
    combined = loaders if isinstance(loaders, CombinedLoader) else CombinedLoader(loaders)
    return [loader for loader in combined.flattened if not isinstance(loader, TensorLoader | None)]


def resumes_within_epoch(loaders: list[Any]) -> bool:
    return all(isinstance(loader, Resumable) for loader in loaders)


def images_per_epoch(loader: object, batches: float) -> int | None:
    """The number of samples in the first batches of a training loader; None if unknown."""
    if not math.isfinite(batches):
        return None
    batches = int(batches)
    if isinstance(loader, TensorLoader):
        return loader.images_in(0, batches)
    size = getattr(loader, "batch_size", None)
    if not isinstance(loader, DataLoader) or not isinstance(size, int):
        return None
    try:
        every = len(loader.sampler)  # type: ignore[arg-type]
    except TypeError:
        return None
    return min(every, batches * size) * getattr(loader.sampler, "num_replicas", 1)  # of a DistributedSampler


def has_convolutions(model: nn.Module) -> bool:
    return any(isinstance(module, nn.Conv2d) for module in model.modules())


def has_strided_depthwise(model: nn.Module) -> bool:
    """Whether a trained convolution is both depthwise and strided, as in MobileNets."""
    convolutions = (module for module in model.modules() if isinstance(module, nn.Conv2d))
    return any(
        1 < item.groups == item.in_channels and max(item.stride) > 1 and item.weight.requires_grad
        for item in convolutions
    )
