"""The base of every data set of images: settings, reading, the validation split, and what the network sees."""

import inspect
import logging
from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import torch
from annotated_types import Ge, Lt
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor

from labbook.config.path_rules import expand_user
from labbook.data import augment as augmentation
from labbook.data import split as splitting
from labbook.data.batches import BatchDataModule
from labbook.data.batches import Split as Split
from labbook.data.checking import check_data_class, check_mean_and_std, check_read_images
from labbook.data.decoding import Decoding
from labbook.data.image_spec import ImageSpec, Normalize, mean_and_std
from labbook.data.images import Images as Images
from labbook.data.images import with_content_hash
from labbook.data.own_augment import Augmentation
from labbook.data.resize import resize_and_convert
from labbook.data.sampling import Sampler, draw_order, make_sampler
from labbook.data.split import Division, ValSplit
from labbook.errors import SettingError

# Lightning's logger: a run writes it to train.log and not to the terminal.
details = logging.getLogger("pytorch_lightning.data")

Part = Literal["train", "test"]

# The data sets read last, by `_source`: the runs of a sweep share them.
_recent: OrderedDict[tuple[Any, ...], tuple[Images, Images]] = OrderedDict()
RECENT = 2
# Settings that `read` does not depend on, unless the constructor of a data set has its own argument of that name.
NOT_READ = {
    "batch_size", "shuffle", "sampler", "val_fraction", "val_seed", "normalize", "augment", "drop_last", "on_device",
    "seed", "fold",
}  # fmt: skip


class ImageDataModule(BatchDataModule):
    """The base of all data sets: a data set defines `read` and the class attributes.

    The settings are those of configs/base/data.yaml. `seed` draws order and augmentation. With `folds`=K, the
    validation split is part `fold` (1 to K) of K parts of the training images; 0: off. `only` is the part to read for
    an evaluation; None: both.
    """

    class_names: tuple[str, ...] = ()
    multilabel: bool = False  # labels are [N, classes], 0 or 1: an image can have several classes
    native_size: int = 0  # pixels
    native_channels: int = 3
    mean: ClassVar[tuple[float, ...]] = ()  # per native channel, of pixels scaled to [0, 1]
    std: ClassVar[tuple[float, ...]] = ()
    native_normalize: Normalize = "dataset"
    decided: Mapping[str, Any] = {}  # values of settings that were null, for the run's config.yaml
    mirrored: ClassVar[bool] = True  # a mirrored image has the same class; false for digits
    _given: Mapping[str, Any]  # arguments of the constructor
    box: ClassVar[float] = 0  # longer side of the centered object, as a fraction of the image's; 0: not centered

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
        super().__init__()
        self.only = only
        self.root = str(Path(expand_user("data.root", root)))  # a shell does not expand the ~ of data.root=~/images
        self.batch_size, self.shuffle, self.drop_last = batch_size, shuffle, drop_last
        self.sampler = make_sampler(sampler, shuffle)
        self.val_fraction, self.val_seed, self.val_split = val_fraction, val_seed, val_split
        self.validation, self.limit, self.on_device, self.seed = validation, limit, on_device, seed
        self.fold, self.folds = fold, folds
        if folds and validation == "test":
            raise SettingError(f"folds={folds} validates on training images: leave out data.validation=test")
        self.image_size = image_size or self.native_size
        self.stored_size = self.image_size  # pixels of training images before random_resized_crop
        self.channels = channels or self.native_channels
        check_data_class(type(self), self.class_names, self.image_size, only)
        check_mean_and_std(type(self), self.mean, self.std, self.native_channels)
        self.transforms = augmentation.parse_transforms(augment, self.image_size, self.mirrored)
        chosen = self.native_normalize if normalize is None else normalize
        self.mean_and_std = mean_and_std(chosen, self.channels, (self.mean, self.std))
        self.parts, self.rows = {}, {}
        self.division = Division(torch.empty(0), torch.empty(0))

    def __new__(cls, *given: Any, **settings: Any) -> Self:
        made = super().__new__(cls)
        made._given = {**settings, **{str(place): value for place, value in enumerate(given)}}
        return made

    # What a data set adds ------------------------------------------------------------------------------------------

    @abstractmethod
    def read(self) -> tuple[Images, Images]:
        """The whole training set and the official test set, pixels of any size and number of channels.

        Raises:
            SettingError: the set is missing or damaged; how to get it.
        """

    @classmethod
    def decoding_of(cls, settings: Mapping[str, Any], spec: ImageSpec) -> Decoding:
        """How an image file is decoded to what `read` returns, by the settings of the data and the network's `spec`."""
        return Decoding(cls.native_size or spec.size, cls.native_channels)

    @property
    def title(self) -> str:
        return type(self).__name__

    def at_hand(self) -> bool:
        """Whether `read` works without a download."""
        return True

    @property
    def spec(self) -> ImageSpec:
        """What a model needs to know about the images; available before they are read."""
        return ImageSpec(self.channels, self.image_size, self.class_names, *self.mean_and_std, self.multilabel)

    # Reading and splitting -----------------------------------------------------------------------------------------

    def prepare_data(self) -> None:
        """Read (and download if needed) once, before other processes look for the files."""
        if not self.rows:
            self.load()

    def setup(self, stage: str | None = None) -> None:
        """Read and split the set, once."""
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
        """The labels of the images used for training, int64 [n], or [n, classes] with `multilabel`."""
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
        """Notes for the user about the images that were read."""
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
        """Training and test set with the `limit`, size and channels of the settings; read once in a process."""
        key = self._source()
        if key not in _recent:
            names = self.class_names
            read = check_read_images(self.read(), type(self), names, self.native_channels, self.only, self.multilabel)
            train, test = (with_content_hash(images.limited(self.limit)) for images in read)
            if self.val_split == "stratified" and not train.digests:  # of the pixels before they are resized
                train = train._replace(digests=splitting.pixel_digests(train.pixels))
            _recent[key] = (self._shaped(train), self._shaped(test))
            while len(_recent) > RECENT:
                _recent.popitem(last=False)
        _recent.move_to_end(key)
        return _recent[key]

    def _source(self) -> tuple[Any, ...]:
        """What `read` depends on: the arguments of the constructor, without the settings `NOT_READ`."""
        bases = type(self).__mro__[: type(self).__mro__.index(ImageDataModule)]
        makers = [vars(base)["__init__"] for base in bases if "__init__" in vars(base)]
        own = {name for maker in makers for name in inspect.signature(maker).parameters}
        given = {name: value for name, value in self._given.items() if name in own or name not in NOT_READ}
        return type(self), self.class_names, self.image_size, self.stored_size, self.channels, hashable(given)

    def _shaped(self, images: Images) -> Images:
        size = self.image_size if images.pixels.shape[-1] != self.stored_size else self.stored_size
        pixels = resize_and_convert(images.pixels, size, self.channels)
        return images._replace(pixels=pixels, labels=images.labels.float() if self.multilabel else images.labels.long())

    def _division(self, train: Images) -> Division:
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


def hashable(value: Any) -> Any:
    """A value as part of a key; a value without a hash equals no other."""
    if isinstance(value, Mapping):
        return frozenset((name, hashable(item)) for name, item in value.items())
    if isinstance(value, (list, tuple)):
        return tuple(map(hashable, value))
    return value if isinstance(value, Hashable) else object()
