"""Exports PyTorch's own samples (OpInfo) of every operator in op_targets.txt: make_op_samples.py [--folder FOLDER] [NAME...].

One case per operator and dtype, {operator}.{dtype}, that makes up to SAMPLES calls. Samples that PyTorch cannot export, whose values are random, or whose
values change with the export form are left out; skips.{part}.json says which and why. Cases that exist are kept. NAME is an operator's name in OpInfo, such as
nn.functional.pad.
"""

import argparse
import json
import os
import signal
import warnings
import zlib

import op_tools  # first: it makes torchvision importable
import torch
from op_tools import Call, Calls, copied, differences
from torch.testing._internal.common_methods_invocations import op_db
from torch.utils import _pytree as pytree

HERE = os.path.dirname(os.path.abspath(__file__))
DTYPES = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16, "i64": torch.int64, "i32": torch.int32, "bool": torch.bool}
SAMPLES = {"f32": 12, "f16": 4, "bf16": 4, "i64": 6, "i32": 3, "bool": 4}
CANDIDATES, MAX_ELEMENTS, SECONDS = 400, 40_000, 120

# Operators whose target bears another name than they do.
RENAMED = {
    "__getitem__", "__rmod__", "__rpow__", "__rsub__", "bool", "byte", "float", "half", "int", "long", "nn.functional.conv_transpose1d",
    "nn.functional.conv_transpose3d", "nn.functional.cross_entropy", "nn.functional.fold", "nn.functional.grid_sample", "nn.functional.interpolate",
    "nn.functional.logsigmoid", "nn.functional.nll_loss", "nn.functional.normalize", "nn.functional.unfold", "nn.functional.upsample_bilinear",
    "nn.functional.upsample_nearest", "true_divide", "unique",
}  # fmt: skip
UNWANTED = {"empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided", "sparse.mm"}  # no values, or no dense program
UNWANTED_VARIANTS = {"complex", "decomposed", "grad", "triton_optimized"}
UNSTABLE = {"argsort", "kthvalue", "sort", "topk"}  # which of equal elements they name is open
STABLE_UP_TO = 16  # elements that PyTorch sorts in place of one another, never past an equal one
DATA = (int, float, bool, str, type(None), torch.Tensor, torch.dtype, torch.layout, torch.device, torch.memory_format, slice, type(...))


def wanted_names() -> set[str]:
    with open(os.path.join(HERE, "op_targets.txt")) as lines:
        return {line.split()[0].split(".")[1].strip("_") for line in lines if line.startswith("aten.")}


def operators(names: list[str]) -> list:
    wanted = wanted_names()

    def is_wanted(info) -> bool:
        if info.name in UNWANTED or info.name.startswith("masked.") or info.variant_test_name in UNWANTED_VARIANTS:
            return False
        own = {info.name, info.name.split(".")[-1], info.aten_name or info.name, *(alias.name for alias in info.aliases)}
        return info.name in RENAMED or any(name.strip("_") in wanted for name in own)

    return [info for info in op_db if (info.name in names if names else is_wanted(info))]


def is_plain(call: Call) -> bool:
    """Dense real tensors, not many elements, and constants that a program can hold."""
    tensors = call.tensors()
    leaves = pytree.tree_leaves((call.args, call.kwargs))
    return (
        all(t.layout == torch.strided and not t.is_complex() and t.device.type == "cpu" for t in tensors)
        and all(isinstance(leaf, DATA) for leaf in leaves)
        and sum(t.numel() for t in tensors) <= MAX_ELEMENTS
    )


def value_problem(call: Call) -> str | None:
    """Why a sample's values are no reference: eager fails, or it draws random numbers."""
    torch.manual_seed(1)
    before = torch.get_rng_state()
    try:
        with torch.no_grad():
            outputs = call.run(copied(call.tensors()))
    except Exception as error:
        return f"eager: {first_line(error)}"
    if not outputs:
        return "no tensor in the outputs"
    if any(t.is_complex() or t.layout != torch.strided for t in outputs):
        return "complex or sparse output"
    return None if torch.equal(before, torch.get_rng_state()) else "random values"


def first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {(str(error).strip() or '?').splitlines()[0][:200]}"


