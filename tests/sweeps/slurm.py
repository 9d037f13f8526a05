"""Programs that stand in for those of Slurm: they note what is submitted and do it here, one task after another."""

import os
import sys
from pathlib import Path

PROGRAM = """#!{python}
import json, os, pathlib, re, subprocess, sys
name, arguments = pathlib.Path(sys.argv[0]).name, sys.argv[1:]
notes = pathlib.Path({notes!r})

def tasks(file):
    text = pathlib.Path(file).read_text()
    first, last = map(int, re.search(r"#SBATCH --array=(\\d+)-(\\d+)", text).groups())
    for task in range(first, last + 1):
        again = 0
        while True:
            job = {{"JOB_ID": str(700 + task), "ARRAY_JOB_ID": "77", "ARRAY_TASK_ID": str(task), "NTASKS": "1",
                    "JOB_NUM_NODES": "1", "NODEID": "0", "LOCALID": "0", "PROCID": "0", "JOB_NODELIST": "here",
                    "RESTART_COUNT": str(again)}}
            subprocess.run(["bash", file], env=os.environ | {{f"SLURM_{{key}}": value for key, value in job.items()}})
            requeued = notes / f"requeue-77_{{task}}"
            if not requeued.exists():
                break
            requeued.unlink()
            again += 1

if name == "sbatch" and arguments[0] == "--run":
    tasks(arguments[1])
elif name == "sbatch":
    file = notes / "submission.sh"
    file.write_text(pathlib.Path(arguments[-1]).read_text())
    if {refuses}:
        sys.exit("sbatch: error: Invalid account")
    subprocess.Popen([sys.argv[0], "--run", str(file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    print("Submitted batch job 77")
elif name == "srun":
    (notes / "pid").write_text(str(os.getpid()))
    while arguments[0].startswith("--"):
        option = arguments.pop(0)
        if option in ("--output", "--error"):
            arguments.pop(0)
    os.execvp(arguments[0], arguments)
elif name == "sacct":
    print("JobID|State|NodeList\\n77_[0-9]|RUNNING|here")
elif name == "scontrol":
    (notes / f"requeue-{{arguments[1]}}").touch()
    with (notes / "requeued").open("a") as file:
        file.write(" ".join(arguments) + "\\n")
"""


def install(folder: Path, refuses: bool = False) -> str:
    """Make the programs; returns the PATH that leads to them. `refuses`: nothing submitted is taken."""
    programs, notes = folder / "bin", folder / "notes"
    programs.mkdir()
    notes.mkdir()
    for name in ("sbatch", "srun", "scontrol", "sacct", "squeue", "scancel"):
        (programs / name).write_text(PROGRAM.format(python=sys.executable, notes=str(notes), refuses=refuses))
        (programs / name).chmod(0o755)
    return f"{programs}{os.pathsep}{os.environ['PATH']}"


def options_of(submission: Path) -> dict[str, str]:
    """The #SBATCH lines."""
    lines = [line.split() for line in submission.read_text().splitlines() if line.startswith("#SBATCH")]
    return dict(line[1].removeprefix("--").partition("=")[::2] for line in lines)
