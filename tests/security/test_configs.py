"""Hostile settings through every entrance: the command line, an experiment, a run's config.yaml, evaluate.py.

Each ends in one sentence and exit code 2; none runs, imports or writes anything.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra._internal.sources_registry import SourcesRegistry
from hydra.core.plugins import Plugins

from labbook.config import instantiate, untrusted
from labbook.errors import SettingError
from labbook.installation import CONFIGS
from tests.cases import each_case
from tests.conftest import Command, Ended
from tests.security.conftest import BAIT, QUICK, Traps, mostly_slow, refused

NOT_ALLOWED = "is not allowed; allowed are labbook.callbacks.*"
SHELL: dict[str, Any] = {"_target_": "os.system", "command": "touch canary"}

# The node `callbacks.evil` of a configuration, and a part of the sentence that refuses it.
NODES: dict[str, tuple[dict[str, Any], str]] = {
    "a shell": (SHELL, NOT_ALLOWED),
    "another shell": ({"_target_": "subprocess.getoutput", "cmd": "touch canary"}, NOT_ALLOWED),
    "eval": ({"_target_": "builtins.eval", "_args_": ["open('canary', 'w')"]}, NOT_ALLOWED),
    "exec": ({"_target_": "builtins.exec", "_args_": ["open('canary', 'w')"]}, NOT_ALLOWED),
    "import": ({"_target_": "importlib.import_module", "name": BAIT}, NOT_ALLOWED),
    "a module of the path": ({"_target_": f"{BAIT}.anything"}, NOT_ALLOWED),
    "the module itself": ({"_target_": BAIT}, NOT_ALLOWED),
    "partial": ({"_target_": "functools.partial", "_args_": [SHELL]}, NOT_ALLOWED),
    "partial of partial": (
        {"_target_": "functools.partial", "_args_": [{"_target_": "functools.partial", "_partial_": True}]},
        NOT_ALLOWED,
    ),
    "getattr": ({"_target_": "builtins.getattr", "_args_": ["os", "system"]}, NOT_ALLOWED),
    "torch.load": ({"_target_": "torch.load", "f": "x", "weights_only": False}, NOT_ALLOWED),
    "torch.hub": ({"_target_": "torch.hub.load", "repo_or_dir": "a/b", "model": "c"}, NOT_ALLOWED),
    "pickle": ({"_target_": "pickle.loads", "data": "x"}, NOT_ALLOWED),
    "Hydra again": ({"_target_": "hydra.utils.instantiate", "config": SHELL}, NOT_ALLOWED),
    "Hydra's look-up": ({"_target_": "hydra.utils.get_method", "path": f"{BAIT}.x"}, NOT_ALLOWED),
    "a library of networks": (
        {"_target_": "torchvision.models.get_model", "weights": "DEFAULT"}, "does not return a Callback",
    ),
    "a library of metrics": ({"_target_": "torchmetrics.Accuracy", "task": "binary"}, "is not a subclass of Callback"),
    "a library of data sets": ({"_target_": "torchvision.datasets.CIFAR10", "root": "x"}, NOT_ALLOWED),
    "weights from a server": ({"_target_": "torchmetrics.image.PerceptualPathLength"}, "would download weights"),
    "no text": ({"_target_": ["os.system"]}, NOT_ALLOWED),
    "a mapping": ({"_target_": {"_target_": "os.system"}}, NOT_ALLOWED),
    "the package's own imports": ({"_target_": "labbook.data.image_cache.os.system"}, NOT_ALLOWED),
    "its import of a class": ({"_target_": "labbook.data.torchvision_dataset.Path", "_args_": ["x"]}, NOT_ALLOWED),
    "Lightning's imports": ({"_target_": "pytorch_lightning.loggers.csv_logs.os.system"}, NOT_ALLOWED),
    "torch's imports": ({"_target_": "torch.optim.lr_scheduler.partial", "_args_": [SHELL]}, NOT_ALLOWED),
    "a module of an allowed one": ({"_target_": "torch.optim.sgd.torch.load", "f": "x"}, NOT_ALLOWED),
    "an inherited loader": ({"_target_": "labbook.models.mlp.MLP.load_from_checkpoint"}, "callbacks.evil._target_="),
    "a function of the package": ({"_target_": "labbook.data.image_cache.cached_images"}, "does not return a Callback"),
    "a class of another group": ({"_target_": "labbook.models.mlp.MLP"}, "is not a subclass of Callback"),
    "a module in a mapping": ({"_target_": "labbook.callbacks.Progress", "bar": SHELL}, NOT_ALLOWED),
    "nested in a callback": (
        {"_target_": "pytorch_lightning.callbacks.LambdaCallback", "on_fit_start": SHELL}, NOT_ALLOWED,
    ),
    "a function inside a callback": (
        {
            "_target_": "pytorch_lightning.callbacks.LambdaCallback",
            "on_fit_start": {"_target_": "torch.optim.swa_utils.update_bn"},
        },
        "is a function; inside callbacks only classes are allowed",
    ),
    "deferred": ({"_target_": "labbook.callbacks.Progress", "_partial_": True}, "_partial_=true is for optimizer"),
    "positional": ({"_target_": "labbook.callbacks.Progress", "_args_": [True]}, "_args_ is not a setting"),
    "unresolved": ({"_target_": "labbook.callbacks.Progress", "_recursive_": False}, "_recursive_ is not a setting"),
    "its own whitelist": (
        {"_target_": "labbook.callbacks.Progress", "_execution_whitelist_": ["os.*"]}, "_execution_whitelist_ is not",
    ),
    "a checkpoint elsewhere": (
        {"_target_": "pytorch_lightning.callbacks.ModelCheckpoint", "dirpath": "../x"}, "dirpath is set by the program",
    ),
    "a file elsewhere": (
        {"_target_": "pytorch_lightning.callbacks.ModelCheckpoint", "filename": "../../x"}, "leads out of",
    ),
    "deep": ({"a": {"b": [{"c": [SHELL]}]}}, "is not an object that can be created"),
}  # fmt: skip


def dumped(value: Any) -> str:
    """Plain data as an override takes it."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{dumped(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(dumped, value)) + "]"
    if isinstance(value, str):
        return '"' + value.replace('"', '\\"') + '"'
    return str(value).lower()


