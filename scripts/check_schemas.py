"""Compares a table of ATen schemas with PyTorch's: check_schemas.py < TABLE. Lines are `target<TAB>schema` or a schema alone.

Names, order, keyword-only marks and defaults of the parameters must be the same; types may be left out. Targets that are no operators of PyTorch's dispatcher
(_operator, math, torch.sym_*, higher_order) are not looked at. Exits 1 when something differs.
"""

import ast
import re
import sys
from dataclasses import dataclass

import torchvision_cpu  # noqa: F401
import torch


@dataclass
class Parameter:
    name: str
    default: object  # REQUIRED: none
    keyword_only: bool


REQUIRED = object()


def split_parameters(text: str) -> list[str]:
    """At commas outside of brackets."""
    parts, depth, current = [], 0, ""
    for character in text:
        depth += (character in "([") - (character in ")]")
        if character == "," and depth == 0:
            parts, current = [*parts, current.strip()], ""
        else:
            current += character
    return [part for part in [*parts, current.strip()] if part]


def literal(text: str):
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text  # a word such as contiguous_format


def parse(schema: str) -> tuple[str, list[Parameter]]:
    """The target (aten.add.Tensor) and the parameters of `aten::add.Tensor(Tensor self, ...) -> Tensor`."""
    name, rest = schema.split("(", 1)
    space, _, operator = name.partition("::")
    target = f"{space}.{operator}" if "." in operator else f"{space}.{operator}.default"
    parameters, keyword_only = [], False
    body = rest.split("->")[0].strip().removesuffix(")") if "->" in rest else rest.strip().removesuffix(")")
    for part in split_parameters(body):
        if part == "*":
            keyword_only = True
            continue
        left, _, default = part.partition("=")
        parameters.append(Parameter(left.split()[-1], literal(default) if default else REQUIRED, keyword_only))
    return target, parameters


def same_default(a, b) -> bool:
    """`int[2] stride=1` and `[1, 1]` are the same."""
    if isinstance(a, list) != isinstance(b, list) and REQUIRED not in (a, b):
        items, one = (a, b) if isinstance(a, list) else (b, a)
        return bool(items) and all(item == one for item in items)
    return a == b and isinstance(a, bool) == isinstance(b, bool)


def compare(ours: list[Parameter], theirs: list[Parameter]) -> str | None:
    if [p.name for p in ours] != [p.name for p in theirs]:
        return f"parameters {[p.name for p in ours]}, PyTorch's are {[p.name for p in theirs]}"
    for a, b in zip(ours, theirs):
        if a.keyword_only != b.keyword_only:
            return f"{a.name} is{'' if b.keyword_only else ' not'} keyword-only in PyTorch"
        if not same_default(a.default, b.default):
            return f"default of {a.name} is {show(a.default)}, PyTorch's is {show(b.default)}"
    return None


def show(default) -> str:
    return "none" if default is REQUIRED else repr(default)


def pytorch_schema(target: str) -> str | None:
    space, name, overload = target.split(".")
    try:
        return str(torch._C._get_schema(f"{space}::{name}", "" if overload == "default" else overload))
    except RuntimeError:
        return None


def main() -> int:
    wrong = checked = 0
    for line in filter(str.strip, sys.stdin):
        target, ours = parse(line.rstrip("\n").split("\t")[-1])
        if not re.match(r"(aten|torchvision|prims|quantized_decomposed)\.", target):
            continue
        theirs = pytorch_schema(target)
        problem = "PyTorch has no such operator" if theirs is None else compare(ours, parse(theirs)[1])
        checked += 1
        if problem:
            wrong += 1
            print(f"{target}: {problem}")
    print(f"{checked} schemas compared, {wrong} wrong")
    return 1 if wrong or not checked else 0


if __name__ == "__main__":
    sys.exit(main())
