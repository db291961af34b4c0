"""Exported Flax modules against the fp64 interpreter and against Flax's own layers."""

import copy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from harness import (
    DOUBLE,
    LAYOUTS,
    SINGLE,
    agree,
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

jax.config.update("jax_enable_x64", True)

VECTORS = load_vectors("flax")
KNOWN = named(VECTORS, "zoo", "special")
ZOO = named(VECTORS, "zoo")
CANDIDATES = named(VECTORS, "candidate")


def layer_class(name, layout="nchw"):
    return module_of(VECTORS[name], layout).Layer


def weighted(layer, x, dy):
    y = layer(x)
    return jnp.vdot(y, dy), y


gradients = nnx.jit(nnx.grad(weighted, argnums=(0, 1), has_aux=True))


class Adapter:
    def __init__(self, name, case, layout, dtype):
        shape = case["shape"]
        options = {"groups": shape["groups"]} if grouped(VECTORS[name]) else {}
        layer = layer_class(name, layout)(shape["channels"], param_dtype=dtype, **options)
        self.weights = [*VECTORS[name]["inputs"], "gamma", "beta"]
        for key in self.weights:
            getattr(layer, key)[...] = jnp.array(case["parameters"][key], dtype)
        self.layer, self.dtype = layer, dtype

    def step(self, x, dy, training):
        self.layer.train() if training else self.layer.eval()
        x, dy = jnp.array(x, self.dtype), jnp.array(dy, self.dtype)
        (dlayer, dx), y = gradients(self.layer, x, dy)
        return y, {"x": dx, **{key: dlayer[key][...] for key in self.weights}}

    def statistics(self):
        moving = [key for key in vars(self.layer) if key.startswith("moving_")]
        moving.sort(key=lambda key: int(key.rsplit("_", 1)[1]))
        return [getattr(self.layer, key)[...] for key in moving]


def check(name, case, layout, dtype, tolerance):
    check_case(Adapter(name, case, layout, dtype), VECTORS[name], case, layout, tolerance)


@pytest.mark.parametrize("name", KNOWN)
def test_double_precision_equals_the_interpreter(name):
    for case in VECTORS[name]["cases"]:
        check(name, case, "nhwc", jnp.float64, DOUBLE)
    check(name, VECTORS[name]["cases"][0], "nchw", jnp.float64, DOUBLE)


@pytest.mark.parametrize("number", range(len(CANDIDATES)))
def test_candidates_equal_the_interpreter(number):
    [case] = VECTORS[CANDIDATES[number]]["cases"]
    check(CANDIDATES[number], case, LAYOUTS[number % 2], jnp.float64, DOUBLE)


@pytest.mark.parametrize("name", KNOWN)
def test_single_precision_is_within_1e_4(name):
    check(name, VECTORS[name]["cases"][0], "nhwc", jnp.float32, SINGLE)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ZOO)
def test_a_sequence_is_an_image_of_width_1(name, layout):
    layer = layer_class(name, layout)(6)
    twin = copy.deepcopy(layer)
    shape, width = ((3, 6, 5, 1), 3) if layout == "nchw" else ((3, 5, 1, 6), 2)
    x = jax.random.normal(jax.random.key(0), shape)
    agree(layer(x.squeeze(width)), twin(x).squeeze(width), 1e-6, "y")


@pytest.mark.parametrize("name", KNOWN)
def test_without_affine_and_from_zero(name):
    x = jax.random.normal(jax.random.key(0), (3, 6, 4, 4))
    bare = layer_class(name)(6, use_affine=False)
    agree(bare(x), layer_class(name)(6)(x), 1e-6, "y")
    assert not layer_class(name)(6, zero_init=True)(x).any()


def test_batch_norm_is_flaxs():
    ours = layer_class("BN-ReLU", "nhwc")(6, momentum=0.9)
    theirs = nnx.BatchNorm(6, momentum=0.9, epsilon=1e-5, rngs=nnx.Rngs(0))
    for seed in range(3):
        x = 2 * jax.random.normal(jax.random.key(seed), (4, 5, 5, 6)) + 1
        agree(ours(x), nnx.relu(theirs(x)), 1e-5, "training")
    ours.eval()
    theirs.eval()
    agree(ours(x), nnx.relu(theirs(x)), 1e-5, "evaluation")


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16])
@pytest.mark.parametrize("name", ["BN-ReLU", "EvoNorm-B0", "EvoNorm-S0", "LN-ReLU"])
def test_moments_of_narrow_tensors_are_wide(name, dtype):
    # Squares of these overflow in fp16, whose largest number is 65504.
    x = 1000 * jax.random.normal(jax.random.key(0), (2, 32, 4, 4), jnp.float32)
    layer = layer_class(name)(32)
    narrow = layer(x.astype(dtype))
    assert narrow.dtype == dtype
    agree(narrow.astype(jnp.float32), layer(x), 0.02, "y")


@pytest.mark.parametrize("name", KNOWN)
def test_nan_stays_nan(name):
    assert jnp.isnan(layer_class(name)(4)(jnp.full((2, 4, 3, 3), jnp.nan))).all()


@pytest.mark.parametrize("name", ZOO)
def test_state_survives_saving(name, tmp_path):
    layer = layer_class(name)(6)
    x = jax.random.normal(jax.random.key(0), (2, 6, 3, 3))
    layer(x)
    state = nnx.to_pure_dict(nnx.state(layer))
    file = tmp_path / "state.npz"
    np.savez(file, **state)
    twin = layer_class(name)(6)
    fresh = nnx.state(twin)
    nnx.replace_by_pure_dict(fresh, dict(np.load(file)))
    nnx.update(twin, fresh)
    layer.eval()
    twin.eval()
    agree(layer(x), twin(x), 0, "y")


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_wrong_number_of_channels_is_refused(layout):
    with pytest.raises(ValueError, match="6"):
        layer_class("EvoNorm-S0", layout)(6)(jnp.zeros((2, 4, 4, 4)))


@pytest.mark.parametrize("name", ["EvoNorm-B1", "DyT"])
def test_files_check_themselves(name, tmp_path):
    check_self_test(VECTORS[name], "nhwc", tmp_path)


def test_sources_are_formatted(tmp_path):
    check_formatting(VECTORS, tmp_path)


def test_type_checkers_find_nothing(tmp_path):
    check_types(VECTORS, tmp_path)


def test_classes_cannot_have_names_that_files_read():
    check_names(VECTORS)
