"""Who may import whom: the rules of ARCHITECTURE.md, read off the sources and off sys.modules."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "keras_affect"
MODULES = sorted(PACKAGE.rglob("*.py"))
#: The walk of the data: a part may stand on those before it.
ORDER = (
    "_arguments", "_files", "_masks", "emotions", "weights", "datasets", "augmentation",
    "initializers", "layers", "models", "ensembles", "losses", "metrics", "runtime", "evaluation",
    "visualize", "training", "export", "demo", "cli", "__main__",
)  # fmt: skip
#: What takes seconds to load, or isn't there where the base dependencies alone are installed.
HEAVY = {"cv2", "h5py", "jax", "keras", "kaggle", "matplotlib", "scipy", "tensorflow", "torch"}


def _name(path: Path) -> str:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


KNOWN = {_name(path) for path in MODULES}


def _imports(path: Path, tree: ast.AST | None = None) -> Iterator[str]:
    """Absolute names of all that a module imports, inside functions too."""
    tree = tree or ast.parse(path.read_text(encoding="utf-8"))
    package = _name(path).split(".")
    if path.name != "__init__.py":
        package.pop()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*above, *([node.module] if node.module else [])])
            for alias in node.names:
                full = f"{module}.{alias.name}"
                yield full if full in KNOWN else module


def _at_the_top(path: Path) -> set[str]:
    """What is imported as soon as a module is: not inside a function, nor for types alone."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for parent in ast.walk(tree):
        if isinstance(parent, ast.Module | ast.ClassDef | ast.If | ast.Try):
            parent.body = [node for node in parent.body if not _is_late(node)]
    return set(_imports(path, tree))


def _is_late(node: ast.AST) -> bool:
    if isinstance(node, ast.If):
        return "TYPE_CHECKING" in ast.dump(node.test)
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)


def _roots(names) -> set[str]:
    """Of each name what stands before the first dot; the standard library's left out."""
    return {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)


def _own(names) -> set[str]:
    """The parts of the package among the names, as "datasets" for keras_affect.datasets.votes."""
    split = [name.split(".") for name in names]
    return {parts[1] if len(parts) > 1 else "" for parts in split if parts[0] == "keras_affect"}


def _loaded_by(code: str) -> set[str]:
    """Modules in a fresh interpreter after the code ran."""
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport json, sys; print(json.dumps([*sys.modules]))"],
        capture_output=True,
        text=True,
        check=False,
        cwd=REPOSITORY,
    )
    assert run.returncode == 0, run.stderr
    return set(json.loads(run.stdout.splitlines()[-1]))


def test_sources_are_read_rightly(tmp_path, monkeypatch):
    """The tests below rest on `_imports`; what it must find, and what it must not."""
    code = (
        "from __future__ import annotations\nimport a.b\nfrom keras_affect import emotions, x\n"
        "from ..weights import catalog\nfrom . import faces\ndef f():\n    import tests.late\n"
        "if TYPE_CHECKING:\n    import typed\n"
    )
    path = tmp_path / "keras_affect" / "runtime" / "module.py"
    path.parent.mkdir(parents=True)
    path.write_text(code)
    monkeypatch.setitem(globals(), "REPOSITORY", tmp_path)
    monkeypatch.setitem(globals(), "KNOWN", KNOWN | {"keras_affect.runtime.faces"})
    found = {
        "__future__",
        "a.b",
        "keras_affect",
        "keras_affect.emotions",
        "keras_affect.weights.catalog",
        "keras_affect.runtime.faces",
        "tests.late",
        "typed",
    }
    assert set(_imports(path)) == found
    assert _own(found) == {"", "emotions", "runtime", "weights"}
    assert _roots(found) == {"a", "keras_affect", "tests", "typed"}
    assert found - _at_the_top(path) == {"tests.late", "typed"}


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_package_imports_neither_tests_nor_products_nor_examples(path):
    assert not _roots(_imports(path)) & {"tests", "examples", "export", "tools"}


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_parts_stand_on_those_before_them(path):
    (part,) = _own([_name(path)])
    if not part:
        return  # the package's own __init__ imports nothing of it: see the test below
    needed = _own(_at_the_top(path)) - {"", part}
    assert needed <= set(ORDER[: ORDER.index(part)])


