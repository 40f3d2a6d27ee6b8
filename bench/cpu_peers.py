"""Whole models on the CPU beside ONNX Runtime, OpenVINO and torch.compile: cpu_peers.py REPRISE MODELS [--names …] [--threads 1 2] [--dtypes f32 bf16] [--json FILE]

MODELS is the folder that tests/models/zoo.py writes (.pt2, inputs, expected outputs). One process each, on the same cores; short rounds go around all contenders, so
that what slows the machine slows all of them. The numbers are the median calls of the median round, in milliseconds; the ratio is the median of the rounds' ratios to the peer
that this is largest for. The start is loading (compiling, for torch) and the first call. Outputs are compared with PyTorch's in f32 after the timing. REPRISE is the
command; bench_calls_on_request lies in the bench folder of the same build. Peers that are not installed are left out, by name. ONNX Runtime has no bf16 on CPUs. Packages: torch, torchvision, transformers, onnxruntime, onnxscript, openvino.
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
sys.path.insert(0, str(HERE.parent / "tests/models"))
NAMES = "pointwise resnet18 resnet50 mobilenet_v3_large vit_b_16 minilm bert_base gpt2 resnet50.b8 bert_base.b8"
PEERS = ("onnxruntime", "openvino", "inductor")


def build(name):
    """The module in float32 and its inputs."""
    import torch
    import zoo

    model, _, batch = name.partition(".b")
    torch.manual_seed(0)
    if model == "pointwise":

        class Pointwise(torch.nn.Module):
            def forward(self, x):
                return torch.relu((x + 2) * 0.5)

        return Pointwise().eval(), (torch.randn(1, 3, 224, 224),)
    maker, inputs = zoo.FIXED[model]
    module = zoo.trained_like(maker())
    if model == "minilm":
        return module, zoo.masked_tokens(1)
    if not batch:
        return module, inputs()
    return module, zoo.images(int(batch)) if model.startswith("resnet") else zoo.masked_tokens(int(batch))


def flat(result):
    import torch

    if isinstance(result, torch.Tensor):
        return [result]
    return [y for y in (result.values() if hasattr(result, "values") else result) if isinstance(y, torch.Tensor)]


def export(name, folder):
    """The program for us, and what float32 gives."""
    import numpy
    import torch

    module, inputs = build(name)
    with torch.no_grad():
        torch.export.save(torch.export.export(module, tuple(inputs)), f"{folder}/{name}.pt2")
        outputs = flat(module(*inputs))
    numpy.savez(f"{folder}/{name}.inputs.npz", **{f"input_{i}": x.numpy() for i, x in enumerate(inputs)})
    numpy.savez(f"{folder}/{name}.expected.npz", **{f"output_{i}": y.numpy() for i, y in enumerate(outputs)})


def onnx_file(name, folder):
    import torch

    path = f"{folder}/{name}.onnx"
    if not os.path.exists(path):
        module, inputs = build(name)
        with torch.no_grad():
            torch.onnx.export(module, tuple(inputs), path, dynamo=True, verbose=False)
    return path


START = []  # seconds of this process to have the model ready, and of its first call


def timed(action):
    begin = time.perf_counter()
    result = action()
    START.append(time.perf_counter() - begin)
    return result


def with_onnxruntime(name, folder, threads, dtype):
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    path = onnx_file(name, folder)
    session = timed(lambda: onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"]))
    _, inputs = build(name)
    feed = {spec.name: x.numpy() for spec, x in zip(session.get_inputs(), inputs)}
    return lambda: session.run(None, feed)


def with_openvino(name, folder, threads, dtype):
    import onnx
    import openvino

    core = openvino.Core()
    settings = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": dtype}
    path = onnx_file(name, folder)
    compiled = timed(lambda: core.compile_model(core.read_model(path), "CPU", settings))
    _, inputs = build(name)
    request, feed = compiled.create_infer_request(), [x.numpy() for x in inputs]
    names = [value.name for value in onnx.load(path, load_external_data=False).graph.input]  # it orders them otherwise
    for key, x in zip(names, feed, strict=True):
        request.set_tensor(key, openvino.Tensor(x, shared_memory=True))

    def call(feed=feed):  # the request does not own what it reads
        request.infer()
        return [request.get_output_tensor(i).data for i in range(len(compiled.outputs))]

    return call


def with_inductor(name, folder, threads, dtype):
    import torch
    import torch._inductor.config

    torch.set_num_threads(threads)
    torch._inductor.config.freezing = True
    module, inputs = build(name)
    if dtype == "bf16":
        module, inputs = module.bfloat16(), [x.bfloat16() if x.is_floating_point() else x for x in inputs]
    if inputs[0].dim() == 4:
        module, inputs = module.to(memory_format=torch.channels_last), [x.to(memory_format=torch.channels_last) for x in inputs]
    compiled = torch.compile(module)

    def call():
        with torch.no_grad():
            return [y.float().numpy() for y in flat(compiled(*inputs))]

    return call


def difference(outputs, folder, name):
    """Of all outputs that there are, relative to the largest value of each."""
    import numpy

    expected = numpy.load(f"{folder}/{name}.expected.npz")
    pairs = [(numpy.asarray(y, numpy.float64), expected[f"output_{i}"].astype(numpy.float64)) for i, y in enumerate(outputs)]
    return max(float(abs(y - e).max() / max(abs(e).max(), 1e-30)) for y, e in pairs if y.shape == e.shape)


def work(peer, name, folder, threads, dtype):
    """A peer's process: prints its readiness, then a line of JSON for every line it reads."""
    call = {"onnxruntime": with_onnxruntime, "openvino": with_openvino, "inductor": with_inductor}[peer](name, folder, threads, dtype)
    timed(call)
    for _ in range(3):
        outputs = call()
    print("ready", flush=True)
    for line in sys.stdin:
        times, seconds = [], float(line)
        while sum(times) < seconds or len(times) < 5:
            begin = time.perf_counter()
            outputs = call()
            times.append(time.perf_counter() - begin)
        print(json.dumps({"ms": statistics.median(times) * 1e3, "error": difference(outputs, folder, name), "start_ms": sum(START) * 1e3}), flush=True)


