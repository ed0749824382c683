"""A zone that is signed change by change is signed as if it had been signed at once; and every signature holds."""

from __future__ import annotations

import atexit
import functools
import shutil
import tempfile
from pathlib import Path

import dns.dnssec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netsuite.common.datadir import DataDirectory
from netsuite.dns.authoritative import zone as zones
from netsuite.dns.authoritative.assembly import Assembly
from netsuite.dns.authoritative.change import with_serial
from netsuite.dns.authoritative.signed import KEY_TYPES, ZoneSigning
from netsuite.dns.authoritative.signing import MADE, bitmap, due
from netsuite.dns.authoritative.update import Refused, Update, execute
from netsuite.dns.authoritative.zone import ZoneError
from netsuite.dns.wire import codes
from netsuite.dns.wire.name import from_text
from netsuite.dns.wire.records import Message, Record
from tests.dnssignatures import check_signatures, rdata

NAME = from_text("example.test.")
NOW = 1_795_000_000
SOA = b"\x02ns" + NAME + b"\x01h" + NAME + (1).to_bytes(4, "big") + bytes(15) + b"\x3c"
OWNERS = [from_text(f"{name}example.test.") for name in ("", "a.", "b.", "c.b.", "*.b.", "d.c.b.", "z.", "x.y.z.")]
DATA = {
    codes.A: b"\xc0\0\2\1",
    codes.NS: from_text("ns.a.example.test."),
    codes.TXT: b"\x02hi",
    codes.CNAME: from_text("Other.test."),
    codes.DS: bytes(4) + b"\x01" * 32,
    codes.DNAME: from_text("elsewhere.test."),
}


def records_of(zone):
    return [record for record in zone.records() if record[1] not in MADE | KEY_TYPES]


def chain_of(zone):
    return sorted(record for record in zone.records() if record[1] in (codes.NSEC, codes.NSEC3, codes.NSEC3PARAM))


CHAINS = ("nsec", "nsec3", "nsec3-opt-out", "compact")


@functools.cache
def signing_with(chain):
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    found = ZoneSigning(NAME, DataDirectory(Path(folder)), "keys", "ed25519", chain)
    found.open(NOW)
    return found


def first(records=()):
    assembly = Assembly(NAME)
    for record in ((NAME, codes.SOA, 60, SOA), (NAME, codes.NS, 60, from_text("ns.example.test.")), *records):
        assembly.add(*record)
    return assembly.zone()


def signed(signing, zone):
    change = signing.toward(zone, list(zone.records()), "increment", NOW, "signing")
    return change.applied(zone)


changes = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(OWNERS),
            st.sampled_from(sorted(DATA)),
            st.sampled_from(["add", "delete", "clear"]),
            st.sampled_from([5, 60, 600]),
        ),
        min_size=1,
        max_size=3,
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CHAINS), changes)
def test_change_by_change_is_as_at_once(chain, steps):
    change_by_change(chain, steps, lambda zone: zone)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(CHAINS), changes)
def test_the_chain_holds_where_changes_are_moved_into_the_base(chain, steps):
    usual, zones._SETTLED = zones._SETTLED, 0

    def light(zone):
        list(zone.names()), zone.hashes()
        while not zone.settle():
            pass
        return zone.lightened()

    try:
        change_by_change(chain, steps, light)
    finally:
        zones._SETTLED = usual


def change_by_change(chain, steps, between):
    signing = signing_with(chain)
    zone = signed(signing, first())
    for step in steps:
        zone = between(zone)
        updates = []
        for owner, rdtype, act, ttl in step:
            if act == "add":
                updates.append(Record(owner, rdtype, codes.CLASS_IN, ttl, DATA[rdtype]))
            elif act == "delete":
                updates.append(Record(owner, rdtype, codes.CLASS_ANY, 0, b""))
            else:
                updates.append(Record(owner, codes.ANY, codes.CLASS_ANY, 0, b""))
        message = Message((NAME, codes.SOA, 1), [], updates, [])
        try:
            change = execute(zone, Update(message, lambda *_: True, "a test"), "increment", NOW, signed=True)
            if change is None:
                continue
            change.applied(zone)
        except (Refused, ZoneError):
            continue
        change = signing.complete(zone, change, NOW)
        made = change.applied(zone)
        check_exact(zone, change, made)
        zone = made
    fresh = signed(signing, first_of(zone))
    assert chain_of(zone) == chain_of(fresh)
    covered = {(owner, data[:2]) for owner, rdtype, _, data in zone.records() if rdtype == codes.RRSIG}
    assert covered == {(owner, data[:2]) for owner, rdtype, _, data in fresh.records() if rdtype == codes.RRSIG}
    check_signatures(zone, [key.dnskey for key in signing.keys], NOW)


def check_exact(zone, change, made):
    """A version is what the change says and no other; so is the way back."""
    gone, come = set(change.removals), set(change.additions)
    assert gone <= set(zone.records())
    assert set(made.records()) == set(zone.records()) - gone | come
    assert sorted(change.undone(made).records()) == sorted(zone.records())


def first_of(zone):
    assembly = Assembly(NAME)
    for record in records_of(zone):
        assembly.add(*record)
    return assembly.zone()


