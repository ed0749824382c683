"""Files that are nowhere but in memory."""

from __future__ import annotations

import os

from netsuite.common.filespan import HeldFile


def memory_file(body: bytes) -> HeldFile:
    """A file of these bytes."""
    file = HeldFile(os.memfd_create("test", os.MFD_CLOEXEC))
    assert os.write(file.descriptor, body) == len(body)
    return file
