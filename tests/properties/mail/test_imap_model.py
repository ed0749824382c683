"""Two clients change one mailbox at random; a plain model says what must come of it, and what each may see."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol

from netsuite.mail.imap.server import ImapServer
from netsuite.mail.store import MemoryStore
from netsuite.testing.commons import make_commons
from netsuite.testing.network import Link, Network

EXPUNGE = re.compile(rb"\* (\d+) EXPUNGE\r\n")
EXISTS = re.compile(rb"\* (\d+) EXISTS\r\n")
FETCH = re.compile(rb"\* (\d+) FETCH \(UID (\d+) FLAGS \(([^)]*)\)\)\r\n")


class _Wire(Protocol):
    def __init__(self):
        self.got = b""

    def dataReceived(self, data):
        self.got += data


class Client:
    """A client that believes what it is told, and nothing else; ``uids`` is its view, None where it does not know."""

    def __init__(self, network, host, number):
        self.network = network
        self.number = number
        self.uids = []
        self.wire = network.result(TCP4ClientEndpoint(host, "192.0.2.1", 143).connect(Factory.forProtocol(_Wire)))
        self.count = 0
        self.idling = False
        self.say(b"LOGIN bob secret")
        self.select()

    def select(self):
        self.uids = []
        answer = self.say(b"SELECT INBOX")
        assert b"OK [READ-WRITE]" in answer
        self.learn()

    def say(self, command):
        assert not self.idling
        self.count += 1
        tag = b"c%d" % self.count
        self.wire.transport.write(tag + b" " + command + b"\r\n")
        end = re.compile(rb"(?:\A|\n)" + tag + rb" (?:OK|NO|BAD)[^\n]*\n")
        self.network.until(lambda: end.search(self.wire.got))
        return self.take(command)

    def take(self, command=b""):
        got, self.wire.got = self.wire.got, b""
        if command.startswith((b"FETCH", b"STORE", b"SEARCH")):
            assert b"EXPUNGE\r\n" not in got, (command, got)
        for line in got.splitlines(keepends=True):
            if found := EXPUNGE.match(line):
                del self.uids[int(found[1]) - 1]
            elif found := EXISTS.match(line):
                assert int(found[1]) >= len(self.uids), got
                self.uids += [None] * (int(found[1]) - len(self.uids))
            elif found := FETCH.match(line):
                place, uid = int(found[1]) - 1, int(found[2])
                assert self.uids[place] in (None, uid), (command, got, self.uids)
                self.uids[place] = uid
        return got

    def learn(self):
        if None in self.uids:
            self.say(b"FETCH 1:* (UID FLAGS)")

    def idle(self):
        self.wire.transport.write(b"i IDLE\r\n")
        self.network.until(lambda: b"+ idling" in self.wire.got)
        self.idling = True

    def done(self):
        self.wire.transport.write(b"DONE\r\n")
        self.network.until(lambda: b"i OK" in self.wire.got)
        self.idling = False
        self.take()


OPERATIONS = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(
            [
                "append",
                "store",
                "store",
                "uid store",
                "expunge",
                "uid expunge",
                "noop",
                "fetch",
                "copy",
                "move",
                "reselect",
                "idle",
                "search",
            ]
        ),
        st.integers(0, 7),
        st.sampled_from(["add", "remove", "set"]),
        st.sampled_from([{"\\Deleted"}, {"\\Deleted"}, {"\\Seen", "Work"}, {"\\Deleted", "Work"}]),
    ),
    min_size=20,
    max_size=60,
)


class World:
    def __init__(self, folder):
        network = Network(link=Link(latency=0.001))
        server_host, client_host = network.host("192.0.2.1"), network.host("192.0.2.2")
        commons = make_commons(Path(folder), server_host)
        self.store = MemoryStore(server_host)
        self.server = ImapServer(commons, self.store)
        self.server.mechanisms = lambda channel: ("PLAIN",)  # a network in memory has no loopback
        network.result(commons.identity.add("bob", "secret"))
        server_host.listenTCP(143, self.server.factory)
        self.clients = [Client(network, client_host, number) for number in range(2)]
        self.model = {}
        self.next = 1
        self.copies = 0
        for _ in range(6):
            self.do(0, "append", 0, "set", {"Work"})
        self.clients[1].say(b"NOOP")
        self.clients[1].learn()

    def change(self, uids, mode, flags):
        for uid in uids:
            if uid in self.model:
                old = self.model[uid]
                self.model[uid] = old | flags if mode == "add" else old - flags if mode == "remove" else set(flags)

    def do(self, who, what, place, mode, flags):
        client = self.clients[who]
        client.uids_at_start = [uid for uid in client.uids if uid is not None]
        if client.idling:
            client.done()
            client.learn()
            return
        place = place % len(client.uids) if client.uids else 0
        known = client.uids[place] if client.uids else None
        sign = {"add": b"+", "remove": b"-", "set": b""}[mode]
        text = " ".join(sorted(flags)).encode()
        if what == "append":
            answer = client.say(b"APPEND INBOX (%b) {4+}\r\nx\r\ny" % text)
            assert b"APPENDUID" in answer, answer
            self.model[self.next] = set(flags)
            self.next += 1
        elif what == "store" and known is not None:
            client.say(b"STORE %d %bFLAGS (%b)" % (place + 1, sign, text))
            self.change([known], mode, flags)
        elif what == "uid store":
            client.say(b"UID STORE %d:%d %bFLAGS.SILENT (%b)" % (place + 1, place + 3, sign, text))
            self.change([uid for uid in range(place + 1, place + 4) if uid in client.uids_at_start], mode, flags)
        elif what == "expunge":
            view = set(client.uids_at_start)
            client.say(b"EXPUNGE")
            self.drop(uid for uid in view if "\\Deleted" in self.model.get(uid, ()))
        elif what == "uid expunge" and known is not None:
            client.say(b"UID EXPUNGE %d" % known)
            if "\\Deleted" in self.model.get(known, ()):
                self.drop([known])
        elif what in ("copy", "move") and known is not None:
            answer = client.say(b"%b %d Archive" % (what.upper().encode(), place + 1))
            if known in self.model:
                assert b"COPYUID" in answer, answer
                self.copies += 1
                if what == "move":
                    self.drop([known])
            else:
                assert b"EXPUNGEISSUED" in answer, answer
        elif what == "reselect":
            client.select()
        elif what == "idle":
            client.idle()
            return
        elif what == "search":
            client.say(b"SEARCH ALL")
        elif what == "fetch" and client.uids:
            client.say(b"FETCH 1:%d (UID FLAGS)" % len(client.uids))
        else:
            client.say(b"NOOP")
        client.learn()

    def drop(self, uids):
        for uid in list(uids):
            self.model.pop(uid, None)

    def settle(self):
        for client in self.clients:
            if client.idling:
                client.done()
            client.say(b"NOOP")
            client.learn()
            assert client.uids == sorted(self.model), (client.uids, self.model)
            got = client.say(b"UID FETCH 1:* (FLAGS)")
            seen = {
                int(found[2]): {flag.decode() for flag in found[3].split()} - {"\\Recent"}
                for found in FETCH.finditer(got)
            }
            assert seen == self.model
        archive = self.store.account("bob@example.test").mailbox("Archive")
        assert len(archive.messages) == self.copies
        assert self.server.factory.errors == 0


@given(OPERATIONS)
@settings(max_examples=60, deadline=None)
def test_two_clients(operations):
    with tempfile.TemporaryDirectory() as folder:
        world = World(folder)
        for operation in operations:
            world.do(*operation)
        world.settle()
