"""The Neurons page: which neurons know the property, how many, where they live, and where they went."""
from collections.abc import Callable

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from explorer import cached
from explorer.charts.export import at_position
from explorer.neurons.analysis import Neurons
from explorer.views import neuron_sections as sections
from explorer.views.exports import chart_files
from explorer.views.neuron_place import Follow, Place
from explorer.views.studies import compared, opened

SECTIONS: dict[str, Callable[[Place], Follow]] = {
    "Top and bottom": sections.curves, "Minimal set": sections.minimal, "Where they live": sections.where,
    "Where they went": sections.moved, "Labels": sections.labels, "Ranking audit": sections.audit,
    "Take it away": sections.take_away,
}
IDLE = {"Where they live": "layer", "Minimal set": "k"}  # sliders that change nothing in a section


def show() -> None:
    """Draw one section for the study that is open."""
    store = cached.store()
    heading = st.container(horizontal=True)
    with heading:
        study = opened(store)
    if study is None:
        st.title("Which neurons know it?", anchor=False)
        st.markdown("No study is open: run one from the sidebar, and its neurons show here.")
        return
    with heading:
        finetuned = compared(study)
    names = list(SECTIONS)
    chosen = st.segmented_control("Section", names, default=names[0], key="section", bind="query-params",
                                  required=True, label_visibility="collapsed", width="stretch")
    place = Place(store.root, study.key, finetuned)
    sliders, below, files = st.container(), st.container(), st.container()
    with below:
        follow = SECTIONS[chosen or names[0]](place)
    with sliders:
        _position(place.neurons, follow, files, IDLE.get(chosen or names[0], ""))


@st.fragment
def _position(neurons: Neurons, follow: Follow, files: DeltaGenerator, idle: str) -> None:
    """Both sliders, those of the Layers page, and what the section shows at their position."""
    last, ks = neurons.n_layers - 1, list(neurons.study.spec.k)
    left, right = st.columns(2, gap="large")
    layer = left.slider("Layer (0: embeddings)", 0, last, last, key="layer", bind="query-params",
                        disabled=idle == "layer")
    k = right.select_slider(f"Top-k neurons of the layer's {ks[-1]}", ks, ks[-1], key="k", bind="query-params",
                            disabled=idle == "k")
    charts = follow(layer, k)
    with files:
        for title, spec in charts.items():
            chart_files(neurons, title, at_position(spec, layer, k, ks), layer=layer, k=k)
