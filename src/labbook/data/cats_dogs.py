"""Cats against dogs: 8,000 photographs to train and 2,000 to test."""

from pathlib import Path

from labbook.data.image_folder import ImageFolder


class CatsDogs(ImageFolder):
    """Photographs in `training_set/{cats,dogs}` and `test_set/{cats,dogs}`; smaller selections of them work too."""

    native_size = 256

    def missing(self, folder: Path) -> str:
        """Where the set is to be had."""
        return (
            f"{folder} is not there: get the cats-and-dogs photographs (kaggle datasets download tongpython/cat-and-dog, free"
            f" with an account) and arrange them as {self.train_folder}/cats, {self.train_folder}/dogs,"
            f" {self.test_folder}/cats and {self.test_folder}/dogs, or name another place with data.root=FOLDER"
        )