def spread(items: list, count: int) -> list:
    """Evenly over the list, ends included; one: the middle."""
    if count == 1:
        return items[len(items) // 2 :][:1]
    return items if len(items) <= count else [items[i * (len(items) - 1) // (count - 1)] for i in range(count)]


def distinct(values: torch.Tensor) -> torch.Tensor:
    """The same order with no value twice: whole numbers, or floats of evenly spaced bits."""
    count = values.numel()
    if values.dtype == torch.bool or count == values.unique().numel():
        return values
    if values.is_floating_point():
        bits = {torch.float16: torch.int16, torch.bfloat16: torch.int16, torch.float32: torch.int32}[values.dtype]
        largest = torch.tensor(torch.finfo(values.dtype).max, dtype=values.dtype).view(bits).item()
        ranked = (torch.arange(count, dtype=bits) * (largest // count)).view(values.dtype)
    else:
        ranked = torch.arange(count, dtype=values.dtype) - count // 2
    result = torch.empty(count, dtype=values.dtype)
    result[values.flatten().argsort(stable=True)] = ranked
    return result.reshape(values.shape)


def of_distinct_values(call: Call) -> Call | None:
    """None where that cannot be: of many booleans."""
    values, *others = call.args
    if values.dtype == torch.bool and max(values.shape, default=0) > STABLE_UP_TO and not call.kwargs.get("stable"):
        return None
    return Call(call.function, (distinct(values), *others), call.kwargs)


def candidate_calls(info, dtype: torch.dtype) -> list[Call]:
    calls = []
    for index, sample in enumerate(info.sample_inputs("cpu", dtype, requires_grad=False)):
        if index == CANDIDATES:
            break
        call = Call(info.op, *copied(((sample.input, *sample.args), sample.kwargs)))
        if info.name in UNSTABLE:
            call = of_distinct_values(call)
        if call is not None and is_plain(call):
            calls.append(call)
    return calls


def wrong_ranks(program, want: list[torch.Tensor]) -> list[str]:
    """What the program says of its own outputs may be wrong: unique_consecutive(dim=-1) is written with too many dimensions."""
    output = next(node for node in reversed(program.graph.nodes) if node.op == "output")
    said = [node.meta["val"].dim() for node in output.args[0] if node is not None][-len(want) :]
    return [f"output {i} is said to have rank {rank}, not {t.dim()}" for i, (rank, t) in enumerate(zip(said, want, strict=True)) if rank != t.dim()]


def is_random(target) -> bool:
    """It draws random numbers, whatever its arguments: attention and recurrent layers do so for a dropout alone, which their samples leave at 0."""
    arguments = getattr(getattr(target, "_schema", None), "arguments", ())
    return torch.Tag.nondeterministic_seeded in getattr(target, "tags", ()) and not any("dropout" in argument.name for argument in arguments)


def random_nodes(program) -> list[str]:
    """Of a form in which dropout in evaluation mode is gone. Eager calls do not tell: OpInfo gives some operators the same seed in each call."""
    return [f"{node.name} draws random values" for node in program.graph.nodes if is_random(node.target)]


def exported(calls: list[Call]) -> tuple[dict, list[str]]:
    """The two forms, and in which samples' outputs one of them differs from eager or is random."""
    module = Calls(calls)
    forms = op_tools.export_forms(module, copied(module.inputs()))
    with torch.no_grad():
        want = module(*copied(module.inputs()))
        found = [f"{ending}: {text}" for ending, program in forms.items() for text in differences(program.module()(*copied(module.inputs())), want)]
    found += random_nodes(forms[".core.pt2"])
    return forms, found + [f"{ending}: {text}" for ending, program in forms.items() for text in wrong_ranks(program, want)]


def export_problem(call: Call) -> str | None:
    try:
        return "; ".join(exported([call])[1]) or None
    except Exception as error:
        return f"export: {first_line(error)}"


def split_usable(calls: list[Call], problem, skips: list[str]) -> list[Call]:
    usable = []
    for call in calls:
        reason = problem(call)
        usable += [call] if reason is None else []
        skips += [f"{describe(call)}: {reason}"] if reason else []
    return usable


def describe(call: Call) -> str:
    return str(pytree.tree_map_only(torch.Tensor, lambda t: f"{str(t.dtype)[6:]}{list(t.shape)}", (call.args, call.kwargs)))[:200]


def make_case(info, dtype_name: str, stem: str) -> list[str]:
    """Returns what was left out."""
    skips: list[str] = []
    torch.manual_seed(zlib.crc32(stem.rsplit("/", 1)[-1].encode()))
    calls = split_usable(spread(candidate_calls(info, DTYPES[dtype_name]), SAMPLES[dtype_name]), value_problem, skips)
    if not calls:
        return skips
    try:
        forms, found = exported(calls)
    except Exception:
        forms, found = {}, ["one of the samples does not export"]
    if found:
        calls = split_usable(calls, export_problem, skips)
        if not calls:
            return skips
        forms, _ = exported(calls)
    op_tools.write_calls(stem, calls, forms)
    return skips


def give_up(*_):
    raise TimeoutError(f"more than {SECONDS} s")


def main() -> None:
    parser = argparse.ArgumentParser(description="Exports PyTorch's samples of operators.")
    parser.add_argument("--folder", default=os.path.join(HERE, "made/ops"))
    parser.add_argument("--part", default="1/1", metavar="I/N", help="every Nth operator, from the Ith: for N processes at once")
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    part, parts = (int(text) for text in arguments.part.split("/"))
    warnings.simplefilter("ignore")
    signal.signal(signal.SIGALRM, give_up)
    os.makedirs(arguments.folder, exist_ok=True)
    skip_file = f"{arguments.folder}/skips.{part}.json"
    skips = json.load(open(skip_file)) if os.path.exists(skip_file) else {}
    infos = operators(arguments.names)[part - 1 :: parts]
    for dtype_name, info in [(name, info) for name, dtype in DTYPES.items() for info in infos if dtype in info.supported_dtypes("cpu")]:
        case = "_".join(filter(None, [info.name.replace(".", "_"), info.variant_test_name])) + f".{dtype_name}"
        stem = f"{arguments.folder}/{case}"
        if os.path.exists(f"{stem}.expected.npz") or (case in skips and not arguments.names):
            continue
        signal.alarm(SECONDS)
        try:
            skips[case] = make_case(info, dtype_name, stem)
        except Exception as error:
            skips[case] = [first_line(error)]
        signal.alarm(0)
        print(case, "made" if os.path.exists(f"{stem}.expected.npz") else "not made", f"{len(skips[case])} left out", flush=True)
        with open(skip_file, "w") as file:
            json.dump({key: value for key, value in sorted(skips.items()) if value}, file, indent=1)


if __name__ == "__main__":
    main()
