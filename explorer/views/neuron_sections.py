"""The sections of the Neurons page. Each draws what follows the sliders by itself, and returns what does not."""
import pandas as pd
import streamlit as st

from explorer import cached
from explorer.charts.audit import METHODS
from explorer.neurons import tables
from explorer.neurons.parts import ALL, CONTROLS, LIKELIHOOD
from explorer.study import title, unusual
from explorer.views.exports import table_files
from explorer.views.links import by_click
from explorer.views.neuron_place import Follow, Place, delta_choice, listed, only, over_choice

MOST = 40  # neurons on the map of labels
BOX = 200  # pixels of a box of choices


def curves(place: Place) -> Follow:
    """Accuracy on the top, random and bottom neurons."""
    choices = st.container(horizontal=True, gap="medium")
    method = choices.selectbox("Ranking", list(METHODS), format_func=METHODS.__getitem__, key="method",
                               bind="query-params", width=BOX)
    probe = choices.segmented_control("Probe", ("retrained", "masked"), default="retrained", required=True, key="probe",
                                      bind="query-params", disabled=method != "lca", help=(
        "Retrained: a probe of its own on these neurons. Masked: the probe on all neurons, with the others at their "
        "mean. Masked curves are there for LCA."))
    over_all = over_choice(choices)
    if place.needs("controls", *(() if method == "lca" else ("methods",))):
        probe = probe if method == "lca" else "retrained"
        table, chart = cached.curves(*place.arguments, method, probe, over_all)
        st.vega_lite_chart(spec=chart, key="curves")
        st.caption("Random: the mean of 10 draws, and a band from the least to the most; of up to half of the neurons, "
                   "where they have not much in common with the top. Top of all layers: LCA of one probe on all "
                   "layers' neurons.")
        table_files(place.neurons, "curves", table, method=method, probe=probe)
        return only(curves=chart)
    return only()


def minimal(place: Place) -> Follow:
    """The smallest sets within delta of the oracle, by layer and across properties."""
    delta = delta_choice()
    chart = cached.sets(*place.arguments, delta)[0]
    st.vega_lite_chart(spec=chart, key="minimal")
    st.caption("The oracle is the probe on all of the layer's neurons. The set is the smallest of the study's numbers "
               f"of neurons ({', '.join(map(str, place.neurons.study.spec.k))}) whose probe comes that close on dev.")
    across = st.container()

    def follow(layer: int, k: int) -> dict[str, dict]:
        with across:
            st.markdown(f"**Across properties**: minimal sets of the same checkpoints at layer {layer}")
            table = _across(place, layer, delta)
            st.dataframe(table, hide_index=True, key="across", column_config={
                name: st.column_config.NumberColumn(name, format="%.1f") for name in table if name.endswith("(%)")})
            table_files(place.neurons, "minimal", table, delta=delta, layer=layer)
        return {"minimal": chart}

    return follow


def _across(place: Place, layer: int, delta: float) -> pd.DataFrame:
    """Minimal sets at a layer and, where known, over all: of the open study, then of others of the same pair.

    Those are of other properties or corpora, probed alike.
    """
    changed = (place.root / "results").stat().st_mtime_ns
    ours, rows = place.neurons.study.request, []
    fits = [summary for summary in cached.finished(place.root, changed)
            if summary.request.base == ours.base and place.finetuned in summary.request.finetuned
            and unusual(summary.request) == unusual(ours)]
    fits.sort(key=lambda summary: summary.key != place.key)  # else the newest first
    of = {(summary.request.corpus.property, summary.request.corpus.train): summary for summary in reversed(fits)}
    for summary in reversed(of.values()):
        study = cached.load(place.root, summary.key)
        here = cached.neurons(place.root, summary.key, place.finetuned)
        found = tables.minimal(study, here.pair, delta).set_index(["checkpoint", "layer"])
        everywhere = tables.minimal_over_all(here, delta) if here.has("controls") else None
        for role, checkpoint in zip(tables.ROLES, here.pair, strict=True):
            row: dict[str, object] = {"Study": title(study.request), "Checkpoint": role}
            if (checkpoint, layer) in found.index:
                own = found.loc[(checkpoint, layer)]
                row |= {"Oracle (%)": own.oracle, "k": int(own.k), "Share (%)": own.share}
            row["k over all layers"] = _needed(everywhere, checkpoint, max(study.spec.k))
            rows.append(row)
    return pd.DataFrame(rows)


