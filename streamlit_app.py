"""The app: streamlit run streamlit_app.py. What stands on every page: the sidebar and the jobs at work."""
import streamlit as st

from explorer import cached
from explorer.views import STYLE, layers, neurons, progress, sidebar

st.set_page_config("What fine-tuning changes", ":material/neurology:", layout="wide")
st.html(STYLE / "live.html", unsafe_allow_javascript=True)
st.html(STYLE / "page.css")
page = st.navigation([
    st.Page(layers.show, title="Layers", icon=":material/layers:", url_path="layers", default=True),
    st.Page(neurons.show, title="Neurons", icon=":material/scatter_plot:", url_path="neurons"),
])
sidebar.show(cached.store())
progress.show(cached.store())
page.run()
