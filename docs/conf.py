"""How the documentation is built."""

from __future__ import annotations

import re
from pathlib import Path

_package = (Path(__file__).parent.parent / "netsuite" / "__init__.py").read_text()

project = "netsuite"
author = "the netsuite authors"
copyright = f"2026, {author}"  # noqa: A001 Sphinx's name for it
release = version = re.findall(r'__version__ = "(.+)"', _package)[0]

extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["_build", "_ext"]
nitpicky = True
highlight_language = "text"

html_theme = "furo"
html_title = "netsuite"
html_show_sourcelink = False
