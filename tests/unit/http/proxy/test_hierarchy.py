"""Which hosts are asked directly."""

from __future__ import annotations

import pytest

from netsuite.http.proxy.hierarchy import Exceptions

SOME = Exceptions(["example.test", ".below.test", "*.star.test", "10.0.0.0/8", "2001:db8::/32", "192.0.2.7"])


@pytest.mark.parametrize(
    ("host", "direct"),
    [
        ("example.test", True),
        ("a.b.Example.TEST.", True),
        ("notexample.test", False),
        ("below.test", True),
        ("x.below.test", True),
        ("x.star.test", True),
        ("10.1.2.3", True),
        ("11.1.2.3", False),
        ("192.0.2.7", True),
        ("192.0.2.8", False),
        ("2001:db8::5", True),
        ("2001:db9::5", False),
        ("test", False),
    ],
)
def test_exceptions(host, direct):
    assert (host in SOME) is direct


def test_all_and_none():
    assert "anything" in Exceptions(["*"])
    assert "anything" not in Exceptions([])
