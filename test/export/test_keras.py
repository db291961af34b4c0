"""Exported Keras layers against the fp64 interpreter, on the backend that KERAS_BACKEND names."""

import keras
import numpy as np
import pytest
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
from keras import ops

if keras.backend.backend() == "torch":
    import torch

    torch.set_num_threads(1)

# On PyTorch and JAX, Keras takes means in single precision, whatever the layer's.
EXACT = keras.backend.backend() == "tensorflow"
DTYPE, TOLERANCE = ("float64", DOUBLE) if EXACT else ("float32", SINGLE)
VECTORS = load_vectors("keras", "double" if EXACT else "single")
if not EXACT:
    # The deviation of values that are nearly all the same: their mean in single precision is another number,
    # and its distance to each is a rounding error, divided by the root of epsilon.
    VECTORS["candidate 151"]["cases"][0]["tolerance"] = 1e-3
KNOWN = named(VECTORS, "zoo", "special")
ZOO = named(VECTORS, "zoo")
CANDIDATES = named(VECTORS, "candidate")


def layer_class(name, layout="nhwc"):
    return module_of(VECTORS[name], layout).Layer


class Adapter:
    """Takes gradients as the file's self-test does, which knows the three backends."""

    def __init__(self, name, case, layout, dtype):
        entry, shape = VECTORS[name], case["shape"]
        options = {"groups": shape["groups"]} if grouped(entry) else {}
        self.module = module_of(entry, layout)
        self.layer = self.module.Layer(dtype=dtype, **options)
        channels = shape["channels"]
        self.layer.build((None, channels, None, None) if layout == "nchw" else (None, None, None, channels))
        for weight in self.layer.trainable_weights:
            weight.assign(np.array(case["parameters"][weight.name]))
        self.dtype = dtype
        self.moves = len(self.layer.non_trainable_weights) > 0

    def step(self, x, dy, training):
        options = {"training": training} if self.moves else {}
        x, dy = x.astype(self.dtype), dy.astype(self.dtype)
        y, gradients = self.module._differentiated(self.layer, x, dy, **options)
        # At inference the batch may not matter: nothing flows to what was only read through its moments.
        zeros = {weight.name: np.zeros(weight.shape) for weight in self.layer.trainable_weights}
        zeros["x"] = np.zeros_like(x)
        found = {
            name: zeros[name] if gradient is None else ops.convert_to_numpy(gradient)
            for name, gradient in gradients.items()
        }
        return ops.convert_to_numpy(y), found

    def statistics(self):
        return [ops.convert_to_numpy(weight) for weight in self.layer.non_trainable_weights]


def check(name, case, layout, dtype, tolerance):
    check_case(Adapter(name, case, layout, dtype), VECTORS[name], case, layout, tolerance)


@pytest.mark.parametrize("name", KNOWN)
def test_layers_equal_the_interpreter(name):
    for case in VECTORS[name]["cases"]:
        check(name, case, "nhwc", DTYPE, TOLERANCE)
    check(name, VECTORS[name]["cases"][0], "nchw", DTYPE, TOLERANCE)


@pytest.mark.parametrize("number", range(len(CANDIDATES)))
def test_candidates_equal_the_interpreter(number):
    [case] = VECTORS[CANDIDATES[number]]["cases"]
    check(CANDIDATES[number], case, LAYOUTS[number % 2], DTYPE, TOLERANCE)


@pytest.mark.parametrize("name", KNOWN)
def test_single_precision_is_within_1e_4(name):
    check(name, VECTORS[name]["cases"][0], "nhwc", "float32", SINGLE)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["BN-ReLU", "EvoNorm-B0", "EvoNorm-S0"])
def test_a_sequence_is_an_image_of_width_1(name, layout):
    layer = layer_class(name, layout)()
    shape, width = ((3, 6, 5, 1), 3) if layout == "nchw" else ((3, 5, 1, 6), 2)
    x = np.random.default_rng(0).standard_normal(shape).astype("float32")
    agree(
        ops.convert_to_numpy(layer(x.squeeze(width))),
        ops.convert_to_numpy(layer(x)).squeeze(width),
        1e-6,
        "y",
    )


