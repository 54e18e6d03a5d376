# SPDX-License-Identifier: MIT
"""The types of a class's fields, with the arguments of a generic class in place of its type variables."""

from __future__ import annotations

import typing
from inspect import get_annotations
from typing import Any, TypeVar

from zlmdb.errors import TableDeclaration

Bindings = dict[Any, Any]


def field_types(cls: type, arguments: tuple[Any, ...] = ()) -> dict[str, Any]:
    """Return the annotations of ``cls[*arguments]``, resolved; variables that nothing is given for stay.

    Raises NameError for a name that does not exist (yet), `TableDeclaration` for arguments that do not fit.
    """
    found = typing.get_type_hints(cls, include_extras=True)
    bindings = _bindings_of_bases(cls, _bindings(cls, arguments))
    owners = {name: owner for owner in reversed(cls.__mro__) for name in get_annotations(owner)}
    return {name: _substituted(hint, bindings.get(owners.get(name), {})) for name, hint in found.items()}


def _bindings(cls: Any, arguments: tuple[Any, ...]) -> Bindings:
    parameters = getattr(cls, "__parameters__", ()) if arguments else ()
    if len(parameters) != len(arguments) or not all(isinstance(parameter, TypeVar) for parameter in parameters):
        raise TableDeclaration(
            f"the type arguments of {cls.__name__} cannot be told apart",
            got=arguments,
            expected="one argument for each type variable",
            next_step="give the table marshal= and unmarshal=",
        )
    return dict(zip(parameters, arguments, strict=True))


def _bindings_of_bases(cls: type, own: Bindings) -> dict[Any, Bindings]:
    """Return what each class of the inheritance tree has in place of its variables."""
    found: dict[Any, Bindings] = {cls: own}
    for base in vars(cls).get("__orig_bases__", cls.__bases__):
        origin = typing.get_origin(base) or base
        if origin in (object, typing.Generic, typing.Protocol) or not isinstance(origin, type):
            continue
        arguments = tuple(_substituted(argument, own) for argument in typing.get_args(base))
        known = getattr(origin, "__parameters__", ())  # built-in classes say nothing of theirs
        found.update(_bindings_of_bases(origin, _bindings(origin, arguments) if known else {}))
    return found


def _substituted(annotation: Any, bindings: Bindings) -> Any:
    """Return the annotation with what is bound in place of its variables."""
    if isinstance(annotation, TypeVar):
        return bindings.get(annotation, annotation)
    parameters = () if isinstance(annotation, type) else getattr(annotation, "__parameters__", ())
    if not bindings or not parameters:
        return annotation
    alias: Any = annotation  # whatever has parameters can be subscripted
    return alias[tuple(bindings.get(parameter, parameter) for parameter in parameters)]
