"""Memory of one call on the CPU: cpu_memory.py REPRISE PROGRAM.pt2… [--dtype bf16] [--threads N] [--packed-weights]

For each program: the weights' bytes, the most that tensors between commands hold at once, computed here from the order of commands that `inspect --plan --json` prints
(a tensor lives from the command that writes it to the last that reads it), the arena that the planner reaches, the sum of all these tensors, and the peak of
resident memory of a process that loads the saved module and calls it once, less that of one that calls a module of a few pointwise steps. Wanted: at most weights +
1.3 times the most that is alive, with inputs and outputs.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

MIB = 2**20


def output_of(command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def tensor_bytes(commands, buffers):
    """The most bytes of temps alive at once, and of all together."""
    first, last = {}, {}
    for at, command in enumerate(commands):
        for buffer in command["inputs"] + command["outputs"]:
            if buffers[buffer]["kind"] == "temp":
                first.setdefault(buffer, at)
                last[buffer] = at
    alive = [sum(buffers[b]["bytes"] for b in first if first[b] <= at <= last[b]) for at in range(len(commands))]
    return max(alive, default=0), sum(buffers[b]["bytes"] for b in first)


# A process counts what it held before it became another program, too: so its parent is a small one.
LAUNCHER = """
import os, sys
child = os.fork()
if child == 0:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.execv(sys.argv[1], sys.argv[1:])
_, status, usage = os.wait4(child, 0)
print(usage.ru_maxrss)
sys.exit(status != 0)
"""


def peak_of(command):
    """Resident bytes, by the system's account of the process."""
    return int(output_of([sys.executable, "-I", "-S", "-c", LAUNCHER, *command])) * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reprise")
    parser.add_argument("programs", nargs="+", type=pathlib.Path)
    parser.add_argument("--dtype", default="f32")
    parser.add_argument("--threads", default="1")
    parser.add_argument("--packed-weights", action="store_true", help="saved modules hold weights as this processor's kernels want them")
    options = parser.parse_args()
    options.reprise = os.path.abspath(options.reprise)
    small = pathlib.Path(__file__).resolve().parent.parent / "tests/models/generations/torch-2.13.0"
    print(f"{'MiB':28}{'weights':>10}{'alive':>10}{'arena':>10}{'all temps':>10}{'peak':>10}{'wanted':>10}")
    with tempfile.TemporaryDirectory() as folder:
        def saved(program):
            module = f"{folder}/{program.stem}.rpz"
            packed = ["--packed-weights"] if options.packed_weights else []
            output_of([options.reprise, "compile", str(program), "--dtype", options.dtype, "--threads", options.threads, *packed, "-o", module])
            return module

        base = peak_of([options.reprise, "run", saved(small / "shared.pt2")])
        for program in options.programs:
            module = saved(program)
            plan = json.loads(output_of([options.reprise, "inspect", module, "--plan", "--json"]))
            memory = json.loads(output_of([options.reprise, "inspect", module, "--json"]))["memory"]
            alive, total = tensor_bytes(plan["commands"], plan["buffers"])
            peak = peak_of([options.reprise, "run", module]) - base
            wanted = memory["weights"] + 1.3 * (alive + memory["inputs"] + memory["outputs"])
            row = (memory["weights"], alive, memory["arena"], total, peak, wanted)
            print(f"{program.stem:28}", *(f"{value / MIB:9.1f}" for value in row), flush=True)
            os.remove(module)


if __name__ == "__main__":
    main()
