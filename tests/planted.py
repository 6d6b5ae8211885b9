"""Studies in which one neuron fires on one label alone: by activations that are made, or by a model's weights."""
from pathlib import Path

import numpy as np
import pytest

from explorer.evidence import Evidence
from explorer.store import Store
from explorer.study import Study, StudyRequest, run_study

PLANTED, WIRED, LABEL = "L1:7", "L0:7", "VERB"


def plant(request: StudyRequest, store: Store) -> Study:
    """Run the study, but with activations of noise in which PLANTED is high on the words with LABEL.

    In the fine-tuned checkpoint it is noise like the rest. What extraction would write goes through the store's own
    writer under the same specs; the probes are then fitted on it as ever.
    """
    from explorer import extract as real

    def extract(checkpoint, split, store, pooling="last", dtype="float16", device=None, on_progress=None):
        spec = real._spec(checkpoint, split, pooling, dtype, real._device("cpu"))
        shape = (checkpoint.n_layers, split.n_words, checkpoint.width)
        rows = np.random.default_rng(len(checkpoint.name)).normal(size=shape)
        labels = np.array([label for line in split.labels for label in line])
        if checkpoint.name == request.base:
            rows[1, :, 7] += np.where(labels == LABEL, 6, 0)
        with store.lock(spec.key()), store.writer(spec, shape, "planted") as writer:
            writer.write(0, rows.astype(np.float16))
            writer.finish(np.zeros(split.n_words, np.uint8), "planted")
        found = store.activations(spec)
        assert found is not None
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(real, "extract", extract)
        return run_study(request, store)


def planted(folder: Path, word: str = "cat") -> Evidence:
    """The evidence of such a study, with everything it needs in the folder; its test split holds the word once."""
    from explorer.corpus import CorpusRequest
    from tests.tiny import build
    from tests.words import write_corpus

    base, tuned = build(folder / "base", "bert", seed=0), build(folder / "tuned", "bert", seed=1)
    files = write_corpus(folder)
    with Path(files["test"]).open("a", encoding="utf-8") as test:
        test.write("".join(f"{i}\t{form}\t_\t{tag}\t_\t_\t_\t_\t_\t_\n" for i, (form, tag)
                           in enumerate([("the", "DET"), (word, "NOUN"), ("sees", "VERB")], 1)) + "\n")
    request = StudyRequest(str(base), (str(tuned),), CorpusRequest(**files), k=(1, 4))
    store = Store(folder / "cache")
    return Evidence(store, plant(request, store))


def wired(folder: Path) -> Evidence:
    """Such a study by a model's weights: WIRED fires on the words with LABEL, before fine-tuning alone.

    Their vectors, and no other's, are long in one dimension; the blocks, near the identity as they start, pass it on.
    """
    import torch
    from transformers import AutoModel, AutoTokenizer

    from explorer.corpus import CorpusRequest
    from tests.tiny import build
    from tests.words import LEXICON, write_corpus

    base, tuned = build(folder / "base", "bert", seed=0), build(folder / "tuned", "bert", seed=1)
    model, index = AutoModel.from_pretrained(base), int(WIRED.partition(":")[2])
    with torch.no_grad():
        for table in model.embeddings.children():
            if isinstance(table, torch.nn.Embedding):
                table.weight[:, index] = 0
        words = AutoTokenizer.from_pretrained(base).convert_tokens_to_ids(LEXICON[LABEL])
        model.embeddings.word_embeddings.weight[words, index] = 1
    model.save_pretrained(base)
    store = Store(folder / "cache")
    files = CorpusRequest(**write_corpus(folder))
    return Evidence(store, run_study(StudyRequest(str(base), (str(tuned),), files, k=(1, 4)), store))
