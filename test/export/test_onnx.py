"""Exported ONNX models in Python: the checker, ONNX Runtime with other weights, and their self-tests."""

import base64
import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from harness import LAYOUTS, ROOT, SINGLE, agree, images, load_vectors, named

VECTORS = load_vectors("onnx", "single")
KNOWN = named(VECTORS, "zoo", "special")
CANDIDATES = named(VECTORS, "candidate")
TYPES = {"tensor(float)": np.float32, "tensor(int64)": np.int64}


def bytes_of(name, layout):
    return base64.b64decode(VECTORS[name]["sources"][layout])


def session_of(model):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])


def check(name, layout):
    """Weights, moving statistics and the number of groups are given with the image, in place of the defaults."""
    session = session_of(bytes_of(name, layout))
    inputs = [*session.get_inputs(), *session.get_overridable_initializers()]
    for case in VECTORS[name]["cases"]:
        shape, step = case["shape"], case["inference"]
        given = {"x": images(step["x"], shape, layout), "groups": shape["groups"], **case["parameters"]}
        moving = [entry.name for entry in inputs if entry.name.startswith("moving_")]
        given.update(zip(sorted(moving, key=lambda key: int(key.rsplit("_", 1)[1])), case["statistics"]))
        # One number stands for all channels where a statistic has no channels.
        sizes = {entry.name: entry.shape for entry in inputs}
        given.update({key: given[key][:1] for key in moving if sizes[key] == [1]})
        feeds = {entry.name: np.array(given[entry.name], TYPES[entry.type]) for entry in inputs}
        [y] = session.run(["y"], feeds)
        agree(y, images(step["result"]["y"], shape, layout), case.get("tolerance", SINGLE), "y")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", KNOWN)
def test_models_equal_the_interpreter(name, layout):
    check(name, layout)


@pytest.mark.parametrize("number", range(len(CANDIDATES)))
def test_candidates_equal_the_interpreter(number):
    check(CANDIDATES[number], LAYOUTS[number % 2])


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", KNOWN)
def test_the_checker_finds_nothing(name, layout):
    model = onnx.load_from_string(bytes_of(name, layout))
    onnx.checker.check_model(model, full_check=True)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", 17)]
    assert model.ir_version == 8
    inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
    for value in (inferred.graph.input[0], inferred.graph.output[0]):
        dims = [dim.dim_param for dim in value.type.tensor_type.shape.dim]
        assert dims == list(layout.upper())


def self_test(path):
    """As `evolayer export --check` runs it."""
    script = "import { TARGETS } from './src/export/targets.ts';"
    script += "process.stdout.write(TARGETS.onnx.check[0].args('')[1]);"
    command = ["node", "--import", "tsx", "--input-type=module", "-e", script]
    program = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True)


@pytest.mark.parametrize("name", ["EvoNorm-B1", "EvoNorm-S0"])
def test_models_check_themselves(name, tmp_path):
    path = tmp_path / "layer.onnx"
    path.write_bytes(bytes_of(name, "nhwc"))
    good = self_test(path)
    assert good.returncode == 0, good.stderr
    assert "inference.y" in good.stdout
    model = onnx.load(path)
    [scaled] = [node for node in model.graph.node if node.output[0] == "scaled"]
    scaled.op_type = "Add"
    onnx.save(model, path)
    bad = self_test(path)
    assert bad.returncode == 1
    assert "inference.y is" in bad.stderr
