from __future__ import annotations

import subprocess
import sys

import pytest
from twisted.internet.endpoints import serverFromString
from twisted.internet.interfaces import IStreamServerEndpoint, IStreamServerEndpointStringParser
from twisted.internet.task import Clock
from twisted.plugin import IPlugin
from zope.interface.verify import verifyObject

from netsuite.common.endpoints import SecureEndpoint, SharedEndpoint
from twisted.plugins import netsuite_endpoints


@pytest.mark.parametrize("prefix", ["secure", "shared"])
def test_declarations(prefix: str) -> None:
    declared = getattr(netsuite_endpoints, prefix)
    assert declared.prefix == prefix
    verifyObject(IPlugin, declared)
    verifyObject(IStreamServerEndpointStringParser, declared)


def test_listing_them_imports_nothing_of_ours() -> None:
    script = (
        "import sys, twisted.plugins.netsuite_endpoints\n"
        "print([name for name in sys.modules if name.startswith('netsuite') or name == 'twisted.internet.reactor'])"
    )
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert said.stdout == "[]\n"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("shared:8080", SharedEndpoint),
        (r"shared:8080:interface=\:\:1", SharedEndpoint),
        ("secure:8443", SecureEndpoint),
        ("secure:8443:interface=127.0.0.1:data=/nowhere:names=a.test,b.test", SecureEndpoint),
    ],
)
def test_twisted_finds_them(text: str, kind: type) -> None:
    found = serverFromString(Clock(), text)  # type: ignore[no-untyped-call]
    assert isinstance(found, kind)
    verifyObject(IStreamServerEndpoint, found)


@pytest.mark.parametrize("text", ["shared:http", "secure:65536", "secure:-1", "shared:"])
def test_what_is_no_port(text: str) -> None:
    with pytest.raises(ValueError, match="is no port"):
        serverFromString(Clock(), text)  # type: ignore[no-untyped-call]


def test_what_they_do_not_know() -> None:
    with pytest.raises(TypeError):
        serverFromString(Clock(), "shared:80:colour=red")  # type: ignore[no-untyped-call]
