"""What is relied on of Hydra beyond its public names."""

from pathlib import Path
from typing import ClassVar

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.config_source import ConfigResult
from omegaconf import OmegaConf

from labbook.config import hydra_internals


class Source(hydra_internals.FileConfigSource):
    read: ClassVar[list[Path]] = []

    def load_config(self, config_path: str) -> ConfigResult:
        self.read.append(hydra_internals.file_of(self, config_path))
        return super().load_config(config_path)


def test_hydra_reads_and_completes_files_by_the_class_it_is_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "some.yaml").write_text("width: 3\n")
    Plugins.instance()
    types = hydra_internals.SourcesRegistry.instance().types
    monkeypatch.setattr(hydra_internals.SourcesRegistry.instance(), "types", dict(types))
    hydra_internals.replace_file_source(Source)
    with initialize_config_dir(str(tmp_path)):
        loader = GlobalHydra.instance().config_loader()
        assert list(hydra_internals.complete(loader, "some", "wi")) == ["width="]
    assert Source.read[0] == tmp_path / "some.yaml"


def test_a_node_is_had_without_resolving_it() -> None:
    assert OmegaConf.is_interpolation(hydra_internals.node_of(OmegaConf.create({"a": "${b}"}), "a")._parent, "a")


def test_the_failure_of_a_job_is_neither_printed_nor_raised(capsys: pytest.CaptureFixture[str]) -> None:
    result = JobReturn(status=JobStatus.FAILED)
    result.return_value = error = ValueError("wrong")
    assert hydra_internals.failure_of(result) is error
    assert capsys.readouterr().err == ""
