"""RFC 8906's probes, and more of their kind: what a server does not know gets the one right answer over UDP and TCP."""

from __future__ import annotations

from tests.vectors.dns_probes import PAGE, Server, page, play


def test_every_probe_gets_the_one_right_answer(tmp_path):
    outcomes = play(Server(tmp_path))
    assert [(probe.title, transport, wrong) for probe, transport, wrong in outcomes if wrong] == []
    assert PAGE.read_text() == page(outcomes), "run python -m tests.vectors.dns_probes"
