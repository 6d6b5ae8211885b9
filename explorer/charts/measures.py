"""The metrics of the Layers page: what they are called, their unit, and a pair's figures over the whole grid."""
from dataclasses import dataclass

import numpy as np
import pandas as pd

from explorer.figures import delta_of


@dataclass(frozen=True)
class Measure:
    """A metric as it is shown."""

    metric: str
    title: str
    unit: str = "%"
    change: str = "points"  # unit of a delta
    scale: float = 100.0  # from the table's numbers to those shown
    digits: int = 1
    split: str = "test"
    falls: bool = False  # whether less is better

    def text(self, value: float, signed: bool = False) -> str:
        """A number as it is shown, with a true minus; what rounds to nothing has no sign."""
        small = abs(value) < 0.5 * 10**-self.digits
        return f"{0.0 if small else value:{'+' if signed and not small else ''}.{self.digits}f}".replace("-", "−")

    def bounds(self, low: float, high: float, signed: bool = False) -> str:
        """A 95 % interval as it is shown."""
        return "no interval" if pd.isna(low) else f"95 %: {self.text(low, signed)} to {self.text(high, signed)}"


MEASURES = {measure.title: measure for measure in (
    Measure("accuracy", "Accuracy"),
    Measure("macro_f1", "Macro-F1"),
    Measure("weighted_f1", "Weighted F1"),
    Measure("span_f1", "Span F1"),
    Measure("selectivity", "Selectivity", "points"),
    Measure("cross_entropy", "Cross-entropy", "bits a word", "bits", 1.0, 2, falls=True),
    Measure("accuracy_seen", "Accuracy, seen words"),
    Measure("accuracy_unseen", "Accuracy, unseen words"),
    Measure("codelength", "Description length", "kbits", "kbits", 1.0, 2, "train", True),
    Measure("compression", "Compression", "times", "times", 1.0, 2, "train"),
)}


def offered(table: pd.DataFrame) -> list[str]:
    """Titles of the measures that a study's table has."""
    there = set(table.metric.unique())
    return [title for title, measure in MEASURES.items() if measure.metric in there]


def grid(table: pd.DataFrame, base: str, finetuned: str, title: str = "Accuracy", together: bool = False,
         ) -> pd.DataFrame:
    """Figures of a pair from a study's table, in the units shown: one row for each layer and k of the study.

    Columns layer, k, at (the nearest k that has been measured), n; before, after and delta (after minus before), each
    with bounds at 95 %, such as delta_low and delta_high, nan where there are none: of each layer alone, or together
    of all layers at once; unsure, whether the delta's bounds hold zero or are lacking.
    """
    measure, suffix = MEASURES[title], "_all" if together else ""
    rows = table[(table.split == measure.split) & (table.label == "")]
    of = {column + bound: (name, metric + ending)
          for column, name, metric in (("before", base, measure.metric), ("after", finetuned, measure.metric),
                                       ("delta", finetuned, delta_of(measure.metric)))
          for bound, ending in (("", ""), ("_low", f"_low{suffix}"), ("_high", f"_high{suffix}"))}
    figures = _pivoted(rows, ["layer", "k"], of, (base, measure.metric), measure.scale).dropna(how="all")
    figures["delta"] = figures.delta.fillna(figures.after - figures.before)
    figures["unsure"] = ~((figures.delta_low > 0) | (figures.delta_high < 0))
    return _everywhere(figures.round(4).reset_index(), sorted(table.k[table.split == "test"].unique()))


def _everywhere(figures: pd.DataFrame, ks: list[int]) -> pd.DataFrame:
    """Each k of the study with the figures of the nearest k, by their ratio, that has been measured."""
    measured = figures.k.unique()
    nearest = [measured[np.abs(np.log(measured / k)).argmin()] for k in ks]
    places = pd.DataFrame({"k": ks, "at": nearest})
    return places.merge(figures.rename(columns={"k": "at"}), on="at").sort_values(["layer", "k"], ignore_index=True)


def with_random(found: pd.DataFrame, table: pd.DataFrame, checkpoint: str, title: str = "Accuracy",
                together: bool = False) -> pd.DataFrame:
    """A grid with columns random, random_low and random_high: the figures of random weights, as another table has them.

    table is that of a study with the same settings. Where it has not been measured there, the grid as it is.
    """
    if title not in offered(table):
        return found
    other = grid(table, checkpoint, checkpoint, title, together).set_index(["layer", "k"])
    columns = {"before": "random", "before_low": "random_low", "before_high": "random_high"}
    return found.join(other[list(columns)].rename(columns=columns), on=["layer", "k"])


