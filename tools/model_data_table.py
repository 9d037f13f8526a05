"""Which network goes with which data set, and the pixels of its images: `python tools/model_data_table.py`.

All choices of model= and data=, with the settings that they have by themselves; no image is read.
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
from tools.results.markdown_sections import page_parser, publish


@exit_with_message()
def main() -> None:
    """Print the table, and write it to a page if one is given."""
    given = page_parser(__doc__).parse_args()
    outputs.check_outputs({"--write": given.write})
    if given.write:
        make_folder(given.write.parent)

    with lazy_imports.import_torch_stack():  # takes seconds, which a refusal need not wait for
        from tools.model_table import compatibility

    publish(given.write, "Networks and data", "pairs", compatibility.as_markdown(compatibility.all_pairs()))


if __name__ == "__main__":
    main()
