"""Clean virtual environments with netsuite in them, as a user would have, made without a network.

What the package declares to need is copied, with all that these need in turn, from the environment that runs the
tests: a requirement that setup.cfg forgets is missing there too.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("netsuite", "twisted", "setup.cfg", "pyproject.toml", "README.md", "LICENSE", "etc")


def sources(folder: Path) -> Path:
    """A copy of what a package is built from, so that building leaves nothing behind in the checkout."""
    for name in SOURCES:
        path = ROOT / name
        if path.is_dir():
            shutil.copytree(path, folder / name, ignore=shutil.ignore_patterns("__pycache__", "dropin.cache"))
        elif path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, folder / name)
    return folder


def _needed(requirements: Iterable[str], extras: frozenset[str], seen: dict[tuple[str, str], None]) -> Iterator[str]:
    for text in requirements:
        requirement = Requirement(text)
        wanted = [{"extra": extra} for extra in ("", *extras)]
        if requirement.marker and not any(requirement.marker.evaluate(each) for each in wanted):
            continue
        name = canonicalize_name(requirement.name)
        for extra in ("", *sorted(requirement.extras)):
            if (name, extra) not in seen:
                seen[(name, extra)] = None
                yield name
                yield from _needed(distribution(name).requires or (), frozenset({extra} - {""}), seen)


class Environment:
    """A virtual environment in a folder, with nothing but pip until something is installed."""

    def __init__(self, folder: Path) -> None:
        venv.create(folder, with_pip=True, symlinks=True)
        self.bin = folder / "bin"
        self._site = next((folder / "lib").glob("python*/site-packages"))

    def copy(self, *requirements: str) -> None:
        """Put requirements and all that they need into it, from the environment that runs the tests."""
        for name in dict.fromkeys(_needed(requirements, frozenset(), {})):
            self._copy(distribution(name))

    def _copy(self, found: Distribution) -> None:
        for file in found.files or ():
            source = Path(str(found.locate_file(file))).resolve()
            if not source.is_file() or source.suffix == ".pyc":
                continue
            if ".." not in file.parts:
                target = self._site / file
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)
            elif source.parent == Path(sys.executable).parent:
                _, _, rest = source.read_bytes().partition(b"\n")
                target = self.bin / source.name
                target.write_bytes(f"#!{self.bin / 'python'}\n".encode() + rest)
                target.chmod(0o755)

    def pip(self, *arguments: str | Path) -> str:
        """Run pip in it, with no index to ask."""
        return self.run(
            "pip", *arguments, environment={"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": "", "PIP_NO_CACHE_DIR": "1"}
        )

    def run(
        self,
        program: str,
        *arguments: str | Path,
        cwd: Path | None = None,
        environment: dict[str, str] | None = None,
        seconds: float = 120,
    ) -> str:
        """Run one of its programs to its end, and answer its standard output; fails with what it said."""
        done = subprocess.run(
            [self.bin / program, *arguments],
            cwd=cwd or self.bin,
            env={**self.surroundings(), **(environment or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"{program} {arguments} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def surroundings(self) -> dict[str, str]:
        """The environment variables of a shell that knows nothing of the checkout."""
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("PYTHON", "VIRTUAL_ENV", "NETSUITE_"))
        }
        return {**kept, "PATH": f"{self.bin}{os.pathsep}{os.environ.get('PATH', '')}"}


def wheel(folder: Path) -> tuple[Environment, Path]:
    """An environment that can build, and the wheel that it built of the checkout."""
    builder = Environment(folder / "builder")
    builder.copy("setuptools")
    builder.pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder, sources(folder / "sources"))
    return builder, next(folder.glob("netsuite-*.whl"))
