"""What lies behind the study that a page shows, or, where the cache lacks it, a button that computes it again."""
import streamlit as st

from explorer import cached
from explorer.evidence import Evidence, RestoreRequest
from explorer.store import Store
from explorer.study import Study
from explorer.views.progress import begun, start
from explorer.views.studies import finished

GONE = (
    "**The figures of this study are here; what they were computed from is not.** Activations and probes were removed "
    "from the cache, or the study was made elsewhere. To look at single words and neurons, compute them again: what "
    "the cache still has is taken from there, and the figures stay as they are.")
SHIPPED = (
    "**The figures of this study came with the explorer; the activations and probes behind them did not.** To look at "
    "single words and neurons, have them computed here, once: half a minute on an idle machine for two "
    "checkpoints and few labels, as of `upos`; minutes for the many labels of `CCG`, and for every further step of a "
    "run as much again as for one. The page then appears on its own; the figures stay as they are.")


def behind(store: Store, study: Study) -> Evidence | None:
    """The study's evidence if the cache has all of it; else say so, offer to restore it, and return None."""
    if cached.complete(store.root, study.key, _changed(store)):
        return Evidence(store, study)
    request = RestoreRequest(study.key, study.request)
    with st.container(border=True):
        shipped = any(summary.shipped and summary.key == study.key for summary in finished(store))
        st.markdown(SHIPPED if shipped else GONE)
        st.button("Compute them again", type="primary", icon=":material/restart_alt:", key="restore",
                  on_click=start, args=(store, request), disabled=begun(store, request))
    return None


def _changed(store: Store) -> tuple[int, ...]:
    """When entries were last added to the cache or removed."""
    folders = (store.root / name for name in ("activations", "results"))
    return tuple(folder.stat().st_mtime_ns if folder.is_dir() else 0 for folder in folders)
