"""Import this first in a program: it checks Python, repairs the streams, expands ~ and disables windows.

Until the work starts, Ctrl-C ends the program at once and quietly.
"""

from labbook import installation

installation.check_installation()  # before anything that an older Python cannot read

import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402

from labbook import console  # noqa: E402
from labbook.signals import end_at_once  # noqa: E402

console.repair_streams()
os.environ["MPLBACKEND"] = "agg"  # a notebook passes its own backend on, which only its Python has

for number, word in enumerate(sys.argv):  # a shell does not expand the ~ in --csv=~/table.csv and '~/images'
    option, equals, path = word.partition("=") if word.startswith("--") else ("", "", word)
    if path.startswith(("~/", f"~{os.sep}")):
        sys.argv[number] = option + equals + os.path.expanduser(path)  # noqa: PTH111

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, end_at_once)