@pytest.fixture
def entrances(program: Command, evaluated: Command, stranger: Callable[..., Path]) -> list[Callable[[Any], Ended]]:
    """The ways of a node into the program."""

    def by_experiment(node: Any) -> Ended:
        experiment({"callbacks": {"evil": node}})
        return program("--config-dir=more", "experiment=evil")

    return [
        lambda node: program(f"+callbacks.evil={dumped(node)}"),
        by_experiment,
        lambda node: program(f"resume={stranger(callbacks={'evil': node})}", "epochs=3"),
        lambda node: evaluated(str(stranger(callbacks={"evil": node}))),
    ]


@pytest.mark.parametrize("name", mostly_slow(NODES, 3))
def test_a_hostile_node_is_refused(name: str, entrances: list[Callable[[Any], Ended]]) -> None:
    node, part = NODES[name]
    turn = list(NODES).index(name)  # all of them at each entrance would take minutes
    refused(entrances[turn % len(entrances)](node), part)


@each_case("name", NODES)
def test_a_hostile_node_is_refused_wherever_it_comes_from(name: str, traps: Traps) -> None:
    node, part = NODES[name]
    with pytest.raises(SettingError, match=re.escape(part)):
        instantiate.check_node_tree({"evil": node}, "callbacks")


def experiment(content: Any, header: str = "_global_", path: str = "experiment/evil.yaml") -> Path:
    """A file of settings in the folder `more`."""
    file = Path("more") / path
    file.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else yaml.safe_dump(content)
    file.write_text(f"# @package {header}\n{text}", encoding="utf-8")
    return file


# Files of settings from elsewhere ------------------------------------------------------------------------------------

BOMB = "a: &a [x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(20)
)
ELSEWHERE = "is allowed only in configs/ and on the command line"
RESOLVED = "is allowed only in configs/ and on the command line"
OUTWARD = "leads out of the current folder"
OF_HYDRA = "settings of Hydra are allowed only in configs/ and on the command line"

