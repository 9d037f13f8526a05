"""What reports and data sets make of hostile files: words stay words, and pickles of other checksums stay closed."""

import io
import json
import pickle
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from labbook.data.cifar import CIFAR10, CIFAR100
from labbook.data.torchvision_dataset import TorchvisionDataModule
from labbook.errors import SettingError
from labbook.reports import images, sweep_page, tables
from labbook.runs.sweep_folder import IdentityIndex, SweepFolder
from tests.conftest import Command
from tests.data.mirror import offline
from tests.reports.made_sweeps import add_run, figures_of, mark, table_of
from tests.reports.test_sweep_page import Page
from tests.security.conftest import QUICK, Traps, refused
from tests.security.test_configs import BOMB
from tests.security.test_runs_of_strangers import shell

# Reports -----------------------------------------------------------------------------------------------------------

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"


def test_words_of_runs_are_never_parts_of_the_page(traps: Traps, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "write_images", lambda *_: None)  # which takes longer
    sweep = mark(traps.home / "sweep", ["model.activation"])
    content = json.loads((sweep / "sweep.json").read_text())
    content |= {"commands": [SCRIPT, f"{SCRIPT} again"], "over": ["model.activation", SCRIPT]}
    (sweep / "sweep.json").write_text(json.dumps(content))
    published = [{"system": SCRIPT, "where": {}, "final": {"val/acc": 0.9, SCRIPT: 1.0}}]
    words = {"class_names": [SCRIPT, f"{SCRIPT}2"], "hardware": SCRIPT, "versions": SCRIPT, "code_version": SCRIPT}
    told = figures_of(0.9, device=SCRIPT, **words)
    for number, activation in enumerate([SCRIPT, "relu"]):
        settings = {"model.activation": activation, "model": SCRIPT, "published": published}
        add_run(sweep, f"a<script>{number}-0000000{number}", settings, told, table_of(0.9))
    failed = {"status": "failed", "reason": f"{SCRIPT}\x1b[2J\x1b]0;owned\x07"}
    add_run(sweep, "<script>-00000009", {"model.activation": "tanh"}, failed)
    report = sweep_page.write_report(sweep)

    text = (sweep / "report.html").read_text(encoding="utf-8")
    seen = Page(text)
    assert SCRIPT in " ".join(seen.words)  # shown, as words
    assert seen.tags["script"] == 1  # the page's own
    assert seen.tags["img"] == 0
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert not [
        value for name, value in seen.attributes if name in ("src", "href") and not (value or "").startswith("data:")
    ]
    assert "<script" not in (sweep / "summary.md").read_text(encoding="utf-8").partition("Commands:")[0]
    shown = io.StringIO()
    tables.print_table(report, Console(file=shown, force_terminal=True, highlight=False))
    assert "\x1b[2J" not in shown.getvalue()
    assert "\x1b]0;" not in shown.getvalue()


@pytest.mark.parametrize(
    "content",
    [BOMB, "a: " + "[" * 5000, "# " + "x" * 1_000_001, "a: !!python/object/apply:os.system ['touch canary']"],
    ids=["aliases", "depth", "size", "a tag"],
)  # fmt: skip
def test_a_hostile_run_is_a_damaged_one_to_a_report(content: str, traps: Traps, undrawn: None) -> None:
    sweep = mark(traps.home / "sweep", ["seed"])
    add_run(sweep, "good-00000000", {}, figures_of(0.9))
    (add_run(sweep, "evil-00000001", {}, figures_of(0.9)) / "config.yaml").write_text(content)
    (add_run(sweep, "evil-00000002", {}, None) / "metrics.json").write_text("[" * 100_000)
    states = {run.path.name: run.state for run in sweep_page.write_report(sweep).sweep.runs}
    assert states == {"good-00000000": "finished", "evil-00000001": "damaged", "evil-00000002": "damaged"}


# Sweeps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("identity", ["../../../x", "x'", "0123456", "", "0123456G"])
def test_a_name_remembered_for_a_run_is_an_identity(identity: str, traps: Traps) -> None:
    state = IdentityIndex(traps.home, []).state
    (traps.home / ".index.json").write_text(json.dumps({"state": state, "identities": {"seed=1": identity}}))
    assert IdentityIndex(traps.home, []).identities == {}
    (traps.home / ".index.json").write_text(json.dumps({"state": state, "identities": {"seed=1": "0123abcd"}}))
    assert IdentityIndex(traps.home, []).identities == {"seed=1": "0123abcd"}


def test_a_folder_of_an_odd_name_is_no_run_to_go_on_with(traps: Traps) -> None:
    for name in ("good-00000001", "a',model._target_='os.system-00000002", "a b-00000003"):
        add_run(mark(traps.home / "sweep", []), name, {}, figures_of(0.9))
    assert SweepFolder(traps.home / "sweep").by_identity() == {"00000001": "good-00000001"}


@pytest.mark.parametrize("name", [".claims", "experiment"])
def test_a_sweep_with_links_to_elsewhere_is_not_continued(name: str, program: Command, traps: Traps) -> None:
    (elsewhere := traps.home / "elsewhere").mkdir()
    (mark(traps.home / "logs" / "sweeps" / "mine", []) / name).symlink_to(elsewhere)
    refused(program("-m", *QUICK, "seed=1,2", "sweep.name=mine"), f"{name} leads out of ")
    assert not list(elsewhere.iterdir())


# Data sets ---------------------------------------------------------------------------------------------------------


def hostile_files(root: Path, kind: type[TorchvisionDataModule]) -> None:
    """The folder of a set, all of its files pickles of code."""
    names = [
        "data_batch_1",
        "data_batch_2",
        "data_batch_3",
        "data_batch_4",
        "data_batch_5",
        "test_batch",
        "batches.meta",
    ]
    (root / kind.folder).mkdir(parents=True)
    for name in names if kind is CIFAR10 else ["train", "test", "meta"]:
        (root / kind.folder / name).write_bytes(pickle.dumps(shell(), 2))


def hostile_archive(root: Path, kind: type[TorchvisionDataModule]) -> None:
    """The set's archive, with a pickle of code in it and a member that leads out."""
    name = "cifar-10-python.tar.gz" if kind is CIFAR10 else "cifar-100-python.tar.gz"
    with tarfile.open(root / name, "w:gz") as archive:
        for member in (f"{kind.folder}/data_batch_1", f"{kind.folder}/train", "../escaped", "/tmp/escaped"):
            content = pickle.dumps(shell(), 2)
            (header := tarfile.TarInfo(member)).size = len(content)
            archive.addfile(header, io.BytesIO(content))


@pytest.mark.parametrize("kind", [CIFAR10, CIFAR100])
@pytest.mark.parametrize("laid", [hostile_files, hostile_archive])
def test_a_set_of_another_checksum_is_never_unpickled(
    laid: Callable[[Path, type[TorchvisionDataModule]], None], kind: type[TorchvisionDataModule], traps: Traps,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(kind, "mirrors", ("https://one.invalid/",))
    tries = offline(monkeypatch)
    root = traps.home / "data"
    root.mkdir()
    laid(root, kind)
    files = f"in the format of {kind.dataset}, which cannot be read"
    refusal = files if laid is hostile_files else "is not the published archive"
    with pytest.raises(SettingError, match=refusal):
        kind(root=str(root)).load()
    assert not tries  # what lies there is neither taken for the set nor replaced
    assert not (traps.home / "escaped").exists()
    assert not list(root.rglob("escaped"))
