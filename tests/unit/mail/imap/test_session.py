"""Sessions as conversations on a network in memory: extensions, refusals, news."""

from __future__ import annotations

import base64
import re

import pytest
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol

from netsuite.mail.imap.server import ImapServer
from netsuite.mail.store import Limits, MemoryStore
from netsuite.sansio.sasl import ScramClient
from netsuite.testing.commons import make_commons
from netsuite.testing.network import Link, Network

MESSAGE = b"From: a@x.test\r\nSubject: %b\r\nDate: Tue, 1 Feb 2022 10:00:00 +0000\r\n\r\nbody of %b\r\n"


class Wire(Protocol):
    def __init__(self):
        self.got = b""
        self.closed = False

    def dataReceived(self, data):
        self.got += data

    def connectionLost(self, reason=None):
        self.closed = True


class Client:
    """``say`` sends a command and answers all that comes until its tagged line."""

    def __init__(self, world):
        self.network = world.network
        endpoint = TCP4ClientEndpoint(world.client_host, "192.0.2.1", 143)
        self.wire = self.network.result(endpoint.connect(Factory.forProtocol(Wire)))
        self.network.until(lambda: self.wire.got.endswith(b"\r\n"))
        self.greeting = self.take()

    def take(self):
        got, self.wire.got = self.wire.got, b""
        return got

    def send(self, data, until):
        self.wire.transport.write(data)
        end = re.compile(until)
        self.network.until(lambda: end.search(self.wire.got) or self.wire.closed)
        return self.take()

    def say(self, command, tag=b"t"):
        return self.send(tag + b" " + command + b"\r\n", rb"(?:\A|\n)" + tag + rb" [^\n]*\n")


class World:
    def __init__(self, folder, mechanisms=("SCRAM-SHA-256", "PLAIN"), limits=Limits()):
        self.network = Network(link=Link(latency=0.001))
        self.host, self.client_host = self.network.host("192.0.2.1"), self.network.host("192.0.2.2")
        self.commons = make_commons(folder, self.host)
        self.store = MemoryStore(self.host, limits)
        self.server = ImapServer(self.commons, self.store)
        if mechanisms is not None:
            self.commons.identity.mechanisms = lambda channel: mechanisms
        self.network.result(self.commons.identity.add("bob", "secret"))
        self.host.listenTCP(143, self.server.factory)
        self.account = self.store.account("bob@example.test")
        self.inbox = self.account.mailbox("INBOX")

    def fill(self, *subjects):
        for subject in subjects:
            self.network.result(self.inbox.append(MESSAGE % (subject, subject)))

    def client(self, select=True):
        client = Client(self)
        assert b"OK" in client.say(b"LOGIN bob secret")
        if select:
            assert b"READ-WRITE" in client.say(b"SELECT INBOX")
        return client


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    assert made.server.factory.errors == 0


def test_no_password_in_clear_from_elsewhere(tmp_path):
    client = Client(World(tmp_path, mechanisms=None))
    assert b"LOGINDISABLED" in client.greeting and b"AUTH=PLAIN" not in client.greeting
    assert b"t NO [PRIVACYREQUIRED]" in client.say(b"LOGIN bob secret")
    assert b"t NO" in client.say(b"AUTHENTICATE PLAIN AGJvYgBzZWNyZXQ=")
    assert b"AUTH=SCRAM-SHA-256" in client.say(b"CAPABILITY")


def test_scram(world):
    client = Client(world)
    scram = ScramClient("bob", "secret", "nonce-of-a-client")
    said = client.send(b"t AUTHENTICATE SCRAM-SHA-256\r\n", rb"\n")
    assert said.startswith(b"+ ")
    said = client.send(base64.b64encode(scram.first()) + b"\r\n", rb"\n")
    assert said.startswith(b"+ "), said
    said = client.send(base64.b64encode(scram.final(base64.b64decode(said[2:]))) + b"\r\n", rb"\n")
    assert scram.proven(base64.b64decode(said[2:]))
    assert client.send(b"\r\n", rb"\n").startswith(b"t OK [CAPABILITY")
    assert b"t OK" in client.say(b"SELECT INBOX")


