"""The site's SQL database: embedded SQLite in ``DATA/netsuite.sqlite``, by SQLAlchemy Core.

Every commit is on disk when it returns (WAL with ``synchronous=FULL``). Work is a function of a connection, run in
one transaction: :meth:`Database.reading` and :meth:`Database.writing` where one may block, :meth:`Database.read` and
:meth:`Database.write` in threads. A transaction that writes begins as one (``BEGIN IMMEDIATE``), so that two writers
wait for one another instead of failing half-way.

Opening brings the schema up to date. One process at a time does that, holding ``netsuite.sqlite.lock``, and in one
transaction, so that it happens entirely or not at all.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import URL, Connection, Engine, StaticPool, create_engine, event, inspect, text
from sqlalchemy.exc import SQLAlchemyError

from netsuite.common.datadir import DataDirectory
from netsuite.common.errors import InUse, StartError, Unavailable
from netsuite.common.storage.schema import HEAD
from netsuite.common.threads import Threads

__all__ = ["Database"]

T = TypeVar("T")

NAME: Final = "netsuite.sqlite"
BUSY: Final = 10_000
"""Milliseconds that a connection waits for another one's transaction."""
TURN: Final = 30.0
"""Seconds that an opening waits for another process's."""

_alembic = threading.Lock()
"""Alembic keeps what it is doing in a global."""


class Database:
    """The database of a data directory, not yet open; in memory, and gone when closed, where ``data`` is None."""

    def __init__(self, data: DataDirectory | None, threads: Threads | None = None) -> None:
        self._data = data
        self._threads = threads
        self._engine: Engine | None = None

    def open(self) -> None:
        """Open it, made and brought up to date where that is needed; StartError in one line."""
        if self._engine is not None:
            return
        if self._data is None:
            self._engine = _engine(None)
            _bring_up_to_date(self._engine, "the database in memory")
            return
        path = self._data.at(NAME)
        with _turn(self._data):
            engine = _engine(path)
            try:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
                _bring_up_to_date(engine, str(path))
            except (SQLAlchemyError, OSError) as error:
                engine.dispose()
                raise StartError(f"{path}: cannot be opened ({_reason(error)}): mend it, or set common.data") from error
            except BaseException:
                engine.dispose()
                raise
        self._engine = engine

    def close(self) -> None:
        """Finish what is under way, and close the files."""
        if self._threads is not None:
            self._threads.close()
        engine, self._engine = self._engine, None
        if engine is not None:
            engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state of everything; Unavailable if the database fails."""
        with self._transaction(write=False) as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A connection whose changes are durable once the block ends, and undone if it raises."""
        with self._transaction(write=True) as connection:
            yield connection

    def read(self, work: Callable[[Connection], T]) -> Awaitable[T]:
        """What ``work`` answers, run in a thread; raises Unavailable."""
        return self._threaded(self.reading, work)

    def write(self, work: Callable[[Connection], T]) -> Awaitable[T]:
        """What ``work`` answers once what it changed is durable; raises Unavailable."""
        return self._threaded(self.writing, work)

    def _threaded(self, transaction: Callable[[], Any], work: Callable[[Connection], T]) -> Awaitable[T]:
        assert self._threads is not None, "made without threads"

        def run() -> T:
            with transaction() as connection:
                return work(connection)

        self.open()
        return self._threads.run(run)

    @contextmanager
    def _transaction(self, *, write: bool) -> Iterator[Connection]:
        self.open()
        assert self._engine is not None
        try:
            with self._engine.connect() as plain:
                connection = plain.execution_options(netsuite_write=write)
                with connection.begin():
                    yield connection
        except SQLAlchemyError as error:
            raise Unavailable(f"the database fails: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    return str(getattr(error, "orig", None) or getattr(error, "strerror", None) or error)


def _engine(path: Path | None) -> Engine:
    if path is None:
        engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
    else:
        engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": BUSY / 1000})

    @event.listens_for(engine, "connect")
    def _connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # the driver begins no transactions of its own accord; we do, below
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", f"busy_timeout={BUSY}"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begun(connection: Connection) -> None:
        write = connection.get_execution_options().get("netsuite_write", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


@contextmanager
def _turn(data: DataDirectory) -> Iterator[None]:
    """Wait until no other process is opening the database."""
    until = time.monotonic() + TURN
    while True:
        try:
            data.lock(NAME)
            break
        except InUse:
            if time.monotonic() > until:
                raise
            time.sleep(0.02)
    try:
        yield
    finally:
        data.release(NAME)


def _bring_up_to_date(engine: Engine, name: str) -> None:
    with engine.connect() as connection, connection.begin():
        found = None
        if inspect(connection).has_table("alembic_version"):
            found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
        if found != HEAD:
            _migrate(connection, found, name)


def _migrate(connection: Connection, found: str | None, name: str) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    settings = Config()
    settings.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    settings.attributes["connection"] = connection
    with _alembic:
        if found is not None:
            try:
                ScriptDirectory.from_config(settings).get_revision(found)
            except CommandError:
                raise StartError(
                    f"{name}: its schema {found!r} is not known to this version: run the version that made it, or newer"
                ) from None
        command.upgrade(settings, "head")
