"""The rules of the layout: who may import what, and what looking at results costs."""
import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ORDER = [
    "specs", "files", "outputs", "downloads", "activations", "store", "readers", "corpus", "tasks", "hub", "models",
    "extract", "probe", "confounds", "optimise", "probes", "ranking", "gaussian", "wide", "stats", "baselines", "mdl",
    "spans", "labels", "layer", "metrics", "figures", "study", "untrained", "evidence", "reading", "neurons", "neuron",
    "card", "search", "errors", "sentence", "patterns", "methods", "all_layers", "scorecard", "scoring", "runs",
    "history", "trajectory", "freezing", "finetune", "work", "estimate", "processes", "jobs", "starter", "overview",
    "charts", "cached", "views", "cli_neurons", "cli", "__main__",
]
MODULES = sorted([*(ROOT / "explorer").rglob("*.py"), ROOT / "streamlit_app.py"])


def imports(path: Path) -> set[str]:
    """Full names of all modules that a file imports anywhere."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def packages(path: Path) -> set[str]:
    return {name.partition(".")[0] for name in imports(path)}


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_streamlit_and_transformers_stay_where_they_belong(path: Path) -> None:
    relative = path.relative_to(ROOT).as_posix()
    if "streamlit" in packages(path):
        assert relative in ("streamlit_app.py", "explorer/cached.py") or relative.startswith("explorer/views/")
    if "transformers" in packages(path):
        assert relative in ("explorer/models.py", "explorer/extract.py", "explorer/finetune.py") \
            or relative.startswith("explorer/starter/")


def unit(path: Path) -> str:
    """The module or package right below explorer/ that a file is, or is part of."""
    return path.relative_to(ROOT / "explorer").parts[0].removesuffix(".py")


UNITS = sorted({unit(path) for path in MODULES if path.parent != ROOT} - {"__init__"})


@pytest.mark.parametrize("name", UNITS)
def test_a_module_imports_only_from_its_left(name: str) -> None:
    for path in MODULES:
        if path.parent != ROOT and unit(path) == name:
            found = {full.split(".")[1] for full in imports(path) if full.startswith("explorer.")}
            assert found - {name} <= set(ORDER[:ORDER.index(name)])


def test_the_order_names_every_module() -> None:
    assert set(UNITS) == set(ORDER)


def test_top_level_entries() -> None:
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    top = {line.partition("/")[0] for line in tracked.splitlines()}
    assert {name for name in top if not name.startswith(".")} <= {
        "streamlit_app.py", "explorer", "cache", "tests", "requirements.txt", "README.md", "LICENSE", "pyproject.toml",
    }


def test_looking_at_studies_imports_no_torch() -> None:
    code = "import sys, explorer.study, explorer.jobs, explorer.charts.layers, explorer.store, explorer.models\n" \
           "import explorer.cached\n" \
           "print([m for m in ('torch', 'transformers', 'sklearn', 'scipy') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
