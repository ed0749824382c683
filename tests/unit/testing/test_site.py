"""The settings of a site for tests: every port becomes a free one, wherever it is named."""

from __future__ import annotations

import socket
import subprocess
import sys

from netsuite.testing.site import on_free_ports


def test_each_port_is_replaced_everywhere_by_the_same_free_one():
    settings = on_free_ports(
        {
            "common": {"workers": 1, "resolver": "127.0.0.1:10054"},
            "dns": {
                "listen": ["127.0.0.1:10053"],
                "zone": [{"name": ".", "listen": ["127.0.0.2:10053"]}, {"name": "test", "file": "/tmp/10053"}],
            },
            "resolver": {"listen": ["10054"], "upstream_port": 10053, "forward": ["192.0.2.1:10053"]},
            "http": {
                "listen": ["[::1]:10080", "secure:127.0.0.1:10443", "unix:/tmp/s:10080", "tcp:81:interface=x", "0"]
            },
            "proxy": {"origin": "http://localhost:81/10053", "listen": []},
        }
    )
    dns, resolver, web = settings["dns"], settings["resolver"], settings["http"]["listen"]
    port = int(dns["listen"][0].removeprefix("127.0.0.1:"))
    assert port != 10053
    assert dns["zone"] == [{"name": ".", "listen": [f"127.0.0.2:{port}"]}, {"name": "test", "file": "/tmp/10053"}]
    assert resolver["upstream_port"] == port
    assert resolver["forward"] == ["192.0.2.1:10053"]
    assert settings["common"] == {"workers": 1, "resolver": f"127.0.0.1:{resolver['listen'][0]}"}
    http, https, tcp = (int(text.split(":")[at]) for text, at in ((web[0], -1), (web[1], -1), (web[3], 1)))
    assert web == [f"[::1]:{http}", f"secure:127.0.0.1:{https}", "unix:/tmp/s:10080", f"tcp:{tcp}:interface=x", "0"]
    assert settings["proxy"] == {"origin": f"http://localhost:{tcp}/10053", "listen": []}
    assert len({port, http, https, tcp, int(resolver["listen"][0])}) == 5
    with socket.socket() as free:
        free.bind(("127.0.0.2", port))


def test_the_plugin_costs_nothing_until_it_is_used():
    code = (
        "import sys, netsuite.testing.pytest_plugin as plugin\n"
        "assert not [name for name in sys.modules if name.partition('.')[0] in ('twisted', 'pydantic', 'hypothesis')]\n"
        "import netsuite.testing.site, netsuite.testing.network, netsuite.testing.commons\n"
        "assert 'twisted.internet.reactor' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
