"""What is added to a message's header, and what is not."""

from __future__ import annotations

import pytest

from netsuite.mail.smtp.trace import date, missing_fields
from netsuite.mail.smtp.wire.replies import Reply

NOW = 1_767_261_600.25


def test_a_date_is_in_utc():
    assert date(NOW) == date(NOW + 0.5) == "Thu, 01 Jan 2026 10:00:00 +0000"
    assert date(NOW + 1) == "Thu, 01 Jan 2026 10:00:01 +0000"


def test_what_a_message_lacks_is_added():
    added = missing_fields(b"Subject: a\r\n", "alice@example.test", "mail.example.test", "q1", NOW)
    assert added == (
        b"From: <alice@example.test>\r\nDate: Thu, 01 Jan 2026 10:00:00 +0000\r\nMessage-ID: <q1@mail.example.test>\r\n"
    )


@pytest.mark.parametrize("name", [b"Message-ID", b"message-id", b"Message-Id "])
def test_what_a_message_has_stays_alone(name):
    header = b"From: a@b.test\r\nDate: Thu, 01 Jan 2026 10:00:00 +0000\r\n" + name + b": <1@b.test>\r\n"
    assert missing_fields(header, "alice@example.test", "mail.example.test", "q1", NOW) == b""


def test_a_reply_is_the_same_bytes_whoever_it_lets_in():
    plain, other = Reply(235, "welcome", "2.7.0"), Reply(235, "welcome", "2.7.0", user="alice@example.test")
    assert plain.encoded() == other.encoded() == b"235 2.7.0 welcome\r\n"
