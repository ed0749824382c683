"""SipHash-2-4 beside the vectors of its paper's reference implementation."""

from __future__ import annotations

import pytest

from netsuite.sansio.siphash import siphash

KEY = bytes(range(16))


@pytest.mark.parametrize(
    ("length", "found"),
    [(0, "310e0edd47db6f72"), (1, "fd67dc93c539f874"), (7, "37d1018bf50002ab"), (8, "6224939a79f5f593")],
)
def test_reference_vectors(length, found):
    assert siphash(KEY, bytes(range(length))).hex() == found


def test_the_example_of_the_paper():
    assert int.from_bytes(siphash(KEY, bytes(range(15))), "little") == 0xA129CA6149BE45E5


def test_a_key_of_another_length_is_refused():
    with pytest.raises(ValueError, match="16 bytes"):
        siphash(b"short", b"")
