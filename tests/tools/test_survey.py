"""The table of networks: complete, in numbers that can be checked, and refusals in sentences."""

import csv
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch
from PIL import Image

from labbook.errors import SettingError
from labbook.installation import CONFIGS
from labbook.training import hardware
from labbook.training.hardware import Machine
from tests.conftest import Command
from tools import model_costs
from tools.model_table import costs, survey
from tools.model_table.survey import Entry, parted, prepared
from tools.model_table.tables import as_csv, as_markdown, cells

SOME = ["cats_dogs_cnn", "lenet5", "vit_tiny"]
MODELS = survey.networks()
PAGE = CONFIGS.parent / "docs" / "models.md"


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: Callable[[ModuleType], Command]) -> Command:
    """`python tools/model_costs.py ARGUMENTS` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return script(model_costs)


def test_without_a_name_all_are_asked_for() -> None:
    names, settings = parted(["data=mnist"])
    assert [name for name in names if not name.startswith("timm/")] == MODELS
    assert settings == ["data=mnist"]
    assert parted(["mlp", "model=lenet5,vit", "seed=1"]) == (["mlp", "lenet5", "vit"], ["seed=1"])


@pytest.mark.extra
def test_networks_of_timm_are_named_with_their_library() -> None:
    pytest.importorskip("timm", reason="needs the extra: make setup EXTRAS=timm")
    assert [name for name in parted([])[0] if name not in MODELS] == [f"timm/{name}" for name in survey.SOME_OF_TIMM]
    lenet5, resnet = prepared(["lenet5", "timm/test_resnet"]).entries(timed=False)
    assert (resnet.name, resnet.paper, lenet5.name) == ("timm/test_resnet", "", "lenet5")
    assert resnet.parameters
    with pytest.raises(SettingError, match=r"^model\.name=resnet19 is no network of timm; did"):
        list(prepared(["timm/resnet19"]).entries(timed=False))


@pytest.mark.parametrize("names", [SOME, pytest.param(MODELS, marks=pytest.mark.slow)], ids=["some", "all"])
def test_networks_have_their_figures_or_their_sentence(table: Command, tmp_path: Path, names: list[str]) -> None:
    ended = table(*names, "--no-timing", "--csv", "tables/models.csv")
    assert (ended.code, ended.err) == (0, "")
    rows = list(csv.DictReader((tmp_path / "tables/models.csv").read_text().splitlines()))
    assert [row["name"] for row in rows] == names
    for row in rows:
        if row["refused"]:
            assert f"{row['name']}: {row['refused']}" in ended.out
            assert "data.image_size=" in row["refused"]
        else:
            assert f"{int(row['parameters']):,}" in ended.out
            assert int(row["macs"]) > 0
    assert {row["name"]: row["paper"] for row in rows}["lenet5"].startswith("LeCun, Bottou, Bengio, Haffner 1998")


def test_parameters_are_all_numbers_that_are_trained_on_images_of_the_set() -> None:
    (lenet5,) = prepared(["lenet5", "data=mnist"]).entries(timed=False)  # which is not read: it is not there
    assert (lenet5.parameters, lenet5.macs) == (61_706, 416_520)
    (hundred,) = prepared(["model=lenet5", "data=cifar100", "model.padding=0"]).entries(timed=False)
    assert hundred.parameters == 6 * 76 + 16 * 151 + 120 * 401 + 84 * 121 + 100 * 85


@pytest.mark.parametrize(
    "names", [["resnet20", "cats_dogs_cnn"], pytest.param(["cats_dogs_cnn", "resnet20"], marks=pytest.mark.slow)]
)
def test_each_network_gets_the_images_that_train_py_gives_it(table: Command, names: list[str]) -> None:
    for folder in ("training_set/cats", "training_set/dogs", "test_set/cats", "test_set/dogs"):
        path = Path("data/cats_dogs", folder)
        path.mkdir(parents=True)
        Image.new("RGB", (8, 8)).save(path / "1.jpg")
    ended = table(*names, "data=cats_dogs", "--no-timing", "--csv", "models.csv")
    rows = {row["name"]: row for row in csv.DictReader(Path("models.csv").read_text().splitlines())}
    assert {name: (row["size"], row["refused"]) for name, row in rows.items()} == {
        "resnet20": ("64", ""),
        "cats_dogs_cnn": ("256", ""),
    }
    first, second = (rows[name]["size"] for name in names)
    said = ended.out.replace("\n", " ")
    assert f"Images of 3 x {first} x {first} pixels" in said
    assert f"Of {second} x {second} pixels for {names[1]}, as train.py gives it." in said


@pytest.mark.slow
def test_a_step_of_training_is_measured(monkeypatch: pytest.MonkeyPatch, table: Command) -> None:
    monkeypatch.setattr(costs, "ENOUGH", 0.0)
    ended = table("mlp", "optimizer=sgd", "--batch-size", "7", "--write", "page.md", "data.image_size=8")
    assert ended.code == 0, ended.err
    assert "Batches of 7." in ended.out
    assert "CPU" in ended.out
    page = Path("page.md").read_text()
    cells = next(line for line in page.splitlines() if line.startswith("| mlp |")).strip("| ").split(" | ")
    figures = [float(cell.removesuffix(" MiB").replace(",", "")) for cell in cells[1:6]]
    assert figures[0] == 3 * 64 * 128 + 128 + 128 * 10 + 10
    assert all(figure > 0 for figure in figures[3:])
    table("mlp", "--no-timing", "--write", "page.md")
    assert Path("page.md").read_text().count("| mlp |") == 1


@pytest.mark.slow
def test_what_is_measured_in_another_precision_is_said(monkeypatch: pytest.MonkeyPatch, table: Command) -> None:
    monkeypatch.setattr(costs, "ENOUGH", 0.0)
    monkeypatch.setattr(hardware, "describe_machine", lambda: Machine(cpu_bf16=True))
    ended = table("resnet18", "mobilenet_v3_small", "--batch-size", "2", "trainer=cpu")
    assert "Measured: CPU (CPU), bf16-mixed (this CPU supports bf16)" in ended.out
    assert "In other precision: mobilenet_v3_small in 32-true." in ended.out


@pytest.mark.slow
def test_a_batch_that_does_not_fit_costs_no_other_network_its_figures(
    monkeypatch: pytest.MonkeyPatch, table: Command
) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError

    monkeypatch.setattr(survey, "peak_memory", full)
    ended = table("mlp", "--batch-size", "3")
    assert ended.code == 0, ended.err
    assert "mlp: CPU: a batch of 3 is more than its memory holds: give fewer with --batch-size" in ended.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["lenet"], "model=lenet is unknown; did you mean lenet5? choices: "),
        (["mlp", "data=mnits"], "data=mnits is unknown; did you mean mnist?"),
        (["mlp", "model.dpth=3"], "model=mlp: model.dpth is not a setting; did you mean depth?"),
        (["mlp", "resnet", "model.depth=3"], "model=resnet: model.depth must be greater than or equal to 8, not 3"),
        (["mlp", "--batch-size", "0"], "data.batch_size must be greater than 0, not 0"),
        (["mlp", "--batch-size", "some"], "data.batch_size"),
        (["mlp", "data=image_folder"], "data.root"),
        (["mlp", "--csv", f"{__file__}/table.csv"], "cannot write "),
        (["mlp", "data=null"], "data=null is not a choice"),
        (["mlp", "data._target_=os.system"], "data._target_=os.system is not allowed"),
    ],
)
def test_refusals(table: Command, arguments: list[str], sentence: str) -> None:
    ended = table(*arguments, "--no-timing")
    assert ended.code == 2
    assert sentence in ended.sentence


def test_what_a_file_says_is_no_markup() -> None:
    asked = prepared(["mlp"])
    entry = Entry("a|b", "<b>", 32, 1, 2)
    assert "| a\\|b | 1 | 0.00 | &lt;b&gt; |" in as_markdown(asked, [entry], timed=False).splitlines()
    assert as_csv([entry]).splitlines()[1] == "a|b,<b>,32,1,2,,,,,"


def test_a_network_that_is_none_is_refused_before_anything_is_built() -> None:
    with pytest.raises(SettingError, match="model=resnet21 is unknown"):
        prepared(["lenet5", "model=mlp,resnet21"])


@pytest.mark.slow  # one of your own need not be
def test_the_page_shows_every_network_with_its_parameters_and_operations() -> None:
    shown = PAGE.read_text(encoding="utf-8").splitlines()
    again = f"python tools/model_costs.py --write {PAGE.relative_to(CONFIGS.parent)}"
    for entry in prepared([]).entries(timed=False):
        if entry.refused:
            assert f"- {entry.name}: {entry.refused}" in shown, again
        else:
            _, parameters, operations, *_ = cells(entry, timed=False)
            assert any(line.startswith(f"| {entry.name} | {parameters} | {operations} |") for line in shown), again