@pytest.mark.parametrize("path", sorted((PACKAGE / "runtime").rglob("*.py")), ids=_name)
def test_runtime_stands_on_emotions_and_the_catalog_alone(path):
    names = set(_imports(path))
    assert _own(names) <= {"", "emotions", "runtime", "weights"}
    weights = {name for name in names if name.startswith("keras_affect.weights")}
    assert weights <= {"keras_affect.weights", "keras_affect.weights.catalog"}
    assert _roots(names) <= {"keras_affect", "numpy", "PIL", "ai_edge_litert", "cv2"}
    assert "cv2" not in _roots(_at_the_top(path)), (
        "OpenCV comes with an extra and takes long to load"
    )


@pytest.mark.parametrize("name", ["emotions", "weights/__init__", "weights/catalog"])
def test_what_runtime_stands_on_stands_on_nothing_heavy(name):
    path = PACKAGE / f"{name}.py"
    names = set(_imports(path))
    assert _own(names) <= {"weights"}
    assert _roots(names) <= {"keras_affect", "numpy"}


def test_command_line_loads_what_a_command_needs_when_it_runs():
    for path in sorted((PACKAGE / "cli").rglob("*.py")):
        names = _at_the_top(path)
        assert _roots(names) <= {"typer", "keras_affect"}
        # Of the package nothing but the command line itself.
        assert _own(names) <= {"", "cli"}
    loaded = _loaded_by("import keras_affect.cli")
    assert not HEAVY & loaded
    assert _own(loaded) == {"", "cli"}


def test_package_itself_loads_nothing_but_python():
    assert _roots(_loaded_by("import keras_affect") - _loaded_by("")) == {"keras_affect"}


def test_runtime_loads_no_backend_even_where_one_is_installed():
    loaded = _loaded_by("import keras_affect.runtime")
    assert "keras_affect.runtime" in loaded
    assert not HEAVY & loaded
    assert _own(loaded) == {"", "emotions", "runtime", "weights"}


def test_heavy_modules_are_seen_when_they_are_loaded():
    """The negative control of the tests above."""
    assert {"keras", "tensorflow"} <= HEAVY & _loaded_by("import keras_affect; keras_affect.models")


def test_names_that_users_meet_need_no_further_import():
    """After `import keras_affect as ka` alone, as in the README and the docstrings."""
    names = (
        "augmentation.Cutout",
        "augmentation.Mixup",
        "augmentation.face_pipeline",
        "augmentation.with_keys",
        "datasets.aff_wild2.read",
        "datasets.afew_va.read",
        "datasets.clips.load",
        "datasets.affectnet.load",
        "datasets.ferplus.load",
        "datasets.ferplus.read",
        "datasets.inspection.inspect",
        "datasets.kaggle.ferplus",
        "datasets.record_writer.write",
        "datasets.records.load",
        "datasets.synthetic.load",
        "datasets.valence_arousal.load",
        "emotions.convert_scale",
        "ensembles.Ensemble",
        "ensembles.MonteCarlo",
        "evaluation.evaluate",
        "evaluation.scores",
        "export.to_litert",
        "export.to_litert_clip",
        "export.to_litert_streaming",
        "initializers.Fixup",
        "initializers.MSRA",
        "initializers.Xavier",
        "initializers.ZeroResidual",
        "layers.DropConnect",
        "layers.FractionalAveragePooling2D",
        "layers.FractionalMaxPooling2D",
        "layers.StochasticDepth",
        "losses.ConcordanceLoss",
        "losses.LabelDistributionLoss",
        "losses.MaskedCategoricalCrossentropy",
        "losses.MaskedMeanSquaredError",
        "metrics.ConcordanceCorrelation",
        "metrics.RootMeanSquaredError",
        "metrics.SignAgreement",
        "models.AlexNet",
        "models.GoogLeNet",
        "models.LightweightCNN",
        "models.ResNet18",
        "models.ResNet50",
        "models.TemporalAffect",
        "models.VGG13",
        "models.VGG16",
        "models.list_models",
        "models.load",
        "runtime.AffectInterpreter",
        "runtime.PredictionFilter",
        "runtime.StreamingAffect",
        "runtime.find_faces",
        "training.Distiller",
        "training.Recipe",
        "training.fine_tune",
        "training.train",
        "visualize.curves",
        "weights.find",
    )
    code = "import keras_affect as ka\nmissing = []\n" + "".join(
        f"try: ka.{name}\nexcept (AttributeError, ImportError): missing.append({name!r})\n"
        for name in names
    )
    assert _loaded_by(code + "assert not missing, missing")


def test_no_module_needs_itself():
    """A cycle works or fails by who is imported first."""
    needs = {_name(path): _at_the_top(path) & (KNOWN - {"keras_affect"}) for path in MODULES}
    left = dict(needs)
    while leaves := [name for name, needed in left.items() if not needed & left.keys()]:
        for name in leaves:
            del left[name]
    assert not left
