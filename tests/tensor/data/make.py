"""Makes the arrays of this folder with NumPy and safetensors: `python3 make.py`. What they must read as stands in the tests."""
import io
import pathlib
import warnings
import zipfile

import numpy as np
from safetensors.numpy import save_file

HERE = pathlib.Path(__file__).parent


def ramp(dtype, *shape):
    return np.arange(np.prod(shape), dtype=np.int64).reshape(shape).astype(dtype)


def arrays():
    out = {name: ramp(name, 2, 3) for name in ("uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64", "uint16", "uint32", "uint64")}
    out["bool"] = np.array([[True, False, True]])
    out["scalar"] = np.array(2.5, dtype=np.float32)
    out["empty"] = np.zeros((0, 4), dtype=np.float32)
    out["fortran"] = np.asfortranarray(ramp("int32", 2, 3, 4))
    out["big_endian"] = ramp(">i4", 3)
    out["big_endian_f8"] = ramp(">f8", 3)
    out["special"] = np.array([np.nan, np.inf, -np.inf, -0.0], dtype=np.float32)
    out["vector"] = ramp("float64", 5)
    return out


def npy(array, version=None):
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        np.lib.format.write_array(buffer, array, version=version, allow_pickle=True)
    return buffer.getvalue()


def main():
    np.savez(HERE / "stored.npz", **arrays())
    np.savez_compressed(HERE / "deflated.npz", **arrays())
    refused = {
        "complex": np.zeros(2, dtype=np.complex64),
        "object": np.array([None], dtype=object),
        "text": np.array(["a"]),
        "time": np.zeros(1, dtype="datetime64[s]"),
        "structured": np.zeros(1, dtype=[("a", "f4")]),
        "longdouble": np.zeros(1, dtype=np.longdouble),
    }
    with zipfile.ZipFile(HERE / "refused.npz", "w") as z:
        for name, array in refused.items():
            z.writestr(zipfile.ZipInfo(name + ".npy"), npy(array))
    for version in ((1, 0), (2, 0), (3, 0)):
        (HERE / f"version{version[0]}.npy").write_bytes(npy(ramp("float32", 2, 3), version))
    tensors = {"weight": ramp("float32", 2, 3), "steps": np.array(7), "mask": np.array([True, False, True]), "half": ramp("float16", 3)}
    save_file(tensors, HERE / "small.safetensors", metadata={"format": "np"})


main()
