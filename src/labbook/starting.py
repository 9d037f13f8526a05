"""Imported first by a program: Ctrl-C ends it at once and quietly until its work begins, and matplotlib has no window.

A notebook hands the programs that it starts a matplotlib backend that only its own environment has.
"""

import os
import signal

from labbook.signals import end_at_once

os.environ["MPLBACKEND"] = "agg"  # also for the processes that this one starts

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, end_at_once)
