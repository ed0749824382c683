"""Applications that a test mounts: WSGI with the reference checker around it, resources of twisted.web, our own."""

from __future__ import annotations

import threading
from wsgiref.validate import validator

from twisted.internet.defer import Deferred
from twisted.web import resource, server
from twisted.web.static import Data, File
from zope.interface import implementer

from netsuite.interfaces import IHttpApplication

closed = []
go_on = threading.Event()


class Pieces:
    """An iterable that notes when it is closed."""

    def __init__(self, pieces):
        self.pieces = iter(pieces)

    def __iter__(self):
        return self

    def __next__(self):
        return next(self.pieces)

    def close(self):
        closed.append(threading.current_thread().name)


def _wsgi(environ, start_response):
    path = environ["PATH_INFO"]
    text = [("Content-Type", "text/plain")]
    if path == "/environ":
        start_response("200 OK", text)
        shown = {key: value for key, value in environ.items() if isinstance(value, str)}
        return [repr(shown).encode()]
    if path == "/echo":
        body = environ["wsgi.input"].read(-1)
        start_response("200 OK", [*text, ("Content-Length", str(len(body)))])
        return [body]
    if path == "/lines":
        start_response("200 OK", text)
        return [line.upper() for line in environ["wsgi.input"]]
    if path == "/through":
        start_response("200 OK", text)
        return Pieces(iter(lambda: environ["wsgi.input"].read(1000), b""))
    if path == "/write":
        write = start_response("200 OK", text)
        write(b"one ")
        write(b"two ")
        return [b"three"]
    if path == "/raises":
        raise RuntimeError("the application failed")
    if path == "/late":
        start_response("200 OK", text)
        return Pieces(_failing())
    if path == "/recovers":
        start_response("200 OK", text)
        try:
            raise ValueError("found out before anything was sent")
        except ValueError:
            import sys

            start_response("503 Not Now", text, sys.exc_info())
        return [b"not now"]
    if path == "/endless":
        start_response("200 OK", text)
        return Pieces(b"x" * 65536 for _ in range(1 << 20))
    if path == "/waits":
        go_on.wait(20)
        start_response("200 OK", text)
        return [b"went on"]
    if path == "/nothing":
        start_response("204 No Content", [])
        return []
    start_response("404 Not Found", text)
    return [b"nothing here"]


def _failing():
    yield b"one"
    raise RuntimeError("the application failed late")


checked = validator(_wsgi)


def unchecked(environ, start_response):
    """What the checker would not let through."""
    path = environ["PATH_INFO"]
    if path == "/splits":
        start_response("200 OK", [("X", "a\r\nSet-Cookie: b")])
    elif path == "/text":
        start_response("200 OK", [])
        return ["text"]
    elif path == "/mute":
        return [b"x"]
    elif path == "/short":
        start_response("200 OK", [("Content-Length", "10")])
        return [b"short"]
    else:
        return _wsgi(environ, start_response)
    return [b""]


class Slow(resource.Resource):
    """Answers later, and notes how that ended."""

    isLeaf = True
    ended = []
    waiting = []

    def render_GET(self, request):
        request.write(b"begin ")
        request.notifyFinish().addBoth(self.ended.append)
        done = Deferred()
        self.waiting.append(done)
        done.addCallback(lambda _: (request.write(b"end"), request.finish()))
        return server.NOT_DONE_YET


class Form(resource.Resource):
    """Says what it was given."""

    isLeaf = True

    def render_GET(self, request):
        request.addCookie(b"seen", b"yes", httpOnly=True)
        said = (request.prepath, request.postpath, request.args, request.getCookie(b"seen"), request.isSecure())
        return repr(said).encode()

    def render_POST(self, request):
        return repr((sorted(request.args.items()), len(request.content.read()))).encode()


class Pusher(resource.Resource):
    """A push producer that counts its pauses."""

    isLeaf = True
    pauses = 0
    stopped = 0

    def render_GET(self, request):
        self.request, self.left, self.paused = request, 200, False
        request.registerProducer(self, True)
        self.resumeProducing()
        return server.NOT_DONE_YET

    def resumeProducing(self):
        self.paused = False
        while self.left and not self.paused:
            self.left -= 1
            self.request.write(b"p" * 50_000)
        if not self.left and not self.paused:
            self.request.unregisterProducer()
            self.request.finish()

    def pauseProducing(self):
        self.paused = True
        type(self).pauses += 1

    def stopProducing(self):
        type(self).stopped += 1


def tree():
    root = resource.Resource()
    root.putChild(b"", Data(b"the root", "text/plain"))
    root.putChild(b"slow", Slow())
    root.putChild(b"form", Form())
    root.putChild(b"push", Pusher())
    root.putChild(b"file", File(__file__, defaultType="text/x-python"))
    root.putChild(b"folder", File(str(__import__("pathlib").Path(__file__).parent)))

    class Raises(resource.Resource):
        isLeaf = True

        def render_GET(self, request):
            raise RuntimeError("the resource failed")

    root.putChild(b"raises", Raises())
    return root


@implementer(IHttpApplication)
class Own:
    def __init__(self, commons):
        self.commons = commons

    def handle(self, request, body):
        return 200, [], b"own " + request.path


not_an_application = 3
