"""Serves the page to this machine, and to nobody else, until it is told to stop."""

import asyncio
import os
import socket
import sys
from pathlib import Path

import gradio as gr
import uvicorn
from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from labbook.inference.serve import gradio_page
from labbook.inference.serve.explainer import Explainer
from labbook.inference.serve.open_port import HOST, keep_here, remove_old
from labbook.inference.trained_model import Trained
from labbook.signals import StopSignals

LARGEST = 64 * 2**20  # bytes of an image that is sent to the page
AT_ONCE = 2  # requests with a body, such as such images, that are taken in
PATIENCE = 1  # seconds that a browser's connections are waited for at the end

# The browser itself then refuses to ask anybody else, and to run what stands in an attribute, such as onerror. Gradio's
# page holds scripts, and makes functions of texts.
POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; script-src-attr 'none'; frame-ancestors 'none';"
    " form-action 'self'; base-uri 'self'; object-src 'none'"
)


class Guarded:
    """Answers what the page itself asks and no other page, sends the policy along, and keeps few of the pictures."""

    def __init__(self, app: ASGIApp, stored: Path) -> None:
        self.app, self.stored = app, stored
        self.room = asyncio.Semaphore(AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""
        if scope["type"] != "http":  # the page uses no other connections
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        if of_another_page(scope["method"], scope["path"], Headers(scope=scope)):
            await PlainTextResponse("This page takes no requests of others.", 403)(scope, receive, send)
            return

        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = POLICY
            await send(message)

        if scope["method"] != "POST":
            await self.app(scope, receive, with_policy)
            return
        async with self.room:
            await self.app(scope, receive, with_policy)
            remove_old(self.stored)


def of_another_page(method: str, path: str, headers: Headers) -> bool:
    """Whether a browser makes a request for another web page than this one, which may only link to it."""
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    if origin is not None and origin != f"http://{headers.get('host', '')}":
        return True
    linked = (method, path, headers.get("sec-fetch-mode")) == ("GET", "/", "navigate")
    return site not in ("none", "same-origin") and not linked


def application(explainer: Explainer) -> FastAPI:
    """The page, and what guards it: only who asks for this machine by name is answered.

    Else a page from elsewhere whose name is made to mean this machine could ask, too (DNS rebinding).
    """
    blocks = gradio_page.build(explainer)
    blocks.has_launched = True  # else Gradio takes any file of this machine for one that was uploaded
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    app.add_middleware(Guarded, stored=Path(os.environ["GRADIO_TEMP_DIR"]))
    return gr.mount_gradio_app(
        app, blocks, path="/", server_name=HOST, theme=gradio_page.THEME, css=gradio_page.STYLE, max_file_size=LARGEST,
        footer_links=[], run_history=False, enable_monitoring=False, mcp_server=False, pwa=False, ssr_mode=False,
        show_error=False,
    )  # fmt: skip


def serve(network: Trained, listener: socket.socket) -> None:
    """Show the page of a network at the port that `listener` has, until a signal comes.

    Raises:
        StoppedBySignal: as it always ends.
    """
    explainer = Explainer.of(network)
    app = application(explainer)
    print(f"{explainer.title}: {explainer.about}")
    print(f"page: http://{HOST}:{listener.getsockname()[1]} (Ctrl-C ends it)", flush=True)
    sys.addaudithook(keep_here)
    config = uvicorn.Config(app, log_config=None, log_level="critical", timeout_graceful_shutdown=PATIENCE)
    with StopSignals():
        uvicorn.Server(config).run(sockets=[listener])
