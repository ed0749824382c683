"""The order in which a site's servers are opened, started and stopped, and that nothing holds it up."""

from __future__ import annotations

import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.testing import MemoryReactorClock

from netsuite.common.errors import StartError
from netsuite.common.resolver import SystemResolver
from netsuite.common.service import NetsuiteService
from netsuite.common.settings import CommonSettings
from netsuite.common.sharing import Sharing
from netsuite.interfaces import IHttpClient, IHttpServer, INameResolver
from netsuite.suite.assembly import Assembly
from netsuite.suite.families import FAMILIES, family
from netsuite.suite.site import Site


class Told(NetsuiteService):
    """A service that writes down what it is told, and fails or lingers where asked to."""

    def __init__(self, name, commons, said, **faults):
        super().__init__(name, commons)
        self.said = said
        self.faults = faults

    def _do(self, what, answer=None):
        self.said.append(f"{self.name} {what}")
        fault = self.faults.get(what, answer)
        if isinstance(fault, Exception):
            raise fault
        return fault

    def check(self):
        self._do("check")

    def open(self):
        self._do("open")

    def startService(self):
        super().startService()
        self._do("start")

    def reload(self):
        return succeed(self._do("reload", ["done"]))

    def drain(self, deadline):
        self.deadline = deadline
        return self._do("drain") or succeed(None)

    def stopService(self):
        super().stopService()
        return self._do("stop")


@pytest.fixture
def house(tmp_path):
    """Make an assembly of three services with these faults; answers it and what was said."""

    def make(**faults):
        reactor = MemoryReactorClock()
        assembly = Assembly(Site(CommonSettings(data=tmp_path / "data"), {}), reactor)
        said = []
        assembly.services = [Told(name, assembly.commons, said, **faults.get(name, {})) for name in ("a", "b", "c")]
        return assembly, said, reactor

    return make


def running(house, **faults):
    assembly, said, reactor = house(**faults)
    assembly.open()
    assembly.start()
    said.clear()
    return assembly, said, reactor


def stopping(assembly, patience=10.0):
    """Begin a stop; the list gets how it ended."""
    ended = []
    Deferred.fromCoroutine(assembly.stop(patience)).addBoth(ended.append)
    return ended


def test_all_are_checked_before_any_is_opened_and_opened_before_any_is_started(house):
    assembly, said, _ = house()
    assembly.open()
    assembly.start()
    assert said == [f"{name} {what}" for what in ("check", "open", "start") for name in "abc"]


def test_stopping_goes_backwards_each_drained_before_it_is_closed(house):
    assembly, said, _ = running(house)
    assert stopping(assembly) == [True]
    assert said == [f"{name} {what}" for name in "cba" for what in ("drain", "stop")]


def test_who_is_asked_first_ends_before_who_answers_it(house):
    lingers = Deferred()
    assembly, said, _ = running(house, c={"drain": lingers})
    ended = stopping(assembly)
    assert (said, ended) == (["c drain"], [])
    lingers.callback(None)
    assert ended == [True]


def test_all_drains_have_one_deadline(house):
    assembly, said, reactor = running(house, c={"drain": Deferred()}, b={"drain": Deferred()})
    ended = stopping(assembly, 10)
    reactor.advance(9)
    assert said == ["c drain"]
    reactor.advance(1)
    assert said == ["c drain", "c stop", "b drain"]
    reactor.advance(0.1)
    assert {each.deadline for each in assembly.services} == {10}
    assert said == ["c drain", "c stop", "b drain", "b stop", "a drain", "a stop"]
    assert ended == [True]


def test_a_drain_may_be_a_coroutine_and_is_cancelled_at_the_deadline(house):
    cut = []

    async def drain():
        try:
            await Deferred()
        finally:
            cut.append("cut")

    assembly, _, reactor = running(house, b={"drain": drain()})
    ended = stopping(assembly, 3)
    reactor.advance(3)
    assert (cut, ended) == (["cut"], [True])


def test_what_does_not_close_is_left_behind_and_told(house):
    assembly, said, reactor = running(house, b={"stop": Deferred()})
    ended = stopping(assembly, 0.5)
    reactor.advance(1)
    assert "a stop" in said
    assert ended == [False]


def test_what_fails_while_stopping_holds_nobody_up(house, logged):
    assembly, said, _ = running(house, b={"drain": ValueError("no"), "stop": ValueError("no")})
    assert stopping(assembly) == [False]
    assert said[-2:] == ["a drain", "a stop"]
    assert len(logged(ValueError)) == 2


def test_hurrying_cuts_every_wait(house):
    assembly, said, _ = running(house, b={"drain": Deferred()}, c={"drain": Deferred()})
    ended = stopping(assembly)
    assembly.hurry()
    assembly.hurry()
    assert said[-1] == "a stop"
    assert ended == [True]


@pytest.mark.parametrize("what", ["open", "start"])
def test_a_start_that_fails_closes_what_was_opened(house, what):
    assembly, said, reactor = house(b={what: StartError("b: no")})
    with pytest.raises(StartError, match=r"^b: no$"):
        assembly.open()
        assembly.start()
    closed = ["b drain", "b stop", "a drain", "a stop"]
    assert said[-len(closed) :] == closed
    assert ("c stop" in said) == (what == "start")
    assert reactor.getDelayedCalls() == []


