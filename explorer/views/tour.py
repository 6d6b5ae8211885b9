"""A tour in six steps that drive the pages, for a talk: a presenter's clicker (Page Down, Page Up) steps through it."""
from contextlib import suppress
from dataclasses import dataclass, field

import streamlit as st

from explorer import cached
from explorer.errors import LOST
from explorer.evidence import Missing
from explorer.neuron import Neuron
from explorer.specs import InputError
from explorer.store import Store
from explorer.study import Study
from explorer.views.address import put
from explorer.views.evidence import behind
from explorer.views.links import go
from explorer.views.studies import finished, first


@dataclass(frozen=True)
class Step:
    """A page in a state, and one sentence on it."""

    page: str  # its name
    says: str
    state: dict[str, object] = field(default_factory=dict)


def steps(store: Store, study: Study) -> list[Step]:
    """The six steps on a study; which neuron and which sentence they show follows from the study."""
    pair = study.base, study.finetuned[-1]
    layers = study.layers()
    last = int(layers.index[-1])
    most = int((layers[pair[1]] - layers[pair[0]]).idxmin())  # where fine-tuning takes most
    few = min(study.spec.k, key=lambda k: abs(k - 10))
    neuron, label, sentence = _examples(store, study, pair, last)
    return [
        Step("layers", "Probes read the property off every layer, before and after fine-tuning: drag the sliders, and "
                       "see where accuracy falls.", {"layer": most}),
        Step("layers", f"How much do few neurons carry? This is how good the probe is with the best {few} of the "
                       f"last layer's {max(study.spec.k)}; the chart on the right shows how it gains with more.",
             {"layer": last, "k": few}),
        Step("neuron", "This is the neuron that ranks first there: the words it fires on, its activation and its "
                       "weight for each label, before and after.", {"neuron": neuron}),
        Step("find", "The other way round: name a label, words or a pattern, and see which neurons tell them from the "
                     "rest.", {"by": "label", "label": label}),
        Step("errors", "These are the words whose label the probe knew before fine-tuning and no longer knows after.",
             {"layer": most, "kind": LOST}),
        Step("sentence", "One of them in its sentence: each layer's guess, where it is settled before fine-tuning, and "
                         "where it is lost.", {"sentence": sentence, "neuron": neuron}),
    ]


def _examples(store: Store, study: Study, pair: tuple[str, str], layer: int) -> tuple[str | None, str | None, object]:
    """A neuron, a label that it tells, and a sentence with a word that fine-tuning lost; None where nothing is left."""
    try:
        evidence = cached.evidence(store.root, study.key)
        best = int(evidence.ranking(pair[0], layer).order[0])
        probe = cached.probes(store.root, study.key, pair[0], layer)[max(study.spec.k)]
        label = cached.label_names(store.root, study.key)[int(probe.weight[best].argmax())]
        frame = cached.predictions(store.root, study.key, pair, "test", layer, max(study.spec.k))
        lost = frame[frame.kind == LOST].sort_values("confidence_before", ascending=False).index
        words = cached.words(store.root, study.key, "test")
        return str(Neuron(layer, best)), label, words.sentence.iloc[lost[0]] if len(lost) else None
    except Missing:
        return None, None, None


def show(store: Store) -> None:
    """The step that the address names, or the button that begins the tour."""
    named = st.query_params.get("tour", "")
    if not named.isdecimal():
        with st.sidebar:
            if st.button("Tour in six steps", icon=":material/tour:", width="stretch", key="tour"):
                _go(store, 1)
        return
    study = _study(store)
    if study is None:
        return
    every = steps(store, study)
    number = min(max(int(named), 1), len(every))
    step = every[number - 1]
    with st.container(border=True, key="touring"):
        text, buttons = st.columns(2, vertical_alignment="center")
    text.markdown(f"**{number} of {len(every)}** · {step.says}")
    with buttons.container(horizontal=True, horizontal_alignment="right"):
        if st.button("Back", shortcut="PageUp", disabled=number == 1, key="tour back"):
            _go(store, number - 1)
        if st.button("Next", shortcut="PageDown", type="primary", disabled=number == len(every), key="tour next"):
            _go(store, number + 1)
        st.button("End", shortcut="Escape", key="tour end", on_click=put, args=("tour", None))
    if step.page == "layers":  # the later pages need it, and say so themselves
        behind(store, study)


def ahead(store: Store) -> None:
    """Load what the last step, the sentence, takes, while the audience looks at the one before."""
    study = _study(store) if st.query_params.get("tour") == "5" else None
    if study is not None:
        specs = dict(study.spec.checkpoints)
        with suppress(InputError):  # the page says so
            for name in (study.base, study.finetuned[-1]):
                cached.reader(name, specs[name].test.checkpoint)


def _go(store: Store, number: int) -> None:
    study = _study(store)
    if study is None:
        st.toast("The tour takes a finished study: run one first.")
        return
    step = steps(store, study)[number - 1]
    bound = step.page == "layers"  # Streamlit lets nobody else set what that page's sliders bind
    if bound:
        st.session_state.update(step.state)
    go(step.page, study=study.key, tour=number, split=None, **({} if bound else step.state))


def _study(store: Store) -> Study | None:
    """The study of the address, else the one that a page opens unasked."""
    studies = finished(store)
    key = st.query_params.get("study") or (first(studies).key if studies else "")
    try:
        return cached.load(store.root, key) if key else None
    except InputError:  # the page says so
        return None
