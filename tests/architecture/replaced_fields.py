"""A mypy plugin: what ``replace`` is given are fields, each of its type, also of a struct.

msgspec declares them as ``**changes: Any``, so that a name that is none would first be found by
whoever runs the line. And of the two functions of that name mypy would take the dataclasses' for a
struct too, which refuses it when it runs.
"""

from collections.abc import Callable

from mypy.expandtype import expand_type_by_instance
from mypy.nodes import ARG_NAMED_OPT, ARG_POS
from mypy.plugin import FunctionSigContext, Plugin
from mypy.plugins.dataclasses import replace_function_sig_callback
from mypy.types import (
    CallableType,
    FunctionLike,
    Instance,
    Type,
    TypeVarType,
    UnionType,
    get_proper_type,
)
from typing_extensions import TypeIs


class ReplacedFields(Plugin):
    """Gives each call of ``replace`` the signature that its first argument asks for."""

    def get_function_signature_hook(
        self, fullname: str
    ) -> Callable[[FunctionSigContext], FunctionLike] | None:
        """Return who tells the signature of a call, where it is of a ``replace``."""
        return {
            "msgspec.structs.replace": _of_a_struct,
            "dataclasses.replace": _of_a_dataclass,
        }.get(fullname)


def _of_a_struct(ctx: FunctionSigContext) -> FunctionLike:
    """Return the fields of the struct, each by its name and none of them needed."""
    replaced = _replaced(ctx)
    struct = _bound(replaced)
    if isinstance(struct, UnionType):
        ctx.api.fail("replace one struct at a time: these have fields of their own", ctx.context)
    if replaced is None or not _is_struct(struct):
        return ctx.default_signature
    made = get_proper_type(struct.type.names["__init__"].type)
    assert isinstance(made, CallableType)
    made = expand_type_by_instance(made, struct)
    return made.copy_modified(
        arg_types=[replaced, *made.arg_types[1:]],
        arg_names=[None, *made.arg_names[1:]],
        arg_kinds=[ARG_POS, *(ARG_NAMED_OPT for _ in made.arg_kinds[1:])],
        ret_type=replaced,
        variables=(),
        name=f"replace of {struct.type.name}",
    )


def _of_a_dataclass(ctx: FunctionSigContext) -> FunctionLike:
    """Leave it to mypy's own plugin, unless it is none."""
    replaced = _replaced(ctx)
    either = replaced.items if isinstance(replaced, UnionType) else [replaced]
    if any(_is_struct(_bound(one)) for one in either):
        ctx.api.fail("a struct is replaced by msgspec.structs.replace", ctx.context)
    return replace_function_sig_callback(ctx)


def _replaced(ctx: FunctionSigContext) -> Type | None:
    """Return the type of the first argument; None where there is not one."""
    if len(ctx.args[0]) != 1:
        return None
    return get_proper_type(ctx.api.get_expression_type(ctx.args[0][0]))


def _bound(value: Type | None) -> Type | None:
    """Return what a type variable stands for at the least; all else is what it is."""
    value = None if value is None else get_proper_type(value)
    return get_proper_type(value.upper_bound) if isinstance(value, TypeVarType) else value


def _is_struct(value: Type | None) -> TypeIs[Instance]:
    return isinstance(value, Instance) and value.type.has_base("msgspec.Struct")


def plugin(_version: str) -> type[Plugin]:
    """Return what mypy is to use."""
    return ReplacedFields
