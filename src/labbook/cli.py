"""The command line: help for a person, and every refusal in one sentence. Imports no torch."""

import errno
import functools
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import (
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException, ValidationError

from labbook import config as settings
from labbook.errors import Interrupted, SettingError, TrainingError, choices
from labbook.resuming import continued

CONFIGS = Path(__file__).parents[2] / "configs"

UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS)

HELP = """\
Train an image classifier: python train.py [GROUP=CHOICE ...] [SETTING=VALUE ...]

Groups and their choices (* is the default):
{groups}
Settings reached for first (all of them: python train.py --cfg job):
  seed=42  epochs=30  optimizer.lr=0.001  data.batch_size=64  data.shuffle=true  data.root=data
  model.SETTING (see the choice with --cfg job -p model)  trainer.precision=32  log_dir=logs

Examples:
  python train.py                                         LeNet-5 on the embedded digits
  python train.py model=alexnet data=cifar10 epochs=10    another network, another data set
  python train.py experiment=b1_lenet5_mnist              a laboratory's whole setting by its name
  python train.py -m model=mlp model.depth=2,3,4,5        a sweep: one run for each value
  python train.py resume=logs/runs/NAME epochs=40         continue a run, or train it for longer

Also: --cfg job (print the configuration), --info defaults, -sc install=bash (completion), --hydra-help.
"""


def description(path: Path) -> str:
    """The first comment of a configuration file that is not an instruction to Hydra."""
    lines = (line[1:].strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#"))
    return next((line for line in lines if not line.startswith("@")), "")


def help_text(configs: Path = CONFIGS) -> str:
    """The page that `--help` prints, made from the listing of `configs/` and the comment that opens each file."""
    defaults = dict(
        re.findall(r"^  - (\w+): (\w+)", (configs / "train.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    )
    lines = []
    for group in settings.GROUPS:
        lines.append(f"  {group}=")
        for path in sorted((configs / group).glob("*.yaml")):
            mark = "*" if defaults.get(group) == path.stem else " "
            lines.append(f"   {mark} {path.stem:<18} {description(path)}")
    return HELP.format(groups="\n".join(lines) + "\n")


def checked(config: DictConfig) -> DictConfig:
    """The configuration of one job, refused before anything slow is imported if a key or a root value is wrong.

    Also notes under `choices` which file of each group was taken.

    Raises:
        SettingError: naming the setting.
    """
    chosen = HydraConfig.get().runtime.choices
    added = {item.lstrip("+").split("=")[0] for item in HydraConfig.get().overrides.task if item.startswith("+")}
    if chosen.get("experiment") or chosen.get("debug"):
        files = [f"{group}={chosen[group]}" for group in settings.GROUPS[:-2]]
        settings.check_keys(config, hydra.compose("train", overrides=files), added)
    settings.check_ranges(config)
    for name in sorted(OmegaConf.missing_keys(config)):
        raise SettingError(f"{name} has no default: give {name}=VALUE")
    with open_dict(config):
        config.choices = {
            group: chosen.get(group) for group in settings.GROUPS if chosen.get(group) not in (None, "null")
        }
    return config


def known_settings(overrides: list[str]) -> DictConfig:
    """The configuration that the group choices among `overrides` give, to look up valid keys in."""
    groups = [item for item in overrides if item.split("=")[0] in settings.GROUPS[:-2] and "," not in item]
    with hydra.initialize_config_dir(str(CONFIGS)):
        return hydra.compose("train", overrides=groups)


def explain(error: Exception, overrides: list[str]) -> str:
    """One sentence for what Hydra refused: the setting, and the valid choices."""
    cause = error.__cause__ or error.__context__
    if isinstance(error, MissingConfigException) and error.options is not None and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return f"{group}={name} is unknown; {choices(name, error.options)}"
    if isinstance(error, OverrideParseException):
        hint = "write SETTING=VALUE, a list as [a,b], and quote what the shell would change"
        return f"cannot read '{error.override}': {hint}"
    if ambiguous := re.match(r"Ambiguous value for argument '(\S+)=(.+?)'|Sweep parameters '(\S+)=(.+?)'", str(error)):
        name, values = [part for part in ambiguous.groups() if part]
        return f"{name}={values} gives several values: add -m to sweep over them, or write {name}=[{values}] for a list"
    if isinstance(cause, (ConfigAttributeError, ConfigKeyError)) and cause.full_key:
        name = str(cause.full_key)
        parent, _, key = name.rpartition(".")
        known = known_settings(overrides)
        beside = OmegaConf.select(known, parent) if parent else known
        file = re.match(r"In '(.+?)'", str(error))
        where = f"configs/{file.group(1)}.yaml: " if file else ""
        return f"{where}{name} is no setting; {choices(key, settings.visible(beside), 'settings here')}"
    if isinstance(cause, ValidationError) and cause.full_key:
        return f"{cause.full_key}: {first_line(cause)}"
    if isinstance(cause, OmegaConfBaseException):
        return f"{first_line(error)}: {first_line(cause)}"
    return " ".join(str(error).split())


def first_line(error: BaseException) -> str:
    """The error's own sentence without the lines that say where it was raised."""
    return str(error).strip().split("\n")[0].rstrip(".")


def refuse(text: str, code: int) -> NoReturn:
    """End the program with one sentence on the error stream."""
    print(f"error: {text}", file=sys.stderr)
    sys.exit(code)


def job(task: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """The task of one run, ended with a sentence and an exit code where the user, the data or a signal ends it."""

    @functools.wraps(task)
    def guarded(config: DictConfig) -> Any:
        try:
            config = checked(config)
            return task(
                continued(config, list(HydraConfig.get().overrides.task), settings.GROUPS) if config.resume else config
            )
        except SettingError as error:
            refuse(str(error), 2)
        except TrainingError as error:
            refuse(str(error), 1)
        except OSError as error:
            if error.errno not in UNWRITABLE:
                raise
            refuse(f"cannot write {error.filename or 'a file'}: {error.strerror or error}", 2)
        except Interrupted as stop:
            sys.exit(128 + stop.signum)
        except KeyboardInterrupt:
            sys.exit(128 + signal.SIGINT)

    return guarded


def command_line(main: Callable[[], Any]) -> NoReturn:
    """Run a `hydra.main` task as a program: exit code 0, 1 (failed), 2 (refused), 130 or 143 (stopped by a signal)."""
    arguments = sys.argv[1:]
    if {"--help", "-h"} & set(arguments):
        print(help_text())
        sys.exit(0)
    settings.register()
    wants_traceback = os.environ.get("HYDRA_FULL_ERROR") == "1"
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then hands errors on instead of printing them its own way
    try:
        main()
    except (HydraException, OmegaConfBaseException) as error:
        if wants_traceback:
            raise
        refuse(explain(error, [item for item in arguments if "=" in item]), 2)
    sys.exit(0)
