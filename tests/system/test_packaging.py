"""The package as a user gets it: a wheel or an editable install in a clean environment, used from elsewhere."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

from twisted.trial.unittest import TestCase

from tests.system.environments import Environment, sources, wheel

PLUGINS = (
    "netsuite",
    "netsuite-dns",
    "netsuite-resolver",
    "netsuite-http",
    "netsuite-proxy",
    "netsuite-ftp",
    "netsuite-upper",
    "netsuite-admin",
)


def commands(help_text: str) -> list[str]:
    """The names of the commands that `twistd --help` lists."""
    _, _, listed = help_text.partition("\nCommands:\n")
    return [line.split()[0] for line in listed.splitlines() if line[:4] == "    " and line[4:5].strip()]


class Installed:
    """What all tests here look at: a wheel of the checkout, and a clean environment that it is installed in."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="netsuite-packaging-"))
        atexit.register(shutil.rmtree, self.folder, ignore_errors=True)
        self.elsewhere = self.folder / "elsewhere"
        self.elsewhere.mkdir()
        self.builder, self.wheel = wheel(self.folder)
        metadata = zipfile.Path(self.wheel, at=f"{self.wheel.name.removesuffix('-py3-none-any.whl')}.dist-info/")
        self.requires = [each for each in PathDistribution(metadata).requires or () if "extra ==" not in each]
        self.clean = self.environment("clean")
        self.clean.pip("install", "--no-deps", self.wheel)

    def environment(self, name: str) -> Environment:
        """A clean environment with what the wheel says that it needs, and no more."""
        made = Environment(self.folder / name)
        made.copy(*self.requires)
        return made


@functools.cache
def installed() -> Installed:
    """Made once: it takes seconds."""
    return Installed()


class InstalledTests(TestCase):
    """Both ways of installing find every plugin."""

    def setUp(self) -> None:
        self.made = installed()

    def test_wheel_holds_the_package_and_its_plugins_and_nothing_else(self) -> None:
        names = zipfile.ZipFile(self.made.wheel).namelist()
        self.assertEqual({name.split("/")[0].removesuffix(".dist-info")[:8] for name in names}, {"netsuite", "twisted"})
        self.assertIn("twisted/plugins/netsuite_servers.py", names)
        self.assertIn("netsuite/py.typed", names)
        for name in ("twisted/__init__.py", "twisted/plugins/__init__.py"):
            self.assertNotIn(name, names)

    def test_wheel_holds_the_migrations(self) -> None:
        data = self.made.folder / "data"
        self.assertEqual(self.made.clean.run("netsuite", "user", "list", "--data", data, cwd=self.made.elsewhere), "")
        self.assertTrue((data / "netsuite.sqlite").exists())

    def test_wheel_declares_all_that_it_needs(self) -> None:
        self.assertIn("No broken requirements", self.made.clean.pip("check"))
        script = (
            "import importlib, pkgutil, netsuite\n"
            "for found in pkgutil.walk_packages(netsuite.__path__, 'netsuite.'):\n"
            "    if found.name.startswith('netsuite.testing.') or found.name.endswith('__main__'):\n"
            "        continue\n"
            "    try:\n"
            "        importlib.import_module(found.name)\n"
            "    except ModuleNotFoundError as missing:\n"
            "        if missing.name.partition('.')[0] not in ('aioquic',):\n"  # an extra of its own
            "            raise\n"
            "print(netsuite.__file__)\n"
        )
        where = self.made.clean.run("python", "-c", script, cwd=self.made.elsewhere).strip()
        self.assertTrue(Path(where).is_relative_to(self.made.folder / "clean"), where)

    def test_wheel_shows_every_plugin(self) -> None:
        found = commands(self.made.clean.run("twistd", "--help", cwd=self.made.elsewhere))
        self.assertEqual([name for name in PLUGINS if name not in found], [])

    def test_a_stale_plugin_cache_hides_nothing(self) -> None:
        stale = self.made.environment("stale")
        stale.run("twistd", "--help", cwd=self.made.elsewhere)
        self.assertTrue(list((self.made.folder / "stale").rglob("twisted/plugins/dropin.cache")))
        stale.pip("install", "--no-deps", self.made.wheel)
        found = commands(stale.run("twistd", "--help", cwd=self.made.elsewhere))
        self.assertEqual([name for name in PLUGINS if name not in found], [])

    def test_editable_install_shows_every_plugin(self) -> None:
        tree = sources(self.made.folder / "tree")
        self.made.builder.copy(*self.made.requires)
        self.made.builder.pip("install", "--no-deps", "--no-build-isolation", "--editable", tree)
        found = commands(self.made.builder.run("twistd", "--help", cwd=self.made.elsewhere))
        self.assertEqual([name for name in PLUGINS if name not in found], [])
        where = self.made.builder.run(
            "python", "-c", "import netsuite; print(netsuite.__file__)", cwd=self.made.elsewhere
        ).strip()
        self.assertEqual(Path(where), tree / "netsuite" / "__init__.py")

    def test_the_command_runs(self) -> None:
        self.assertRegex(self.made.clean.run("netsuite", "--version", cwd=self.made.elsewhere), r"^netsuite \d+\.\d+")
        self.assertIn("status", self.made.clean.run("netsuite", "--help", cwd=self.made.elsewhere))
