"""A site as a twistd application: `twistd -ny site.tac`, with netsuite.toml beside it."""

from pathlib import Path

import netsuite.suite

application = netsuite.suite.application(Path(__file__).with_name("netsuite.toml"))
