"""The Scorecard page: the published patterns on the studies at hand."""
import streamlit as st

from explorer import cached
from explorer.patterns import NOT_SEEN, SEEN
from explorer.scorecard import Line, to_json, to_markdown
from explorer.views.studies import finished

MARKS = {SEEN: ":green[:material/check_circle:]", NOT_SEEN: ":red[:material/cancel:]"}
UNSURE = ":gray[:material/help:]"


def show() -> None:
    """Draw it for the studies that are chosen, all at first."""
    st.title("Scorecard", anchor=False)
    store = cached.store()
    titles = {study.key: f"{study.title} · {study.created[:10]}" for study in finished(store)}
    if not titles:
        st.markdown("No study is finished yet. When one is, the patterns of Durrani, Sajjad & Dalvi 2021 are checked "
                    "on it here.")
        return
    with st.expander(f"Studies: {len(titles)} are here"):
        chosen = st.multiselect("Checked on", list(titles), format_func=titles.__getitem__, key="checked",
                                placeholder="all of them")
    keys = tuple(chosen or titles)
    changed = max((path.stat().st_mtime_ns for path in (store.root / "results").glob("*.safetensors")), default=0)
    lines = cached.scorecard(store.root, keys, changed)
    studies = [cached.load(store.root, key) for key in keys]
    st.caption("The patterns that Durrani, Sajjad & Dalvi 2021 (arXiv 2105.15179) published, on the studies at hand. A "
               "pair of checkpoints says seen or not seen only where a 95 % interval lets it.")
    for line in lines:
        _line(line)
    if not lines:
        st.markdown("These studies compare with random weights alone. The patterns are of fine-tuned checkpoints.")
        return
    with st.container(horizontal=True):
        st.download_button("Markdown", to_markdown(lines, studies), "scorecard.md", icon=":material/download:")
        st.download_button("JSON", to_json(lines, studies), "scorecard.json", icon=":material/download:")


def _line(line: Line) -> None:
    with st.container(border=True):
        mark, text = st.columns([1, 5], vertical_alignment="center")
        mark.markdown(f"{MARKS.get(line.verdict.verdict, UNSURE)} **{line.verdict.verdict.capitalize()}**")
        text.markdown(f"**{line.verdict.pattern}**")
        text.text(line.verdict.because)
        if len(line.pairs) > 1:
            with text.expander(f"Each of {len(line.pairs)}"):
                st.dataframe([{"": name, "verdict": verdict.verdict.removesuffix(" here"), "figures": verdict.because}
                              for name, verdict in line.pairs], hide_index=True)
