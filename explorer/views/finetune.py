"""The Fine-tune page: start a run, and watch its loss, its dev score and its layers while it learns."""
import dataclasses
from pathlib import Path

import streamlit as st

from explorer import cached
from explorer.corpus import TREEBANK, CorpusRequest
from explorer.files import identity, is_folder, is_there
from explorer.models import STARTER, folder_of
from explorer.runs import FinetuneRequest
from explorer.specs import digest
from explorer.store import Store
from explorer.study import StudyRequest, short_name
from explorer.tasks import STARTER_TASKS, TASKS
from explorer.views import larger, live_run
from explorer.views.fields import complete, number, properties, sibling, suggesting, usable
from explorer.views.progress import duration, start_now
from explorer.work import RunRequest

OWN = ("classification", "regression")  # tasks of one's own rows
K = (1, 5, 20)  # probes while the run trains: these and the whole layer; a study from the sidebar has more
RATES = {True: 5e-4, False: 5e-5}  # of the small starter models, which no longer learn at 1e-3, and of others
WARMUP = 0.06  # of the run, over which the rate rises
LABELS = {"learning_rate": "Learning rate", "epochs": "Epochs", "limit": "Size (training rows)", "seed": "Seed",
          "freeze": "Freeze embeddings and lowest blocks", "reinitialise": "Re-initialise top blocks"}
SAMPLE = "Sample (sentences per split)"
PASSES = {True: (12.0, 16), False: (3.0, 32)}  # epochs and batch of the starter's tasks, of few rows, and of others


def show() -> None:
    """The run at work, if there is one, and the form of a new one."""
    store = cached.store()
    shown = live_run.show(store)
    with st.expander("New run", expanded=not shown, icon=":material/model_training:"):
        request = _form(store)
        ready = _ready(request)
        pressed = st.button("Start run", type="primary", icon=":material/play_arrow:", disabled=not ready)
    if pressed and ready:  # it may be pressed before it is seen to be disabled
        start_now(store, request)


def _form(store: Store) -> RunRequest:
    """What is asked for."""
    st.session_state.setdefault("tune-base", "starter-bert")
    st.session_state.setdefault("tune-corpus", "starter-train.conllu")
    small = sorted(path.name for path in STARTER.glob("*"))
    first, second, third = st.columns(3, gap="medium")
    with first:
        base = suggesting("Pre-trained model", small, key="tune-base",
                          placeholder="Hub id or folder", help="What the run starts from.")
    with second:
        task, data = _task(store)
        usual = RATES[base.partition("/")[0] in small]
        rate = number(LABELS["learning_rate"], usual, key=f"tune-rate of {base}",
                      help="AdamW's peak learning rate; it decays to 0 over the run.")
    passes, batch = PASSES[Path(data).parent == STARTER_TASKS]
    with first:
        epochs = number(LABELS["epochs"], passes, key=f"tune-epochs of {passes:g}",
                        help=f"Passes over the training rows, {batch} in a batch.")
    with third:
        limit = number(LABELS["limit"], None, key="tune-limit", placeholder="all",
                       help="At most so many rows, drawn at random by the seed.")
        seed = number(LABELS["seed"], 0, key="tune-seed", help="Seeds the new head, dropout and the sample.")
    corpus = _corpus(store)
    freeze, anew = _layers()
    tune = FinetuneRequest(base, task, data, "", learning_rate=rate, epochs=epochs, batch_size=batch, warmup=WARMUP,
                           seed=seed, limit=limit, freeze=freeze, reinitialise=anew)
    own = digest(dataclasses.asdict(tune), *map(_files, (folder_of(base), Path(data))))[:6]
    name = f"{short_name(base).rpartition('/')[2]}-{Path(data).stem}-{own}"
    tune = dataclasses.replace(tune, out=str(store.root.resolve() / "runs" / name))
    return RunRequest(tune, StudyRequest(base, (), corpus, k=K))


