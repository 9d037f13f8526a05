"""Propose a learning rate: `python scripts/find_lr.py [SETTING=VALUE ...] [--output FILE]`.

Settings are those of train.py. The network trains for some steps while the learning rate grows from --lowest to
--highest (a learning rate range test, arXiv 1506.01186). The curve of the loss is drawn, and three rates are read off
it; docs/recipes.md explains them. Schedule and callbacks are not used. No run is made.
"""

import argparse
import math
import sys
from pathlib import Path
from typing import NoReturn

import hydra
from omegaconf import DictConfig

from labbook import lazy_imports
from labbook.cli import command_line
from labbook.config import invocation, job_config
from labbook.config.path_rules import quote_override
from labbook.errors import SettingError, list_choices
from labbook.installation import CONFIGS
from labbook.runs import outputs

KINDS = ("png", "svg", "pdf")
FEWEST = 20  # steps


def parse_range_test() -> argparse.Namespace:
    parser = invocation.command_parser("find-lr", __doc__)
    parser.add_argument("settings", nargs="*", metavar="SETTING=VALUE", help="settings of the run")
    parser.add_argument("--config-dir", metavar="FOLDER", help="as in train.py: a folder with more configurations")
    parser.add_argument("--lowest", type=float, default=1e-6, metavar="LR", help="first learning rate (1e-6)")
    parser.add_argument("--highest", type=float, default=10.0, metavar="LR", help="last learning rate (10)")
    parser.add_argument("--steps", type=int, default=100, metavar="N", help="optimizer steps (default: 100)")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="plot: *.png, *.svg or *.pdf (default: find_lr_MODEL_DATA.png)"
    )
    return parser.parse_intermixed_args()


def check_arguments(given: argparse.Namespace) -> None:
    if given.steps < FEWEST:
        raise SettingError(f"--steps must be at least {FEWEST}, not {given.steps}")
    if not 0 < given.lowest < given.highest < math.inf:
        raise SettingError(f"--lowest {given.lowest:g} and --highest {given.highest:g}: use 0 < lowest < highest")
    outputs.check_outputs({"--output": given.output})
    if given.output and not outputs.is_stream(given.output) and file_kind(given.output) not in KINDS:
        raise SettingError(f"--output {given.output}: {list_choices(file_kind(given.output), KINDS, 'endings')}")


def file_kind(file: Path) -> str:
    return file.suffix.lower().removeprefix(".")


@invocation.called_by("find-lr")
@command_line.exit_with_message()
def main() -> NoReturn:
    given = parse_range_test()
    check_arguments(given)
    added = [] if given.config_dir is None else [f"--config-dir={given.config_dir}"]
    sys.argv[1:] = [*added, *given.settings]

    @hydra.main(config_path=str(CONFIGS), config_name="train", execution_whitelist=command_line.allowed_targets())
    def task(config: DictConfig) -> None:
        with command_line.exit_with_message():
            find_rates(job_config.job_config(config), given)

    command_line.run_overrides(task, sys.argv[1:])
    sys.exit(0)


def find_rates(config: DictConfig, given: argparse.Namespace) -> None:
    """Test a configuration, draw the curve and print the proposals."""
    if config.resume:
        raise SettingError(f"resume={config.resume}: find-lr tests a new run: leave it out")
    with lazy_imports.import_torch_stack():  # takes seconds, which an error need not wait for
        from labbook import fit
        from labbook.callbacks import lr_range_test
        from labbook.plots.learning_rates import rate_curve

    model, data = (config.config_groups[group] for group in ("model", "data"))
    file = given.output or Path(f"find_lr_{model}_{data}.png")
    with outputs.print_beside_outputs(file):
        test = lr_range_test.LearningRateRangeTest(given.lowest, given.highest, given.steps)
        if loaded := fit.run_range_test(config, test):
            print(loaded)
        rates, losses = test.curve
        proposals = lr_range_test.propose_rates(rates, losses)
        title = f"learning rate range test: {model} on {data}, {len(losses)} steps"
        marks = [(item.name, item.rate) for item in proposals]
        kind = file_kind(file) if file_kind(file) in KINDS else KINDS[0]
        outputs.write_output(
            file, rate_curve(rates.tolist(), losses.tolist(), lr_range_test.smooth(losses).tolist(), marks, title, kind)
        )
        for item in proposals:
            print(f"{item.name:<12}  {item.rate:<8g}  {item.reason}")
        print(f"plot: {file}")
        settings = " ".join([*map(quote_setting, given.settings), f"optimizer.lr={proposals[-1].rate:g}"])
        print(f"to train with the last one: {invocation.program_name()} {settings}")


def quote_setting(word: str) -> str:
    name, _, value = word.partition("=")
    return quote_override(name, value)
