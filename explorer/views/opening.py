"""How the pages on words and neurons begin: the study, its pair of checkpoints, and what lies behind them."""
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer import cached
from explorer.evidence import Evidence
from explorer.neuron import Neuron
from explorer.neurons.analysis import Neurons
from explorer.specs import InputError
from explorer.study import SPLITS, Study
from explorer.views import address
from explorer.views.evidence import behind
from explorer.views.messages import problem
from explorer.views.studies import compared, opened

WHICH = {"test": "Test words", "dev": "Dev words", "train": "Training words"}


@dataclass(frozen=True)
class Opened:
    """What such a page is about."""

    study: Study
    evidence: Evidence
    pair: tuple[str, str]  # the pre-trained and the fine-tuned checkpoint

    @property
    def root(self) -> Path:
        return self.evidence.store.root

    @property
    def neurons(self) -> Neurons:
        return cached.neurons(self.root, self.study.key, self.pair[1])

    @property
    def labels(self) -> tuple[str, ...]:
        return cached.label_names(self.root, self.study.key)

    @property
    def best_neuron(self) -> str:
        """What a page on neurons begins with."""
        return cached.best_neuron(self.root, self.study.key)

    @property
    def n_layers(self) -> int:
        return self.evidence.activations(self.pair[0], "test").n_layers

    @property
    def width(self) -> int:
        return max(self.study.spec.k)


def opening(empty: str) -> Opened | None:
    """Draw the heading; None where no study is open, or what lies behind it is gone, which the page then says."""
    store = cached.store()
    heading = st.container(horizontal=True)
    with heading:
        study = opened(store)
    if study is None:
        st.info(f"No study is open. Run one in the sidebar; then {empty}.", icon=":material/info:")
        return None
    with heading:
        after = compared(study)
    evidence = behind(store, study)
    return Opened(study, evidence, (study.base, after)) if evidence else None


def split_choice() -> str:
    """Which words the page looks at."""
    return st.segmented_control("Part of the corpus", SPLITS[::-1], required=True, format_func=WHICH.__getitem__,
                                **address.one_of("split", SPLITS, "test")) or "test"


def neuron_choice(page: Opened, label: str, name: str, default: str, below: DeltaGenerator) -> Neuron | None:
    """The neuron that is typed, or in the address; where there is none such, says below what is taken."""
    text = st.text_input(label, width=220, placeholder=default, **address.text(name, default))
    try:
        return Neuron.parse(text or default, page.n_layers, page.width)
    except InputError as error:
        with below:
            problem("There is no such neuron", str(error))
        return None
