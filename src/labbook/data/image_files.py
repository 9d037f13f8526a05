"""The bases of data sets whose images are files: of all of them, and of published sets that a library loads by name."""

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from labbook.data.datamodule import ImageDataModule
from labbook.data.decoding import Decoding, Resize
from labbook.data.image_depth import Range
from labbook.data.image_spec import ImageSpec, Normalize
from labbook.data.split import TEST_FRACTION, ValSplit
from labbook.errors import SettingError


class ImageFileData(ImageDataModule):
    """Image files, decoded to squares by `resize`. By default the validation split is stratified."""

    native_size = 64
    native_normalize: Normalize = "imagenet"

    def __init__(self, *, resize: Resize | None = None, val_split: ValSplit = "stratified", **options: Any) -> None:
        self.resize: Resize = resize or "squash"
        super().__init__(val_split=val_split, **options)

    @classmethod
    def decoding_of(cls, settings: Mapping[str, Any], spec: ImageSpec) -> Decoding:
        """With the size and channels of the network; the center of a larger `decode_size`."""
        stored, span = settings.get("decode_size"), as_range(settings.get("range"))
        resize: Resize = settings.get("resize") or "squash"
        return Decoding(stored or spec.size, spec.channels, span, resize, spec.size if stored else 0)


class NamedDataset(ImageFileData):
    """The published set `name`; `options` are further arguments of the library's function or class.

    Its own validation images are the validation split; with `folds` they are used as training images. If it has no test
    set, a fraction of each class is drawn by a hash of the images.
    """

    missing_name: ClassVar[str]  # what to do if there is no name

    def __init__(self, *, name: str | None = None, options: dict[str, Any] | None = None, **shared: Any) -> None:
        if not name:
            raise SettingError(f"data.name is not set: {self.missing_name}")
        self.dataset, self.options = name, dict(options or {})
        self.class_names = self.open_set()
        super().__init__(**shared)

    @abstractmethod
    def open_set(self) -> tuple[str, ...]:
        """Check `dataset` and `options`; the names of the classes."""

    @property
    def title(self) -> str:
        return self.dataset

    def drawn_test_remark(self) -> str:
        return f"{self.dataset} has no test set: {TEST_FRACTION:.0%} of each class, by a hash of the images, is used"


def as_range(value: Any) -> Range:
    """The setting `data.range`: "auto", None, or two numbers."""
    return value if value is None or value == "auto" else (float(value[0]), float(value[1]))
