"""The Gradio page: a file, a drawing or a test image, and beside it the prediction and the important pixels."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from markupsafe import Markup, escape

from labbook.errors import SettingError
from labbook.inference.serve.explain import TOP, Explainer
from labbook.plots.heat_maps import enlarge

CANVAS = 280  # pixels of a side
BRUSH = 12  # pixels: about as bold as MNIST's strokes
PAPER = np.full((CANVAS, CANVAS, 3), 255, np.uint8)  # without it the brush is not selected at first
COLOURS = ["#000000", "#d62728", "#2ca02c", "#1f77b4", "#ffbf00", "#8c564b"]
STYLE = """
.gradio-container { max-width: 1100px !important; margin: auto; }
.pixels img { image-rendering: pixelated; }
#samples .grid-container { grid-template-columns: repeat(5, minmax(0, 1fr)); }
"""
# Fonts of the machine: Gradio's are downloaded from Google.
THEME = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"])
EVENT = {"api_visibility": "private", "trigger_mode": "always_last"}
RAW = {**EVENT, "preprocess": False}  # else Gradio decodes the image, of any format and size
KEPT = (600, 3600)  # seconds: how often files are deleted, and how old they are by then
SHOWN = {"interactive": False, "buttons": [], "format": "png", "elem_classes": "pixels"}


def build_page(explainer: Explainer) -> Any:
    with gr.Blocks(title=explainer.title, analytics_enabled=False, delete_cache=KEPT) as blocks:
        gr.HTML(Markup("<h1>{}</h1><p>{}</p>").format(explainer.title, explainer.about))
        pixels = gr.State()
        with gr.Row():
            with gr.Column(), gr.Tabs(overflow_behavior="wrap"):
                file_tab(explainer, pixels)
                drawing_tab(explainer, pixels)
                sample_tab(explainer, pixels)
            with gr.Column():
                answer = gr.Label(label="Prediction", num_top_classes=TOP, elem_id="prediction")
                with gr.Row():
                    seen = gr.Image(label="Input of the network", elem_id="seen", **SHOWN)
                    mattered = gr.Image(label="Important pixels", elem_id="mattered", **SHOWN)
                names = list(explainer.methods)
                method = gr.Radio(names, value=names[0], show_label=False, container=False, elem_id="method")
                meaning = gr.Textbox(show_label=False, container=False, interactive=False, lines=4, elem_id="meaning")
        shown = [answer, seen, mattered, meaning]
        gr.on([pixels.change, method.input], explainer.answer, [pixels, method], shown, **EVENT)
    return blocks


def show_error(error: SettingError) -> None:
    gr.Warning(escape(f"{error}."), duration=None)


def invert_box(explainer: Explainer, value: bool) -> Any:
    why = "the training images are light on dark" if explainer.style.dark else "dark for light"
    return gr.Checkbox(value, label="Invert", visible=explainer.spec.channels == 1, info=why)


def file_tab(explainer: Explainer, pixels: Any) -> None:
    def read(file: dict[str, Any] | None, invert: bool | None = None) -> Sequence[Any]:
        try:
            return explainer.from_file(Path(file["path"]), invert) if file else (None, False)
        except SettingError as error:
            show_error(error)
            return None, invert

    with gr.Tab("Picture"):
        file = gr.Image(sources=["upload", "clipboard"], type="filepath", image_mode=None, buttons=[], label="Picture")
        invert = invert_box(explainer, False)
    gr.on([file.upload, file.clear], read, file, [pixels, invert], **RAW)
    invert.input(read, [file, invert], [pixels, invert], **RAW)


def drawing_tab(explainer: Explainer, pixels: Any) -> None:
    def read(drawing: dict[str, Any] | None, invert: bool, centre: bool) -> Any:
        paper = drawing["composite"] if drawing else None
        return explainer.style.pixels(paper, explainer.spec, invert, centre)

    grey, style = explainer.spec.channels == 1, explainer.style
    brush = gr.Brush(BRUSH, colors=COLOURS[: 1 if grey else None], color_mode="fixed")
    with gr.Tab("Drawing"):
        paper = gr.Sketchpad(
            PAPER, brush=brush, eraser=gr.Eraser(2 * BRUSH), canvas_size=(CANVAS, CANVAS), fixed_canvas=True,
            layers=False, transforms=(), buttons=[], image_mode="RGB", label="Drawing", elem_id="paper",
        )  # fmt: skip
        with gr.Row():
            invert = invert_box(explainer, style.dark)
            info = "move it to the centre, with the size of the training images"
            centre = gr.Checkbox(style.box > 0, label="Centre", visible=grey, info=info)
    controls = [paper, invert, centre]
    # Gradio reports the first stroke as an input, all others as a change.
    gr.on([paper.input, paper.change, invert.input, centre.input], read, controls, pixels, **EVENT)
    paper.clear(lambda: (PAPER, None), None, [paper, pixels], **EVENT)


def sample_tab(explainer: Explainer, pixels: Any) -> None:
    def show() -> Any:
        try:
            return [(enlarge(image), name) for image, name in explainer.samples]
        except SettingError as error:
            return show_error(error)

    def chosen(event: gr.SelectData) -> Any:
        return explainer.samples[event.index][0]

    with gr.Tab("Test images") as tab:
        gallery = gr.Gallery(
            columns=5, allow_preview=False, interactive=False, buttons=[], format="png", label="Test images",
            elem_classes="pixels", elem_id="samples",
        )  # fmt: skip
    tab.select(show, None, gallery, **EVENT)
    gallery.select(chosen, None, pixels, **EVENT)
