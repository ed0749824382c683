"""Which certificate a TLS server shows: chosen by the name the client asks for, swapped without a restart.

Certificates given as files come first; for the site's other names a local authority, made on
the first run, issues short-lived ones and renews them in time. The authority
is constrained to the site's names and to reserved ones, so a browser that trusts it trusts it for
no more (RFC 5280 section 4.2.1.10). A context handed out by :meth:`Certificates.server_context`
always serves the newest certificates: :meth:`Certificates.reload` and renewal swap them behind
it. The names that strangers ask for never lead to the disk.
"""

from __future__ import annotations

import ssl
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from netsuite.common.authority import Authority, subject_names
from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import StartError
from netsuite.common.metrics import Metrics

__all__ = ["SITE_NAMES", "CertificateFiles", "Certificates", "Leaf"]

SITE_NAMES: Final = ("localhost", "127.0.0.1", "::1")
CHECK_EVERY: Final = 3600.0
_SEE: Final = "see common.certificate"


class CertificateFiles(Protocol):
    """A certificate of the user's own (``[[common.certificate]]``)."""

    @property
    def file(self) -> Path:
        """The chain, leaf first, as PEM."""

    @property
    def key(self) -> Path | None:
        """The private key as PEM, without a passphrase; None if it stands in ``file``."""


