"""Exported PyTorch modules against the fp64 interpreter and against PyTorch's own layers."""

import copy

import onnxruntime
import pytest
import torch
from harness import (
    DOUBLE,
    LAYOUTS,
    SINGLE,
    check_case,
    check_formatting,
    check_names,
    check_self_test,
    check_types,
    grouped,
    load_vectors,
    module_of,
    named,
)
from harness import agree as agree_arrays
from torch import nn
from torch.nn import functional as F

# Tensors are small and cores are shared.
torch.set_num_threads(1)

VECTORS = load_vectors("pytorch")
KNOWN = named(VECTORS, "zoo", "special")
ZOO = named(VECTORS, "zoo")
CANDIDATES = named(VECTORS, "candidate")


def layer_class(name, layout="nchw"):
    return module_of(VECTORS[name], layout).Layer


def build(name, case, layout="nchw", dtype=torch.float64):
    shape = case["shape"]
    options = {"groups": shape["groups"]} if grouped(VECTORS[name]) else {}
    layer = layer_class(name, layout)(shape["channels"], **options).to(dtype)
    with torch.no_grad():
        for key, parameter in layer.named_parameters():
            parameter.copy_(torch.tensor(case["parameters"][key], dtype=dtype))
    return layer


def agree(actual, expected, tolerance, what):
    agree_arrays(actual.detach().double(), expected.detach().double(), tolerance, what)


class Adapter:
    def __init__(self, layer, dtype, call=None):
        self.layer, self.dtype = layer, dtype
        self.call = layer if call is None else call

    def step(self, x, dy, training):
        self.layer.train(training)
        self.layer.zero_grad()
        x = torch.tensor(x, dtype=self.dtype, requires_grad=True)
        y = self.call(x)
        y.backward(torch.tensor(dy, dtype=self.dtype))
        of = {"x": x, **dict(self.layer.named_parameters())}
        # At inference the batch may not matter: nothing flows to what was only read through its moments.
        return y.detach(), {
            name: torch.zeros_like(tensor) if tensor.grad is None else tensor.grad
            for name, tensor in of.items()
        }

    def statistics(self):
        return [buffer.clone() for buffer in self.layer.buffers()]


def check(name, case, layout, dtype, tolerance):
    adapter = Adapter(build(name, case, layout, dtype), dtype)
    check_case(adapter, VECTORS[name], case, layout, tolerance)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", [*KNOWN, *CANDIDATES])
def test_double_precision_equals_the_interpreter(name, layout):
    for case in VECTORS[name]["cases"]:
        check(name, case, layout, torch.float64, DOUBLE)


@pytest.mark.parametrize("name", KNOWN)
def test_single_precision_is_within_1e_4(name):
    for case in VECTORS[name]["cases"][:2]:
        check(name, case, "nchw", torch.float32, SINGLE)


@pytest.mark.parametrize("name", ZOO)
def test_compiled_modules_compute_the_same(name):
    case = VECTORS[name]["cases"][0]
    layer = build(name, case)
    torch._dynamo.reset()
    adapter = Adapter(layer, torch.float64, torch.compile(layer, fullgraph=True))
    check_case(adapter, VECTORS[name], case, "nchw", DOUBLE)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", KNOWN)
def test_a_sequence_is_an_image_of_width_1(name, layout):
    torch.manual_seed(0)
    layer = layer_class(name, layout)(6)
    image = torch.randn(3, 6, 5, 1) if layout == "nchw" else torch.randn(3, 5, 1, 6)
    width = 3 if layout == "nchw" else 2
    twin = copy.deepcopy(layer)
    agree(layer(image.squeeze(width)), twin(image).squeeze(width), 0, "y")


@pytest.mark.parametrize("name", KNOWN)
def test_without_affine_and_from_zero(name):
    torch.manual_seed(0)
    x = torch.randn(3, 6, 4, 4)
    bare = layer_class(name)(6, affine=False)
    assert {key for key, _ in bare.named_parameters()} == set(VECTORS[name]["inputs"])
    agree(bare(x), layer_class(name)(6)(x), 1e-6, "y")
    assert not layer_class(name)(6, zero_init=True)(x).any()


@pytest.mark.parametrize("name", ZOO)
def test_torch_export_and_onnx_take_it(name, tmp_path):
    torch.manual_seed(0)
    layer = layer_class(name)(6)
    layer(torch.randn(4, 6, 5, 5))
    layer.eval()
    x = torch.randn(3, 6, 4, 5)
    expected = layer(x)
    batch = torch.export.Dim("batch", min=2)
    program = torch.export.export(layer, (x,), dynamic_shapes=({0: batch},))
    agree(program.module()(x), expected, 1e-6, "exported")
    path = tmp_path / "layer.onnx"
    torch.onnx.export(layer, (x,), path, dynamo=True, verbose=False)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    [y] = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    agree(torch.tensor(y), expected, 1e-5, "onnx")


@pytest.mark.parametrize("name", ["EvoNorm-B1", "EvoNorm-S0", "DyT"])
def test_files_check_themselves(name, tmp_path):
    check_self_test(VECTORS[name], "nchw", tmp_path)


def batch_norm(x, layer):
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


def test_evonorm_b0_in_evaluation_is_the_published_one_with_moving_averages():
    """Moving averages of the biased variance, as in the EvoNorm paper's code."""
    torch.manual_seed(0)
    layer = layer_class("EvoNorm-B0")(6)
    with torch.no_grad():
        layer.v1.normal_()
    moving = torch.ones(1, 6, 1, 1)
    for _ in range(3):
        x = 2 * torch.randn(4, 6, 5, 5) + 1
        layer(x)
        moving = 0.9 * moving + 0.1 * x.var((0, 2, 3), unbiased=False, keepdim=True)
    layer.eval()
    x = torch.randn(2, 6, 3, 4)
    expected = x / torch.max(torch.sqrt(moving + 1e-5), channels(layer.v1) * x + instance_std(x))
    agree(layer(x), expected, 1e-6, "y")


def test_a_plain_tie_halves_the_gradient():
    layer = layer_class("ReLU")(1)
    x = torch.zeros(1, 1, 1, 1, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad.item() == 0.5


@pytest.mark.parametrize("name", KNOWN)
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


@pytest.mark.parametrize("name", KNOWN)
def test_state_survives_saving(name, tmp_path):
    torch.manual_seed(0)
    layer, copy = layer_class(name)(6), layer_class(name)(6)
    x = torch.randn(2, 6, 3, 3)
    layer(x)
    torch.save(layer.state_dict(), tmp_path / "layer.pt")
    copy.load_state_dict(torch.load(tmp_path / "layer.pt", weights_only=True))
    assert torch.equal(layer.eval()(x), copy.eval()(x))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_wrong_number_of_channels_is_refused(layout):
    layer = layer_class("EvoNorm-S0", layout)(6)
    with pytest.raises(ValueError, match="6"):
        layer(torch.zeros(2, 4, 4, 4))


def test_sources_are_formatted(tmp_path):
    check_formatting(VECTORS, tmp_path)


def test_type_checkers_find_nothing(tmp_path):
    check_types(VECTORS, tmp_path)


def test_classes_cannot_have_names_that_files_read():
    check_names(VECTORS)
