"""The site's own certificate authority: made on the first run, for people who have no other yet.

Its certificate is ``DATA/ca.pem`` and is what browsers and curl may be told to trust; its key never
leaves ``DATA/certificates``. It is valid for ten years and constrained to the site's names, to those
reserved for tests and examples (RFC 6761) and to loopback addresses (RFC 5280 section 4.2.1.10), so
whoever steals the key can pretend to be nobody else. The site's certificate lives thirty days and
is issued anew when ten are left, when the names change or when the authority did.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Final, NamedTuple

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from twisted.logger import Logger

from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import StartError

__all__ = ["Authority", "subject_names"]

AUTHORITY_LIFE: Final = timedelta(days=3650)
LEAF_LIFE: Final = timedelta(days=30)
RENEW_BEFORE: Final = timedelta(days=10)
_SKEW: Final = timedelta(hours=1)

_RESERVED: Final = ("test", "example", "invalid", "localhost")
_LOOPBACK: Final = ("127.0.0.0/8", "::1/128")

_CERTIFICATE: Final = "ca.pem"
_KEY: Final = "certificates/ca-key.pem"
_SITE: Final = "certificates/site.pem"


class _Issuer(NamedTuple):
    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


def subject_names(certificate: x509.Certificate) -> list[str]:
    """The host names (lower case, ``*.`` kept) and addresses that a certificate speaks for."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [name.lower() for name in names.get_values_for_type(x509.DNSName)] + [
        str(address) for address in names.get_values_for_type(x509.IPAddress)
    ]


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        pass
    try:
        return x509.DNSName(name.encode("idna").decode("ascii").lower())
    except UnicodeError as error:
        raise StartError(f"{name!r} is not a host name ({error}): see common.domains") from None


def _constraints(names: Sequence[str]) -> x509.NameConstraints:
    subtrees: list[x509.GeneralName] = [x509.DNSName(name) for name in _RESERVED]
    subtrees += [x509.IPAddress(ip_network(text)) for text in _LOOPBACK]
    for name in map(_general, names):
        if isinstance(name, x509.IPAddress):
            subtree: x509.GeneralName = x509.IPAddress(ip_network(str(name.value)))
        else:
            subtree = x509.DNSName(name.value.removeprefix("*."))
        if subtree not in subtrees:
            subtrees.append(subtree)
    return x509.NameConstraints(permitted_subtrees=subtrees, excluded_subtrees=None)


def _covers(certificate: x509.Certificate, name: str) -> bool:
    """Whether an authority's constraints let it speak for a name."""
    permitted = certificate.extensions.get_extension_for_class(x509.NameConstraints).value.permitted_subtrees or []
    wanted = _general(name)
    if isinstance(wanted, x509.IPAddress):
        networks = [ip_network(str(subtree.value)) for subtree in permitted if isinstance(subtree, x509.IPAddress)]
        return any(ip_address(str(wanted.value)) in network for network in networks)
    host = wanted.value.removeprefix("*.")
    return any(
        host == subtree.value or host.endswith(f".{subtree.value}")
        for subtree in permitted
        if isinstance(subtree, x509.DNSName)
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


class Authority:
    """The authority in a data directory. One that does not ``issue`` reads what another process has issued."""

    _log = Logger()

    def __init__(self, data: DataDirectory, *, issues: bool = True) -> None:
        self._data = data
        self._issues = issues

    @property
    def certificate_path(self) -> Path:
        """What is to be trusted, whether it was made already or not."""
        return self._data.at(_CERTIFICATE)

    @property
    def leaf_path(self) -> Path:
        """Where the site's certificate and its key are, once issued."""
        return self._data.at(_SITE)

    def certificate(self, names: Sequence[str], now: float) -> Path:
        """A file with a key and a certificate for these names that is good for some days yet."""
        if self._issues:
            when = datetime.fromtimestamp(now, UTC)
            issuer = self._issuer(names, when)
            if not self._fresh(issuer, names, when):
                self._data.write(_SITE, _issue(issuer, names, when))
        path = self.leaf_path
        if not path.exists():
            raise StartError(f"{path} is missing: the process that owns {self._data.path} issues it; start that first")
        return path

    def _fresh(self, issuer: _Issuer, names: Sequence[str], when: datetime) -> bool:
        stored = self._data.read(_SITE)
        if stored is None:
            return False
        try:
            leaf = x509.load_pem_x509_certificate(stored)
            leaf.verify_directly_issued_by(issuer.certificate)
        except (ValueError, TypeError, InvalidSignature):
            return False
        wanted = {str(_general(name).value) for name in names}
        in_time = leaf.not_valid_before_utc <= when < leaf.not_valid_after_utc - RENEW_BEFORE
        return in_time and set(subject_names(leaf)) == wanted

    def _issuer(self, names: Sequence[str], when: datetime) -> _Issuer:
        known = self._read()
        if known is not None:
            lacking = next((name for name in names if not _covers(known.certificate, name)), None)
            if lacking is None and when + LEAF_LIFE < known.certificate.not_valid_after_utc:
                return known
            self._log.warn(
                "the local authority was made anew ({reason}): whoever trusted it must trust {path} again",
                reason="it is about to expire" if lacking is None else f"it does not cover {lacking}",
                path=str(self.certificate_path),
            )
        made = _found(names, when)
        self._data.write(_KEY, _pem(made.key))
        self._data.write(_CERTIFICATE, made.certificate.public_bytes(Encoding.PEM), mode=0o644)
        return made

    def _read(self) -> _Issuer | None:
        key, certificate = self._data.read(_KEY), self._data.read(_CERTIFICATE)
        if key is None or certificate is None:
            return None
        try:
            issuer = _Issuer(x509.load_pem_x509_certificate(certificate), load_pem_private_key(key, None))  # type: ignore[arg-type]
            belongs = issuer.certificate.public_key() == issuer.key.public_key()
            issuer.certificate.extensions.get_extension_for_class(x509.NameConstraints)
        except (ValueError, TypeError, x509.ExtensionNotFound) as error:
            raise StartError(
                f"the local authority in {self.certificate_path} and {self._data.at(_KEY)} is damaged ({error}): "
                "delete both, and a new one is made"
            ) from None
        # a crash between the two files leaves a new key beside an old certificate: begin again
        return issuer if belongs else None


def _found(names: Sequence[str], when: datetime) -> _Issuer:
    """A new authority for these names."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = x509.random_serial_number()
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"netsuite local authority {serial >> 128:08x}")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(when - _SKEW)
        .not_valid_after(when + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(_constraints(names), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    return _Issuer(certificate, key)


def _issue(issuer: _Issuer, names: Sequence[str], when: datetime) -> bytes:
    """A fresh key and its certificate for these names, in one PEM text."""
    key = ec.generate_private_key(ec.SECP256R1())
    signer = issuer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "netsuite site")]))
        .issuer_name(issuer.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(when - _SKEW)
        .not_valid_after(when + LEAF_LIFE)
        .add_extension(x509.SubjectAlternativeName([_general(name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer), critical=False)
        .sign(issuer.key, SHA256())
    )
    return _pem(key) + certificate.public_bytes(Encoding.PEM)
