"""Install Labbook in .venv and run its commands: behind `make`, and without it: `python scripts/make.py COMMAND`.

Uses only Python's own library. Any Python 3.8 or newer must be able to parse this file.
"""

from labbook import installation

installation.check_python()

import hashlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import re  # noqa: E402
import shutil  # noqa: E402
import signal  # noqa: E402
import subprocess  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

COMMANDS = {  # what a command does, and the programs of the environment that it starts
    "help": ["this list"],
    "setup": ['environment in .venv; EXTRAS="joblib wandb" adds extras, EXTRAS= removes all; TORCH=cpu|cuda|installed'],
    "train": ['train the default, or ARGS="model=alexnet data=cifar10"', "python train.py"],
    "test": ['all quick tests, or ARGS="tests/cli/test_command_line.py -k help"', "python -m pytest"],
    "test-slow": ["the tests that take minutes", "python -m pytest -m slow"],
    "lint": ["style and types", "ruff check .", "ruff format --check .", "mypy"],
    "format": ["correct the style", "ruff check --fix .", "ruff format ."],
    "lock": ["newest versions that pyproject.toml allows, into the locks", "python tools/write_locks.py"],
    "docs": ["the site of the pages in docs/, in site/; needs EXTRAS=docs", "zensical build --clean --strict"],
    "new-project": ["a project of your own that uses this one: NAME=../mylab", "python scripts/new_project.py"],
    "new-model": ["two files for a network of your own: NAME=my_net", "python scripts/new.py model"],
    "new-module": ["for a LightningModule with steps of its own: NAME=my_module", "python scripts/new.py module"],
    "new-data": ["for a data set of your own: NAME=my_set", "python scripts/new.py data"],
    "new-loss": ["for a loss of your own: NAME=my_loss", "python scripts/new.py loss"],
    "new-callback": ["for a callback of your own: NAME=my_callback", "python scripts/new.py callback"],
    "completion": ["TAB completes settings (bash, zsh, fish); ARGS=--remove ends it", "python scripts/completion.py"],
    "benchmark": [
        "speed, into docs/speed_results.md (an hour on an idle machine)",
        "python tools/measure_speed.py --write docs/speed_results.md",
    ],
    "stress": [
        "kills, full disks, bad input: what runs survive, into docs/reliability.md (half an hour)",
        "python tools/stress_test.py --write docs/reliability.md",
    ],
    "tensorboard": ["all runs in logs/, in the browser of this machine", "tensorboard --logdir logs --host localhost"],
    "clean": ["remove environment and caches; never logs/ or data/"],
}
OF_EXTRAS = {"zensical": "docs"}  # programs of an extra
VARIABLES = ("EXTRAS=", "TORCH=")  # words of any command, as for make, or environment variables

VENV = Path(".venv")
STAMP = VENV / ".installed"  # what is installed
PROJECT = Path("pyproject.toml")
LOCK = Path("requirements.lock")
CPU_LOCK = Path("requirements-cpu.lock")  # nothing for GPUs; torch without hashes: those of PyTorch's index differ
BUILDS = ("cpu", "cuda", "installed")  # of torch
TORCH_PACKAGES = ("torch", "torchvision")
OUTER_PACKAGES = "outer_torch.pth"  # adds the packages beside a torch that is installed elsewhere
CACHES = (".mypy_cache", ".pytest_cache", ".ruff_cache", ".hypothesis", ".cache", "build", "site")
FIND_TORCH = f"""
import json, sys
from importlib import metadata
found = [metadata.distribution(name) for name in {TORCH_PACKAGES}]
folders = [str(item.locate_file("")) for item in found]
print(json.dumps([sys.version_info[:2], [item.version for item in found], folders]))
"""


class SetupError(Exception):
    """What cannot be done, in one sentence."""


