"""PyTorch's times beside those of bench_cuda_ops: `cuda_ops.py RESULTS`, the program's output. Graphs where PyTorch can record the op, else calls in a row."""

import sys

import torch
import torch.nn.functional as F

IN_A_ROW = 20
ROUNDS = 5


def rand(*sizes, dtype=torch.float16):
    return torch.empty(sizes, device="cuda", dtype=torch.float32).uniform_(-2, 2).to(dtype)


def index(*sizes, below):
    return torch.randint(below, sizes, device="cuda")


def last(x):
    return x.contiguous(memory_format=torch.channels_last)


def cases():
    f32 = torch.float32
    image, tall, weight = rand(16, 256, 56, 56), rand(16, 64, 112, 112), rand(50257, 768)
    table, pool16, pool1, mean = rand(4096, 1024), last(rand(16, 64, 112, 112)), last(rand(1, 64, 112, 112)), last(rand(16, 2048, 7, 7))
    yield "concat f16 2 x [16, 256, 56, 56]", lambda: torch.cat([image, image], 1)
    yield "pad f16 [16, 64, 112, 112]", lambda: F.pad(tall, (1, 1, 1, 1))
    yield "max pool f16 [16, 64, 112, 112] NHWC", lambda: F.max_pool2d(pool16, 3, 2, 1)
    yield "max pool f16 [1, 64, 112, 112] NHWC", lambda: F.max_pool2d(pool1, 3, 2, 1)
    yield "global mean f16 [16, 2048, 7, 7] NHWC", lambda: F.adaptive_avg_pool2d(mean, 1)
    small = rand(4, 21, 64, 64)
    yield "resize f16 [4, 21, 64, 64] to 512", lambda: F.interpolate(small, (512, 512), mode="bilinear")
    for count in (8192, 128):
        yield f"embedding f16 [{count}] of [50257, 768]", lambda i=index(count, below=50257): F.embedding(i, weight)
    wide, columns = rand(4096, 4096, dtype=f32), index(4096, 1024, below=4096)
    yield "gather f32 [4096, 1024] of [4096, 4096]", lambda: torch.gather(wide, 1, columns)
    rows, values = index(128, below=4096), rand(128, 1024)
    yield "index_put f16 [128] of [4096, 1024]", lambda: table.index_put((rows,), values)
    for name, dtype, sizes in (("f16", torch.float16, (24576, 128)), ("f16", torch.float16, (4096, 4096)), ("f32", f32, (64, 50257))):
        yield f"softmax {name} {list(sizes)}", lambda x=rand(*sizes, dtype=dtype): torch.softmax(x, 1)
    for sizes in ((128, 768), (8192, 768), (8192, 4096)):
        yield f"layer norm f16 {list(sizes)}", lambda x=rand(*sizes), w=rand(sizes[1]): F.layer_norm(x, (x.shape[1],), w, w)
    group, channels = rand(2, 320, 64, 64), rand(320)
    yield "group norm f16 [2, 320, 64, 64]", lambda: F.group_norm(group, 32, channels, channels)
    for name, sizes in (("[1, 10M]", (1, 10_000_000)), ("[4096, 2048]", (4096, 2048))):
        yield f"cumsum f32 {name}", lambda x=rand(*sizes, dtype=f32): torch.cumsum(x, 1)
    for name, sizes in (("[1, 100k]", (1, 100_000)), ("[1, 1M]", (1, 1_000_000)), ("[1, 10M]", (1, 10_000_000)), ("[1000, 5000]", (1000, 5000))):
        yield f"sort f32 {name}", lambda x=rand(*sizes, dtype=f32): torch.sort(x, 1, stable=True)
    for k, sizes in ((50, (1, 50257)), (50, (64, 50257)), (2, (8192, 64))):
        yield f"top {k} f32 {list(sizes)}", lambda x=rand(*sizes, dtype=f32), k=k: torch.topk(x, k, 1)
    million, many = rand(1_000_000, dtype=f32), index(1_000_000, below=1_000_000)
    few, hundred = index(1_000_000, below=100), rand(100, dtype=f32)
    yield "scatter f32 1M of 1M", lambda: million.scatter(0, many, million)
    yield "scatter_add f32 1M to 1M", lambda: million.scatter_add(0, many, million)
    yield "scatter_add f32 1M to 100", lambda: hundred.scatter_add(0, few, million)
    nodes, edges, to = rand(10_000, 128, dtype=f32), rand(100_000, 128, dtype=f32), index(100_000, 1, below=10_000).expand(100_000, 128)
    yield "scatter_add f32 [100k, 128] to 10k", lambda: nodes.scatter_add(0, to, edges)
    flags, numbers = index(10_000_000, below=2).bool(), index(1_000_000, below=1000)
    yield "nonzero bool 10M", lambda: torch.nonzero(flags)
    yield "unique i64 1M of 1000", lambda: torch.unique(numbers, return_inverse=True, return_counts=True)


def record(call):
    call()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(IN_A_ROW):
            call()
    return graph.replay


def microseconds(call, recorded):
    def in_a_row():
        for _ in range(IN_A_ROW):
            call()

    run = record(call) if recorded else in_a_row
    run()
    times = []
    for _ in range(ROUNDS):
        begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        begin.record()
        run()
        end.record()
        torch.cuda.synchronize()
        times.append(begin.elapsed_time(end) * 1000 / IN_A_ROW)
    return sorted(times)[ROUNDS // 2]


def main():
    ours = {}
    for line in open(sys.argv[1]):
        name, time, rate = line.rstrip("\n").split("\t")
        ours[name] = (float(time), float(rate))
    print(f"| {'op':40} | ours µs | GB/s | PyTorch µs | ratio |\n|---|---|---|---|---|")
    for name, call in cases():
        theirs = microseconds(call, recorded=not name.startswith(("nonzero", "unique", "sort")))
        time, rate = ours.get(name, (float("nan"), 0))
        print(f"| {name:40} | {time:.1f} | {rate:.0f} | {theirs:.1f} | {time / theirs:.2f} |", flush=True)


main()