@pytest.mark.parametrize("said", [b"*", b"!!!"])
def test_authentication_that_is_given_up(world, said):
    client = Client(world)
    assert client.send(b"t AUTHENTICATE PLAIN\r\n", rb"\n").startswith(b"+ ")
    assert client.send(said + b"\r\n", rb"\n").startswith(b"t BAD")
    assert b"t NO [AUTHENTICATIONFAILED]" in client.say(b"LOGIN bob wrong")


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"SELECT INBOX", b"t BAD log in first"),
        (b"NOOP", b"t OK"),
        (b"LOGOUT", b"* BYE"),
        (b"IDLE", b"t BAD log in first"),
    ],
)
def test_strangers(world, command, answer):
    assert answer in Client(world).say(command)


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        (b"FETCH 1 FLAGS", b"t BAD no mailbox is selected"),
        (b"LOGIN bob secret", b"t BAD you have logged in already"),
        (b"SELECT Nowhere", b"t NO [NONEXISTENT]"),
        (b"CREATE INBOX", b"t NO [ALREADYEXISTS]"),
        (b"CREATE Spam (USE (\\Junk))", b"t NO [CANNOT]"),
        (b"CREATE Spam (USE (\\Nonsense))", b"t NO [USEATTR]"),
        (b"DELETE Nowhere", b"t NO [NONEXISTENT]"),
        (b'LIST "" ""', b'* LIST (\\Noselect) "/" ""'),
        (b'LIST (SPECIAL-USE) "" *', b'* LIST (\\HasNoChildren \\Drafts) "/" Drafts'),
        (b"NAMESPACE", b'* NAMESPACE (("" "/")) NIL NIL'),
        (b"ENABLE CONDSTORE", b"* ENABLED CONDSTORE"),
        (b"APPEND Nowhere {3+}\r\nabc", b"t NO [TRYCREATE]"),
        (b"APPEND INBOX {3+}\r\na\0c", b"t NO [CANNOT]"),
        (b"APPEND INBOX {99999999}", b"t NO [TOOBIG]"),
    ],
)
def test_the_known(world, command, answer):
    assert answer in world.client(select=False).say(command)


def test_sets_that_name_no_message(world):
    client = world.client()
    assert b"t BAD" in client.say(b"FETCH 1 FLAGS")
    assert b"t OK" in client.say(b"UID FETCH 7 FLAGS")
    world.fill(b"one")
    client.say(b"NOOP")
    assert b"t BAD" in client.say(b"FETCH 1:2 FLAGS")
    assert b"* 1 FETCH (UID 1 FLAGS (\\Recent))" in client.say(b"UID FETCH 500:* FLAGS")


def test_reading_makes_seen_and_examining_does_not(world):
    world.fill(b"one", b"two")
    client = world.client()
    client.say(b"EXAMINE INBOX")
    assert b"FLAGS" not in client.say(b"FETCH 1 BODY[TEXT]").partition(b"t OK")[0].partition(b"body of")[2]
    assert b"t NO [READ-ONLY]" in client.say(b"STORE 1 +FLAGS (\\Seen)")
    client.say(b"SELECT INBOX")
    got = client.say(b"FETCH 1:2 (BODY[TEXT]<0.4>)")
    assert b"* 1 FETCH (BODY[TEXT]<0> {4}\r\nbody FLAGS (\\Seen))\r\n" in got
    assert client.say(b"SEARCH UNSEEN") == b"* SEARCH\r\nt OK searched\r\n"


def test_changes_since_a_modseq(world):
    world.fill(b"one", b"two", b"three")
    client, other = world.client(), world.client()
    client.say(b"ENABLE CONDSTORE")
    before = world.inbox.highestmodseq
    other.say(b"STORE 2 +FLAGS (Work)")
    assert b"* 2 FETCH (UID 2 FLAGS (Work" in client.say(b"NOOP")
    got = client.say(b"FETCH 1:* (FLAGS) (CHANGEDSINCE %d)" % before)
    assert got.count(b" FETCH ") == 1 and b"MODSEQ (%d)" % (before + 1) in got
    got = client.say(b"STORE 1:3 (UNCHANGEDSINCE %d) +FLAGS.SILENT (Fun)" % before)
    assert b"t OK [MODIFIED 2]" in got and got.count(b"MODSEQ") == 2
    assert client.say(b"SEARCH MODSEQ %d" % (before + 2)) == b"* SEARCH 1 3 (MODSEQ %d)\r\nt OK searched\r\n" % (
        before + 2
    )
    got = client.say(b"STATUS INBOX (HIGHESTMODSEQ)")
    assert b"HIGHESTMODSEQ %d" % (before + 2) in got


