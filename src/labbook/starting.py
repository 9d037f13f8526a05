"""Imported first by a program: it looks at its Python, repairs its streams and has no windows.

Until its work begins, Ctrl-C ends it at once and quietly.
"""

from labbook import installation

installation.check()  # before anything that an older Python cannot read

import os  # noqa: E402
import signal  # noqa: E402

from labbook import streams  # noqa: E402
from labbook.signals import end_at_once  # noqa: E402

streams.repair()
os.environ["MPLBACKEND"] = "agg"  # a notebook hands on its own, which only its own Python has

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, end_at_once)
