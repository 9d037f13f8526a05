"""Any photographs of yours, a folder for each class."""

from pathlib import Path
from typing import Any

from labbook.data.image_cache import Labelled, OnCorrupt, cached
from labbook.data.module import ImageDataModule, Images
from labbook.errors import SettingError

LAYOUT = "a folder for each class, as in {train}/cat/1.jpg and {test}/cat/2.jpg"


class ImageFolder(ImageDataModule):
    """Images in `root/train_folder/CLASS/` and `root/test_folder/CLASS/`, in any format that Pillow reads.

    The classes are the names of the folders in `train_folder`, sorted; the images of a class are sorted by path, so
    without shuffling all of the first class come first.

    Raises:
        SettingError: a folder that is missing or empty, or classes that differ between the two parts.
    """

    native_channels = 3
    native_size = 64

    def __init__(
        self,
        *,
        root: str | None = None,
        train_folder: str = "train",
        test_folder: str = "test",
        on_corrupt: OnCorrupt = "raise",
        cache_dir: str = "data/cache",
        **options: Any,
    ) -> None:
        if root is None:
            raise SettingError("data.root is not set: give the folder of your images, data.root=FOLDER")
        folder = Path(root).expanduser()
        self.train_folder, self.test_folder = folder / train_folder, folder / test_folder
        self.on_corrupt, self.cache_dir = on_corrupt, Path(cache_dir).expanduser()
        self.class_names = self._class_names()
        super().__init__(root=root, **options)

    def read(self) -> tuple[Images, Images]:
        """Both parts, from the cache or decoded into it."""
        return self._part(self.train_folder), self._part(self.test_folder)

    def source(self) -> tuple[Any, ...]:
        """Also what is decoded how."""
        return (*super().source(), self.train_folder, self.test_folder, self.on_corrupt, self.cache_dir)

    def _class_names(self) -> tuple[str, ...]:
        names = [subfolders(folder, self.missing) for folder in (self.train_folder, self.test_folder)]
        if names[0] != names[1]:
            only = [sorted(set(names[0]) - set(names[1])), sorted(set(names[1]) - set(names[0]))]
            folders = zip((self.train_folder, self.test_folder), only, strict=True)
            parts = "; ".join(f"only in {folder}: {', '.join(extra)}" for folder, extra in folders if extra)
            raise SettingError(f"training and test folders hold different classes ({parts})")
        return names[0]

    def missing(self, folder: Path) -> str:
        """What to say where there is no such folder."""
        layout = LAYOUT.format(train=self.train_folder.name, test=self.test_folder.name)
        return f"{folder} is no folder with classes in it: data.root must hold {layout}"

    def _part(self, folder: Path) -> Images:
        files = [item for label, name in enumerate(self.class_names) for item in labelled(folder / name, label)]
        return cached(files, self.image_size, self.channels, self.on_corrupt, self.cache_dir, f"images of {folder}")


def subfolders(folder: Path, missing: Any) -> tuple[str, ...]:
    """The names of the folders in `folder`, sorted."""
    inside = folder.iterdir() if folder.is_dir() else ()
    names = sorted(item.name for item in inside if item.is_dir() and not hidden(item.name))
    if not names:
        raise SettingError(missing(folder))
    return tuple(names)


def labelled(folder: Path, label: int) -> list[Labelled]:
    """Every file below a class's folder, sorted by path."""
    inside = (item for item in folder.rglob("*") if not any(map(hidden, item.relative_to(folder).parts)))
    files = sorted(item for item in inside if item.is_file())
    if not files:
        raise SettingError(f"{folder} holds no image: every class needs at least one")
    return [Labelled(path, label) for path in files]


def hidden(name: str) -> bool:
    """Whether systems leave a file or folder of this name beside images without being asked."""
    return name.startswith(".") or name.lower() in ("thumbs.db", "desktop.ini", "__macosx")