class Leaf:
    """One certificate ready to be served: its files, its names, and when it ends (seconds since the epoch)."""

    __slots__ = ("_contexts", "chain", "expires", "fingerprint", "key", "names")

    def __init__(self, chain: Path, key: Path, now: float) -> None:
        self.chain = chain
        self.key = key
        try:
            text = chain.read_bytes()
        except OSError as error:
            raise StartError(f"cannot read the certificate {chain} ({error.strerror}): {_SEE}") from None
        try:
            certificate = x509.load_pem_x509_certificates(text)[0]
        except ValueError as error:
            raise StartError(f"{chain} holds no PEM certificate ({error}): {_SEE}") from None
        self.expires = certificate.not_valid_after_utc.timestamp()
        if self.expires <= now:
            raise StartError(f"the certificate {chain} expired on {certificate.not_valid_after_utc:%Y-%m-%d}: renew it")
        self.names = subject_names(certificate)
        self.fingerprint = certificate.fingerprint(SHA256())
        self._contexts: dict[tuple[str, ...], ssl.SSLContext] = {}
        self.context(())

    def context(self, alpn: tuple[str, ...]) -> ssl.SSLContext:
        """A server context that shows this certificate and nothing else; the files are read once for each ``alpn``."""
        made = self._contexts.get(alpn)
        if made is None:
            made = self._contexts[alpn] = self.fresh_context(alpn)
        return made

    def fresh_context(self, alpn: tuple[str, ...]) -> ssl.SSLContext:
        """The same, not shared with anyone."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
        if alpn:
            context.set_alpn_protocols(list(alpn))
        try:
            context.load_cert_chain(self.chain, self.key, password=_no_passphrase)
        except ssl.SSLError as error:
            reason = getattr(error, "reason", None) or error.strerror or "it is no key"
            if "MISMATCH" in reason:
                reason = "it belongs to another certificate"
            raise StartError(f"cannot use the key {self.key} with {self.chain} ({reason}): {_SEE}") from None
        except OSError as error:
            raise StartError(f"cannot read the key {self.key} ({error.strerror}): {_SEE}") from None
        return context


def _no_passphrase() -> bytes:
    raise ssl.SSLError(1, "it is protected by a passphrase")


def _trust(context: ssl.SSLContext, path: Path) -> None:
    try:
        context.load_verify_locations(path)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "reason", None) or error.strerror
        raise StartError(f"cannot use the certificate authority {path} ({reason}): replace or delete it") from None


class Certificates:
    """The site's certificates.

    ``names`` are the host names and addresses that the local authority vouches for; ``files`` the user's own
    certificates. With ``issues`` false (a worker) nothing is ever written: what the parent issued is read.
    """

    _log = Logger()

    def __init__(
        self,
        data: DataDirectory,
        clock: IReactorTime,
        *,
        names: Sequence[str] = SITE_NAMES,
        files: Sequence[CertificateFiles] = (),
        issues: bool = True,
    ) -> None:
        self.clock = clock
        self.names = tuple(dict.fromkeys(name.lower() for name in names))
        self.files = tuple(files)
        self._authority = Authority(data, issues=issues)
        self._leaves: list[Leaf] = []
        self._by_name: dict[str, Leaf] = {}
        self._contexts: dict[tuple[str, ...], ssl.SSLContext] = {}
        self._clients: weakref.WeakSet[ssl.SSLContext] = weakref.WeakSet()
        self._timer: IDelayedCall | None = None

    def check(self) -> None:
        """Read the user's own files, and nothing else; StartError if one cannot be served."""
        for files in self.files:
            Leaf(files.file, files.key or files.file, self.clock.seconds())

    @property
    def ca_path(self) -> Path:
        """The local authority's certificate (PEM), for those who shall trust it; it is made with the first server."""
        return self._authority.certificate_path

    def server_context(self, alpn: Sequence[str] = ()) -> ssl.SSLContext:
        """The context for a server that speaks these protocols; StartError if there is no certificate to show."""
        protocols = tuple(alpn)
        context = self._contexts.get(protocols)
        if context is None:

            def choose(connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
                connection.context = self.choose(name).context(protocols)

            context = self.choose(None).fresh_context(protocols)
            context.sni_callback = choose
            for leaf in self._leaves:
                leaf.context(protocols)
            self._contexts[protocols] = context
        return context

    def choose(self, name: str | None) -> Leaf:
        """The certificate for a client that asks for a name: exactly, or by one label below ``*.``, or the first."""
        if not self._leaves:
            self._load()
        if name:
            host = name.lower().removesuffix(".")
            known = self._by_name.get(host) or self._by_name.get(f"*.{host.partition('.')[2]}")
            if known is not None:
                return known
        return self._leaves[0]

    def client_context(
        self, verify: bool = True, extra_ca: Sequence[Path] = (), alpn: Sequence[str] = ()
    ) -> ssl.SSLContext:
        """A context for clients that trust the system's authorities, the local one and those in ``extra_ca``."""
        context = ssl.create_default_context()
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if alpn:
            context.set_alpn_protocols(list(alpn))
        if not verify:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        for path in extra_ca:
            _trust(context, path)
        if self.ca_path.exists():
            _trust(context, self.ca_path)
        self._clients.add(context)
        return context

    def reload(self) -> list[str]:
        """Take what changed on disk; a line for each thing done or refused. What is refused leaves the old in use."""
        if not self._leaves:
            return []
        before = {leaf.fingerprint for leaf in self._leaves}
        refused = self._load()
        said = [f"certificate {leaf.chain}: reloaded" for leaf in self._leaves if leaf.fingerprint not in before]
        return said + refused or ["certificates: none has changed"]

    def expiries(self) -> dict[tuple[str, ...], float]:
        """When each certificate that is served ends, by its first name."""
        return {(leaf.names[0] if leaf.names else leaf.chain.name,): leaf.expires for leaf in self._leaves}

    def measure(self, metrics: Metrics) -> None:
        """Offer the expiry dates as metrics."""
        metrics.add(
            "netsuite_certificate_expiry_seconds", "When a served certificate ends.", "gauge", self.expiries, ("name",),
            per_process=True,
        )  # fmt: skip

    def start(self) -> None:
        """Look every hour whether something is to be renewed."""
        if self._timer is None:
            self._timer = self.clock.callLater(CHECK_EVERY, self._tick)

    def stop(self) -> None:
        """Stop looking."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tick(self) -> None:
        self._timer = self.clock.callLater(CHECK_EVERY, self._tick)
        if not self._leaves:
            return
        for refused in self._load():
            self._log.warn("{refused}", refused=refused)

    def _load(self) -> list[str]:
        """Read, or issue, what is to be shown, and show it from now on.

        What cannot be read again is answered as lines, and shown as it was; StartError if it was never shown.
        """
        now, refused = self.clock.seconds(), list[str]()
        known = {leaf.chain: leaf for leaf in self._leaves}
        leaves: list[Leaf] = []

        def add(chain: Path, read: Callable[[], Leaf]) -> None:
            try:
                leaf = read()
                for protocols in self._contexts:
                    leaf.context(protocols)
            except StartError as error:
                if chain not in known:
                    raise
                leaf = known[chain]
                refused.append(f"certificate {chain} stays as it was: {error}")
            leaves.append(leaf)

        for files in self.files:
            add(files.file, partial(Leaf, files.file, files.key or files.file, now))
        vouched = {name for leaf in leaves for name in leaf.names}
        wanted = [name for name in self.names if name not in vouched]
        if wanted or not leaves:
            add(self._authority.leaf_path, partial(self._issued, wanted or list(SITE_NAMES), now))
        self._leaves = leaves
        self._by_name = {name: leaf for leaf in reversed(leaves) for name in leaf.names}
        return refused

    def _issued(self, names: Sequence[str], now: float) -> Leaf:
        path = self._authority.certificate(names, now)
        for context in self._clients:
            _trust(context, self.ca_path)
        return Leaf(path, path, now)
