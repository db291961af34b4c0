"""Trains evolayer's networks in PyTorch, for comparison.

Reads requests as lines of JSON on stdin and answers each with a line of JSON on stdout. A model is a
network, as data, with a layer in its slots; arrays of floats travel as base64 of little-endian fp32.
Images are channels-last in memory, and everything runs in one thread.
"""

import base64
import itertools
import json
import os
import sys
import tempfile
import time
import traceback
import types
import warnings

import numpy as np
import torch
import torch._inductor.utils
import torch.nn.functional as F
from torch import nn

CHANNELS_LAST = torch.channels_last


class BatchNormReLU(nn.Module):
    """PyTorch's own batch normalization and ReLU; with `affine`, and the final affine of every layer."""

    def __init__(self, channels, affine):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, eps=1e-5, momentum=0.1)
        self.relu = nn.ReLU(inplace=not affine)
        self.gamma = nn.Parameter(torch.ones(channels)) if affine else None
        self.beta = nn.Parameter(torch.zeros(channels)) if affine else None

    def forward(self, x):
        y = self.relu(self.norm(x))
        if self.gamma is None:
            return y
        return self.gamma.view(1, -1, 1, 1) * y + self.beta.view(1, -1, 1, 1)

    @property
    def v0(self):
        return self.norm.bias

    @property
    def v1(self):
        return self.norm.weight


# Of modules: a name that was used before would lead the compiler to what it remembers of that one.
numbers = itertools.count()


def layer_factory(layer, groups):
    """How to make the layer for a number of channels: an exported module, or PyTorch's own."""
    kind = layer["kind"]
    if kind == "identity":
        return lambda channels: nn.Identity()
    if kind == "batch-norm-relu":
        return lambda channels: BatchNormReLU(channels, layer["affine"])
    # The compiler finds the functions of a module by its name.
    module = types.ModuleType(f"exported_{next(numbers)}")
    sys.modules[module.__name__] = module
    exec(compile(layer["source"], module.__name__, "exec"), module.__dict__)  # noqa: S102 (our own)
    grouped = {"groups": groups} if "groups: int" in layer["source"] else {}
    return lambda channels: module.Layer(channels, **grouped)


class Add(nn.Module):
    def forward(self, a, b):
        return a + b


class Pool(nn.Module):
    def forward(self, x):
        return x.mean((2, 3))


class SqueezeExcite(nn.Module):
    def __init__(self, channels, reduced):
        super().__init__()
        self.reduce = nn.Linear(channels, reduced)
        self.expand = nn.Linear(reduced, channels)

    def forward(self, x):
        factors = torch.sigmoid(self.expand(F.silu(self.reduce(x.mean((2, 3))))))
        return x * factors[:, :, None, None]


def convolution(op, channels, out, groups=1):
    kernel, stride = op["kernel"], op["stride"]
    pad = (kernel - 1) // 2
    return nn.Conv2d(channels, out, kernel, stride, pad, groups=groups, bias=False), out


# By op: (the op, channels of its first input, makes the layer) -> (module, channels of its output).
MODULES = {
    "conv": lambda op, channels, layer: convolution(op, channels, op["channels"]),
    "depthwise": lambda op, channels, layer: convolution(op, channels, channels, channels),
    "squeezeExcite": lambda op, channels, layer: (
        SqueezeExcite(channels, op["reduced"]),
        channels,
    ),
    "layer": lambda op, channels, layer: (layer(channels), channels),
    "add": lambda op, channels, layer: (Add(), channels),
    "pool": lambda op, channels, layer: (Pool(), channels),
    "dense": lambda op, channels, layer: (nn.Linear(channels, op["units"]), op["units"]),
}


