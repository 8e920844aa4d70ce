"""Writes small HDF5 files of many kinds, as users do with h5py: hdf5_seeds.py FOLDER."""

import os
import sys

import h5py
import numpy as np

folder = sys.argv[1]
rng = np.random.default_rng(3)


def file(name, **options):
    return h5py.File(os.path.join(folder, name + ".h5"), "w", **options)


for libver in ["earliest", "latest"]:
    with file("plain_" + libver, libver=libver) as f:
        f["x"], f["y"] = rng.normal(size=(8, 3)).astype("f4"), np.arange(8) + 0.5
        f["g/x"], f["label"] = np.arange(24, dtype=">i2").reshape(8, 3), np.arange(8) % 3
    with file("gzip_" + libver, libver=libver) as f:
        f.create_dataset("x", data=rng.normal(size=(9, 4)), chunks=(2, 3), compression="gzip", shuffle=True)
        f.create_dataset("y", data=np.arange(9), chunks=(4,), fletcher32=True, maxshape=(None,))
with file("texts") as f:
    f["x"], f["text"] = rng.integers(0, 255, size=(6, 2, 2), dtype="u1"), np.array([b"a", b"bc", b"a", b"", b"d", b"d"])
    f["label"] = np.array(["oak", "elm", "oak", "ash", "elm", "oak"], dtype=object).astype(h5py.string_dtype())
with file("compound") as f:
    table = np.zeros(7, dtype=[("a", "<f8"), ("b", ">i4"), ("c", "S3"), ("d", "f4", (2,))])
    table["a"], table["b"] = rng.normal(size=7), np.arange(7)
    f["table"], f["y"], f["g/x"] = table, np.arange(7.0) / 4, rng.normal(size=(7, 3)).astype("f2")
with file("netcdf") as f:
    f["x"] = rng.integers(-99, 99, size=(3, 6)).astype(">i2")
    f["x"].attrs.update({"scale_factor": np.float32(0.5), "add_offset": 10.0, "_FillValue": np.int16(-999)})
    f["lev"] = np.arange(6.0)
    f["lev"].make_scale("lev")
    f["x"].dims[1].attach_scale(f["lev"])
    f["y"] = rng.normal(size=(2, 6))
    f["y"].attrs["missing_value"] = 1e20
    f["label"] = np.arange(6, dtype="u1")
    f["label"].attrs["_FillValue"] = np.uint8(255)
with file("links") as f:
    f["x"], f["y"] = np.zeros((5, 2)), np.arange(5) % 2 == 0
    f["g/x"], f["g/root"], f["z"] = h5py.SoftLink("/x"), f["/"], h5py.ExternalLink("other.h5", "/x")
with file("virtual", libver="latest") as f:
    layout = h5py.VirtualLayout(shape=(20, 3), dtype="f8")
    layout[:] = h5py.VirtualSource("other.h5", "x", shape=(20, 3))
    f.create_virtual_dataset("x", layout)
    f["y"] = np.arange(20)
with file("split") as f:
    f["x_train"], f["y_train"] = np.zeros((6, 2, 2), "u1"), np.arange(6, dtype="u1") % 3
    f["x_test"], f["y_test"] = np.zeros((3, 2, 2), "u1"), np.arange(3, dtype="u1")
with file("others") as f:
    f["x"], f["y"] = np.zeros((4, 2), dtype="c8"), np.zeros(4, dtype=h5py.enum_dtype({"RED": 0, "BLUE": 1}))
    f["z"], f["label"] = h5py.Empty("f4"), np.zeros(4, dtype="V3")
    f["text"] = np.array([[1, 2, 3, 4]], dtype="u1").astype(bool)
    f.create_dataset("g/x", data=np.zeros((4, 2)), compression="lzf")
with file("compact") as f:
    space = h5py.h5s.create_simple((4, 2))
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_layout(h5py.h5d.COMPACT)
    h5py.h5d.create(f.id, b"x", h5py.h5t.IEEE_F32BE, space, plist).write(h5py.h5s.ALL, h5py.h5s.ALL, np.ones((4, 2), "f4"))
    f.create_dataset("y", data=np.arange(4), chunks=(3,), scaleoffset=0)
