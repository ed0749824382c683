"""Whatever is given as a credential, the proxy's gate says in HTTP's words what it thinks of it, and lets nobody in."""

from __future__ import annotations

from base64 import b64encode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.http.proxy.stage import Stage


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with Stage(tmp_path_factory.mktemp("credentials"), users=True) as made:
        yield made


visible = st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF), max_size=60)
encoded = st.one_of(
    st.binary(max_size=40),
    st.builds(lambda name, word: f"{name}:{word}".encode(errors="replace"), st.text(max_size=20), st.text(max_size=20)),
    st.builds(lambda word: b"alice:" + word, st.binary(max_size=20)),
)
values = st.one_of(
    visible,
    st.builds(lambda scheme, raw: f"{scheme} {b64encode(raw).decode()}", st.sampled_from(["Basic", "bAsIc"]), encoded),
    st.builds(lambda rest: f"Basic {rest}", visible),
)


@settings(deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(values, min_size=1, max_size=2))
def test_no_credential_but_the_right_one_lets_in(stage, given):
    before = len(stage.origin.requests)
    fields = [f"Proxy-Authorization: {value}" for value in given]
    talk = stage.ask("http://origin.test/", *fields, host=stage.proxy_host)
    assert talk.status in (400, 407, 429)
    assert len(stage.origin.requests) == before
    assert stage.server.factory.errors == 0
    talk.transport.abortConnection()
    stage.network.advance(400)
