"""What is said of zones that can be served and yet are hardly meant, and of those whose digest does not fit."""

from __future__ import annotations

import datetime

import dns.zone
import pytest
from hypothesis import given, settings

from netsuite.cli import main
from netsuite.dns.authoritative.audit import audit
from netsuite.dns.authoritative.digest import SHA512, complaint, digest, zonemd
from netsuite.dns.wire import codes
from tests.dnssignatures import check_signatures
from tests.dnszones import zone_texts
from tests.properties.dns.test_answers import loaded
from tests.unit.dns.uriarpa import SIGNED_AT, URI_ARPA
from tests.unit.dns.zones import make_zone

TODAY = datetime.date(2026, 11, 21)
SOUND = "$TTL 300\n@ SOA ns1 host 1 7200 3600 1209600 300\n@ NS ns1\n@ NS ns2\nns1 A 192.0.2.1\nns2 A 192.0.2.2\n"
# RFC 8976 appendix A.1.
EXAMPLE = """
@ 86400 SOA ns1 admin 2018031900 1800 900 604800 86400
@ 86400 NS ns1
@ 86400 NS ns2
@ 86400 ZONEMD 2018031900 1 1 (
  c68090d90a7aed716bc459f9340e3d7c1370d4d24b7e2fc3
  a1ddc0b9a87153b9a9713b3c9ae5cc27777f98b8e730044c )
ns1 3600 A 203.0.113.63
ns2 3600 AAAA 2001:db8::63
"""
# A.2, without its record from outside the zone, which our reader refuses; A.3; A.5. All with the errata.
COMPLEX = """
@ 86400 SOA ns1 admin 2018031900 1800 900 604800 86400
@ 86400 NS ns1
@ 86400 NS ns2
@ 86400 ZONEMD 2018031900 1 1 (
  a3b69bad980a3504e1cffcb0fd6397f93848071c93151f55
  2ae2f6b1711d4bd2d8b39808226d7b9db71e34b72077f8fe )
ns1 3600 A 203.0.113.63
NS2 3600 AAAA 2001:db8::63
occluded.sub 7200 TXT "I'm occluded but must be digested"
sub 7200 NS ns1
duplicate 300 TXT "I must be digested just once"
duplicate 300 TXT "I must be digested just once"
UPPERCASE 3600 TXT "canonicalize uppercase owner names"
* 777 PTR dont-forget-about-wildcards
mail 3600 MX 20 MAIL1
mail 3600 MX 10 Mail2.Example.
sortme 3600 AAAA 2001:db8::5:61
sortme 3600 AAAA 2001:db8::3:62
sortme 3600 AAAA 2001:db8::4:63
sortme 3600 AAAA 2001:db8::1:65
sortme 3600 AAAA 2001:db8::2:64
non-apex 900 ZONEMD 2018031900 1 1 (
  616c6c6f776564206275742069676e6f7265642e20616c6c
  6f776564206275742069676e6f7265642e20616c6c6f7765 )
"""
SEVERAL = """
@ 86400 SOA ns1 admin 2018031900 1800 900 604800 86400
@ 86400 NS ns1
@ 86400 NS ns2
@ 86400 ZONEMD 2018031900 1 1 (
  62e6cf51b02e54b9b5f967d547ce43136792901f9f88e637
  493daaf401c92c279dd10f0edb1c56f8080211f8480ee306 )
@ 86400 ZONEMD 2018031900 1 2 (
  08cfa1115c7b948c4163a901270395ea226a930cd2cbcf2fa9a5e6eb85f37c8a
  4e114d884e66f176eab121cb02db7d652e0cc4827e7a3204f166b47e5613fd27 )
@ 86400 ZONEMD 2018031900 1 240 ( e2d523f654b9422a96c5a8f44607bbee )
@ 86400 ZONEMD 2018031900 241 1 (
  e1846540e33a9e4189792d18d5d131f605fc283eaaaaaaaa
  aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa )
ns1 3600 A 203.0.113.63
ns2 86400 TXT "This example has multiple digests"
NS2 3600 AAAA 2001:db8::63
"""
_SERVERS = {
    "a": ("198.41.0.4", "2001:503:ba3e::2:30"), "b": ("199.9.14.201", "2001:500:200::b"),
    "c": ("192.33.4.12", "2001:500:2::c"), "d": ("199.7.91.13", "2001:500:2d::d"),
    "e": ("192.203.230.10", "2001:500:a8::e"), "f": ("192.5.5.241", "2001:500:2f::f"),
    "g": ("192.112.36.4", "2001:500:12::d0d"), "h": ("198.97.190.53", "2001:500:1::53"),
    "i": ("192.36.148.17", "2001:7fe::53"), "j": ("192.58.128.30", "2001:503:c27::2:30"),
    "k": ("193.0.14.129", "2001:7fd::1"), "l": ("199.7.83.42", "2001:500:9f::42"),
    "m": ("202.12.27.33", "2001:dc3::35"),
}  # fmt: skip
ROOT_SERVERS = """$TTL 3600000
@ SOA a.root-servers.net. nstld.verisign-grs.com. 2018091100 14400 7200 1209600 3600000
@ ZONEMD 2018091100 1 1 (
  f1ca0ccd91bd5573d9f431c00ee0101b2545c97602be0a97
  8a3b11dbfc1c776d5b3e86ae3d973d6b5349ba7f04340f79 )
b MX 20 mail.isi.edu.
i MX 10 mx.i.root-servers.org.
""" + "".join(f"@ NS {name}\n{name} A {one}\n{name} AAAA {other}\n" for name, (one, other) in _SERVERS.items())


