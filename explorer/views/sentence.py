"""The page of one sentence: its words coloured by neurons, and what the probes say of them layer by layer."""
from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import streamlit as st

from explorer import cached, sentence
from explorer.activations import CUT, DROPPED, KEPT
from explorer.card import WHEN
from explorer.charts.sentence import MARKS, WIDTH, grid, heatmap
from explorer.neuron import Neuron
from explorer.specs import InputError
from explorer.tasks import class_name
from explorer.views import address
from explorer.views.exports import chart_files, export_list, table_files
from explorer.views.links import link
from explorer.views.messages import problem
from explorer.views.opening import Opened, neuron_choice, opening, split_choice

if TYPE_CHECKING:
    from explorer.reading import Reading

OFFERED = 2000  # sentences of the corpus in the list
LINKED = 1500  # characters of a typed sentence that an address holds
ONE, SET = "One neuron", "Top-k set"
MEAN = "their mean activation"


@dataclass(frozen=True)
class Given:
    """The sentence that is looked at."""

    words: tuple[str, ...]
    gold: tuple[str, ...] | None = None  # None: it was typed
    split: str = ""  # of the corpus
    number: int | None = None  # in the split

    @property
    def origin(self) -> dict[str, object]:
        """What tells it from others."""
        text: dict[str, object] = {"text": " ".join(self.words)}
        return text if self.number is None else {"sentence": self.number, "split": self.split, **text}


def show() -> None:
    """Draw the page of the sentence in the address."""
    page = opening("this page shows a sentence as its neurons and probes see it")
    if page is not None:
        _body(page)


@st.fragment
def _body(page: Opened) -> None:
    """The sentence and all that is shown of it: another one leaves the rest of the page as it is."""
    given = _given(page)
    if not given.words:
        st.info("Type a sentence, or choose one.", icon=":material/info:")
        return
    specs = dict(page.study.spec.checkpoints)
    try:
        readings = [cached.reading(name, specs[name].test.checkpoint, given.words, page.study.request.pooling)
                    for name in page.pair]
    except InputError as error:
        problem("The models cannot read this sentence", str(error))
        return
    _losses(given, readings[0])
    _task(readings)
    _pictures(page, given, readings)


def _given(page: Opened) -> Given:
    """The sentence that the address names, and the fields to change it."""
    controls, below = st.container(horizontal=True, vertical_alignment="bottom"), st.container()
    with controls:
        split = split_choice()
        corpus = cached.sentences(page.root, page.study.key, split)
        with below:
            text, number = _named(corpus)
        st.session_state["chosen sentence"] = number
        options = sorted({*range(min(len(corpus), OFFERED)), *([] if number is None else [number])})
        st.selectbox("A sentence of the corpus", options, key="chosen sentence", on_change=_choose, index=None,
                     format_func=lambda i: f"{i}: {' '.join(corpus[i][0])[:160]}", placeholder="Choose a sentence")
    st.session_state["typed"] = text if number is None else ""
    st.text_area("or one of your own", key="typed", on_change=_type, height=68,
                 placeholder="Type a sentence; Ctrl+Enter reads it. Words are split at spaces and punctuation.")
    if number is not None:
        words, gold = corpus[number]
        return Given(words[:sentence.MOST], gold[:sentence.MOST], split, number)
    if len(text) > LINKED:
        st.info(f"This text has {len(text):,} characters, and a link holds {LINKED:,}: the page's address leaves it "
                "out. Anyone who opens or reloads the link sees a sentence of the corpus.", icon=":material/link_off:")
    typed = sentence.split_words(text)
    if len(typed) > sentence.MOST:
        st.warning(f"The first {sentence.MOST} of its {len(typed):,} words are read.", icon=":material/content_cut:")
    return Given(tuple(typed[:sentence.MOST]))


def _named(corpus: list[tuple[tuple[str, ...], tuple[str, ...]]]) -> tuple[str, int | None]:
    """The typed text, or the number of a sentence of the corpus: the address has either, else a short one is taken."""
    text, named = st.query_params.get("text", ""), st.query_params.get("sentence", "")
    if text := text or ("" if named else st.session_state.get("long text", "")):
        return text, None
    if named.isdecimal() and int(named) < len(corpus):
        return "", int(named)
    if named:
        problem("There is no such sentence", f"sentence {named[:40]!r}: takes a number from 0 to {len(corpus) - 1}")
    return "", next((i for i, (words, _) in enumerate(corpus) if 6 <= len(words) <= 16), 0)


def _choose() -> None:
    number = st.session_state["chosen sentence"]
    _forget()
    if number is not None:
        st.query_params["sentence"] = str(number)


def _type() -> None:
    text = st.session_state["typed"].strip()
    _forget()
    if len(text) > LINKED:
        st.session_state["long text"] = text
    elif text:
        st.query_params["text"] = text


def _forget() -> None:
    st.session_state.pop("long text", None)
    for name in ("text", "sentence", "mark"):
        st.query_params.pop(name, None)


def _losses(given: Given, reading: Reading) -> None:
    """What the model does not see of the sentence."""
    cut, dropped = (np.flatnonzero(reading.fate == fate) for fate in (CUT, DROPPED))
    if len(cut):
        st.warning(f"The model takes no more than {int(cut[0])} of these {len(given.words)} words; the rest is left "
                   "out.", icon=":material/content_cut:")
    if len(dropped):
        st.text("The tokenizer drops: " + " ".join(repr(sentence.shown(given.words[i])) for i in dropped))


