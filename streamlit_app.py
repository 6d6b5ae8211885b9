"""The app: streamlit run streamlit_app.py. What stands on every page: the sidebar and the jobs at work."""
import streamlit as st

from explorer import cached
from explorer.views import STYLE, errors, find, layers, links, neuron, progress, sentence, sidebar, tour

st.set_page_config("What fine-tuning changes", ":material/neurology:", layout="wide")
st.html(STYLE / "live.html", unsafe_allow_javascript=True)
st.html(STYLE / "page.css")
pages = links.remember({
    "layers": st.Page(layers.show, title="Layers", icon=":material/layers:", url_path="layers", default=True),
    "neuron": st.Page(neuron.show, title="One neuron", icon=":material/pin_drop:", url_path="neuron"),
    "find": st.Page(find.show, title="Find neurons", icon=":material/search:", url_path="find"),
    "sentence": st.Page(sentence.show, title="Sentence", icon=":material/short_text:", url_path="sentence"),
    "errors": st.Page(errors.show, title="Errors", icon=":material/rule:", url_path="errors"),
})
page = st.navigation(list(pages.values()))
sidebar.show(cached.store())
tour.show(cached.store())
progress.show(cached.store())
page.run()
