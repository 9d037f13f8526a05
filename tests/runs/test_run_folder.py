"""How runs are named and read."""

from pathlib import Path

from omegaconf import OmegaConf

from labbook.runs import run_folder


def test_folders_never_meet(tmp_path: Path) -> None:
    folders = [run_folder.make_run_folder(tmp_path / "runs", "same") for _ in range(3)]
    assert [folder.name for folder in folders] == ["same", "same_2", "same_3"]


def test_a_damaged_metrics_file_counts_as_none(tmp_path: Path) -> None:
    (tmp_path / "metrics.json").write_text('{"status": "fini')
    assert run_folder.read_metrics(tmp_path) == {}


def test_a_network_of_a_family_names_the_folder_by_what_it_is() -> None:
    chosen = {
        "log_dir": "logs",
        "config_groups": {"model": "resnet18", "data": "digits"},
        "model": {"name": "resnet34"},
    }
    parent, name = run_folder.new_run_path(OmegaConf.create(chosen))
    assert parent == Path("logs/runs")
    assert name.endswith("_resnet34_digits")


def test_settings_may_take_values_that_are_not_kept(tmp_path: Path) -> None:
    notes = {"of": "${sweep.name}", "runs": "${seeds}"}
    config = OmegaConf.create({"seed": 1, "seeds": 3, "sweep": {"name": "s", "job": {"folder": None}}, "notes": notes})
    run_folder.RunFolder(tmp_path, config).start()
    assert OmegaConf.load(tmp_path / "config.yaml") == {"seed": 1, "notes": {"of": "s", "runs": 3}}
