"""Which network goes with which data set, and the pixels of its images: `python tools/model_data_table.py`.

All choices of model= and data=, with the settings that they have by themselves; no image is read.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # where tools is
sys.path.append(str(Path(__file__).resolve().parents[1] / "src"))  # where labbook is, should it not be installed
from labbook import starting as starting  # isort: skip - what a program does first

import argparse

from labbook import lazy_imports
from labbook.cli.command_line import exit_with_message
from labbook.files import make_folder
from labbook.runs import outputs
from tools.results.markdown_sections import placed


@exit_with_message()
def main() -> None:
    """Print the table, and write it to a page if one is given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", type=Path, metavar="FILE", help="also into a page of Markdown, between its marks")
    given = parser.parse_args()
    outputs.check_outputs({"--write": given.write})
    if given.write:
        make_folder(given.write.parent)

    with lazy_imports.import_torch_stack():  # takes seconds, which a refusal need not wait for
        from tools.model_table import compatibility

    table = compatibility.as_markdown(compatibility.all_pairs())
    if given.write:
        text = given.write.read_text(encoding="utf-8") if given.write.is_file() else "# Networks and data\n"
        outputs.write_output(given.write, placed(text, "pairs", table))
    with outputs.print_beside_outputs(given.write):
        print(table)


if __name__ == "__main__":
    main()
