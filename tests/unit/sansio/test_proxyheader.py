"""The header of the PROXY protocol, both versions."""

from __future__ import annotations

import struct

import pytest

from netsuite.sansio.proxyheader import LOCAL_V1, LOCAL_V2, LONGEST, SIGNATURE, Announced, HeaderFault, read, v1, v2

PEER, LOCAL = ("192.0.2.1", 56324), ("198.51.100.7", 443)
SIX, SEVEN = ("2001:db8::1", 1), ("2001:db8::2", 65535)


def raw(command=0x21, family=0x11, block=b"\xc0\0\2\1\xc63\x64\7\xdc\4\1\xbb"):
    return SIGNATURE + struct.pack("!BBH", command, family, len(block)) + block


@pytest.mark.parametrize("write", [v1, v2])
@pytest.mark.parametrize(("peer", "local"), [(PEER, LOCAL), (SIX, SEVEN)])
def test_what_is_written_is_read(write, peer, local):
    header = write(peer, local)
    assert read(header + b"GET / HTTP/1.1") == Announced(peer, local, len(header))
    for cut in range(len(header)):
        assert read(header[:cut]) is None


def test_the_bytes_themselves():
    assert v1(PEER, LOCAL) == b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443\r\n"
    assert v2(PEER, LOCAL) == raw()


@pytest.mark.parametrize("header", [LOCAL_V1, LOCAL_V2, b"PROXY UNKNOWN 1 2 3\r\n", raw(0x20), raw(0x21, 0x00, b"")])
def test_nobody_is_announced(header):
    assert read(header) == Announced(None, None, len(header))


def test_a_unix_socket_is_no_address():
    assert read(v2(("/run/socket", 0), ("/run/socket", 0))).peer is None
    assert v1(("/run/socket", 0), ("/run/socket", 0)) == LOCAL_V1
    header = raw(0x21, 0x31, b"\0" * 216)
    assert read(header) == Announced(None, None, len(header))


def test_addresses_of_two_families_become_one():
    assert read(v2(("::ffff:192.0.2.1", 1), LOCAL)).peer == ("192.0.2.1", 1)
    found = read(v2(SIX, LOCAL))
    assert found.peer == SIX
    assert found.local[0] in ("::ffff:c633:6407", "::ffff:198.51.100.7")


def test_extensions():
    header = v2(PEER, LOCAL, tls=("TLSv1.3", "TLS_AES_128_GCM_SHA256"), alpn="h2", server_name="shop.test")
    assert read(header) == Announced(PEER, LOCAL, len(header))
    for piece in (b"\x01\0\2h2", b"\x02\0\x09shop.test", b"\x21\0\7TLSv1.3", b"\x23\0\x16TLS_AES_128_GCM_SHA256"):
        assert piece in header


@pytest.mark.parametrize(
    "header",
    [
        b"GET / HTTP/1.1\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 56324\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 56324 443 \r\n",
        b"PROXY  TCP4 192.0.2.1 198.51.100.7 56324 443\r\n",
        b"PROXY TCP4 192.0.2.256 198.51.100.7 56324 443\r\n",
        b"PROXY TCP4 2001:db8::1 198.51.100.7 56324 443\r\n",
        b"PROXY TCP6 192.0.2.1 198.51.100.7 56324 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 65536 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 01 443\r\n",
        b"PROXY TCP4 192.0.2.1 198.51.100.7 1 443\n",
        b"PROXY UDP4 192.0.2.1 198.51.100.7 1 443\r\n",
        b"PROXY UNKNOWNX\r\n",
        b"PROXY " + b"x" * 200,
        raw(0x11),
        raw(0x22),
        raw(0x21, 0x41),
        raw(0x21, 0x11, b"short"),
        raw(block=raw()[16:] + b"\x01\0"),
        raw(block=raw()[16:] + b"\x01\0\5abc"),
        raw(block=b"\0" * LONGEST),
        SIGNATURE[:11] + b"x" + b"\0" * 20,
    ],
)
def test_faults(header):
    with pytest.raises(HeaderFault):
        read(header)
