"""One typed model a server: the tables of ``netsuite.toml``.

Every server's settings are a frozen :class:`Table`; every field has a description, which is what
``--explain`` and the reference print.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationInfo

__all__ = ["SitePath", "Table"]


class Table(BaseModel):
    """A table of the site file: frozen, and unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=False)


def _resolve(path: Path, info: ValidationInfo) -> Path:
    base = (info.context or {}).get("base", Path.cwd())
    return Path(base) / path.expanduser()


SitePath = Annotated[Path, AfterValidator(_resolve)]
"""A path; relative ones are taken from the site file's folder (or the working directory), at reading time."""