# The text of an experiment, and a part of the sentence that refuses it.
FILES: dict[str, tuple[str, str]] = {
    "a callback of Hydra": ("hydra: {callbacks: {a: {_target_: os.system, command: touch canary}}}", ELSEWHERE),
    "the environment": ("hydra: {job: {env_set: {PATH: /tmp}}}", ELSEWHERE),
    "another folder for the job": ("hydra: {job: {chdir: true}, run: {dir: /tmp/x}}", ELSEWHERE),
    "files of Hydra": ("hydra: {output_subdir: ../x}", ELSEWHERE),
    "a launcher": ("hydra: {launcher: {_target_: os.system}}", ELSEWHERE),
    "a launcher's commands": ("hydra: {launcher: {setup: [touch canary]}}", ELSEWHERE),
    "a sweeper": ("hydra: {sweeper: {_target_: os.system}}", ELSEWHERE),
    "a database of a search": ("hydra: {sweeper: {storage: 'sqlite:////tmp/x.db'}}", ELSEWHERE),
    "a logging factory": (
        "hydra: {job_logging: {version: 1, formatters: {a: {'()': os.system, command: touch canary}}}}", ELSEWHERE,
    ),
    "a logging class": ("hydra: {hydra_logging: {version: 1, handlers: {a: {class: os.system}}}}", ELSEWHERE),
    "a search path": (f"hydra: {{searchpath: ['pkg://{BAIT}']}}", ELSEWHERE),
    "Hydra's settings swept": ("hydra: {sweeper: {params: {hydra.job.env_set.PATH: '/a,/b'}}}", ELSEWHERE),
    "Hydra's settings added": ("hydra: {sweeper: {params: {+hydra.callbacks.a._target_: os.system}}}", ELSEWHERE),
    "a package moved": ("defaults: [{/model@hydra.job.env_set: mlp}]", OF_HYDRA),
    "params that are text": ("hydra: {sweeper: ['x']}", ELSEWHERE),
    "a secret": ("data: {root: '${oc.env:AWS_SECRET_ACCESS_KEY}'}", RESOLVED),
    "any variable": ("log_dir: '${oc.env:HOME}'", RESOLVED),
    "a nested resolver": ("data: {root: '${data.${oc.env:HOME}}'}", RESOLVED),
    "a resolver with a name put together": ("data: {root: '${oc.${objective}:HOME}'}", RESOLVED),
    "a value in a swept name": ("hydra: {sweeper: {params: {'data.root=${oc.env:HOME},x': y}}}", ELSEWHERE),
    "a decoder": ("epochs: '${oc.decode:\"[1]\"}'", RESOLVED),
    "a maker": ("callbacks: {a: '${oc.create:{_target_:os.system}}'}", RESOLVED),
    "Hydra's own": ("log_dir: '${hydra:runtime.cwd}'", RESOLVED),
    "the clock": ("log_dir: 'x${now:%Y}'", RESOLVED),
    "a folder above": ("log_dir: ../x", OUTWARD),
    "a folder from the root": ("log_dir: /tmp/x", OUTWARD),
    "a home": ("log_dir: ~/x", OUTWARD),
    "a folder of Windows": ("log_dir: 'C:\\x'", OUTWARD),
    "a cache above": ("data: {cache_dir: a/../../x}", OUTWARD),
    "a swept folder": ("hydra: {sweeper: {params: {log_dir: 'a,../x'}}}", OUTWARD),
    "a server": ("logger: {tracking_uri: 'https://example.org'}", OUTWARD),
    "a run's folder": ("sweep: {job: {folder: a/b}}", "sweep.job.folder=a/b must have only letters"),
    "a name of Windows": ("sweep: {name: aux.txt}", "sweep.name=aux.txt is a device name of Windows"),
    "a Python tag": ("seed: !!python/object/apply:os.system ['touch canary']", "holds a YAML tag"),
    "an own tag": ("seed: !evil 1", "holds a YAML tag"),
    "a bomb of aliases": (BOMB, "holds a YAML anchor or alias"),
    "depth": ("a: " + "[" * 5000 + "]" * 5000, "holds more than 20 levels"),
    "a huge key": (f"{'k' * 20_000}: 1", "holds a text of more than 10,000 characters"),
    "a huge file": ("# " + "x" * 1_000_001, "is larger than 1,000,000 bytes"),
    "a zero byte": ('log_dir: "a\\0b"', "holds control characters"),
    "defaults that are none": ("defaults: 3", ""),
    "a line end": ('log_dir: "a\\rb"', "holds control characters"),
}  # fmt: skip


@pytest.mark.parametrize("name", mostly_slow(FILES, 5))
def test_a_hostile_experiment_is_refused(name: str, program: Command) -> None:
    text, part = FILES[name]
    experiment(text)
    way = ("--config-dir=more", "-cd=more", "hydra.searchpath=[more]")[list(FILES).index(name) % 3].split("=", 1)
    options = ["=".join(way)] if way[0] != "-cd" else way
    refused(program(*options, "experiment=evil"), part)


