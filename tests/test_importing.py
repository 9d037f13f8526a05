"""Heavy imports are left alone by the garbage collector, and nothing else is."""

import json
import subprocess
import sys

# Stands for torch, which takes seconds; tells what the collector does before, within and after.
SCRIPT = """
import atexit, gc, json, sys, types
from labbook import importing

gc.collect()
told = []
atexit.register(lambda: print(json.dumps([*told, gc.get_freeze_count()])))  # the last thing that happens
try:
    with importing.heavy():
        told.append(gc.isenabled())
        {within}
except ImportError:
    told.append("failed")
told += [gc.isenabled(), gc.get_freeze_count() > 0]
loop = []
loop.append(loop)
del loop
told.append(gc.collect() > 0)
with importing.heavy():
    told.append(gc.isenabled())
"""


def told(within: str) -> list[object]:
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(within=within)], capture_output=True, text=True, timeout=60, check=True
    )
    found: list[object] = json.loads(ended.stdout)
    return found


def test_garbage_is_not_looked_for_while_importing_and_is_afterwards_and_at_the_end() -> None:
    assert told("sys.modules['torch'] = types.ModuleType('torch')") == [False, True, True, True, True, 0]


def test_the_collector_is_on_again_after_an_import_that_failed() -> None:
    assert told("import labbook.nowhere")[:3] == [False, "failed", True]