@pytest.mark.parametrize("name", ZOO)
def test_without_affine_and_from_zero(name):
    x = np.random.default_rng(0).standard_normal((3, 4, 4, 6)).astype("float32")
    bare = layer_class(name)(affine=False)
    agree(ops.convert_to_numpy(bare(x)), ops.convert_to_numpy(layer_class(name)()(x)), 1e-6, "y")
    assert not ops.convert_to_numpy(layer_class(name)(zero_init=True)(x)).any()


def test_batch_norm_is_kerass():
    ours = layer_class("BN-ReLU")(momentum=0.9, epsilon=1e-5)
    theirs = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)
    random = np.random.default_rng(0)
    for _ in range(3):
        x = (2 * random.standard_normal((4, 5, 5, 6)) + 1).astype("float32")
        expected = ops.relu(theirs(x, training=True))
        agree(*map(ops.convert_to_numpy, (ours(x, training=True), expected)), 1e-5, "training")
    agree(*map(ops.convert_to_numpy, (ours(x), ops.relu(theirs(x)))), 1e-5, "inference")


@pytest.mark.parametrize("name", ["BN-ReLU", "EvoNorm-B0", "EvoNorm-S0", "LN-ReLU"])
def test_moments_of_narrow_tensors_are_wide(name):
    # Squares of these overflow in fp16, whose largest number is 65504.
    x = 1000 * np.random.default_rng(0).standard_normal((2, 4, 4, 32))
    narrow = layer_class(name)(dtype="mixed_float16")(x.astype("float16"))
    wide = layer_class(name)()(x.astype("float32"))
    agree(*map(ops.convert_to_numpy, (narrow, wide)), 0.02, "y")


@pytest.mark.parametrize("name", ZOO)
def test_a_model_survives_saving(name, tmp_path):
    layer = layer_class(name)(name="found")
    model = keras.Sequential([keras.Input((4, 4, 6)), keras.layers.Conv2D(6, 3), layer])
    x = np.random.default_rng(0).standard_normal((2, 4, 4, 6)).astype("float32")
    for weight in layer.trainable_weights:
        weight.assign(np.random.default_rng(1).standard_normal(weight.shape))
    path = tmp_path / "model.keras"
    model.save(path)
    copy = keras.models.load_model(path, custom_objects={"Layer": type(layer)})
    agree(*map(ops.convert_to_numpy, (model(x), copy(x))), 0, "y")
    assert copy.get_layer("found").get_config() == layer.get_config()


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", ["EvoNorm-S0", "ReLU"])
def test_other_channels_than_it_was_built_for_are_refused(name, layout):
    layer = layer_class(name, layout)()
    axis = 1 if layout == "nchw" else -1
    shape = (2, 6, 4, 5) if layout == "nchw" else (2, 4, 5, 6)
    layer(np.zeros(shape, "float32"))
    other = (2, 4, 4, 6) if layout == "nchw" else (2, 4, 6, 4)
    with pytest.raises(ValueError, match=f"expected axis {axis} of input shape to have value 6"):
        layer(np.zeros(other, "float32"))
    with pytest.raises(ValueError, match="with a known C, not "):
        layer_class(name, layout)().build((None, None, None, None))
    with pytest.raises(ValueError, match="with a known C, not "):
        layer_class(name, layout)().build((2, 6))


def test_a_model_learns():
    """Fitting moves weights and statistics, through whatever the backend compiles."""
    layer = layer_class("EvoNorm-B0")()
    model = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Conv2D(6, 3), layer])
    model.compile("sgd", "mse")
    random = np.random.default_rng(0)
    x, y = (random.standard_normal((16, *shape)).astype("float32") for shape in ((4, 4, 3), (2, 2, 6)))
    before = [weight.numpy() if hasattr(weight, "numpy") else np.array(weight) for weight in layer.weights]
    model.fit(x, y, batch_size=8, epochs=2, verbose=0)
    for weight, old in zip(layer.weights, before):
        assert (ops.convert_to_numpy(weight) != old).any(), weight.name


@pytest.mark.parametrize("name", ["EvoNorm-B1", "DyT"])
def test_files_check_themselves(name, tmp_path):
    check_self_test(VECTORS[name], "nhwc", tmp_path)


def test_sources_are_formatted(tmp_path):
    check_formatting(VECTORS, tmp_path)


def test_type_checkers_find_nothing(tmp_path):
    check_types(VECTORS, tmp_path)


def test_classes_cannot_have_names_that_files_read():
    check_names(VECTORS)
