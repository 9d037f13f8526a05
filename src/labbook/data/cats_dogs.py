"""Cats and dogs: 8,000 photographs for training and 2,000 for test."""

from typing import Any

from labbook.data.image_folder import ImageFolder


class CatsDogs(ImageFolder):
    """Photographs in `training_set/{cats,dogs}` and `test_set/{cats,dogs}`; a subset works too."""

    native_size = 256
    native_normalize = "unit"
    usual_folders = ("training_set", "test_set")
    hint = (
        "; the cats-and-dogs photographs are free with an account: kaggle datasets download --unzip"
        " tongpython/cat-and-dog -p FOLDER, then data.root=FOLDER"
    )

    def __init__(self, *, train_folder: str = "training_set", test_folder: str = "test_set", **options: Any) -> None:
        super().__init__(train_folder=train_folder, test_folder=test_folder, **options)
