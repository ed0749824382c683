"""The report that goes back to a sender when a message cannot be delivered.

A ``multipart/report`` (RFC 6522) with a text for people, the delivery status for programs (RFC 3464), and the header of
the message. Pure: the time is an argument.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from netsuite.mail.smtp.queued import Entry, Recipient
from netsuite.mail.smtp.trace import date

__all__ = ["bounce"]


def bounce(entry: Entry, failed: Sequence[Recipient], header: bytes, name: str, ident: str, now: float) -> bytes:
    """The report on ``failed`` recipients of a message with this ``header``; ``ident`` is the report's own."""
    boundary = f"=_{ident}"
    wide = any(not each.address.isascii() for each in failed) or not entry.sender.isascii()
    lines = [
        f"From: Mail Delivery System <mailer-daemon@{name}>",
        f"To: <{entry.sender}>",
        "Subject: Undelivered mail returned to sender",
        f"Date: {date(now)}",
        f"Message-ID: <{ident}@{name}>",
        "Auto-Submitted: auto-replied",
        "MIME-Version: 1.0",
        f'Content-Type: multipart/report; report-type=delivery-status; boundary="{boundary}"',
        "",
        f"--{boundary}",
        "Content-Type: text/plain; charset=utf-8",
        "Content-Transfer-Encoding: 8bit",
        "",
        f"This is the mail server {name}.",
        "",
        "Your message could not be delivered to the recipients below. The server will",
        "not try again. The message's header is attached.",
        "",
    ]
    for each in failed:
        lines.append(f"<{each.address}>")
        lines += ["  " + line for line in textwrap.wrap(_line(each.said) or "no reason was given", 70)]
        lines.append("")
    kind = "message/global-delivery-status" if wide else "message/delivery-status"
    lines += [
        f"--{boundary}",
        f"Content-Type: {kind}",
        *(["Content-Transfer-Encoding: 8bit"] if wide else []),
        "",
        f"Reporting-MTA: dns; {name}",
        f"X-Netsuite-Queue-ID: {entry.id}",
        f"Arrival-Date: {date(entry.arrived)}",
    ]
    for each in failed:
        kind = "rfc822" if each.address.isascii() else "utf-8"
        lines += [
            "",
            f"Final-Recipient: {kind}; {each.address}",
            "Action: failed",
            f"Status: {each.status or '5.0.0'}",
            f"Diagnostic-Code: smtp; {_line(each.said)[:900] or '550 no reason was given'}",
            f"Last-Attempt-Date: {date(now)}",
        ]
    kind = "text/rfc822-headers" if header.isascii() else "message/global-headers"
    lines += ["", f"--{boundary}", f"Content-Type: {kind}"]
    lines += ["", ""] if header.isascii() else ["Content-Transfer-Encoding: 8bit", "", ""]
    return "\r\n".join(lines).encode() + header + f"\r\n--{boundary}--\r\n".encode()


def _line(text: str) -> str:
    return " ".join(text.split())
