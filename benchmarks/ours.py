"""Our own servers as contenders: the real ``twistd`` beside this interpreter, from this checkout."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.contest import OURS, Contender, Scene
from netsuite import __version__

__all__ = ["ours"]

ROOT = Path(__file__).resolve().parent.parent
TWISTD = Path(sys.executable).parent / "twistd"


def ours(server: str, options: Callable[[Scene, Path, int], Sequence[str | Path]]) -> Contender[Scene]:
    """A server of the suite with these options, without an access log, its data in its own folder."""
    return Contender(
        name=OURS,
        program=str(TWISTD),
        version_command=["echo", __version__],
        command=lambda scene, folder, port: [
            TWISTD, "-n", "--pidfile=", server,
            "--set", f"common.data={folder / 'data'}", "--set", "common.access_log=off",
            *options(scene, folder, port),
        ],
        environment={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
