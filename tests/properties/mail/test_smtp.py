"""SMTP's parsers and writers against whatever comes."""

from __future__ import annotations

import email
import random
from email import policy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsuite.mail.smtp.queued import FAILED, Entry, Recipient, drop, note, operations, take
from netsuite.mail.smtp.report import bounce
from netsuite.mail.smtp.routes import parse_route
from netsuite.mail.smtp.schedule import Schedule
from netsuite.mail.smtp.trace import header_of, hops, missing_fields, received
from netsuite.mail.smtp.wire.commands import BadCommand, Envelope, Hello, is_address, parse_path
from netsuite.mail.smtp.wire.content import ContentReader, ContentWriter
from netsuite.mail.smtp.wire.replies import BadReply, Reply, ReplyLines

pieces = st.lists(st.sampled_from([b"\r\n", b".", b"..", b"a", b"x" * 80, b"\r", b"\n", b"\xc3\xa4", b""]), max_size=30)
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=40)


@given(pieces, st.integers(1, 7))
def test_content_survives_the_wire(content, size):
    writer, reader = ContentWriter(), ContentReader()
    wire = b"".join([*(writer.feed(piece) for piece in content), writer.finish()]) + b"QUIT\r\n"
    got, rest = b"", b""
    for at in range(0, len(wire), size):
        if reader.done:
            rest += wire[at : at + size]
            continue
        some, tail = reader.feed(wire[at : at + size])
        got, rest = got + some, rest + tail
    assert (reader.done, reader.bare) == (True, False)
    assert rest == b"QUIT\r\n"
    assert reader.size == len(got)
    whole = b"".join(content)
    clean = whole.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
    assert got == clean + (b"" if clean.endswith(b"\r\n") or not clean else b"\r\n")


@given(pieces, st.integers(1, 7))
def test_a_line_end_that_is_none_is_seen_however_it_is_cut(content, size):
    wire = b"".join(content) + b"\r\n.\r\n"
    reader = ContentReader()
    at = 0
    while not reader.done:
        reader.feed(wire[at : at + size])
        at += size
    seen = wire[: wire.find(b"\r\n.\r\n") + 2] if not wire.startswith(b".\r\n") else b""
    pairs = seen.count(b"\r\n")
    assert reader.bare == (seen.count(b"\r") != pairs or seen.count(b"\n") != pairs)


@given(st.text(max_size=60), st.sampled_from(["FROM", "TO"]), st.booleans())
def test_no_path_raises_anything_else(text, word, null):
    for argument in (text, f"{word}:{text}", f"{word}:<{text}>", f"{word}:<a@b.test> {text}"):
        try:
            path, _ = parse_path(argument, word, null=null)
        except BadCommand:
            continue
        assert is_address(path) or path == "" or path.lower() == "postmaster"
        assert not any(mark in path for mark in "\r\n\0")


@given(st.binary(max_size=200))
def test_no_reply_raises_anything_else(data):
    lines = ReplyLines()
    for line in data.split(b"\n"):
        try:
            lines.add(line)
        except BadReply:
            return


@given(st.integers(200, 599), st.text(max_size=100))
def test_a_reply_survives_the_wire(code, text):
    lines = ReplyLines()
    got = [lines.add(line) for line in Reply(code, text).encoded().removesuffix(b"\r\n").split(b"\r\n")]
    assert got[-1] is not None
    assert got[-1].code == code
    assert not any(got[:-1])


@given(
    st.lists(st.tuples(words, words), min_size=1, max_size=5),
    words,
    st.binary(max_size=300),
    st.floats(0, 1e10, allow_nan=False),
)
def test_a_record_is_read_as_it_was_written(recipients, sender, content, now):
    entry = Entry("id1", sender, [Recipient(a, said=b) for a, b in recipients], arrived=now, size=len(content))
    taken, noted, dropped = operations(b"".join([*take(entry, content), *note(entry, [0]), *drop("id1")]))
    again = taken.entry()
    assert again.described() == entry.described()
    assert taken.content == content
    noted.amend(again)
    assert again.described() == entry.described()
    assert (dropped.kind, dropped.facts) == ("drop", {"id": "id1"})


@given(st.lists(st.tuples(words, words), min_size=1, max_size=3), st.binary(max_size=200))
def test_a_report_is_a_report_whatever_was_said(failed, header):
    header = header_of(header.replace(b"\n", b"\r\n") + b"\r\n\r\n")
    people = [Recipient(f"b{n}@b.test", FAILED, said, "5.1.1") for n, (_, said) in enumerate(failed)]
    entry = Entry("id1", "a@a.test", people, arrived=1e9, size=1)
    report = bounce(entry, people, header, "mx.test", "id2", 1e9)
    assert report.count(b"\n") == report.count(b"\r\n") + header.count(b"\n") - header.count(b"\r\n")
    parsed = email.message_from_bytes(report, policy=policy.default)
    assert parsed.get_content_type() == "multipart/report"
    assert [part.get_content_maintype() for part in parsed.get_payload()][:2] == ["text", "message"]


@given(st.binary(max_size=300), words)
def test_trace_fields_are_fields(beginning, said):
    header = header_of(beginning)
    assert beginning.startswith(header)
    assert hops(header) >= 0
    envelope = Envelope("a@a.test", ["b@b.test"], {}, Hello("x", True), None)
    head = received(envelope, "::1", "mx.test", "id1", 1e9, None) + missing_fields(header, "a@a.test", "mx", "id1", 1e9)
    parsed = email.message_from_bytes(head + b"\r\n")
    assert not parsed.defects
    assert "[IPv6:::1]" in parsed["Received"]


@given(st.text(max_size=40))
def test_a_route_is_one_or_a_complaint(text):
    try:
        domain, (host, port) = parse_route(text)
    except ValueError as error:
        assert "DOMAIN=HOST:PORT" in str(error)
        return
    assert domain
    assert host
    assert 0 < port < 65536


def test_what_is_a_route():
    assert parse_route("B.Test.=[::1]:25") == ("b.test", ("::1", 25))
    for text in ("b.test", "b.test=host", "=host:25", "b.test=:25", "b.test=h:0", "b.test=h:65536"):
        with pytest.raises(ValueError, match="no route"):
            parse_route(text)


@given(st.lists(st.tuples(st.sampled_from(["put", "take", "forget"]), st.integers(0, 5), st.integers(0, 20))))
def test_a_schedule_is_a_sorted_dictionary(steps):
    schedule, model = Schedule(), {}
    for what, name, when in steps:
        if what == "put":
            schedule.put(str(name), when)
            model[str(name)] = when
        elif what == "forget":
            schedule.forget(str(name))
            model.pop(str(name), None)
        else:
            got = schedule.take(when)
            if got is None:
                assert all(due > when for due in model.values())
            else:
                assert model[got] == min(model.values())
                del model[got]
        assert schedule.next() == min(model.values(), default=None)
        assert len(schedule) == len(model)


def test_schedules_take_in_order_of_time():
    schedule, rng = Schedule(), random.Random(1)
    times = [rng.randrange(100) for _ in range(50)]
    for at, due in enumerate(times):
        schedule.put(str(at), due)
    taken = [times[int(name)] for name in iter(lambda: schedule.take(1000), None)]
    assert taken == sorted(times)
