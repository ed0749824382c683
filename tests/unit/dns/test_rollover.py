"""A new key signs by itself, once the parent has had its DS record long enough: a virtual week of polling."""

from __future__ import annotations

import attrs
import pytest

from netsuite.common.sharing import Sharing
from netsuite.common.threads import Inline
from netsuite.dns.authoritative.notify import Notifier
from netsuite.dns.authoritative.primary import Primary
from netsuite.dns.authoritative.service import build as build_authoritative
from netsuite.dns.authoritative.settings import DnsSettings, ZoneSettings
from netsuite.dns.resolver.service import build as build_resolver
from netsuite.dns.resolver.settings import ResolverSettings
from netsuite.interfaces import INameResolver
from netsuite.testing.commons import make_commons
from netsuite.testing.network import Network
from tests.unit.dns.zones import make_zone

ZONE = "$TTL 60\n@ SOA ns host 1 7200 3600 1209600 300\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.80\n"
PARENT = "$TTL 7200\n@ SOA ns host {} 7200 3600 1209600 300\n@ NS ns\nns A 192.0.2.53\nexample NS ns.example\n{}\n"
HOUR = 3600


class Site:
    """A signed zone, the server of its parent, and a resolver that forwards to that."""

    def __init__(self, folder, **zone):
        self.folder = folder
        self.network = Network()
        self.serial = 0
        (folder / "zone").write_text(ZONE)
        (folder / "parent").write_text(PARENT.format(0, ""))
        self.parent = self.run(
            build_authoritative(
                DnsSettings.model_validate(
                    {"listen": ["192.0.2.53:53"], "zone": [{"name": "test", "file": "parent"}]},
                    context={"base": folder},
                ),
                make_commons(folder / "p", self.network.host("192.0.2.53")),
            )
        )
        host = self.network.host("192.0.2.1")
        # Nothing is written: as in a worker.
        commons = attrs.evolve(make_commons(folder / "c", host), sharing=Sharing(1))
        table = {"listen": ["192.0.2.1:5300"], "forward": ["192.0.2.53:53"]}
        self.resolver = self.run(
            build_resolver(ResolverSettings.model_validate(table, context={"base": folder}), commons)
        )
        settings = ZoneSettings.model_validate(
            {"name": "example.test", "file": "zone", "dnssec": "nsec", **zone}, context={"base": folder}
        )
        self.primary = Primary(
            settings,
            commons,
            Inline(),
            Notifier(commons, {}),
            lambda zone: None,
            lambda: commons.offers.find(INameResolver),
        )
        self.primary.open()
        self.primary.start()

    def run(self, service):
        service.register(service.commons.offers)
        service.join(service.commons.offers)
        service.check()
        service.open()
        service.startService()
        return service

    def states(self):
        return sorted(line.split()[3] for line in self.primary.key_lines() if line.startswith("key "))

    def parent_takes(self, *lines):
        """The parent serves these DS records from now on."""
        self.serial += 1
        text = PARENT.format(self.serial, "\n".join(lines))
        (place,) = self.parent._places.values()
        place.server.common.replace(make_zone(self.folder, text, "test."))

    def roll(self):
        self.network.result(self.primary.roll_over(parent_has_it=False))

    def ds(self):
        return [line for line in self.primary.key_lines() if " DS " in line]


@pytest.fixture(params=["servers", "resolver"])
def site(tmp_path, request):
    return Site(tmp_path, **({"parent": ["192.0.2.53"]} if request.param == "servers" else {}))


def test_the_new_key_signs_when_the_parent_has_had_it_long_enough(site):
    site.network.advance(10)
    (old,) = site.ds()
    site.parent_takes(old)
    site.roll()
    assert site.states() == ["active", "published"]
    old, new = site.ds()
    # Nothing happens while the parent does not follow ...
    site.network.advance(30 * HOUR)
    assert site.states() == ["active", "published"]
    # ... nor while others may hold the DS records that it had before ...
    site.parent_takes(old, new)
    site.network.advance(1.5 * HOUR)
    assert site.states() == ["active", "published"]
    # ... which is two hours here, and a day where only a cache says so.
    site.network.advance(3 * HOUR if site.primary.settings.parent else 27 * HOUR)
    assert site.states() == ["active", "retired"]
    assert site.ds() == [new]
    site.network.advance(50 * HOUR)
    assert site.states() == ["active"]


def test_a_ds_record_that_goes_again_counts_from_anew(site):
    site.roll()
    old, new = site.ds()
    site.parent_takes(old, new)
    site.network.advance(1.6 * HOUR)
    site.parent_takes(old)
    site.network.advance(40 * HOUR)
    assert site.states() == ["active", "published"]


def test_a_parent_that_cannot_be_asked_is_told_of(site):
    (place,) = site.parent._places.values()
    place.server.common.withdraw(b"\4test\0")
    site.roll()
    site.network.advance(2 * HOUR)
    assert site.states() == ["active", "published"]
    assert "its parent cannot be asked" in site.primary.key_lines()[-1]
    site.parent_takes(*site.ds())
    site.network.advance(40 * HOUR)
    assert site.states() == ["active", "retired"]
