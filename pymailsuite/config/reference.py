"""The option reference and the commented sample file, both derived from the declarations of the sections."""

from __future__ import annotations

import ast
import inspect
import json
import textwrap
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import pairwise
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Any, Final, Literal, Union, get_args, get_origin

from attrs import frozen
from pydantic.fields import FieldInfo

from pymailsuite.config.base import Duration, Section, Size
from pymailsuite.config.settings import Settings

_DURATION: Final = Duration.__metadata__[0]  # type: ignore[attr-defined]
_SIZE: Final = Size.__metadata__[0]  # type: ignore[attr-defined]


@frozen
class Option:
    """One option as declared. ``default`` and ``example`` are TOML text; ``default`` is None if the option must be set
    or is not set by default."""

    key: str
    kind: str
    required: bool
    default: str | None
    example: str
    text: str


@frozen
class SectionReference:
    """One table of the file."""

    name: str
    text: str
    options: tuple[Option, ...]


def sections() -> Iterator[SectionReference]:
    """All sections in the order of their declaration."""
    for name, declaration in Settings.model_fields.items():
        section = declaration.annotation
        assert isinstance(section, type) and issubclass(section, Section)
        yield from _section(name, section)


def _section(name: str, section: type[Section]) -> Iterator[SectionReference]:
    options = []
    inner: list[SectionReference] = []
    for option_name, declaration in section.model_fields.items():
        kind = declaration.annotation
        if isinstance(kind, type) and issubclass(kind, Section):
            inner.extend(_section(f"{name}.{option_name}", kind))
        else:
            options.append(_option(f"{name}.{option_name}", declaration, _text(section, option_name)))
    yield SectionReference(name, inspect.getdoc(section) or "", tuple(options))
    yield from inner


def _text(section: type[Section], option_name: str) -> str:
    """What stands under the option's declaration, in the class that has it last; empty if nothing does."""
    texts = (_attribute_docstrings(base).get(option_name) for base in section.__mro__ if issubclass(base, Section))
    return next((text for text in texts if text is not None), "")


@cache
def _attribute_docstrings(section: type[Section]) -> Mapping[str, str]:
    """The string under each annotated attribute of a class, from its source."""
    (declared,) = ast.parse(textwrap.dedent(inspect.getsource(section))).body
    assert isinstance(declared, ast.ClassDef)
    found = {}
    for attribute, text in pairwise(declared.body):
        match attribute, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(said))):
                found[name] = inspect.cleandoc(said)
    return found


def _option(key: str, declaration: FieldInfo, text: str) -> Option:
    default = declaration.get_default(call_default_factory=True, validated_data={})
    shown = declaration.is_required() or default is None
    return Option(
        key=key,
        kind=_kind(declaration.annotation, declaration.metadata),
        required=declaration.is_required(),
        default=None if shown else _default_text(default, declaration.metadata),
        example=toml_value((declaration.examples or [""])[0]),
        text=text,
    )


_PLAIN_KINDS: Final[dict[Any, str]] = {bool: "true or false", int: "integer", float: "number", str: "text"}


def _kind(annotation: Any, metadata: list[Any] | tuple[Any, ...] = ()) -> str:
    """The type of an option in the words of the reference."""
    if _DURATION in metadata:
        return "duration"
    if _SIZE in metadata:
        return "size"
    origin, arguments = get_origin(annotation), get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        return _kind(arguments[0], annotation.__metadata__)
    if origin is Literal:
        return " or ".join(json.dumps(choice) for choice in arguments)
    if origin in (UnionType, Union):
        return " or ".join(_kind(argument) for argument in arguments if argument is not NoneType)
    if origin in (tuple, list, frozenset, set):
        return f"list of {_kind(arguments[0])}"
    if origin is dict:
        return f"table of {_kind(arguments[1])}"
    if isinstance(annotation, type) and issubclass(annotation, PurePath):
        return "path"
    return _PLAIN_KINDS.get(annotation, getattr(annotation, "__name__", str(annotation)))


