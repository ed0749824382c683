"""SASL as pure machines: PLAIN, LOGIN and SCRAM-SHA-256, server and client.

A server machine is driven by :meth:`SaslServer.respond`, which takes what the client said (None if it said
nothing yet; the transfer encoding is the protocol's business, :func:`decoded` helps) and answers what comes next:

* :class:`Challenge`: send this and come back with what the client says to it;
* :class:`CheckPassword`: the owner checks a password and calls :meth:`SaslServer.checked`;
* :class:`FetchVerifier`: the owner looks a SCRAM verifier up and calls :meth:`SaslServer.fetched`;
* :class:`Success` with the name, or :class:`Failure` with a reason for the log (never for the client).

No machine can tell a client whether a name exists: a name without a verifier gets a made-up one,
always the same for the same name, and fails at the end like a wrong password.

:class:`Auth` and :class:`AuthResponse` are how the machines of protocols with an AUTH command tell what was said.

Implements: RFC 4422 section 3; RFC 4616; RFC 5802 sections 3, 5 and 7; RFC 7677.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import unicodedata
from typing import Final, NamedTuple

__all__ = [
    "MECHANISMS",
    "PLAIN_TEXT",
    "Auth",
    "AuthResponse",
    "Challenge",
    "CheckPassword",
    "Failure",
    "FetchVerifier",
    "SaslServer",
    "ScramClient",
    "ScramVerifier",
    "Success",
    "decoded",
    "login_responses",
    "plain_response",
    "prepared",
    "scram_verifier",
    "server",
]

MECHANISMS: Final = ("SCRAM-SHA-256", "PLAIN", "LOGIN")
"""What :func:`server` knows, the best first."""

PLAIN_TEXT: Final = frozenset({"PLAIN", "LOGIN"})
"""Those that show the password to whoever listens."""

ITERATIONS: Final = 4096
"""RFC 7677 section 4: at least 4096."""

_LONGEST: Final = 1024


class Auth(NamedTuple):
    """AUTH with a mechanism and what the client said at once, or None."""

    mechanism: str
    initial: bytes | None
    stream: int = 0
    has_body: bool = False


class AuthResponse(NamedTuple):
    """What the client says to a challenge; None if it gave up, where that is for the owner to answer."""

    data: bytes | None
    stream: int = 0
    has_body: bool = False


class Challenge(NamedTuple):
    """What the server says next."""

    data: bytes


class CheckPassword(NamedTuple):
    """The owner is asked whether this is the password of that name."""

    name: str
    password: str


class FetchVerifier(NamedTuple):
    """The owner is asked what it keeps of this name's password for SCRAM."""

    name: str


class Success(NamedTuple):
    """The client is who it says; ``data`` is to be sent along."""

    name: str
    data: bytes = b""


class Failure(NamedTuple):
    """The client is not let in; the reason is for the log."""

    reason: str


class ScramVerifier(NamedTuple):
    """What a server keeps in place of a password (RFC 5802 section 3): enough to check, not to log in elsewhere."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes


Step = Challenge | CheckPassword | FetchVerifier | Success | Failure


def prepared(text: str) -> str:
    """A name or password as SASLprep (RFC 4013) maps it; raises ValueError for what it prohibits.

    Non-ASCII spaces become spaces, what is commonly mapped to nothing goes, the rest is NFKC; control characters,
    private use, surrogates and unassigned code points are prohibited.
    """
    kept = []
    for char in text:
        if char in _NOTHING:
            continue
        kept.append(" " if unicodedata.category(char) == "Zs" else char)
    result = unicodedata.normalize("NFKC", "".join(kept))
    for char in result:
        if unicodedata.category(char) in ("Cc", "Cf", "Co", "Cs", "Cn"):
            raise ValueError(f"the character U+{ord(char):04X} is not allowed")
    return result


_NOTHING: Final = frozenset("\u00ad\u034f\u1806\u180b\u180c\u180d\u200b\u200c\u200d\u2060\ufeff") | frozenset(
    chr(code) for code in range(0xFE00, 0xFE10)
)


def scram_verifier(password: str, salt: bytes, iterations: int = ITERATIONS) -> ScramVerifier:
    """The verifier of a password; slow on purpose."""
    salted = hashlib.pbkdf2_hmac("sha256", prepared(password).encode(), salt, iterations)
    client_key = _hmac(salted, b"Client Key")
    return ScramVerifier(salt, iterations, hashlib.sha256(client_key).digest(), _hmac(salted, b"Server Key"))


def server(mechanism: str, nonce: str, secret: bytes) -> SaslServer | None:
    """A machine for a mechanism (its name in any case), or None if it is not known.

    ``nonce`` is fresh, random and printable; ``secret`` is the site's own and makes up verifiers for names that
    have none.
    """
    kind = _SERVERS.get(mechanism.upper())
    return kind(nonce, secret) if kind is not None else None


class SaslServer:
    """One authentication; see the module's docstring."""

    starts_with_client = True
    """Whether the client speaks first: without an initial response it then gets an empty challenge."""

    def __init__(self, nonce: str, secret: bytes) -> None:
        self._nonce = nonce
        self._secret = secret
        self._turn = 0

    def respond(self, data: bytes | None) -> Step:
        """The step after what the client said."""
        if data is None:
            if self._turn or not self.starts_with_client:
                return Failure("the client said nothing")
            return Challenge(b"")
        if len(data) > _LONGEST:
            return Failure("the response is too long")
        self._turn += 1
        try:
            return self._step(data)
        except (ValueError, IndexError) as error:
            return Failure(f"the response is malformed: {error}")

    def checked(self, good: bool) -> Step:
        """The owner's answer to CheckPassword."""
        raise NotImplementedError

    def fetched(self, verifier: ScramVerifier | None) -> Step:
        """The owner's answer to FetchVerifier."""
        raise NotImplementedError

    def _step(self, data: bytes) -> Step:
        raise NotImplementedError


