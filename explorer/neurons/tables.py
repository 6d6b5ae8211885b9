"""What the analysis shows, as tidy tables: pure functions of a study and of what the cache has of its neurons.

Accuracies are in percent, k is a number of neurons, a place is 1 for a ranking's best. Pairs of columns `before` and
`after` are of the pre-trained and the fine-tuned checkpoint. Neurons are named as in L5:117.
scipy is imported where it is used: most pages use none.
"""
from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from explorer.evidence import Evidence, Missing
from explorer.neurons.analysis import Cell, Neurons
from explorer.neurons.parts import ALL, CONTROLS, LIKELIHOOD, METHODS
from explorer.ranking import Ranking, backwards, lca, of_label, places, shuffled
from explorer.specs import InputError
from explorer.study import Study

ROLES = ("pre-trained", "fine-tuned")
MOST_LABELS = 40  # of the map: the most frequent ones


def name(layer: int | np.ndarray, neuron: int | np.ndarray, width: int) -> str | np.ndarray:
    """Names of neurons; on layer ALL they are numbered through all layers."""
    layer, neuron = np.broadcast_arrays(layer, neuron)
    layer = np.where(layer == ALL, neuron // width, layer)
    found = np.array([f"L{at}:{i}" for at, i in zip(layer.ravel(), (neuron % width).ravel(), strict=True)], object)
    return found if neuron.ndim else found[0]


def ranking(neurons: Neurons, checkpoint: str, layer: int, method: str = "lca", label: str = "") -> Ranking:
    """Neurons of a layer, or of ALL, by a method; LCA may be that of one label.

    Raises Missing where a part must be computed first, InputError for a label, layer or method that is not there.
    """
    check(neurons, layer, method)
    if method == "random":
        n = neurons.width * (neurons.n_layers if layer == ALL else 1)
        return shuffled(n, np.random.default_rng(0))
    if method in ("lca", "reversed"):
        found = neurons.evidence.probes(checkpoint, layer)[neurons.width] if layer != ALL \
            else neurons.probe_on_all(checkpoint)
        best = of_label(found.weight, _label(neurons, label)) if label else lca(found.weight)
        return backwards(best) if method == "reversed" else best
    if label:
        raise InputError(f"label {label!r}: only lca ranks neurons for one label; got {method}")
    part = ranked_in(method)
    table = neurons.store.table(neurons.spec(Cell(part, checkpoint, layer)))
    if table is None:
        raise Missing(f"ranking by {method} of {checkpoint}: {part!r} is not computed yet")
    rows = table[(table.method == method) & (table.draw == 0)].sort_values("neuron")
    return Ranking(np.argsort(rows.place.to_numpy()), rows.score.to_numpy())


def check(neurons: Neurons, layer: int, method: str) -> None:
    """Raise InputError for a layer or method that is not there."""
    if not ALL <= layer < neurons.n_layers:
        raise InputError(f"layer {layer}: the layers are 0 to {neurons.n_layers - 1}, or 'all'")
    if method not in (*METHODS, LIKELIHOOD, *CONTROLS):
        raise InputError(f"method {method!r}: takes {', '.join(METHODS)}, {LIKELIHOOD}, {' or '.join(CONTROLS)}")


def ranked_in(method: str) -> str:
    """The part of the analysis that has a method's ranking."""
    return LIKELIHOOD if method == LIKELIHOOD else "rankings"


def _label(neurons: Neurons, label: str) -> int:
    labels = neurons.evidence.labels()
    if label not in labels:
        raise InputError(f"label {label!r}: the training words have {', '.join(labels)}")
    return labels.index(label)


def ranked(neurons: Neurons, checkpoint: str, layer: int, method: str = "lca", label: str = "", top: int | None = None,
           ) -> pd.DataFrame:
    """A ranking as a table: columns place, neuron (its name), score; the first `top` of it."""
    found = ranking(neurons, checkpoint, layer, method, label)
    order = found.order if top is None else found.top(top)
    return pd.DataFrame({"place": np.arange(1, len(order) + 1), "neuron": name(layer, order, neurons.width),
                         "score": found.score[order]})


def curves(neurons: Neurons) -> pd.DataFrame | None:
    """Test accuracy by k: columns checkpoint (its role), layer, probe, order, k, value, and low, high of the draws."""
    table = neurons.table("controls")
    if table is None:
        return None
    table = roles(neurons, table)
    found = (100 * table.set_index(["checkpoint", "layer", "probe", "order", "k"]).test).groupby(level=[0, 1, 2, 3, 4])
    return found.agg(value="mean", low="min", high="max").round(3).reset_index()


def curves_of(found: pd.DataFrame, method: str, audited: pd.DataFrame | None) -> pd.DataFrame:
    """curves for any method: found with its top and bottom exchanged for those that audit has of the method."""
    if audited is None:
        return found
    own = audited[audited.method == method].drop(columns="method")
    own = own.assign(probe="retrained", low=own.value, high=own.value)
    return pd.concat([found[found.order == "random"], own], ignore_index=True)


def roles(neurons: Neurons, table: pd.DataFrame) -> pd.DataFrame:
    """A table with its column checkpoint in terms of ROLES."""
    return table.assign(checkpoint=table.checkpoint.map(dict(zip(neurons.pair, ROLES, strict=True))))


def minimal(study: Study, checkpoints: Sequence[str], delta: float) -> pd.DataFrame:
    """The smallest k of the grid whose probe comes within delta points of the whole layer's on dev.

    Columns checkpoint, layer, k, share (of the layer's neurons, %), oracle and found (accuracies on dev).
    """
    dev = study.table.query("split == 'dev' and label == '' and metric == 'accuracy'")
    rows = []
    for (checkpoint, layer), part in dev[dev.checkpoint.isin(checkpoints)].groupby(["checkpoint", "layer"], sort=False):
        rows.append({"checkpoint": checkpoint, "layer": layer, **_smallest(part.k, 100 * part.value, delta)})
    return pd.DataFrame(rows)


def minimal_over_all(neurons: Neurons, delta: float) -> pd.DataFrame | None:
    """The same over all layers' neurons at once, a row a checkpoint: k is all of them where the grid ends before it."""
    table = neurons.table("controls")
    if table is None:
        return None
    rows = table[(table.layer == ALL) & (table.order == "top") & (table.probe == "retrained")]
    return pd.DataFrame([{"checkpoint": checkpoint, "layer": ALL, **_smallest(part.k, 100 * part.dev, delta)}
                         for checkpoint, part in rows.groupby("checkpoint", sort=False)])


def _smallest(k: pd.Series, accuracy: pd.Series, delta: float) -> dict:
    if not delta >= 0:
        raise InputError(f"delta: got {delta:g}; takes 0 points or more")
    found = accuracy.set_axis(k).sort_index()
    oracle = found.iloc[-1]
    best = found.index[found >= oracle - delta - 1e-9][0]
    return {"k": int(best), "share": 100 * best / found.index[-1], "oracle": oracle, "found": found[best]}


def where(neurons: Neurons) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """The layers of the first k neurons over all layers, and their centres of mass.

    The first table has the columns k, layer, before, after (numbers of neurons) and change; the second k, checkpoint,
    centre (a layer) and its 95 % interval low, high: Student's t on the standard deviation over resamples.
    """
    from scipy.special import stdtrit

    table = neurons.table("everywhere")
    if table is None:
        return None
    layers = np.arange(neurons.n_layers)
    counts, centres = [], []
    for k in neurons.study.spec.k:
        first = table[table.place <= k]
        at = first.neuron // neurons.width
        of_all = [np.bincount(at[(first.draw == 0) & (first.checkpoint == one)], minlength=len(layers))
                  for one in neurons.pair]
        counts.append(pd.DataFrame({"k": k, "layer": layers, "before": of_all[0], "after": of_all[1]}))
        for role, checkpoint in zip(ROLES, neurons.pair, strict=True):
            means = at[first.checkpoint == checkpoint].groupby(first.draw).mean()
            half = stdtrit(len(means) - 2, 0.975) * means[1:].std()
            centres.append({"k": k, "checkpoint": role, "centre": means[0], "low": max(means[0] - half, 0),
                            "high": min(means[0] + half, layers[-1])})
    found = pd.concat(counts, ignore_index=True)
    return found.assign(change=found.after - found.before), pd.DataFrame(centres)


def moved(neurons: Neurons) -> pd.DataFrame | None:
    """Every neuron: columns layer, neuron (its name), before, after (its places by LCA), correlation, cka."""
    table = neurons.table("moves")
    if table is None:
        return None
    parts = []
    for layer, part in table.groupby("layer"):
        before, after = (places(neurons.evidence.ranking(one, layer).order) for one in neurons.pair)
        parts.append(pd.DataFrame({
            "layer": layer, "neuron": name(layer, part.neuron.to_numpy(), neurons.width), "before": before,
            "after": after, "correlation": part.correlation.to_numpy(), "cka": part.cka.to_numpy()}))
    return pd.concat(parts, ignore_index=True)


def needed(study: Study, checkpoints: Sequence[str], delta: float) -> pd.DataFrame:
    """How many of the layer's top neurons each label needs to come within delta points of its oracle on dev.

    Columns checkpoint, layer, label, n (dev words) and those of minimal.
    """
    dev = study.table.query("split == 'dev' and label != '' and metric == 'accuracy'")
    rows = []
    for key, part in dev[dev.checkpoint.isin(checkpoints)].groupby(["checkpoint", "layer", "label"], sort=False):
        rows.append({**dict(zip(("checkpoint", "layer", "label"), key, strict=True)), "n": int(part.n.iloc[0]),
                     **_smallest(part.k, 100 * part.value, delta)})
    return pd.DataFrame(rows)


def absent(evidence: Evidence) -> list[str]:
    """A sentence for each split but training that lacks some of its labels; raises Missing."""
    found = []
    for split in ("dev", "test"):
        names = sorted(set(evidence.labels()) - set(evidence.words(split).label))
        if names:
            found.append(f"No {split} word has the label {', '.join(names[:10])}{', ...' if len(names) > 10 else ''}: "
                         f"figures on {split} are without.")
    return found


def label_map(neurons: Neurons, checkpoint: str, layer: int, top: int) -> pd.DataFrame:
    """What the layer's top neurons weigh for each label: columns label, neuron, place, weight, share, serves.

    share is of the label's |weight| in percent, with the weight's sign; serves is whether the neuron is among the
    label's own `top`. Rows come with the labels and neurons in the order of a clustering (Ward) of the shares, as
    label_order and neuron_order. Of many labels, the most frequent MOST_LABELS.
    """
    probe = neurons.evidence.probes(checkpoint, layer)[neurons.width]
    labels = np.array(neurons.evidence.labels(), object)
    frequent = neurons.evidence.words("train").label.value_counts().index[:MOST_LABELS]
    columns = np.flatnonzero(np.isin(labels, frequent))
    order = lca(probe.weight).top(min(top, len(probe.weight)))
    weight = probe.weight[order][:, columns]  # (top, labels)
    share = 100 * weight / np.maximum(np.abs(probe.weight[:, columns]).sum(0), 1e-12)
    firsts = [of_label(probe.weight, int(column)).order[:len(order)] for column in columns]
    own = np.stack([np.isin(order, first) for first in firsts], axis=1)
    by_neuron, by_label = _clustered(share), _clustered(share.T)
    here = np.indices(share.shape).reshape(2, -1)
    return pd.DataFrame({
        "label": labels[columns][here[1]], "neuron": name(layer, order, neurons.width)[here[0]], "place": here[0] + 1,
        "weight": weight.ravel(), "share": share.ravel(), "serves": own.ravel(),
        "label_order": np.argsort(by_label)[here[1]], "neuron_order": np.argsort(by_neuron)[here[0]]})


def _clustered(rows: np.ndarray) -> np.ndarray:
    """Rows in an order in which like stands by like."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    return leaves_list(linkage(rows, "ward", optimal_ordering=True)) if len(rows) > 2 else np.arange(len(rows))


def audit(neurons: Neurons) -> pd.DataFrame | None:
    """Test accuracy on the first and the last k by each method: columns checkpoint, layer, method, order, k, value."""
    table = neurons.table("methods")
    if table is None:
        return None
    columns = ["checkpoint", "layer", "method", "order", "k", "value"]
    return roles(neurons, table).assign(value=(100 * table.test).round(3))[columns]


def overlaps(neurons: Neurons) -> tuple[pd.DataFrame, pd.DataFrame] | None:
    """How much of their first k any two methods share, and each method with itself over resamples.

    The first table has the columns checkpoint, layer, k, one, other, value (%); the second checkpoint, layer, k,
    method, value (mean over pairs of resamples), low, high. A random order shares k / neurons.
    """
    table = neurons.table("rankings")
    if table is None:
        return None
    pairs, stable = [], []
    for (checkpoint, layer), part in roles(neurons, table).groupby(["checkpoint", "layer"]):
        place = part.pivot_table(index="neuron", columns=["method", "draw"], values="place").astype(np.int64)
        for k in neurons.study.spec.k:
            first = (place <= k).to_numpy(np.float32)
            shared = pd.DataFrame(100 * first.T @ first / k, place.columns, place.columns)
            here = {"checkpoint": checkpoint, "layer": layer, "k": k}
            pairs += [{**here, "one": one, "other": other, "value": shared.loc[(one, 0), (other, 0)]}
                      for one in METHODS for other in METHODS]
            for method in METHODS if layer != ALL else ():
                found = shared.loc[method, method].drop(index=0, columns=0).to_numpy()
                apart = found[np.triu_indices(len(found), 1)]
                stable.append({**here, "method": method, "value": apart.mean(), "low": apart.min(),
                               "high": apart.max()})
    return pd.DataFrame(pairs), pd.DataFrame(stable)
