"""Exported PyTorch modules against the fp64 interpreter and against PyTorch's own layers."""

import json
import pathlib
import subprocess
import sys
import types

import pytest
import torch
from torch import nn
from torch.nn import functional as F

# Tensors are small and cores are shared.
torch.set_num_threads(1)
ROOT = pathlib.Path(__file__).parents[2]


def load_vectors():
    command = ["node", "--import", "tsx", "test/export/vectors.ts"]
    result = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return {entry["name"]: entry for entry in json.loads(result.stdout)}


VECTORS = load_vectors()
LAYOUTS = ["nchw", "nhwc"]


def layer_class(name, layout="nchw"):
    module = types.ModuleType(name)
    exec(compile(VECTORS[name]["sources"][layout], name, "exec"), module.__dict__)
    return module.Layer


def build(name, case, layout="nchw", dtype=torch.float64):
    cls = layer_class(name, layout)
    shape = case["shape"]
    grouped = {"groups": shape["groups"]} if "groups: int" in VECTORS[name]["sources"][layout] else {}
    layer = cls(shape["channels"], **grouped).to(dtype)
    with torch.no_grad():
        for key, parameter in layer.named_parameters():
            parameter.copy_(torch.tensor(case["parameters"][key], dtype=dtype))
    return layer


def images(values, shape, layout, dtype):
    sizes = (shape["batch"], shape["height"], shape["width"], shape["channels"])
    nhwc = torch.tensor(values, dtype=dtype).reshape(sizes)
    return nhwc.permute(0, 3, 1, 2).contiguous() if layout == "nchw" else nhwc


def agree(actual, expected, tolerance, what):
    """Differences are relative to the largest entry, and to 1 where all are small."""
    scale = max(1.0, expected.abs().max().item())
    difference = (actual.double() - expected.double()).abs().max().item()
    assert difference <= tolerance * scale, f"{what}: off by {difference} at scale {scale}"


def check_step(layer, step, shape, layout, dtype, tolerance):
    x = images(step["x"], shape, layout, dtype).requires_grad_()
    layer.zero_grad()
    y = layer(x)
    y.backward(images(step["dy"], shape, layout, dtype))
    result = step["result"]
    agree(y.detach(), images(result["y"], shape, layout, torch.float64), tolerance, "y")
    agree(x.grad, images(result["dx"], shape, layout, torch.float64), tolerance, "dx")
    for key, parameter in layer.named_parameters():
        expected = torch.tensor(result[f"d{key}"], dtype=torch.float64)
        actual = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
        agree(actual, expected, tolerance, f"d{key}")


def check_case(name, case, layout, dtype, tolerance):
    layer = build(name, case, layout, dtype)
    learned = {key for key, _ in layer.named_parameters()} - {"gamma", "beta"}
    assert learned == set(VECTORS[name]["inputs"])
    for step in case["steps"]:
        check_step(layer, step, case["shape"], layout, dtype, tolerance)
    buffers = list(layer.buffers())
    assert len(buffers) == len(case["statistics"])
    for actual, expected in zip(buffers, case["statistics"]):
        agree(actual, torch.tensor(expected, dtype=torch.float64), tolerance, "statistics")
    layer.eval()
    before = [buffer.clone() for buffer in buffers]
    check_step(layer, case["inference"], case["shape"], layout, dtype, tolerance)
    assert all(torch.equal(a, b) for a, b in zip(before, buffers))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", VECTORS)
def test_double_precision_equals_the_interpreter(name, layout):
    for case in VECTORS[name]["cases"]:
        check_case(name, case, layout, torch.float64, 1e-10)


@pytest.mark.parametrize("name", VECTORS)
def test_single_precision_is_within_1e_4(name):
    for case in VECTORS[name]["cases"][:2]:
        check_case(name, case, "nchw", torch.float32, 1e-4)


def batch_norm(x, layer):
    mean = x.mean((0, 2, 3), keepdim=True)
    return F.batch_norm(x, None, None, layer.v1, layer.v0, training=True)


def group_norm(x, layer, groups):
    return F.group_norm(x, groups, layer.v1, layer.v0)


def channels(parameter):
    return parameter.view(1, -1, 1, 1)


def instance_std(x, eps=1e-5):
    return torch.sqrt(x.var((2, 3), unbiased=False, keepdim=True) + eps)


def batch_std(x, eps=1e-5):
    return torch.sqrt(x.var((0, 2, 3), unbiased=False, keepdim=True) + eps)


