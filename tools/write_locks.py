"""Write the lock files with the newest versions that pyproject.toml allows: `make lock`.

requirements.lock has the packages of every installation and those of the developers, for all systems, with hashes.
requirements-cpu.lock is the same without the packages for GPUs. PyTorch's builds for CPUs are in its own index and have
other hashes, so torch has none there. The lock of an extra has what the extra adds, in versions that suit all extras.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT / "src"))

from labbook import installation, setup  # noqa: E402 - after the path

FOR_GPUS = re.compile(r"(nvidia|cuda|triton)\b")
TORCH = re.compile(rf"({'|'.join(setup.TORCH_PACKAGES)})==\S+")
COMPILE = (
    "pip compile --quiet --universal --generate-hashes --no-annotate --no-emit-index-url --upgrade"
    " --prerelease if-necessary-or-explicit"
)


def main() -> None:
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    everything = entries(resolve("--extra", "dev"))
    write_lock(setup.LOCK, everything)
    write_lock(setup.CPU_LOCK, (without_hashes(entry) for entry in everything if not FOR_GPUS.match(entry)))
    with TemporaryDirectory() as folder:  # extras can be installed together
        together = Path(folder, "together.txt")
        together.write_text(resolve("--all-extras", "--constraints", str(setup.LOCK)), encoding="utf-8")
        for extra in installation.EXTRAS:
            with_extra = entries(resolve("--extra", extra, "--constraints", str(together)))
            write_lock(setup.extra_lock(extra), (entry for entry in with_extra if entry not in everything))


def resolve(*options: str) -> str:
    """The text of a lock for pyproject.toml."""
    command = [str(setup.executable("uv")), *COMPILE.split(), *options, "pyproject.toml"]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def entries(lock: str) -> list[str]:
    """A package each, with its hashes."""
    return re.findall(r"^\w.*(?:\n    .*)*\n", lock, re.MULTILINE)


def without_hashes(entry: str) -> str:
    """An entry that every build of torch fits; other packages keep their hashes."""
    found = TORCH.match(entry)
    return f"{found[0]}\n" if found else entry


def write_lock(path: Path, lines: Iterator[str] | list[str]) -> None:
    (ROOT / path).write_text("# written by make lock\n" + "".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
