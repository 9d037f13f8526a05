"""Runs a command and prints what it took, as JSON; for `processes.measured`.

A process of its own, as the peak memory that the system reports of a process counts that of the one it was started
from: this one is small.
"""

import json
import subprocess
import sys
import time


def main() -> None:
    """Run the command that the arguments make."""
    import resource  # which Windows does not have

    began, started = time.time(), time.perf_counter()
    ended = subprocess.run(sys.argv[1:], capture_output=True, text=True, encoding="utf-8", check=False)
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    unit = 1 if sys.platform == "darwin" else 1024  # bytes that ru_maxrss counts in
    took = {
        "began": began,
        "seconds": seconds,
        "cpu": used.ru_utime + used.ru_stime,
        "peak": used.ru_maxrss * unit,
        "code": ended.returncode,
        "out": ended.stdout,
        "err": ended.stderr,
    }
    print(json.dumps(took))


if __name__ == "__main__":
    main()
