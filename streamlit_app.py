"""What does fine-tuning do to the linguistic knowledge inside a language model? streamlit run streamlit_app.py"""
import streamlit as st

from explorer.views import layers
from explorer.views.sidebar import sidebar

st.set_page_config(page_title="What fine-tuning changes", page_icon=":material/neurology:", layout="wide")
page = st.navigation([st.Page(layers.show, title="Layers", icon=":material/layers:", url_path="layers", default=True)])
sidebar()
page.run()
