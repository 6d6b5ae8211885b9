"""Which study a page shows: the one that the address names, else the user's newest, else the starter's first.

Studies are chosen by what they are of: a box each for the model, its fine-tuned checkpoints, the property and the
corpus. A change of one keeps what it can of the others.
"""
from collections.abc import Callable, Hashable, Sequence

import streamlit as st

from explorer import cached
from explorer.corpus import find
from explorer.history import History
from explorer.overview import corpus_name, tuned_name
from explorer.specs import InputError
from explorer.starter.studies import FIRST, TRAIN
from explorer.store import Store
from explorer.study import Study, StudyRequest, Summary, short_name, telling_name, unusual
from explorer.trajectory import gone_on
from explorer.untrained import trained
from explorer.views import steps
from explorer.views.messages import problem

Facet = Callable[[Summary], Hashable]
FACETS: dict[str, tuple[Facet, Callable[[Summary], str]]] = {  # a box: what tells studies apart, and its name
    "Model": (lambda study: study.request.base, lambda study: short_name(study.request.base)),
    "Fine-tuned": (lambda study: study.request.finetuned, lambda study: tuned_name(study.request)),
    "Property": (lambda study: study.request.corpus.property, lambda study: study.request.corpus.property),
    "Corpus": (lambda study: study.request.corpus.train, lambda study: corpus_name(study.request)),
    "Version": (lambda study: study.key, lambda study: f"{unusual(study.request) or 'usual settings'}, "
                                                       f"{study.created[:16].replace('T', ' ')}"),
}
SHOWN = "shown study"
WIDTHS = {"Model": 190, "Fine-tuned": 320, "Property": 130, "Corpus": 180, "Version": 400}  # pixels


def name_shown() -> None:
    """Name the study that a page has shown unasked: a link is to open it, whatever is the newest by then.

    At the end of the page, when live.html is there to spare the browser an entry in its history.
    """
    shown = st.session_state.pop(SHOWN, None)
    if shown and "study" not in st.query_params:
        _open(shown)


def opened(store: Store) -> Study | None:
    """Draw the boxes and return the study that is open; None while there is none."""
    studies, named = finished(store), st.query_params.get("study")
    shown = _of_link(store, named, studies) if named else first(studies) if studies else None
    if named and not shown:
        problem("The study in this link is not here",
                f"{named} is not among the finished studies in {store.root}. "
                "Run it here, open another, or set EXPLORER_CACHE to the folder that has it.")
        if studies:
            st.button("Open another", on_click=_open, args=(first(studies).key,))
    if not shown:
        return None
    if named not in (None, shown.key):
        _open(shown.key)
    st.session_state[SHOWN] = shown.key
    _boxes(studies, shown)
    try:
        return cached.load(store.root, shown.key)
    except InputError as error:
        problem("This study cannot be shown", str(error))
        return None


def _of_link(store: Store, key: str, studies: Sequence[Summary]) -> Summary | None:
    """The study of this key, or the one that has gone on with it: a run keeps more checkpoints as it learns."""
    if known := next((study for study in studies if study.key == key), None):
        return known
    try:
        return gone_on(cached.load(store.root, key), studies)
    except InputError:
        return None


def finished(store: Store) -> list[Summary]:
    """All there are, the newest first."""
    results = store.root / "results"
    return cached.finished(store.root, results.stat().st_mtime_ns if results.is_dir() else 0)


def first(studies: Sequence[Summary]) -> Summary:
    """What to open unasked, out of studies, the newest first: the user's own, or else the starter's FIRST.

    A baseline's is none of these, nor a run's that was stopped at its start.
    """
    def rank(study: Summary) -> tuple[bool, bool]:
        request, own = study.request, not study.shipped and trained(study.request)
        return own, (request.base, request.finetuned, request.corpus.property) == FIRST

    return max(studies, key=rank)


def options(studies: Sequence[Summary], shown: Summary, box: str) -> dict[Hashable, Summary]:
    """What a box offers beside the boxes before it, oldest first, each with the study that it would open."""
    before = list(FACETS)[:list(FACETS).index(box)]
    value = FACETS[box][0]
    fits = [study for study in reversed(studies)
            if all(FACETS[other][0](study) == FACETS[other][0](shown) for other in before)]
    groups: dict[Hashable, list[Summary]] = {}
    for study in fits:
        groups.setdefault(value(study), []).append(study)
    ours = _features(shown.request)

    def likeness(study: Summary) -> tuple[int, str]:
        """In how much it is like the one shown, the newer first among equals."""
        return sum(a == b for a, b in zip(ours, _features(study.request), strict=True)), study.created

    return {key: max(group, key=likeness) for key, group in groups.items()}


def _features(request: StudyRequest) -> tuple[Hashable, ...]:
    """What stays when a box changes; of checkpoints what is left of their name without the model's."""
    tuned = tuned_name(request).replace(short_name(request.base), "")
    return request.base, tuned, request.corpus.property, request.corpus.train, unusual(request)


def _boxes(studies: Sequence[Summary], shown: Summary) -> None:
    for box, (value, name) in FACETS.items():
        found = options(studies, shown, box)
        if box == "Version" and len(found) == 1:
            continue
        names = [name(study) for study in found.values()]
        labels = {key: short if names.count(short) == 1 else _whole(key)
                  for key, short in zip(found, names, strict=True)}
        st.session_state[f"study {box}"] = value(shown)
        st.selectbox(box, list(found), format_func=labels.__getitem__, key=f"study {box}", width=WIDTHS[box],
                     on_change=_choose, args=(box, {key: study.key for key, study in found.items()}))


def _whole(value: Hashable) -> str:
    """A name in full, where a short one would stand for two things."""
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _choose(box: str, keys: dict[Hashable, str]) -> None:
    _open(keys[st.session_state[f"study {box}"]])


def _open(key: str) -> None:
    st.query_params["study"] = key


def slid(study: Study) -> list[History]:
    """The runs that make up all of its fine-tuned checkpoints, so that a slider of steps chooses among them."""
    along = cached.runs(cached.store().root, study.key)
    return along if sum(len(run.points) for run in along) == len(study.finetuned) > 1 else []


def compared(study: Study) -> str:
    """The fine-tuned checkpoint to compare with: a choice where there are several, a slider where a run has them."""
    if along := slid(study):
        return steps.checkpoint(along)
    names = {telling_name(name, study.finetuned): name for name in study.finetuned}
    if len(names) == 1:
        return study.finetuned[0]
    chosen = st.selectbox("Fine-tuned checkpoint", list(names), index=len(names) - 1, key="checkpoint",
                          bind="query-params", label_visibility="collapsed", width=280)
    return names[chosen]


def caution(study: Study) -> None:
    """Of a study on the starter treebank, or on a sample, that it is small."""
    limit, of_starter = study.request.corpus.limit, find(study.request.corpus.train) == find(TRAIN)
    if limit or of_starter:
        words = study.table.n[(study.table.split == "test") & (study.table.label == "")].max()
        why = f"This study is of a sample, {limit:,} sentences per split" if limit else "The starter treebank is small"
        more = "" if limit else "; *Get larger data* in the sidebar gets a larger treebank"
        st.caption(f"{why}: {words:,} test words. Read each figure with its 95 % interval{more}.")
