"""The training class of all architectures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from labbook.data.image_spec import ImageSpec, class_counts
from labbook.data.loader import Batch
from labbook.errors import SettingError
from labbook.training import optimizers, sam
from labbook.training.epoch_rows import log_epoch
from labbook.training.fast_lightning import FastLightningModule
from labbook.training.freezing import Freezing, check_layer_order, frozen_layers
from labbook.training.further_inputs import FurtherInputs
from labbook.training.label_tasks import AnyEvaluationResult, MultiLabel, SingleLabel, StepOutput
from labbook.training.losses import Criteria, class_weights_of
from labbook.training.metrics import Metrics, RunningMetrics
from labbook.training.mixup import make_mix
from labbook.training.parameter_groups import group_parameters, ordered_layers_of
from labbook.training.processes import sum_over_ranks
from labbook.training.row_buffer import RowBuffer
from labbook.training.task import Task as Task
from labbook.training.task import check_task_options
from labbook.training.tta import tta_logits


class Classifier(FastLightningModule):
    """Cross entropy on images [n, channels, size, size] -> logits [n, num_classes].

    An architecture derives from this class, creates its layers from `spec` and defines `forward`. Further parameters of
    `forward` are tensors of `Batch.extra` with the same names: `forward(self, images, age)`.

    Raises:
        SettingError: images smaller than the architecture's `min_size`.
    """

    min_size: ClassVar[int] = 1  # pixels; smaller images vanish in the pooling layers
    required_size: int = 1  # pixels, by `require_size`
    pretrained: bool = False  # training starts with pretrained weights of the architecture's own
    freezing: Freezing | None = None  # of the first layers, by `freeze_layers`
    unfreezes: bool = False  # frozen layers are trained later, so the optimizer has their parameters from the start

    def __init__(self, spec: ImageSpec, task: Task | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.task = task or Task()
        self.require_size(spec, max(self.min_size, 2 if self.task.tta == "mirror_translate" else 1))
        self.further_inputs = FurtherInputs.of(self)
        check_task_options(self.task, spec, own_loss=type(self).loss is not Classifier.loss)
        self.label_task = MultiLabel(spec.num_classes) if spec.multilabel else SingleLabel(spec.num_classes)
        self.criteria = Criteria.of(self.task.loss, self.task.label_smoothing)
        self._mix = make_mix(self.task.mixup, self.task.cutmix, spec.num_classes)
        self.outcome: AnyEvaluationResult | None = None
        self.has_top5 = spec.num_classes >= 10 and not spec.multilabel  # top-5 accuracy says little for fewer classes
        numbers = spec.channels * spec.size**2
        self._train, self._evaluation = (RunningMetrics(self.has_top5, numbers) for _ in range(2))
        self._tested = RowBuffer()

    def require_size(self, spec: ImageSpec, smallest: int) -> None:
        """Refuse images that are too small for the layers."""
        self.required_size = max(self.required_size, smallest)
        if spec.size < smallest:
            raise SettingError(
                f"{self.title} needs images of at least {smallest} pixels and the data gives {spec.size}:"
                f" use data.image_size={smallest} or more"
            )

    @property
    def title(self) -> str:
        return type(self).__name__

    @classmethod
    def pretrained_data_settings(cls, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings of the data that pretrained weights need, for those that are null."""
        return {}

    @property
    def num_auxiliary(self) -> int:
        """Parameters that only training uses, such as those of auxiliary classifiers."""
        return 0

    # Training ------------------------------------------------------------------------------------------------------

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of one batch. For training accuracy, the class of a mixed image is the one with the larger share."""
        images, labels = batch.images, batch.labels
        targets = labels
        inputs = self.further_inputs.among(batch.extra)
        if self._mix is not None:
            self.further_inputs.check_unmixed(inputs)
            images, targets = self._mix(images, labels)
            labels = targets.argmax(1)
        outputs = self.training_logits(images, **inputs)
        loss = self.training_loss(outputs, targets)
        if batch.weight > 0:
            self._train.update(loss, outputs[0][0], labels, self.trainer.global_step + 1)
        weight = self._weight(batch)
        return loss if weight == 1 else loss * weight

    def _weight(self, batch: Batch) -> float:
        """The weight of a batch in the mean of a step: its share of all images of the step."""
        every = self.trainer.accumulate_grad_batches
        if every == 1:
            return batch.weight
        images_in: Callable[[int, int], int] | None = getattr(self.trainer.train_dataloader, "images_in", None)
        if images_in is None:  # a user's loader may not know its number of images
            return batch.weight
        first = batch.step - batch.step % every
        together = images_in(first, min(first + every, int(self.trainer.num_training_batches)))
        return batch.weight * every * images_in(batch.step, batch.step + 1) / together

    def optimizer_step(self, epoch: int, batch_idx: int, optimizer: Any, optimizer_closure: Any = None) -> None:
        if self.task.sam:
            optimizer_closure = partial(sam.sam_gradient, self, optimizer_closure, self.task.sam, self._train)
        optimizer.step(closure=optimizer_closure)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        optimizers.clip_gradients(self, optimizer, gradient_clip_val, gradient_clip_algorithm)

    def training_logits(self, images: Tensor, **inputs: Tensor) -> list[tuple[Tensor, float]]:
        """Logits [n, classes] for the training loss with their weights; those of `forward` come first."""
        return [(self(images, **inputs), 1.0)]

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a batch, a scalar, for training, validation and test.

        A network with its own loss overrides this. Label smoothing and class weights apply to training only.

        Args:
            logits: [n, classes].
            targets: classes, int64 [n]; or float [n, classes]: shares, as `mixup` and `cutmix` make them, or the
                labels of images with several classes.
        """
        loss: Tensor = (self.criteria.training if self.training else self.criteria.evaluation)(logits, targets)
        return loss

    def training_loss(self, outputs: Sequence[tuple[Tensor, float]], targets: Tensor) -> Tensor:
        """The weighted sum of the losses of all `outputs`."""
        (logits, weight), *further = outputs
        total = self.loss(logits, targets)
        total = total if weight == 1 else weight * total  # without an operation more in each step
        return sum((weight * self.loss(logits, targets) for logits, weight in further), start=total)

    def setup(self, stage: str) -> None:
        """Compute class weights from the training images, and move the losses to the device of the network."""
        if stage == "fit" and self.task.class_weights is not None:
            labels = getattr(self.trainer.datamodule, "training_labels", None)  # type: ignore[attr-defined]
            counts = None if labels is None else class_counts(labels, self.spec.num_classes)
            weight = class_weights_of(self.task.class_weights, counts, self.spec.class_names)
            self.criteria = Criteria.of(self.task.loss, self.task.label_smoothing, weight)
        self.criteria.to(self.trainer.strategy.root_device)

    def on_train_epoch_end(self) -> None:
        """Log the epoch's training metrics, and step a schedule that follows a metric.

        Raises:
            TrainingError: the loss of a step was not finite.
        """
        self._report("train", self._train)
        optimizers.step_metric_schedules(self.trainer)

    def check_finite_losses(self) -> None:
        """Raise a TrainingError if the loss of a step so far was not finite."""
        self._train.flush()

    # Validation and test -------------------------------------------------------------------------------------------

    def validation_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        """Add a batch of validation images to the metrics; returns what a callback may need."""
        return self._evaluate(batch)

    def on_validation_epoch_end(self) -> None:
        self._report("val", self._evaluation)

    def test_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        """Add a batch of test images to the metrics and keep its predictions; returns the same as `validation_step`."""
        found = self._evaluate(batch)
        self._tested.add(self.label_task.of_batch(found))
        return found

    def on_test_epoch_end(self) -> None:
        """Create the `outcome`. With several processes, its predictions are those of this process."""
        figures = Metrics.of(sum_over_ranks(self.trainer, self._evaluation.total()))
        kept = [each.cpu() for each in self._tested.take()]
        self.outcome = self.label_task.outcome(kept, figures, partial(sum_over_ranks, self.trainer))
        self._evaluation.reset()

    def _evaluate(self, batch: Batch) -> StepOutput:
        inputs = self.further_inputs.among(batch.extra)
        logits = tta_logits(partial(self, **inputs) if inputs else self, batch.images, self.task.tta)
        if batch.weight == 0:  # an image that another process has classified
            return StepOutput(logits=logits[:0], labels=batch.labels[:0], rows=batch.rows[:0])
        self._evaluation.update(self.loss(logits, batch.labels), logits, batch.labels)
        return StepOutput(logits=logits, labels=batch.labels, rows=batch.rows)

    def _report(self, stage: str, sums: RunningMetrics) -> None:
        figures = Metrics.of(sum_over_ranks(self.trainer, sums.total()))
        sums.reset()
        metrics = {f"{stage}/loss": figures.loss, f"{stage}/acc": figures.acc}
        if self.has_top5:
            metrics[f"{stage}/top5_acc"] = figures.top5_acc
        log_epoch(self, metrics)

    # Optimizer and checkpoint --------------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        """The task's optimizer, fused where the device has it, and its schedule."""
        trainer = self.trainer
        if self.task.sam:
            sam.check_sam(trainer.accumulate_grad_batches, trainer.precision)
        # Lightning cannot clip scaled gradients if the optimizer itself unscales them.
        clips_scaled = bool(trainer.gradient_clip_val) and trainer.precision == "16-mixed"
        optimizer = optimizers.make_optimizer(self.task.optimizer, self.parameter_groups(), fused=not clips_scaled)
        if self.task.scheduler is None:
            return optimizer
        return optimizers.with_schedule(optimizer, self.task.scheduler, **self._counts())

    def _counts(self) -> dict[str, int | None]:
        return {"epochs": self.trainer.max_epochs, "steps_per_epoch": optimizers.steps_per_epoch(self.trainer)}

    def on_train_start(self) -> None:
        """Apply the schedule's learning rates at the start and after a resume."""
        for config in self.trainer.lr_scheduler_configs:
            if self.task.scheduler is not None:
                scheduler, make = config.scheduler, self.task.scheduler
                config.scheduler = optimizers.apply_schedule_now(scheduler, make, **self._counts())

    def parameter_groups(self) -> list[dict[str, Any]]:
        """The parameters to train: see `parameter_groups.group_parameters`."""
        factors = ("norm_bias_lr_factor", "layer_lr_decay", "backbone_lr_factor")
        options = {name: getattr(self.task, name) for name in factors}
        trained = self.freezing.trainable if self.freezing and self.unfreezes else None
        return group_parameters(self, self.ordered_layers(), self.task.optimizer, trained=trained, **options)

    def ordered_layers(self) -> list[list[nn.Module]]:
        """The layers from the images to the classes, each as a list of modules; the last is the classification layer.

        An architecture overrides this if its layers are not registered in order, or do not end in a dense layer.
        """
        return ordered_layers_of(self)

    def layers_to_freeze(self) -> list[list[nn.Module]]:
        """The layers that `model.freeze` counts; other parameters are frozen as long as any layer is."""
        return self.ordered_layers()

    def freeze_layers(self, freeze: Any) -> None:
        """Freeze the first layers: `freeze` is none, backbone (all but the last) or their number."""
        layers = self.layers_to_freeze()
        if count := frozen_layers(freeze, len(layers)):
            if type(self).ordered_layers is Classifier.ordered_layers:
                spec = self.spec
                check_layer_order(self, layers, torch.empty(2, spec.channels, spec.size, spec.size, device="meta"))
            self.freezing = Freezing(self, layers)
            self.freezing.freeze(count)
            if all(item.requires_grad for item in self.freezing.trainable):
                raise SettingError(
                    f"model.freeze={freeze} freezes nothing: these layers share their weights with others"
                )

    def train(self, mode: bool = True) -> Self:
        """Also keep frozen layers in evaluation mode: no updates of batch norm, no dropout."""
        super().train(mode)
        if self.freezing:
            self.freezing.rest()
        return self

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Save the spec of the images, and the sums of an unfinished epoch over all processes."""
        checkpoint["spec"] = asdict(self.spec)
        checkpoint["train_sums"] = sum_over_ranks(self.trainer, self._train.total()).tolist()
        if state := self.criteria.training.state_dict():
            checkpoint["loss"] = state

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the sums of an unfinished epoch."""
        if checkpoint.get("train_sums", [0.0])[-1] and self.trainer.is_global_zero:
            self._train.load(checkpoint["train_sums"])
        if "loss" in checkpoint:
            self.criteria.training.load_state_dict(checkpoint["loss"])
