"""The requests of the desync vectors, at the origin server and through the proxy: what is ambiguous goes no further."""

from __future__ import annotations

import pytest

from tests.vectors.http.desync import FOLDER, PAGE, STRICTER, Field, cases, completed, fault, page

pytest.importorskip("yaml", reason="PyYAML is not installed: the desync vectors are YAML")
pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason="the desync vectors are not there: set NETSUITE_SHARED")


@pytest.fixture(scope="module")
def field(tmp_path_factory):
    made = Field(tmp_path_factory.mktemp("desync"))
    yield made
    made.stage.close()


@pytest.mark.parametrize(("name", "case"), [pytest.param(*each, id=each[0]) for each in cases()])
@pytest.mark.parametrize("port", [pytest.param(10080, id="origin"), pytest.param(10081, id="proxy")])
def test_desync(field, port, name, case):
    assert fault(name, case, *field.write(completed(case), port)) is None


def test_what_is_refused_on_purpose_is_there():
    assert STRICTER.keys() <= {name for name, _ in cases()}


def test_the_page_says_what_came_of_it():
    assert PAGE.read_text() == page()
