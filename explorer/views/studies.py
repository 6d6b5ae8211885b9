"""Which study a page shows: the one that the address names, else the newest."""
from collections.abc import Sequence

import streamlit as st

from explorer import cached
from explorer.specs import InputError
from explorer.store import Store
from explorer.study import Study, short_name
from explorer.views.messages import problem


def opened(store: Store) -> Study | None:
    """Draw the box of finished studies and return the one that is open; None while there is none."""
    results = store.root / "results"
    studies = cached.finished(store.root, results.stat().st_mtime_ns if results.is_dir() else 0)
    titles = {study.key: f"{study.title} · {study.created[:10]}" for study in studies}
    named = st.query_params.get("study")
    if named and named not in titles:
        problem("The study in this link is not here",
                f"{named} is not among the finished studies in {store.root}. "
                "Run it here, open another, or set EXPLORER_CACHE to the folder that has it.")
    if not titles:
        return None
    st.session_state["opened"] = named if named in titles else None if named else studies[0].key
    key = st.selectbox("Finished study", list(titles), format_func=titles.__getitem__, key="opened", on_change=_open,
                       label_visibility="collapsed", placeholder="Choose a finished study")
    try:
        return cached.load(store.root, key) if key else None
    except InputError as error:
        problem("This study cannot be shown", str(error))
        return None


def compared(study: Study) -> str:
    """The fine-tuned checkpoint to compare with: a choice where there are several."""
    names = {_unique(name, study.finetuned): name for name in study.finetuned}
    if len(names) == 1:
        return study.finetuned[0]
    chosen = st.selectbox("Fine-tuned checkpoint", list(names), index=len(names) - 1, key="checkpoint",
                          bind="query-params", label_visibility="collapsed", width=280)
    return names[chosen]


def _unique(name: str, names: Sequence[str]) -> str:
    """The short name, unless another's is the same."""
    short = short_name(name)
    return short if sum(short_name(other) == short for other in names) == 1 else name


def _open() -> None:
    st.query_params["study"] = st.session_state["opened"]
