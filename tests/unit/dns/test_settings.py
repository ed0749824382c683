"""The ``[dns]`` table."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from netsuite.dns.authoritative.settings import DnsSettings


def test_defaults():
    settings = DnsSettings()
    assert settings.listen == ["127.0.0.1:10053"]
    assert settings.zone == []
    assert settings.minimal_responses is True


def test_zones_are_found_beside_the_site_file(tmp_path):
    table = {
        "zone": [{"name": "example.test", "file": "a.zone"}, {"name": ".", "file": "/r", "listen": ["127.0.0.2:53"]}]
    }
    settings = DnsSettings.model_validate(table, context={"base": tmp_path})
    assert [zone.file for zone in settings.zone] == [tmp_path / "a.zone", Path("/r")]
    assert [zone.origin for zone in settings.zone] == [b"\x07example\x04test\0", b"\0"]


@pytest.mark.parametrize(
    ("table", "reason"),
    [
        ({"zone": [{"name": "a..b", "file": "x"}]}, "empty label"),
        (
            {"zone": [{"name": "a.test", "file": "x"}, {"name": "A.test.", "file": "y"}]},
            "there twice on 127.0.0.1:10053",
        ),
        ({"udp_size": 100}, "512"),
        ({"nonsense": 1}, "Extra inputs"),
    ],
)
def test_what_is_wrong_is_said(table, reason):
    with pytest.raises(ValidationError, match=reason):
        DnsSettings.model_validate(table)


def test_one_zone_may_differ_by_address():
    zones = [{"name": "a.test", "file": "x"}, {"name": "a.test", "file": "y", "listen": ["127.0.0.2:53"]}]
    assert len(DnsSettings.model_validate({"zone": zones}).zone) == 2


@pytest.mark.parametrize(
    ("zone", "words"),
    [
        ({"transfer": ["elsewhere"]}, "'elsewhere' is not an access rule"),
        ({"transfer": ["10.0.0.0/8", "key:a..b"]}, "a..b"),
        ({"update": [{"allow": ["10.0.0.0/33"]}]}, "is not an access rule"),
        ({"update": [{"key": "k", "types": ["NOSUCH"]}]}, "there is no type NOSUCH"),
    ],
)
def test_who_may_is_checked_at_reading(zone, words):
    with pytest.raises(ValidationError, match=re.escape(words)):
        DnsSettings.model_validate({"zone": [{"name": "example.test", "file": "/z", **zone}]})
