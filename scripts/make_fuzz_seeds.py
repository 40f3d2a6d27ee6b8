#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets, tests/fuzz/seeds/, from the programs under tests/models/generations: small parts of real files."""
import glob
import io
import json
import os
import re
import zipfile

ROOT = os.path.join(os.path.dirname(__file__), "..", "tests")
SEEDS = os.path.join(ROOT, "fuzz", "seeds")


S = "Symbol('s0', positive=True, integer=True)"
SREPR = [
    f"Piecewise(ExprCondPair(Integer(1), Equality({S}, Integer(1))), ExprCondPair(Max({S}, Integer(2)), true))",
    f"TruncToInt(FloatTrueDiv(ToFloat({S}), Float('3.0', precision=53)))",
    f"And(Or(Unequality({S}, Integer(3)), StrictLessThan({S}, Integer(9))), Not(GreaterThan({S}, Symbol('u0'))), LessThan({S}, int_oo))",
    f"floor(Add(Mul(Rational(1, 2), {S}), Rational(1, 2)))",
    f"Add(FloorDiv({S}, Integer(2)), Mod({S}, Integer(3)), CeilDiv({S}, Integer(4)), ModularIndexing({S}, Integer(2), Integer(3)), CleanDiv({S}, Integer(1)))",
    f"RoundToInt(Mul(Float('0.5', precision=53), ToFloat(PowByNatural({S}, Integer(2)))))",
    f"Where(StrictGreaterThan(PythonMod({S}, Integer(2)), Integer(0)), Abs(-{S}), Min({S}, LShift({S}, Integer(2)), RShift({S}, Integer(1))))",
    f"CeilToInt(FloatPow(ToFloat({S}), Float('0.5', precision=53)))",
    f"Pow({S}, Rational(1, 2))",
    f"Mul({S}, Pow(Symbol('s1'), Integer(-1)), oo)",
]


def write(target, name, content):
    folder = os.path.join(SEEDS, target)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "wb") as f:
        f.write(content if isinstance(content, bytes) else content.encode())


def model_of(archive):
    return next(n for n in archive.namelist() if n.endswith("models/model.json") or n == "serialized_exported_program.json")


def slim(model):
    """Without most of the metadata, which no one reads."""
    def walk(value):
        if isinstance(value, dict):
            if isinstance(value.get("metadata"), dict):
                value["metadata"] = {k: v[-120:] for k, v in value["metadata"].items() if k == "stack_trace"}
            for v in value.values():
                walk(v)
        elif isinstance(value, list):
            for v in value:
                walk(v)
    walk(model)
    return json.dumps(model)


def main():
    for version, program in [("2.6.0", "shared"), ("2.6.0", "data_dependent.core"), ("2.8.0", "dynamic"), ("2.13.0", "state.core"), ("2.13.0", "cond"), ("2.13.0", "data_dependent")]:
        path = f"{ROOT}/models/generations/torch-{version}/{program}.pt2"
        with zipfile.ZipFile(path) as archive:
            model = archive.read(model_of(archive)).decode()
            write("model", f"{program}-{version}.json", slim(json.loads(model)))
            for n, text in enumerate(sorted(set(re.findall(r'"expr_str": "([^"]*)"', model)))[:4]):
                write("srepr", f"{program}-{version}-{n}", "\0" + text)
    for version, program in [("2.6.0", "state"), ("2.8.0", "state"), ("2.13.0", "state.core"), ("2.13.0", "shared")]:
        path = f"{ROOT}/models/generations/torch-{version}/{program}.pt2"
        slimmed = io.BytesIO()
        with zipfile.ZipFile(path) as archive, zipfile.ZipFile(slimmed, "w") as out:
            for name in archive.namelist():
                content = archive.read(name)
                if name == model_of(archive):
                    content = slim(json.loads(content)).encode()
                if name.endswith(".pt"):
                    short = name.replace("/", "_").removeprefix(program + "_")
                    with zipfile.ZipFile(io.BytesIO(content)) as inner:
                        write("pickle", f"{program}-{version}-{short}", inner.read(next(n for n in inner.namelist() if n.endswith("data.pkl"))))
                    if version == "2.6.0":
                        write("zip", f"{program}-{short}", content)
                out.writestr(name, content)
        write("pt2", f"{program}-{version}", slimmed.getvalue())
    with zipfile.ZipFile(deflated := io.BytesIO(), "w", zipfile.ZIP_DEFLATED) as out:
        out.writestr("a/b.txt", "text " * 40)
        out.writestr("empty", "")
    write("zip", "deflated", deflated.getvalue())
    for path in glob.glob(f"{ROOT}/models/generations/torch-2.13.0/s*.npz"):
        with open(path, "rb") as f:
            write("npz", os.path.basename(path), f.read())
        with zipfile.ZipFile(path) as archive:
            write("npz", os.path.basename(path) + ".npy", archive.read(archive.namelist()[0]))
    with open(f"{ROOT}/plan/data/format_1_0.rpz", "rb") as f:
        write("rpz", "format_1_0", f.read())
    for n, text in enumerate(SREPR):
        write("srepr", f"functions-{n}", chr(n % 3) + text)
    write("json", "values", '{"a": [1, -2.5e3, "x\\u00e9", true, null, {"as_int": 1}], "b": {"c": "-Infinity"}, "d": 18446744073709551615}')


if __name__ == "__main__":
    main()
