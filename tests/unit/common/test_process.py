"""What a process asks of the system for itself."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

ASK = (
    "import resource; from netsuite.common.process import allow_open_files, descriptors;"
    "allow_open_files(); print(descriptors(), *resource.getrlimit(resource.RLIMIT_NOFILE))"
)


@pytest.mark.parametrize(("soft", "hard"), [(64, 256), (256, 256)])
def test_as_many_files_may_be_open_as_the_system_grants(soft, hard):
    done = subprocess.run(
        [sys.executable, "-c", ASK],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard)),
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.split() == ["256", "256", "256"]
