"""Where settings come from: a TOML file, the environment, the command line, in that order of strength.

Each source is laid on the ones before it: tables are merged, everything else is replaced. What came from
where is kept, so that an error, ``--print-config`` and ``--explain`` can name it. Environment variables are
``NETSUITE_TABLE__KEY``; they and ``--set table.key=value`` hold TOML, where plain text needs no quotes and a list
may be separated by commas.
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
import types
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from netsuite.common.errors import StartError
from netsuite.common.settings import Table

__all__ = ["DEFAULT", "Layers", "SettingsError", "bare", "nearest"]

DEFAULT = "default"
"""The origin of what no one gave."""

T = TypeVar("T", bound=Table)
Key = tuple[str, ...]


class SettingsError(StartError):
    """Settings that cannot be used: one line for each error, each naming its source, key and reason."""

    def __init__(self, lines: Iterable[str]) -> None:
        self.lines = tuple(" ".join(line.split()) for line in lines)
        super().__init__("\n".join(self.lines))


class _Text(str):
    """A value that is still text: what it means depends on the type of its key."""

    __slots__ = ()


def nearest(word: str, words: Iterable[str]) -> str | None:
    """The one of ``words`` that someone who wrote ``word`` probably meant."""
    found = difflib.get_close_matches(word.lower(), list(words), n=1)
    return found[0] if found else None


def bare(annotation: Any) -> Any:
    """A type without Annotated and without ``| None``."""
    while get_origin(annotation) is Annotated:
        annotation = get_args(annotation)[0]
    if get_origin(annotation) in (Union, types.UnionType):
        options = [bare(each) for each in get_args(annotation) if each is not type(None)]
        return options[0] if len(options) == 1 else annotation
    return annotation


def _is_table(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Table)


def _parsed(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"] if "\n" not in text else text
    except (ValueError, RecursionError):
        return text


def _meant(text: str, annotation: Any) -> Any:
    """What a text means where a value of that type is expected; paths are taken from the working directory."""
    annotation = bare(annotation)
    meaning = _parsed(text)
    if get_origin(annotation) in (list, tuple):
        if not isinstance(meaning, list):
            parts = [_parsed(part) if part[:1] in "\"'" else part for part in map(str.strip, text.split(","))]
            meaning = [part for part in parts if part != ""]
        return [_placed(each, get_args(annotation)[0]) for each in meaning]
    if annotation in (str, Path) and not isinstance(meaning, str):
        meaning = text
    return _placed(meaning, annotation)


def _placed(item: Any, annotation: Any) -> Any:
    """The paths in a value made absolute."""
    annotation = bare(annotation)
    if annotation is Path and isinstance(item, str):
        return os.path.abspath(os.path.expanduser(item))  # noqa: PTH100, PTH111 - a text that may be no path at all
    if isinstance(item, dict) and _is_table(annotation):
        fields = annotation.model_fields
        return {k: _placed(v, fields[k].annotation) if k in fields else v for k, v in item.items()}
    return item


class Layers:
    """Values laid on one another, and where each came from.

    ``base`` is the folder that relative paths of the file are taken from.
    """

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.base = Path.cwd()
        self.file: str | None = None
        self._origins: dict[Key, str] = {}
        self._tables: dict[Key, str] = {}
        self._errors: list[str] = []

    def lay(self, key: Key, value: Any, origin: str) -> None:
        """Lay a value (a table is merged) under a key."""
        # a plain value where a table is wanted now was replaced by it
        for length in range(1, len(key)):
            self._origins.pop(key[:length], None)
        if isinstance(value, Mapping):
            self._origins.pop(key, None)
            self._tables.setdefault(key, origin)
            self._table(key)
            for name, each in value.items():
                self.lay((*key, name), each, origin)
            return
        for origins in (self._origins, self._tables):
            for below in [known for known in origins if known[: len(key)] == key]:
                del origins[below]
        self._origins[key] = origin
        self._table(key[:-1])[key[-1]] = value

    def lay_file(self, path: Path | str) -> None:
        """Lay a site file; raises SettingsError if it is not one."""
        name = str(path)
        try:
            text = Path(path).read_bytes().decode()
            tables = tomllib.loads(text)
        except OSError as error:
            raise SettingsError([f"{name}: cannot be read: {error.strerror}"]) from error
        except UnicodeDecodeError as error:
            line = error.object[: error.start].count(b"\n") + 1
            raise SettingsError([f"{name}:{line}: this is not UTF-8"]) from error
        except tomllib.TOMLDecodeError as error:
            reason, line = _toml_reason(str(error), text)
            raise SettingsError([f"{name}:{line}: this is not TOML: {reason}"]) from error
        except (ValueError, RecursionError) as error:
            raise SettingsError([f"{name}: this is not TOML: {error}"]) from error
        self.file = name
        self.base = Path(path).absolute().parent
        for table, value in tables.items():
            self.lay((table,), value, name)

    def lay_environment(self, environ: Mapping[str, str]) -> None:
        """Lay every variable named ``NETSUITE_TABLE__KEY``."""
        for variable in sorted(environ):
            table, found, key = variable.removeprefix("NETSUITE_").lower().partition("__")
            if found and variable.startswith("NETSUITE_"):
                self.lay((table, *key.split("__")), _Text(environ[variable]), f"environment {variable}")

    def lay_sets(self, sets: Sequence[str]) -> None:
        """Lay every ``table.key=value``."""
        for text in sets:
            key, found, value = text.partition("=")
            parts = tuple(part.strip() for part in key.split("."))
            if not found or len(parts) < 2 or not all(parts):
                self._errors.append(f"command line: --set {text}: write it as table.key=value")
            else:
                self.lay(parts, _Text(value.strip()), "command line")

    def lay_text(self, key: Key, value: str) -> None:
        """Lay the text of a named option."""
        self.lay(key, _Text(value), "command line")

    def origin(self, key: Key) -> str:
        """Where the value under a key came from; for a table, who gave it first."""
        if key in self._tables:
            return self._tables[key]
        while key:
            if key in self._origins:
                return self._origins[key]
            key = key[:-1]
        return DEFAULT

    def check_tables(self, known: Iterable[str]) -> None:
        """Note an error for every table that does not exist."""
        tables = list(known)
        for name in self.values:
            if name not in tables:
                hint = f"did you mean {near}?" if (near := nearest(name, tables)) else f"there are {', '.join(tables)}"
                self._errors.append(f"{self._source((name,))}: {name}: unknown table; {hint}")

    def read(self, name: str, model: type[T]) -> T | None:
        """The settings of one table; None where they are wrong, which :meth:`finish` tells."""
        try:
            given = self._shaped(self.values.get(name, {}), model)
            return model.model_validate(given, context={"base": self.base})
        except ValidationError as error:
            self._errors.extend(self._line(name, model, each) for each in error.errors(include_url=False))
        except (ValueError, RecursionError, OverflowError) as error:
            self._errors.append(f"{self._source((name,))}: {name}: {error}")
        return None

    def finish(self) -> None:
        """Raise SettingsError if anything was wrong."""
        if self._errors:
            raise SettingsError(dict.fromkeys(self._errors))

    def _table(self, key: Key) -> dict[str, Any]:
        table = self.values
        for part in key:
            if not isinstance(below := table.get(part), dict):
                below = table[part] = {}
            table = below
        return table

    def _shaped(self, given: Any, annotation: Any) -> Any:
        """A value with every text in it read as what its key expects."""
        annotation = bare(annotation)
        if isinstance(given, _Text):
            return _meant(given, annotation)
        if not isinstance(given, dict):
            return given
        if get_origin(annotation) is dict:
            return {key: self._shaped(value, get_args(annotation)[1]) for key, value in given.items()}
        fields = annotation.model_fields if _is_table(annotation) else {}
        return {
            key: self._shaped(value, fields[key].annotation if key in fields else Any) for key, value in given.items()
        }

    def _source(self, key: Key) -> str:
        """Who is to blame for what is wrong under a key: whoever gave it, or the table that lacks it."""
        while key:
            if (origin := self.origin(key)) != DEFAULT:
                return origin
            key = key[:-1]
        return self.file or "settings"

    def _line(self, name: str, model: type[Table], error: ErrorDetails) -> str:
        where: list[str] = [name]
        for part in error["loc"]:
            if isinstance(part, int):
                where[-1] += f"[{part}]"
            else:
                where.append(part)
        dotted = ".".join(where)
        key = (name, *(part for part in error["loc"] if isinstance(part, str)))
        return f"{self._source(key)}: {dotted}: {_reason(error, where[:-1], model)}"


def _toml_reason(message: str, text: str) -> tuple[str, int]:
    found = re.search(r"^(.*) \(at (?:line (\d+), column \d+|end of document)\)$", message, re.DOTALL)
    if not found:
        return message, 1
    return found[1], int(found[2]) if found[2] else text.count("\n") + 1


def _keys(model: Any, loc: Sequence[str | int]) -> list[str]:
    """The valid keys of the table that an error's location lies in."""
    for part in loc:
        model = bare(model)
        if isinstance(part, int):
            model = get_args(model)[0] if get_args(model) else None
        elif _is_table(model) and part in model.model_fields:
            model = model.model_fields[part].annotation
        else:
            return []
    model = bare(model)
    return list(model.model_fields) if _is_table(model) else []


