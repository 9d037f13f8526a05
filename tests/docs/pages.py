"""The pages, the blocks of code in them, and the commands. Those that no test runs are listed here, with the reason."""

import re
import shlex
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in (*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md")), *sorted(ROOT.glob("docs/es/*.md")))
}

PROJECT = ROOT / "tests" / "own"  # the project of a user's own...
IN_PROJECT = ("docs/changing.md",)  # ... and the pages whose commands are typed in it

NOT_RUN = {
    "make lint": "checks the whole project, as everything that is handed in is checked",
    "make test": "would run itself",
    "make test-slow": "would run itself",
    "make lock": "asks for packages that may be newer",
}
NEEDS_SLURM = ("submitit_slurm",)  # tests/sweeps/test_slurm.py has a Slurm of its own

# What a command needs beyond the usual packages: a part of it -> the extra and a module of that.
EXTRAS = {
    "launcher=joblib": ("joblib", "hydra_plugins.hydra_joblib_launcher"),
    "launcher=ray": ("ray", "hydra_plugins.hydra_ray_launcher"),
    "launcher=submitit": ("submitit", "hydra_plugins.hydra_submitit_launcher"),
    "sweeper=optuna": ("optuna", "hydra_plugins.hydra_optuna_sweeper"),
    "sweep=search_": ("optuna", "hydra_plugins.hydra_optuna_sweeper"),
    "scripts/export.py": ("export", "onnx"),
    "scripts/serve.py": ("serve", "gradio"),
    "model=timm": ("timm", "timm"),
    "timm.optim": ("timm", "timm"),
    "timm.scheduler": ("timm", "timm"),
}


def blocks(language: str, page: str) -> list[str]:
    """What the blocks of code in one language hold."""
    return re.findall(rf"^```{language}\n(.*?)^```", page, re.DOTALL | re.MULTILINE)


def commands(page: str) -> list[str]:
    """The lines of all blocks for a shell, those that end in a backslash joined, without comments."""
    lines = "".join(blocks("sh", page)).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def missing_extra(line: str) -> str | None:
    """The extra that a command needs and that is not installed."""
    for part, (extra, module) in EXTRAS.items():
        if part in line and (find_spec(module.partition(".")[0]) is None or find_spec(module) is None):
            return extra
    return None


def why_not(line: str) -> str | None:
    """Why no test runs a command; None of those that are run."""
    if any(part in line for part in NEEDS_SLURM):
        return "needs Slurm"
    return NOT_RUN.get(line)


def simple(line: str) -> Iterator[list[str]]:
    """The words of each simple command of a line: of `a | b && c`, and of `eval "$(a)"`."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    words: list[str] = []
    for word in [*lexer, ";"]:
        if inner := re.fullmatch(r"\$\((.*)\)", word, re.DOTALL):
            yield from simple(inner[1])
        elif set(word) <= set("|&;()<>"):
            if words:
                yield words
            words = []
        else:
            words.append(word)
