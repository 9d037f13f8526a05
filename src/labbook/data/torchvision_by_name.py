"""More classification sets of torchvision by name; torchvision downloads and checks them, and lists their images."""

import inspect
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import torch

from labbook.config.path_rules import expand_user
from labbook.data.decoding import Decoding
from labbook.data.image_cache import Labelled, Photographs, cached_images
from labbook.data.image_files import NamedDataset
from labbook.data.images import Images, evenly_spaced
from labbook.data.split import TEST_FRACTION, pixel_digests, stratified_split
from labbook.errors import SettingError, first_line, list_choices, missing_package_message
from labbook.files import blocking_lock

Arguments = Mapping[str, Any]

DIGITS = tuple("0123456789")
FILE_SIZE = 64  # pixels, of image files if no size is given
TORCHVISION_ERRORS = (OSError, RuntimeError, ValueError, LookupError, TypeError, ImportError, EOFError, AssertionError)


class Source(NamedTuple):
    """The arguments of torchvision's class for each part of a set, and what the class does not say about the images."""

    train: Arguments
    test: Arguments | None = None  # None: the set has no test set
    val: Arguments | None = None  # its own images for validation
    size: int = 0  # pixels of images that are arrays; 0: image files
    channels: int = 3
    class_names: tuple[str, ...] = ()
    options: tuple[str, ...] = ()  # arguments of the class that a user can set
    scipy: bool = False  # whether scipy reads its files


def split(train: str = "train", test: str = "test", val: str = "", **more: Any) -> Source:
    """A set whose parts have names."""
    return Source({"split": train}, {"split": test}, {"split": val} if val else None, **more)


BY_FLAG: tuple[Arguments, Arguments] = {"train": True}, {"train": False}
STL10_CLASSES = ("airplane", "bird", "car", "cat", "deer", "dog", "horse", "monkey", "ship", "truck")
SOURCES = {
    "Country211": split(val="valid"),
    "DTD": split(val="val", options=("partition",)),
    "EMNIST": Source(*BY_FLAG, size=28, channels=1, options=("split",)),
    "EuroSAT": Source({}),
    "FGVCAircraft": split(val="val", options=("annotation_level",)),
    "Flowers102": split(val="val", scipy=True),
    "Food101": split(),
    "GTSRB": split(class_names=tuple(f"{number:02}" for number in range(43))),
    "Imagenette": split(test="val", options=("size",)),
    "KMNIST": Source(*BY_FLAG, size=28, channels=1),
    "OxfordIIITPet": split("trainval"),
    "QMNIST": Source(*BY_FLAG, size=28, channels=1),
    "RenderedSST2": split(val="val"),
    "SEMEION": Source({}, size=16, channels=1, class_names=DIGITS),
    "STL10": split(size=96, class_names=STL10_CLASSES, options=("folds",)),
    "SUN397": Source({}),
    "SVHN": split(size=32, class_names=DIGITS, scipy=True),
    "StanfordCars": split(scipy=True),
    "USPS": Source(*BY_FLAG, size=16, channels=1, class_names=DIGITS),
}
OTHERS = {"MNIST": "mnist", "FashionMNIST": "fashion_mnist", "CIFAR10": "cifar10", "CIFAR100": "cifar100"}


