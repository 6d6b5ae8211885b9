"""The app: streamlit run streamlit_app.py. What stands on every page: the sidebar and the jobs at work."""
import streamlit as st

from explorer import cached
from explorer.views import (
    STYLE,
    errors,
    find,
    layers,
    neuron,
    overview,
    progress,
    sentence,
    sidebar,
    tour,
    trajectory,
)

st.set_page_config("What fine-tuning changes", ":material/neurology:", layout="wide")
st.html(STYLE / "live.html", unsafe_allow_javascript=True)
st.html(STYLE / "page.css")
page = st.navigation([
    st.Page(layers.show, title="Layers", icon=":material/layers:", url_path="layers", default=True),
    st.Page(trajectory.show, title="Trajectory", icon=":material/timeline:", url_path="trajectory"),
    st.Page(overview.show, title="Overview", icon=":material/dashboard:", url_path="overview"),
    st.Page(neuron.show, title="One neuron", icon=":material/pin_drop:", url_path="neuron"),
    st.Page(find.show, title="Find neurons", icon=":material/search:", url_path="find"),
    st.Page(sentence.show, title="Sentence", icon=":material/short_text:", url_path="sentence"),
    st.Page(errors.show, title="Errors", icon=":material/rule:", url_path="errors"),
])
sidebar.show(cached.store())
tour.show(cached.store(), page.url_path)
progress.show(cached.store())
page.run()
