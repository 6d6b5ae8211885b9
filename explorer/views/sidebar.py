"""The sidebar: what a new study is of, and the button that runs it."""
import dataclasses
from pathlib import Path

import streamlit as st

from explorer.corpus import TREEBANK, CorpusRequest
from explorer.models import check_name, folder_of, steps
from explorer.starter import studies as starter
from explorer.store import Store
from explorer.study import StudyRequest
from explorer.views import larger
from explorer.views.fields import complete, number, properties, sibling, suggesting, usable
from explorer.views.progress import start_now

HUB = ("bert-base-cased", "roberta-base", "xlnet-base-cased")
RUNS = Path("runs")
USUAL = "upos"
SAMPLE = "Sample size (sentences per split)"


def show(store: Store) -> None:
    """Draw it; its button starts a job, once all that is asked for can be used."""
    with st.sidebar:
        st.subheader("New study", anchor=False)
        request = _request(store)
        ready = _ready(request)
        pressed = st.button("Run study", type="primary", width="stretch", icon=":material/play_arrow:",
                            disabled=not ready)
        larger.show(store)
    if pressed and ready:  # it may be pressed before it is seen to be disabled
        start_now(store, request)


def _request(store: Store) -> StudyRequest:
    """What is asked for, with empty names where nothing is given yet; the starter's is there from the start."""
    base = suggesting(
        "Pre-trained model", [*starter.pretrained(), *HUB], key="base", value=starter.FIRST[0],
        placeholder="Hub id or folder", help="A model's id on the hub, with @revision if you like, or its folder.")
    finetuned = _finetuned(store, base)
    train, dev, test, label = _corpus(store)
    pooling = st.segmented_control(
        "Sub-word that stands for its word", ("last", "first", "mean"), default="last", required=True, key="pooling",
        help="Models cut words into sub-words: a word's activations are those of its last one, its first one, or "
             "their mean.")
    limit = number(
        SAMPLE, None, key="limit", placeholder="all",
        help="At most so many sentences of each of train, dev and test, drawn at random with a fixed seed.")
    asked = StudyRequest(base, finetuned, CorpusRequest(train, dev, test, label, limit=limit), pooling)
    if base in starter.MODELS:  # as its finished studies have it
        return dataclasses.replace(asked, k=starter.K, control=starter.CONTROL)
    return asked


def _ready(request: StudyRequest) -> bool:
    """Whether it can run, as far as that is known at once; a training file without a property has said why."""
    given = {"a pre-trained model": request.base, "a fine-tuned checkpoint": request.finetuned,
             "a training file": request.corpus.train}

    def check() -> None:
        for name in (request.base, *request.finetuned):
            check_name(name)
        request.corpus.check()

    return (complete(given) and bool(request.corpus.property)
            and usable("The study cannot run", check, {"limit": SAMPLE}))


def _finetuned(store: Store, base: str) -> tuple[str, ...]:
    """The fine-tuned checkpoint, or those of a run's steps that are chosen."""
    ours = [run for run in starter.runs() if run.startswith(f"{base}-")] or starter.runs()
    made = {str(path.parent) for folder in (RUNS, store.root / RUNS) for path in folder.glob("*/checkpoint-*")}
    name = suggesting(
        "Fine-tuned checkpoint", [*ours, *sorted(made)], key="finetuned", value=starter.FIRST[1][0],
        placeholder="Folder, run or hub id",
        help="A checkpoint that was fine-tuned from that model. Of a run, a folder with a checkpoint for each of "
             "several steps, choose the steps to compare.")
    found = {path.name: f"{name.rstrip('/')}/{path.name}" for path in steps(folder_of(name))} if name else {}
    whole = (name,) if name else ()
    if len(found) < 2 and (not found or name in starter.runs()):
        return whole
    chosen = st.multiselect("Steps of the run", list(found), default=list(found)[-1:], key=f"steps of {name}",
                            format_func=lambda step: step.removeprefix("checkpoint-"))
    if name in starter.runs() and chosen == list(found)[-1:]:
        return whole  # its own name for its last checkpoint
    return tuple(found[step] for step in found if step in chosen)


def _corpus(store: Store) -> tuple[str, str | None, str | None, str]:
    """Training, dev and test file, and the property."""
    train = suggesting(
        "Corpus: training file", [*sorted(path.name for path in TREEBANK.glob("*train*")), *larger.corpora(store)],
        key="train", value=starter.TRAIN, placeholder="Path of a file",
        help="Words with labels: CoNLL-U, columns as in CoNLL-2000, or TSV with a header; plain, .gz or .xz.")
    with st.expander("Dev and test files"):
        dev, test = (
            st.text_input(f"{split.capitalize()} file", value=sibling(train, split), key=f"{split} of {train}",
                          placeholder="cut from the training file").strip() or None
            for split in ("dev", "test"))
    return train, dev, test, _property(train)


def _property(train: str) -> str:
    """One of the properties that the training file has labels of."""
    options = properties(train)
    chosen = st.selectbox(
        "Property", options, index=options.index(USUAL) if USUAL in options else 0, key=f"property of {train}",
        disabled=not options, placeholder="Choose a training file", help="What the probes predict of every word.")
    return chosen or ""
