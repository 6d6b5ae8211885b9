"""Finished studies side by side: what each is called, which are of one property, and what they show together."""
from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

import pandas as pd

from explorer.models import last_steps
from explorer.patterns import (
    Verdict,
    bert_keeps_deeper,
    cases,
    change_is_in_the_higher_layers,
    halves,
    most_kept,
    points,
    tasks_differ,
    together,
)
from explorer.starter.studies import TRAIN
from explorer.study import StudyRequest, Summary, short_name, telling_name, unusual
from explorer.tasks import TASKS
from explorer.untrained import tuned

ARCHITECTURES = {  # by transformers' name of the type
    "bert": "BERT", "roberta": "RoBERTa", "xlnet": "XLNet", "distilbert": "DistilBERT", "albert": "ALBERT",
    "electra": "ELECTRA", "deberta": "DeBERTa", "deberta-v2": "DeBERTa",
}

PUBLISHED = ("bert", "roberta", "xlnet")  # of the published study, in its order


@dataclass(frozen=True)
class Pair:
    """A pre-trained model, what it was fine-tuned on, and the study of both."""

    key: str  # of the study
    base: str
    finetuned: str  # of several steps, the last
    architecture: str  # as transformers calls the type, or the model's short name
    task: str  # a key of TASKS, or the checkpoint's short name
    unusual: str = ""  # of the study's settings, see study.unusual

    @property
    def titles(self) -> tuple[str, str]:
        """Of architecture and task."""
        task = TASKS[self.task].folder if self.task in TASKS else ""
        return ARCHITECTURES.get(self.architecture, self.architecture), task or self.task

    @property
    def heading(self) -> str:
        """Of its chart."""
        return ", ".join(filter(None, (self.titles[1], self.unusual)))


def corpus_name(request: StudyRequest) -> str:
    """What its training file is called, without the part that says so: en_ewt-ud-train.conllu.xz is en_ewt-ud."""
    path = PurePath(request.corpus.train)
    if path.name == TRAIN:
        return "starter treebank"
    return re.sub(r"[-_.]?train.*$", "", path.name) or path.parent.name or path.name


def tuned_name(request: StudyRequest) -> str:
    """The fine-tuned checkpoints; those of one run by the run's name and their number."""
    names = request.finetuned
    runs = {str(PurePath(name).parent) if "checkpoint-" in PurePath(name).name else name for name in names}
    if len(names) > 1 and len(runs) == 1:
        return f"{short_name(runs.pop())}, {len(names)} steps"
    return ", ".join(short_name(name) for name in names)


def task(name: str) -> str:
    """What a checkpoint's name says of its task: runs/SST-2/checkpoint-40 is sst2."""
    for key in TASKS:
        if re.search(rf"(?<![a-z0-9]){'[-_]?'.join(key)}(?![a-z0-9])", name.lower()):
            return key
    return short_name(name)


def pairs(studies: Sequence[Summary], label: str, corpus: str) -> list[Pair]:
    """Those of a property and a corpus, by name, out of studies, the newest first: one for each model and task.

    One with the usual settings goes before others, such as one of a sample. Of two corpora of one name it is the one
    whose study is newest.
    """
    named = [study for study in studies
             if (study.request.corpus.property, corpus_name(study.request)) == (label, corpus)]
    data = next((study.made_of[:1] for study in named if not study.request.corpus.limit), ())
    found: dict[tuple[str, str], Pair] = {}
    for study in sorted(named, key=lambda study: bool(unusual(study.request))):
        request = study.request
        if not request.corpus.limit and study.made_of[:1] != data:
            continue
        for last in last_steps(tuned(request)):
            on = study.tasks.get(last) or task(last)
            found.setdefault((request.base, on), Pair(
                study.key, request.base, last, study.architecture or short_name(request.base), on, unusual(request)))
    return sorted(found.values(), key=lambda pair: (
        _place(pair.architecture, PUBLISHED), pair.base, _place(pair.task, [*TASKS]), pair.task))


def _place(name: str, order: Sequence[str]) -> int:
    return order.index(name) if name in order else len(order)


def summary(tables: dict[Pair, pd.DataFrame]) -> str:
    """Two sentences on what the layer_tables of some pairs show together."""
    last = {pair: layers.iloc[-1] for pair, layers in tables.items()}
    falls, rises = sum(row.high < 0 for row in last.values()), sum(row.low > 0 for row in last.values())
    most = max(last, key=lambda pair: abs(last[pair].delta))
    parts = [halves(layers) for layers in tables.values()]
    low = sum(most_kept(layers) in set(lower.layer) for layers, (lower, _) in zip(tables.values(), parts, strict=True))
    lower, upper = (sum(half[i].delta.mean() for half in parts) / len(parts) for i in (0, 1))
    model, task = model_names(tables)[most.base], most.titles[1]
    return (
        f"In the last layer fine-tuning lowers accuracy in {falls} of {cases(len(tables))} and raises it in {rises}, "
        f"beyond chance; it moves it most in {model} on {task}, by {points(last[most].delta)} points "
        f"({points(last[most].low)} to {points(last[most].high)}). "
        f"The block that keeps the most is one of the lower half in {low} of {len(tables)}; on average accuracy "
        f"changes by {points(lower)} points in the lower half of the blocks and by {points(upper)} in the upper half."
    )


def published(tables: dict[Pair, pd.DataFrame]) -> list[tuple[Verdict, dict[str, Verdict]]]:
    """Each pattern of the published study over all pairs, and case by case."""
    names = model_names(tables)
    by_model: dict[str, dict[str, pd.DataFrame]] = {}
    for pair, layers in tables.items():
        by_model.setdefault(pair.base, {})[pair.task] = layers
    deeper: dict[str, Verdict] = {}
    for task in dict.fromkeys(pair.titles[1] for pair in tables):
        on = {pair: layers for pair, layers in tables.items() if pair.titles[1] == task}
        berts, others = ({names[pair.base]: layers for pair, layers in on.items() if pair.architecture in wanted}
                         for wanted in (PUBLISHED[:1], PUBLISHED[1:]))
        deeper |= {f"{name} on {task}" if len(berts) > 1 else task: bert_keeps_deeper({name: layers}, others)
                   for name, layers in berts.items()} or {task: bert_keeps_deeper({}, others)}
    found = [
        {f"{names[pair.base]} on {pair.titles[1]}": change_is_in_the_higher_layers(layers)
         for pair, layers in tables.items()},
        {names[model]: tasks_differ(tasks) for model, tasks in by_model.items()},
        deeper,
    ]
    return [(together(list(one.values())), one) for one in found]


def model_names(found: Iterable[Pair]) -> dict[str, str]:
    """By model: its architecture's name, or its own where another of them has the same architecture."""
    architectures = {pair.base: pair.titles[0] for pair in found}
    count = Counter(architectures.values())
    return {base: name if count[name] == 1 else telling_name(base, architectures)
            for base, name in architectures.items()}

