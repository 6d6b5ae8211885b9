"""Charts as files: what the page shows at the sliders' position, drawn without a browser."""
from collections.abc import Sequence


def still(spec: dict, layer: int, k: int, ks: Sequence[int]) -> dict:
    """The chart at one position, free of the page's inputs that it follows and of clicks."""
    at = {"live_layer": str(layer), "live_k": str(list(ks).index(k))}
    params = [{"name": param["name"], "value": at[param["name"]]} if param["name"] in at else param
              for param in spec.get("params", []) if "select" not in param]
    width = {} if "width" in spec else {"width": 640}
    return {**spec, **width, "params": params, "autosize": {"type": "fit", "contains": "padding"},
            "background": "white"}


def svg(spec: dict) -> bytes:
    """A chart as SVG."""
    import vl_convert

    return vl_convert.vegalite_to_svg(spec).encode()


def png(spec: dict) -> bytes:
    """A chart as PNG, at twice its size in pixels."""
    import vl_convert

    return vl_convert.vegalite_to_png(spec, scale=2)
