from __future__ import annotations

import shutil
import ssl
import subprocess
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from twisted.internet.task import Clock

from netsuite.common import authority
from netsuite.common.authority import subject_names
from netsuite.common.certificates import Certificates
from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import StartError
from netsuite.common.metrics import Metrics

DAY = 86400.0
SITE = ("example.test", "*.example.test", "localhost", "127.0.0.1", "::1")


class Files(NamedTuple):
    file: Path
    key: Path | None


@pytest.fixture
def clock() -> Clock:
    clock = Clock()
    clock.advance(time.time())
    return clock


def store(path: Path, clock: Clock, names: Sequence[str] = SITE, **more: object) -> Certificates:
    return Certificates(DataDirectory(path), clock, names=names, **more)  # type: ignore[arg-type]


def own(folder: Path, clock: Clock, *names: str) -> Files:
    """Certificate files of a user's own, made by another authority."""
    made = store(folder, clock, names).choose(None)
    return Files(made.chain, made.key)


def handshake(
    server: ssl.SSLContext, client: ssl.SSLContext, name: str | None = "example.test"
) -> tuple[x509.Certificate, ssl.SSLObject]:
    """A handshake in memory: the certificate that was shown, and the client's end."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    near = client.wrap_bio(to_client, to_server, server_hostname=name)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    ends = [near, far]
    while ends:
        for end in list(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                pass
    shown = near.getpeercert(binary_form=True)
    assert shown is not None
    return x509.load_der_x509_certificate(shown), near


def test_constructing_touches_nothing(tmp_path: Path, clock: Clock) -> None:
    made = store(tmp_path / "data", clock)
    assert made.ca_path == tmp_path / "data" / "ca.pem"
    assert made.reload() == []
    assert list(tmp_path.iterdir()) == []


def test_the_first_server_makes_an_authority(tmp_path: Path, clock: Clock) -> None:
    made = store(tmp_path, clock)
    made.server_context()
    certificate = x509.load_pem_x509_certificate(made.ca_path.read_bytes())
    key = tmp_path / "certificates" / "ca-key.pem"
    assert key.stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "certificates" / "site.pem").stat().st_mode & 0o777 == 0o600
    public = certificate.public_key()
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert public.curve.name == "secp256r1"
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value == x509.BasicConstraints(True, 0)
    assert certificate.extensions.get_extension_for_class(x509.NameConstraints).critical
    assert 3640 * DAY < certificate.not_valid_after_utc.timestamp() - clock.seconds() < 3660 * DAY


@pytest.mark.parametrize(
    "name", ["example.test", "www.example.test", "WWW.Example.Test", "localhost", "127.0.0.1", "::1"]
)
def test_clients_that_trust_it_are_served(tmp_path: Path, clock: Clock, name: str) -> None:
    made = store(tmp_path, clock)
    server = made.server_context()
    shown, near = handshake(server, made.client_context(), name)
    assert subject_names(shown) == list(SITE)
    assert near.version() == "TLSv1.3"
    assert near.compression() is None


def test_openssl_agrees(tmp_path: Path, clock: Clock) -> None:
    made = store(tmp_path, clock)
    leaf = made.choose(None)
    command = [
        "openssl",
        "verify",
        "-x509_strict",
        "-purpose",
        "sslserver",
        "-CAfile",
        str(made.ca_path),
        str(leaf.chain),
    ]
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    verified = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert verified.returncode == 0, verified.stderr


def test_a_client_made_before_the_authority_trusts_it_all_the_same(tmp_path: Path, clock: Clock) -> None:
    made = store(tmp_path, clock)
    client = made.client_context()
    handshake(made.server_context(), client)


def test_strangers_are_not_trusted(tmp_path: Path, clock: Clock) -> None:
    ours, theirs = store(tmp_path / "ours", clock), store(tmp_path / "theirs", clock)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(theirs.server_context(), ours.client_context())
    handshake(theirs.server_context(), ours.client_context(verify=False))
    handshake(theirs.server_context(), ours.client_context(extra_ca=[theirs.ca_path]))
    with pytest.raises(StartError, match=r"cannot use the certificate authority .*/nowhere.pem \(No such file"):
        ours.client_context(extra_ca=[tmp_path / "nowhere.pem"])


def test_other_names_are_not_believed(tmp_path: Path, clock: Clock) -> None:
    made = store(tmp_path, clock)
    for name in ("other.test", "deep.www.example.test"):
        with pytest.raises(ssl.SSLCertVerificationError):
            handshake(made.server_context(), made.client_context(), name)


def test_the_stolen_key_speaks_for_nobody_else(tmp_path: Path, clock: Clock) -> None:
    """The authority's constraints, enforced by whoever trusts it."""
    data = DataDirectory(tmp_path)
    made = Certificates(data, clock, names=SITE)
    made.server_context()
    issuer = authority.Authority(data)._read()
    assert issuer is not None
    forged = tmp_path / "forged.pem"
    forged.write_bytes(authority._issue(issuer, ["bank.com"], datetime.fromtimestamp(clock.seconds(), UTC)))
    thief = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    thief.load_cert_chain(forged)
    with pytest.raises(ssl.SSLCertVerificationError, match="permitted subtree"):
        handshake(thief, made.client_context(), "bank.com")


