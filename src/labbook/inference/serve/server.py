"""Serves the page to this machine only, until a signal ends it."""

import os
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import gradio as gr
import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.middleware.trustedhost import TrustedHostMiddleware

from labbook.inference.serve import gradio_page
from labbook.inference.serve.explainer import Explainer
from labbook.inference.serve.open_port import HOST, refuse_other_hosts
from labbook.inference.trained_model import TrainedModel
from labbook.signals import StopSignals

LARGEST = 64 * 2**20  # bytes of an uploaded image
FILES, TOTAL = 100, 256 * 2**20  # files that Gradio may keep, and their bytes
PATIENCE = 1  # seconds to wait for open connections at the end

# The browser itself then asks no other machine, and runs no handlers in HTML such as onerror. Gradio's page has inline
# scripts and makes functions of texts.
POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; script-src-attr 'none'; frame-ancestors 'none';"
    " form-action 'self'; base-uri 'self'; object-src 'none'"
)


def is_from_another_page(request: Request) -> bool:
    """Whether a browser makes a request for another web page. Those may only link to this page."""
    headers, linked = request.headers, request.method == "GET" and request.url.path == "/"
    if headers.get("origin", own := f"http://{headers.get('host', '')}") != own:
        return True
    linked &= headers.get("sec-fetch-mode") == "navigate"
    return headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and not linked


async def guard(request: Request, answer: Callable[[Request], Awaitable[Response]]) -> Response:
    """Middleware: refuse requests of other pages, send the policy, and keep few of the files."""
    if is_from_another_page(request):
        return Response("Requests from other pages are not allowed.", 403)
    response = await answer(request)
    response.headers["Content-Security-Policy"] = POLICY
    remove_old(Path(os.environ["GRADIO_TEMP_DIR"]))
    return response


def remove_old(folder: Path) -> None:
    """Keep the newest `FILES` files below a folder, with `TOTAL` bytes together."""
    found = {}
    for file in folder.rglob("*.*"):
        with suppress(FileNotFoundError):
            found[file] = file.stat()
    total = 0
    for place, file in enumerate(sorted(found, key=lambda file: found[file].st_mtime, reverse=True)):
        total += found[file].st_size
        if place >= FILES or total > TOTAL:
            file.unlink(missing_ok=True)


def application(explainer: Explainer) -> FastAPI:
    """The page behind its guards. `TrustedHostMiddleware` stops DNS rebinding."""
    blocks = gradio_page.build_page(explainer)
    blocks.has_launched = True  # else Gradio takes any file of this machine for an uploaded one
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.middleware("http")(guard)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    return gr.mount_gradio_app(
        app, blocks, path="/", server_name=HOST, theme=gradio_page.THEME, css=gradio_page.STYLE, max_file_size=LARGEST,
        footer_links=[], run_history=False, enable_monitoring=False, mcp_server=False, pwa=False, ssr_mode=False,
        show_error=False,
    )  # fmt: skip


def serve(network: TrainedModel, listener: socket.socket) -> None:
    """Serve the page of a network at the port of `listener`.

    Raises:
        StoppedBySignal: at the signal that ends it.
    """
    explainer = Explainer(network)
    app = application(explainer)
    print(f"{explainer.title}: {explainer.about}")
    print(f"page: http://{HOST}:{listener.getsockname()[1]} (stop with Ctrl-C)", flush=True)
    sys.addaudithook(refuse_other_hosts)
    config = uvicorn.Config(app, log_config=None, log_level="critical", timeout_graceful_shutdown=PATIENCE)
    with StopSignals():
        uvicorn.Server(config).run(sockets=[listener])
