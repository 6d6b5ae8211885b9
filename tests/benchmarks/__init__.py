"""Benchmarks: python -m tests.benchmarks. Every figure stands beside one that was measured in the same run.

The text is UD English EWT, the model all-MiniLM-L6-v2, both looked for in ../shared beside the repository.
"""
from explorer.corpus import CorpusRequest
from tests import SHARED

MODEL = SHARED / "models" / "all-MiniLM-L6-v2"
NEUROX = "pip install h5py==3.16.0 imbalanced-learn==0.14.2 && pip install --no-deps neurox==1.0.9"


def treebank(train: str, dev: str, test: str, limit: int | None = None) -> CorpusRequest:
    """EWT's files as the splits of a corpus, labelled with upos."""
    files = (str(SHARED / "data" / "ud_ewt" / f"en_ewt-ud-{name}.conllu.xz") for name in (train, dev, test))
    return CorpusRequest(*files, limit=limit)
