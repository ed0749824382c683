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
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from netsuite.common.authority import Authority, subject_names
from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import StartError
from netsuite.common.metrics import Metrics

__all__ = ["CertificateFiles", "Certificates"]

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


class _Leaf:
    """One certificate ready to be served."""

    __slots__ = ("chain", "expires", "key", "names")

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
        self.context(())

    def context(self, alpn: Sequence[str]) -> ssl.SSLContext:
        """A server context that shows this certificate and nothing else."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.set_ciphers("ECDHE+AESGCM:ECDHE+CHACHA20")
        if alpn:
            context.set_alpn_protocols(list(alpn))
        try:
            context.load_cert_chain(self.chain, self.key, password=_no_passphrase)
        except ssl.SSLError as error:
            reason = "it belongs to another certificate" if "MISMATCH" in str(error) else error.reason or "it is no key"
            raise StartError(f"cannot use the key {self.key} with {self.chain} ({reason}): {_SEE}") from None
        except OSError as error:
            raise StartError(f"cannot read the key {self.key} ({error.strerror}): {_SEE}") from None
        return context


def _no_passphrase() -> bytes:
    raise ssl.SSLError(1, "it is protected by a passphrase")


class _Front:
    """What one server shows: the context its listeners keep, and behind it one for each name, replaced as a whole."""

    def __init__(self, alpn: Sequence[str], leaves: Sequence[_Leaf]) -> None:
        self.alpn = tuple(alpn)
        self.turn(leaves)
        self.context = leaves[0].context(alpn)
        self.context.sni_callback = self._choose

    def turn(self, leaves: Sequence[_Leaf]) -> None:
        """Show these from now on; the first one where a client names none of theirs."""
        names: dict[str, ssl.SSLContext] = {}
        contexts = [leaf.context(self.alpn) for leaf in leaves]
        for leaf, context in zip(leaves, contexts, strict=True):
            for name in leaf.names:
                names.setdefault(name, context)
        self._names, self._default = names, contexts[0]

    def _choose(self, connection: ssl.SSLObject, name: str | None, _: ssl.SSLContext) -> None:
        context = self._default
        if name:
            host = name.lower().removesuffix(".")
            known = self._names.get(host) or self._names.get(f"*.{host.partition('.')[2]}")
            context = known or context
        connection.context = context


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
        self._leaves: list[_Leaf] = []
        self._fronts: dict[tuple[str, ...], _Front] = {}
        self._clients: weakref.WeakSet[ssl.SSLContext] = weakref.WeakSet()
        self._timer: IDelayedCall | None = None

    @property
    def ca_path(self) -> Path:
        """The local authority's certificate (PEM), for those who shall trust it; it is made with the first server."""
        return self._authority.certificate_path

    def server_context(self, alpn: Sequence[str] = ()) -> ssl.SSLContext:
        """The context for a server that speaks these protocols; StartError if there is no certificate to show."""
        front = self._fronts.get(tuple(alpn))
        if front is None:
            if not self._leaves:
                self._leaves = self._load()
            front = self._fronts[tuple(alpn)] = _Front(alpn, self._leaves)
        return front.context

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
            try:
                context.load_verify_locations(path)
            except (OSError, ssl.SSLError) as error:
                raise StartError(f"cannot use the authority {path} ({error.args[-1]})") from None
        if self.ca_path.exists():
            context.load_verify_locations(self.ca_path)
        else:
            self._clients.add(context)
        return context

    def reload(self) -> list[str]:
        """Take what changed on disk; a line for each thing done or refused. What is refused leaves the old in use."""
        if not self._fronts:
            return []
        before = {(leaf.chain, leaf.expires) for leaf in self._leaves}
        try:
            self._turn(self._load())
        except StartError as error:
            return [f"certificates stay as they were: {error}"]
        changed = [leaf.chain.name for leaf in self._leaves if (leaf.chain, leaf.expires) not in before]
        return [f"certificates reloaded: {', '.join(changed) if changed else 'none has a new date'}"]

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
        if not self._fronts:
            return
        try:
            self._turn(self._load())
        except Exception as error:
            self._log.warn("certificates stay as they were: {reason}", reason=str(error))

    def _turn(self, leaves: list[_Leaf]) -> None:
        for front in self._fronts.values():
            front.turn(leaves)
        self._leaves = leaves

    def _load(self) -> list[_Leaf]:
        now = self.clock.seconds()
        leaves = [_Leaf(files.file, files.key or files.file, now) for files in self.files]
        vouched = {name for leaf in leaves for name in leaf.names}
        wanted = [name for name in self.names if name not in vouched]
        if wanted or not leaves:
            path = self._authority.certificate(wanted or list(SITE_NAMES), now)
            leaves.append(_Leaf(path, path, now))
            for context in self._clients:
                context.load_verify_locations(self.ca_path)
            self._clients.clear()
        return leaves
