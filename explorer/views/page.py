"""What stands on every page: the menu, the sidebar and the jobs at work."""
import streamlit as st

from explorer import cached
from explorer.views import (
    STYLE,
    all_jobs,
    errors,
    find,
    finetune,
    layers,
    links,
    neuron,
    neurons,
    overview,
    progress,
    scorecard,
    sentence,
    sidebar,
    studies,
    tour,
    trajectory,
)


def show() -> None:
    """The page that the address names, in its frame."""
    st.set_page_config("What fine-tuning changes", str(STYLE / "icon.svg"), layout="wide")
    st.html(STYLE / "live.html", unsafe_allow_javascript=True)
    st.html(STYLE / "page.css")
    links.after_back()
    pages = links.remember({
        "layers": st.Page(layers.show, title="Layers", icon=":material/layers:", default=True),
        "overview": st.Page(overview.show, title="Overview", icon=":material/dashboard:", url_path="overview"),
        "trajectory": st.Page(trajectory.show, title="Trajectory", icon=":material/timeline:", url_path="trajectory"),
        "scorecard": st.Page(scorecard.show, title="Scorecard", icon=":material/fact_check:", url_path="scorecard"),
        "neurons": st.Page(neurons.show, title="Neurons", icon=":material/scatter_plot:", url_path="neurons"),
        "neuron": st.Page(neuron.show, title="One neuron", icon=":material/pin_drop:", url_path="neuron"),
        "find": st.Page(find.show, title="Find neurons", icon=":material/search:", url_path="find"),
        "sentence": st.Page(sentence.show, title="Sentence", icon=":material/short_text:", url_path="sentence"),
        "errors": st.Page(errors.show, title="Errors", icon=":material/rule:", url_path="errors"),
        "fine-tune": st.Page(finetune.show, title="Fine-tune", icon=":material/model_training:", url_path="fine-tune"),
        "jobs": st.Page(all_jobs.show, title="Jobs", icon=":material/checklist:", url_path="jobs"),
    })
    groups = {
        "Checkpoints": ("layers", "overview", "trajectory", "scorecard"),
        "Neurons": ("neurons", "neuron", "find"),
        "Words": ("sentence", "errors"),
        "Work": ("fine-tune", "jobs"),
    }
    named = st.Page(layers.show, title="Layers", url_path="layers")  # whose own address is the root's
    page = st.navigation([*pages.values(), named], position="hidden")
    links.menu({title: [pages[name] for name in names] for title, names in groups.items()})
    sidebar.show(cached.store())
    tour.show(cached.store())
    if page is not pages["jobs"]:
        progress.show(cached.store())
    page.run()
    studies.name_shown()
    tour.ahead(cached.store())
