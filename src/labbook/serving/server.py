"""Serves the page to this machine, and to nobody else, until it is told to stop."""

import socket
import sys

import gradio as gr
import uvicorn
from fastapi import FastAPI
from starlette.datastructures import MutableHeaders
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from labbook.serving import page
from labbook.serving.explaining import Explainer
from labbook.serving.listening import HOST, keep_here
from labbook.signals import StopSignals
from labbook.trained import Trained

LARGEST = 64 * 2**20  # bytes of an image that is sent to the page
PATIENCE = 1  # seconds that a browser's connections are waited for at the end

# The browser itself then refuses to ask anybody else. Gradio's page holds scripts, and makes functions of texts.
POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; frame-ancestors 'none'; form-action 'self';"
    " base-uri 'self'; object-src 'none'"
)


class Guarded:
    """Sends the policy along with every answer."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """As ASGI has it."""

        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["Content-Security-Policy"] = POLICY
            await send(message)

        await self.app(scope, receive, with_policy)


def application(explainer: Explainer) -> FastAPI:
    """The page, and what guards it: only who asks for this machine by name is answered.

    Else a page from elsewhere whose name is made to mean this machine could ask, too (DNS rebinding).
    """
    blocks = page.build(explainer)
    blocks.has_launched = True  # else Gradio takes any file of this machine for one that was uploaded
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    app.add_middleware(Guarded)
    return gr.mount_gradio_app(
        app, blocks, path="/", server_name=HOST, theme=page.THEME, css=page.STYLE, max_file_size=LARGEST,
        footer_links=[], run_history=False, enable_monitoring=False, mcp_server=False, pwa=False, ssr_mode=False,
        show_error=False,
    )  # fmt: skip


def serve(network: Trained, listener: socket.socket) -> None:
    """Show the page of a network at the port that `listener` has, until a signal comes.

    Raises:
        Interrupted: as it always ends.
    """
    explainer = Explainer.of(network)
    app = application(explainer)
    print(f"{explainer.title}: {explainer.about}")
    print(f"page: http://{HOST}:{listener.getsockname()[1]} (Ctrl-C ends it)", flush=True)
    sys.addaudithook(keep_here)
    config = uvicorn.Config(app, log_config=None, log_level="critical", timeout_graceful_shutdown=PATIENCE)
    with StopSignals():
        uvicorn.Server(config).run(sockets=[listener])
