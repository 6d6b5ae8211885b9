"""What the sections of the Neurons page share: what they are of, their choices and their lists."""
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

import pandas as pd
import streamlit as st

from explorer import cached
from explorer.neurons.analysis import PARTS, Neurons, NeuronsRequest
from explorer.views.evidence import behind
from explorer.views.progress import begun, start

Follow = Callable[[int, int], dict[str, dict]]
"""Draws, at a layer and a k, what Python must compute anew when a slider is released; returns all charts by name."""

LIST_HEIGHT = 300  # pixels
PAIR = ("checkpoint", "run", "step")  # parameters that say which checkpoint is compared
SCORE = ("The ranking's own. LCA: the share of a label's weight at which it enters, the lower the better; 0 for the "
         "first of each label.")


@dataclass(frozen=True)
class Place:
    """What the page is of."""

    root: Path
    key: str
    finetuned: str

    @property
    def neurons(self) -> Neurons:
        return cached.neurons(self.root, self.key, self.finetuned)

    @property
    def arguments(self) -> tuple[Path, str, str]:
        return self.root, self.key, self.finetuned

    def whole(self) -> bool:
        """Whether the cache has what the study was computed from; otherwise says so, with a button."""
        return behind(cached.store(), self.neurons.study) is not None

    def needs(self, *parts: str) -> bool:
        """Whether all parts are there; otherwise says what is missing, with a button that computes it."""
        missing = [part for part in parts if not self.neurons.has(part)]
        if missing:
            with st.container(border=True):
                st.markdown("**Not computed yet for this pair of checkpoints**")
                st.text("\n".join(f"{part}: {PARTS[part]}" for part in missing))
                asked = NeuronsRequest(self.key, self.finetuned, tuple(missing))
                st.button("Compute", type="primary", icon=":material/play_arrow:", on_click=start,
                          args=(cached.store(), asked), disabled=begun(cached.store(), asked))
        return not missing


def only(**charts: dict) -> Follow:
    """For sections whose charts follow the sliders by themselves."""
    return lambda layer, k: charts


def over_choice(slot: st.delta_generator.DeltaGenerator) -> bool:
    """Whether to look at the neurons of all layers at once."""
    chosen = slot.segmented_control("Neurons of", ("the layer", "all layers"), default="the layer", required=True,
                                    key="over", bind="query-params")
    return chosen == "all layers"


def delta_choice() -> float:
    """How near a set must come to the oracle."""
    return st.number_input("Delta (points below the oracle, on dev)", 0.1, 20.0, 1.0, 0.5, key="within",
                           bind="query-params", width=300)


def listed(place: Place, rows: pd.DataFrame, key: str) -> None:
    """Neurons by name, links to their cards."""
    columns = {"before": st.column_config.NumberColumn("Before", format="%d", width=66, help="Its place before"),
               "after": st.column_config.NumberColumn("After", format="%d", width=60, help="Its place after"),
               "place": st.column_config.NumberColumn("Place", format="%d"),
               "correlation": st.column_config.NumberColumn("Correlation", format="%.2f", width=90),
               "score": st.column_config.NumberColumn("Score", format="%.4f", help=SCORE)}
    kept = {name: st.query_params[name] for name in PAIR if name in st.query_params}
    query = urlencode({"study": place.key, **kept, "neuron": ""})
    rows = rows.assign(neuron=[f"neuron?{query}{name}" for name in rows.neuron])
    names = st.column_config.LinkColumn("Neuron", display_text=r"neuron=(L\d+:\d+)")
    st.dataframe(rows, hide_index=True, height=LIST_HEIGHT, key=key, column_config={"neuron": names, **columns})
