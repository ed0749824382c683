"""How the documentation is built."""

from __future__ import annotations

import configparser
from pathlib import Path

_setup = configparser.ConfigParser()
_setup.read(Path(__file__).parent.parent / "setup.cfg")

project = "netsuite"
author = "the netsuite authors"
copyright = f"2026, {author}"  # noqa: A001 Sphinx's name for it
release = version = _setup["metadata"]["version"]

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_ext"]
nitpicky = True
highlight_language = "text"

html_theme = "furo"
html_title = "netsuite"
html_show_sourcelink = False
