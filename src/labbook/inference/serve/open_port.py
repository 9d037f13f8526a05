"""What the server needs before torch and Gradio are imported: the extra, a port, and Gradio's environment."""

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from labbook.errors import SettingError, missing_package_message, printable

HOST, PORT = "127.0.0.1", 7860
THIS_MACHINE = (HOST, "localhost", b"localhost", "::1", "", None)


def check_installed() -> None:
    """Refuse to serve without the extra `serve`."""
    for package in ("gradio", "captum"):
        if find_spec(package) is None:
            raise SettingError(missing_package_message(package, "serve"))


def listen(port: int) -> socket.socket:
    """A socket that listens on a port of this machine; on a free one for 0."""
    if not 0 <= port < 2**16:
        raise SettingError(f"--port={port} must be from 0 (any free port) to 65535")
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise SettingError(
            f"port {port} cannot be used ({why}): use another with --port N, or any free port with --port 0"
        ) from error


@contextmanager
def private_gradio() -> Iterator[None]:
    """Within this, Gradio sends no reports, ignores `GRADIO_...` of the shell, and stores files that go at the end.

    Enter it before Gradio is imported.
    """
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    with tempfile.TemporaryDirectory(prefix="labbook-serve-", ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        yield


def refuse_other_hosts(event: str, arguments: tuple[Any, ...]) -> None:
    """Refuse all connections from this process to other machines: an audit hook of Python's.

    Gradio would fetch what a message names by an address instead of a file.
    """
    host = None
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):  # else a socket in the file system
        host = arguments[1][0]
    if host not in THIS_MACHINE:
        raise PermissionError(f"no connection to {printable(host)}: this page works only on this machine")
