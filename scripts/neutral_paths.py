"""Keeps the exporting machine's paths out of files that are committed.

    neutral_paths.py FILE...            rewrites .pt2 files in place
    neutral_paths.py --check FILE...    exits 1 if a path is left in any file, zip entries included

torch.export records the source file of every node. A path's machine-dependent head (the repository, Python's prefix, the home folder) is replaced by filler of
the same length, so offsets stay what PyTorch wrote and only the checksums of the changed entries differ.
"""

import io
import os
import struct
import sys
import zipfile
import zlib
from typing import BinaryIO

REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def machine_prefixes() -> list[bytes]:
    """Longest first, so that a folder inside another one is replaced whole."""
    folders = {REPOSITORY, os.getcwd(), sys.prefix, sys.base_prefix, os.path.dirname(os.__file__), os.path.expanduser("~")}
    return sorted((f.encode() for f in folders if len(f) > 4), key=len, reverse=True)


def without_paths(data: bytes) -> bytes:
    for prefix in machine_prefixes():
        data = data.replace(prefix, (b"./" * len(prefix))[: len(prefix)])
    return data


def payload_start(file: BinaryIO, local_header: int) -> int:
    file.seek(local_header + 26)
    name_length, extra_length = struct.unpack("<HH", file.read(4))
    return local_header + 30 + name_length + extra_length


def store_checksum(file: BinaryIO, info: zipfile.ZipInfo, central_record: int, end: int, payload: bytes) -> None:
    """The checksum stands in the central directory and, depending on the writer, in the local header or behind the payload."""
    places = [central_record + 16]
    file.seek(end)
    if info.flag_bits & 8 == 0:
        places.append(info.header_offset + 14)
    elif file.read(4) == b"PK\x07\x08":
        places.append(end + 4)
    for place in places:
        file.seek(place)
        file.write(struct.pack("<I", zlib.crc32(payload)))


def neutralize(path: str) -> int:
    """Rewrites one zip file in place; returns how many entries changed."""
    changed = 0
    with open(path, "r+b") as file, zipfile.ZipFile(path) as archive:
        record = archive.start_dir
        for info in archive.infolist():
            start = payload_start(file, info.header_offset)
            file.seek(start)
            before = file.read(info.compress_size)
            after = without_paths(before)
            if after != before:
                if info.compress_type != zipfile.ZIP_STORED or after.startswith(b"PK\x03\x04"):
                    raise SystemExit(f"{path}: {info.filename} is an archive that holds a path")
                file.seek(start)
                file.write(after)
                store_checksum(file, info, record, start + len(after), after)
                changed += 1
            file.seek(record + 28)
            record += 46 + sum(struct.unpack("<HHH", file.read(6)))
    return changed


def holds_path(data: bytes) -> bool:
    if any(prefix in data for prefix in machine_prefixes()):
        return True
    if not data.startswith(b"PK\x03\x04"):
        return False
    archive = zipfile.ZipFile(io.BytesIO(data))
    return any(holds_path(archive.read(info)) for info in archive.infolist())


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] == "--check":
        bad = [f for f in arguments[1:] if holds_path(open(f, "rb").read())]
        print("\n".join(f"{f}: holds a path of this machine" for f in bad) or "no paths found")
        return 1 if bad else 0
    for file in arguments:
        print(f"{file}: {neutralize(file)} entries changed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