def test_a_check_that_fails_opens_nothing(house):
    assembly, said, reactor = house(c={"check": StartError("c: no")})
    with pytest.raises(StartError):
        assembly.open()
    assert not [each for each in said if "open" in each]
    assert reactor.getDelayedCalls() == []


def test_whatever_a_server_raises_is_told_in_one_line(house, logged):
    assembly, _, _ = house(b={"open": ZeroDivisionError("division by zero")})
    with pytest.raises(StartError, match=r"^b: cannot start: ZeroDivisionError: division by zero$"):
        assembly.open()
    assert len(logged(ZeroDivisionError)) == 1


def test_reload_tells_what_each_did_and_goes_on_after_a_failure(house, logged):
    assembly, said, _ = running(house, b={"reload": ValueError("torn")})
    told = []
    Deferred.fromCoroutine(assembly.reload()).addCallback(told.extend)
    assert told == ["a: done", "b stays as it was: torn", "c: done"]
    assert said == ["a reload", "b reload", "c reload"]
    assert len(logged(ValueError)) == 1


def test_stopped_it_leaves_no_timer(house):
    assembly, _, reactor = running(house)
    stopping(assembly)
    assert reactor.getDelayedCalls() == []


def built(tmp_path, tables, sharing=None, **common):
    settings = {name: family(name).settings().model_validate(values) for name, values in tables.items()}
    site = Site(CommonSettings(data=tmp_path / "data", **common), settings)
    assembly = Assembly(site, MemoryReactorClock(), sharing)
    assembly.build()
    return assembly


def test_tables_are_built_in_the_fixed_order(tmp_path):
    assembly = built(tmp_path, {"upper": {}, "resolver": {}, "dns": {}})
    assert [each.name for each in assembly.services] == ["dns", "resolver", "upper"]
    order = [each.table for each in FAMILIES]
    everyone = ("dns", "resolver", "http", "proxy", "ftp", "upper", "mail", "smtp", "tracker", "peer", "admin")
    assert order == [name for name in everyone if name in order]


def test_a_lone_admin_gets_an_http_server_without_ports_or_pages(tmp_path):
    assembly = built(tmp_path, {"admin": {}})
    assert [each.name for each in assembly.services] == ["http", "admin"]
    assert assembly.services[0].settings.listen == []
    assert assembly.services[0].settings.root is None
    assert assembly.commons.offers.find(IHttpServer) is assembly.services[0]


def test_a_lone_peer_gets_an_http_client_and_the_systems_resolver(tmp_path):
    assembly = built(tmp_path, {"peer": {}})
    assert [each.name for each in assembly.services] == ["http", "peer"]
    offers = assembly.commons.offers
    assert offers.find(IHttpClient) is not None
    assert isinstance(offers.find(INameResolver), SystemResolver)
    elsewhere = built(tmp_path, {"peer": {}}, resolver="192.0.2.1:5353")
    assert [each.name for each in elsewhere.services] == ["resolver", "http", "peer"]


def test_what_nobody_needs_is_not_built(tmp_path):
    assembly = built(tmp_path, {"upper": {}})
    assert [each.name for each in assembly.services] == ["upper"]
    assert assembly.commons.offers.find(IHttpClient) is None


def test_building_touches_nothing(tmp_path):
    built(tmp_path, {each.table: {} for each in FAMILIES})
    assert list(tmp_path.iterdir()) == []


def test_who_finds_names_for_the_others(tmp_path):
    found = built(tmp_path, {"resolver": {}, "proxy": {}}).commons.offers.find(INameResolver)
    assert not isinstance(found, SystemResolver)
    assert isinstance(built(tmp_path, {"proxy": {}}).commons.offers.find(INameResolver), SystemResolver)
    both = built(tmp_path, {"resolver": {}, "proxy": {}}, resolver="system")
    assert isinstance(both.commons.offers.find(INameResolver), SystemResolver)
    assert built(tmp_path, {"upper": {}}).commons.offers.find(INameResolver) is None


def test_a_resolver_elsewhere_is_a_forwarder_without_ports(tmp_path):
    assembly = built(tmp_path, {"proxy": {}}, resolver="192.0.2.1:5353")
    assert [each.name for each in assembly.services] == ["resolver", "proxy"]
    assert assembly.services[0].addresses() == []
    with pytest.raises(StartError, match=r"common\.resolver: this site has a"):
        built(tmp_path, {"resolver": {}, "proxy": {}}, resolver="192.0.2.1")


def test_workers_run_what_any_process_may_run(tmp_path):
    assembly = built(tmp_path, {"upper": {}, "admin": {}}, Sharing(1, 2))
    assert [each.name for each in assembly.services] == ["http", "upper"]
    parent = built(tmp_path, {"upper": {}, "admin": {}}, Sharing(0, 2))
    assert [each.name for each in parent.services] == ["http", "upper", "admin"]
    assert parent.commons.sharing.tables == {"http", "upper"}
