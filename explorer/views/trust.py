"""How sure the figures of a study are, what may explain them away, and the study once more with that left out."""
import dataclasses

import pandas as pd
import streamlit as st

from explorer import cached, methods
from explorer.store import Store
from explorer.study import Study, short_name
from explorer.views.progress import start_now

SURE = """
Intervals are at the 95 % level: they are bootstrap percentiles over 2,000 resamples of the test **sentences**, since
words of one sentence go together, and the same sentences are drawn for both checkpoints, so that deltas are paired. A
delta whose interval contains zero is grey. Deltas are taken before figures are rounded: they may differ by one in the
last digit from the difference of the two that are shown. Switch on *Intervals for all layers at once* to ask about the
whole profile instead of one layer. A probe's optimum is unique: it depends on no seed and no order of the words, so no
probe is fitted twice.

**Selectivity** is accuracy minus that of a probe, on the same neurons, for labels drawn at random for each word form:
what is left when memory of words is taken away. **Description length** is what it takes to send the training labels
to somebody who has the activations; compression is how much shorter that is than without them. It is counted over all
training words, in one order that the seed draws, and not estimated from a sample of them: it has no interval. Another
seed moves it by up to 2 % on the starter treebank.

A resample of few sentences lacks rare labels: the interval of macro-F1 then lies somewhat to the right.
"""

TOGETHER = ("Off: each layer's interval holds its true value in 95 of 100 samples of test sentences. On: the intervals "
            "of all layers hold all their true values at once in 95 of 100 (max-T); they are wider.")


def show(store: Store, study: Study, finetuned: str) -> bool:
    """Draw it, folded; returns whether intervals are to hold for all layers at once.

    What is folded is built when it is opened.
    """
    together = st.toggle("Intervals for all layers at once", key="together", bind="query-params", help=TOGETHER)
    sure = st.expander("How sure is this?", key="trust", on_change="rerun")
    if sure.open:
        with sure:
            _sure(store, study, finetuned)
    paper = st.expander("Text for a paper", key="methods", on_change="rerun")
    if paper.open:
        with paper:
            _paper(study)
    return together


def _sure(store: Store, study: Study, finetuned: str) -> None:
    left, right = st.columns(2, gap="large")
    left.markdown(SURE)
    right.text("\n".join(facts(study, finetuned)))
    with right:
        _once_more(store, study)
    _table(cached.scale_of_layers(store.root, study.key, finetuned))


def _paper(study: Study) -> None:
    st.caption("What was run, and whom to cite. The button of each box copies it.")
    st.code(methods.paragraph(study), language=None, wrap_lines=True)
    st.code(methods.bibtex(study), language="bibtex")
    st.download_button("Download both", methods.paragraph(study) + "\n\n" + methods.bibtex(study),
                       f"methods-{study.key}.txt", icon=":material/download:")


def facts(study: Study, finetuned: str) -> list[str]:
    """Lines on what may explain a figure away."""
    table = study.table[(study.table.split == "test") & (study.table.label == "") & (study.table.layer == 0)]
    n = table[(table.checkpoint == study.base) & (table.k == table.k.max())].set_index("metric").n
    unseen = n.get("accuracy_unseen", 0)
    lines = [f"Test words: {n['accuracy']:,}, of which {unseen:,} ({unseen / n['accuracy']:.1%}) unseen in training."]
    if sizes := study.made.get("sizes"):
        train = sizes["train"]
        lines.append(f"Probes trained on {train['words']:,} words of {train['sentences']:,} sentences.")
    tuned = study.made.get("tuning", {}).get(finetuned)
    if tuned:
        lines.append(f"{short_name(finetuned)}: step {tuned['step']:,} of {tuned.get('steps', tuned['step']):,} on "
                     f"{tuned.get('task', 'a task')}, which has {tuned.get('train_rows', 0):,} training rows.")
    elif not finetuned.startswith("random:"):
        lines.append("No record of the fine-tuning lies beside the checkpoint: its steps and data are not known here.")
    return [*lines, *study.notes]


def _once_more(store: Store, study: Study) -> None:
    """The same study with other settings of the probes; quick where it has been run before."""
    probe = study.request.probe
    standardise = st.toggle("Standardise activations", probe.standardise, key=f"standardise {study.key}")
    keep = st.toggle("Keep outlier neurons", not probe.drop_outliers, key=f"outliers {study.key}",
                     help="Neurons whose mean lies over 6 standard deviations of their layer's activations from the "
                          "layer's mean.")
    changed = dataclasses.replace(probe, standardise=standardise, drop_outliers=not keep)
    if st.button("Run with these settings", disabled=changed == probe, icon=":material/replay:"):
        start_now(store, dataclasses.replace(study.request, probe=changed))


def _table(frame: pd.DataFrame) -> None:
    """Layers beside one another, whole-layer probes."""
    whole = st.column_config.NumberColumn(format="%d")
    config = {name: whole if "Outliers" in name else st.column_config.NumberColumn(format="%.2f" if "(%)" not in name
                                                                                   else "%.1f") for name in frame}
    st.markdown("**The whole layer's probe**: ● pre-trained, ◆ fine-tuned")
    st.dataframe(frame, key="scale", column_config=config)
