"""The Scorecard page: the published patterns on the studies at hand."""
from collections import Counter
from collections.abc import Sequence

import streamlit as st

from explorer import cached, jobs
from explorer.patterns import NOT_SEEN, RULE, SEEN
from explorer.scorecard import Line
from explorer.scoring import ScorecardRequest
from explorer.store import Store
from explorer.study import Summary
from explorer.views import address
from explorer.views.messages import problem
from explorer.views.progress import start
from explorer.views.studies import finished

MARKS = {SEEN: ":green[:material/check_circle:]", NOT_SEEN: ":red[:material/cancel:]"}
UNSURE = ":gray[:material/help:]"


def show() -> None:
    """Draw it for the studies that are chosen, all at first."""
    st.title("Scorecard", anchor=False)
    store = cached.store()
    titles = _titles(finished(store))
    if not titles:
        st.markdown("No study is finished yet. When one is, the patterns of Durrani, Sajjad & Dalvi 2021 are checked "
                    "on it here.")
        return
    chosen = st.multiselect("Studies", list(titles), format_func=titles.__getitem__, placeholder=f"all {len(titles)}",
                            **address.some_of("studies", list(titles)))
    if absent := set(filter(None, st.query_params.get("studies", "").split(","))) - set(titles):
        problem("Some studies in this link are not here", ", ".join(sorted(absent)))
    keys = tuple(chosen or titles)
    scored = cached.scored(store.root, keys, (store.root / "results").stat().st_mtime_ns)
    st.caption("The patterns that Durrani, Sajjad & Dalvi 2021 (arXiv 2105.15179) published, on the studies at hand. A "
               f"pair of checkpoints says seen or not seen only where a 95 % interval lets it. {RULE}")
    if scored.lacking and not any(job.active and job.kind == "scorecard" for job in jobs.jobs(store)):
        _complete(store, keys, scored.lacking)
    for line in scored.lines:
        _line(line)
    if not scored.lines:
        st.markdown("These studies compare with random weights alone. The patterns are of fine-tuned checkpoints.")
        return
    with st.container(horizontal=True):
        st.download_button("Markdown", scored.markdown, "scorecard.md", icon=":material/download:")
        st.download_button("JSON", scored.json, "scorecard.json", icon=":material/download:")


def _titles(studies: Sequence[Summary]) -> dict[str, str]:
    """By key; no two alike: the box takes options with one name for one option."""
    names = {study.key: f"{study.title} · {study.created[:16].replace('T', ' ')}" for study in studies}
    counts = Counter(names.values())
    return {key: name if counts[name] == 1 else f"{name} · {key[:6]}" for key, name in names.items()}


def _complete(store: Store, keys: tuple[str, ...], lacking: int) -> None:
    """A button that computes what three of the patterns lack."""
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        st.markdown(f"Three patterns take probes on all layers together. **{lacking} are not computed yet**, one for "
                    "each checkpoint and property; what the cache lacks for them, such as activations, is computed "
                    "first.", width="stretch")
        st.button("Compute", type="primary", icon=":material/play_arrow:", width=140, on_click=start,
                  args=(store, ScorecardRequest(keys)))


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
