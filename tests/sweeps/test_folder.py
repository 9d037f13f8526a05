"""What a sweep's folder remembers: which overrides lead to which run, and for how long that holds."""

import json
from pathlib import Path

import pytest

from labbook.runs.sweep_folder import INDEX, IdentityIndex, SweepFolder, read_manifest, settings_fingerprint
from labbook.sweeps import job_composer
from tests.cases import each_case
from tests.conftest import Command
from tests.sweeps.running import TINY, begun, done, runs_of


@pytest.fixture
def roots(tmp_path: Path) -> list[Path]:
    folders = [tmp_path / "configs", tmp_path / "more"]
    for folder in folders:
        (folder / "model").mkdir(parents=True)
        (folder / "model" / "mlp.yaml").write_text("width: 8\n")
        (folder / "deep" / "er").mkdir(parents=True)
        (folder / "deep" / "er" / "code.py").write_text("x = 1\n")
    return folders


def remembered(sweep: Path, roots: list[Path]) -> dict[str, str]:
    return IdentityIndex(sweep, roots, roots[1]).identities


def remember(sweep: Path, roots: list[Path]) -> None:
    sweep.mkdir()
    index = IdentityIndex(sweep, roots, roots[1])
    index.identities["a=1"] = "01234567"
    index.save()


def test_what_was_learned_is_remembered(tmp_path: Path, roots: list[Path]) -> None:
    remember(tmp_path / "sweep", roots)
    assert remembered(tmp_path / "sweep", roots) == {"a=1": "01234567"}


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("model/mlp.yaml", "width: 9\n"),
        ("model/new.yaml", ""),
        ("deep/er/code.py", "x = 2\n"),
        ("model/mlp.yaml", None),
    ],
)
def test_a_changed_file_ends_what_was_remembered(
    tmp_path: Path, roots: list[Path], file: str, text: str | None
) -> None:
    remember(tmp_path / "sweep", roots)
    path = roots[1] / file
    path.unlink() if text is None else path.write_text(text)
    assert remembered(tmp_path / "sweep", roots) == {}


def test_what_is_no_configuration_does_not(tmp_path: Path, roots: list[Path]) -> None:
    remember(tmp_path / "sweep", roots)
    (roots[0] / "notes.txt").write_text("mine")
    (roots[1] / "deep" / "er" / "code.py").touch()
    assert remembered(tmp_path / "sweep", roots) == {"a=1": "01234567"}


def test_a_renamed_file_is_a_change(roots: list[Path]) -> None:
    before = settings_fingerprint(roots, roots[1])
    (roots[0] / "model" / "mlp.yaml").rename(roots[0] / "model" / "pml.yaml")
    assert settings_fingerprint(roots, roots[1]) != before


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"identities": {"a=1": "b"}}', '{"state": 1}'])
def test_a_damaged_index_is_none(tmp_path: Path, roots: list[Path], text: str) -> None:
    remember(tmp_path / "sweep", roots)
    (tmp_path / "sweep" / INDEX).write_text(text)
    assert remembered(tmp_path / "sweep", roots) == {}


@pytest.mark.parametrize("identities", [3, "text", [1, 2], None])
def test_an_index_of_other_things_is_none(tmp_path: Path, roots: list[Path], identities: object) -> None:
    remember(tmp_path / "sweep", roots)
    content = json.loads((tmp_path / "sweep" / INDEX).read_text())
    (tmp_path / "sweep" / INDEX).write_text(json.dumps(content | {"identities": identities}))
    assert all(isinstance(name, str) for name in remembered(tmp_path / "sweep", roots).values())


