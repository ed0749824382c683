"""``twistd netsuite-mail``: the mail store alone, read by IMAP and POP3."""

from __future__ import annotations

from twisted.python.usage import UsageError

from netsuite.taps.base import TableOptions, make_service

__all__ = ["Options", "makeService"]


class Options(TableOptions):
    """Options of ``netsuite-mail``."""

    table = "mail"
    longdesc = "The mail store, read by IMAP and POP3."

    def opt_listen(self, text: str) -> None:
        """There are two protocols: use --imap and --pop3."""
        raise UsageError(f"--listen {text}: say --imap {text} or --pop3 {text}")

    def opt_imap(self, text: str) -> None:
        """Where IMAP listens: HOST:PORT (STARTTLS) or secure:HOST:PORT; repeatable."""
        self.also(("mail", "imap"), text)

    def opt_pop3(self, text: str) -> None:
        """Where POP3 listens: HOST:PORT (STLS) or secure:HOST:PORT; repeatable."""
        self.also(("mail", "pop3"), text)


makeService = make_service  # noqa: N816 - twistd's name for it