class Network(nn.Module):
    """A network given as its list of operations; tensor 0 is the image, operation i writes tensor i + 1."""

    def __init__(self, network, layer):
        super().__init__()
        self.inputs = [tuple(op.get("inputs", [op.get("input")])) for op in network["ops"]]
        self.units = nn.ModuleList()
        channels = [network["image"]["channels"]]
        for op, inputs in zip(network["ops"], self.inputs):
            if op["op"] not in MODULES:
                raise ValueError(f"this peer does not know the operation {op['op']}")
            unit, out = MODULES[op["op"]](op, channels[inputs[0]], layer)
            self.units.append(unit)
            channels.append(out)

    def forward(self, images):
        values = [images]
        for unit, inputs in zip(self.units, self.inputs):
            values.append(unit(*(values[i] for i in inputs)))
        return values[-1]


# Where a parameter of each kind stands in its operation's module, and its axes as PyTorch orders them.
PARAMETERS = {
    "conv": (lambda unit: unit.weight, lambda w: w.permute(3, 2, 0, 1)),
    "depthwise": (lambda unit: unit.weight, lambda w: w.permute(2, 0, 1).unsqueeze(1)),
    "reduce": (lambda unit: unit.reduce.weight, lambda w: w.t()),
    "reduceBias": (lambda unit: unit.reduce.bias, lambda b: b),
    "expand": (lambda unit: unit.expand.weight, lambda w: w.t()),
    "expandBias": (lambda unit: unit.expand.bias, lambda b: b),
    "dense": (lambda unit: unit.weight, lambda w: w.t()),
    "bias": (lambda unit: unit.bias, lambda b: b),
    **{
        name: (lambda unit, name=name: getattr(unit, name, None), lambda p: p)
        for name in ("v0", "v1", "gamma", "beta")
    },
}


def forget_compilations():
    """Nothing that was compiled before helps or hinders: every candidate of a search is new.

    Precompiled headers stay; they are the same for all.
    """
    torch.compiler.reset()
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = tempfile.mkdtemp(dir=tempfile.tempdir)
    torch._inductor.utils.clear_caches()


def floats(text):
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), dtype="<f4").copy())


class Model:
    def __init__(self, request):
        setup = request["setup"]
        self.network = Network(request["network"], layer_factory(request["layer"], setup["groups"]))
        self.shape = request["network"]["image"]
        self.parameters = request["parameters"]
        decaying = self.load(request["parameters"], floats(request["values"]), request["decayed"])
        self.dtype = torch.float64 if request["mode"] == "double" else torch.float32
        self.network.to(self.dtype, memory_format=CHANNELS_LAST)
        others = [p for p in self.network.parameters() if all(p is not d for d in decaying)]
        groups = [
            {"params": decaying, "weight_decay": setup["weightDecay"]},
            {"params": others, "weight_decay": 0.0},
        ]
        self.optimiser = torch.optim.SGD(
            [group for group in groups if group["params"]],
            lr=0.0,
            momentum=setup["momentum"],
            nesterov=setup["momentum"] > 0,
            fused=True,
        )
        self.loss = self.forward_loss
        if request["mode"] == "compile":
            forget_compilations()
            self.loss = torch.compile(self.forward_loss, dynamic=False)
        self.batches = []
        self.next = 0

    def load(self, parameters, values, decayed):
        """Sets all weights; returns those that decay."""
        decaying = []
        for p in parameters:
            find, order = PARAMETERS[p["kind"]]
            target = find(self.network.units[p["op"]])
            if target is None:  # of an affine that PyTorch's own modules do not have
                continue
            value = values[p["offset"] : p["offset"] + p["size"]].reshape(p["shape"])
            with torch.no_grad():
                target.copy_(order(value))
            if p["kind"] in decayed:
                decaying.append(target)
        return decaying

    def forward_loss(self, images, labels):
        return F.cross_entropy(self.network(images), labels)

    def images(self, request):
        """Images of a request, (N, C, H, W) over channels-last memory, and labels."""
        labels = torch.tensor(request["labels"], dtype=torch.int64)
        s = self.shape
        sizes = (len(labels), s["height"], s["width"], s["channels"])
        images = floats(request["images"]).reshape(sizes).permute(0, 3, 1, 2)
        return images.to(self.dtype).contiguous(memory_format=CHANNELS_LAST), labels

    def step(self, rate):
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        images, labels = self.batches[self.next % len(self.batches)]
        self.next += 1
        self.optimiser.zero_grad(set_to_none=True)
        loss = self.loss(images, labels)
        loss.backward()
        self.optimiser.step()
        return loss.item()


