"""The base of every data module: split, order, batch, augment and normalise one uint8 tensor."""

import logging
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import torch
from annotated_types import Ge, Lt
from pydantic import NonNegativeInt, PositiveInt
from pytorch_lightning import LightningDataModule
from torch import Tensor

from labbook.config.path_rules import expand_user
from labbook.data import augment as augmentation
from labbook.data import split as splitting
from labbook.data.augment import Draw
from labbook.data.checking import check_data_class, check_mean_and_std, check_read_images
from labbook.data.gpu_stall_timer import GpuStallTimer
from labbook.data.image_spec import ImageSpec
from labbook.data.images import Images as Images
from labbook.data.images import with_content_hash
from labbook.data.loader import Batch, TensorLoader
from labbook.data.normalization import Normalize, mean_and_std
from labbook.data.own_augment import Augmentation
from labbook.data.preparing import augment_and_normalize, move_batch
from labbook.data.randomness import seeded_generator
from labbook.data.resize import fits_on_device, resize_and_convert
from labbook.data.sampling import Sampler, draw_order, make_sampler
from labbook.data.split import Division, ValSplit
from labbook.errors import SettingError

# A run writes to train.log, and not to the terminal, what Lightning says, of whom this is a part.
details = logging.getLogger("pytorch_lightning.data")

Split = Literal["train", "val", "test"]
Part = Literal["train", "test"]

# The sets read last, by what they were read from: the runs of a sweep share them.
_recent: OrderedDict[tuple[Any, ...], tuple[Images, Images]] = OrderedDict()
RECENT = 2


