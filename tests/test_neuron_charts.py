"""Charts of the Neurons page: drawn from whatever the tables hold, stilled at a position, written as files."""
import pandas as pd
import pytest

from explorer.charts import audit, neurons
from explorer.charts.export import at_position, png, svg

KS = (1, 4, 16)
ROWS = pd.DataFrame([{"layer": 0, "neuron": f"L0:{i}", "before": i + 1, "after": 16 - i, "correlation": 0.5, "cka": 0.9}
                     for i in range(16)])


def test_a_still_chart_has_no_inputs_and_its_position() -> None:
    found = at_position(neurons.moved(ROWS, KS).to_dict(), layer=0, k=4, ks=KS)
    values = {param["name"]: param["value"] for param in found["params"]}
    assert values == {"live_layer": "0", "live_k": "1", "ks": [1, 4, 16]}
    assert not any("bind" in param for param in found["params"])


def test_a_position_is_seen_in_the_picture() -> None:
    spec = neurons.moved(ROWS, KS).to_dict()
    drawn = svg(at_position(spec, 0, 4, KS))
    assert "top 4" in drawn
    assert drawn.startswith("<svg")
    assert png(at_position(spec, 0, 4, KS)).startswith(b"\x89PNG")


@pytest.mark.parametrize(("over_all", "k", "title"), [
    (False, 4, "Top 4 shared by two methods (%), layer 0"), (False, 16, "All 16 neurons are one set, layer 0"),
    (True, 16, "Top 16 shared by two methods (%), all layers"),
])
def test_overlaps_are_those_of_the_layer_or_of_all_layers(over_all: bool, k: int, title: str) -> None:
    pairs = pd.DataFrame([{"checkpoint": "pre-trained", "layer": layer, "k": k, "one": "lca", "other": "iou",
                           "value": value} for layer, value in ((0, 12.0), (-1, 34.0)) for k in KS])
    drawn = svg(at_position(audit.overlap(pairs, KS, "pre-trained", over_all).to_dict(), 0, k, KS))
    assert title in drawn
    assert (">34<" if over_all else ">12<") in drawn


def test_a_map_of_one_label_and_one_neuron() -> None:
    table = pd.DataFrame([{"label": "NOUN", "neuron": "L0:1", "place": 1, "weight": 0.0, "share": 0.0, "serves": True,
                           "label_order": 0, "neuron_order": 0}])
    assert audit.label_map(table, "x").to_dict()["height"] > 100
