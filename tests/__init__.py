"""Tests, run by pytest; benchmarks, run by `python -m tests.benchmarks`."""
from pathlib import Path

SHARED = Path(__file__).resolve().parents[2] / "shared"  # real corpora and models beside the repository, where it is