def test_a_second_start_keeps_both(tmp_path: Path, clock: Clock) -> None:
    first = store(tmp_path, clock)
    shown, _ = handshake(first.server_context(), first.client_context())
    second = store(tmp_path, clock)
    again, _ = handshake(second.server_context(), first.client_context())
    assert again == shown


def test_a_leaf_is_renewed_while_it_serves(tmp_path: Path, clock: Clock) -> None:
    made = store(tmp_path, clock)
    server = made.server_context()
    before = made.choose(None)
    made.start()
    made.start()
    for _ in range(19 * 24):
        clock.advance(3600.0)
    assert made.choose(None).expires == before.expires
    for _ in range(2 * 24):
        clock.advance(3600.0)
    after = made.choose(None)
    assert after.expires > before.expires + 19 * DAY
    shown = handshake(server, made.client_context(verify=False))[0]
    assert shown.not_valid_after_utc.timestamp() == after.expires
    made.stop()
    assert clock.getDelayedCalls() == []


def test_a_renewal_that_fails_leaves_the_old_one_serving(tmp_path: Path, clock: Clock) -> None:
    made = store(tmp_path, clock)
    server, client = made.server_context(), made.client_context(verify=False)
    made.start()
    (tmp_path / "ca.pem").write_text("damaged")
    for _ in range(25 * 24):
        clock.advance(3600.0)
    handshake(server, client)
    made.stop()
    with pytest.raises(StartError, match=r"cannot use the certificate authority .*/ca.pem"):
        made.client_context()


def test_new_names_get_a_new_leaf_from_the_same_authority(tmp_path: Path, clock: Clock) -> None:
    first = store(tmp_path, clock)
    first.server_context()
    authority = first.ca_path.read_bytes()
    second = store(tmp_path, clock, [*SITE, "mail.example.test", "127.0.0.2"])
    shown, _ = handshake(second.server_context(), second.client_context(), "mail.example.test")
    assert "mail.example.test" in subject_names(shown)
    assert second.ca_path.read_bytes() == authority


def test_names_beyond_its_constraints_get_a_new_authority(tmp_path: Path, clock: Clock) -> None:
    first = store(tmp_path, clock)
    first.server_context()
    authority = first.ca_path.read_bytes()
    second = store(tmp_path, clock, [*SITE, "site.org", "192.0.2.1"])
    handshake(second.server_context(), second.client_context(), "site.org")
    handshake(second.server_context(), second.client_context(), "192.0.2.1")
    assert second.ca_path.read_bytes() != authority


def test_an_authority_near_its_end_is_replaced(tmp_path: Path, clock: Clock) -> None:
    first = store(tmp_path, clock)
    first.server_context()
    authority = first.ca_path.read_bytes()
    clock.advance(3640 * DAY)
    second = store(tmp_path, clock)
    second.server_context()
    assert second.ca_path.read_bytes() != authority


def test_a_half_written_authority_is_begun_again(tmp_path: Path, clock: Clock) -> None:
    """A crash between key and certificate."""
    store(tmp_path, clock).server_context()
    other = store(tmp_path / "other", clock)
    other.server_context()
    shutil.copy(tmp_path / "other" / "certificates" / "ca-key.pem", tmp_path / "certificates" / "ca-key.pem")
    made = store(tmp_path, clock)
    handshake(made.server_context(), made.client_context())


def test_a_damaged_authority_ends_the_start(tmp_path: Path, clock: Clock) -> None:
    store(tmp_path, clock).server_context()
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(StartError, match=r"the local authority in .* is damaged .*: delete both") as refusal:
        store(tmp_path, clock).server_context()
    assert "\n" not in str(refusal.value)


def test_a_damaged_leaf_is_issued_anew(tmp_path: Path, clock: Clock) -> None:
    store(tmp_path, clock).server_context()
    (tmp_path / "certificates" / "site.pem").write_text("rubbish")
    made = store(tmp_path, clock)
    handshake(made.server_context(), made.client_context())