def _files(path: Path) -> list[list[int]]:
    """What changes when a file, or one in a folder and in the folders in that, does: then a run is another."""
    found = sorted([*path.glob("*"), *path.glob("*/*")]) if is_folder(path) else [path]
    return [identity(file) for file in found if is_there(file)]


def _task(store: Store) -> tuple[str, str]:
    """The task, and where its rows are: a box chooses, and a field asks for data that are not at hand."""
    ready = {f"{path.stem} (starter)": ("classification", str(path))
             for path in sorted(STARTER_TASKS.glob("*.tsv"), reverse=True)}
    ready |= {name: (Path(folder).name, folder) for name, folder in larger.tasks(store).items()}
    others = {f"{name} ({'own file' if name in OWN else 'GLUE'})": (name, "") for name in TASKS}
    task, data = (ready | others)[st.selectbox("Task", [*ready, *others], key="tune-task")]
    return task, data or suggesting(
        "Its data", [], key="tune-data", placeholder="Folder of GLUE, or a file",
        help="GLUE's folder, the task's own folder in it, or one file: TSV with a header, or parquet. Columns of your "
             "own: sentence or sentence1 and sentence2, and label.")


def _corpus(store: Store) -> CorpusRequest:
    """What each checkpoint is probed on."""
    first, second, third = st.columns(3, gap="medium")
    with first:
        near = sorted(path.name for path in TREEBANK.glob("*train*"))
        train = suggesting("Probe each checkpoint on", [*near, *larger.corpora(store)],
                           key="tune-corpus", placeholder="Path of a training file",
                           help="Words with labels, as in the sidebar; dev and test files beside it are found.")
    options = properties(train)
    with second:
        label = st.selectbox("Property", options, index=options.index("upos") if "upos" in options else 0,
                             key=f"tune-property of {train}", disabled=not options)
    with third:
        limit = number(SAMPLE, None, key="tune-sample", placeholder="all",
                       help="At most so many sentences of each of train, dev and test, drawn at random.")
    dev, test = (sibling(train, split) or None for split in ("dev", "test"))
    if options:
        st.caption("; ".join(f"{split} words: {short_name(other) if other else 'cut from the training file'}"
                             for split, other in (("Dev", dev), ("test", test))))
    return CorpusRequest(train, dev, test, label or "", limit=limit)


def _layers() -> tuple[int | None, int]:
    """How many blocks are frozen, and how many begin anew."""
    first, second, _ = st.columns(3, gap="medium")
    with first:
        freeze = number(
            LABELS["freeze"], None, key="tune-freeze", placeholder="nothing",
            help="Empty: all is trained. 0: the embeddings stay as they are. n: the n lowest blocks stay too.")
    with second:
        anew = number(
            LABELS["reinitialise"], 0, key="tune-anew",
            help="They forget what pre-training taught them before the run starts.")
    return freeze, anew


def _ready(request: RunRequest) -> bool:
    """Whether it can start, as far as that is known at once; a file to probe on without a property has said why."""
    tune, corpus, title = request.finetune, request.study.corpus, "The run cannot start"
    given = {"a model": tune.model, "the task's data": tune.data, "a file to probe on": corpus.train}
    return (complete(given) and bool(corpus.property) and usable(title, corpus.check, {"limit": SAMPLE})
            and usable(title, lambda: _estimate(request), LABELS))


def _estimate(request: RunRequest) -> None:
    """How long and how much room; raises InputError for what cannot be used."""
    found, speed = cached.expected(request)
    if found is None:
        st.caption("The model comes from the hub, or its cache, when the run starts; the estimate appears then.")
        return
    st.markdown(f"Takes **{duration(found.seconds)}** at the machine's present speed, and "
                f"**{found.disk / 1e6:,.0f} MB** of disk: {found.rows:,} training rows, then probes at each "
                "checkpoint.",
                help="Rough: from the sizes of model, task and corpus, at the speed of a matrix product as measured "
                     f"here ({speed / 1e9:.0f} billion operations a second on a processor; a GPU is faster). Once the "
                     "run is at work, its own rate tells.")