class _Password(SaslServer):
    """The mechanisms that send the password itself."""

    _name = ""

    def _ask(self, name: str, password: str) -> Step:
        self._name = prepared(name)
        if not self._name or not password:
            return Failure("a name or a password is empty")
        return CheckPassword(self._name, prepared(password))

    def checked(self, good: bool) -> Step:
        """Success, or a wrong password."""
        return Success(self._name) if good else Failure(f"wrong password for {self._name!r}")


class _Plain(_Password):
    """RFC 4616: ``authzid NUL authcid NUL password``; acting for someone else is not allowed."""

    def _step(self, data: bytes) -> Step:
        acting, name, password = data.decode().split("\0")
        if acting and prepared(acting) != prepared(name):
            return Failure(f"{name!r} may not act for {acting!r}")
        return self._ask(name, password)


class _Login(_Password):
    """The older one, which asks for the name and the password in turn; an initial response is the name."""

    starts_with_client = False
    _said = ""

    def respond(self, data: bytes | None) -> Step:
        """Asks first."""
        if data is None and not self._turn:
            return Challenge(b"Username:")
        return super().respond(data)

    def _step(self, data: bytes) -> Step:
        if self._turn == 1:
            self._said = data.decode()
            return Challenge(b"Password:")
        return self._ask(self._said, data.decode())


class _ScramSha256(SaslServer):
    """RFC 5802 with SHA-256: the password never passes, and the server proves that it knows the verifier.

    Without channel binding: a client that asks for it is refused, one that thinks we lack it (``y``) is right.
    """

    _name = ""
    _bare = ""
    _first = ""
    _gs2 = ""
    _verifier: ScramVerifier | None = None
    _real = False

    def _step(self, data: bytes) -> Step:
        return self._client_first(data.decode()) if self._turn == 1 else self._client_final(data.decode())

    def _client_first(self, text: str) -> Step:
        flag, acting, bare = text.split(",", 2)
        if flag.startswith("p="):
            return Failure("channel binding is not offered")
        if flag not in ("n", "y"):
            return Failure("the channel-binding flag is none")
        attributes = bare.split(",")
        if attributes[0].startswith("m="):
            return Failure("a mandatory extension is not known")
        if not attributes[0].startswith("n=") or not attributes[1].startswith("r="):
            return Failure("name and nonce are expected")
        if len(attributes[1]) < 2 + 8 or not attributes[1].isascii() or not attributes[1].isprintable():
            return Failure("the client's nonce is too short or not printable")
        self._name = prepared(_unescaped(attributes[0][2:]))
        if acting and prepared(_unescaped(acting.removeprefix("a="))) != self._name:
            return Failure(f"{self._name!r} may not act for {acting!r}")
        self._gs2, self._bare = f"{flag},{acting},", bare
        self._nonce = attributes[1][2:] + self._nonce
        return FetchVerifier(self._name)

    def fetched(self, verifier: ScramVerifier | None) -> Step:
        """The server's first message; without a verifier it is made up, and nothing will fit it."""
        self._real = verifier is not None
        if verifier is None:
            made = _hmac(self._secret, self._name.encode())
            verifier = ScramVerifier(made[:16], ITERATIONS, made, made)
        self._verifier = verifier
        salt = base64.b64encode(verifier.salt).decode()
        self._first = f"r={self._nonce},s={salt},i={verifier.iterations}"
        return Challenge(self._first.encode())

    def _client_final(self, text: str) -> Step:
        if self._verifier is None:
            return Failure("out of order")
        if self._turn > 2:
            return Failure("there is nothing more to say")
        bare, found, proof = text.rpartition(",p=")
        attributes = bare.split(",")
        binding = base64.b64encode(self._gs2.encode()).decode()
        if not found or attributes[0] != f"c={binding}" or attributes[1] != f"r={self._nonce}":
            return Failure("the final message does not belong to the first")
        signed = f"{self._bare},{self._first},{bare}".encode()
        try:
            claimed = base64.b64decode(proof, validate=True)
        except binascii.Error as error:
            return Failure(f"the proof is no base64: {error}")
        signature = _hmac(self._verifier.stored_key, signed)
        key = bytes(a ^ b for a, b in zip(claimed, signature, strict=True))
        good = hmac.compare_digest(hashlib.sha256(key).digest(), self._verifier.stored_key)
        if not good or not self._real:
            return Failure(f"wrong proof for {self._name!r}")
        server_signature = base64.b64encode(_hmac(self._verifier.server_key, signed))
        return Success(self._name, b"v=" + server_signature)


