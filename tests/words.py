"""A corpus whose labels are known from the words: for tests of everything that takes a corpus."""
from pathlib import Path

import numpy as np

LEXICON = {
    "DET": ["the", "a", "every"],
    "NOUN": ["cat", "dog", "bird", "house", "garden"],
    "VERB": ["sees", "finds", "likes", "paints"],
    "ADJ": ["small", "red", "quiet"],
}
PATTERN = ["DET", "ADJ", "NOUN", "VERB", "DET", "NOUN"]


def write_conllu(path: Path, sentences: int, seed: int, extra: str = "") -> Path:
    """Sentences in which a word's form determines its UPOS; `extra` is appended as it is."""
    random = np.random.default_rng(seed)
    lines: list[str] = []
    for _ in range(sentences):
        pattern = [tag for tag in PATTERN if tag != "ADJ" or random.random() < 0.5]
        for i, tag in enumerate(pattern, 1):
            lines.append(f"{i}\t{random.choice(LEXICON[tag])}\t_\t{tag}\t_\t_\t_\t_\t_\t_")
        lines.append("")
    path.write_text("\n".join([*lines, ""]) + extra, encoding="utf-8")
    return path


def write_corpus(folder: Path) -> dict[str, str]:
    """Three files, as the keyword arguments of CorpusRequest."""
    folder.mkdir(parents=True, exist_ok=True)
    sizes = {"train": 60, "dev": 15, "test": 20}
    return {name: str(write_conllu(folder / f"{name}.conllu", n, seed))
            for seed, (name, n) in enumerate(sizes.items())}
