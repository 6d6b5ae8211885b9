"""The app: streamlit run streamlit_app.py. What stands on every page: the sidebar and the jobs at work."""
import streamlit as st

from explorer import cached
from explorer.views import STYLE, all_jobs, finetune, layers, progress, sidebar, trajectory

st.set_page_config("What fine-tuning changes", ":material/neurology:", layout="wide")
st.html(STYLE / "live.html", unsafe_allow_javascript=True)
st.html(STYLE / "page.css")
page = st.navigation([
    st.Page(layers.show, title="Layers", icon=":material/layers:", url_path="layers", default=True),
    st.Page(trajectory.show, title="Trajectory", icon=":material/timeline:", url_path="trajectory"),
    st.Page(finetune.show, title="Fine-tune", icon=":material/model_training:", url_path="fine-tune"),
    st.Page(all_jobs.show, title="Jobs", icon=":material/checklist:", url_path="jobs"),
])
sidebar.show(cached.store())
if page.url_path != "jobs":
    progress.show(cached.store())
page.run()
