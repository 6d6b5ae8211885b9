"""What the pages keep between reruns: the only wrappers of st.cache_data and st.cache_resource."""
import pandas as pd
import streamlit as st

from explorer import charts, corpus
from explorer.store import Store, default_root
from explorer.study import Study, load


@st.cache_resource
def store() -> Store:
    return Store(default_root())


@st.cache_resource(max_entries=32)
def study(key: str) -> Study:
    return load(store(), key)


@st.cache_resource(max_entries=64)
def grid(key: str, finetuned: str) -> pd.DataFrame:
    return charts.grid(study(key).table, study(key).base, finetuned)


@st.cache_data(max_entries=64, show_spinner=False)
def properties(path: str, identity: tuple[int, int], columns: tuple[int, int] | None) -> list[str]:
    return corpus.properties(path, columns)
