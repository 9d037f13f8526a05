"""Run folders from somewhere: their configuration, their checkpoints, and the links in them."""

import builtins
import functools
import io
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from labbook.cli.commands import report
from labbook.config.path_rules import check_symlinks
from labbook.errors import SettingError
from labbook.models.mlp import MLP
from labbook.training import checkpoint_io
from tests.conftest import Command
from tests.security.conftest import BAIT, Traps, refused
from tests.security.test_configs import BOMB

# The text that is put in front of a run's config.yaml, and a part of the sentence that refuses it.
TEXTS: dict[str, tuple[str, str]] = {
    "a Python tag": ("note: !!python/object/apply:os.system ['touch canary']\n", "holds a YAML tag"),
    "a Python name": ("note: !!python/name:os.system\n", "holds a YAML tag"),
    "a bomb of aliases": (BOMB, "holds a YAML anchor or alias"),
    "depth": ("note: " + "[" * 5000 + "]" * 5000 + "\n", "holds more than 20 levels"),
    "a huge key": (f"{'k' * 20_000}: 1\n", "holds a text of more than 10,000 characters"),
    "a huge file": ("# " + "x" * 1_000_001 + "\n", "is larger than 1,000,000 bytes"),
    "a secret": ("note: ${oc.env:HOME}\n", "holds an interpolation"),
    "another setting": ("note: ${seed}\n", "holds an interpolation"),
    "a maker": ("note: ${oc.create:{a:1}}\n", "holds an interpolation"),
    "a folder of a sweep": ("sweep: {job: {folder: x}}\n", "is not as a run writes it"),
    "config_groups that are none": ("config_groups: [1]\n", "is not as a run writes it"),
    "published figures that are none": ("published: {system: [1]}\n", "published"),
    "another place for runs": ("log_dir: s3://bucket/x\n", "is not a local path"),
    "a zero byte": ('note: "a\\0b"\n', "holds control characters"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_configuration_of_a_run_is_refused(
    name: str, program: Command, evaluated: Command, stranger: Callable[..., Path]
) -> None:
    text, part = TEXTS[name]
    run = stranger()
    key = text.partition(":")[0]
    plain = yaml.safe_load((run / "config.yaml").read_text())
    plain.pop(key, None)
    (run / "config.yaml").write_text(text + yaml.safe_dump(plain))
    if list(TEXTS).index(name) % 3 == 0 or "place" in name or "published" in name:  # it takes longer
        refused(program(f"resume={run}", "epochs=3"), part)
    if "place" not in name and "published" not in name:  # which evaluate.py does not look at
        refused(evaluated(str(run)), part)


def test_an_interpolation_in_the_noted_command_is_none(evaluated: Command, stranger: Callable[..., Path]) -> None:
    run = stranger()
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(f"# python train.py 'model.width=${{epochs}}'\n{text}")
    refused(evaluated(str(run)), "best.ckpt has another network than MLP")


ADDRESSES = ["https://example.org/x", "s3://bucket/run", "file:///etc", "gs://b/c", "hf://a", "memory://x"]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_no_run(
    address: str, program: Command, evaluated: Command, monkeypatch: pytest.MonkeyPatch,
    script: Callable[[ModuleType], Command],
) -> None:  # fmt: skip
    import fsspec

    def reached(*_: object, **__: object) -> None:
        raise AssertionError("asked for an address")

    for name in ("open", "url_to_fs", "filesystem"):
        monkeypatch.setattr(fsspec, name, reached)
    if address in ADDRESSES[:2]:
        refused(program(f"resume='{address}'"), "resume=", "is not a local path")
        refused(program(f"log_dir='{address}'"), "log_dir=", "is not a local path")
    refused(evaluated(address), "is not a local path")
    refused(script(report)(address), "is not a local path")


# Checkpoints -------------------------------------------------------------------------------------------------------


class Call:
    """Calls a function when it is unpickled."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> Any:
        return self.call


def shell() -> Call:
    return Call(os.system, "touch canary")


def zipped(members: dict[str, bytes]) -> bytes:
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return written.getvalue()


def saved(value: Any, **options: Any) -> bytes:
    written = io.BytesIO()
    torch.save(value, written, **options)
    return written.getvalue()


def around(pickled: bytes) -> bytes:
    """A checkpoint whose data.pkl is this one."""
    return zipped({"archive/data.pkl": pickled, "archive/version": b"3\n", "archive/byteorder": b"little"})


def nested(depth: int) -> bytes:
    return b"\x80\x02" + b"(l" * depth + b"a" * (depth - 1) + b"."


CHECKPOINTS: dict[str, Callable[[], bytes]] = {
    "a pickle, protocol 0": lambda: pickle.dumps(shell(), 0),
    "a pickle, protocol 2": lambda: pickle.dumps(shell(), 2),
    "a pickle, protocol 5": lambda: pickle.dumps(shell(), 5),
    "a shell": lambda: saved({"state_dict": {}, "epoch": 0, "extra": shell()}),
    "a shell among the weights": lambda: saved({"state_dict": {"a": shell()}, "epoch": 0}),
    "eval": lambda: saved(Call(builtins.eval, "open('canary', 'w')")),
    "exec": lambda: saved(Call(builtins.exec, "open('canary', 'w')")),
    "getattr": lambda: saved(Call(getattr, "x", "upper")),
    "an import": lambda: saved(Call(__import__, BAIT)),
    "a name of the bait": lambda: around(b"\x80\x02c" + BAIT.encode() + b"\nx\n)R."),
    "a name of the bait, newer": lambda: around(
        b"\x80\x04\x8c\x0c" + BAIT.encode() + b"\x8c\x01x\x93)R."
    ),
    "an instance of the bait": lambda: around(b"\x80\x02(i" + BAIT.encode() + b"\nx\n."),
    "partial": lambda: saved(functools.partial(os.system, "touch canary")),
    "partial called": lambda: saved(Call(functools.partial(os.system, "touch canary"))),
    "torch.load": lambda: saved(Call(torch.load, "x")),
    "torch.hub": lambda: saved(Call(torch.hub.load, "a/b", "c")),
    "the old format": lambda: saved(
        {"state_dict": {}, "extra": shell()}, _use_new_zipfile_serialization=False
    ),
    "a whole network": lambda: saved({"state_dict": torch.nn.Linear(1, 1)}),
    "a class": lambda: saved({"state_dict": {}, "epoch": 0, "extra": MLP}),
    "a path": lambda: saved({"state_dict": {}, "epoch": 0, "extra": Path("x")}),
    "an array of objects": lambda: saved({"state_dict": {"a": np.array([shell()], dtype=object)}}),
    "an array of numpy": lambda: saved({"state_dict": {"a": np.zeros(1)}, "epoch": 0}),
    "numpy's file": lambda: zipped({"a.npy": b"\x93NUMPY\x01\x00v\x00{'descr': '|O'}" + pickle.dumps(shell())}),
    "a program of TorchScript": lambda: zipped(
        {"x/data.pkl": pickle.dumps(shell(), 2), "x/constants.pkl": b"\x80\x02).", "x/code/a.py": b"", "x/version": b""}
    ),
    "members above": lambda: zipped({"../canary": b"x", "../../x": b"x", "/tmp/x": b"x", "a/data.pkl": b"\x80\x02}."}),
    "members of other names": lambda: zipped({"a/data.pkl": b"\x80\x02}.", "b/../../canary": b"x"}),
    "a persistent name": lambda: around(b"\x80\x02Pshell\n."),
    "tensors beyond their storage": lambda: saved({"state_dict": {}}).replace(b"state_dict", b"state_dic_"),
    "depth": lambda: around(nested(100_000)),
    "safetensors in name only": lambda: b"\x40\x00\x00\x00\x00\x00\x00\x00" + pickle.dumps(shell()),
    "safetensors": lambda: b"\x02\x00\x00\x00\x00\x00\x00\x00{}",
    "text": lambda: b"import os; os.system('touch canary')",
    "no end": lambda: pickle.dumps(shell(), 2)[:-1],
    "a list": lambda: saved([1, 2]),
    "no weights": lambda: saved({"epoch": 0}),
    "weights that are none": lambda: saved({"state_dict": [1], "epoch": 0}),
    "texts for weights": lambda: saved({"state_dict": {"a": "x"}, "epoch": 0}),
    "an epoch that is none": lambda: saved({"state_dict": {}, "epoch": "x"}),
}  # fmt: skip


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_a_hostile_checkpoint_is_refused(name: str, traps: Traps) -> None:
    file = traps.home / ("last.safetensors" if "safetensors" in name else "last.ckpt")
    file.write_bytes(CHECKPOINTS[name]())
    with pytest.raises(SettingError) as error:
        checkpoint_io.load_checkpoint_file(file)
    assert re.match(rf"{file} is (not a checkpoint|damaged \()", str(error.value))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a pickle, protocol 2", "a shell"])
def test_a_hostile_checkpoint_is_refused_at_every_entrance(
    name: str, program: Command, evaluated: Command, stranger: Callable[..., Path]
) -> None:
    run = stranger()
    for file in (run / "checkpoints").iterdir():
        file.write_bytes(CHECKPOINTS[name]())
    refused(program(f"resume={run}", "epochs=3"), "last.ckpt is ")
    for weights in ("last", "best"):
        refused(evaluated(str(run), "--weights", weights), f"{weights}.ckpt is ", "so it is not loaded")


def test_the_traps_would_spring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(CHECKPOINTS["a pickle, protocol 5"]())
    assert (tmp_path / "canary").exists()


# Links -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["train.log", "figures", "checkpoints"])
def test_a_run_with_links_to_elsewhere_is_not_continued(
    name: str, program: Command, stranger: Callable[..., Path], traps: Traps
) -> None:
    run, elsewhere = stranger(), traps.home / "elsewhere"
    if name == "checkpoints":
        (run / name).rename(elsewhere)
    elif name == "figures":
        elsewhere.mkdir()
    else:
        elsewhere.write_text("mine")
    (run / name).unlink(missing_ok=True)
    (run / name).symlink_to(elsewhere)
    refused(program(f"resume={run}", "epochs=3"), f"{name} leads out of {run}")
    assert elsewhere.is_dir() or elsewhere.read_text() == "mine"


def test_links_that_a_logger_made_are_its_own(stranger: Callable[..., Path], tmp_path: Path) -> None:
    logs = (run := stranger()) / "wandb" / "run-1" / "logs"
    logs.mkdir(parents=True)
    (logs / "debug-core.log").symlink_to(tmp_path / "core.log")
    (run / "wandb" / "latest-run").symlink_to("run-1")
    check_symlinks(run)
    (run / "wandb" / "debug.log").symlink_to(tmp_path / "core.log")
    with pytest.raises(SettingError, match=r"wandb/debug\.log leads out of "):
        check_symlinks(run)
