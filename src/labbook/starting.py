"""Imported first by a program: until it has begun its work, Ctrl-C ends it at once and quietly."""

import signal

from labbook.signals import end_at_once

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, end_at_once)
