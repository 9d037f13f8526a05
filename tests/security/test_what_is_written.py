"""What runs leave behind: checkpoints of plain data, no secrets, and names that every file system takes."""

import os
import pickletools
import re
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from labbook.config import secrets
from labbook.config.path_rules import NAME, RESERVED, check_name, escapes_folder, short_file_name
from labbook.errors import SettingError
from labbook.installation import CONFIGS
from labbook.runs import provenance, run_folder
from labbook.sweeps import launchers, naming
from tests.cases import each_case
from tests.conftest import Command
from tests.security.conftest import QUICK, refused

# Checkpoints -------------------------------------------------------------------------------------------------------

PLAIN = {"torch._utils _rebuild_tensor_v2", "collections OrderedDict"}
STORAGE = re.compile(r"torch \w+Storage")


def globals_of(checkpoint: Path) -> set[str]:
    """The names of code that a checkpoint's pickle asks for, read without running it."""
    with zipfile.ZipFile(checkpoint) as archive:
        assert len([name for name in archive.namelist() if name.endswith(".pkl")]) == 1
        pickled = archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))
    operations = list(pickletools.genops(pickled))
    assert not {operation.name for operation, _, _ in operations} & {"STACK_GLOBAL", "INST", "OBJ", "EXT1", "NEWOBJ_EX"}
    return {str(argument) for operation, argument, _ in operations if operation.name == "GLOBAL"}


def walk(item: Any) -> None:
    """Nothing but tensors and plain data, and no place of this machine."""
    if isinstance(item, dict):
        walk(list(item))
        walk(list(item.values()))
    elif isinstance(item, (list, tuple)):
        for value in item:
            walk(value)
    else:
        assert item is None or isinstance(item, (bool, int, float, str, torch.Tensor)), type(item)
        assert not (isinstance(item, str) and escapes_folder(item)), item


def assert_plain(checkpoint: Path) -> None:
    """What a checkpoint holds, and what its pickle would call, is tensors and plain data alone."""
    assert all(name in PLAIN or STORAGE.fullmatch(name) for name in globals_of(checkpoint))
    walk(torch.load(checkpoint, weights_only=True))


@pytest.mark.parametrize(
    "arguments",
    [
        ["optimizer=adam", "scheduler=onecycle", "callbacks=early_stopping"],
        ["optimizer=sgd_momentum", "scheduler=step", "callbacks=lookahead"],
        pytest.param(
            ["optimizer=rmsprop", "scheduler=cosine", "model=lenet5", "trainer.precision=bf16-mixed"],
            marks=pytest.mark.slow,
        ),
    ],
    ids=str,
)
def test_checkpoints_hold_tensors_and_plain_data_alone(arguments: list[str], program: Command, tmp_path: Path) -> None:
    ended = program(*QUICK, *arguments, "data.limit=40", "data.batch_size=32")
    assert ended.code == 0, ended.err
    found = sorted((ended.run / "checkpoints").iterdir())
    assert {path.name for path in found} >= {"best.ckpt", "last.ckpt"}
    for path in found:
        assert_plain(path)
        content = path.read_bytes()
        for told in (
            str(tmp_path),
            str(Path.home()),
            os.environ.get("USER", "labbook-nobody"),
            str(CONFIGS.parent),
        ):
            assert told.encode() not in content


# Secrets -----------------------------------------------------------------------------------------------------------

MARKER = "e7b1c0ffee"
VARIABLES = (
    "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "WANDB_API_KEY", "HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "GITHUB_TOKEN",
    "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_USERNAME", "NEPTUNE_API_TOKEN", "COMET_API_KEY", "DATABASE_URL",
    "PGPASSWORD", "SSH_AUTH_SOCK", "LABBOOK_NOTHING",
)  # fmt: skip