class Contender:
    """A process that is ready, on the first cores, and measures when asked."""

    def __init__(self, command, threads):
        cores = sorted(os.sched_getaffinity(0))[:threads]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            preexec_fn=lambda: os.sched_setaffinity(0, cores),
        )
        line = self.process.stdout.readline()
        while line and line.strip() != "ready":  # exporters are talkative
            line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(self.process.stderr.read().strip().splitlines()[-1][:120])

    def measure(self, seconds):
        print(seconds, file=self.process.stdin, flush=True)
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def start_peer(peer, name, options, threads, dtype):
    return Contender([sys.executable, __file__, "-", options.models, "--work", peer, "--names", name, "--threads", str(threads), "--dtypes", dtype], threads)


def start_reprise(name, options, threads, dtype):
    base = f"{options.folder}/{name}"
    module = f"{base}.{dtype}.{threads}.rpz"
    subprocess.run([options.reprise, "compile", f"{base}.pt2", "--dtype", dtype, "--threads", str(threads), "-o", module], check=True, capture_output=True)
    worker = pathlib.Path(options.reprise).resolve().parents[2] / "bench/bench_calls_on_request"
    contender = Contender([worker, module, f"{base}.inputs.npz", f"{base}.expected.npz"], threads)
    os.remove(module)
    return contender


def compare(name, options, threads, dtype):
    """{contender: {"ms", "error", "start_ms", "ratio": ours to its}}"""
    if not os.path.exists(f"{options.folder}/{name}.expected.npz"):
        export(name, options.folder)
    contenders, rounds = {"reprise": start_reprise(name, options, threads, dtype)}, {}
    for peer in options.peers:
        if peer == "onnxruntime" and dtype == "bf16":
            continue
        try:
            contenders[peer] = start_peer(peer, name, options, threads, dtype)
        except Exception as problem:
            print(f"{peer}, {name}: {problem}", file=sys.stderr)
    for _ in range(options.rounds):
        for contender, runner in contenders.items():
            rounds.setdefault(contender, []).append(runner.measure(options.seconds))
    for runner in contenders.values():
        runner.close()
    ours = [row["ms"] for row in rounds["reprise"]]
    return {
        contender: {
            "error": rows[-1]["error"],
            "ms": statistics.median(row["ms"] for row in rows),
            "start_ms": rows[0]["start_ms"],
            "ratio": statistics.median(mine / row["ms"] for mine, row in zip(ours, rows)),
        }
        for contender, rows in rounds.items()
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reprise")
    parser.add_argument("models")
    parser.add_argument("--names", nargs="*", default=NAMES.split())
    parser.add_argument("--threads", nargs="*", type=int, default=[1, 2])
    parser.add_argument("--dtypes", nargs="*", default=["f32", "bf16"])
    parser.add_argument("--peers", nargs="*", default=list(PEERS))
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--seconds", type=float, default=0.3, help="of a contender in a round")
    parser.add_argument("--json")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.folder = options.models
    if options.work:
        return work(options.work, options.names[0], options.models, options.threads[0], options.dtypes[0])
    results = {}
    print(f"{'milliseconds (error), start':36}", *(f"{c:>26}" for c in ("reprise", *options.peers)), "  ours : best", flush=True)
    for name in options.names:
        for dtype in options.dtypes:
            for threads in options.threads:
                row = results[f"{name} {dtype} {threads}"] = compare(name, options, threads, dtype)
                cells = [f"{row[c]['ms']:.3f} ({row[c]['error']:.0e}) {row[c]['start_ms']:6.0f}" if c in row else "" for c in ("reprise", *options.peers)]
                ratios = [row[c]["ratio"] for c in options.peers if c in row]
                ratio = f"{max(ratios):8.2f}" if ratios else ""
                print(f"{name + ', ' + dtype + ', ' + str(threads) + ' threads':36}", *(f"{c:>26}" for c in cells), ratio, flush=True)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
