"""The temperature of a run: one number that its logits are divided by, so that its confidence is right.

`evaluate.py --calibrate` writes it; predict, serve and export use it with the weights that it was fitted to.
"""

import math
from pathlib import Path

from labbook.errors import SettingError
from labbook.files import read_json

FILE = "evaluation/calibration.json"  # in the run folder


def read_calibration(run: Path) -> tuple[float, int] | None:
    """The temperature of a run, and the epoch of the weights that it is for; None if the run has none."""
    file = run / FILE
    if not file.is_file():
        return None
    content = read_json(file)
    try:
        temperature, epoch = float(content["temperature"]), int(content["epoch"])
    except (ValueError, LookupError, TypeError):
        temperature, epoch = math.nan, 0
    if not 0 < temperature < math.inf:
        raise SettingError(f"{file} is damaged: write it again with evaluate.py --calibrate, or delete it")
    return temperature, epoch


def temperature_of(run: Path, epoch: int) -> float:
    """The temperature for the weights of an epoch; 1, which changes nothing, without one."""
    found = read_calibration(run)
    return found[0] if found is not None and found[1] == epoch else 1.0


def calibration_notes(run: Path, epoch: int) -> list[str]:
    """A note on the temperature of a run, which is used or is for other weights."""
    found = read_calibration(run)
    if found is None:
        return []
    if found[1] == epoch:
        return [f"probabilities are calibrated with the temperature {found[0]:.4g} in {run / FILE}"]
    return [f"the temperature in {run / FILE} is for the weights of epoch {found[1]}, so it is not used here"]
