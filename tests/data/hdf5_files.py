"""Writes the files that hdf5_test reads, as users do with h5py, and what NumPy says is in them.

python3 hdf5_files.py FOLDER: FOLDER/NAME.h5, and FOLDER/NAME.f32 with the expected values as little-endian floats.
"""

import os
import struct
import sys

import h5py
import numpy as np

folder = sys.argv[1]
rng = np.random.default_rng(7)


def at(name):
    return os.path.join(folder, name)


def expect(name, values):
    np.ascontiguousarray(np.asarray(values, dtype="<f4")).tofile(at(name + ".f32"))


def file(name):
    return h5py.File(at(name + ".h5"), "w")


def patch(name, before, after):
    """Replaces the sizes of a data set in the file's bytes."""
    content = open(at(name + ".h5"), "rb").read()
    assert before in content
    open(at(name + ".h5"), "wb").write(content.replace(before, after))


# Every type, plain and compressed.
with file("types") as f:
    for code in ["u1", "i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">u4", "<i4", ">i4", "<u8", ">u8", "<i8", ">i8"]:
        values = rng.integers(0 if "u" in code else -100, 120, size=(50, 6)).astype(code)
        name = code.replace("<", "le_").replace(">", "be_")
        f[name] = values
        f.create_dataset(name + "_z", data=values, chunks=(7, 4), compression="gzip", shuffle=True, fletcher32=True)
        expect("types-" + name, values.astype(np.float64))
    for code in ["<f2", ">f2", "<f4", ">f4", "<f8", ">f8"]:
        values = rng.normal(size=(50, 6)).astype(code)
        name = code.replace("<", "le_").replace(">", "be_")
        f[name] = values
        f.create_dataset(name + "_z", data=values, chunks=(7, 4), compression="gzip", shuffle=True)
        expect("types-" + name, values)
    values = rng.integers(0, 2, size=(50, 6)).astype(bool)
    f["bool"] = values
    f.create_dataset("bool_z", data=values, chunks=(7, 4), compression="gzip")
    expect("types-bool", values)

# Columns from several data sets, with slices, compound members, and a soft link to one of them.
with file("columns") as f:
    t, q = rng.normal(size=200), rng.normal(size=(200, 60)).astype("f4")
    cube = rng.normal(size=(200, 4, 5, 3))
    table = np.zeros(200, dtype=[("mass", "<f8"), ("charge", ">i4"), ("name", "S5")])
    table["mass"], table["charge"] = rng.normal(size=200), rng.integers(-5, 5, size=200)
    f["T"], f["deep/down/Q"], f["cube"], f["table"] = t, q, cube, table
    f["Q"] = h5py.SoftLink("deep/down/Q")
    f["deep/up"] = h5py.SoftLink("/T")
    f["round"] = h5py.SoftLink("/round")
    f["y"] = rng.normal(size=(200, 2))
    expect("columns-y", f["y"][:])
    expect("columns", np.column_stack([t, q[:, 5:40:3], q[:, -1], cube[:, 1:3, :, 2].reshape(200, -1), table["mass"],
                                       table["charge"], t]))
    f["shape"] = rng.normal(size=(200, 8, 8))
    f["flags"] = np.arange(200) % 3 == 0
    f["station"] = np.array([("north", "south", "west")[i * i % 3] for i in range(200)], dtype="S6")
    f["day"] = np.arange(200) // 20 - 3

# The row axis last, as climate models write, in many files; inputs and targets apart.
os.mkdir(at("many"))
inputs, targets = [], []
for i in range(23):
    rows = 30 + i
    v, ps = rng.normal(size=(60, rows)).astype("f8"), rng.normal(size=rows)
    out = rng.normal(size=(4, rows)).astype("f4")
    with h5py.File(at("many/in-%03d.nc" % i), "w") as f:
        f["v"], f["ps"] = v, ps
    with h5py.File(at("many/out-%03d.nc" % i), "w") as f:
        f["ptend"] = out
    inputs.append(np.vstack([v, ps[None]]).T)
    targets.append(out.T)
expect("many-inputs", np.concatenate(inputs))
expect("many-targets", np.concatenate(targets))
for name, values in [("differs", rng.normal(size=(59, 30))), ("short", rng.normal(size=(60, 30)))]:
    with h5py.File(at("many/%s.h5" % name), "w") as f:
        f["v"], f["ps"] = values, rng.normal(size=30)
with h5py.File(at("many/wrong-rows.h5"), "w") as f:
    f["ptend"] = np.zeros((4, 29))

# Joined row axes, chunked and not; also in another order than they are stored.
with file("joined") as f:
    w = rng.normal(size=(10, 6, 20)).astype("f4")
    f["w"], f["p"] = w, rng.normal(size=(10, 20))
    f.create_dataset("z", data=w, chunks=(1, 4, 7), compression="gzip")
    expect("joined", np.column_stack([w.transpose(0, 2, 1).reshape(200, 6), w.transpose(0, 2, 1).reshape(200, 6),
                                      f["p"][:].reshape(200)]))
    expect("joined-swapped", w.transpose(2, 0, 1).reshape(200, 6))

# Large enough for several slabs, in chunks larger and smaller than one, rows first and last.
with file("large") as f:
    x = rng.normal(size=(30000, 100)).astype("f4")
    f["plain"], f["turned"] = x, x.T
    f.create_dataset("tall", data=x, chunks=(9000, 10), compression="gzip", compression_opts=1)
    f.create_dataset("flat", data=x, chunks=(64, 100), compression="gzip", compression_opts=1)
    f.create_dataset("turned_z", data=x.T, chunks=(100, 500), compression="gzip", compression_opts=1)
    expect("large", x)

# Images and their test split, as many tutorials write them.
with file("images") as f:
    images = rng.integers(0, 256, size=(330, 8, 9), dtype="u1")
    labels = rng.integers(0, 10, size=330, dtype="u1")
    f.create_dataset("x_train", data=images[:300], chunks=(16, 8, 9), compression="gzip")
    f["y_train"], f["x_test"], f["y_test"] = labels[:300], images[300:], labels[300:]
    expect("images", images)
    expect("images-labels", labels)
with file("groups") as f:
    f["train/images"], f["train/labels"] = images[:300], labels[:300]
    f["test/images"], f["test/labels"] = images[300:], labels[300:]

# Classes in many forms.
with file("classes") as f:
    names = np.array(["spruce", "oak", "beech", "elm"])
    index = rng.integers(0, 4, size=90)
    f["x"] = rng.normal(size=(90, 3))
    f["fixed"], f["bool"] = names[index].astype("S8"), index == 1
    f["vlen"] = np.array(names[index], dtype=object).astype(h5py.string_dtype())
    f["float"], f["float_fraction"], f["ids"] = index.astype("f8"), index + 0.25, index * 10**6
    f["distribution"], f["onehot"] = np.eye(4)[index] * 0.9 + 0.025, np.eye(4, dtype="i4")[index]
    f["negative"], f["index"] = index - 1, index.astype(">i2")
    expect("classes-index", np.argsort(np.argsort(names))[index])
    expect("classes-plain", index)
    expect("classes-distribution", f["distribution"][:])
with file("classes-other") as f:
    f["x"] = rng.normal(size=(5, 3))
    f["fixed"] = np.array(["oak", "elm", "oak", "larch", "elm"], dtype="S8")

# netCDF's conventions.
with file("conventions") as f:
    packed = rng.integers(-100, 100, size=(40, 3)).astype(">i2")
    f["packed"] = packed
    f["packed"].attrs.update({"scale_factor": np.float32(0.5), "add_offset": 10.0, "_FillValue": np.int16(-999)})
    expect("conventions", packed * 0.5 + 10)
    holed = packed.copy()
    holed[17, 2] = -999
    f["holed"] = holed
    f["holed"].attrs.update({"scale_factor": 0.5, "_FillValue": np.int16(-999)})
    values = rng.normal(size=(40, 3)).astype("f4")
    values[31, 0] = 1e20
    f["wide"] = values
    f["wide"].attrs["missing_value"] = np.float64(1e20)
    labels = np.arange(40) % 4
    labels[9] = 255
    f["labels"] = labels.astype("u1")
    f["labels"].attrs["_FillValue"] = np.uint8(255)
    f["y"] = rng.normal(size=40)
    f["lev"] = np.arange(3.0)
    f["lev"].make_scale("lev")
    f["packed"].dims[1].attach_scale(f["lev"])

# What leads out of a file.
with file("elsewhere") as f:
    f["data"] = rng.normal(size=(20, 3))
    expect("elsewhere", f["data"][:])
with file("links") as f:
    f["external"] = h5py.ExternalLink("elsewhere.h5", "/data")
    layout = h5py.VirtualLayout(shape=(20, 3), dtype="f8")
    layout[:] = h5py.VirtualSource("elsewhere.h5", "data", shape=(20, 3))
    f.create_virtual_dataset("virtual", layout)
    layout = h5py.VirtualLayout(shape=(20, 3), dtype="f8")
    layout[:] = h5py.VirtualSource("nowhere.h5", "data", shape=(20, 3))
    f.create_virtual_dataset("virtual_nowhere", layout)
    f.create_dataset("outside", shape=(20, 3), dtype="f8", external=[(at("outside.raw"), 0, 480)])
    f["outside"][:] = 1
    f["y"] = np.arange(20) + 0.5

# Bad values and shapes.
with file("bad") as f:
    x = rng.normal(size=(100, 5)).astype("f4")
    f["fine"], f["y"] = x, np.arange(100) + 0.5
    for name, value in [("nan", np.nan), ("inf", np.inf)]:
        x2 = x.copy()
        x2[73, 4] = value
        f[name] = x2
    x2 = x.astype("f8")
    x2[12, 1] = 1e300
    f["huge"] = x2
    f["no_rows"], f["no_columns"] = np.zeros((0, 5)), np.zeros((100, 0))
    f["null"], f["scalar"] = h5py.Empty("f4"), 3.0
    f["short"] = np.zeros(99)
    f["label"] = np.r_[np.zeros(50, int), -1, np.zeros(49, int)]
    f["beyond"] = np.full(100, 2**63 + 5, dtype="u8")
    f["opaque"] = np.zeros(100, dtype="V3")
    f["complex"] = np.zeros(100, dtype="c8")
    f["enumeration"] = np.zeros(100, dtype=h5py.enum_dtype({"RED": 0, "BLUE": 1}))
    f.create_dataset("lzf", data=x, compression="lzf")
    f.create_dataset("unwritten", shape=(100, 5), dtype="f4")
    f.create_dataset("partly", shape=(10000, 500), dtype="f4", chunks=(100, 500))
    f["partly"][:100] = 1
    f.create_dataset("sparse", shape=(2**40, 2**20), dtype="f4", chunks=(10, 10), compression="gzip")
    f["sparse"][:10, :10] = 1
with file("loop") as f:
    f["g/x"] = np.zeros((5, 2))
    f["g/again"], f["g/root"] = f["g"], f["/"]
    deep = f
    for i in range(200):
        deep = deep.create_group("d")
with file("nothing") as f:
    f.create_group("empty")
with file("crowd") as f:
    for i in range(40):
        f["variable_%02d" % i] = np.zeros((20, 3))
    f["answers"] = np.zeros(20)
with file("turned") as f:  # rows on the last axis
    f["temperature"], f["pressure"], f["x"] = np.zeros((20, 50)), np.zeros((4, 50)), np.zeros((20, 3))

# Sizes that cannot be, written over those of a sound file.
for name, sizes in [("enormous", (2**40, 8)), ("overflow", (2**62, 2**61)), ("beyond_signed", (2**64 - 1, 8))]:
    with file(name) as f:
        f["x"], f["y"] = rng.normal(size=(1003, 8)), np.arange(1003) + 0.5
    patch(name, struct.pack("<QQ", 1003, 8), struct.pack("<QQ", *sizes))
with file("enormous_z") as f:
    f.create_dataset("x", data=rng.normal(size=(1003, 8)), chunks=(128, 8), compression="gzip")
    f["y"] = np.arange(1003) + 0.5
patch("enormous_z", struct.pack("<QQ", 1003, 8), struct.pack("<QQ", 2**40, 8))
with file("damaged_z") as f:
    f.create_dataset("x", data=rng.normal(size=(1003, 8)), chunks=(1003, 8), compression="gzip")
    f["y"] = np.arange(1003) + 0.5
    offset = f["x"].id.get_chunk_info(0).byte_offset
content = bytearray(open(at("damaged_z.h5"), "rb").read())
content[offset + 100:offset + 4000] = bytes(3900)
open(at("damaged_z.h5"), "wb").write(content)
content = open(at("columns.h5"), "rb").read()
open(at("truncated.h5"), "wb").write(content[:len(content) // 2])
open(at("text.h5"), "w").write("this is no HDF5 file\n" * 100)
with h5py.File(at("user_block.dat"), "w", userblock_size=1024) as f:
    f["x"], f["y"] = np.zeros((5, 2)), np.arange(5) + 0.5
