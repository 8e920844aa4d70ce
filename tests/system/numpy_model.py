"""What a checkpoint computes, by numpy in double precision: for tests that compare the program's predictions with it."""
import h5py
import numpy as np

from program import check


class Reference:
    """What a checkpoint computes, in double precision, with a bound of what single precision may be off by."""
    U = 2.0**-24

    def __init__(self, file):
        with h5py.File(file, "r") as f:
            self.attributes = dict(f["model"].attrs)
            self.layers = [name for name in f["model"].attrs["layers"]]
            self.tensors = {name: {key: value[...].astype(np.float64) for key, value in f["model"][name].items()}
                            for name in self.layers if name in f["model"]}
            # The program rounds the factors of the scaling to single precision, and so they are used.
            self.scaling = {name: value[...].astype(np.float32).astype(np.float64) for name, value in f["scaling"].items()}

    def run(self, raw):
        """Outputs in original units, their bounds, and the outputs before a softmax with theirs."""
        u = self.U
        x = (raw.astype(np.float64) - self.scaling["mean"]) / self.scaling["deviation"]
        e = 2 * u * np.abs(x) + u * np.abs(raw - self.scaling["mean"]) / self.scaling["deviation"]
        for name in self.layers:
            t = self.tensors.get(name)
            kind = name.split("_", 1)[1]
            if kind == "dense":
                w, b = np.abs(t["weight"].T), np.abs(t["bias"])
                e = e @ w + (len(w) + 2) * u * (np.abs(x) @ w + b)
                x = x @ t["weight"].T + t["bias"]
            elif kind == "relu":
                x = np.maximum(x, 0)
            elif kind == "tanh":
                x, e = np.tanh(x), e + 16 * u
            elif kind == "batch_norm":
                factor = t["scale"] / np.sqrt(t["running_variance"] + 1e-5)
                size = (np.abs(x) + np.abs(t["running_mean"])) * np.abs(factor) + np.abs(t["shift"])
                x, e = (x - t["running_mean"]) * factor + t["shift"], e * np.abs(factor) + 6 * u * size
            else:
                assert kind == "dropout", kind
        z, z_bound = x, e
        if self.attributes["loss"] == "softmax_cross_entropy":
            p = np.exp(x - x.max(1, keepdims=True))
            x = p / p.sum(1, keepdims=True)
            e = x * (2 * e.max(1, keepdims=True) * 1.01 + 32 * u)
        mean, deviation = "target_mean", "target_deviation"
        if self.attributes["task"] == "autoencoder":
            mean, deviation = "mean", "deviation"
        if self.attributes["task"] != "classification" and mean in self.scaling:
            e = e * self.scaling[deviation] + 2 * u * (np.abs(x) * self.scaling[deviation] + np.abs(self.scaling[mean]))
            x = x * self.scaling[deviation] + self.scaling[mean]
        return x, e, z, z_bound


def near(found, expected, bound, what):
    off = np.abs(found.astype(np.float64) - expected)
    check(bool((off <= bound).all()), f"{what}: off by {off.max()}, allowed {bound.flat[off.argmax()]}")
