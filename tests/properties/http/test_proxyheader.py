"""No input makes the reader of PROXY headers do anything but read, wait or refuse."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from netsuite.sansio.proxyheader import LONGEST, SIGNATURE, HeaderFault, read, v1, v2

ports = st.integers(0, 65535)
addresses = st.one_of(
    st.tuples(st.ip_addresses(v=4).map(str), st.ip_addresses(v=4).map(str)),
    st.tuples(st.ip_addresses(v=6).map(str), st.ip_addresses(v=6).map(str)),
)


@given(
    st.one_of(
        st.binary(max_size=64),
        st.binary(max_size=400).map(lambda rest: SIGNATURE + rest),
        st.binary(max_size=200).map(lambda rest: b"PROXY " + rest),
        st.text("PROXYTCP46UNKW 0123456789.:\r\n", max_size=120).map(lambda rest: b"PROXY TCP4 " + rest.encode()),
    )
)
def test_any_input(data):
    try:
        found = read(data)
    except HeaderFault:
        return
    if found is None:
        assert len(data) < LONGEST
    else:
        assert 0 < found.size <= len(data)
        assert read(data[: found.size]) == found


@given(addresses, ports, ports, st.binary(max_size=20))
def test_what_is_written_is_read(both, one, other, rest):
    peer, local = (both[0], one), (both[1], other)
    for write in (v1, v2):
        header = write(peer, local)
        found = read(header + rest)
        assert found.size == len(header)
        assert found.peer[1] == one
        assert read(write(found.peer, found.local)) == found._replace(size=len(write(found.peer, found.local)))
