"""The folders of configurations: the project's first, then the package's. Imports no torch."""

from pathlib import Path

from hydra.core.config_search_path import ConfigSearchPath, SearchPathQuery
from hydra.plugins.search_path_plugin import SearchPathPlugin

from labbook.config.own_code import project_root
from labbook.installation import CONFIGS


def config_folders() -> list[Path]:
    """The folders of configurations that are part of the program: `configs/` of the project, and `CONFIGS`."""
    root = project_root()
    own = root / "configs" if root else CONFIGS
    return [own, CONFIGS] if own.is_dir() and own.resolve() != CONFIGS else [CONFIGS]


class ProjectConfigs(SearchPathPlugin):
    """Makes Hydra search the project before the package."""

    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        for folder in config_folders()[:-1]:
            search_path.prepend("project", str(folder), anchor=SearchPathQuery(provider="main"))