def test_nothing_of_the_environment_is_written(program: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(name, MARKER)
    monkeypatch.setenv("HTTPS_PROXY", f"http://user:{MARKER}@localhost:1")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://user:{MARKER}@localhost:1")
    ended = program("-m", *QUICK, "logger=tensorboard", "callbacks=default", "sweep.name=one")
    assert ended.code == 0, ended.err
    files = [path for path in Path("logs").rglob("*") if path.is_file()]
    assert {path.name.split(".")[-1] for path in files} >= {"yaml", "json", "csv", "log", "ckpt", "html", "md"}
    assert any(path.name.startswith("events.out") for path in files)
    for path in files:
        content = path.read_bytes()
        for signs in (MARKER.encode(), MARKER.encode("utf-16-le"), MARKER.encode("utf-32-le")):
            assert signs not in content, path
    assert MARKER not in ended.out + ended.err


@pytest.mark.parametrize(
    ("argument", "part"),
    [
        ("+logger.api_key=abc", "logger.api_key is a secret"),
        ("+callbacks.pictures.token=abc", "callbacks.pictures.token"),
        ("+logger.settings={a:[{api_key:abc}]}", "logger.settings.a.api_key is a secret"),
        ("data.root=https://me:abc@example.org/x", "data.root is a secret"),
        ("data.root=${oc.env:HF_TOKEN}", "the environment variable HF_TOKEN is a secret"),
        ("notes.mine=${oc.env:AWS_SECRET_ACCESS_KEY}", "the environment variable AWS_SECRET_ACCESS_KEY is a secret"),
        ("data.root=${oc.env:SOME_PROXY}", "the environment variable SOME_PROXY is a secret"),
    ],
)
def test_a_secret_is_no_setting(argument: str, part: str, program: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "abc")
    monkeypatch.setenv("SOME_PROXY", "http://me:abc@example.org")
    sentence = refused(program(*QUICK, "logger=wandb", "callbacks=default", argument), part)
    assert "abc" not in sentence


def test_what_is_no_secret_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    secrets.register_environment_resolver()
    monkeypatch.setenv("LABBOOK_DATA", "/data")
    config = OmegaConf.create(
        {"a": "${oc.env:LABBOOK_DATA}", "b": "${oc.env:LABBOOK_NONE,x}", "c": "${oc.env:LABBOOK_NONE}"}
    )
    assert (config.a, config.b) == ("/data", "x")
    with pytest.raises(OmegaConfBaseException):
        _ = config.c
    for name, value in (("model.pool", "token"), ("model.cls_token", True), ("model.num_tokens", 3), ("a.root", "x@y")):
        secrets.check_not_secret(name, value)


def test_a_password_in_a_command_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = "hydra.sweeper.storage=mysql://me:abc@example.org/db"
    monkeypatch.setattr("sys.argv", ["train.py", storage, "+logger.api_key=abc", "+logger.a={token: abc}", "seed=1"])
    command = provenance.typed_command()
    assert "abc" not in command
    assert "mysql://me:***@example.org/db" in command
    assert command.endswith("seed=1")


# Names -------------------------------------------------------------------------------------------------------------


def portable(name: str) -> bool:
    """Whether every file system takes it, Windows' too."""
    return (
        re.fullmatch(r"[A-Za-z0-9._-]{1,100}", name) is not None
        and not name.startswith(".")
        and not name.endswith((".", " "))
        and not RESERVED.fullmatch(name)
    )


@settings(max_examples=25)
@given(st.text(max_size=400))
@example("../../x")
@example("CON")
@example("aux.txt")
@example("nul")
@example("com1.a.b")
@example("a\0b")
@example("a\nb")
@example("C:\\x")
@example("x. ")
@example("é" * 300)
@example("lpt9-")
def test_every_name_that_is_made_is_portable(text: str) -> None:
    short = short_file_name(text)
    assert not short or portable(short)
    assert portable(naming.overrides_slug([f"model.x={text}"]))
    _, name = run_folder.new_run_path(
        OmegaConf.create({"log_dir": "logs", "config_groups": {"model": text.replace("$", ""), "data": "b"}})
    )
    assert portable(name)
    if NAME.fullmatch(text) and not text.endswith(".") and not RESERVED.fullmatch(text):
        check_name("sweep.name", text)
        return
    with pytest.raises(SettingError) as error:
        check_name("sweep.name", text)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 300


@each_case(
    "text", ["../x", "a/../x", "..", "/x", "~", "~/x", "~me/x", "C:\\x", "\\\\host\\x", "$HOME/x", "s3://x", "a,../x"]
)
def test_what_leads_out_is_known(text: str) -> None:
    assert escapes_folder(text)


@each_case("text", ["logs", "a/b", "a..b", "1..2", "val/acc", "a-b_c", "relu, tanh", "and / or", "x~y", "", "..."])
def test_what_stays_within_is_known(text: str) -> None:
    assert not escapes_folder(text)


def test_runs_of_odd_choices_stay_where_they_belong() -> None:
    chosen = {"model": "../../x", "data": "aux"}
    parent, name = run_folder.new_run_path(OmegaConf.create({"log_dir": "logs", "config_groups": chosen}))
    assert parent == Path("logs/runs")
    assert portable(name)


# Pickles of others -------------------------------------------------------------------------------------------------


def test_submitit_never_finds_a_pickle_that_lay_there_before() -> None:
    class LocalLauncher:
        def __init__(self) -> None:
            self.params = {"submitit_folder": "logs/sweeps/a/.submitit/%j"}

    first, second = LocalLauncher(), LocalLauncher()
    for launcher in (first, second, second):
        launchers.prepare_launcher(launcher)  # type: ignore[arg-type]
    folders = [Path(launcher.params["submitit_folder"]) for launcher in (first, second)]
    assert folders[0] != folders[1]
    for folder in folders:
        assert folder.name == "%j"
        assert re.fullmatch("[0-9a-f]{32}", folder.parent.name)
        assert folder.parent.parent == Path("logs/sweeps/a/.submitit")
