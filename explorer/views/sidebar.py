"""The sidebar: a finished study to look at, or the parts of a new one."""
from pathlib import Path

import streamlit as st

from explorer import cached
from explorer.corpus import TREEBANK, CorpusRequest, find
from explorer.models import STARTER, steps
from explorer.specs import InputError
from explorer.study import StudyRequest, finished
from explorer.views.progress import start

HUB = ("google-bert/bert-base-cased", "FacebookAI/roberta-base", "xlnet/xlnet-base-cased")


def sidebar() -> None:
    """All of it."""
    with st.sidebar:
        _finished()
        st.subheader("New study", anchor=False)
        request = _new()
        if st.button("Run study", type="primary", width="stretch", icon=":material/play_arrow:"):
            _run(request)


def _finished() -> None:
    """Choose among the studies in the cache; the key is part of the address."""
    found = {summary.key: summary for summary in finished(cached.store())}
    if (result := st.session_state.pop("finished", None)) in found:
        st.session_state["study"] = result
    wanted = st.query_params.get("study")
    if wanted is not None and wanted not in found:
        st.error("The study in this link is not in this cache. Run it here, or set EXPLORER_CACHE to where it is.")
        st.text(wanted[:60])
    if found:
        st.selectbox("Study", list(found), format_func=lambda key: found[key].title, key="study", bind="query-params",
                     help="Finished studies, the newest first.")


def _new() -> StudyRequest:
    models = [*sorted(path.name for path in STARTER.glob("*") if (path / "config.json").is_file()), *HUB]
    base = st.selectbox("Model: the pre-trained checkpoint", models, key="base", accept_new_options=True, index=None,
                        placeholder="hub id, folder or starter name")
    return StudyRequest(base or "", _checkpoints(), _corpus(), st.segmented_control(
        "Sub-word that stands for its word", ("last", "first", "mean"), default="last", required=True, key="pooling"))


def _checkpoints() -> tuple[str, ...]:
    """Fine-tuned checkpoints: one, or steps of a run."""
    name = st.text_input("Fine-tuned checkpoint", key="finetuned", placeholder="hub id or folder",
                         help="A checkpoint, or the folder of a run, whose steps are then listed.").strip()
    found = steps(Path(name).expanduser()) if name else []
    if not found:
        return (name,) if name else ()
    chosen = st.multiselect("Steps of the run", [str(path) for path in found], default=[str(found[-1])], key="steps",
                            format_func=lambda path: Path(path).name)
    return tuple(chosen)


def _corpus() -> CorpusRequest:
    starter = {name: f"starter-{name}.conllu" for name in ("train", "dev", "test")} if TREEBANK.is_dir() else {}
    train = st.text_input("Corpus: training file", starter.get("train", ""), key="train",
                          help="CoNLL-U, a column file or TSV with a header; plain, .gz or .xz.").strip()
    ours = train == starter.get("train")
    with st.expander("Dev and test files, columns, sample", expanded=not ours):
        cut = "cut from the training file"
        dev = st.text_input("Dev file", starter.get("dev", ""), key="dev", placeholder=cut).strip()
        test = st.text_input("Test file", starter.get("test", ""), key="test", placeholder=cut).strip()
        columns = _columns(st.text_input("Columns of a column file", key="columns", placeholder="such as 0,2",
                                         help="The word's and the label's, counted from 0."))
        limit = st.number_input("Sentences of each split, at most", 1, None, None, key="limit", placeholder="all")
    return CorpusRequest(train, dev or None, test or None, _property(train, columns), columns, limit=limit)


def _columns(text: str) -> tuple[int, int] | None:
    if not text.strip():
        return None
    try:
        word, label = (int(part) for part in text.split(","))
    except ValueError:
        st.error("Columns: takes two numbers counted from 0, the word's and the label's, such as 0,2.")
        return None
    return word, label


def _property(train: str, columns: tuple[int, int] | None) -> str:
    """What the training file has labels of."""
    if not train:
        return ""
    try:
        status = Path(find(train)).stat()
        names = cached.properties(train, (status.st_size, status.st_mtime_ns), columns)
    except (InputError, OSError) as error:
        _complain("Corpus", str(error))
        return ""
    return st.selectbox("Property to predict", names, key="property") or ""


def _run(request: StudyRequest) -> None:
    missing = [what for what, value in {
        "a pre-trained checkpoint": request.base, "a fine-tuned checkpoint": request.finetuned,
        "a training file": request.corpus.train, "a property": request.corpus.property,
    }.items() if not value]
    if missing:
        st.error(f"Still to be given: {', '.join(missing)}.")
        return
    try:
        start(request)
    except InputError as error:
        _complain("Study", str(error))


def _complain(what: str, message: str) -> None:
    """An error with words of the user's, which must not be read as Markdown."""
    st.error(f"{what}: this cannot be used.")
    st.text(message)
