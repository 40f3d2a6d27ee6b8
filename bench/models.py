"""Whole models on a GPU beside PyTorch: models.py REPRISE [--names …] [--peer] [--saved …] [--level N] [--json FILE]

Exports seeded models in half precision, checks Reprise's values against float32 ones, times calls of both in one run, and prints a table of medians in
microseconds. The peer is torch.compile(mode="reduce-overhead"), channels_last, cudnn.benchmark. A name is MODEL[.bBATCH][.f32]; f32 multiplies in tf32 on both
sides.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent / "tests/models"), str(HERE.parent / "scripts")]
NAMES = "resnet18 resnet50 mobilenet_v3_large vit_b_16 bert_base gpt2 resnet50.b16 resnet18.f32 pointwise"
ROW = 50


def parts(name):
    """(model, batch, dtype name)"""
    words = name.split(".")
    batch = next((int(w[1:]) for w in words if w[0] == "b" and w[1:].isdigit()), 1)
    return words[0], batch, "f32" if "f32" in words else "f16"


def build(name):
    """The module in float32 and its inputs."""
    import torch

    model, batch, _ = parts(name)
    torch.manual_seed(0)
    if model == "pointwise":

        class Pointwise(torch.nn.Module):
            def forward(self, x):
                return torch.relu((x + 2) * 0.5)

        return Pointwise(), (torch.randn(64, 64),)
    sys.modules["torchvision_cpu"] = sys  # a PyTorch with CUDA needs no stand-in for torchvision's operators
    import zoo

    maker, inputs = zoo.FIXED[model]
    module = zoo.trained_like(maker())
    if model in ("resnet18", "resnet50", "mobilenet_v3_large", "vit_b_16"):
        return module, zoo.images(batch)
    return module, inputs()


def outputs_of(result):
    import torch

    return [result] if isinstance(result, torch.Tensor) else list(result)


def convert(module, inputs, dtype, device):
    import torch

    if dtype == "f16":
        module, inputs = module.half(), [x.half() if x.is_floating_point() else x for x in inputs]
    return module.to(device), [x.to(device) for x in inputs]


def export(name, folder):
    import numpy
    import torch

    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    module, inputs = build(name)
    with torch.no_grad():
        module, inputs = convert(module, inputs, parts(name)[2], "cpu")
        torch.export.save(torch.export.export(module, tuple(inputs)), f"{folder}/{name}.pt2")
        module, inputs = module.cuda(), [x.cuda() for x in inputs]
        own = [y.float() for y in outputs_of(module(*inputs))]
        exact = outputs_of(module.float()(*[x.float() if x.is_floating_point() else x for x in inputs]))
    numpy.savez(f"{folder}/{name}.inputs.npz", **{f"input_{i}": x.cpu().numpy() for i, x in enumerate(inputs)})
    numpy.savez(f"{folder}/{name}.expected.npz", **{f"output_{i}": y.cpu().numpy() for i, y in enumerate(exact)})
    errors = [((a - b).abs().max() / b.abs().max()).item() for a, b in zip(own, exact)]
    pathlib.Path(f"{folder}/{name}.error").write_text(str(max(errors)))


def reprise(options, verb, name, *more):
    command = [options.reprise, verb, f"{options.folder}/{name}.pt2", "--device", "cuda:0", *(["--cudagraphs"] if verb != "compile" else []), "--optimization-level", str(options.level), "--runtime-cache", options.runtime_cache, "--json", *more]
    if parts(name)[2] == "f32":
        command.append("--allow-tf32")
    done = subprocess.run(command, capture_output=True, text=True, timeout=400)
    if not done.stdout.startswith("{"):
        raise RuntimeError((done.stderr or done.stdout or f"exit {done.returncode}").strip().splitlines()[-1][:300])
    return json.loads(done.stdout)


def check(options, name):
    """(largest error relative to each output's largest value, that of PyTorch's half precision)"""
    own = float(pathlib.Path(f"{options.folder}/{name}.error").read_text())
    values = (f"{options.folder}/{name}.inputs.npz", "--expect", f"{options.folder}/{name}.expected.npz")
    rows = reprise(options, "run", name, "--rtol", "1", "--inputs", *values)["comparison"]["outputs"]
    return max(float("nan") if row["problem"] else row["max_rel"] for row in rows), own


def ours(options, name):
    result = reprise(options, "bench", name, "--seconds", "0.5")
    rows = result["latency_ms"]
    micro = {key: rows[label]["p50"] * 1e3 for key, label in (("call", "call"), ("run", "run"), ("host", "enqueue: host"), ("row", "enqueue: throughput"))}
    staged = result["stats"]["staged_inputs"] + result["stats"]["staged_outputs"]
    return {**micro, "staged": staged, "load": result["load_ms"] * 1e3, "first": result["first_call_ms"] * 1e3}


def saved(options, name):
    """A module tuned and saved, in a new process: milliseconds to the first result, and the driver's and libraries' part."""
    module = f"{options.folder}/{name}.rpz"
    reprise(options, "compile", name, "--output", module)
    begin = time.perf_counter()
    run = subprocess.run([options.reprise, "run", module, "--device", "cuda:0"], capture_output=True, text=True, timeout=100)
    whole = (time.perf_counter() - begin) * 1e3
    bench = subprocess.run([options.reprise, "bench", module, "--device", "cuda:0", "--seconds", "0", "--json"], capture_output=True, text=True, timeout=100)
    if run.returncode != 0 or not bench.stdout.startswith("{"):
        raise RuntimeError(run.stderr or bench.stderr)
    result = json.loads(bench.stdout)
    return f"{name} saved: the whole process {whole:.0f} ms; load {result['load_ms']:.0f} ms, first call {result['first_call_ms']:.0f} ms, of which the driver and libraries {result['library_ms']:.0f} ms; {result['compiled_programs']} programs compiled"


def peer(options, name):
    import torch

    dtype = parts(name)[2]
    torch.backends.cudnn.benchmark = True
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = dtype == "f32"
    module, inputs = convert(*build(name), dtype, "cuda")
    if inputs[0].dim() == 4:
        module, inputs = module.to(memory_format=torch.channels_last), [x.to(memory_format=torch.channels_last) for x in inputs]
    with torch.no_grad():
        compiled = torch.compile(module, mode="reduce-overhead")
        for _ in range(10):
            compiled(*inputs)
        torch.cuda.synchronize()
        if options.warm:
            return {}
        alone, rows = [], []
        while len(alone) < 2000 and sum(alone) < 1.0:
            start = time.perf_counter()
            compiled(*inputs)
            torch.cuda.synchronize()
            alone.append(time.perf_counter() - start)
        while len(rows) < 40 and sum(rows) < 1.0:
            start = time.perf_counter()
            for _ in range(ROW):
                compiled(*inputs)
            torch.cuda.synchronize()
            rows.append(time.perf_counter() - start)
    return {"peer": statistics.median(alone) * 1e6, "peer_row": statistics.median(rows) * 1e6 / ROW}


def each(options, action, names):
    """One process per name, all at once."""
    started = [(n, subprocess.Popen([sys.executable, __file__, options.reprise, "--folder", options.folder, "--action", action, "--names", n])) for n in names]
    for name, process in started:
        if process.wait() != 0:
            print(f"{action} of {name} failed", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("reprise")
    parser.add_argument("--names", nargs="*", default=NAMES.split())
    parser.add_argument("--folder", default="/tmp/bench_models")
    parser.add_argument("--level", type=int, default=3, help="optimization level")
    parser.add_argument("--runtime-cache", default="/tmp/bench_models/runtime.cache")
    parser.add_argument("--peer", action="store_true")
    parser.add_argument("--saved", nargs="*", default=[], help="models to save, tuned, and to load in a new process")
    parser.add_argument("--warm", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--action", choices=["export", "warm"], help=argparse.SUPPRESS)
    parser.add_argument("--json")
    options = parser.parse_args()
    os.makedirs(options.folder, exist_ok=True)
    if options.action == "export":
        return export(options.names[0], options.folder)
    if options.action == "warm":
        options.warm = True
        return peer(options, options.names[0])
    each(options, "export", [n for n in options.names if not os.path.exists(f"{options.folder}/{n}.error")])
    if options.peer:
        each(options, "warm", options.names)  # fills the compiler's cache
    results = {}
    columns = ("error", "their error", "tuned", "call", "run", "row", "host", "staged", "load", "first", "peer", "peer_row")
    print(f"{'microseconds':22}", *(f"{c:>11}" for c in columns), "  run/peer  row/peer_row", flush=True)
    for name in options.names:
        row = results[name] = {}
        try:
            started = time.perf_counter()
            row["error"], row["their error"] = check(options, name)
            row["tuned"] = (time.perf_counter() - started) * 1e6
            row.update(ours(options, name))
        except Exception as problem:  # the other models still count
            print(f"{name}: {problem}", flush=True)
        if options.peer:
            row.update(peer(options, name))
        cells = [f"{row[c]:11.2e}" if "error" in c and c in row else f"{row[c]:11.1f}" if c in row else f"{'':11}" for c in columns]
        ratios = [f"{row[a] / row[b]:10.2f}" for a, b in (("run", "peer"), ("row", "peer_row")) if a in row and b in row]
        print(f"{name:22}", *cells, *ratios, flush=True)
    for name in options.saved:
        print(saved(options, name), flush=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
