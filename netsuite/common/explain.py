"""Settings in words: what ``--explain``, ``--print-config`` and the reference say about a key."""

from __future__ import annotations

import inspect
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import attrs
from pydantic.fields import FieldInfo

from netsuite.common import toml
from netsuite.common.settings import Table
from netsuite.common.sources import bare

__all__ = ["Entry", "entries", "explanation", "subtable", "type_words", "written"]

_WORDS: dict[Any, str] = {str: "text", int: "whole number", float: "number", bool: "true or false", Path: "path"}


def type_words(annotation: Any) -> str:
    """A type as a person would say it."""
    plain = bare(annotation)
    origin, arguments = get_origin(plain), get_args(plain)
    if origin in (list, tuple):
        return f"list of {type_words(arguments[0])}"
    if origin is dict:
        return f"table of {type_words(arguments[1])}"
    if origin is Literal:
        return " or ".join(toml.value(each) for each in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join(type_words(each) for each in arguments if each is not type(None))
    if isinstance(plain, type) and issubclass(plain, Table):
        return "table"
    return _WORDS.get(plain, getattr(plain, "__name__", str(plain)))


def subtable(field: FieldInfo) -> type[Table] | None:
    """The table that a field holds, or holds a list of; None if it holds plain values."""
    plain = bare(field.annotation)
    if get_origin(plain) is list:
        plain = bare(get_args(plain)[0])
    return plain if isinstance(plain, type) and issubclass(plain, Table) else None


def _json(item: Any) -> Any:
    """A value as TOML can say it."""
    if isinstance(item, Table):
        return item.model_dump(mode="json", exclude_none=True)
    if isinstance(item, list | tuple):
        return [_json(each) for each in item]
    if isinstance(item, Mapping):
        return {str(name): _json(each) for name, each in item.items()}
    return str(item) if isinstance(item, Path) else item


def written(item: Any) -> str:
    """A value as the site file would have it; "not set" for None."""
    return "not set" if item is None else toml.value(_json(item))


@attrs.frozen
class Entry:
    """One key of a table: its name with the table's, and what is to be known about it."""

    key: tuple[str, ...]
    field: FieldInfo
    many: bool
    """Whether it stands in an array of tables, ``[[table]]``."""

    @property
    def name(self) -> str:
        """The dotted name."""
        return toml.key(self.key)

    @property
    def description(self) -> str:
        """What it is for."""
        return self.field.description or ""

    @property
    def type(self) -> str:
        """Its type in words, and whether it may be left out."""
        return type_words(self.field.annotation)

    @property
    def default(self) -> str:
        """Its default as TOML."""
        if self.field.is_required():
            return "none: it must be given"
        return written(self.field.get_default(call_default_factory=True, validated_data={}))

    @property
    def example(self) -> str:
        """A line for the site file."""
        table, name = ".".join(self.key[:-1]), toml.key(self.key[-1:])
        head = f"[[{table}]]" if self.many else f"[{table}]"
        return f"{head} {name} = {written(self._sample())}"

    def _sample(self) -> Any:
        if self.field.examples:
            return self.field.examples[0]
        default = (
            None if self.field.is_required() else self.field.get_default(call_default_factory=True, validated_data={})
        )
        if default not in (None, [], ""):
            return default
        return _sample(self.field.annotation)


def _sample(annotation: Any) -> Any:
    plain = bare(annotation)
    if get_origin(plain) in (list, tuple):
        return [_sample(get_args(plain)[0])]
    if get_origin(plain) is dict:
        return {}
    if get_origin(plain) is Literal:
        return get_args(plain)[0]
    if isinstance(plain, type) and issubclass(plain, Table):
        return {name: _sample(field.annotation) for name, field in plain.model_fields.items() if field.is_required()}
    return {bool: True, int: 1, float: 1.0, Path: "FILE"}.get(plain, "...")


def entries(key: tuple[str, ...], model: type[Table], *, many: bool = False) -> Iterator[Entry]:
    """Every key of a table, and of the tables in it."""
    for name, field in model.model_fields.items():
        yield Entry((*key, name), field, many)
        if below := subtable(field):
            yield from entries((*key, name), below, many=many or get_origin(bare(field.annotation)) is list)


def explanation(
    wanted: str, tables: Mapping[str, type[Table]], present: Callable[[tuple[str, ...]], tuple[Any, str] | None]
) -> list[str] | None:
    """Lines about a key or a whole table; None if there is no such thing.

    ``present`` answers the present value of a key and where it comes from, or None where the table is not used.
    """
    parts = tuple(part.partition("[")[0] for part in wanted.split("."))
    for table, model in tables.items():
        for entry in entries((table,), model):
            if entry.key == parts:
                return [*_entry(entry, present), *_table(parts, tables)]
    return _table(parts, tables) or None


def _entry(entry: Entry, present: Callable[[tuple[str, ...]], tuple[Any, str] | None]) -> list[str]:
    lines = [entry.name, f"  {entry.description}", f"  type:    {entry.type}", f"  default: {entry.default}"]
    if not entry.many:
        now = present(entry.key)
        lines.append(f"  now:     {written(now[0])}  ({now[1]})" if now else "  now:     this table is not used")
    return [*lines, f"  example: {entry.example}"]


def _table(key: tuple[str, ...], tables: Mapping[str, type[Table]]) -> list[str]:
    """A table's own description and its keys."""
    found: Any = tables.get(key[0])
    many = False
    for part in key[1:]:
        field = found.model_fields.get(part) if found else None
        many = many or (field is not None and get_origin(bare(field.annotation)) is list)
        found = subtable(field) if field else None
    if found is None:
        return []
    name = toml.key(key)
    lines = [
        f"[[{name}]]" if many else f"[{name}]",
        *(f"  {line}" for line in (inspect.getdoc(found) or "").splitlines()[:1]),
    ]
    own = [(toml.key([key]), field.description or "") for key, field in found.model_fields.items()]
    width = max((len(each) for each, _ in own), default=0)
    return [*lines, *(f"  {each:<{width}}  {text}" for each, text in own)]