_DURATION_UNITS: Final = ((604800, "w"), (86400, "d"), (3600, "h"), (60, "m"), (1, "s"), (0.001, "ms"))
_SIZE_UNITS: Final = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (10**9, "GB"), (10**6, "MB"), (10**3, "KB"))


def _with_unit(value: float, units: tuple[tuple[float, str], ...]) -> str:
    """The value in the largest unit that divides it, as TOML text; a bare number if there is none."""
    for factor, unit in units:
        count = value / factor
        if value and count == int(count):
            return f'"{int(count)}{unit}"' if len(unit) == 1 else f'"{int(count)} {unit}"'
    return toml_value(int(value) if value == int(value) else value)


def _default_text(default: Any, metadata: list[Any]) -> str:
    if _DURATION in metadata and isinstance(default, int | float):
        return _with_unit(default, _DURATION_UNITS)
    if _SIZE in metadata and isinstance(default, int):
        return _with_unit(default, _SIZE_UNITS)
    return toml_value(default)


def toml_value(value: Any) -> str:
    """A value as TOML writes it. TypeError for a kind that no setting has."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        # A literal string keeps the backslashes of endpoint descriptions readable.
        return f"'{value}'" if "\\" in value and "'" not in value else json.dumps(value, ensure_ascii=False)
    if isinstance(value, PurePath):
        return toml_value(str(value))
    if isinstance(value, tuple | list | set | frozenset):
        items = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return f"[{', '.join(toml_value(item) for item in items)}]"
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(key)} = {toml_value(item)}" for key, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    return toml_value(str(value))


# --- the two texts --------------------------------------------------------------------------------------------------

_SAMPLE_HEAD: Final = """\
# Sample configuration of pymailsuite, generated from the declarations of the options.
#
# Three settings are needed; each other one stands here with its default, commented out. Durations take "90s", "5m",
# "4h", "5d"; sizes take "64 KiB", "50 MB". Check a file with: pymailsuite config check FILE
"""


def sample_toml() -> str:
    """``etc/pymailsuite.toml``: every option with its documentation, defaults commented out."""
    lines = [_SAMPLE_HEAD.rstrip()]
    for section in sections():
        lines += ["", "", *_comment(section.text), f"[{section.name}]"]
        for option in section.options:
            name = option.key.rpartition(".")[2]
            lines += ["", *_comment(option.text)]
            if option.required:
                lines.append(f"{name} = {option.example}")
            elif option.default is None:
                lines.append(f"#{name} = {option.example}  # not set by default")
            else:
                lines.append(f"#{name} = {option.default}")
    return "\n".join(lines) + "\n"


def _comment(text: str) -> list[str]:
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        if lines:
            lines.append("#")
        plain = " ".join(paragraph.replace("``", "").split())
        lines += [f"# {line}" for line in textwrap.wrap(plain, 112, break_on_hyphens=False, break_long_words=False)]
    return lines


_REFERENCE_HEAD: Final = """\
Options
=======

.. Generated from the declarations of the options by docs/generate.py.

The configuration is one TOML file. Three settings have no default: ``server.hostname``, ``server.domains`` and
``server.data_dir``. An unknown key or a wrong type is an error that names the file and the key.

Durations are numbers of seconds or text with a unit: ``"250ms"``, ``"90s"``, ``"5m"``, ``"4h"``, ``"5d"``, ``"1w"``.
Sizes are numbers of octets or text with a unit: ``"64 KiB"``, ``"50 MB"``.

``pymailsuite config show`` prints what is in effect and marks the defaults.
"""


def options_rst() -> str:
    """``docs/options.rst``: the reference of all options."""
    lines = [_REFERENCE_HEAD.rstrip()]
    for section in sections():
        title = f"[{section.name}]"
        lines += ["", title, "-" * len(title), "", section.text]
        for option in section.options:
            default = "must be set" if option.required else f"default ``{option.default}``"
            if not option.required and option.default is None:
                default = "not set by default"
            lines += ["", f"``{option.key}``", f"    *{option.kind}*, {default}.", ""]
            lines.append(textwrap.indent(option.text, "    "))
    return "\n".join(lines) + "\n"
