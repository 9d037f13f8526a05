"""What the networks cost: `python tools/model_costs.py [NAME ...] [SETTING=VALUE ...]`.

All of them, or those named.

Parameters, operations, memory and images/s on images of 3 x 32 x 32 pixels and 10 classes, or those of data=CHOICE,
which are not read (of a folder of photographs, only which classes it has). Settings are those of train.py: data=mnist,
model.depth=3, optimizer=sgd, trainer.precision=32.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where tools is
sys.path.append(str(Path(__file__).resolve().parents[1] / "src"))  # where labbook is, should it not be installed
from labbook import starting as starting  # isort: skip - what a program does first


from labbook import lazy_imports
from labbook.cli.command_line import exit_with_message
from labbook.files import make_folder
from labbook.runs import outputs
from tools.results.markdown_sections import page_parser, write_section


@exit_with_message()
def main() -> None:
    """Print the table, and write it to the files given."""
    parser = page_parser(__doc__)
    parser.add_argument("words", nargs="*", metavar="NAME or SETTING=VALUE", help="default: all networks")
    parser.add_argument("--batch-size", metavar="N", help="the same as data.batch_size=N")
    parser.add_argument("--no-timing", action="store_true", help="only what needs no steps of training")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="also as CSV")
    given = parser.parse_intermixed_args()
    outputs.check_outputs({"--csv": given.csv, "--write": given.write})
    batch_size = [f"data.batch_size={given.batch_size}"] if given.batch_size else []

    with lazy_imports.import_torch_stack():  # takes seconds, which a refusal need not wait for
        from tools.model_table import survey, tables

    asked = survey.prepared([*given.words, *batch_size])
    for file in (given.csv, given.write):
        if file:
            make_folder(file.parent)  # what cannot be written is refused before minutes of measuring
    timed = not given.no_timing
    entries = list(asked.entries(timed))
    if given.csv:
        outputs.write_output(given.csv, tables.as_csv(entries))
    if given.write:
        write_section(given.write, "Networks", "models", tables.as_markdown(asked, entries, timed))
    with outputs.print_beside_outputs(given.csv, given.write):
        tables.show(asked, entries, timed)


if __name__ == "__main__":
    main()
