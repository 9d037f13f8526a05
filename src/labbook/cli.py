"""The command line: help for a person, and every refusal in one sentence. Imports no torch."""

import argparse
import errno
import functools
import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, NoReturn

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.errors import (
    HydraException,
    MissingConfigException,
    OverrideParseException,
)
from omegaconf import DictConfig
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, OmegaConfBaseException, ValidationError

from labbook import config as settings
from labbook import foreign, secrecy
from labbook.errors import Interrupted, SettingError, TrainingError, choices, first_line, unwritable
from labbook.foreign import CONFIGS as CONFIGS
from labbook.identity import identity
from labbook.names import printable
from labbook.resuming import continued, read_config
from labbook.signals import hand_on
from labbook.sweeps import claims, jobs, launchers, sweepers
from labbook.sweeps.folder import read_mark

HELP = """\
Train an image classifier: python train.py [GROUP=CHOICE ...] [SETTING=VALUE ...]

Groups and their choices (* is the default):
{groups}
Settings reached for first (all of them: python train.py --cfg job):
  seed=42  epochs=30  optimizer.lr=0.001  data.batch_size=64  data.shuffle=true  data.root=data
  model.SETTING (see the choice with --cfg job -p model)  trainer.precision=32  data.limit=1000

Examples:
  python train.py                                         LeNet-5 on the embedded digits
  python train.py model=alexnet data=cifar10 epochs=10    another network, another data set
  python train.py experiment=b1_lenet5_mnist              a laboratory's whole setting by its name
  python train.py -m model=mlp model.depth=2,3,4,5        a sweep: one run for each value; again: goes on
  python train.py -m sweep=smoke seeds=3                  a preset, each setting with three seeds
  python train.py resume=logs/runs/NAME epochs=40         continue a run, or train it for longer

Of a sweep (docs/sweeps.md): sweep.name=NAME  sweep.rerun=true  sweep.on_error=stop  hydra/launcher=joblib
  hydra/sweeper=optuna; its table again: python scripts/report.py logs/sweeps/NAME

Also: --cfg job (print the configuration), --info defaults, -sc install=bash (completion), --hydra-help.
"""


def description(path: Path) -> str:
    """The first comment of a configuration file that is not an instruction to Hydra."""
    lines = (line[1:].strip() for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("#"))
    return next((line for line in lines if not line.startswith("@")), "")


def files_of(group: str, configs: Path = CONFIGS) -> list[Path]:
    """The choices of a group."""
    return sorted((configs / group).glob("*.yaml"))


def help_text(configs: Path = CONFIGS) -> str:
    """The page that `--help` prints, made from the listing of `configs/` and the comment that opens each file."""
    defaults = dict(
        re.findall(r"^  - (\w+): (\w+)", (configs / "train.yaml").read_text(encoding="utf-8"), re.MULTILINE)
    )
    lines = []
    for group in settings.GROUPS:
        lines.append(f"  {group}=")
        for path in files_of(group, configs):
            mark = "*" if defaults.get(group) == path.stem else " "
            lines.append(f"   {mark} {path.stem:<18} {description(path)}")
    return HELP.format(groups="\n".join(lines) + "\n")


def known_settings(arguments: list[str]) -> DictConfig:
    """The configuration that the group choices among `arguments` give, to look up valid keys in."""
    groups = [group for group in settings.GROUPS if group not in settings.FILES]
    chosen = [item for item in arguments if item.partition("=")[0] in groups and "," not in item]
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--config-dir", "-cd")
    folder = parser.parse_known_args(arguments)[0].config_dir
    also = [f"hydra.searchpath=[{Path(folder).absolute()}]"] if folder else []
    with hydra.initialize_config_dir(str(CONFIGS)):
        return hydra.compose("train", overrides=[*chosen, *also])