def test_a_worker_reads_what_the_parent_issued(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(StartError, match=r"site.pem is missing: the process that owns"):
        store(tmp_path, clock, issues=False).server_context()
    parent = store(tmp_path, clock)
    parent.server_context()
    worker = store(tmp_path, clock, issues=False)
    shown, _ = handshake(worker.server_context(), parent.client_context())
    clock.advance(25 * DAY)
    assert worker.reload() == ["certificates: none has changed"]
    assert parent.reload() == [f"certificate {tmp_path}/certificates/site.pem: reloaded"]
    assert worker.reload() == [f"certificate {tmp_path}/certificates/site.pem: reloaded"]
    assert worker.choose(None).expires == parent.choose(None).expires > shown.not_valid_after_utc.timestamp()


def test_a_name_that_is_none_ends_the_start(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(StartError, match=r"is not a host name .*: see common.domains"):
        store(tmp_path, clock, ["a..b"]).server_context()


def test_the_users_own_certificates_come_first(tmp_path: Path, clock: Clock) -> None:
    files = own(tmp_path / "own", clock, "shop.example", "*.shop.example")
    made = store(tmp_path / "data", clock, files=[files])
    server, client = made.server_context(), made.client_context(extra_ca=[tmp_path / "own" / "ca.pem"])
    for name in ("shop.example", "a.shop.example"):
        assert subject_names(handshake(server, client, name)[0]) == ["shop.example", "*.shop.example"]
    assert subject_names(handshake(server, client, "example.test")[0]) == list(SITE)
    anyone = made.client_context(verify=False)
    for name in (None, "a.b.shop.example", "stranger.org", "x" * 60):
        assert subject_names(handshake(server, anyone, name)[0]) == ["shop.example", "*.shop.example"]


def test_names_that_a_file_covers_need_no_authority(tmp_path: Path, clock: Clock) -> None:
    files = own(tmp_path / "own", clock, *SITE)
    made = store(tmp_path / "data", clock, files=[files])
    handshake(made.server_context(), made.client_context(extra_ca=[tmp_path / "own" / "ca.pem"]))
    assert not (tmp_path / "data").exists()


def test_one_that_has_expired_does_not_keep_others_from_being_renewed(tmp_path: Path, clock: Clock) -> None:
    files = own(tmp_path / "own", clock, "shop.example")
    made = store(tmp_path / "data", clock, files=[files])
    made.server_context()
    before = made.choose("example.test").expires
    made.start()
    for _ in range(31 * 24):
        clock.advance(3600.0)
    made.stop()
    assert made.choose("shop.example").expires < clock.seconds()
    assert made.choose("example.test").expires > before


def test_strangers_names_never_lead_to_the_disk(tmp_path: Path, clock: Clock) -> None:
    made = store(tmp_path / "data", clock, files=[own(tmp_path / "own", clock, "shop.example")])
    server, client = made.server_context(), made.client_context(verify=False)
    shutil.rmtree(tmp_path)
    for name in ("shop.example", "example.test", *(f"{number}.stranger.org" for number in range(50))):
        handshake(server, client, name)
    assert not tmp_path.exists()


def test_a_reload_swaps_behind_the_contexts_handed_out(tmp_path: Path, clock: Clock) -> None:
    files = own(tmp_path / "own", clock, "shop.example")
    made = store(tmp_path / "data", clock, files=[files])
    server, other = made.server_context(), made.server_context(["h2", "http/1.1"])
    clock.advance(21 * DAY)
    own(tmp_path / "own", clock, "shop.example")
    assert made.reload() == [
        f"certificate {tmp_path}/{folder}/certificates/site.pem: reloaded" for folder in ("own", "data")
    ]
    client = made.client_context(verify=False)
    for context in (server, other):
        shown = handshake(context, client, "shop.example")[0]
        assert shown.not_valid_before_utc.timestamp() > clock.seconds() - DAY


def test_what_cannot_be_reloaded_leaves_the_old_serving(tmp_path: Path, clock: Clock) -> None:
    files = own(tmp_path / "own", clock, "shop.example")
    made = store(tmp_path / "data", clock, files=[files])
    server = made.server_context()
    files.file.write_text("half a certif")
    (said,) = made.reload()
    assert said.startswith(f"certificate {files.file} stays as it was: {files.file} holds no PEM certificate")
    assert subject_names(handshake(server, made.client_context(verify=False), "shop.example")[0]) == ["shop.example"]


def test_alpn_is_settled_on_whatever_certificate(tmp_path: Path, clock: Clock) -> None:
    made = store(tmp_path, clock, files=[own(tmp_path / "own", clock, "shop.example")])
    server = made.server_context(["http/1.1"])
    client = made.client_context(verify=False, alpn=["h2", "http/1.1"])
    for name in ("shop.example", "example.test"):
        assert handshake(server, client, name)[1].selected_alpn_protocol() == "http/1.1"
    assert handshake(made.server_context(), client)[1].selected_alpn_protocol() is None
    assert made.server_context(["http/1.1"]) is server


def test_old_versions_are_refused(tmp_path: Path, clock: Clock) -> None:
    made = store(tmp_path, clock)
    client = made.client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    assert handshake(made.server_context(), client)[1].version() == "TLSv1.2"
    assert made.server_context().minimum_version == ssl.TLSVersion.TLSv1_2
    assert made.client_context().minimum_version == ssl.TLSVersion.TLSv1_2


def test_sessions_are_resumed_by_ticket(tmp_path: Path, clock: Clock) -> None:
    made = store(tmp_path, clock)
    client = made.client_context()
    client.maximum_version = ssl.TLSVersion.TLSv1_2
    server = made.server_context()
    _, near = handshake(server, client)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    again = client.wrap_bio(to_client, to_server, server_hostname="example.test", session=near.session)
    far = server.wrap_bio(to_server, to_client, server_side=True)
    for end in (again, far, again, far):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            pass
    assert again.session_reused


class TestFilesThatCannotBeUsed:
    """Each ends the start with one line that names the file and the reason."""

    def refusal(self, tmp_path: Path, clock: Clock, files: Files) -> str:
        with pytest.raises(StartError) as refusal:
            store(tmp_path / "data", clock, files=[files]).server_context()
        with pytest.raises(StartError):
            store(tmp_path / "checked", clock, files=[files]).check()
        assert not (tmp_path / "checked").exists()
        assert "\n" not in str(refusal.value)
        return str(refusal.value)

    def test_a_certificate_that_is_not_there(self, tmp_path: Path, clock: Clock) -> None:
        said = self.refusal(tmp_path, clock, Files(tmp_path / "no.pem", None))
        assert (
            said == f"cannot read the certificate {tmp_path}/no.pem (No such file or directory): see common.certificate"
        )

    def test_a_key_that_is_not_there(self, tmp_path: Path, clock: Clock) -> None:
        files = own(tmp_path / "own", clock, "shop.example")
        said = self.refusal(tmp_path, clock, files._replace(key=tmp_path / "no.key"))
        assert said == f"cannot read the key {tmp_path}/no.key (No such file or directory): see common.certificate"

    def test_a_key_of_another_certificate(self, tmp_path: Path, clock: Clock) -> None:
        files, other = own(tmp_path / "own", clock, "shop.example"), own(tmp_path / "other", clock, "shop.example")
        said = self.refusal(tmp_path, clock, files._replace(key=other.key))
        assert said.startswith(f"cannot use the key {other.key} with {files.file} (it belongs to another certificate)")

    def test_a_key_that_is_none(self, tmp_path: Path, clock: Clock) -> None:
        files = own(tmp_path / "own", clock, "shop.example")
        said = self.refusal(tmp_path, clock, files._replace(key=tmp_path / "own" / "ca.pem"))
        assert said.startswith(f"cannot use the key {tmp_path}/own/ca.pem with {files.file} (")

    def test_a_key_with_a_passphrase(self, tmp_path: Path, clock: Clock) -> None:
        from cryptography.hazmat.primitives.serialization import (
            BestAvailableEncryption,
            Encoding,
            PrivateFormat,
            load_pem_private_key,
        )

        files = own(tmp_path / "own", clock, "shop.example")
        key = load_pem_private_key(files.file.read_bytes(), None)
        locked = tmp_path / "locked.pem"
        locked.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")))
        said = self.refusal(tmp_path, clock, files._replace(key=locked))
        assert said.startswith(f"cannot use the key {locked} with {files.file} (it is protected by a passphrase)")

    def test_no_certificate_in_it(self, tmp_path: Path, clock: Clock) -> None:
        (tmp_path / "empty.pem").write_text("")
        said = self.refusal(tmp_path, clock, Files(tmp_path / "empty.pem", None))
        assert said.startswith(f"{tmp_path}/empty.pem holds no PEM certificate")

    def test_an_expired_one(self, tmp_path: Path, clock: Clock) -> None:
        files = own(tmp_path / "own", clock, "shop.example")
        clock.advance(31 * DAY)
        said = self.refusal(tmp_path, clock, files)
        assert said.startswith(f"the certificate {files.file} expired on ")


def test_expiry_dates_are_metrics(tmp_path: Path, clock: Clock) -> None:
    made, metrics = store(tmp_path, clock), Metrics(clock)
    made.measure(metrics)
    made.server_context()
    name, value = metrics.exposition().decode().splitlines()[-1].split()
    assert name == 'netsuite_certificate_expiry_seconds{name="example.test",worker="0"}'
    assert float(value) == made.choose(None).expires
