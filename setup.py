"""Builds the wheel; all that is to say of the package is in pyproject.toml, but that configs/ goes into it."""

from pathlib import Path
from shutil import copytree, rmtree

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConfigs(build_py):
    """Put configs/ into the package, where an editable install finds it in the checkout."""

    def run(self) -> None:
        """Build the package, then copy the configurations as they are now."""
        super().run()
        if not self.editable_mode:
            target = Path(self.build_lib, "labbook", "configs")
            rmtree(target, ignore_errors=True)  # of an earlier build
            copytree("configs", target)


setup(cmdclass={"build_py": BuildWithConfigs})