def _needed(everywhere: pd.DataFrame | None, checkpoint: str, most: int) -> str:
    """A checkpoint's k in tables.minimal_over_all, whose grid ends at most."""
    if everywhere is None:
        return "not computed"
    k = int(everywhere.set_index("checkpoint").k[checkpoint])
    return str(k) if k <= most else f"over {most}"


def where(place: Place) -> Follow:
    """Layers of the top neurons over all layers, before and after."""
    if place.needs("everywhere"):
        left, right = st.columns(2, gap="large")
        before, after, change = cached.histograms(*place.arguments)
        left.vega_lite_chart(spec=before, key="live_before")
        left.vega_lite_chart(spec=after, key="live_after")
        right.vega_lite_chart(spec=change, key="live_change")
        counts, centres = cached.neuron_table(*place.arguments, "where")
        slot = right.container()
        st.caption("One probe on the neurons of all layers, ranked by LCA. The line is the centre of mass of the "
                   "layers, the band its 95 % interval over 5 resamples of the training sentences (Student's t).")
        table_files(place.neurons, "where", counts)
        table_files(place.neurons, "centres", centres)

        def follow(layer: int, k: int) -> dict[str, dict]:
            with slot:
                st.markdown(f"**Centre of mass** of the top {k}, as a layer")
                rows = centres[centres.k == k].drop(columns="k")
                st.dataframe(rows, hide_index=True, key="centres", column_config={
                    "checkpoint": "Checkpoint",
                    **{name: st.column_config.NumberColumn(heading, format="%.2f") for name, heading in (
                        ("centre", "Centre"), ("low", "95 % from"), ("high", "to"))}})
            return {"pre-trained": before, "fine-tuned": after, "change": change}

        return follow
    return only()


def moved(place: Place) -> Follow:
    """Kept, gained and lost neurons, and how much each changed."""
    if not (place.needs("moves") and place.whole()):
        return only()
    left, right = st.columns(2, gap="large")
    scatter, similar = cached.movement(*place.arguments)
    with left:
        by_click(scatter, key="moved")
    right.vega_lite_chart(spec=similar, key="similarity")
    left.caption("Each point a neuron: a click opens its card.")
    table = cached.neuron_table(*place.arguments, "moved")
    slot = st.container()
    table_files(place.neurons, "moved", table)

    def follow(layer: int, k: int) -> dict[str, dict]:
        here = table[table.layer == layer]
        before, after = here.before <= k, here.after <= k
        with slot:
            for column, (fate, chosen) in zip(st.columns(3), (("Kept", before & after), ("Gained", after & ~before),
                                                              ("Lost", before & ~after)), strict=True):
                rows = here[chosen].sort_values("before" if fate == "Lost" else "after")
                column.markdown(f"**{fate}**: {len(rows)} of the top {k}")
                with column:
                    listed(place, rows[["neuron", "before", "after", "correlation"]], f"list {fate}")
        return {"places": scatter, "similarity": similar}

    return follow