@each_case("name", [name for name, (_, part) in FILES.items() if part and "sweep." not in part])
def test_a_hostile_file_is_refused_before_hydra_sees_it(name: str, traps: Traps) -> None:
    text, part = FILES[name]
    with pytest.raises(SettingError, match=re.escape(part)):
        untrusted.FileConfigSource("test", str(traps.home / "more")).load_config(
            str(experiment(text).relative_to("more"))
        )


def test_a_file_may_name_images_and_their_table_anywhere(traps: Traps) -> None:
    path = experiment("data: {root: /photos, labels: ../labels.csv}").relative_to("more")
    loaded = untrusted.FileConfigSource("test", str(traps.home / "more")).load_config(str(path))
    assert loaded.config.data == {"root": "/photos", "labels": "../labels.csv"}


def test_a_file_that_is_no_text_is_refused(program: Command) -> None:
    experiment("epochs: 1").write_bytes("# @package _global_\n# Größe\nepochs: 1\n".encode("latin-1"))
    refused(program("--config-dir=more", "experiment=evil"), "evil.yaml cannot be read: it is not UTF-8 text")


@pytest.mark.parametrize("header", ["hydra.job.env_set", "_global_.hydra.callbacks", "hydra"])
def test_no_file_puts_itself_among_the_settings_of_hydra(header: str, program: Command) -> None:
    experiment("PATH: x", header)
    refused(program("--config-dir=more", "experiment=evil"), OF_HYDRA)


@pytest.mark.parametrize("argument", ["hydra/launcher=evil", "+hydra/callbacks=evil", "hydra/job_logging=evil"])
def test_no_file_from_elsewhere_is_a_choice_of_hydra(argument: str, program: Command) -> None:
    group = argument.lstrip("+").partition("=")[0]
    experiment(SHELL, f"{group.replace('/', '.')}", f"{group}/evil.yaml")
    refused(program("--config-dir=more", argument), OF_HYDRA)


def test_a_primary_file_from_elsewhere_is_refused_before_its_search_path(program: Command) -> None:
    experiment(f"defaults: [schema]\nhydra: {{searchpath: ['pkg://{BAIT}']}}", path="train.yaml")
    refused(program("--config-path", str(Path("more").absolute())), f"hydra.searchpath {ELSEWHERE}")


@pytest.mark.parametrize(
    "argument", ["experiment=../../evil", "model=../../evil", "model=/etc/passwd", "data=..\\evil"]
)
def test_a_choice_is_a_name(argument: str, program: Command) -> None:
    Path("evil.yaml").write_text("# @package _global_\nepochs: 1\n")
    refused(program("--config-dir=.", argument))


HYDRA = [
    "hydra.launcher._target_=os.system",
    f"hydra.launcher._target_={BAIT}.x",
    f"hydra.sweeper._target_={BAIT}.x",
    f"+hydra.callbacks.a={{_target_:{BAIT}.x}}",
    "+hydra.callbacks.a={_target_:os.system,command:'touch canary'}",
    "hydra.job_logging={version:1,formatters:{a:{'()':os.system,command:'touch canary'}}}",
    "hydra.hydra_logging={version:1,formatters:{a:{'()':" + BAIT + ".x}}}",
    "sweep.name=../x",
    "sweep.name=a:b",
    "sweep.name=nul",
    "sweep.name='a '",
    "sweep.name=a.",
    f"sweep.name={'a' * 300}",
    "sweep.job.folder=../x",
]


@pytest.mark.parametrize("argument", mostly_slow(HYDRA, 2))
def test_a_hostile_word_of_the_command_is_refused(argument: str, program: Command) -> None:
    refused(program("-m", "seed=1,2", *QUICK, argument))


@pytest.mark.parametrize("option", ["--experimental-rerun=more", "--exp=more", "--experimental-rerun"])
def test_no_folder_gives_the_command(option: str, program: Command) -> None:
    (metadata := Path("more/.hydra")).mkdir(parents=True)
    (metadata / "overrides.yaml").write_text("['+hydra.callbacks.a._target_=os.system']")
    (metadata / "hydra.yaml").write_text("hydra: {overrides: {hydra: [], task: []}, job: {}}")
    assert refused(program(option, "more")) == f"{option}: use resume=FOLDER to resume a run"


def test_a_launchers_process_that_knows_it_already_can_start_hydra() -> None:
    untrusted.register_config_source([CONFIGS])
    Plugins.instance()._initialize()  # as Hydra does it there, after it was given what this process has registered
    assert SourcesRegistry.instance().types["file"] is untrusted.FileConfigSource
