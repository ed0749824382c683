"""Whatever text somebody gives for a URL: a request to whom it names, or one clear failure."""

from __future__ import annotations

import random

from hypothesis import example, given
from hypothesis import strategies as st

from netsuite.common.commons import Runtime
from netsuite.http.useragent import UserAgent
from netsuite.interfaces import HttpFailed
from netsuite.testing.network import Network

urls = st.text("htps:/.@[]?#%1x", max_size=30).flatmap(
    lambda rest: st.sampled_from(("http://", "https://")).map(lambda scheme: scheme + rest)
)


async def nowhere(host):
    """A resolver to whom every name is one without addresses."""
    assert host.isascii()
    assert host
    return []


@given(st.text(max_size=60) | urls)
@example("http://www.test/\udc80")
@example("http://[::1%25eth0]/")
@example("http://1:/")
def test_any_text_is_asked_for_or_refused(text):
    host = Network(seed=1).host("192.0.2.1")
    agent = UserAgent(Runtime(host, host, random.Random(1)), nowhere, lambda: None)
    results = []
    agent.get(text, limit=1, timeout=1.0).addBoth(results.append)
    (failure,) = results
    assert failure.check(HttpFailed), failure
    assert not host.getDelayedCalls()