def baselines(table: pd.DataFrame, base: str, title: str) -> dict[str, float]:
    """What the measure is compared with, by what it is: guesses that look at no neuron (%)."""
    if title not in ("Accuracy", "Selectivity"):
        return {}
    if title == "Selectivity":
        return {"nothing but memory": 0.0}
    rows = table[(table.checkpoint == base) & (table.label == "") & (table.split == "test")].set_index("metric").value
    names = {"majority": "majority label", "most_frequent": "each word's most frequent label"}
    return {name: 100 * float(rows[metric]) for metric, name in names.items() if metric in rows}


def headline(found: pd.DataFrame, of: Measure) -> list[list[list[list[str]]]]:
    """A grid's figures as they are shown, by layer and place of k: for each box its value and a note below it."""
    unit = " %" if of.unit == "%" else ""
    columns = [name for name in ("before", "after", "delta", "random") if name in found]
    layers: dict[int, list[list[list[str]]]] = {}
    for row in found.sort_values(["layer", "k"]).to_dict("records"):
        boxes = [[of.text(row[name], name == "delta") + unit * (name != "delta"), _bounds(row, name, of)]
                 for name in columns]
        layers.setdefault(row["layer"], []).append(
            [*boxes, [f"{row['n']:,.0f}", f"layer {row['layer']:.0f}, top {row['at']:.0f}"]])
    return list(layers.values())


def _bounds(row: dict, column: str, of: Measure) -> str:
    if of.split == "train":
        return "counted: no interval"
    return of.bounds(row[f"{column}_low"], row[f"{column}_high"], column == "delta")


def labels(table: pd.DataFrame, base: str, finetuned: str, metric: str = "accuracy") -> pd.DataFrame:
    """Test accuracy (recall), or precision, of a pair label by label: one row for each layer, k and label.

    Columns layer, k, label, n (test words), fewest (words that before or after is a share of, the fewer), before, after
    (%), delta (points) with delta_low and delta_high; nan where there are none, such as the precision of a label that
    is never told.
    """
    rows = table[(table.split == "test") & (table.label != "")]
    of = {"before": (base, metric), "after": (finetuned, metric),
          **{f"delta_{bound}": (finetuned, f"{delta_of(metric)}_{bound}") for bound in ("low", "high")}}
    figures = _pivoted(rows, ["layer", "k", "label"], of, (base, "accuracy"), 100)
    figures.insert(3, "delta", figures.after - figures.before)
    counts = rows[(rows.metric == metric) & rows.checkpoint.isin((base, finetuned))]
    figures.insert(1, "fewest", counts.groupby(["layer", "k", "label"]).n.min())
    return figures.dropna(subset="n").astype({"n": int}).reset_index()


def _pivoted(rows: pd.DataFrame, index: list[str], of: dict[str, tuple[str, str]], counted: tuple[str, str],
             scale: float) -> pd.DataFrame:
    """Rows of a study's table side by side: n as counted, (checkpoint, metric), has it, then the columns of `of`."""
    rows = rows[rows.checkpoint.isin({checkpoint for checkpoint, _ in of.values()})]
    wide = rows.pivot(index=index, columns=["checkpoint", "metric"], values=["value", "n"])
    figures = scale * wide["value"].reindex(columns=list(of.values())).set_axis(list(of), axis="columns")
    figures.insert(0, "n", wide["n"][counted])
    return figures


def scale_of_layers(table: pd.DataFrame, base: str, finetuned: str) -> pd.DataFrame:
    """What else tells layers apart: one row a layer, columns such as 'norm, pre-trained'.

    Norm (root mean square) and outlier neurons of the training words, and the whole layer's control accuracy,
    selectivity, description length and compression.
    """
    whole = table[(table.label == "") & (table.k == table.k.max())]
    shown = {"accuracy_seen": ("Seen words (%)", 100), "accuracy_unseen": ("Unseen words (%)", 100),
             "control": ("Control task (%)", 100), "selectivity": ("Selectivity", 100),
             "codelength": ("Codelength (kbits)", 1), "compression": ("Compression", 1), "norm": ("Norm", 1),
             "outliers": ("Outliers", 1)}
    columns = {}
    for metric, (title, scale) in shown.items():
        for sign, name in (("●", base), ("◆", finetuned)):
            rows = whole[(whole.metric == metric) & (whole.checkpoint == name) & (whole.split != "dev")]
            if len(rows):
                columns[f"{sign} {title}"] = scale * rows.set_index("layer").value
    return pd.DataFrame(columns).rename_axis("Layer")
