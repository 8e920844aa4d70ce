"""The other side of with_python_test.cpp: with_h5py.py read|digest|change|make|compress FILE."""
import sys

import h5py
import numpy


def read(path):
    """sample.h, as a user of h5py sees it."""
    with h5py.File(path, "r") as file:
        assert file.userblock_size == 512
        assert sorted(file) == ["history", "model", "optimizer", "progress", "scaling"], sorted(file)
        assert file.attrs["format"] == "trainer" and file.attrs["version"] == 1 and file.attrs["seed"] == 3
        assert file.attrs["command"] == "trainer --seed 3" and len(file.attrs["weights"]) == 32
        model = file["model"]
        assert list(model.attrs["layers"]) == ["00_dense", "01_batch_norm", "02_relu", "03_residual", "04_dense"]
        assert list(model.attrs["class_names"]) == ["robe d'été", "sneaker"]
        assert model.attrs["input_size"] == 3 and model.attrs["loss"] == "softmax_cross_entropy"
        weight = model["00_dense/weight"]
        assert weight.dtype == numpy.dtype("<f4") and weight.shape == (2, 3)
        assert (weight[...] == numpy.array([[1, 2, 3], [4, 5, 0.1]], "f4")).all()
        assert model["03_residual/00_dense/weight"][1, 0] == 9
        assert file["scaling/mean"].dtype == numpy.dtype("<f8") and file["scaling/mean"][0] == 0.1
        assert file["optimizer"].attrs["text"] == "adam" and file["optimizer"].attrs["step"] == 12
        assert file["optimizer/00_dense/weight/first_moment"].shape == (2, 3)
        assert file["progress"].attrs["row"] == 256 and numpy.isinf(file["progress"].attrs["best"])
        assert list(file["history"].attrs["columns"]) == ["step", "epoch", "val_loss"]
        assert file["history/val_loss"][1] == 0.7


def digest(path):
    """The lines of checkpoint.h."""
    import xxhash
    total, paths = xxhash.xxh3_128(), []
    with h5py.File(path) as file:
        file["model"].visititems(lambda name, x: paths.append(name) if isinstance(x, h5py.Dataset) else None)
        for name in sorted("/model/" + name for name in paths):
            total.update(name.encode())
            total.update(file[name][...].astype("<f4").tobytes())
        assert total.hexdigest() == file.attrs["weights"], total.hexdigest()


def change(path):
    with h5py.File(path, "r+") as file:
        file["model/00_dense/bias"][0] = 0.25


def make(path):
    with h5py.File(path, "w") as file:
        file["model/00_dense/weight"] = numpy.arange(6).reshape(2, 3) / 10
        file["model/00_dense/bias"] = numpy.array([0.5, -1], ">f4")
        file.attrs["note"] = numpy.bool_(True)


def compress(path):
    with h5py.File(path, "r+") as file:
        file["model"].create_dataset("01_dense/weight", data=numpy.zeros((10, 10), "f4"), compression="gzip")


{"read": read, "digest": digest, "change": change, "make": make, "compress": compress}[sys.argv[1]](sys.argv[2])
