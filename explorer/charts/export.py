"""Charts as files for papers and slides: the figure alone, on white, drawn without a browser."""
from collections.abc import Sequence

import vl_convert

WIDTH = 720  # pixels of a chart that on the page is as wide as its column
SCALE = 2.0  # of PNGs: sharp at twice the size


def svg(spec: dict) -> str:
    """A chart's Vega-Lite as SVG."""
    return vl_convert.vegalite_to_svg(_alone(spec))


def png(spec: dict) -> bytes:
    """A chart's Vega-Lite as PNG."""
    return vl_convert.vegalite_to_png(_alone(spec), scale=SCALE)


def at_position(spec: dict, layer: int, k: int, ks: Sequence[int]) -> dict:
    """The chart at one position, free of the page's inputs that it follows and of clicks."""
    at = {"live_layer": str(layer), "live_k": str(list(ks).index(k))}
    params = [{"name": param["name"], "value": at[param["name"]]} if param["name"] in at else param
              for param in spec.get("params", []) if "select" not in param]
    return {**spec, "params": params}


def _alone(spec: dict) -> dict:
    return {"width": WIDTH, "background": "white", **spec}
