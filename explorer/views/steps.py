"""Where along a run a page looks: the slider of steps that all pages share, and what was known of the run there."""
import streamlit as st

from explorer.history import History, Point
from explorer.study import telling_name


def run(found: list[History]) -> History:
    """The run to look at: a choice where the study has several."""
    if len(found) == 1:
        return found[0]
    names = {telling_name(known.name, [other.name for other in found]): known for known in found}
    return names[st.selectbox("Run", list(names), key="run", bind="query-params", label_visibility="collapsed",
                              width=260)]


def step(steps: list[int]) -> int:
    """The step that the slider stands on: the last, to begin with."""
    return st.select_slider("Step of the run", steps, steps[-1], key="step", bind="query-params",
                            help="How far fine-tuning is: training steps at each checkpoint that was kept.")


def checkpoint(found: list[History]) -> str:
    """The slider, what is known of the run there, and the name of the checkpoint."""
    known = run(found)
    with st.container(width=400):  # its caption takes one line
        at = step([point.step for point in known.points])
        point = next(point for point in known.points if point.step == at)
        st.caption(facts(known, point))
    return point.checkpoint


def facts(known: History, point: Point) -> str:
    """One line: steps done, epochs, and the dev score."""
    score = "" if point.dev_score is None else f", dev {known.metric.replace('_', ' ')} {100 * point.dev_score:.1f} %"
    return f"{point.step:,} steps {known.place(point)}{score}"