class TorchvisionByName(NamedDataset):
    """The set torchvision.datasets.NAME, below `root`; image files are decoded once, into `cache_dir`."""

    missing_name = f"give data.name=NAME; {list_choices('', SOURCES)}"

    def __init__(self, *, root: str = "data", cache_dir: str = "data/cache", **shared: Any) -> None:
        self.folder = Path(expand_user("data.root", root))
        self.cache_dir = Path(expand_user("data.cache_dir", cache_dir))
        super().__init__(root=root, **shared)

    def open_set(self) -> tuple[str, ...]:
        from torchvision import datasets

        self.source = find_source(self.dataset, self.options)
        self.native_size, self.native_channels = self.source.size or FILE_SIZE, self.source.channels
        self.native_normalize = "half" if self.source.channels == 1 else "imagenet"
        if self.source.class_names:
            return self.source.class_names
        if self.dataset == "EMNIST":
            names = datasets.EMNIST.classes_split_dict[self.options["split"]]
            return tuple(name for name in names if name != "N/A")  # a class of `letters` without images
        kind = getattr(datasets, self.dataset)
        classes = getattr(kind, "classes", None) or self._open(self.source.train).classes
        return tuple(name if isinstance(name, str) else name[0] for name in classes)  # Imagenette has synonyms

    def at_hand(self) -> bool:
        try:
            return bool([self._opened(each, download=False) for each in (self.source.train, self.source.test) if each])
        except TORCHVISION_ERRORS:
            return False

    def read(self) -> tuple[Images, Images]:
        train, test = self._arrays() if self.source.size else self._files()
        if self.source.test is None and self.only is None:
            train = train._replace(remarks=(self.drawn_test_remark(),))
        return train, test

    # What torchvision has ------------------------------------------------------------------------------------------

    def _opened(self, part: Arguments, download: bool) -> Any:
        """The data set of torchvision, which loads no images but gives their paths."""
        from torchvision import datasets

        kind = getattr(datasets, self.dataset)
        paths = {"loader": str} if "loader" in inspect.signature(kind).parameters else {}
        return kind(root=str(self.folder), **part, **self.options, **paths, download=download)

    def _open(self, part: Arguments) -> Any:
        """The same, downloaded first if it is missing, by one process at a time."""
        with suppress(*TORCHVISION_ERRORS):
            return self._opened(part, download=False)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with blocking_lock(self.folder / f".{self.dataset}.lock"):
                return self._opened(part, download=True)
        except TORCHVISION_ERRORS as error:
            raise SettingError(
                f"data.name={self.dataset}: torchvision can neither read it from {self.folder} nor download it"
                f" ({first_line(error) or type(error).__name__}): check data.options, or name another folder with"
                " data.root=FOLDER"
            ) from error

    # Sets that are arrays ------------------------------------------------------------------------------------------

    def _arrays(self) -> tuple[Images, Images]:
        if self.source.test is None:
            images = self._array(self.source.train)
            chosen = stratified_split(images.labels, pixel_digests(images.pixels), TEST_FRACTION, "test")
            return images.at(chosen.train), images.at(chosen.val)
        parts = {"train": self.source.train, "test": self.source.test}
        nothing = Images(torch.empty(0, self.source.channels, 1, 1, dtype=torch.uint8), torch.empty(0).long())
        train, test = (self._array(part) if self.only in (None, name) else nothing for name, part in parts.items())
        return train, test

    def _array(self, part: Arguments) -> Images:
        found = self._open(part)
        pixels = torch.as_tensor(found.data)
        labels = torch.as_tensor(found.targets if hasattr(found, "targets") else found.labels).long()
        if labels.ndim == 2:  # QMNIST has the class and seven other numbers
            labels = labels[:, 0]
        if pixels.ndim == 3:
            pixels = pixels.unsqueeze(1)
        if self.dataset == "EMNIST":
            pixels = pixels.transpose(2, 3)  # its files have rows and columns exchanged
            labels = labels - int(self.options["split"] == "letters")  # which begins at 1
        return Images(pixels.contiguous(), labels)

    # Sets that are image files -------------------------------------------------------------------------------------

    def _files(self) -> tuple[Images, Images]:
        train = self._listed(self.source.train)
        if self.source.val is not None and self.validation == "split":
            train += self._listed(self.source.val, validation=not self.folds)
        if self.source.test is None:
            train, test = self._divided(train)
        else:
            test = self._listed(self.source.test)
        train_read = self._decoded(train if self.only != "test" else [])
        test_read = self._decoded(test if self.only != "train" else [])
        return train_read.images, test_read.images

    def _listed(self, part: Arguments, validation: bool = False) -> list[Labelled]:
        found = self._open(part)
        pairs: Iterable[tuple[Any, int]] = (found[row] for row in range(len(found)))
        if self.dataset == "OxfordIIITPet":
            pairs = zip(found._images, found._labels, strict=True)
        elif self.dataset == "GTSRB":
            pairs = found._samples
        return sorted(
            (Labelled(Path(path), int(label), validation) for path, label in pairs), key=lambda file: file.path
        )

    def _divided(self, files: Sequence[Labelled]) -> tuple[list[Labelled], list[Labelled]]:
        labels = torch.tensor([file.label for file in files])
        division = stratified_split(labels, [self._path_name(file) for file in files], TEST_FRACTION, "test")
        train, test = ([files[row] for row in rows.tolist()] for rows in division)
        return train, test

    def _path_name(self, file: Labelled) -> str:
        return file.path.relative_to(self.folder).as_posix()

    def _decoded(self, files: list[Labelled]) -> Photographs:
        how = Decoding(self.image_size, self.channels, resize=self.resize)
        if not files:
            return Photographs.none(how)
        files = evenly_spaced(files, self.limit)
        found = cached_images(files, how, self.cache_dir, f"images of {self.dataset}")
        if skipped := found.images.skipped:
            raise SettingError(
                f"{len(skipped):,} of {len(files):,} files of {self.dataset} cannot be read as images, the first is"
                f" {skipped[0]}: delete the set in {self.folder}, and it is downloaded again"
            )
        return found._replace(images=found.images._replace(files=tuple(map(self._path_name, found.files))))


def find_source(name: str, options: Mapping[str, Any]) -> Source:
    if name not in SOURCES:
        plain = name.lower().replace("-", "").replace("_", "")
        meant = next((known for known in (*SOURCES, *OTHERS) if known.lower() == plain), "")
        known = f"use data={OTHERS[meant]}" if meant in OTHERS else list_choices(name, SOURCES, meant=meant)
        raise SettingError(f"data.name={name} is not a set that is read here; {known}")
    source = SOURCES[name]
    if unknown := sorted(options.keys() - set(source.options)):
        known = list_choices(unknown[0], source.options) if source.options else "leave it out"
        raise SettingError(f"data.options.{unknown[0]} is not an option of data.name={name}; {known}")
    if name == "EMNIST":
        from torchvision import datasets

        if options.get("split") not in datasets.EMNIST.splits:
            told = list_choices(str(options.get("split")), datasets.EMNIST.splits)
            raise SettingError(f"data.name=EMNIST needs data.options={{split: NAME}}; {told}")
    if source.scipy and not find_spec("scipy"):
        raise SettingError(f"data.name={name}: {missing_package_message('scipy, which reads its files,', 'datasets')}")
    return source
