"""Importing any module of netsuite leaves it to the user which reactor there is."""

from __future__ import annotations

import pkgutil
import subprocess
import sys

import netsuite

PROGRAM = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
    if "twisted.internet.reactor" in sys.modules:
        sys.exit(f"importing {name} installs the reactor")
"""


def test_no_module_installs_the_reactor():
    names = [each.name for each in pkgutil.walk_packages(netsuite.__path__, "netsuite.")]
    wanted = [name for name in names if not name.endswith("__main__")]
    assert "netsuite.suite.root" in wanted
    done = subprocess.run([sys.executable, "-c", PROGRAM, *wanted], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_plugin_file_imports_nothing_of_ours():
    program = (
        "import sys; from twisted.plugins import netsuite_servers;"
        "print([name for name in sys.modules if name.startswith('netsuite')])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("[]\n", "")
