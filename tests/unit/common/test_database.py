"""The database in the data directory: made, migrated, shared between processes, honest about what fails."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import insert, inspect, select

import netsuite.common.storage
from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import StartError, Unavailable
from netsuite.common.storage.database import Database
from netsuite.common.storage.schema import HEAD, METADATA, users

ROW = {
    "verifier": "v",
    "scram_salt": b"s",
    "scram_iterations": 4096,
    "scram_stored_key": b"k",
    "scram_server_key": b"k",
    "created": 1.0,
    "changed": 1.0,
    "disabled": False,
}


@pytest.fixture
def data(tmp_path: Path) -> DataDirectory:
    return DataDirectory(tmp_path / "data")


@pytest.fixture
def database(data: DataDirectory):
    made = Database(data)
    yield made
    made.close()


def put(database: Database, account: str) -> None:
    with database.writing() as connection:
        connection.execute(insert(users).values(account=account, **ROW))


def accounts(database: Database) -> list[str]:
    with database.reading() as connection:
        return sorted(connection.scalars(select(users.c.account)))


def test_nothing_is_touched_before_the_first_use(data: DataDirectory) -> None:
    Database(data)
    assert not data.path.exists()


def test_migrations_lead_from_nothing_to_the_schema_of_the_code(database: Database) -> None:
    with database.reading() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []
        assert set(inspect(connection).get_table_names()) == {"alembic_version", *METADATA.tables}


def test_the_newest_migration_is_the_one_that_the_schema_names() -> None:
    settings = Config()
    folder = Path(netsuite.common.storage.__file__).parent / "migrations"
    settings.set_main_option("script_location", str(folder))
    assert ScriptDirectory.from_config(settings).get_heads() == [HEAD]


def test_opening_again_changes_nothing(data: DataDirectory, database: Database) -> None:
    put(database, "alice@example.test")
    database.open()
    database.close()
    before = data.at("netsuite.sqlite").read_bytes()
    again = Database(data)
    again.open()
    assert accounts(again) == ["alice@example.test"]
    again.close()
    assert data.at("netsuite.sqlite").read_bytes() == before


def test_commits_are_on_disk_when_they_return_and_only_the_owner_may_read(
    data: DataDirectory, database: Database
) -> None:
    with database.reading() as connection:
        pragmas = {name: connection.exec_driver_sql(f"PRAGMA {name}").scalar() for name in PRAGMAS}
    assert pragmas == PRAGMAS
    put(database, "alice@example.test")
    for file in data.path.iterdir():
        assert file.stat().st_mode & 0o777 == 0o600, file


PRAGMAS = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10000}


def test_what_raises_is_undone(database: Database) -> None:
    put(database, "alice@example.test")
    with pytest.raises(KeyError), database.writing() as connection:
        connection.execute(insert(users).values(account="bob@example.test", **ROW))
        raise KeyError
    with pytest.raises(Unavailable, match="UNIQUE"):
        put(database, "alice@example.test")
    assert accounts(database) == ["alice@example.test"]


def test_a_database_of_a_newer_version_is_refused_and_left_alone(data: DataDirectory, database: Database) -> None:
    database.open()
    database.close()
    path = data.at("netsuite.sqlite")
    with sqlite3.connect(path) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.close()
    with pytest.raises(StartError, match="its schema '9999' is not known to this version"):
        Database(data).open()


def test_what_is_no_database_is_refused_in_one_line(data: DataDirectory) -> None:
    data.write("netsuite.sqlite", b"this is no database" * 100)
    with pytest.raises(StartError, match=r"netsuite.sqlite: cannot be opened \(file is not a database\)"):
        Database(data).open()
    data.at("netsuite.sqlite").unlink()
    data.at("netsuite.sqlite").mkdir()
    with pytest.raises(StartError, match=r"netsuite.sqlite: cannot be opened"):
        Database(data).open()


def test_a_database_that_breaks_while_it_is_used_is_unavailable(database: Database) -> None:
    database.open()
    with pytest.raises(Unavailable, match="no such table: absent"), database.reading() as connection:
        connection.exec_driver_sql("SELECT * FROM absent")
    put(database, "alice@example.test")


WRITER = """
import sys
from pathlib import Path
from netsuite.common.datadir import DataDirectory
from netsuite.common.storage.database import Database
from netsuite.common.storage.schema import users
from sqlalchemy import insert

data = DataDirectory(Path(sys.argv[1]))
print(data.keep("secret", sys.argv[2].encode() * 32).hex())
database = Database(data)
for number in range(20):
    with database.writing() as connection:
        row = dict(verifier="v", scram_salt=b"", scram_iterations=1, scram_stored_key=b"", scram_server_key=b"")
        connection.execute(insert(users).values(
            account=f"{sys.argv[2]}{number:02}", created=1, changed=1, disabled=False, **row))
database.close()
"""


def test_processes_that_make_it_and_write_at_once_do_not_disturb_one_another(
    data: DataDirectory, database: Database
) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(data.path), name],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(netsuite.common.storage.__file__).parents[3],
        )
        for name in "abc"
    ]
    said = [process.communicate(timeout=60) for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], said
    assert len({out for out, _ in said}) == 1, "all read the same secret"
    assert accounts(database) == [f"{name}{number:02}" for name in "abc" for number in range(20)]
