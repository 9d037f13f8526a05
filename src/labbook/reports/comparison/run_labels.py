"""The shortest distinct names for runs."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

STAMP = re.compile(r"^(\d{4}-\d\d-\d\d)_(\d\d-\d\d-\d\d)_(?=.)")  # the start time in the folder's name of a single run


def run_labels(paths: Sequence[Path]) -> list[str]:
    """The names of the folders without the time, with the time, or with their parent folders."""
    whole = [path.absolute() for path in paths]
    stems = [STAMP.sub("", path.name) for path in whole]
    alike = {stem for stem, count in Counter(stems).items() if count > 1}
    days = {stamp[1] for path in whole if (stamp := STAMP.match(path.name))}
    names = []
    for path, stem in zip(whole, stems, strict=True):
        stamp = STAMP.match(path.name) if stem in alike else None
        time = stamp and (stamp[2] if len(days) == 1 else f"{stamp[1]}_{stamp[2]}")
        names.append(f"{stem}@{time}" if time else stem)
    return names if len(set(names)) == len(names) else without_common([path.parts for path in whole])


def without_common(paths: Sequence[Sequence[str]]) -> list[str]:
    """Paths, given as parts, without their common start; at least the last part stays."""
    least = min(map(len, paths)) - 1
    common = next((place for place in range(least) if len({path[place] for path in paths}) > 1), least)
    return ["/".join(path[common:]) for path in paths]
