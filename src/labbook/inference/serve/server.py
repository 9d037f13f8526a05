"""The server of the page, for this machine only. Imports torch and Gradio only to serve."""

import os
import socket
import sys
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from labbook.errors import SettingError, missing_package_message, printable
from labbook.signals import StopSignals

if TYPE_CHECKING:
    from fastapi import FastAPI, Request, Response

    from labbook.inference.serve.explain import Explainer
    from labbook.inference.trained_model import TrainedModel

HOST, PORT = "127.0.0.1", 7860
THIS_MACHINE = (HOST, "localhost", b"localhost", "::1", "", None)
LARGEST = 64 * 2**20  # bytes of an uploaded image
PATIENCE = 1  # seconds to wait for open connections at the end

# The browser asks no other machine, and runs no HTML handlers such as onerror. Gradio's page needs inline scripts and
# eval.
POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; script-src-attr 'none'; frame-ancestors 'none';"
    " form-action 'self'; base-uri 'self'; object-src 'none'"
)


def listen(port: int) -> socket.socket:
    """A socket on a port of this machine; 0: any free port."""
    for package in ("gradio", "captum"):
        if find_spec(package) is None:
            raise SettingError(missing_package_message(package, "serve"))
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
    """Gradio without reports and settings of the shell, in a temporary folder. Enter it before Gradio is imported."""
    for name in [name for name in os.environ if name.startswith("GRADIO_")]:
        del os.environ[name]
    os.environ |= {"GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
    with tempfile.TemporaryDirectory(prefix="labbook-serve-", ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        yield


def refuse_other_hosts(event: str, arguments: tuple[Any, ...]) -> None:
    """Python audit hook: no connections to other machines. Gradio would download a file that a message names by URL."""
    host = None
    if event == "socket.getaddrinfo":
        host = arguments[0]
    elif event == "socket.connect" and isinstance(arguments[1], tuple):  # not a socket in the file system
        host = arguments[1][0]
    if host not in THIS_MACHINE:
        raise PermissionError(f"no connection to {printable(host)}: this page works only on this machine")


def is_from_another_page(request: "Request") -> bool:
    """Whether a browser sends the request for another web page, which may only link to this page."""
    headers = request.headers
    linked = request.method == "GET" and request.url.path == "/" and headers.get("sec-fetch-mode") == "navigate"
    foreign = headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not linked
    return foreign or headers.get("origin") not in (None, f"http://{headers.get('host')}")


async def guard(request: "Request", answer: "Callable[[Request], Awaitable[Response]]") -> "Response":
    """Middleware: reject requests of other pages, and send the policy."""
    from fastapi import Response

    if is_from_another_page(request):
        return Response("Requests from other pages are not allowed.", 403)
    response = await answer(request)
    response.headers["Content-Security-Policy"] = POLICY
    return response


def application(explainer: "Explainer") -> "FastAPI":
    """The page behind its guards. `TrustedHostMiddleware` prevents DNS rebinding."""
    import gradio as gr
    from fastapi import FastAPI
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from labbook.inference.serve import page

    blocks = page.build_page(explainer)
    blocks.has_launched = True  # else Gradio accepts any file of this machine as an uploaded one
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.middleware("http")(guard)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    return gr.mount_gradio_app(
        app, blocks, path="/", server_name=HOST, theme=page.THEME, css=page.STYLE, max_file_size=LARGEST,
        footer_links=[], run_history=False, enable_monitoring=False, mcp_server=False, pwa=False, ssr_mode=False,
        show_error=False,
    )  # fmt: skip


def serve(network: "TrainedModel", listener: socket.socket) -> None:
    """Serve the page of a network until a signal raises StoppedBySignal."""
    import uvicorn

    from labbook.inference.serve.explain import Explainer

    explainer = Explainer(network)
    app = application(explainer)
    print(f"{explainer.title}: {explainer.about}")
    print(f"page: http://{HOST}:{listener.getsockname()[1]} (stop with Ctrl-C)", flush=True)
    sys.addaudithook(refuse_other_hosts)
    config = uvicorn.Config(app, log_config=None, log_level="critical", timeout_graceful_shutdown=PATIENCE)
    with StopSignals():
        uvicorn.Server(config).run(sockets=[listener])
