"""Says which targets of op_targets.txt are in exported programs, in each form: op_coverage.py FOLDER...

Exits 1 when a target that a form has in the table is in no program of that form.
"""

import glob
import json
import os
import sys
import zipfile

HERE = os.path.dirname(os.path.abspath(__file__))


def targets_of(file: str) -> set[str]:
    """Targets as in the table: without torch.ops, subgraphs included."""
    with zipfile.ZipFile(file) as archive:
        model = json.loads(archive.read(next(name for name in archive.namelist() if name.endswith("models/model.json"))))
    found: set[str] = set()

    def walk(value) -> None:
        if isinstance(value, dict):
            if "target" in value and "inputs" in value:
                found.add(value["target"].removeprefix("torch.ops."))
            for child in value.values():
                walk(child)
        elif isinstance(value, list):
            for child in value:
                walk(child)

    walk(model["graph_module"]["graph"])
    return found


def main(folders: list[str]) -> int:
    with open(os.path.join(HERE, "op_targets.txt")) as lines:
        table = {target: (int(default), int(core)) for target, default, core in map(str.split, lines)}
    seen: tuple[set, set] = (set(), set())
    for file in [f for folder in folders for f in glob.glob(f"{folder}/**/*.pt2", recursive=True)]:
        seen[file.endswith(".core.pt2")].update(targets_of(file))
    missing = 0
    for form, name in enumerate(("default", "decomposed")):
        wanted = {target for target, counts in table.items() if counts[form]}
        absent = sorted(wanted - seen[form])
        missing += len(absent)
        print(f"{name}: {len(wanted) - len(absent)} of {len(wanted)} targets in programs", *absent, sep="\n  missing ")
        others = sorted(seen[form] - table.keys())
        print(f"  and {len(others)} targets that the table lacks:", " ".join(others))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
