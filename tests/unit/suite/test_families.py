"""Every family has the shape that the suite builds on."""

from __future__ import annotations

import pytest
from zope.interface.verify import verifyObject

from netsuite.common.settings import Table
from netsuite.interfaces import INetsuiteService
from netsuite.suite.families import FAMILIES, family, summaries
from netsuite.testing.commons import make_commons


@pytest.mark.parametrize("each", FAMILIES, ids=lambda each: each.table)
def test_settings_and_service(each, tmp_path):
    model = each.settings()
    assert issubclass(model, Table)
    assert model.model_config["frozen"]
    assert all(field.description for field in model.model_fields.values())
    service = each.build(model(), make_commons(tmp_path))
    assert verifyObject(INetsuiteService, service)
    assert service.name == each.table
    assert service.workers in ("any", "one")
    assert not service.health().ok
    assert list(tmp_path.iterdir()) == []


def test_what_there_is():
    assert list(summaries()) == ["common", *(each.table for each in FAMILIES)]
    assert family("upper").table == "upper"
    with pytest.raises(KeyError):
        family("upp")
