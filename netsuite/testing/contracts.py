"""What every provider of an interface must do, the real one and the fake alike.

A contract is mixed into a ``TestCase`` of trial (its tests are coroutines), with a ``make`` that gives a provider::

    class MyResolver(NameResolverContract, TestCase):
        def make(self): return MyResolver()
"""

from __future__ import annotations

from zope.interface.verify import verifyObject

from netsuite.interfaces import INameResolver, LookupFailed

__all__ = ["NameResolverContract"]


class NameResolverContract:
    """An INameResolver, asked for what needs no network."""

    def make(self) -> INameResolver:
        """A fresh resolver."""
        raise NotImplementedError

    def test_it_provides_the_interface(self) -> None:
        """All methods, with these arguments."""
        verifyObject(INameResolver, self.make())

    async def test_a_literal_is_its_own_address(self) -> None:
        """IPv4 and IPv6, in brackets or not, written in the canonical way."""
        resolver = self.make()
        for text, address in (("192.0.2.1", "192.0.2.1"), ("[2001:DB8:0::1]", "2001:db8::1"), ("::1", "::1")):
            found = await resolver.addresses(text)
            _hold(found == [address], f"{text} has the addresses {found}")

    async def test_localhost_is_this_host(self) -> None:
        """Addresses and records, whatever the case of name and type (RFC 6761 section 6.3)."""
        resolver = self.make()
        found = await resolver.addresses("localhost")
        _hold("127.0.0.1" in found, f"localhost has the addresses {found}")
        for name, rdtype in (("localhost", "A"), ("LocalHost", "a")):
            answer = await resolver.lookup(name, rdtype)
            _hold(answer.rcode == "NOERROR", f"{name} {rdtype}: {answer}")
            _hold("127.0.0.1" in [record.data for record in answer.records], f"{name} {rdtype}: {answer}")
            _hold({record.type for record in answer.records} == {"A"}, f"{name} {rdtype}: {answer}")
            _hold({record.name.lower() for record in answer.records} == {"localhost."}, f"{name} {rdtype}: {answer}")

    async def test_what_is_no_name_fails(self) -> None:
        """A label of more than 63 octets."""
        resolver = self.make()
        for ask in (resolver.addresses, lambda name: resolver.lookup(name, "A")):
            try:
                found = await ask("a" * 64 + ".test")
            except LookupFailed as failed:
                _hold(str(failed), "a failure without a word")
            else:
                raise AssertionError(f"a name that is none has {found}")


def _hold(condition: object, fault: str) -> None:
    if not condition:
        raise AssertionError(fault)