@pytest.mark.parametrize("chain", CHAINS)
def test_signatures_are_renewed_a_week_before_their_end(chain):
    signing = signing_with(chain)
    zone = signed(signing, first([(OWNERS[1], codes.A, 60, DATA[codes.A])]))
    names, following = due(zone, signing.signer, NOW, 100)
    assert names == []
    assert NOW + 5 * 86400 < following <= NOW + 7 * 86400
    names, _ = due(zone, signing.signer, following + 86400, 100)
    assert {NAME, OWNERS[1]} <= set(names)
    assert len(names) == (4 if signing.chain.startswith("nsec3") else 2)
    assert due(zone, signing.signer, following + 86400, 1)[0]
    later = NOW + 13 * 86400
    change = signing.renewed(zone, names, "increment", later, "signing: renewed")
    assert due(change.applied(zone), signing.signer, later, 100)[0] == []


@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("minimum", [5, 600])
def test_links_that_are_signed_anew_have_the_ttl_of_negative_answers(chain, minimum):
    signing = signing_with(chain)
    zone = signed(signing, first([(owner, codes.A, 300, DATA[codes.A]) for owner in OWNERS[1:]]))
    soa = with_serial(SOA, 7)[:-4] + minimum.to_bytes(4, "big")
    message = Message((NAME, codes.SOA, 1), [], [Record(NAME, codes.SOA, codes.CLASS_IN, 600, soa)], [])
    change = execute(zone, Update(message, lambda *_: True, "a test"), "increment", NOW, signed=True)
    change = signing.complete(zone, change, NOW)
    made = change.applied(zone)
    check_exact(zone, change, made)
    check_signatures(made, [key.dnskey for key in signing.keys], NOW)
    change = signing.renewed(made, list(made.names()), "increment", NOW + 1, "signing: renewed")
    anew = change.applied(made)
    check_exact(made, change, anew)
    check_signatures(anew, [key.dnskey for key in signing.keys], NOW + 1)
    assert {record[2] for record in chain_of(anew)} <= {minimum, 0}


@pytest.mark.parametrize("chain", CHAINS)
def test_a_change_signs_what_it_touches(chain):
    signing = signing_with(chain)
    many = [(from_text(f"n{number:03}.example.test."), codes.A, 60, DATA[codes.A]) for number in range(200)]
    zone = signed(signing, first(many))
    message = Message((NAME, codes.SOA, 1), [], [Record(OWNERS[1], codes.TXT, 1, 60, DATA[codes.TXT])], [])
    change = execute(zone, Update(message, lambda *_: True, "a test"), "increment", NOW, signed=True)
    change = signing.complete(zone, change, NOW)
    # the SOA, the new name's TXT and link, the link before it: each with its signature
    assert len(change.additions) == (4 if signing.chain == "compact" else 8)


@given(st.sets(st.integers(1, 65535), max_size=20))
def test_bitmaps_are_as_dnspython_reads_them(present):
    data = from_text("next.") + bitmap(present)
    assert set(_types(rdata(codes.NSEC, data))) == present


def _types(nsec):
    for window, bits in nsec.windows:
        for number in range(len(bits) * 8):
            if bits[number >> 3] & 0x80 >> (number & 7):
                yield window * 256 + number


def test_keys_are_kept_and_change_in_steps(tmp_path):
    data = DataDirectory(tmp_path)
    one = ZoneSigning(NAME, data, "keys", "ecdsap256sha256", "nsec")
    one.open(NOW)
    (old,) = one.keys
    assert (tmp_path / "keys").stat().st_mode & 0o777 == 0o600
    fresh = one.begin_rollover(NOW)
    other = ZoneSigning(NAME, data, "keys", "ecdsap256sha256", "nsec")
    other.open(NOW)
    assert [(key.tag, key.state) for key in other.keys] == [(old.tag, "active"), (fresh.tag, "published")]
    with pytest.raises(Exception, match="has a new key already"):
        one.begin_rollover(NOW)
    with pytest.raises(Exception, match="ask again"):
        one.finish_rollover(NOW + 10)
    one.finish_rollover(NOW + 3600)
    assert [key.state for key in one.keys] == ["retired", "active"]
    assert one.signer.tags == {fresh.tag}
    assert len(one.ds()) == 1
    assert not one.forget_retired(NOW + 3600 + 86400)
    assert one.forget_retired(NOW + 3600 + 3 * 86400)
    assert [key.tag for key in one.keys] == [fresh.tag]


@pytest.mark.parametrize("algorithm", ["ecdsap256sha256", "ed25519", "rsasha256"])
def test_key_tags_and_ds_are_as_dnspython_has_them(tmp_path, algorithm):
    one = ZoneSigning(NAME, DataDirectory(tmp_path), "keys", algorithm, "nsec")
    one.open(NOW)
    (key,) = one.keys
    theirs = rdata(codes.DNSKEY, key.dnskey)
    assert dns.dnssec.key_id(theirs) == key.tag
    assert dns.dnssec.make_ds("example.test.", theirs, "SHA256").to_wire() == key.ds(NAME)
