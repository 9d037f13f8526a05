"""Cats against dogs: 8,000 photographs to train and 2,000 to test."""

from pathlib import Path
from typing import Any

from labbook.data.image_folder import ImageFolder


class CatsDogs(ImageFolder):
    """Photographs in `training_set/{cats,dogs}` and `test_set/{cats,dogs}`; smaller selections of them work too."""

    native_size = 256
    native_normalize = "unit"

    def __init__(self, *, train_folder: str = "training_set", test_folder: str = "test_set", **options: Any) -> None:
        super().__init__(train_folder=train_folder, test_folder=test_folder, **options)

    def missing(self, folder: Path) -> str:
        """Where the set is to be had."""
        return (
            f"{folder} does not exist: download the cats-and-dogs photos (free with an account:"
            f" kaggle datasets download tongpython/cat-and-dog) and put them into {self.train_folder}/cats,"
            f" {self.train_folder}/dogs, {self.test_folder}/cats and {self.test_folder}/dogs, or use another folder"
            " with data.root=FOLDER"
        )
