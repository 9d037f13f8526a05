"""Bad input: the kinds that are known by name, and arguments bent at random. Each ends in one sentence."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from labbook.errors import SettingError
from tools.benchmark.processes import ROOT
from tools.stress import processes
from tools.stress.part import Effort, Outcome, held, table
from tools.stress.processes import Ended

KINDS = "tests/*/test_bad_*.py"
FIRST = ("data.limit=32",)  # so that what works is quick, too
RUN = ("model=mlp", "model.width=4", "data.limit=32", "epochs=1", "callbacks=none", "logger=none", *processes.ALIKE)
NOTE = (
    "Known error cases: those in `{}`. Random commands: one to three real settings or options. Some have misspelt"
    " names, wrong types, huge numbers, interpolations, lists, quotes, letters of other alphabets, or `+`, `++`,"
    " `~`. Every fifth command has `resume=`. Each command runs until the training would start."
)
REFUSED, BEGUN, LATE, TRACES, CHANGED, OTHER = (
    "one error message",
    "valid, training would start",
    "stopped by the time limit",
    "tracebacks",
    "files changed",
    "other exits",
)


def part(effort: Effort) -> Outcome:
    """The known kinds in a process of their own, then the commands at random in this one."""
    if not find_spec("hypothesis"):
        raise SettingError("the part inputs needs Hypothesis and pytest: make setup installs them")
    from tools.stress import dry_run

    over = effort.over()
    passed, failed = known(effort)
    ends: Counter[str] = Counter()
    broken = [f"{failed} of the known error cases"] if failed else []
    with tempfile.TemporaryDirectory() as folder, inside(Path(folder)):
        run = existing(Path(folder))
        before = held(Path(folder))

        def tried(arguments: list[str], resumes: bool) -> None:
            words = [*([f"resume={run}"] if resumes else FIRST), *arguments]
            end, why = judged(dry_run.command(*words), before)
            ends[end] += 1
            if end in (TRACES, CHANGED, OTHER):
                broken.append(f"{end}: python train.py {subprocess.list2cmdline(words)}: {why}")
                restore(Path(folder), before)

        at_random(tried, effort, over)
    figures: dict[str, object] = {"known error cases with the correct message": f"{passed} of {passed + failed}"}
    figures |= {"random commands": ends.total()}
    figures |= {end: ends[end] for end in (REFUSED, BEGUN, LATE, TRACES, CHANGED, OTHER)}
    return Outcome(table("Bad input", figures, NOTE.format(KINDS)), broken)


def known(effort: Effort) -> tuple[int, int]:
    """How many of the named kinds are refused as they should be, and how many are not."""
    chosen = ["-k", "setting_that_cannot_work"] if effort.quick else []
    files = [str(file) for file in sorted(ROOT.glob(KINDS))]
    dry_run = [sys.executable, "-m", "pytest", *files, "--quiet", "--numprocesses", str(effort.jobs), *chosen]
    text = subprocess.run(dry_run, cwd=ROOT, capture_output=True, text=True, check=False).stdout
    counts = {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|error)", text)}
    return counts.get("passed", 0), counts.get("failed", 0) + counts.get("error", 0)


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def existing(folder: Path) -> Path:
    """A finished run in a folder, beside a file that is nobody's."""
    (folder / "mine.txt").write_text("mine\n", encoding="utf-8")
    code = processes.run(*RUN, cwd=folder)
    run = processes.run_in(folder)
    assert code == 0, processes.said(folder)
    assert run is not None
    (folder / processes.SAID).unlink()
    return run.relative_to(folder)


def at_random(tried: Callable[[list[str], bool], None], effort: Effort, over: Callable[[], bool]) -> None:
    """Hand on so many commands, drawn by Hypothesis."""
    from hypothesis import HealthCheck, Phase, given, seed, settings
    from hypothesis import strategies as st

    from tools.stress import fuzz_overrides

    @seed(effort.seed)
    @settings(
        max_examples=effort.count(1000, 30),
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(fuzz_overrides.arguments(), st.integers(0, 4).map(lambda number: number == 0))
    def each(arguments: list[str], resumes: bool) -> None:
        if not over():
            tried(arguments, resumes)

    each()


def judged(ended: Ended, before: dict[str, bytes]) -> tuple[str, str]:
    """How a command ended in the working folder, which held `before`, and what tells so."""
    from tools.stress.dry_run import BEGINS

    lines = ended.err.strip().splitlines()
    if processes.TRACEBACK in ended.out + ended.err:
        return TRACES, lines[-1]
    after = held(Path.cwd())
    if after != before:
        return CHANGED, ", ".join(sorted(name for name in {*before, *after} if before.get(name) != after.get(name)))
    if ended.code < 0:
        return LATE, ""
    if ended.code == 2 and ended.sentence == BEGINS:
        return BEGUN, ""
    one = ended.code in (1, 2) and len(lines) == 1 and bool(ended.sentence)
    return (REFUSED if one else OTHER), f"exit code {ended.code}, {ended.err.strip()[:300]!r}"


def restore(folder: Path, files: dict[str, bytes]) -> None:
    """Have a folder hold these files and nothing else."""
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