@pytest.mark.slow
def test_remembered_runs_are_not_composed_again(labbook: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = done(labbook(*TINY, "model.width=4,8"))
    composed = []
    original = job_composer.JobComposer.composed

    def counted(self: job_composer.JobComposer, overrides: list[str]) -> object:
        composed.append(overrides)
        return original(self, overrides)

    monkeypatch.setattr(job_composer.JobComposer, "composed", counted)
    done(labbook(*TINY, "model.width=4,8"))
    assert composed == []
    done(labbook(*TINY, "model.width=4,8,16"))
    assert len(composed) == 1
    (sweep / INDEX).write_text("{")
    ended = labbook(*TINY, "model.width=4,8")
    assert done(ended) == sweep
    assert len(composed) == 3
    assert begun(ended.out) == 0


@pytest.mark.slow
def test_a_changed_configuration_is_a_new_run(labbook: Command, tmp_path: Path) -> None:
    (tmp_path / "more" / "experiment").mkdir(parents=True)
    file = tmp_path / "more" / "experiment" / "mine.yaml"
    command = ("--config-dir=more", *TINY, "experiment=mine", "model.width=4,8")
    file.write_text("# @package _global_\n# mine\noptimizer:\n  lr: 0.01\n")
    sweep = done(labbook(*command))
    file.write_text("# @package _global_\n# mine\noptimizer:\n  lr: 0.02\n")
    changed = labbook(*command)
    assert done(changed) == sweep
    assert begun(changed.out) == 2
    assert len(runs_of(sweep)) == 4
    file.write_text("# @package _global_\n# mine, as it was\noptimizer:\n  lr: 0.01\n")
    back = labbook(*command)
    assert begun(back.out) == 0


def test_a_run_set_aside_twice_in_a_second_is_kept_twice(tmp_path: Path) -> None:
    sweep = SweepFolder(tmp_path / "sweeps" / "mine")
    kept = set()
    for number in range(3):
        (sweep.path / "run").mkdir(parents=True)
        (sweep.path / "run" / "metrics.json").write_text(str(number))
        kept.add(sweep.set_run_aside("run", tmp_path))
    assert {(path / "metrics.json").read_text() for path in kept} == {"0", "1", "2"}


def test_a_command_is_noted_once_and_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = SweepFolder(tmp_path / "mine")
    for word in ("a", "b", "a"):
        monkeypatch.setattr("sys.argv", ["/somewhere/train.py", "-m", f"x={word}"])
        sweep.begin([f"x{word}"], "val/acc")
    mark = read_manifest(sweep.path)
    assert mark is not None
    assert mark["commands"] == ["python train.py -m x=b", "python train.py -m x=a"]
    assert mark["over"] == ["xa", "xb"]


@each_case(
    ("text", "state"),
    [
        ("", "damaged"),
        ('{\n  "test/acc": 0.5,\n  "sta', "damaged"),
        ("metrics\n", "damaged"),
        ("[1, 2]", "damaged"),
        ("null", "damaged"),
        ('{"test/acc": 0.5}', "damaged"),
        ('{"status": "done"}', "damaged"),
        ('{"status": "finished", "test/acc": 0.5}', "damaged"),
        ('{"status": "finished", "objective": NaN}', "damaged"),
        ('{"status": "finished", "objective": true}', "damaged"),
        ('{"status": "pruned", "objective": "high"}', "damaged"),
        ('{"status": "finished", "objective": 0}', "finished"),
        ('{"status": "pruned", "objective": 0.5}', "pruned"),
        ('{"status": "failed"}', "failed"),
        ('{"status": "interrupted"}', "interrupted"),
        ('{"status": "running"}', "interrupted"),
        (None, "new"),
    ],
)
def test_how_far_a_run_has_come(tmp_path: Path, text: str | None, state: str) -> None:
    (tmp_path / "run").mkdir(exist_ok=True)
    (tmp_path / "run" / "metrics.json").unlink(missing_ok=True)
    if text is not None:
        (tmp_path / "run" / "metrics.json").write_text(text)
    assert SweepFolder(tmp_path).state("run")[0] == state
    assert SweepFolder(tmp_path).state("another")[0] == "new"
