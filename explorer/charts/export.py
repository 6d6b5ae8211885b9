"""Charts as files for papers and slides: the figure alone, on white, with nothing of the page around it."""
import vl_convert

WIDTH = 720  # pixels of a chart that on the page is as wide as its column
SCALE = 2.0  # of PNGs: sharp at twice the size


def svg(spec: dict) -> str:
    """A chart's Vega-Lite as SVG."""
    return vl_convert.vegalite_to_svg(_alone(spec))


def png(spec: dict) -> bytes:
    """A chart's Vega-Lite as PNG."""
    return vl_convert.vegalite_to_png(_alone(spec), scale=SCALE)


def _alone(spec: dict) -> dict:
    return {"width": WIDTH, "background": "white", **spec}
