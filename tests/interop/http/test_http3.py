"""A browser that speaks HTTP/3."""

from __future__ import annotations

import base64
import tempfile

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256, Hash
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.interop.http.test_clients import SiteCase, needs


class Browser(SiteCase):
    listen = ("127.0.0.1:10080", "secure:127.0.0.1:10443", "quic:127.0.0.1:10444")

    def pin(self):
        """The hash of the site's key: browsers take QUIC from public authorities only, or by this."""
        leaf = x509.load_pem_x509_certificates((self.site.ca_path.parent / "certificates" / "site.pem").read_bytes())[0]
        key = Hash(SHA256())
        key.update(leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
        return base64.b64encode(key.finalize()).decode()

    def test_a_browser_loads_a_page_over_http3(self):
        browser = needs("chromium")
        page = (self.folder / "root" / "page.html").read_text()
        script = 'document.body.append(performance.getEntriesByType("resource").map(e => e.nextHopProtocol).join())'
        (self.folder / "root" / "over3.html").write_text(f"{page}<script>{script}</script>")
        port = self.site.port("http", "h3")
        with tempfile.TemporaryDirectory() as profile:
            page = self.run_client(
                browser, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run",
                "--disable-background-networking", "--disable-component-update", "--disable-sync",
                "--host-resolver-rules=MAP localhost 127.0.0.1", f"--origin-to-force-quic-on=localhost:{port}",
                f"--ignore-certificate-errors-spki-list={self.pin()}", f"--user-data-dir={profile}", "--dump-dom",
                f"https://localhost:{port}/over3.html",
            )  # fmt: skip
        self.assertIn(b"parts 12 rgb(1, 2, 3)", page)
        self.assertIn(b",".join([b"h3"] * 13), page)