def explain(error: Exception, arguments: list[str]) -> str:
    """One sentence for what Hydra refused: the setting, and the valid choices."""
    cause = error.__cause__ or error.__context__
    if isinstance(error, MissingConfigException) and str(error.missing_cfg_file).startswith("hydra/sweeper/sampler"):
        return launchers.not_installed("hydra/sweeper=optuna", "optuna")
    if isinstance(error, MissingConfigException) and error.options is not None and error.missing_cfg_file:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return f"{group}={name} is unknown; {choices(name, error.options)}"
    if isinstance(error, OverrideParseException):
        hint = "write SETTING=VALUE, a list as [a,b], and quote what the shell would change"
        return f"cannot read '{error.override}': {hint}"
    if ambiguous := re.match(r"Ambiguous value for argument '(\S+)=(.+?)'|Sweep parameters '(\S+)=(.+?)'", str(error)):
        name, values = [part for part in ambiguous.groups() if part]
        or_list = "" if name in settings.GROUPS else f", or write {name}=[{values}] for a list"
        return f"{name}={values} gives several values: add -m to sweep over them{or_list}"
    if "does not support sweep type" in str(error):
        return "interval(...) is drawn from by a search: add hydra/sweeper=optuna, or give the values, as KEY=A,B"
    if again := re.search(
        r"Multiple values for (\w+)\.|force-add of config groups is not supported: '\+\+(\w+)", str(error)
    ):
        name = again.group(1) or again.group(2)
        return f"{name} is chosen without a sign before it: {name}=CHOICE"
    file = re.match(r"In '(.+?)'", str(error))
    where = f"{file.group(1)}.yaml: " if file else ""
    if no_group := re.search(r"Invalid Defaults List override '/?(\w+): ", str(error)):
        return f"{where}{no_group.group(1)} is not a group; {choices(no_group.group(1), settings.GROUPS)}"
    if isinstance(cause, (ConfigAttributeError, ConfigKeyError)) and cause.full_key:
        name = str(cause.full_key)
        if file and name in settings.FILES:
            return f"{where}its first line must be '# @package _global_', as its settings are those of the root"
        return f"{where}{settings.no_setting(name, known_settings(arguments))}"
    if isinstance(cause, ValidationError) and cause.full_key:
        return f"{where}{cause.full_key}: {first_line(cause)}"
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        return f"{error.full_key}: {first_line(error)}"
    if isinstance(cause, OmegaConfBaseException):
        return f"{first_line(error)}: {first_line(cause)}"
    return str(error)


def refuse(text: str, code: int) -> NoReturn:
    """End the program with one sentence on the error stream."""
    print(f"error: {printable(' '.join(text.split()))}", file=sys.stderr)
    sys.exit(code)


@contextmanager
def sentences() -> Iterator[None]:
    """Where the user, the data or a signal ends what is done within: one sentence and an exit code, no traceback."""
    try:
        yield
    except SettingError as error:
        refuse(str(error), 2)
    except (HydraException, OmegaConfBaseException) as error:
        refuse(explain(error, sys.argv[1:]), 2)
    except TrainingError as error:
        refuse(str(error), 1)
    except OSError as error:
        if not unwritable(error):
            raise
        denied = error.errno in (errno.EACCES, errno.EPERM)
        refuse(
            f"{'no access to' if denied else 'cannot write'} {error.filename or 'a file'}: {error.strerror or error}", 2
        )
    except Interrupted as stop:
        hand_on(stop.signum)
        sys.exit(128 + stop.signum)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)


