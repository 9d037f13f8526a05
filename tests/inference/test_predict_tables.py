"""The table, CSV and JSON say the same."""

import csv
import io
import json

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from labbook.errors import printable
from labbook.inference.predict.classify import ClassProbability, Prediction
from labbook.inference.predict.output import (
    PredictionColumns,
    prediction_cells,
    predictions_as_csv,
    predictions_as_json,
)
from labbook.runs.outputs import escape_formula
from tests.data.samples import few

names = st.text(st.characters(codec=None), min_size=1, max_size=12)  # with lone surrogates, as of names in other bytes
guesses = st.lists(
    st.builds(ClassProbability, st.sampled_from(["cat", "Käse, alt", "猫", "a\tb"]), st.floats(0, 1)),
    min_size=2,
    max_size=2,
)
predictions = st.lists(st.builds(Prediction, names, guesses.map(tuple), st.none(), st.none()), min_size=1, max_size=5)


@few
@given(predictions, st.booleans(), st.booleans())
def test_all_three_agree(plain: list[Prediction], known: bool, several: bool) -> None:
    told = [each._replace(true="猫") for each in plain] if known else plain
    told = [each._replace(classes=("cat", "猫")) for each in told] if several else told
    classes = [guess.name for each in told for guess in each.guesses] + ["猫"]
    columns = PredictionColumns.of([each.image for each in told], classes, 2, known, several)
    rows = list(csv.reader(io.StringIO(predictions_as_csv(told, 2, known, several))))
    objects = json.loads(predictions_as_json(told))
    assert rows[0] == list(columns.heads)
    for each, row, found in zip(told, rows[1:], objects, strict=True):
        line = columns.line(prediction_cells(each))
        assert "\n" not in line
        assert line.isprintable()
        fields = dict(zip(columns.heads, row, strict=True))
        assert found["image"] == each.image
        assert escape_formula(printable(found["image"])) == fields["image"]
        assert (found.get("classes"), fields.get("classes")) == ((["cat", "猫"], "cat|猫") if several else (None, None))
        assert found.get("true") == ("猫" if known else None)
        for place, guess in enumerate(found["top"]):
            suffix = f"_{place + 1}" if place else ""
            assert printable(guess["class"]) == fields[f"class{suffix}"]
            assert f"{guess['probability']:.6f}" == fields[f"probability{suffix}"]
            assert f"{each.guesses[place].probability:.4f}" in line
        assert {"class": found["class"], "probability": found["probability"]} == found["top"][0]


def test_columns_stand_below_each_other_in_any_script() -> None:
    told = [
        Prediction(name, (ClassProbability(of, 0.5), ClassProbability("cat", 0.25)))
        for name, of in (("猫.png", "cat"), ("b.png", "猫猫"))
    ]
    columns = PredictionColumns.of([each.image for each in told], ["cat", "猫猫"], 2, known=False)
    lines = [columns.line(row) for row in (columns.heads, *map(prediction_cells, told))]
    starts = [cell_len(line[: line.index(of)]) for line, of in zip(lines, ("class", "cat", "猫猫"), strict=True)]
    assert starts == [8, 8, 8]
    assert lines[1].split() == ["猫.png", "cat", "0.5000", "cat", "0.2500"]


def test_of_no_image_there_are_the_headings() -> None:
    assert predictions_as_csv([], 2, known=True) == "image,true,class,probability,class_2,probability_2\n"
    assert json.loads(predictions_as_json([])) == []
