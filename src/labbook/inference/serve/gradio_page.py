"""The page: an image comes in by file, by hand or from the test set, and the network's answer is shown beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from markupsafe import Markup, escape

from labbook.inference.serve.attribution import METHODS
from labbook.inference.serve.event_handlers import Controls
from labbook.inference.serve.explainer import TOP, Explainer

CANVAS = 280  # pixels of a side to draw on
BRUSH = 12  # pixels: on such a canvas about as bold as MNIST's strokes
KEPT = 4  # drawings in memory
PAPER = np.full((CANVAS, CANVAS, 3), 255, np.uint8)  # without which the brush would have to be chosen first
COLOURS = ["#000000", "#d62728", "#2ca02c", "#1f77b4", "#ffbf00", "#8c564b"]
STYLE = """
.gradio-container { max-width: 1100px !important; margin: auto; }
.pixels img { image-rendering: pixelated; }
#samples .grid-container { grid-template-columns: repeat(5, minmax(0, 1fr)); }
#complaint { color: #c2410c; }
"""
# A theme with the fonts of the machine: Gradio's own would be fetched from Google.
THEME = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
EVENT = {"api_visibility": "private", "trigger_mode": "always_last"}
RAW = {**EVENT, "preprocess": False}  # Gradio would decode the image, in any format and of any size
SHOWN = {"interactive": False, "buttons": [], "format": "png", "elem_classes": "pixels"}


def build(explainer: Explainer) -> Any:
    """The page as Gradio's Blocks."""
    page = Controls(explainer)
    with gr.Blocks(title=explainer.title, analytics_enabled=False) as blocks:
        of_text(value=Markup("<h1>{}</h1><p>{}</p>").format(explainer.title, explainer.about))
        pixels = gr.State()
        with gr.Row():
            with gr.Column():
                complaint = of_text(render=False, elem_id="complaint")
                with gr.Tabs(overflow_behavior="wrap"):
                    of_files(page, pixels, complaint)
                    of_drawings(page, pixels, complaint)
                    of_test_images(page, pixels, complaint)
                complaint.render()
            with gr.Column():
                of_answers(page, pixels)
    return blocks


def of_answers(page: Controls, pixels: Any) -> None:
    """What is shown of the image that was given last, and the question that the user chooses."""
    prediction = gr.Label(label="Prediction", num_top_classes=TOP, elem_id="prediction")
    with gr.Row():
        seen = gr.Image(label="As the network sees it", elem_id="seen", **SHOWN)
        mattered = gr.Image(label="What mattered", elem_id="mattered", **SHOWN)
    method = gr.Radio(list(METHODS), value=next(iter(METHODS)), show_label=False, container=False, elem_id="method")
    meaning = of_text(elem_id="meaning")
    shown = [prediction, seen, mattered, meaning]
    gr.on([pixels.change, method.input], page.answered, [pixels, method], shown, **EVENT)


def of_text(**look: Any) -> Any:
    """Where the page shows a text: whatever is in it, the browser shows it as it is. A part that is HTML is `Markup`.

    All texts that change come through here, so that this is where they become HTML.
    """
    shown = gr.HTML(**look)
    shown.postprocess = lambda value: None if value is None else str(escape(value))
    return shown


def of_files(page: Controls, pixels: Any, complaint: Any) -> None:
    """The tab that takes files."""
    with gr.Tab("Picture"):
        file = gr.Image(sources=["upload", "clipboard"], type="filepath", image_mode=None, buttons=[], label="Picture")
        turn = gr.Checkbox(False, **inverting(page))
    gr.on([file.upload, file.clear], page.given, file, [pixels, complaint, turn], **RAW)
    turn.input(page.turned, [file, turn], [pixels, complaint], **RAW)


def of_drawings(page: Controls, pixels: Any, complaint: Any) -> None:
    """The tab to draw in."""
    grey, habits = page.explainer.network.spec.channels == 1, page.explainer.habits
    brush = gr.Brush(BRUSH, colors=COLOURS[: 1 if grey else None], color_mode="fixed")
    with gr.Tab("Drawing"):
        paper = gr.Sketchpad(
            PAPER, brush=brush, eraser=gr.Eraser(2 * BRUSH), canvas_size=(CANVAS, CANVAS), fixed_canvas=True,
            layers=False, transforms=(), buttons=[], format="png", label="Drawing", elem_id="paper",
        )  # fmt: skip
        with gr.Row():
            turn = gr.Checkbox(habits.dark, **inverting(page))
            centre = gr.Checkbox(
                habits.box > 0, label="Centre", visible=grey, info="in the middle, and as large as in the training"
            )
            content = gr.State()  # in the tab, or Gradio would count it as one

    def stroke(sent: dict[str, Any] | None, invert: bool, centred: bool) -> Sequence[Any]:
        drawing = of_editor(sent, paper.blob_storage)
        return drawing, *page.drawn(drawing, invert, centred)

    # Gradio tells of all strokes but the first as a change; as an input of the first, too, though perhaps too soon.
    gr.on([paper.input, paper.change], stroke, [paper, turn, centre], [content, pixels, complaint], **RAW)
    paper.clear(lambda: (PAPER, None, None, ""), None, [paper, content, pixels, complaint], **EVENT)
    gr.on([turn.input, centre.input], page.drawn, [content, turn, centre], [pixels, complaint], **EVENT)


def inverting(page: Controls) -> dict[str, Any]:
    """How the box for turned shades looks."""
    why = "the network was trained on light shapes on dark" if page.explainer.habits.dark else "dark for light"
    return {"label": "Invert", "visible": page.explainer.network.spec.channels == 1, "info": why}


def of_editor(sent: dict[str, Any] | None, stored: dict[str, Any]) -> bytes | None:
    """The drawing that Gradio's editor sends: a file, or the name of what it has put into `stored`."""
    sent = sent or {}
    blobs, composite = stored.pop(sent.get("id") or "", None), sent.get("composite")
    while len(stored) > KEPT:  # those that it has put there and does not ask for
        stored.pop(next(iter(stored)))
    if blobs is not None:
        return bytes(blobs.composite)
    return Path(composite["path"]).read_bytes() if composite else None


def of_test_images(page: Controls, pixels: Any, complaint: Any) -> None:
    """The tab with some of the test images."""

    def clicked(event: gr.SelectData) -> Sequence[Any]:
        return page.chosen(event.index if isinstance(event.index, int) else -1)

    with gr.Tab("Test images") as tab:
        gallery = gr.Gallery(
            columns=5, allow_preview=False, interactive=False, buttons=[], format="png", label="Test images",
            elem_classes="pixels", elem_id="samples",
        )  # fmt: skip
    tab.select(page.sampled, None, [gallery, complaint], **EVENT)
    gallery.select(clicked, None, [pixels, complaint], **EVENT)