def job(task: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """The task of one run: its configuration checked, or that of the run which it continues, and its end in words."""

    @functools.wraps(task)
    def guarded(config: DictConfig) -> Any:
        with sentences():
            config = settings.checked(config)
            if config.sweep.job.folder:
                return jobs.run(task, config)
            if config.resume:
                return resumed(task, config)
            return task(config)

    return guarded


def resumed(task: Callable[[DictConfig], Any], config: DictConfig) -> Any:
    """Go on with the run that `config.resume` names; one of a sweep only as the sweep itself would do it.

    Raises:
        SettingError: see `continued`; or somebody is at work on the run.
    """
    folder, origin = Path(config.resume), f"{config.resume}/config.yaml"
    going_on = settings.typed(continued(config, list(HydraConfig.get().overrides.task), settings.GROUPS), origin)
    if read_mark(folder.parent) is None:
        return task(going_on)
    if identity(going_on) != identity(settings.typed(read_config(folder), origin)):
        raise SettingError(
            f"{folder} is a run of a sweep and stays as it is: give the sweep's command another value instead"
        )
    with claims.claimed(folder.parent, folder.name) as mine:
        if not mine:
            raise SettingError(f"{folder} is being worked on by {claims.holder(folder.parent, folder.name)}")
        return task(going_on)


def command_line(main: Callable[[], Any]) -> NoReturn:
    """Run a `hydra.main` task as a program: exit code 0, 1 (failed), 2 (refused), 130 or 143 (stopped by a signal)."""
    arguments = sys.argv[1:]
    if {"--help", "-h"} & set(arguments):
        print(help_text())
        sys.exit(0)
    settings.register()
    sweepers.register()
    foreign.register()
    secrecy.register()
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra then hands errors on instead of printing them its own way
    with sentences():
        refuse_dashes(arguments)
        refuse_job(arguments)
        try:
            main()
        except yaml.YAMLError as error:
            raise SettingError(f"a file of the configuration cannot be read: {error}") from error
        except RuntimeError as error:
            if "srun" in str(error):
                raise SettingError("hydra/launcher=submitit_slurm: this machine has no Slurm (no srun)") from error
            extra = launchers.missing_extra(str(error))
            if extra is None and str(error).startswith("Unknown plugin class"):
                raise SettingError(
                    f"{error}: hydra/launcher=CHOICE and hydra/sweeper=CHOICE name what there is"
                ) from error
            if extra is None:
                raise
            asked = next((item for item in arguments if item.startswith("hydra/launcher=")), f"the launcher {extra}")
            raise SettingError(launchers.not_installed(asked, extra)) from error
        except ValueError as error:
            if not str(error).startswith("Config group override must be"):
                raise
            raise SettingError(no_choice(arguments)) from error
    sys.exit(0)


def refuse_dashes(arguments: list[str]) -> None:
    """Refuse settings written as options, such as --epochs=3, and the option by which a folder gives the command.

    Raises:
        SettingError: saying how they are written.
    """
    known = {*settings.GROUPS, *(item.name for item in fields(settings.TrainConfig))}
    for argument in arguments:
        name, equals, value = argument.lstrip("-").partition("=")
        if argument.startswith("--exp") and "--experimental-rerun".startswith(f"--{name}"):
            raise SettingError(f"{argument}: a run is continued with resume=FOLDER")
        if argument.startswith("--") and name.partition(".")[0] in known:
            raise SettingError(
                f"{argument}: settings are written without dashes, {name}={value if equals else 'VALUE'}"
            )


def refuse_job(arguments: list[str]) -> None:
    """Refuse what only a sweep tells its own runs.

    Raises:
        SettingError: naming the setting.
    """
    for argument in arguments:
        name = argument.lstrip("+~").partition("=")[0]
        if name == "sweep.job" or name.startswith("sweep.job."):
            raise SettingError(f"{name} is set by the program: use sweep.name=NAME for a sweep's folder")


def no_choice(arguments: list[str]) -> str:
    """What to say of a group that is given something else than a name, such as model=null or model=3."""
    for argument in arguments:
        name, _, value = argument.partition("=")
        if name in settings.GROUPS and not isinstance(yaml.safe_load(value), str):
            return f"{name}={value} is not a choice; {choices(value, (path.stem for path in files_of(name)))}"
    return "a setting has no name: write SETTING=VALUE"