_EXPECTED = {
    "string_type": "text is expected",
    "path_type": "a path is expected",
    "bool_type": "true or false is expected",
    "bool_parsing": "true or false is expected",
    "int_type": "a whole number is expected",
    "int_parsing": "a whole number is expected",
    "int_from_float": "a whole number is expected",
    "int_parsing_size": "a smaller number is expected",
    "float_type": "a number is expected",
    "float_parsing": "a number is expected",
    "finite_number": "a finite number is expected",
    "list_type": "a list is expected",
    "dict_type": "a table is expected",
    "model_type": "a table is expected",
    "model_attributes_type": "a table is expected",
}


def _reason(error: ErrorDetails, table: Sequence[str], model: type[Table]) -> str:
    kind, given = error["type"], error["input"]
    if kind == "extra_forbidden":
        keys, word = _keys(model, error["loc"][:-1]), str(error["loc"][-1])
        if near := nearest(word, keys):
            return f"unknown key; did you mean {'.'.join((*table, near))}?"
        return f"unknown key; there are {', '.join(keys)}" if keys else "unknown key"
    if kind == "missing":
        return "missing"
    shown = repr(str(given) if isinstance(given, _Text | Path) else given)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    if kind in _EXPECTED:
        return f"{_EXPECTED[kind]}, not {shown}"
    if kind == "value_error":
        return error["msg"].removeprefix("Value error, ")
    if kind == "literal_error":
        expected = error["ctx"]["expected"]
        near = nearest(str(given), re.findall(r"'([^']*)'", expected))
        return f"must be {expected}, not {shown}" + (f"; did you mean {near!r}?" if near else "")
    return error["msg"].replace("Input should", "must", 1) + f", not {shown}"
