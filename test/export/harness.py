"""What the tests of the Python targets share: vectors of the fp64 interpreter, and how to compare."""

import builtins
import json
import keyword
import os
import pathlib
import subprocess
import symtable
import sys
import types

import numpy as np

ROOT = pathlib.Path(__file__).parents[2]
LAYOUTS = ["nchw", "nhwc"]
DOUBLE = 1e-8
SINGLE = 1e-4


def load_vectors(target, precision="double"):
    """By name: kind, formula, inputs, sources by layout, and cases that this precision can follow."""
    command = ["node", "--import", "tsx", "test/export/vectors.ts", target, precision]
    result = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    return {entry["name"]: entry for entry in json.loads(result.stdout)}


def named(vectors, *kinds):
    return [name for name, entry in vectors.items() if entry["kind"] in kinds]


def module_of(entry, layout="nchw"):
    """The exported file, imported."""
    module = types.ModuleType(entry["name"])
    exec(compile(entry["sources"][layout], entry["name"], "exec"), module.__dict__)
    return module


def grouped(entry, layout="nchw"):
    return "groups: int" in entry["sources"][layout]


def images(values, shape, layout):
    """In the layout's order, in double precision."""
    sizes = (shape["batch"], shape["height"], shape["width"], shape["channels"])
    nhwc = np.array(values, dtype=np.float64).reshape(sizes)
    return np.ascontiguousarray(nhwc.transpose(0, 3, 1, 2)) if layout == "nchw" else nhwc


def agree(actual, expected, tolerance, what):
    """Differences are relative to the largest entry, and to 1 where all are small."""
    expected = np.asarray(expected, dtype=np.float64)
    actual = np.asarray(actual, dtype=np.float64).reshape(expected.shape)
    scale = max(1.0, np.abs(expected).max())
    difference = np.abs(actual - expected).max()
    assert difference <= tolerance * scale, f"{what}: off by {difference} at scale {scale}"


def check_case(layer, entry, case, layout, tolerance):
    """Two training steps and inference. `layer` is an adapter that has loaded the case's weights:

    step(x, dy, training) -> (y, {"x": dx, weight: gradient, ...}), and statistics() in order of slots.
    A case that single precision cannot follow that closely has a tolerance of its own.
    """
    shape = case["shape"]
    tolerance = case.get("tolerance", tolerance)
    steps = [(step, True) for step in case["steps"]] + [(case["inference"], False)]
    for step, training in steps:
        x = images(step["x"], shape, layout)
        y, gradients = layer.step(x, images(step["dy"], shape, layout), training)
        result = step["result"]
        agree(y, images(result["y"], shape, layout), tolerance, "y")
        agree(gradients.pop("x"), images(result["dx"], shape, layout), tolerance, "dx")
        assert set(gradients) == {*entry["inputs"], "gamma", "beta"}
        for name, gradient in gradients.items():
            agree(gradient, result[f"d{name}"], tolerance, f"d{name}")
        statistics = layer.statistics()
        assert len(statistics) == len(case["statistics"])
        # Inference leaves them as they are after the two steps.
        if step is not case["steps"][0]:
            for actual, expected in zip(statistics, case["statistics"]):
                agree(actual, expected, tolerance, "statistics")


def taken_names():
    """What `evolayer export --name` refuses."""
    script = "import { TAKEN } from './src/export/class-name.ts';"
    script += "process.stdout.write([...TAKEN].join(' '));"
    command = ["node", "--import", "tsx", "--input-type=module", "-e", script]
    return set(subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout.split())


def free_names(table):
    """The globals and builtins that a module and all within it reads."""
    inner = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global()}
    if table.get_type() == "module":
        inner = {symbol.get_name() for symbol in table.get_symbols()}
    return inner.union(*(free_names(child) for child in table.get_children()))


def check_names(vectors):
    """Nothing that a file reads, and no keyword, can be the name of its class."""
    sources = [source for entry in vectors.values() for source in entry["sources"].values()]
    read = set().union(*(free_names(symtable.symtable(source, "layer", "exec")) for source in sources))
    names = {name for name in read if name[0] != "_"} - {"Layer"}
    assert len(names) > 8 and names & set(dir(builtins))
    names |= {name for name in (*keyword.kwlist, *keyword.softkwlist) if name[0] != "_"}
    assert names <= taken_names()


def check_types(vectors, folder):
    """Under mypy's strict rules, but for those that frameworks without types break."""
    for number, entry in enumerate(vectors.values()):
        for layout, source in entry["sources"].items():
            (folder / f"layer_{number}_{layout}.py").write_text(source)
    lenient = ["--allow-untyped-calls", "--allow-subclassing-any", "--ignore-missing-imports"]
    command = [sys.executable, "-m", "mypy", "--strict", *lenient, "--cache-dir", os.devnull, folder]
    result = subprocess.run(command, text=True, capture_output=True)
    assert result.returncode == 0, result.stdout + result.stderr


def check_formatting(vectors, folder):
    for number, entry in enumerate(vectors.values()):
        for layout, source in entry["sources"].items():
            (folder / f"layer_{number}_{layout}.py").write_text(source)
    for arguments in (["format", "--diff"], ["check"]):
        command = [sys.executable, "-m", "ruff", *arguments, "--isolated", folder]
        result = subprocess.run(command, text=True, capture_output=True)
        assert result.returncode == 0, result.stdout + result.stderr


def check_self_test(entry, layout, tmp_path):
    """The file as a program: it agrees with itself, and notices when a weight's gradient is off."""
    file = tmp_path / "layer.py"
    file.write_text(entry["sources"][layout])
    good = subprocess.run([sys.executable, file], capture_output=True, text=True, env=os.environ)
    assert good.returncode == 0, good.stdout + good.stderr
    assert "inference.dx" in good.stdout
    source = entry["sources"][layout]
    assert "out = " in source
    file.write_text(source.replace("out = ", "out = 1.01 * ", 1))
    bad = subprocess.run([sys.executable, file], capture_output=True, text=True, env=os.environ)
    assert bad.returncode == 1, bad.stdout + bad.stderr
    assert "first.y is" in bad.stderr