def main() -> None:
    """Run the command that is named first; exit code 2 if it is unknown, or cannot work."""
    try:
        if installation.CHECKOUT is None:
            raise SetupError("Labbook is installed as a package, which needs no setup: use labbook COMMAND")
        os.chdir(installation.CHECKOUT)
        run_command(*(sys.argv[1:] or ["help"]))
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def run_command(command: str, *words: str) -> None:
    """Run one of `COMMANDS`; the process ends with the exit code of its last program, or of the first that fails."""
    if command not in COMMANDS:
        raise SetupError(f"{command} is not a command; commands: {', '.join(COMMANDS)}")
    programs = COMMANDS[command][1:]
    variables = {name: os.environ[name] for name in ("EXTRAS", "TORCH") if name in os.environ}
    variables |= dict(word.split("=", 1) for word in words if word.startswith(VARIABLES))
    arguments = [word for word in words if not word.startswith(VARIABLES)]
    if arguments and not programs:
        taken = "EXTRAS=... and TORCH=..." if command == "setup" else "no words"
        raise SetupError(f"{command} takes {taken}, not {arguments[0]}")
    if command.startswith("new-"):
        arguments = [word.removeprefix("NAME=") for word in arguments] or [""]
    if command == "help":
        print("\n".join(f"{name:<14}{item[0]}" for name, item in COMMANDS.items()))
    elif command == "clean":
        remove_environment()
    elif command == "lock":
        create_environment()  # with uv; the packages may not be installable
    else:
        set_up(variables.get("EXTRAS"), variables.get("TORCH"), always=command == "setup")
    for number, program in enumerate(programs, start=1):
        name, *rest = program.split()
        if name in OF_EXTRAS and not executable(name).exists():
            raise SetupError(f"{name} is not installed: make setup EXTRAS={OF_EXTRAS[name]}")
        start([str(executable(name)), *rest, *arguments], last=number == len(programs))


def start(command: list[str], last: bool) -> None:
    """Run a program; the last one takes the place of this process, so that signals reach it."""
    print(" ".join(command), flush=True)
    if last and os.name == "posix":
        os.execv(command[0], command)
    if os.name == "nt":
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the program handles Ctrl-C
    if (code := subprocess.call(command)) or last:
        sys.exit(code)


def executable(name: str) -> Path:
    """A program of the environment."""
    return VENV / "Scripts" / f"{name}.exe" if os.name == "nt" else VENV / "bin" / name


def set_up(extras: str | None, torch: str | None, always: bool) -> None:
    """Install the packages of the locks, if anything changed since the last time, or `always`.

    `extras` are added to those that are installed, and an empty text removes all. `torch` is one of `BUILDS`. None: as
    it was; at first, what fits the machine.
    """
    added = (extras or "").split()
    check_choices(added, torch)
    before = read_stamp()
    build = torch or before.get("torch") or usual_build()
    names = sorted({*added, *(before.get("extras", []) if extras is None or added else [])})
    if not always and stamp(build, names) == before:
        return
    outer = outer_folders() if build == "installed" else []
    create_environment()
    if build == "cpu" and not torch and not before and not reaches_cpu_builds():
        print("PyTorch's index of CPU builds cannot be reached: PyPI's torch has CUDA, which is 4 GB more", flush=True)
        build = "cuda"
    if before:
        unfinished = {**before, "files": None}  # if it fails, the next time is as before
        STAMP.write_text(json.dumps(unfinished), encoding="utf-8")
    print(f"install in {VENV}: torch {build}, extras: {' '.join(names) or 'none'}", flush=True)
    show_outer_packages(outer)
    synchronize(build, names)
    STAMP.write_text(json.dumps(stamp(build, names)), encoding="utf-8")


def check_choices(extras: list[str], torch: str | None) -> None:
    if unknown := [name for name in extras if name not in installation.EXTRAS]:
        raise SetupError(f"EXTRAS={' '.join(unknown)} is not an extra; extras: {' '.join(installation.EXTRAS)}")
    if torch is not None and torch not in BUILDS:
        raise SetupError(f"TORCH={torch} is unknown; choices: {', '.join(BUILDS)}")
    if torch == "cuda" and sys.platform == "darwin":
        raise SetupError("TORCH=cuda: macOS has no CUDA; choices: cpu (it can use Apple's GPUs), installed")


def stamp(torch: str, extras: list[str]) -> dict[str, Any]:
    """What an environment has: the build of torch, the extras, and a hash of the files that name the packages."""
    files = (PROJECT, LOCK, CPU_LOCK, *map(extra_lock, extras))
    names = hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()
    return {"torch": torch, "extras": extras, "files": names}


