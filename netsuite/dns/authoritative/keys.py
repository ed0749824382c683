"""The keys that a zone is signed with, their states, and what the zone and its parent are told of them.

One key does both, the zone's data and its key set (a combined signing key, as in RFC 6781 section 3.1). A new key goes
through these states (RFC 7583 in short; each is left when its time has come, or when the parent has followed):

* ``published``: in the key set and the parent told of it (CDS, CDNSKEY, RFC 7344), until everyone may know it;
* ``active``: signs everything;
* ``retired``: in the key set, signs nothing any more, until nobody may hold its signatures; then it is forgotten.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from netsuite.dns.wire.name import to_text

__all__ = ["ALGORITHMS", "Algorithm", "SigningKey", "State", "made"]

Algorithm = Literal["ecdsap256sha256", "ed25519", "rsasha256"]
State = Literal["published", "active", "retired"]

ALGORITHMS: Final[dict[Algorithm, int]] = {"ecdsap256sha256": 13, "ed25519": 15, "rsasha256": 8}
_FLAGS: Final = 257
_SHA256: Final = 2

Private = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


class SigningKey(NamedTuple):
    """A key; ``since`` is when its state began (Unix time in seconds)."""

    algorithm: Algorithm
    private: Private
    state: State
    since: int

    @property
    def dnskey(self) -> bytes:
        """The data of its DNSKEY record (RFC 4034 section 2)."""
        return struct.pack("!HBB", _FLAGS, 3, ALGORITHMS[self.algorithm]) + self._public()

    @property
    def tag(self) -> int:
        """Its key tag (RFC 4034 appendix B)."""
        data = self.dnskey + b"\0" * (len(self.dnskey) % 2)
        total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
        return (total + (total >> 16)) & 0xFFFF

    def ds(self, zone: bytes) -> bytes:
        """The data of the DS record that the parent shall have (RFC 4509)."""
        digest = hashlib.sha256(zone + self.dnskey).digest()
        return struct.pack("!HBB", self.tag, ALGORITHMS[self.algorithm], _SHA256) + digest

    def ds_text(self, zone: bytes) -> str:
        """The same as a line of the parent's zone."""
        ds = self.ds(zone)
        return f"{to_text(zone)} DS {self.tag} {ds[2]} {ds[3]} {ds[4:].hex()}"

    def sign(self, data: bytes) -> bytes:
        """The signature over data, as RRSIG has it (RFC 5702, RFC 6605, RFC 8080); of equal data it is equal."""
        private = self.private
        if isinstance(private, ed25519.Ed25519PrivateKey):
            return private.sign(data)
        if isinstance(private, rsa.RSAPrivateKey):
            return private.sign(data, padding.PKCS1v15(), hashes.SHA256())
        r, s = decode_dss_signature(private.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True)))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def _public(self) -> bytes:
        public = self.private.public_key()
        if isinstance(public, ed25519.Ed25519PublicKey):
            return public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        if isinstance(public, rsa.RSAPublicKey):
            numbers = public.public_numbers()
            exponent = numbers.e.to_bytes((numbers.e.bit_length() + 7) // 8, "big")
            return bytes((len(exponent),)) + exponent + numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")
        point = public.public_numbers()
        return point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")

    def as_json(self) -> dict[str, str | int]:
        """What is kept of it."""
        der = self.private.private_bytes(
            serialization.Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        private = base64.b64encode(der).decode()
        return {"algorithm": self.algorithm, "private": private, "state": self.state, "since": self.since}

    @classmethod
    def from_json(cls, kept: dict[str, str | int]) -> SigningKey:
        """What :meth:`as_json` said; raises ValueError, KeyError and TypeError."""
        der = base64.b64decode(str(kept["private"]), validate=True)
        private = serialization.load_der_private_key(der, None)
        assert isinstance(private, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey)
        algorithm, state = kept["algorithm"], kept["state"]
        if algorithm not in ALGORITHMS or state not in ("published", "active", "retired"):
            raise ValueError(f"a key of algorithm {algorithm} in state {state}")
        return cls(algorithm, private, state, int(kept["since"]))  # type: ignore[arg-type]


def made(algorithm: Algorithm, state: State, now: int, others: Sequence[SigningKey] = ()) -> SigningKey:
    """A new key, whose tag none of the others has."""
    while True:
        private: Private
        if algorithm == "ed25519":
            private = ed25519.Ed25519PrivateKey.generate()
        elif algorithm == "rsasha256":
            private = rsa.generate_private_key(65537, 2048)
        else:
            private = ec.generate_private_key(ec.SECP256R1())
        key = SigningKey(algorithm, private, state, now)
        if all(key.tag != other.tag for other in others):
            return key