_SERVERS: Final[dict[str, type[SaslServer]]] = {"SCRAM-SHA-256": _ScramSha256, "PLAIN": _Plain, "LOGIN": _Login}


def decoded(text: bytes) -> bytes | None:
    """What base64 stands for, or None if it is none."""
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return None


def plain_response(name: str, password: str) -> bytes:
    """A client's one message for PLAIN."""
    return f"\0{name}\0{password}".encode()


def login_responses(name: str, password: str) -> tuple[bytes, bytes]:
    """A client's two answers for LOGIN."""
    return name.encode(), password.encode()


class ScramClient:
    """The client of SCRAM-SHA-256: :meth:`first`, :meth:`final` to the challenge, :meth:`proven` to the outcome.

    ``final`` raises ValueError if the server's message is malformed, does not continue our nonce, or asks for
    fewer than 4096 or more than ``most`` rounds.
    """

    def __init__(self, name: str, password: str, nonce: str, *, most: int = 1_000_000) -> None:
        self._password = prepared(password)
        self._nonce = nonce
        self._most = most
        self._bare = f"n={prepared(name).replace('=', '=3D').replace(',', '=2C')},r={nonce}"
        self._expected = b""

    def first(self) -> bytes:
        """The first message."""
        return f"n,,{self._bare}".encode()

    def final(self, challenge: bytes) -> bytes:
        """The answer to the server's first message."""
        text = challenge.decode()
        fields = dict(part.split("=", 1) for part in text.split(","))
        rounds = int(fields["i"]) if "i" in fields else 0
        if not fields.get("r", "").startswith(self._nonce) or len(fields["r"]) == len(self._nonce) or "s" not in fields:
            raise ValueError("the server does not continue our nonce")
        if not ITERATIONS <= rounds <= self._most:
            raise ValueError(f"the server asks for {rounds} rounds")
        salt = base64.b64decode(fields["s"], validate=True)
        salted = hashlib.pbkdf2_hmac("sha256", self._password.encode(), salt, rounds)
        client_key = _hmac(salted, b"Client Key")
        bare = f"c=biws,r={fields['r']}"
        signed = f"{self._bare},{text},{bare}".encode()
        signature = _hmac(hashlib.sha256(client_key).digest(), signed)
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature, strict=True))).decode()
        self._expected = b"v=" + base64.b64encode(_hmac(_hmac(salted, b"Server Key"), signed))
        return f"{bare},p={proof}".encode()

    def proven(self, outcome: bytes) -> bool:
        """Whether the server proved that it knows the verifier."""
        return bool(self._expected) and hmac.compare_digest(outcome, self._expected)


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _unescaped(name: str) -> str:
    """A SCRAM name: ``=2C`` is a comma, ``=3D`` an equals sign, and no other ``=`` may stand in it."""
    if "=" in name.replace("=2C", "").replace("=3D", ""):
        raise ValueError("a stray '=' in the name")
    return name.replace("=2C", ",").replace("=3D", "=")
