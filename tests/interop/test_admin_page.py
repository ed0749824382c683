"""The admin port's first page in a real browser: its script runs under its own policy, and keeps it alive."""

from __future__ import annotations

import shutil
import subprocess

from twisted.trial.unittest import SkipTest, TestCase

from tests.system.running import Running, folder, free_port


class Browser(TestCase):
    """Chromium, without a window."""

    def setUp(self) -> None:
        self.chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        if self.chromium is None:
            raise SkipTest("chromium is not installed")
        entered = folder()
        self.folder = entered.__enter__()
        self.addCleanup(entered.__exit__, None, None, None)
        self.port = free_port()
        (self.folder / "site.toml").write_text(
            f'[upper]\nlisten = ["127.0.0.1:0"]\n[admin]\nlisten = ["127.0.0.1:{self.port}"]\n'
        )
        running = Running("netsuite", "-c", "site.toml", cwd=self.folder)
        self.addCleanup(running.__exit__, None, None, None)
        running.ready()

    def seen(self, *options: str) -> tuple[str, str]:
        """The document after some seconds, and what the browser complained of."""
        ran = subprocess.run(
            [
                self.chromium or "",
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                f"--user-data-dir={self.folder}/browser",
                "--enable-logging=stderr",
                "--dump-dom",
                *options,
                f"http://127.0.0.1:{self.port}/",
            ],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
        return ran.stdout, "\n".join(line for line in ran.stderr.splitlines() if "CONSOLE" in line)

    def test_the_counters_live(self) -> None:
        """Only the script writes rates, and each of its questions is counted."""
        document, complaints = self.seen("--virtual-time-budget=9000")
        self.assertEqual(complaints, "")
        card = document.partition('data-service="admin"')[2].partition("</section>")[0]
        row = card.partition('data-figure="requests"')[2].partition("</tr>")[0]
        self.assertRegex(row, r'<td class="rate">[\d.]+/s</td><td>[3-9]</td>')
        self.assertIn(">all well</span>", document)