def read_stamp() -> dict[str, Any]:
    """What `VENV` has; empty if nothing, or if it is unknown."""
    try:
        found: dict[str, Any] = json.loads(STAMP.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found


def usual_build() -> str:
    """The build of torch for this machine."""
    return "cuda" if shutil.which("nvidia-smi") or Path("/dev/nvidia0").exists() else "cpu"


def extra_lock(extra: str) -> Path:
    """The packages that an extra adds to those of `LOCK`."""
    return Path(f"requirements-{extra}.lock")


def create_environment() -> None:
    """Create `VENV` with uv in it, if it is not there."""
    python = executable("python")
    if not python.exists():
        made = subprocess.run([sys.executable, "-m", "venv", str(VENV)], stdout=subprocess.DEVNULL, check=False)
        if made.returncode:  # Colab's Python and Debian's cannot install pip there
            run([sys.executable, "-m", "venv", "--without-pip", "--clear", str(VENV)])
    if not executable("uv").exists():
        has_pip = subprocess.run([python, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
        pip = [str(python), "-m", "pip"] if has_pip else [sys.executable, "-m", "pip", "--python", str(python)]
        run([*pip, "install", "--quiet", "--disable-pip-version-check", "uv"])


def outer_folders() -> list[str]:
    """The folders of torch and torchvision that are installed outside `VENV`, for the Python that runs this."""
    inside = Path(sys.prefix).resolve() == VENV.resolve()
    base = str(Path(sys.base_prefix, "python.exe" if os.name == "nt" else "bin/python3"))
    pythons = [sys.executable, base] if inside else [sys.executable]
    for python in pythons:
        found = subprocess.run([python, "-c", FIND_TORCH], capture_output=True, text=True, check=False)
        if found.returncode:
            continue
        version, versions, folders = json.loads(found.stdout)
        if any(Path(folder).resolve().is_relative_to(VENV.resolve()) for folder in folders):
            continue
        check_versions(version, versions)
        return list(dict.fromkeys(folders))
    raise SetupError(
        f"TORCH=installed: {pythons[-1]} has no torch and torchvision: name the Python that has them,"
        " make setup TORCH=installed PYTHON=PATH, or use TORCH=cpu or TORCH=cuda"
    )


def check_versions(python: list[int], versions: list[str]) -> None:
    """Refuse an installed torch that is too old, or for another Python than that of the environment."""
    for name, version in zip(TORCH_PACKAGES, versions, strict=True):
        needed = re.search(rf'"{name}>=([\d.]+)"', PROJECT.read_text(encoding="utf-8"))
        if needed and numbers(version) < numbers(needed[1]):
            old = f"TORCH=installed: {name} {version} is older than {needed[1]}"
            raise SetupError(f"{old}: use TORCH=cpu or TORCH=cuda")
    settings = VENV / "pyvenv.cfg"
    made = re.search(r"version\w* *= *([\d.]+)", settings.read_text(encoding="utf-8")) if settings.exists() else None
    if made and numbers(made[1]) != tuple(python):
        raise SetupError(f"TORCH=installed: {VENV} is of another Python than torch: remove it first, with make clean")


def numbers(version: str) -> tuple[int, ...]:
    """The first two numbers of a version."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def show_outer_packages(folders: list[str]) -> None:
    """Let the environment import the packages in other folders, after its own."""
    places = [*VENV.glob("lib/python3.*/site-packages"), *VENV.glob("Lib/site-packages")]  # the second on Windows
    file = places[0] / OUTER_PACKAGES
    file.unlink(missing_ok=True)
    if folders:
        file.write_text("\n".join(folders) + "\n", encoding="utf-8")


def reaches_cpu_builds() -> bool:
    """Whether PyTorch's builds for CPUs can be downloaded; PyPI has them for macOS and Windows only."""
    probe = f"pip install --quiet --dry-run --no-deps --torch-backend cpu --python {executable('python')} torch"
    environment = {**os.environ, "UV_HTTP_RETRIES": "1"}
    return (
        sys.platform != "linux"
        or not subprocess.run(
            [executable("uv"), *probe.split()], env=environment, stderr=subprocess.DEVNULL, check=False
        ).returncode
    )


def synchronize(torch: str, extras: list[str]) -> None:
    """Install exactly the packages of the locks, and Labbook."""
    base, options = LOCK, ["--require-hashes"]
    if torch == "installed":
        base = VENV / LOCK.name
        pins = tuple(f"{name}==" for name in TORCH_PACKAGES)
        lines = CPU_LOCK.read_text(encoding="utf-8").splitlines(keepends=True)
        base.write_text("".join(line for line in lines if not line.startswith(pins)), encoding="utf-8")
    elif (sys.platform, torch) in (("linux", "cpu"), ("win32", "cuda")):  # builds that are in PyTorch's index only
        base, options = CPU_LOCK, ["--torch-backend", "cpu" if torch == "cpu" else "auto"]
    uv("pip", "sync", *options, *map(str, (base, *map(extra_lock, extras))))
    uv("pip", "install", "--no-deps", "--no-build-isolation", "--editable", ".")


def uv(*words: str) -> None:
    """Run uv for the environment."""
    environment = {**os.environ, "UV_COMPILE_BYTECODE": "1"}
    run([str(executable("uv")), *words, "--quiet", "--python", str(executable("python"))], environment)


def run(command: list[str], environment: dict[str, str] | None = None) -> None:
    """Run a part of the setup, whose own error is on the terminal."""
    if code := subprocess.call(command, env=environment):
        raise SetupError(f"exit code {code} of {' '.join(command)}")


def remove_environment() -> None:
    for folder in (VENV, *map(Path, CACHES), *Path("src").glob("*.egg-info")):
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