MODELS = {}


def milliseconds(work):
    start = time.perf_counter()
    result = work()
    return 1000 * (time.perf_counter() - start), result


def hello(request):
    return {"torch": torch.__version__, "python": sys.version.split()[0]}


WARM = set()


def warm_up(mode):
    """A first small step, so that nobody pays for what only the first model pays for."""
    if mode in WARM:
        return
    WARM.add(mode)
    forget_compilations()
    unit = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    function = torch.compile(unit, dynamic=False) if mode == "compile" else unit
    function(torch.randn(2, 3, 8, 8)).mean().backward()


def open_model(request):
    warm_up(request["mode"])

    def build():
        MODELS[request["id"]] = Model(request)

    return {"ms": milliseconds(build)[0]}


def batch(request):
    model = MODELS[request["id"]]
    model.batches.append(model.images(request))
    return {}


def steps(request):
    """Steps through the batches in turn; losses are those before each step."""
    model, rate = MODELS[request["id"]], request["rate"]
    model.network.train()
    ms, losses = milliseconds(lambda: [model.step(rate) for _ in range(request["count"])])
    # JSON has no NaN and no infinities.
    return {"ms": ms, "losses": [loss if np.isfinite(loss) else None for loss in losses]}


def evaluate(request):
    model = MODELS[request["id"]]
    images, labels = model.images(request)
    model.network.eval()

    def work():
        with torch.inference_mode():
            parts = zip(images.split(request["part"]), labels.split(request["part"]))
            return sum((model.network(x).argmax(1) == y).sum().item() for x, y in parts)

    ms, correct = milliseconds(work)
    return {"ms": ms, "correct": correct}


# Back from PyTorch's order of axes.
OURS = {
    "conv": lambda w: w.permute(2, 3, 1, 0),
    "depthwise": lambda w: w.squeeze(1).permute(1, 2, 0),
}


def slope(request):
    """The norm of the gradient of the loss in the convolution weights, and its gradient in them.

    Exact, by a second backward pass through the first one. Weights come back in evolayer's order.
    """
    model = MODELS[request["id"]]
    images, labels = model.images(request)
    model.network.train()
    moved = [p for p in model.parameters if p["kind"] in OURS]
    weights = [PARAMETERS[p["kind"]][0](model.network.units[p["op"]]) for p in moved]
    first = torch.autograd.grad(model.forward_loss(images, labels), weights, create_graph=True)
    norm = torch.sqrt(sum(g.square().sum() for g in first))
    second = torch.autograd.grad(norm, weights)
    flat = torch.cat([OURS[p["kind"]](g).reshape(-1) for p, g in zip(moved, second)])
    doubles = flat.to(torch.float64).numpy().astype("<f8").tobytes()
    return {"norm": norm.item(), "ascent": base64.b64encode(doubles).decode()}


def close(request):
    del MODELS[request["id"]]
    return {}


REQUESTS = {
    "hello": hello,
    "open": open_model,
    "batch": batch,
    "steps": steps,
    "evaluate": evaluate,
    "slope": slope,
    "close": close,
}


def answer_all():
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    # Whatever libraries print must not end up between the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = REQUESTS[request["do"]](request)
        except Exception as error:  # noqa: BLE001 (the session goes on, and its owner decides)
            traceback.print_exc()
            reason = str(error).strip().splitlines() or [""]
            answer = {"error": f"{type(error).__name__}: {reason[0]}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory(prefix="evolayer-bench-") as folder:
        # Where compilations leave their files.
        tempfile.tempdir = folder
        answer_all()
