"""The system's resolver, as our servers see it."""

from __future__ import annotations

from twisted.internet.defer import Deferred, DeferredList
from twisted.trial.unittest import TestCase
from zope.interface.verify import verifyObject

from netsuite.common import resolver
from netsuite.common.resolver import SystemResolver
from netsuite.interfaces import INameResolver, LookupFailed, NameAnswer, Record


class System(TestCase):
    """Names that need no network."""

    def setUp(self) -> None:
        from twisted.internet import reactor

        self.resolver = SystemResolver(reactor)
        self.addCleanup(self.resolver.stop)

    def test_interface(self) -> None:
        self.assertTrue(verifyObject(INameResolver, self.resolver))

    async def test_literals_need_nobody(self) -> None:
        for text, address in (("192.0.2.1", "192.0.2.1"), ("[2001:DB8::1]", "2001:db8::1"), ("::1", "::1")):
            self.assertEqual(await self.resolver.addresses(text), [address])

    async def test_localhost(self) -> None:
        self.assertIn("127.0.0.1", await self.resolver.addresses("localhost"))
        self.assertEqual(
            await self.resolver.lookup("localhost", "a"),
            NameAnswer("NOERROR", (Record("localhost.", "A", 0, "127.0.0.1"),)),
        )

    async def test_other_types_are_refused_in_words(self) -> None:
        with self.assertRaises(LookupFailed) as caught:
            await self.resolver.lookup("example.test", "MX")
        self.assertIn("add a [resolver], or set common.resolver", str(caught.exception))

    async def test_what_is_no_name_fails(self) -> None:
        with self.assertRaises(LookupFailed):
            await self.resolver.addresses("é" * 100 + ".test")

    async def test_too_many_at_once_are_refused(self) -> None:
        self.patch(resolver, "_WAITING", 3)
        asked = [Deferred.fromCoroutine(self.resolver.addresses("localhost")) for _ in range(5)]
        results = [result for _, result in await DeferredList(asked, consumeErrors=True)]
        self.assertEqual(len([each for each in results if isinstance(each, list)]), 3)
        self.assertEqual([each.type for each in results if not isinstance(each, list)], [LookupFailed] * 2)
