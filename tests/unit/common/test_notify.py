from __future__ import annotations

import socket
from pathlib import Path

import pytest

from netsuite.common.notify import notify, ready, reloading, stopping


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        assert ready("6 services")
        assert listening.recv(4096) == b"READY=1\nSTATUS=6 services"
        assert reloading()
        assert listening.recv(4096).startswith(b"RELOADING=1\nMONOTONIC_USEC=")
        assert stopping()
        assert listening.recv(4096) == b"STOPPING=1"


def test_abstract_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(b"")
        listening.settimeout(5)
        name = listening.getsockname()[1:].decode()
        assert notify("READY=1", {"NOTIFY_SOCKET": f"@{name}"})
        assert listening.recv(4096) == b"READY=1"


@pytest.mark.parametrize("address", ["", "relative", "/nowhere/at/all"])
def test_where_nobody_asked_nothing_happens(address: str) -> None:
    assert not notify("READY=1", {"NOTIFY_SOCKET": address})
    assert not notify("READY=1", {})
