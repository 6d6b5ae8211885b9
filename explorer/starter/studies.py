"""The starter's own studies: what they are of. Needs no torch; `python -m explorer.starter.build` computes them."""
from explorer.corpus import CorpusRequest
from explorer.models import STARTER, steps
from explorer.study import StudyRequest
from explorer.untrained import UntrainedRequest

MODELS = ("starter-bert", "starter-roberta", "starter-xlnet")
TASKS = ("sst2", "mrpc", "qqp")
PROPERTIES = ("upos", "xpos", "Chunk", "Sem", "CCG")
TRAIN, DEV, TEST = (f"starter-{split}.conllu" for split in ("train", "dev", "test"))
K = (1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128)  # of 128 neurons
CONTROL = 4  # of these have a control task
FIRST = ("starter-bert", ("starter-bert-sst2",), "upos")  # what the first screen shows


def pretrained() -> list[str]:
    """Names of the starter's models before fine-tuning."""
    return sorted(path.parent.name for path in STARTER.glob("*/config.json"))


def runs() -> list[str]:
    """Names of those after it, each a run with one checkpoint or several."""
    return sorted(path.parent.name for path in STARTER.glob("*/run.json"))


def request(model: str, finetuned: tuple[str, ...], label: str) -> StudyRequest:
    """One study of the starter treebank."""
    return StudyRequest(model, finetuned, CorpusRequest(TRAIN, DEV, TEST, label), k=K, control=CONTROL)


def requests() -> list[StudyRequest]:
    """All of them: every model before and after each task, beside random weights, and along a run.

    A run is followed for `upos` only.
    """
    found = [request(model, (f"{model}-{task}",), label) for model in MODELS for task in TASKS
             if f"{model}-{task}" in runs() for label in PROPERTIES]
    found += [UntrainedRequest(request(model, (), label)).of for model in MODELS for label in PROPERTIES]
    for run in runs():
        along = tuple(f"{run}/{path.name}" for path in steps(STARTER / run))
        if len(along) > 1:
            found.append(request(run.rpartition("-")[0], along, "upos"))
    return found
