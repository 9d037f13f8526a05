"""Where things are: the checkout that Labbook runs from, if it does, and its configurations. Imports nothing heavy.

Older Pythons read this too, from 3.6 on, before they are refused.
"""

import json
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
_ROOT = PACKAGE.parents[1]

# The folder of the checkout; None where the package was installed from a wheel, which carries the configurations.
CHECKOUT = _ROOT if PACKAGE.parent.name == "src" and (_ROOT / "configs").is_dir() else None
CONFIGS = CHECKOUT / "configs" if CHECKOUT else PACKAGE / "configs"

PROJECT_VARIABLE = "LABBOOK_PROJECT"  # tells the processes that a program starts which project they work for
DISTRIBUTION = "labbook-vision"  # as pip knows it; `labbook` on PyPI is another package


def origin() -> str:
    """Where this Labbook comes from: the folder of its checkout, a wheel, an address with git, or its name."""
    if CHECKOUT:
        return str(CHECKOUT)
    from importlib.metadata import PackageNotFoundError, distribution
    from urllib.parse import unquote, urlsplit

    try:
        told = json.loads(distribution(DISTRIBUTION).read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        told = {}
    url = str(told.get("url", DISTRIBUTION))  # none of what an index gave
    if "vcs_info" in told:
        return f"{told['vcs_info']['vcs']}+{url}@{told['vcs_info']['commit_id']}"
    return unquote(urlsplit(url).path) if url.startswith("file:") else url


def requirement(extra: str) -> str:
    """This Labbook with an extra, as pip takes it."""
    place = origin()
    url = Path(place).as_uri() if Path(place).is_absolute() else place
    return f"{DISTRIBUTION}[{extra}]" + ("" if place.startswith(DISTRIBUTION) else f" @ {url}")
