"""Pools and routes in the site file: what is taken, and how a mistake is named."""

from __future__ import annotations

import pytest

from netsuite.common.sources import Layers, SettingsError
from netsuite.http.proxy.settings import ProxySettings


def read(proxy):
    layers = Layers()
    layers.lay(("proxy",), proxy, "site.toml")
    found = layers.read("proxy", ProxySettings)
    layers.finish()
    return found


def test_a_url_is_a_server_and_so_is_a_table():
    found = read({"pool": [{"name": "web", "servers": ["http://a", {"url": "https://b:8443", "weight": 3}]}]})
    assert [(server.url, server.weight) for server in found.pool[0].servers] == [("http://a", 1), ("https://b:8443", 3)]
    assert found.reverse


def test_without_pools_it_is_a_forward_proxy():
    assert not read({}).reverse


A = {"name": "a", "servers": ["http://a"]}


@pytest.mark.parametrize(
    ("proxy", "line"),
    [
        ({"pool": [{"servers": ["http://a"]}]}, "site.toml: proxy.pool[0].name: missing"),
        ({"pool": [{"name": "a", "servers": []}]}, "site.toml: proxy.pool[0].servers: "),
        (
            {"pool": [{"name": "a", "servers": ["ftp://a"]}]},
            "site.toml: proxy.pool[0].servers[0].url: must be http://HOST[:PORT] or https://HOST[:PORT], not 'ftp://a'",
        ),
        ({"pool": [{"name": "a", "servers": [{"url": "http://a", "weight": 0}]}]}, "proxy.pool[0].servers[0].weight"),
        ({"pool": [{**A, "balance": "least-request"}]}, "did you mean 'least-requests'?"),
        ({"pool": [{**A, "hash": "cookie"}]}, 'proxy.pool[0].hash: must be "url", "path", "host", "client" or'),
        ({"pool": [{**A, "health": {"intervall": 3}}]}, "did you mean proxy.pool[0].health.interval?"),
        ({"pool": [{**A, "health": {"path": "x"}}]}, "proxy.pool[0].health.path: must begin with /"),
        ({"pool": [{**A, "servers": ["http://a", "http://a/"]}]}, "http://a is there twice"),
        ({"pool": [{**A, "servers": [{"url": "http://a", "backup": True}]}]}, "all are backups"),
        ({"pool": [A, A]}, "proxy.pool: the name 'a' is given twice"),
        ({"pool": [A], "route": [{"pool": "b"}]}, "proxy.route: no [[proxy.pool]] has the name 'b'; there are a"),
        ({"route": [{"host": "x"}]}, "proxy.route[0]: a route has either a pool or an origin"),
        ({"route": [{"host": "x y", "origin": "http://a"}]}, "proxy.route[0].host: must be a host name"),
        ({"route": [{"path": "/a?b", "origin": "http://a"}]}, "proxy.route[0].path: must begin with /"),
        ({"route": [{"origin": "http://a"}, {"origin": "http://b"}]}, "proxy.route: two routes have the host ''"),
        ({"pool": [A], "origin": "http://b"}, "pool 'a' is never asked; add a [[proxy.route]]"),
        ({"origin": "http://b", "parents": ["http://c"]}, "proxy.parents: only a forward proxy has them"),
        ({"parents": ["c"]}, "proxy.parents[0].url: must be http://HOST[:PORT]"),
    ],
)
def test_mistakes(proxy, line):
    with pytest.raises(SettingsError) as raised:
        read(proxy)
    assert line in str(raised.value)