def found(tmp_path, text):
    return list(audit(make_zone(tmp_path, text), TODAY))


def test_a_sound_zone_has_nothing_to_warn_of(tmp_path):
    text = (
        "*.w CNAME ns1\nc CNAME x.w\nd DNAME ns1.other.\ne CNAME y.d\n@ MX 1 ns1\nsub NS ns.sub\nsub NS ns1\n"
        "ns.sub AAAA 2001:db8::1\nf CNAME deep.sub\n"
    )
    assert found(tmp_path, SOUND + text) == []


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        (SOUND + "sub NS ns.sub\n", "lacks glue"),
        (SOUND + "sub NS ns.b\nb NS ns.other.\n", None),
        (SOUND + "sub NS gone\n", "sub.example.test. NS gone.example.test. does not exist"),
        (SOUND + "sub NS t\nt TXT a\n", "t.example.test. has no address"),
        (SOUND + "sub NS t\nt CNAME ns1\n", "is an alias"),
        (SOUND + "@ MX 1 gone\n", "MX gone.example.test. does not exist"),
        (SOUND + "a SRV 1 2 3 gone\n", "SRV gone.example.test. does not exist"),
        (SOUND + "a CNAME gone\n", "CNAME gone.example.test. does not exist"),
        (SOUND + "sub NS ns1\nsub TXT a\n", "beside a delegation"),
        (SOUND + "sub NS ns1\na.sub TXT a\n", "below the delegation of sub"),
        (SOUND + "sub DNAME o.\na.sub A 192.0.2.1\n", "below the DNAME of sub"),
        (SOUND + "*.a NS ns1\n", "delegation of all names"),
        (SOUND + f"a DS 1 8 2 {'ab' * 32}\n", "no delegation"),
        (SOUND + f"@ DS 1 8 2 {'ab' * 32}\n", "belongs into the zone above"),
        (SOUND + "".join(f"a TXT {i:05}{'x' * 200}\n" for i in range(320)), "than a message holds"),
        (SOUND.replace("@ NS ns2\n", ""), "one name server only"),
        (SOUND.replace("host 1 ", "host 0 "), "serial 0"),
        (SOUND.replace("host 1 ", "host 2026112301 "), "date to come"),
        (SOUND.replace("host 1 ", "host 2026112201 "), None),
        (SOUND.replace("host 1 ", "host 2026139901 "), None),
        (SOUND.replace("3600 1209600", "7200 1209600"), "retry"),
        (SOUND.replace("1209600", "9000"), "shorter than refresh and retry"),
        (SOUND.replace("1209600", "90000"), "less than a week"),
        (SOUND.replace("1209600 300", "1209600 90000"), "more than a day"),
        (EXAMPLE.replace(".63", ".64"), "not that of these records"),
        (EXAMPLE.replace("SOA ns1 admin 2018031900", "SOA ns1 admin 2018031901"), "for serial 2018031900"),
        (EXAMPLE.replace("1 1 (", "9 1 ("), "no scheme"),
    ],
)
def test_warnings(tmp_path, text, warning):
    got = found(tmp_path, text)
    assert len(got) == (0 if warning is None else 1), got
    if warning is not None:
        assert warning in got[0]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (EXAMPLE, "example."),
        (COMPLEX, "example."),
        (SEVERAL, "example."),
        (URI_ARPA, "uri.arpa."),
        (ROOT_SERVERS, "root-servers.net."),
    ],
)
def test_the_digests_of_the_rfc(tmp_path, text, name):
    zone = make_zone(tmp_path, text, name)
    assert complaint(zone) is None
    given = zone.apex.rrset(codes.ZONEMD).rdatas
    assert zonemd(zone) in given
    if len(given) > 1:
        assert zonemd(zone, SHA512) in given
    else:
        assert not any("ZONEMD" in line for line in map(str, audit(zone, TODAY)))
    changed = zone.changed([], [(zone.name, codes.TXT, 60, b"\1x")])
    assert "not that of these records" in complaint(changed)