def test_searching(world):
    world.fill(b"apple pie", b"=?utf-8?b?w4RwZmVs?=", b"pear")
    client = world.client()
    for command, found in [
        (b"SUBJECT APPLE", b" 1"),
        (b"CHARSET UTF-8 SUBJECT {6+}\r\n\xc3\xa4pfel", b" 2"),
        (b'OR SUBJECT pear BODY "OF APPLE"', b" 1 3"),
        (b"NOT FROM x.test", b""),
        (b"SENTON 1-Feb-2022 LARGER 10 SMALLER 5000", b" 1 2 3"),
        (b"SENTSINCE 2-Feb-2022", b""),
        (b"UID 2:3 HEADER Message-ID {0+}\r\n", b""),
        (b"2:* NEW", b" 2 3"),
        (b"TEXT pear 1:2", b""),
        (b"ON 15-Jan-2027", b" 1 2 3"),
    ]:
        assert client.say(b"SEARCH " + command) == b"* SEARCH%b\r\nt OK searched\r\n" % found, command
    got = client.say(b"UID SEARCH RETURN (MIN MAX COUNT ALL) ALL")
    assert got.startswith(b'* ESEARCH (TAG "t") UID MIN 1 MAX 3 ALL 1:3 COUNT 3\r\n')
    assert b'* ESEARCH (TAG "t") COUNT 0\r\n' in client.say(b"SEARCH RETURN (MIN COUNT) SEEN")
    assert b"t NO [BADCHARSET" in client.say(b"SEARCH CHARSET klingon ALL")
    assert b"t NO [BADCHARSET" in client.say(b"SEARCH CHARSET utf-8 SUBJECT {1+}\r\n\xff")


def test_what_is_gone_already(world):
    world.fill(b"one", b"two", b"three")
    client, other = world.client(), world.client()
    other.say(b"STORE 2 +FLAGS (\\Deleted)")
    other.say(b"EXPUNGE")
    got = client.say(b"FETCH 1:3 (UID BODY.PEEK[])")
    assert b"* 3 FETCH (UID 3" in got and b"* 2 FETCH" not in got and b"EXPUNGE\r" not in got
    assert b"t NO [EXPUNGEISSUED]" in got
    assert b"t NO [EXPUNGEISSUED]" in client.say(b"STORE 2 +FLAGS (x)")
    assert b"* 2 EXPUNGE\r\n" in client.say(b"UID FETCH 3 (UID)")
    assert client.say(b"UID EXPUNGE 1:*") == b"t OK expunged\r\n"


def test_copy_and_move_say_where(world):
    world.fill(b"one", b"two", b"three")
    client = world.client()
    archive = world.account.mailbox("Archive")
    assert b"t OK [COPYUID %d 1,3 1:2]" % archive.uidvalidity in client.say(b"COPY 1,3 Archive")
    got = client.say(b"UID MOVE 2:3 Archive")
    assert got.startswith(b"* OK [COPYUID %d 2:3 3:4]" % archive.uidvalidity)
    assert got.count(b"EXPUNGE\r\n") == 2 and len(archive.messages) == 4
    assert b"t NO [TRYCREATE]" in client.say(b"COPY 1 Nowhere")


def test_idle(world):
    client = world.client()
    assert client.send(b"i IDLE\r\n", rb"\n") == b"+ idling\r\n"
    world.fill(b"one")
    world.network.advance(0.1)
    assert client.take() == b"* 1 EXISTS\r\n* 1 RECENT\r\n"
    assert b"i BAD" in client.send(b"NOOP\r\n", rb"\ni |\Ai ")
    assert b"t OK" in client.say(b"NOOP")


def test_a_deleted_mailbox_ends_its_sessions(world):
    client, other = world.client(), world.client()
    other.say(b"CREATE doomed")
    client.say(b"SELECT doomed")
    other.say(b"DELETE doomed")
    assert b"* BYE" in client.say(b"NOOP")
    world.network.until(lambda: client.wire.closed)
    other.say(b"CREATE mine")
    other.say(b"SELECT mine")
    assert b"t OK" in other.say(b"DELETE mine")
    assert b"t BAD" in other.say(b"FETCH 1 FLAGS")


def test_a_message_too_long_for_the_store(tmp_path):
    world = World(tmp_path, limits=Limits(message=100))
    client = world.client()
    assert b"t NO [TOOBIG]" in client.say(b"APPEND INBOX {101+}\r\n" + b"x" * 101)
    assert b"t OK" in client.say(b"APPEND INBOX {100+}\r\n" + b"x" * 100)


def test_pipelined_commands_are_answered_in_order(world):
    world.fill(b"one")
    client = world.client()
    got = client.send(b"a NOOP\r\nb FETCH 1 (FLAGS)\r\nc STATUS INBOX (MESSAGES)\r\nd CAPABILITY\r\n", rb"\nd OK")
    assert re.findall(rb"^([abcd]) OK", got, re.MULTILINE) == [b"a", b"b", b"c", b"d"]


def test_logging_out(world):
    client = world.client()
    assert client.say(b"LOGOUT").startswith(b"* BYE")
    world.network.until(lambda: client.wire.closed)
    assert not world.server.factory.adapters
