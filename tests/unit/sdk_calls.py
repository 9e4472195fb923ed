"""Follows the values that come from the Tinker SDK through a program, and tells what is misused."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import re
import types
import typing
from typing import NamedTuple

# What is known of a value: one of these three, or an annotation (it is an instance of that); None: nothing.


class Module(NamedTuple):
    holder: object


class Type(NamedTuple):
    holder: type


class Call(NamedTuple):
    function: object
    owner: object = None  # the annotation of self
    returns: object = None  # of a function of the program itself


class Checker(ast.NodeVisitor):
    """Follows the values that come from tinker through a program, and collects each misuse as `line N: what`."""

    def __init__(self, tinker):
        self.tinker, self.known, self.problems, self.checked = tinker, {}, [], set()
        self.names = vars(typing) | vars(tinker.types) | vars(tinker)
        self.names |= {"types": tinker.types, "Sequence": list, **dict.fromkeys("TC", typing.TypeVar("T"))}

    def blame(self, node, what):
        self.problems.append(f"line {node.lineno}: {what}")

    # Statements that give a name its value

    def visit_Import(self, node):
        for one in node.names:
            if one.name == "tinker":
                self.known[one.asname or one.name] = Module(self.tinker)

    def visit_ImportFrom(self, node):
        if node.module == "tinker":
            for one in node.names:
                self.known[one.asname or one.name] = self.member(node, Module(self.tinker), one.name)

    def visit_FunctionDef(self, node):
        outside = dict(self.known)
        for arg in node.args.args:
            self.known[arg.arg] = self.annotated(arg.annotation)
        for line in node.body:
            self.visit(line)
        self.known = outside
        self.known[node.name] = Call(None, returns=self.annotated(node.returns))

    def annotated(self, node):
        kind = self.kind(node) if node else None
        return kind.holder if isinstance(kind, Type) else None

    def visit_Assign(self, node):
        kind = self.kind(node.value)
        for target in node.targets:
            self.bind(target, kind)

    def visit_With(self, node):
        for item in node.items:
            kind = self.kind(item.context_expr)
            if item.optional_vars:
                self.bind(item.optional_vars, kind)
        for line in node.body:
            self.visit(line)

    def visit_For(self, node):
        self.bind(node.target, self.element(self.kind(node.iter)))
        for line in node.body:
            self.visit(line)

    def bind(self, target, kind):
        if isinstance(target, ast.Name):
            self.known[target.id] = kind
        elif isinstance(target, ast.Tuple):
            parts = typing.get_args(kind) if typing.get_origin(kind) is tuple else [None] * len(target.elts)
            for one, part in zip(target.elts, parts, strict=True):
                self.bind(one, part)

    def visit(self, node):
        return self.kind(node) if isinstance(node, ast.expr) else super().visit(node)

    # Expressions

    def kind(self, node):
        if type(node) in self.KINDS:
            return self.KINDS[type(node)](self, node)
        for child in ast.iter_child_nodes(node):
            self.visit(child)
        return None

    def of_name(self, node):
        return self.known.get(node.id)

    def of_tuple(self, node):
        kinds = [self.kind(one) for one in node.elts]
        return tuple[tuple(kind if is_annotation(kind) else object for kind in kinds)]

    def of_listcomp(self, node):
        for loop in node.generators:
            self.bind(loop.target, self.element(self.kind(loop.iter)))
            for condition in loop.ifs:
                self.kind(condition)
        kind = self.kind(node.elt)
        return list[kind] if is_annotation(kind) else None

    def of_list(self, node):
        kinds = [self.kind(one) for one in node.elts]
        return list[kinds[0]] if kinds and is_annotation(kinds[0]) else None

    def of_subscript(self, node):
        self.kind(node.slice)
        return self.element(self.kind(node.value))

    def element(self, kind):
        origin, inner = typing.get_origin(kind), typing.get_args(kind)
        return inner[-1] if origin in (list, dict) else None

    def of_attribute(self, node):
        owner = self.kind(node.value)
        return None if owner in (None, object) else self.member(node, owner, node.attr)

    def member(self, node, owner, name):
        if isinstance(owner, Call):
            return self.blame(node, f".{name} of a function: call it first")
        if isinstance(owner, Module | Type):
            there = not name.startswith("_") and hasattr(owner.holder, name)
            blamed = f"{owner.holder.__name__} has no {name}"
            return self.wrapped(node, getattr(owner.holder, name)) if there else self.blame(node, blamed)
        cls = typing.get_origin(owner) or owner
        if not getattr(cls, "__module__", "").startswith("tinker"):
            return None
        if creates(cls) and not hasattr(self.tinker.APIFuture, name):
            return self.blame(node, f".{name} of a future: .result(timeout=...) first")
        return self.attribute(node, owner, cls, name)

    def wrapped(self, node, value, owner=None):
        if hasattr(value, "__deprecated__"):
            self.blame(node, f"deprecated: {value.__deprecated__}")
        if inspect.ismodule(value):
            return Module(value)
        return Type(value) if inspect.isclass(value) else Call(value, owner) if callable(value) else None

    def attribute(self, node, owner, cls, name):
        found = inspect.getattr_static(cls, name, None)
        if inspect.isfunction(found):
            return self.wrapped(node, found, owner)
        read = getattr(found, "fget", None) or getattr(found, "func", None)  # a property, plain or cached
        if read:
            return self.resolved(inspect.signature(read).return_annotation, owner)
        fields = {key: hint for one in reversed(cls.__mro__) for key, hint in inspect.get_annotations(one).items()}
        if name in fields:
            return self.resolved(fields[name], owner)
        if not sets(cls, name):
            self.blame(node, f"{cls.__name__} has no {name}")
        return None

    def of_call(self, node):
        called = self.kind(node.func)
        given = [self.kind(one) for one in node.args]
        named = {one.arg: self.kind(one.value) for one in node.keywords}
        if isinstance(node.func, ast.Name) and node.func.id == "zip":
            return list[tuple[tuple(self.element(one) or object for one in given)]]
        if isinstance(called, Type):
            self.bound(node, called.holder, given, named)
            return called.holder
        if not isinstance(called, Call) or called.function is None:
            return getattr(called, "returns", None)
        self.bound(node, called.function, [called.owner][: called.owner is not None] + given, named)
        return self.resolved(inspect.signature(called.function).return_annotation, called.owner)

    def bound(self, node, function, given, named):
        name, signature = function.__name__, inspect.signature(function)
        self.checked.add(name)
        if any(isinstance(one, ast.Starred) for one in node.args) or None in named:
            return self.blame(node, f"{name}: write the arguments out, so that they can be checked")
        strict = signature.replace(parameters=[p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD])
        try:
            strict.bind(*given, **named)
        except TypeError as error:
            return self.blame(node, f"{name}: {error}")
        if name == "result" and not given[1:] and "timeout" not in named:
            self.blame(node, "result: give it a timeout")
        return self.literals(node, strict, len(given) - len(node.args))

    def literals(self, node, signature, shift):
        """Blame a written text that is none of those that the parameter allows."""
        parameters = [*signature.parameters.values()][shift:]
        written = [*zip(parameters, node.args, strict=False)]
        written += [(signature.parameters[one.arg], one.value) for one in node.keywords]
        for parameter, value in written:
            hint = self.resolved(parameter.annotation, None)
            allowed = typing.get_args(hint) if typing.get_origin(hint) is typing.Literal else ()
            if allowed and isinstance(value, ast.Constant) and value.value not in allowed:
                self.blame(node, f"{parameter.name} is {value.value!r}, allowed are {', '.join(map(str, allowed))}")

    def resolved(self, hint, owner):
        """The type that an annotation names; T of a future is what it is a future of; None when it cannot be told."""
        if isinstance(hint, str):
            try:
                hint = eval(hint, dict(self.names))  # annotations of the installed SDK
            except (NameError, AttributeError, TypeError):
                return None
        if isinstance(hint, typing.TypeVar):
            return getattr(self.tinker, creates(owner) or "", None) or next(iter(typing.get_args(owner)), None)
        return None if hint in (None, inspect.Signature.empty) else hint

    KINDS = types.MappingProxyType(
        {
            ast.Name: of_name,
            ast.Tuple: of_tuple,
            ast.List: of_list,
            ast.ListComp: of_listcomp,
            ast.GeneratorExp: of_listcomp,
            ast.Subscript: of_subscript,
            ast.Attribute: of_attribute,
            ast.Call: of_call,
        }
    )


def sets(cls, name):
    """Tell whether the written __init__ of a class sets this attribute."""
    is_written = inspect.isfunction(cls.__init__) and not dataclasses.is_dataclass(cls)
    written = inspect.getsource(cls.__init__) if is_written else ""
    return re.search(rf"self\.{name}\b.* = ", written) is not None


def creates(cls):
    """The client whose creation this is a future of; '' for everything else."""
    found = re.fullmatch(r"Backcompat(\w+)Future", getattr(cls, "__name__", ""))
    return found[1] if found else ""


def is_annotation(kind):
    return kind is not None and not isinstance(kind, Module | Type | Call)


def check(tinker, program):
    """The checker after it has read a program: `problems`, and the names of the calls that it `checked`."""
    checker = Checker(tinker)
    checker.visit(ast.parse(program))
    return checker