def test_the_signatures_of_the_rfc(tmp_path):
    zone = make_zone(tmp_path, URI_ARPA, "uri.arpa.")
    assert check_signatures(zone, zone.apex.rrset(codes.DNSKEY).rdatas, SIGNED_AT) == 15


@settings(max_examples=40, deadline=None)
@given(zone_texts())
def test_digests_are_those_of_dnspython(text):
    theirs = dns.zone.from_text(text.replace("$ORIGIN example.test.\n", ""), "example.test.", relativize=False)
    zone = loaded(text)
    assert digest(zone) == theirs.compute_digest(1).digest
    assert digest(zone, SHA512) == theirs.compute_digest(2).digest


def test_the_command(tmp_path, capsys):
    path = tmp_path / "example.test.zone"
    path.write_text(SOUND)
    assert main(["zone", "check", "--strict", str(path)]) == 0
    assert capsys.readouterr().out == "example.test. serial 1: records 5, names 3, delegations 0, warnings 0\n"
    path.write_text(SOUND + "a A 192.0.2.1\na 60 A 192.0.2.2\n")
    assert main(["zone", "check", str(path)]) == 0
    assert capsys.readouterr().out.startswith(f"warning: {path}:8: a.example.test.: TTL 60 beside 300 in one RRset\n")
    assert main(["zone", "check", "--strict", str(path)]) == 1
    path.write_text(SOUND + "a A 192.0.2.1\na CNAME b\n")
    assert main(["zone", "check", str(path)]) == 1
    assert capsys.readouterr().err == (f"error: {path}:8: a.example.test. has a CNAME record beside other records\n")
    assert main(["zone", "check", "--name", "a..b", str(path)]) == 1
    path.write_text("$ORIGIN other.test.\n" + EXAMPLE)
    assert main(["zone", "digest", str(path)]) == 0
    assert capsys.readouterr().out.startswith("other.test. 86400 IN ZONEMD 2018031900 1 1 ")


def test_a_signed_zone_with_several_ttls_at_a_name_is_sound(tmp_path, capsys):
    path = tmp_path / "uri.arpa"
    path.write_text(URI_ARPA)
    assert main(["zone", "check", "--strict", str(path)]) == 0
    assert capsys.readouterr().out == "uri.arpa. serial 2018100702: records 35, names 5, delegations 0, warnings 0\n"
