"""How much may be at one name of a zone that others write (CVE-2024-1737)."""

from __future__ import annotations

import pytest

from netsuite.dns.authoritative.crowding import crowd
from netsuite.dns.wire.name import from_text
from tests.unit.dns.zones import make_zone

HEAD = "$TTL 60\n@ SOA ns host 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n"


def addresses(count):
    return HEAD + "".join(f"many A 10.0.{n >> 8}.{n & 255}\n" for n in range(count))


def kinds(count):
    return HEAD + "".join(f"many TYPE{65280 + n} \\# 1 00\n" for n in range(count))


@pytest.mark.parametrize("text", [addresses, kinds])
def test_records_and_types_at_a_name_are_bounded(tmp_path, text):
    assert crowd(make_zone(tmp_path, text(100)), 100) is None
    over = make_zone(tmp_path, text(101))
    assert "many.example.test. has " in crowd(over, 100)
    assert crowd(over, 100, [from_text("ns.example.test."), from_text("none.example.test.")]) is None
    assert crowd(over, 100, [from_text("many.example.test.")]) is not None
    assert crowd(over, 0) is None
