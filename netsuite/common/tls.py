"""TLS as a filter between a transport and a protocol machine, on the standard library's ``ssl.MemoryBIO``.

A :class:`TlsFilter` touches no socket. Feed it what arrived (:meth:`TlsFilter.received` answers the
clear text), give it clear text to send (:meth:`TlsFilter.sent`), and write what
:meth:`TlsFilter.outgoing` hands over after either.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable

from netsuite.sansio.connection import TlsFacts

__all__ = ["TlsFailed", "TlsFilter"]

_READ = 1 << 18


class TlsFailed(Exception):
    """The peer's TLS is not acceptable; the text is OpenSSL's reason."""


class TlsFilter:
    """One TLS session of either role.

    ``facts`` is None until the handshake is done; ``ended`` is true once the peer said close_notify.
    """

    __slots__ = ("_in", "_out", "_tls", "ended", "facts", "server_name")

    def __init__(self, context: ssl.SSLContext, *, server: bool, server_hostname: str | None = None) -> None:
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_side=server, server_hostname=server_hostname)
        self.server_name = server_hostname
        self.facts: TlsFacts | None = None
        self.ended = False

    def start(self) -> None:
        """Begin the handshake: a client's hello is then outgoing."""
        self._handshake()

    def received(self, data: bytes) -> list[bytes]:
        """The clear text in what arrived; raises TlsFailed (its alert is outgoing)."""
        self._in.write(data)
        if self.facts is None and not self._handshake():
            return []
        clear = []
        read = self._tls.read
        try:
            while chunk := read(_READ):
                clear.append(chunk)
            self.ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.ended = True
        except ssl.SSLError as error:
            raise TlsFailed(error.reason or str(error)) from error
        return clear

    def sent(self, chunks: Iterable[bytes | memoryview]) -> None:
        """Encrypt clear text; allowed once the handshake is done."""
        write = self._tls.write
        for chunk in chunks:
            if chunk:
                write(chunk)

    def outgoing(self) -> bytes:
        """Hand over, once, the bytes to write."""
        return self._out.read() if self._out.pending else b""

    def close(self) -> None:
        """Say close_notify (it is then outgoing)."""
        if self.facts is not None:
            try:
                self._tls.unwrap()
            except ssl.SSLError:
                pass

    def _handshake(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        except (ssl.SSLError, ssl.CertificateError) as error:
            raise TlsFailed(getattr(error, "reason", None) or str(error)) from error
        cipher = self._tls.cipher()
        self.facts = TlsFacts(
            version=self._tls.version() or "",
            cipher=cipher[0] if cipher else "",
            server_name=getattr(self._tls, "netsuite_server_name", self.server_name),
            alpn=self._tls.selected_alpn_protocol(),
            peer_certificate=self._tls.getpeercert(binary_form=True),
        )
        return True