def labels(place: Place) -> Follow:
    """Which neurons serve which label, and how many each needs."""
    choices = st.container(horizontal=True, gap="medium")
    role = choices.segmented_control("Checkpoint", tables.ROLES, default=tables.ROLES[0], required=True, key="role",
                                     bind="query-params")
    with choices:
        delta = delta_choice()
    there = place.whole()
    slot = st.container()
    needed = cached.sets(*place.arguments, delta)[1]
    st.vega_lite_chart(spec=needed, key="needed")
    st.caption("A label's figures are shares of its dev words that are classified correctly; labels that dev lacks are "
               "left out. One neuron is enough for a label that its probe gives to nearly every word, and for one that "
               "no probe can predict.")
    if there and (lacking := tables.absent(place.neurons.evidence)):
        st.text("\n".join(lacking))

    def follow(layer: int, k: int) -> dict[str, dict]:
        if not there:
            return {"needed": needed}
        with slot:
            table, chart = cached.label_map(*place.arguments, role or tables.ROLES[0], layer, min(k, MOST))
            by_click(chart, key="label_map")
            serving = table[table.serves].groupby("neuron").label.nunique()
            shared = int((serving > 1).sum())
            st.caption(f"A dot: the neuron is among the label's own top {min(k, MOST)}. A click opens its card. "
                       f"{len(serving)} of these {table.neuron.nunique()} neurons serve a label, {shared} of them "
                       "more than one." + (f" The map shows {MOST} neurons at most." if k > MOST else ""))
            table_files(place.neurons, "label map", table, checkpoint=role, layer=layer, k=min(k, MOST))
        return {"label map": chart, "needed": needed}

    return follow


def audit(place: Place) -> Follow:
    """Whether methods agree, with one another and with themselves."""
    choices = st.container(horizontal=True, gap="medium")
    role = choices.segmented_control("Checkpoint", tables.ROLES, default=tables.ROLES[0], required=True, key="role",
                                     bind="query-params") or tables.ROLES[0]
    over_all = over_choice(choices)
    if place.needs("rankings", "methods"):
        accuracy, overlap, stability = cached.audits(*place.arguments, role, over_all)
        st.vega_lite_chart(spec=accuracy, key="audit")
        left, right = st.columns(2, gap="large")
        left.vega_lite_chart(spec=overlap, key="overlap")
        right.vega_lite_chart(spec=stability, key="stability")
        st.caption("IoU, Gaussian and the L1 path see at most 5,000 training words. Two random orders share k out of "
                   "all neurons. Stability is that of single layers.")
        overlaps, stable = cached.neuron_table(*place.arguments, "overlaps")
        for title, table in (("accuracies", cached.neuron_table(*place.arguments, "audit")), ("overlaps", overlaps),
                             ("stability", stable)):
            table_files(place.neurons, title, table)
        return only(audit=accuracy, overlap=overlap, stability=stability)
    return only()


def take_away(place: Place) -> Follow:
    """Any ranking as a list, and as a file."""
    if not place.whole():
        return only()
    choices = st.container(horizontal=True, gap="medium")
    names = METHODS | {LIKELIHOOD: "Gaussian, by likelihood", "reversed": "LCA, reversed", "random": "Random"}
    method = choices.selectbox("Ranking", list(names), key="method", bind="query-params", width=BOX,
                               format_func=names.__getitem__)
    role = choices.segmented_control("Checkpoint", tables.ROLES, default=tables.ROLES[0], required=True, key="role",
                                     bind="query-params")
    over_all = over_choice(choices)
    label = ""
    if method == "lca":
        label = choices.selectbox("For the label", ["", *place.neurons.evidence.labels()], key="label", width=BOX,
                                  format_func=lambda name: name or "all labels", bind="query-params")
    if over_all and method in ("lca", "reversed") and not place.needs("everywhere"):
        return only()
    if method not in ("lca", *CONTROLS) and not place.needs(tables.ranked_in(method)):
        return only()
    slot = st.container()

    def follow(layer: int, k: int) -> dict[str, dict]:
        at = ALL if over_all else layer
        checkpoint = place.neurons.pair[tables.ROLES.index(role or tables.ROLES[0])]
        with slot:
            rows = tables.ranked(place.neurons, checkpoint, at, method, label, k)
            st.markdown(f"**The first {k}** of {'all layers' if over_all else f'layer {layer}'}, best first"
                        + ("; of LCA's scores the lower is the better" if method == "lca" and not label else ""))
            listed(place, rows, "ranking")
            table_files(place.neurons, "ranking", rows, checkpoint=role, layer=at, method=method, label=label, k=k)
        return {}

    return follow


