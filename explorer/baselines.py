"""What a probe's accuracy is compared with: guesses that look at no neuron, and labels that no model can know."""
from collections.abc import Mapping

import numpy as np
import pandas as pd


def majority(codes: np.ndarray) -> int:
    """The label that most training words have; the first of equals."""
    return int(np.bincount(codes).argmax())


def most_frequent(words: np.ndarray, codes: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """For each word asked for, the label that its form has most often in training, else the majority's.

    words and codes are (training words,); forms are compared as they are written, upper and lower case apart; of
    equally frequent labels the first is taken.
    """
    counts = pd.DataFrame({"word": words, "code": codes}).value_counts().rename("n").reset_index()
    best = counts.sort_values(["n", "code"], ascending=[False, True]).drop_duplicates("word").set_index("word").code
    return pd.Series(asked).map(best).fillna(majority(codes)).to_numpy().astype(int)


def control_task(words: Mapping[str, np.ndarray], codes: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """A label for every word that its form alone decides, at random (Hewitt & Liang 2019): for each split, codes.

    A form's label is drawn from the distribution of the training words' codes. What a probe gets right of it beyond
    chance it has memorised. Depends on the set of forms, on codes' distribution and on the seed.
    """
    number, forms = pd.factorize(np.concatenate(list(words.values())), sort=True)
    drawn = np.random.default_rng(seed).choice(np.sort(codes), len(forms))
    ends = np.cumsum([len(part) for part in words.values()])
    in_training = number[dict(zip(words, _slices(ends), strict=True))["train"]]
    if len(np.unique(drawn[in_training])) < 2:  # a few forms that all drew one label: there is nothing to learn
        drawn[in_training[0]] = next(code for code in np.unique(codes) if code != drawn[in_training[0]])
    return {name: drawn[number[part]] for name, part in zip(words, _slices(ends), strict=True)}


def _slices(ends: np.ndarray) -> list[slice]:
    return [slice(start, end) for start, end in zip([0, *ends[:-1]], ends, strict=True)]