def _task(readings: list[Reading]) -> None:
    """What the checkpoints that have a head for a task say of the sentence."""
    for when, reading in zip(WHEN, readings, strict=True):
        if len(reading.task) > 1:
            classes = ", ".join(f"{class_name(reading.task_name, label)} ({100 * chance:.0f} %)"
                                for label, chance in reading.task[:5])
            st.text(f"{MARKS[when]} {when}, prediction of its task: {classes}")
        elif reading.task:
            st.text(f"{MARKS[when]} {when}, score of its task: {reading.task[0][1]:.3f}")


@st.fragment
def _pictures(page: Opened, given: Given, readings: list[Reading]) -> None:
    """The heat-map and the grid, with what moves them."""
    controls, below = st.container(horizontal=True, vertical_alignment="bottom"), st.container()
    with controls:
        by = st.segmented_control("Colour by", [ONE, SET], required=True, **address.one_of("colour", [ONE, SET], ONE))
        neuron = label = None
        if by == SET:
            labels = [MEAN, *page.labels]
            label = st.selectbox("What the set says for", labels, width=220, **address.one_of("for", labels, MEAN))
        else:
            neuron = neuron_choice(page, "Neuron (layer and number)", "neuron", page.best_neuron, below)
            if neuron is not None:
                link("Its card", "neuron", ":material/pin_drop:", neuron=neuron)
        pieces = st.toggle("Sub-words", **address.yes("pieces"))
    left, right = st.columns(2, gap="large")
    ks, last = list(page.study.spec.k), page.n_layers - 1
    k = right.select_slider(f"Top-k neurons of the layer's {ks[-1]} in the probe", ks,
                            **address.one_of("k", ks, ks[-1]))
    layer = left.slider("Layer of the set (0: embeddings)", 0, last, disabled=by != SET,
                        **address.one_of("layer", range(last + 1), last))
    if by == SET or neuron is not None:
        colours = _colours(page, given, readings, neuron or (layer, k, label or MEAN), pieces)
        by_what = {"neuron": str(neuron)} if neuron else {"layer": layer, "k": k, "of": label}
        _draw(page, given, readings, colours, _title(neuron, layer, k, label, page), k, by_what | {"sub-words": pieces})


def _title(neuron: Neuron | None, layer: int, k: int, label: str | None, page: Opened) -> tuple[str, str]:
    """Of the heat-map, and the unit of its colours."""
    if neuron is not None:
        return f"{neuron} on every word", "Standard deviations from the training mean"
    title = f"Layer {layer}, top {k} of {page.width} neurons"
    if label == MEAN:
        return title, "Mean of the set, in standard deviations"
    return f"{title}: {label}", "Score of the label, against the mean of all"


def _colours(page: Opened, given: Given, readings: list[Reading], of: Neuron | tuple[int, int, str], pieces: bool
             ) -> pd.DataFrame:
    """What charts.sentence.heatmap takes."""
    parts = []
    for when, name, reading in zip(WHEN, page.pair, readings, strict=True):
        layer = of.layer if isinstance(of, Neuron) else of[0]
        probes = cached.probes(page.root, page.study.key, name, layer)
        x = (reading.states if pieces else reading.words)[layer]
        if isinstance(of, Neuron):
            value, activation = sentence.of_neuron(x, probes[page.width], of.index), x[:, of.index]
        else:
            at = None if of[2] == MEAN else page.labels.index(of[2])
            value = activation = sentence.of_set(x, probes[of[1]], at)
        there = np.ones(len(x), bool) if pieces else reading.fate == KEPT
        boxes = sentence.flow(reading.pieces if pieces else given.words, WIDTH)
        parts.append(boxes.assign(checkpoint=when, position=range(len(x)), value=np.where(there, value, np.nan),
                                  activation=np.where(there, activation, np.nan)))
    return pd.concat(parts, ignore_index=True)


def _predictions(page: Opened, given: Given, readings: list[Reading], k: int) -> pd.DataFrame:
    """What charts.sentence.grid takes."""
    parts = []
    for when, name, reading in zip(WHEN, page.pair, readings, strict=True):
        probes = [cached.probes(page.root, page.study.key, name, layer)[k] for layer in range(page.n_layers)]
        frame = sentence.predictions(reading.words, reading.fate == KEPT, probes, page.labels, given.gold)
        settled = sentence.settled(frame)
        late = (frame.position.map(settled) == frame.layer) & (frame.layer > 0)
        parts.append(frame.assign(checkpoint=when, settled=late))
    return pd.concat(parts, ignore_index=True)


def _draw(page: Opened, given: Given, readings: list[Reading], colours: pd.DataFrame, title: tuple[str, str], k: int,
          coloured: dict[str, object]) -> None:
    """The heat-map, the grid and their files; coloured says what the heat-map is of."""
    if colours.empty or not (readings[0].fate == KEPT).any():
        st.info("The tokenizer drops these words: there is nothing to show.", icon=":material/info:")
        return
    words = heatmap(colours, *title)
    wide = st.container(key="wide")
    wide.vega_lite_chart(spec=words, key="words")
    frame = _predictions(page, given, readings, k)
    by_layer = grid(frame, list(given.words), page.n_layers, st.query_params.get("mark", ""))
    wide.vega_lite_chart(spec=by_layer, key="grid")
    columns = ["checkpoint", "position", "word", "value", *(["activation"] if "neuron" in coloured else [])]
    with export_list():
        chart_files(page.neurons, "words", words, **given.origin, **coloured)
        chart_files(page.neurons, "predictions by layer", by_layer, **given.origin, k=k)
        table_files(page.neurons, "activations", colours[columns], **given.origin, **coloured, value=title[1])
        table_files(page.neurons, "predictions", frame.assign(word=[given.words[i] for i in frame.position]),
                    **given.origin, k=k)
