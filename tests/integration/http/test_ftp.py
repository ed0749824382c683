"""The FTP server at a real socket: conversations line by line, and Python's own client."""

from __future__ import annotations

import ftplib
import io
import os
import socket
import ssl
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import TestCase

from netsuite.common.errors import StartError
from netsuite.http.ftp.service import build
from netsuite.http.ftp.settings import FtpSettings
from netsuite.testing.commons import make_commons


class Ftp(TestCase):
    timeout = 60

    async def serve(self, **settings):
        folder = Path(self.mktemp()).absolute()
        self.root = folder / "site"
        (self.root / "folder").mkdir(parents=True)
        (self.root / "hello.txt").write_text("hello\nyou\n")
        (self.root / ".secret").write_text("secret")
        (self.root / "folder" / "näme").write_text("x")
        (self.root / "leak").symlink_to("/etc")
        self.large = os.urandom(3 << 20)
        (self.root / "large").write_bytes(self.large)
        self.commons = make_commons(folder / "data", reactor)
        await self.commons.identity.add("alice", "apple")
        await self.commons.identity.add("bob", "banana")
        table = {
            "listen": ["127.0.0.1:0", "secure:127.0.0.1:0"],
            "root": self.root,
            "writers": ["alice"],
            "data_time": 5,
            **settings,
        }
        self.service = service = build(FtpSettings.model_validate(table), self.commons)
        service.check()
        service.open()
        service.startService()
        self.port, self.secure_port = (address.port for address in service.addresses())

        async def stop():
            await service.drain(reactor.seconds() + 1)
            service.stopService()
            await self.settled(lambda: True)

        self.addCleanup(lambda: Deferred.fromCoroutine(stop()))

    async def settled(self, condition=None):
        condition = condition or (lambda: not self.service.server.uploads.threads.busy)
        for _ in range(3):
            turn = Deferred()
            reactor.callLater(0.002, turn.callback, None)
            await turn
        while not condition():
            turn = Deferred()
            reactor.callLater(0.002, turn.callback, None)
            await turn

    def client(self, work, user="alice", password="apple", make=ftplib.FTP, **options):
        """Run ``work(ftp)`` in a thread, with a client that has logged in."""

        def run():
            with make(timeout=20, encoding="utf-8", **options) as ftp:
                ftp.connect("127.0.0.1", self.port)
                if user:
                    ftp.login(user, password)
                return work(ftp)

        return deferToThread(run)

    def talk(self, *lines, port=None):
        """What the server says to these lines, one after another, without its greeting."""

        def run():
            with socket.create_connection(("127.0.0.1", port or self.port), 20) as client:
                replies = client.makefile("rb")
                got = [replies.readline()]
                for line in lines:
                    client.sendall(line + b"\r\n")
                    reply = replies.readline()
                    while reply[3:4] == b"-" or reply[:1] == b" ":
                        reply = replies.readline()
                    got.append(reply)
                return [int(reply[:3] or 0) for reply in got[1:]]

        return deferToThread(run)

    async def test_a_whole_visit(self):
        await self.serve()

        def work(ftp):
            got = io.BytesIO()
            ftp.retrbinary("RETR large", got.write)
            self.assertEqual(got.getvalue(), self.large)
            ftp.cwd("folder")
            self.assertEqual(ftp.pwd(), "/folder")
            self.assertEqual(ftp.nlst(), ["näme"])
            ftp.cwd("..")
            ftp.storbinary("STOR new", io.BytesIO(self.large))
            self.assertEqual(ftp.size("new"), len(self.large))
            self.assertEqual(ftp.mkd('a "b"'), '/a "b"')
            ftp.rename("new", 'a "b"/newer')
            facts = dict(ftp.mlsd('a "b"'))
            self.assertEqual((facts["newer"]["size"], facts["newer"]["type"]), (str(len(self.large)), "file"))
            ftp.delete('a "b"/newer')
            ftp.rmd('a "b"')
            listed = []
            ftp.retrlines("LIST -al", listed.append)
            self.assertEqual([line.split()[-1] for line in listed], ["folder", "hello.txt", "large"])
            return ftp.quit()

        self.assertTrue((await self.client(work)).startswith("221"))
        self.assertEqual(sorted(path.name for path in self.root.iterdir() if path.name[0] != "."),
                         ["folder", "hello.txt", "large", "leak"])  # fmt: skip
        self.assertEqual(dict(self.service.figures())["files sent"], 1)

    async def test_parts(self):
        await self.serve()

        def work(ftp):
            got = io.BytesIO()
            ftp.retrbinary("RETR large", got.write, rest=3_000_000)
            self.assertEqual(got.getvalue(), self.large[3_000_000:])
            ftp.storbinary("STOR hello.txt", io.BytesIO(b"YOU"), rest=6)
            ftp.storbinary("APPE hello.txt", io.BytesIO(b"!"))
            ftp.storbinary("APPE other", io.BytesIO(b"other"))
            # a REST holds for the next command only
            ftp.sendcmd("REST 3")
            ftp.sendcmd("NOOP")
            got = io.BytesIO()
            ftp.retrbinary("RETR other", got.write)
            return got.getvalue()

        self.assertEqual(await self.client(work), b"other")
        self.assertEqual((self.root / "hello.txt").read_bytes(), b"hello\nYOU!")

    async def test_texts(self):
        await self.serve()

        def work(ftp):
            lines = []
            ftp.retrlines("RETR hello.txt", lines.append)
            ftp.storlines("STOR text", io.BytesIO(b"one\r\ntwo\r\n"))
            got = io.BytesIO()
            ftp.retrbinary("RETR text", got.write)
            return lines, got.getvalue()

        self.assertEqual(await self.client(work), (["hello", "you"], b"one\ntwo\n"))

    async def test_active_connections(self):
        await self.serve()

        def work(ftp):
            ftp.set_pasv(False)
            got = io.BytesIO()
            ftp.retrbinary("RETR large", got.write)
            ftp.storbinary("STOR new", io.BytesIO(b"new"))
            return got.getvalue()

        self.assertTrue(await self.client(work) == self.large)
        self.assertEqual((self.root / "new").read_bytes(), b"new")

    async def test_tls(self):
        await self.serve()
        context = ssl.create_default_context(cafile=str(self.commons.certificates.ca_path))
        context.check_hostname = False

        def work(ftp):
            ftp.prot_p()
            for passive in (True, False):
                ftp.set_pasv(passive)
                got = io.BytesIO()
                ftp.retrbinary("RETR large", got.write)
                self.assertTrue(got.getvalue() == self.large)
            ftp.storbinary("STOR new", io.BytesIO(self.large))
            ftp.prot_c()
            return ftp.nlst()

        names = await self.client(work, make=ftplib.FTP_TLS, context=context)
        self.assertIn("new", names)
        self.assertTrue((self.root / "new").read_bytes() == self.large)

    async def test_an_upload_that_is_cut_under_tls_is_not_shown(self):
        await self.serve()
        context = ssl.create_default_context(cafile=str(self.commons.certificates.ca_path))
        context.check_hostname = False

        def work(ftp):
            ftp.prot_p()
            data = ftp.transfercmd("STOR cut")
            data.sendall(b"half")
            data.close()  # a FIN without close_notify is what an attacker could send
            with self.assertRaises(ftplib.error_temp) as caught:
                ftp.voidresp()
            return str(caught.exception)

        self.assertTrue((await self.client(work, make=ftplib.FTP_TLS, context=context)).startswith("426"))
        self.assertFalse((self.root / "cut").exists())
        await self.settled()
        self.assertEqual(list((self.root / ".netsuite-uploads").iterdir()), [])

    async def test_what_was_said_in_clear_is_forgotten(self):
        await self.serve()

        def run():
            with socket.create_connection(("127.0.0.1", self.port), 20) as client:
                client.recv(1000)
                client.sendall(b"USER anonymous\r\n")
                client.recv(1000)
                # an attacker's command, sent before the client's handshake
                client.sendall(b"AUTH TLS\r\nPASS x\r\n")
                self.assertTrue(client.recv(1000).startswith(b"234"))
                context = ssl.create_default_context()
                context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
                with context.wrap_socket(client) as secure:
                    secure.sendall(b"PASS x\r\n")
                    return secure.recv(1000)

        self.assertTrue((await deferToThread(run)).startswith(b"503"))

    async def test_who_may(self):
        await self.serve()
        for user, password, may in (
            ("anonymous", "me@example.test", False),
            ("ftp", "", False),
            ("bob", "banana", False),
            ("alice@example.test", "apple", True),
        ):

            def work(ftp, may=may):
                got = io.BytesIO()
                ftp.retrbinary("RETR hello.txt", got.write)
                for command in ("DELE nothing", "MKD made", "RMD none", "RNFR hello.txt", "STOR x", "APPE x"):
                    try:
                        ftp.sendcmd(command)
                    except ftplib.Error as error:
                        self.assertEqual(str(error) == "550 you may not change anything here", not may, command)
                return got.getvalue()

            self.assertEqual(await self.client(work, user, password), b"hello\nyou\n")
        self.assertEqual(await self.talk(b"USER alice", b"PASS wrong", b"PASS x", b"NLST"), [331, 530, 503, 530])
        self.assertEqual(await self.talk(b"LIST", b"STOR x", b"PASV"), [530, 530, 530])

    async def test_nobody_but_users(self):
        await self.serve(anonymous=False, users=["alice"])
        login = [b"USER anonymous", b"PASS x", b"USER bob", b"PASS banana", b"USER alice", b"PASS apple"]
        self.assertEqual(await self.talk(*login), [331, 530, 331, 530, 331, 230])

    async def test_three_failures_end_the_connection(self):
        await self.serve()
        got = await self.talk(*[b"USER alice", b"PASS x"] * 3, b"NOOP")
        self.assertEqual(got, [*[331, 530] * 3, 0])

    async def test_replies(self):
        await self.serve()
        login = (b"USER alice", b"PASS apple")
        for reply, *commands in (
            (257, b"PWD"),
            (250, b"CWD /folder/../folder/."),
            (550, b"CWD hello.txt"),
            (550, b"CWD ../leak"),
            (550, b"CWD .secret"),
            (550, b"SIZE .secret"),
            (550, b"TYPE I", b"SIZE leak/passwd"),
            (213, b"TYPE I", b"SIZE ../../hello.txt"),
            (550, b"SIZE hello.txt"),
            (213, b"MDTM hello.txt"),
            (550, b"MDTM missing"),
            (250, b"MLST folder"),
            (425, b"RETR hello.txt"),
            (425, b"STOR hello.txt"),
            (425, b"LIST"),
            (503, b"RNTO x"),
            (503, b"RNFR hello.txt", b"NOOP", b"RNTO x"),
            (550, b"RNFR missing"),
            (553, b"RNFR hello.txt", b"RNTO .hidden"),
            (553, b"MKD .hidden"),
            (550, b"MKD folder"),
            (550, b"RMD folder"),
            (550, b"DELE folder"),
            (550, b"RMD hello.txt"),
            (553, b"RMD /"),
            (504, b"REST 3"),
            (350, b"TYPE I", b"REST 3"),
            (501, b"REST x"),
            (501, b"PORT 1,2,3"),
            (501, b"PORT 127,0,0,256,1,1"),
            (504, b"PORT 10,0,0,1,200,200"),
            (504, b"PORT 127,0,0,1,0,22"),
            (504, b"EPRT |1|192.0.2.1|5000|"),
            (501, b"EPRT |2|127.0.0.1|5000|"),
            (522, b"EPSV 2"),
            (229, b"EPSV 1"),
            (227, b"PASV"),
            (503, b"EPSV ALL", b"PASV"),
            (503, b"EPSV ALL", b"PORT 127,0,0,1,200,200"),
            (503, b"PROT P"),
            (503, b"PBSZ 0"),
            (504, b"AUTH KERBEROS"),
            (504, b"TYPE E"),
            (504, b"MODE B"),
            (504, b"STRU R"),
            (200, b"OPTS UTF8 ON"),
            (200, b"opts mlst size;"),
            (501, b"OPTS FAST"),
            (211, b"FEAT"),
            (211, b"STAT"),
            (213, b"STAT folder"),
            (214, b"HELP"),
            (215, b"SYST"),
            (202, b"ALLO 5"),
            (226, b"ABOR"),
            (502, b"SITE CHMOD 777 x"),
            (500, b"XYZZY"),
            (500, b"\xff\xfe"),
            (500, b"CWD \0"),
            (530, b"REIN", b"PWD"),
            (331, b"USER alice"),
            (221, b"QUIT"),
        ):
            self.assertEqual((await self.talk(*login, *commands))[-1], reply, commands)

    async def test_data_that_nobody_comes_for(self):
        await self.serve(data_time=0.3)
        login = (b"USER alice", b"PASS apple")
        got = await self.talk(*login, b"PASV", b"NLST", b"NOOP")
        self.assertEqual(got, [331, 230, 227, 150, 425])

    async def test_data_is_for_the_client_alone(self):
        await self.serve()
        login = (b"USER alice", b"PASS apple")

        # loopback has many addresses: this one is not the client's
        def run():
            with socket.create_connection(("127.0.0.1", self.port), 20) as client:
                replies = client.makefile("rb")
                replies.readline()
                for line in (*login, b"EPSV"):
                    client.sendall(line + b"\r\n")
                    reply = replies.readline()
                port = int(reply.split(b"|")[3])
                with socket.create_connection(("127.0.0.1", port), 20, source_address=("127.0.0.9", 0)) as thief:
                    client.sendall(b"NLST\r\n")
                    self.assertTrue(replies.readline().startswith(b"150"))
                    try:
                        self.assertEqual(thief.recv(100), b"")
                    except ConnectionResetError:
                        pass
                with socket.create_connection(("127.0.0.1", port), 20) as data:
                    self.assertEqual(data.makefile("rb").read(), b"folder\r\nhello.txt\r\nlarge\r\n")
                return replies.readline()

        self.assertTrue((await deferToThread(run)).startswith(b"226"))

    async def test_a_transfer_that_is_given_up(self):
        await self.serve()
        (self.root / "huge").write_bytes(b"x" * (64 << 20))

        def work(ftp):
            ftp.voidcmd("TYPE I")
            data = ftp.transfercmd("RETR huge")
            data.recv(1000)
            ftp.putline("ABOR")
            first, second = ftp.getmultiline(), ftp.getmultiline()
            data.close()
            upload = ftp.transfercmd("STOR half")
            upload.sendall(b"x" * 100_000)
            ftp.sock.sendall(b"\xff\xf4\xff\xf2ABOR\r\n")
            third, fourth = ftp.getmultiline(), ftp.getmultiline()
            upload.close()
            return [reply[:3] for reply in (first, second, third, fourth)], ftp.pwd()

        self.assertEqual(await self.client(work), (["426", "226", "426", "226"], "/"))
        self.assertFalse((self.root / "half").exists())

    async def test_uploads_beyond_the_limit(self):
        await self.serve(upload_limit=1000)

        def work(ftp):
            with self.assertRaises(ftplib.error_perm) as caught:
                data = ftp.transfercmd("STOR big")
                try:
                    data.sendall(b"x" * 2000)
                    data.close()
                except OSError:
                    pass
                ftp.voidresp()
            return str(caught.exception)

        self.assertTrue((await self.client(work)).startswith("552"))
        self.assertFalse((self.root / "big").exists())

    async def test_a_client_that_leaves_in_an_upload(self):
        await self.serve()

        def work(ftp):
            data = ftp.transfercmd("STOR half")
            data.sendall(b"x" * 500_000)
            ftp.close()
            data.close()

        await self.client(work)
        await self.settled(lambda: not self.service.server.factory.adapters)
        await self.settled()
        self.assertEqual(list((self.root / ".netsuite-uploads").iterdir()), [])

    async def test_ports_for_data(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            free = probe.getsockname()[1]
        await self.serve(passive_ports=[free, free], address="192.0.2.7")

        def work(ftp):
            return ftp.sendcmd("PASV"), ftp.sendcmd("EPSV")

        passive, extended = await self.client(work)
        self.assertIn(f"(192,0,2,7,{free >> 8},{free & 255})", passive)
        self.assertIn(f"(|||{free}|)", extended)

    async def test_silence(self):
        await self.serve(idle_time=0.2)

        def run():
            with socket.create_connection(("127.0.0.1", self.port), 20) as client:
                return client.makefile("rb").read()

        self.assertEqual([line[:3] for line in (await deferToThread(run)).splitlines()], [b"220", b"421"])

    async def test_many_from_one_address(self):
        await self.serve(connections_per_address=2)

        def run():
            clients = [socket.create_connection(("127.0.0.1", self.port), 20) for _ in range(3)]
            greetings = []
            for client in clients:
                try:
                    greetings.append(client.recv(3))
                except ConnectionResetError:
                    greetings.append(b"")
            for client in clients:
                client.close()
            return greetings

        self.assertEqual(await deferToThread(run), [b"220", b"220", b""])

    def test_a_root_is_needed(self):
        for settings, words in (({}, "no folder is set"), ({"root": "/nonexistent"}, "is not a folder")):
            commons = make_commons(Path(self.mktemp()), reactor)
            with self.assertRaises(StartError) as caught:
                build(FtpSettings.model_validate(settings), commons).check()
            self.assertIn(words, str(caught.exception))
