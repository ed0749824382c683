"""Cookies: the vectors of RFC 9018, appendix A, and what is not one of ours."""

from __future__ import annotations

import pytest

from netsuite.dns.cookies import Cookies

SECRET = bytes.fromhex("e5e973e5a6b2a43f48e7dc849e37bfcf")
CLIENT = bytes.fromhex("2464c4abcf10c957")
FIRST = bytes.fromhex("2464c4abcf10c957010000005cf79f111f8130c3eee29480")
HOST = "198.51.100.100"
MADE = 1559731985


def cookie(shown):
    assert shown.answer[:4] == b"\0\x0a\0\x18"
    return shown.answer[4:].hex()


def test_a_new_client_learns_a_cookie():
    shown = Cookies(SECRET).show(CLIENT, HOST, MADE)
    assert not shown.valid
    assert cookie(shown) == FIRST.hex()


def test_a_cookie_is_kept_for_half_an_hour_and_then_renewed():
    assert cookie(Cookies(SECRET).show(FIRST, HOST, MADE + 1800)) == FIRST.hex()
    # appendix A.2: shown again after 40 minutes
    shown = Cookies(SECRET).show(FIRST, HOST, 1559734385)
    assert shown.valid
    assert cookie(shown) == "2464c4abcf10c957010000005cf7a871d4a564a1442aca77"


def test_reserved_bytes_that_are_not_zero_are_another_version_s():
    other = bytes.fromhex("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5")
    assert not Cookies(SECRET).show(other, "203.0.113.203", 1559727985).valid


def test_ipv6_and_a_changed_secret():
    old, new = (
        bytes.fromhex(text) for text in ("dd3bdf9344b678b185a6f5cb60fca715", "445536bcd2513298075a5d379663c962")
    )
    shown = bytes.fromhex("22681ab97d52c298010000005cf7c57926556bd0934c72f8")
    host = "2001:db8:220:1:59de:d0f4:8769:82b8"
    found = Cookies(new, old).show(shown, host, 1559741961)
    assert found.valid
    assert cookie(found) == "22681ab97d52c298010000005cf7c609a6bb79d16625507a"
    assert not Cookies(new).show(shown, host, 1559741961).valid


@pytest.mark.parametrize(
    ("data", "host", "now"),
    [
        (FIRST, "198.51.100.101", MADE),
        (FIRST, HOST, MADE + 3601),
        (FIRST, HOST, MADE - 301),
        (FIRST[:-1] + b"\0", HOST, MADE),
        (b"\0" + FIRST[1:], HOST, MADE),
        (FIRST + b"\0", HOST, MADE),
        (FIRST[:16], HOST, MADE),
        (CLIENT, "/run/dns.sock", MADE),
    ],
)
def test_what_proves_nothing_gets_a_new_one(data, host, now):
    shown = Cookies(SECRET).show(data, host, now)
    assert not shown.valid
    assert Cookies(SECRET).show(shown.answer[4:], host, now).valid


@pytest.mark.parametrize("length", [0, 1, 7, 9, 15, 41, 300])
def test_lengths_that_no_cookie_has(length):
    assert Cookies(SECRET).show(bytes(length), HOST, MADE) is None


def test_time_goes_round():
    cookies = Cookies(SECRET)
    last = cookies.show(CLIENT, HOST, (1 << 32) - 10).answer[4:]
    assert cookies.show(last, HOST, (1 << 32) + 10).valid


def test_what_is_remembered_is_bounded():
    cookies = Cookies(SECRET)
    for number in range(9000):
        cookies.show(number.to_bytes(8, "big"), HOST, MADE)
    assert len(cookies._hashes) <= 8192


def test_secrets_have_16_bytes():
    for secrets in ((), (b"short",)):
        with pytest.raises(ValueError, match="16 bytes"):
            Cookies(*secrets)