def group_std(x, groups, eps=1e-5):
    """As in the EvoNorm paper's code."""
    n, c, h, w = x.shape
    grouped = x.reshape(n, groups, c // groups, h, w)
    variance = grouped.var((2, 3, 4), unbiased=False, keepdim=True).expand_as(grouped)
    return torch.sqrt(variance.reshape(n, c, h, w) + eps)


GROUPS = 4
# Each in PyTorch's own words, up to the final affine.
DEFINITIONS = {
    "BN-ReLU": lambda x, p: F.relu(batch_norm(x, p)),
    "BN-SiLU": lambda x, p: F.silu(batch_norm(x, p)),
    "GN-ReLU": lambda x, p: F.relu(group_norm(x, p, GROUPS)),
    "GN-SiLU": lambda x, p: F.silu(group_norm(x, p, GROUPS)),
    "IN-ReLU": lambda x, p: F.relu(F.instance_norm(x, weight=p.v1, bias=p.v0)),
    "LN-ReLU": lambda x, p: F.relu(group_norm(x, p, 1)),
    "RMSNorm-SiLU": lambda x, p: F.silu(
        F.rms_norm(x, x.shape[1:], eps=1e-5) * channels(p.v1)
    ),
    "DyT": lambda x, p: torch.tanh(channels(p.v1) * x),
    "ReLU": lambda x, p: F.relu(x),
    "SiLU": lambda x, p: F.silu(x),
    "EvoNorm-B0": lambda x, p: x
    / torch.max(batch_std(x), channels(p.v1) * x + instance_std(x)),
    "EvoNorm-S0": lambda x, p: x * torch.sigmoid(channels(p.v1) * x) / group_std(x, GROUPS),
}


@pytest.mark.parametrize("name", DEFINITIONS)
def test_agrees_with_pytorchs_own_definition(name):
    torch.manual_seed(0)
    case = {"shape": {"channels": 8, "groups": GROUPS}}
    case["parameters"] = {key: torch.randn(8).tolist() for key in ("v0", "v1", "gamma", "beta")}
    layer = build(name, case)
    x = torch.randn(5, 8, 6, 7, dtype=torch.float64, requires_grad=True)
    expected = DEFINITIONS[name](x, layer) * channels(layer.gamma) + channels(layer.beta)
    actual = layer(x)
    agree(actual.detach(), expected.detach(), 1e-9, "y")
    inputs = [x, *layer.parameters()]
    dy = torch.randn_like(x)
    ours = torch.autograd.grad(actual, inputs, dy)
    theirs = torch.autograd.grad(expected, inputs, dy)
    for (ours_i, theirs_i) in zip(ours, theirs):
        agree(ours_i, theirs_i, 1e-9, "gradient")


def test_batch_norm_in_evaluation_is_pytorchs_with_a_biased_variance():
    torch.manual_seed(0)
    layer = layer_class("BN-ReLU")(6)
    reference = nn.BatchNorm2d(6, eps=1e-5, momentum=0.1)
    for _ in range(3):
        x = 2 * torch.randn(4, 6, 5, 5) + 1
        reference(x)
        layer(x)
    mean, variance = layer.buffers()
    agree(mean, reference.running_mean, 1e-6, "mean")
    # PyTorch moves towards the unbiased variance, of 100 elements here.
    ours = 0.9**3 + (reference.running_var - 0.9**3) * 99 / 100
    agree(variance, ours, 1e-6, "variance")


def test_a_plain_tie_halves_the_gradient():
    layer = layer_class("ReLU")(1)
    x = torch.zeros(1, 1, 1, 1, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.item() == 0.5


@pytest.mark.parametrize("name", VECTORS)
def test_nan_stays_nan(name):
    layer = layer_class(name)(4)
    y = layer(torch.full((2, 4, 3, 3), torch.nan))
    assert y.isnan().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("name", ["BN-ReLU", "EvoNorm-B0", "EvoNorm-S0", "LN-ReLU"])
def test_moments_of_narrow_tensors_are_wide(name, dtype):
    # Squares of these overflow in fp16, whose largest number is 65504.
    torch.manual_seed(0)
    x = 1000 * torch.randn(2, 32, 4, 4)
    layer = layer_class(name)(32)
    narrow = layer(x.to(dtype))
    assert narrow.dtype == dtype
    agree(narrow.detach(), layer(x).detach(), 0.02, "y")
    with torch.autocast("cpu", dtype=dtype):
        assert layer(x.to(dtype)).isfinite().all()


@pytest.mark.parametrize("name", VECTORS)
def test_state_survives_saving(name):
    torch.manual_seed(0)
    layer, copy = layer_class(name)(6), layer_class(name)(6)
    x = torch.randn(2, 6, 3, 3)
    layer(x)
    copy.load_state_dict(layer.state_dict())
    assert torch.equal(layer.eval()(x), copy.eval()(x))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_wrong_number_of_channels_is_refused(layout):
    layer = layer_class("EvoNorm-S0", layout)(6)
    with pytest.raises(ValueError, match="6"):
        layer(torch.zeros(2, 4, 4, 4))


def test_sources_are_formatted():
    pytest.importorskip("ruff")
    for entry in VECTORS.values():
        for source in entry["sources"].values():
            for arguments in (["format", "--diff"], ["check"]):
                command = [sys.executable, "-m", "ruff", *arguments, "--isolated", "-"]
                result = subprocess.run(command, input=source, text=True, capture_output=True)
                assert result.returncode == 0, result.stdout + result.stderr
