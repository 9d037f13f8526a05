"""The configurations of a sweep's jobs: composed and checked before the first run starts."""

import copy

from hydra.core.hydra_config import HydraConfig
from hydra.types import HydraContext
from omegaconf import DictConfig, open_dict

from labbook.config import renames
from labbook.config.job_config import config_sources, job_config
from labbook.config.schema import GROUPS
from labbook.errors import SettingError
from labbook.runs.run_id import note_own_files, run_id
from labbook.runs.sweep_folder import IdentityIndex, SweepFolder
from labbook.sweeps.checking import check_job, depends_on_surroundings, has_setting
from labbook.sweeps.naming import is_left_out_of_name, overrides_slug


class JobComposer:
    """Composes the jobs of a sweep.

    Attributes:
        index: run IDs of jobs that were composed before.
        left_out: forced settings, and the swept choices without them.
        taken: forced settings that a choice has.
    """

    def __init__(self, sweep: SweepFolder, over: list[str], context: HydraContext, config: DictConfig) -> None:
        self.over, self.context, self.config = over, context, config
        self.index = IdentityIndex(sweep.path, config_sources(config.hydra))
        self.left_out: set[tuple[str, str]] = set()
        self.taken: set[str] = set()

    def run_id(self, overrides: list[str]) -> str:
        key = "\n".join(overrides)
        known = self.index.identities.get(key)
        if known is not None:
            return known
        config = self.composed(self.fitting(overrides))
        check_job(config)
        found = run_id(config)
        if not depends_on_surroundings(config):
            self.index.identities[key] = found
        return found

    def fitting(self, overrides: list[str]) -> list[str]:
        """A job's overrides without `++GROUP.SETTING=VALUE` if the group is swept and its choice lacks it."""
        forced = [item for item in overrides if item.startswith("++") and "." in item]
        if not forced or not {*GROUPS} & {*self.over}:
            return overrides
        plain = self.composed([item for item in overrides if item not in forced])
        left_out = [item for item in forced if not has_setting(plain, item.lstrip("+").partition("=")[0])]
        for item in left_out:
            name = item.lstrip("+").partition("=")[0]
            if renamed := renames.instead(name):
                raise SettingError(renamed)
            group = name.partition(".")[0]
            self.left_out.add((item, f"{group}={plain.config_groups.get(group)}"))
        self.taken.update(item for item in forced if item not in left_out)
        return [item for item in overrides if item not in left_out]

    def check_left_out(self) -> None:
        for wrong in sorted({item for item, _ in self.left_out} - self.taken):
            choices = ", ".join(sorted(choice for item, choice in self.left_out if item == wrong))
            raise SettingError(f"{wrong}: none of {choices} has this setting")

    def slug(self, overrides: list[str]) -> str:
        """The first part of a run's name: what varies in the sweep, or all overrides."""
        named = {item: item.partition("=")[0] for item in overrides}
        varying = [item for item, key in named.items() if key in self.over]
        return overrides_slug(varying or [item for item, key in named.items() if not is_left_out_of_name(key)])

    def composed(self, overrides: list[str]) -> DictConfig:
        """The checked configuration of a job."""
        whole = self.context.config_loader.load_sweep_config(self.config, overrides)
        before = HydraConfig.instance().cfg
        with open_dict(whole):
            whole.hydra.mode = self.config.hydra.mode
        HydraConfig.instance().set_config(whole)
        try:
            config = copy.copy(whole)
            with open_dict(config):
                del config["hydra"]
            return note_own_files(job_config(config))
        finally:
            HydraConfig.instance().cfg = before
