"""Master files: what is read, and the one line that says what is wrong."""

from __future__ import annotations

import re

import dns.rdata
import pytest

from netsuite.dns.authoritative.master import ZoneError, read
from netsuite.dns.wire.name import from_text, to_text

ORIGIN = from_text("example.test.")


def rows(tmp_path, text, origin=ORIGIN):
    path = tmp_path / "zone"
    path.write_text(text)
    return [
        (to_text(owner), ttl, rdtype, str(dns.rdata.from_wire(1, rdtype, rdata, 0, len(rdata))))
        for batch in read(path, origin)
        for owner, rdtype, ttl, rdata, _ in batch.entries
    ]


def test_a_whole_zone(tmp_path):
    text = """
; a comment
$TTL 1h30m
@       IN SOA  ns1 host.example.test. ( 2024 ; serial
                1d 2h
                4w 300 )   ; and more
        NS      ns1
        IN NS   ns.other.test.
ns1 60  IN A    192.0.2.1
    IN 70 AAAA  2001:db8::1
$ORIGIN sub.example.test.
www     CNAME   www.example.test.
@       MX      10 mail
txt     TXT     "one; \\"quoted\\"" two \\059three
\\042x   A 192.0.2.2
"""
    assert rows(tmp_path, text) == [
        ("example.test.", 5400, 6, "ns1.example.test. host.example.test. 2024 86400 7200 2419200 300"),
        ("example.test.", 5400, 2, "ns1.example.test."),
        ("example.test.", 5400, 2, "ns.other.test."),
        ("ns1.example.test.", 60, 1, "192.0.2.1"),
        ("ns1.example.test.", 70, 28, "2001:db8::1"),
        ("www.sub.example.test.", 5400, 5, "www.example.test."),
        ("sub.example.test.", 5400, 15, "10 mail.sub.example.test."),
        ("txt.sub.example.test.", 5400, 16, '"one; \\"quoted\\"" "two" ";three"'),
        ("*x.sub.example.test.", 5400, 1, "192.0.2.2"),
    ]


def test_ttl_is_the_last_one_or_the_soas_minimum(tmp_path):
    text = "@ SOA a b 1 2 3 4 77\n@ NS a\na 5 A 192.0.2.1\nb A 192.0.2.2\n"
    assert [ttl for _, ttl, _, _ in rows(tmp_path, text)] == [77, 77, 5, 5]


def test_rare_and_unknown_types(tmp_path):
    text = (
        '$TTL 1\n@ SRV 1 2 3 t\n@ CAA 0 issue "ca.test"\n@ TYPE65280 \\# 3 010203\n'
        "@ DS 1 8 2 ( 0123456789012345678901234567890123456789012345678901234567 890123 )\n@ HTTPS 1 . alpn=h2\n"
        "@ A \\# 4 C0000201\n"
    )
    assert [row[3] for row in rows(tmp_path, text)] == [
        "1 2 3 t.example.test.",
        '0 issue "ca.test"',
        "\\# 3 010203",
        "1 8 2 0123456789012345678901234567890123456789012345678901234567890123",
        '1 . alpn="h2"',
        "192.0.2.1",
    ]


def test_generate(tmp_path):
    text = "$TTL 1\n$GENERATE 1-7/3 host-${0,3,d} A 192.0.2.$\n$GENERATE 10-11 ${-9} 9 IN CNAME ${0,2,x}.t$$\n"
    assert rows(tmp_path, text) == [
        ("host-001.example.test.", 1, 1, "192.0.2.1"),
        ("host-004.example.test.", 1, 1, "192.0.2.4"),
        ("host-007.example.test.", 1, 1, "192.0.2.7"),
        ("1.example.test.", 9, 5, "0a.t\\$.example.test."),
        ("2.example.test.", 9, 5, "0b.t\\$.example.test."),
    ]


def test_generate_nibbles(tmp_path):
    text = "$TTL 1\n$GENERATE 26-26 ${0,5,n} PTR x\n$GENERATE 26-26 ${0,3,N} PTR x\n"
    assert [row[0] for row in rows(tmp_path, text)] == ["a.1.0.example.test.", "a.1.example.test."]


def test_include_is_relative_to_its_file_and_keeps_the_origin(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "a").write_text("x A 192.0.2.1\n$INCLUDE b\n$ORIGIN elsewhere.test.\n")
    (tmp_path / "more" / "b").write_text("y A 192.0.2.2\n")
    text = "$TTL 5\n$INCLUDE more/a sub\nz A 192.0.2.3\n"
    assert [row[0] for row in rows(tmp_path, text)] == ["x.sub.example.test.", "y.sub.example.test.", "z.example.test."]


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("www A 192.0.2.1\n", 1, "no TTL"),
        ("$TTL 1\n\nwww A 192.0.2.300\n", 3, "'192.0.2.300' is no address for A"),
        ("$TTL 1\nwww a \0\n", 2, "is no address for a"),
        ("$TTL 1\nwww AAAA ::\u00e9\n", 2, "is no address for AAAA"),
        ("$TTL 1\n@ FOO bar\n", 2, "'FOO' is no record type"),
        ("$TTL 1\n@ CH A 192.0.2.1\n", 2, "class CH"),
        ("$TTL 1\n@ MX 10\n", 2, "MX data '10'"),
        ("$TTL 1\n@ MX ten mail\n", 2, "MX data"),
        ("$TTL 1\n@ SOA a b 1 2 3\n", 2, "SOA data"),
        ("$TTL 1\na..b A 192.0.2.1\n", 2, "empty label"),
        ("$TTL 1\n@\n", 2, "without a type"),
        ("$TTL x\n", 1, "'x' is no TTL"),
        ("$TTL 3000000000\n", 1, "larger than"),
        ("$TTL\n", 1, "says nothing"),
        ("$NOPE x\n", 1, "no directive"),
        ("$INCLUDE nowhere\n", 1, "no such file"),
        ("$GENERATE 5-1 x A 1\n", 1, "no range"),
        ("$GENERATE 1-99999999 x A 1\n", 1, "no range"),
        ("$GENERATE x y A z\n", 1, "START-STOP"),
        ("@ 1 TXT ( a\nb\n", 1, "never closed"),
        ("@ 1 TXT a )\n", 1, "closing parenthesis"),
        ('@ 1 TXT "a\n', 1, "quote that is not closed"),
        ("@ 1 OPT x\n", 1, "no place in a zone"),
        ("@ 1 ANY x\n", 1, "no place in a zone"),
    ],
)
def test_errors_name_file_line_and_reason(tmp_path, text, line, reason):
    with pytest.raises(ZoneError, match=re.escape(reason)) as caught:
        rows(tmp_path, text)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'zone'}:{line}: ")
    assert "\n" not in message


def test_a_first_line_without_a_name(tmp_path):
    with pytest.raises(ZoneError, match="without a name"):
        rows(tmp_path, " 1 A 192.0.2.1\n")


def test_an_error_in_an_included_file_names_that_file(tmp_path):
    (tmp_path / "inner").write_text("\n@ 1 A x\n")
    with pytest.raises(ZoneError, match=r"inner:2: "):
        rows(tmp_path, "$INCLUDE inner\n")


def test_an_include_of_itself_ends(tmp_path):
    with pytest.raises(ZoneError, match="deeper than"):
        rows(tmp_path, "$INCLUDE zone\n")


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(ZoneError, match="No such file"):
        list(read(tmp_path / "absent", ORIGIN))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ZoneError, match="no text"):
        list(read(tmp_path / "binary", ORIGIN))