class ImageDataModule(LightningDataModule):
    """What all data sets share; a data set adds how it is read (`read`) and what it is (the class attributes).

    The options are those of configs/base/data.yaml. `seed` draws order and augmentation. With `folds`, the part
    `fold` of so many parts of the training images, from 1, is the validation part; 0: off. `only` is the part that is
    read for an evaluation, which needs no other part; None reads both.

    Raises:
        SettingError: options that do not go together.
    """

    class_names: tuple[str, ...] = ()
    multilabel: bool = False  # labels are [N, classes], 0 or 1: an image has any number of classes
    native_size: int = 0  # pixels
    native_channels: int = 3
    mean: ClassVar[tuple[float, ...]] = ()  # per native channel, of pixels scaled to [0, 1]
    std: ClassVar[tuple[float, ...]] = ()
    native_normalize: Normalize = "dataset"
    decided: Mapping[str, Any] = {}  # settings that were left open, as a run keeps them
    mirrored: ClassVar[bool] = True  # the mirror image of a class is of the same class; not so of digits
    box: ClassVar[float] = 0  # of a side, the longer one of what is shown, which was cut out and centred; 0: it was not

    def __init__(
        self,
        *,
        root: str = "data",
        batch_size: PositiveInt = 64,
        shuffle: bool = True,
        sampler: Literal["balanced"] | Sampler | None = None,
        val_fraction: Annotated[float, Ge(0), Lt(1)] = 0.1,
        val_seed: Annotated[int, Ge(0), Lt(2**32)] = 0,
        val_split: ValSplit = "random",
        validation: Literal["split", "test"] = "split",
        image_size: PositiveInt | None = None,
        channels: Literal[1, 3] | None = None,
        normalize: Normalize | None = None,
        augment: str | Sequence[str | dict[str, Any] | Augmentation] = (),
        limit: PositiveInt | None = None,
        drop_last: bool = False,
        on_device: Literal["auto"] | bool = "auto",
        seed: NonNegativeInt = 42,
        fold: NonNegativeInt = 0,
        folds: NonNegativeInt = 0,
        only: Part | None = None,
    ) -> None:
        of_the_set = {*vars(self)}
        super().__init__()
        self.only = only
        self.root = str(Path(expand_user("data.root", root)))  # a shell leaves the ~ of data.root=~/images as it is
        self.batch_size, self.shuffle, self.drop_last = batch_size, shuffle, drop_last
        self.sampler = make_sampler(sampler, shuffle)
        self.val_fraction, self.val_seed, self.val_split = val_fraction, val_seed, val_split
        self.validation, self.limit, self.on_device, self.seed = validation, limit, on_device, seed
        self.fold, self.folds = fold, folds
        if folds and validation == "test":
            raise SettingError(f"folds={folds} validates on training images: leave out data.validation=test")
        self.image_size = image_size or self.native_size
        self.stored_size = self.image_size  # pixels of training images before they are cut to `image_size`
        self.channels = channels or self.native_channels
        check_data_class(type(self), self.class_names, self.image_size, only)
        check_mean_and_std(type(self), self.mean, self.std, self.native_channels)
        self.transforms = augmentation.parse_transforms(augment, self.image_size, self.mirrored)
        chosen = self.native_normalize if normalize is None else normalize
        self.mean_and_std = mean_and_std(chosen, self.channels, (self.mean, self.std))
        self.memory_format = torch.contiguous_format
        self.test_split: Split = "test"
        self._copies: dict[tuple[str, torch.device], Images] = {}
        self.parts: dict[str, Images] = {}
        self.rows: dict[Split, Tensor] = {}
        self.division = Division(torch.empty(0), torch.empty(0))
        self.waiting: GpuStallTimer | None = None  # of a GPU for images that are not on it
        self._own_attributes = {"_own_attributes", *vars(self)} - of_the_set

    # What a data set adds ------------------------------------------------------------------------------------------

    @abstractmethod
    def read(self) -> tuple[Images, Images]:
        """The whole training set and the official test set; of any size and number of channels.

        Raises:
            SettingError: a set that is not there or is damaged: what was looked for and how to get it.
        """

    @classmethod
    def read_at(cls, spec: ImageSpec) -> tuple[int, int]:
        """Size and channels of what `read` gives, before it is made as the network of `spec` sees images."""
        return cls.native_size or spec.size, cls.native_channels

    @property
    def title(self) -> str:
        """What the set is called."""
        return type(self).__name__

    def at_hand(self) -> bool:
        """Whether `read` would download nothing."""
        return True

    # The spec ------------------------------------------------------------------------------------------------------

    @property
    def spec(self) -> ImageSpec:
        """What a model must know, without reading a pixel."""
        return ImageSpec(self.channels, self.image_size, self.class_names, *self.mean_and_std, self.multilabel)

    # Reading and splitting -----------------------------------------------------------------------------------------

    def prepare_data(self) -> None:
        """Read (and where needed download) once, before other processes look for the files."""
        if not self.rows:
            self.load()

    def setup(self, stage: str | None = None) -> None:
        """Read the set, unless this process has it, and divide it.

        Raises:
            SettingError: a set or a division of it without any image for training.
        """
        if stage == "fit":
            for part, images in self.parts.items():
                for file in images.skipped:
                    details.info("%s: left out %s", part, file)
        if self.rows:
            return
        train, test = self.load()
        self.parts = {"train": train, "test": test}
        self.division = self._division(train)
        keep, held_out = self.division
        if self.only is None:
            self._refuse_untrainable(train.labels, keep)
        test_rows = torch.arange(len(self.parts["test"].labels))
        self.rows = {"train": keep, "val": test_rows if self.validation == "test" else held_out, "test": test_rows}

    @property
    def training_labels(self) -> Tensor:
        """The labels of the images that are trained on, without those held out, int64 [n]."""
        return self.parts["train"].labels[self.rows["train"]]

    def _refuse_untrainable(self, labels: Tensor, rows: Tensor) -> None:
        if not len(rows):
            raise SettingError(
                f"data.val_fraction={self.val_fraction} leaves none of {len(labels)} images for training"
            )
        order = draw_order(self.sampler, labels[rows], rows, self.seed, 0) if self.sampler else rows
        if self.drop_last and self.batch_size > len(order):
            raise SettingError(
                f"data.batch_size={self.batch_size} is larger than the {len(order)} training images, and"
                " data.drop_last=true leaves out the only batch: use a smaller batch or data.drop_last=false"
            )

    @property
    def notes(self) -> list[str]:
        """What a user should know of the images that were read."""
        notes = []
        for part, images in self.parts.items():
            if images.skipped:
                notes.append(f"{part}: {len(images.skipped):,} files left out, the first is {images.skipped[0]}")
            notes += [f"{part}: {remark}" for remark in images.remarks]
            several = self.limit and len(self.class_names) > 1 and len(images.labels) and not self.multilabel
            if several and bool((images.labels == images.labels[0]).all()):
                only = self.class_names[int(images.labels[0])]
                notes.append(f"{part}: data.limit={self.limit} keeps only images of class {only}")
        train = self.parts["train"]
        drawn = train.validation is None and self.validation == "split" and not self.folds
        fraction = self.val_fraction if drawn else 0
        if self.folds and self.only is None:
            notes.append(
                f"fold {self.fold} of {self.folds}: validation on {len(self.rows['val']):,} of"
                f" {len(train.labels):,} images; data.val_fraction has no effect"
            )
        if fraction and not len(self.rows["val"]) and self.only is None:
            count = len(self.rows["train"])
            notes.append(f"data.val_fraction={fraction} of {count} images is none: the last epoch is tested")
        if self.limit is None and self.only is None:
            notes += splitting.split_remarks(self.division, train.labels, self.class_names, fraction, self.val_split)
        return notes

    def load(self) -> tuple[Images, Images]:
        """Training and test set, as many as asked for at the size and channels asked for; read once in a process."""
        hashed = self.val_split == "stratified"
        key = (*self._source(), hashed)
        if key not in _recent:
            names = self.class_names
            read = check_read_images(self.read(), type(self), names, self.native_channels, self.only, self.multilabel)
            train, test = (with_content_hash(images.limited(self.limit)) for images in read)
            if hashed and not train.digests:
                train = train._replace(digests=splitting.pixel_digests(train.pixels))  # whatever the size asked for
            _recent[key] = (self._shaped(train), self._shaped(test))
            while len(_recent) > RECENT:
                _recent.popitem(last=False)
        _recent.move_to_end(key)
        return _recent[key]

    def _source(self) -> tuple[Any, ...]:
        """What `read` depends on: these settings, and all attributes that a data set adds; not `seed`."""
        sizes = (self.image_size, self.stored_size, self.channels)
        shared = (self.root, self.class_names, *sizes, self.validation, self.limit, self.only)
        added = {name: value for name, value in vars(self).items() if name not in self._own_attributes}
        return type(self), *shared, hashable(added)

    def _shaped(self, images: Images) -> Images:
        size = self.image_size if images.pixels.shape[-1] != self.stored_size else self.stored_size
        pixels = resize_and_convert(images.pixels, size, self.channels)
        return images._replace(pixels=pixels, labels=images.labels.float() if self.multilabel else images.labels.long())

    def _division(self, train: Images) -> Division:
        """Rows to train on and rows held out for validation."""
        if self.folds and train.validation is not None:
            raise SettingError(f"folds={self.folds} draws validation images, and this set has its own: use seeds=N")
        if self.folds > len(train.labels):
            raise SettingError(f"folds={self.folds} is more than the {len(train.labels):,} training images")
        if train.validation is not None:
            return Division.by(train.validation)
        if self.folds:
            return splitting.fold_split(
                train.labels, train.digests, self.val_split, self.val_seed, self.fold, self.folds, train.groups
            )
        fraction = 0 if self.validation == "test" else self.val_fraction
        if self.val_split == "stratified":
            return splitting.stratified_split(train.labels, train.digests, fraction, self.val_seed, train.groups)
        return splitting.split_by_count(len(train.labels), fraction, self.val_split, self.val_seed)

    # Loaders -------------------------------------------------------------------------------------------------------

    def train_dataloader(self) -> TensorLoader:
        """Batches of the training images in the order of the epoch, to be augmented."""
        return self.make_loader(
            "train", training=True, shuffle=self.shuffle, sampler=self.sampler, drop_last=self.drop_last
        )

    def val_dataloader(self) -> TensorLoader | list[Any]:
        """Batches of the validation images; an empty list where none are held out."""
        return self.make_loader("val") if len(self.rows["val"]) else []

    def test_dataloader(self) -> TensorLoader:
        """Batches of the official test set, or of the part that `test_split` names.

        Raises:
            SettingError: that part has no image.
        """
        if not len(self.rows[self.test_split]):
            raise SettingError(
                f"there are no validation images to test on, because data.val_fraction={self.val_fraction} of"
                f" {len(self.rows['train']):,} images is none: choose test or train"
            )
        return self.make_loader(self.test_split)

    def make_loader(
        self,
        split: Split,
        *,
        training: bool = False,
        shuffle: bool = False,
        sampler: Sampler | None = None,
        drop_last: bool = False,
    ) -> TensorLoader:
        """Batches of the rows of a split, on the device that trains where the images are kept on it.

        Those of `training` are augmented. The order is that of the rows, a permutation of them drawn from (seed,
        epoch), or what the sampler gives.
        """
        images = self._placed(self.part_of(split))
        rank, world_size = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        if training and self._device.type == "cuda" and images.pixels.device != self._device:
            self.waiting = self.waiting or GpuStallTimer(self._device)
        all_alike = images.pixels.device == self._device and not (training and self.transforms)
        return TensorLoader(
            images.pixels, images.labels, self.rows[split], self.batch_size, training=training, shuffle=shuffle,
            drop_last=drop_last, seed=self.seed, rank=rank, world_size=world_size,
            normalize=self._normalized if all_alike else None, waiting=self.waiting if training else None,
            sampler=sampler, extra=images.extra,
        )  # fmt: skip

    def part_of(self, split: Split) -> str:
        """The part of the set that `rows[split]` are rows of: the test set, or the one that comes to train with."""
        return "test" if split == "test" or (split == "val" and self.validation == "test") else "train"

    @property
    def _device(self) -> torch.device:
        """The device that trains."""
        device: torch.device = self.trainer.strategy.root_device if self.trainer else torch.device("cpu")
        return device

    def _placed(self, part: str) -> Images:
        """The images on the device that trains, if they are to be kept on it; else where they are."""
        device, images = self._device, self.parts[part]
        tensors = (images.pixels, *images.extra.values())
        if self.on_device is False or (self.on_device == "auto" and not fits_on_device(tensors, device)):
            return images
        if (part, device) not in self._copies:
            extra = {name: tensor.to(device) for name, tensor in images.extra.items()}
            self._copies[part, device] = Images(images.pixels.to(device), images.labels.to(device), extra=extra)
        return self._copies[part, device]

    def teardown(self, stage: str | None = None) -> None:
        """Give the device's memory back."""
        self._copies.clear()

    # What happens to a batch ---------------------------------------------------------------------------------------

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """Move what is not there yet."""
        if batch.images.device == device:
            return batch
        return move_batch(batch, device, (batch.training and self.waiting) or nullcontext())

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augment training images and normalise, on the device, unless the loader has done that."""
        if batch.images.is_floating_point():
            return batch
        draw = None
        if batch.training and self.transforms:
            rank = self.trainer.global_rank if self.trainer else 0
            random = seeded_generator(batch.images.device, self.seed, batch.epoch, batch.step, rank)
            draw = Draw(random, batch.rows, batch.epoch, self.seed, self.image_size)
        made = self._normalized, self.memory_format, self.image_size
        return augment_and_normalize(batch, self.transforms, draw, *made)

    def _normalized(self, images: Tensor) -> Tensor:
        """Pixels 0..255 as the network sees them; of larger images the middle."""
        if images.shape[-1] != self.image_size:
            edge = (images.shape[-1] - self.image_size) // 2
            images = images[..., edge : edge + self.image_size, edge : edge + self.image_size]
        return self.spec.normalize(images).contiguous(memory_format=self.memory_format)


def hashable(value: Any) -> Any:
    """A value as a part of a key; one that cannot be is equal to no other."""
    if isinstance(value, Mapping):
        return frozenset((name, hashable(item)) for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(map(hashable, value))
    return value if isinstance(value, Hashable) else object()
