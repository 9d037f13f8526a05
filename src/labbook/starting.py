"""Imported first by a program: it looks at its Python, repairs its streams, fills in ~ and has no windows.

Until its work begins, Ctrl-C ends it at once and quietly.
"""

from labbook import installation

installation.check_installation()  # before anything that an older Python cannot read

import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402

from labbook import streams  # noqa: E402
from labbook.signals import end_at_once  # noqa: E402

streams.repair_streams()
os.environ["MPLBACKEND"] = "agg"  # a notebook hands on its own, which only its own Python has

for number, word in enumerate(sys.argv):  # a shell leaves the ~ of --csv=~/table.csv and of '~/images' as it is
    option, equals, path = word.partition("=") if word.startswith("--") else ("", "", word)
    if path.startswith("~/"):
        sys.argv[number] = option + equals + os.path.expanduser(path)  # noqa: PTH111

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, end_at_once)
