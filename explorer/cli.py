"""python -m explorer: extract, finetune, study, neurons, scorecard and cache from the shell.

Exit codes: 0 done, 2 the input cannot be used (the message on standard error says why), 130 interrupted.
"""
import argparse
import os
import re
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

from explorer.cli_neurons import add_neurons
from explorer.corpus import CorpusRequest
from explorer.outputs import check, save
from explorer.runs import FRACTIONS, FinetuneRequest
from explorer.specs import InputError, ProbeSpec
from explorer.store import Store, default_root
from explorer.tasks import TASKS

UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    warnings.showwarning = lambda message, *_: print(f"warning: {message}", file=sys.stderr)
    try:
        options.run(options)
        sys.stdout.flush()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # whoever read has seen enough, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except KeyboardInterrupt:
        print("interrupted: what is finished is kept, the same command goes on from there", file=sys.stderr)
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m explorer",
        description="What fine-tuning does to the linguistic knowledge inside a pre-trained language model.",
        epilog="Everything is kept in cache/, or in the folder that EXPLORER_CACHE names. "
               "'python -m explorer COMMAND --help' tells more.",
    )
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")
    _add_study(commands)
    _add_extract(commands)
    _add_finetune(commands)
    add_neurons(commands)
    _add_scorecard(commands)
    _add_cache(commands)
    return parser


def _add_study(commands: argparse._SubParsersAction) -> None:
    study = commands.add_parser(
        "study", help="probe a base and its fine-tuned checkpoints by layer and by top-k neurons",
        description="Probe a base checkpoint and its fine-tuned checkpoints, layer by layer and on the k best "
                    "neurons of each layer. What the cache has is not computed again.",
    )
    study.add_argument("--base", required=True, metavar="MODEL",
                       help="pre-trained checkpoint: hub id[@revision], folder or starter name; random:MODEL[@SEED] "
                            "for its architecture with random weights")
    study.add_argument("--finetuned", required=True, action="append", metavar="CHECKPOINT",
                       help="fine-tuned checkpoint, likewise, or a run's folder, which stands for all its checkpoints; "
                            "may be given several times")
    _add_corpus(study)
    study.add_argument("--k", type=_whole, default=(), metavar="1,2,5,10",
                       help="numbers of neurons to probe (default: 24 from 1 to all, evenly on a log scale); "
                            "the whole layer is always added")
    _add_probe(study)
    study.add_argument("--csv", metavar="OUT.csv",
                       help="write the table there (columns checkpoint, layer, k, split, label, metric, value, n)")
    study.set_defaults(run=_study)


def _add_extract(commands: argparse._SubParsersAction) -> None:
    extract = commands.add_parser("extract", help="compute word-level activations into the cache",
                                  description="Compute the activations of one checkpoint on a corpus.")
    extract.add_argument("--model", required=True, help="hub id[@revision], folder or starter name")
    _add_corpus(extract)
    extract.set_defaults(run=_extract)


def _add_corpus(command: argparse.ArgumentParser) -> None:
    files = command.add_argument_group(
        "corpus", "CoNLL-U, column files (CoNLL-2000, ...) or word/label TSV with a header; plain, .gz or .xz")
    files.add_argument("--train", required=True, metavar="FILE")
    files.add_argument("--dev", metavar="FILE", help="without it, cut from the training file by sentences")
    files.add_argument("--test", metavar="FILE", help="likewise")
    files.add_argument("--property", default="upos", help="label to predict: upos, xpos, a key of FEATS or MISC, "
                       "or a column's name (default: %(default)s)")
    files.add_argument("--columns", type=_whole, metavar="0,2", help="word and label column of a column file")
    files.add_argument("--separator", type=lambda text: text.replace("\\t", "\t"),
                       help="between columns, for instance , or \\t (default: tabs or spaces, whichever the file has)")
    files.add_argument("--limit", type=int, metavar="N", help="at most so many sentences of each split")
    files.add_argument("--seed", type=int, default=0, help="of the cut and of the sub-sample (default: 0)")
    files.add_argument("--pooling", choices=("last", "first", "mean"), default="last",
                       help="which sub-word stands for its word (default: %(default)s)")


def _add_probe(command: argparse.ArgumentParser) -> None:
    probe = command.add_argument_group("probe", "mean cross-entropy + l2/2 |W|^2 + l1 |W|_1")
    probe.add_argument("--l2", type=float, default=ProbeSpec.l2, help="default: %(default)s")
    probe.add_argument("--l1", type=float, default=ProbeSpec.l1, help="default: %(default)s")
    probe.add_argument("--l2-grid", type=_decimal, default=(), metavar="1e-4,1e-3,1e-2",
                       help="choose l2 among these by accuracy on dev, layer by layer")
    probe.add_argument("--raw", action="store_true", help="do not standardise the activations")
    probe.add_argument("--drop-outliers", action="store_true",
                       help="leave out neurons whose mean lies over 6 standard deviations from their layer's")
    probe.add_argument("--control", type=int, default=6, metavar="N",
                       help="do a control task for N of the numbers of neurons; 0: none (default: %(default)s)")
    probe.add_argument("--no-description-length", action="store_true", help="do not compute it")
    probe.add_argument("--probe-seed", type=int, default=0,
                       help="of control labels, description length and resamples (default: %(default)s)")


def _add_finetune(commands: argparse._SubParsersAction) -> None:
    tune = commands.add_parser("finetune", help="fine-tune a model on a sentence task, keeping checkpoints",
                               description="Fine-tune on tasks of GLUE or your own, keeping checkpoints along the run. "
                                           "A run that was stopped goes on where it was.")
    tune.add_argument("--model", required=True, help="hub id[@revision], folder or starter name")
    tune.add_argument("--task", required=True, metavar="TASK[,TASK...]",
                      help=f"one or several of {', '.join(TASKS)}")
    tune.add_argument("--data", required=True, metavar="DIR",
                      help="GLUE's folder, a task's folder with train and dev (TSV or parquet), or one file")
    tune.add_argument("--out", required=True, metavar="DIR",
                      help="folder of the run, for instance runs/sst2; of several tasks, each has its folder in it")
    defaults = FinetuneRequest("", "", "", "")
    tune.add_argument("--learning-rate", type=float, default=defaults.learning_rate)
    tune.add_argument("--epochs", type=float, default=defaults.epochs)
    tune.add_argument("--batch-size", type=int, default=defaults.batch_size)
    tune.add_argument("--max-length", type=int, default=defaults.max_length, help="in sub-words")
    tune.add_argument("--weight-decay", type=float, default=defaults.weight_decay)
    tune.add_argument("--warmup", type=float, default=defaults.warmup, help="share of the steps over which the rate "
                      "rises (default: %(default)s)")
    tune.add_argument("--seed", type=int, default=defaults.seed)
    tune.add_argument("--limit", type=int, metavar="N", help="train on so many rows, chosen by the seed")
    tune.add_argument("--fractions", type=_decimal, default=FRACTIONS, metavar="0,0.25,1",
                      help="parts of the run at which a checkpoint is kept (default: 0, 1/16, 1/8, 1/4, 1/2, 1)")
    tune.add_argument("--freeze", type=int, metavar="N",
                      help="leave the embeddings and the N lowest blocks as they are")
    tune.add_argument("--reinitialise", type=int, default=0, metavar="N", help="begin the N highest blocks anew")
    tune.set_defaults(run=_finetune)


def _add_scorecard(commands: argparse._SubParsersAction) -> None:
    card = commands.add_parser(
        "scorecard", help="check the published patterns on finished studies",
        description="Check the patterns of Durrani, Sajjad & Dalvi 2021 on finished studies: each is seen, not seen, "
                    "or undecided at 95 %%. Fits the probes on all layers together that three of them take; what the "
                    "cache lacks for that, activations for instance, is computed first.")
    card.add_argument("--study", action="append", metavar="KEY", help="may be given several times (default: all)")
    card.add_argument("--no-all-layers", action="store_true", help="do not fit probes on all layers together")
    card.add_argument("--markdown", metavar="OUT.md", help="write it there")
    card.add_argument("--json", metavar="OUT.json", help="write it there, with every spec, seed and version")
    card.set_defaults(run=_scorecard)


def _add_cache(commands: argparse._SubParsersAction) -> None:
    cache = commands.add_parser("cache", help="list what is in the cache, or make room")
    cache.add_argument("--prune", type=_size, metavar="10GB",
                       help="remove the least recently used entries until the rest fits")
    cache.set_defaults(run=_cache)


def _whole(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: takes whole numbers with commas between, such as 1,2,5") from None


def _decimal(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r}: takes numbers with commas between, such as 0,0.25,1") from None


def _size(text: str) -> int:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?B?)", text.strip().upper())
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r}: a size is a number and B, KB, MB, GB or TB, such as 10GB")
    number, unit = match.groups()
    return int(float(number) * UNITS[unit if unit.endswith("B") or not unit else unit + "B"])


class _Console:
    """Progress on standard error: one line that is rewritten on a terminal, a line a stage elsewhere."""

    def __init__(self) -> None:
        self.started, self.stage = time.monotonic(), ""

    def __call__(self, done: int, total: int, what: str) -> None:
        line = f"{done / max(total, 1):4.0%}  {time.monotonic() - self.started:5.0f} s  {what}"
        if sys.stderr.isatty():
            print(f"\r\x1b[K{line}", end="" if done < total else "\n", file=sys.stderr, flush=True)
        elif what.partition(",")[0] != self.stage:
            print(line, file=sys.stderr, flush=True)
        self.stage = what.partition(",")[0]


def _corpus(options: argparse.Namespace) -> CorpusRequest:
    if options.columns is not None and len(options.columns) != 2:
        raise InputError(f"--columns: takes two numbers, the word's and the label's column; got {options.columns}")
    return CorpusRequest(options.train, options.dev, options.test, options.property, options.columns,
                         options.separator, options.limit, options.seed)


def _study(options: argparse.Namespace) -> None:
    from explorer.models import expand
    from explorer.study import StudyRequest, run_study, short_name

    probe = ProbeSpec(l2=options.l2, l1=options.l1, l2_grid=options.l2_grid, standardise=not options.raw,
                      drop_outliers=options.drop_outliers, seed=options.probe_seed)
    request = StudyRequest(options.base, expand(options.finetuned), _corpus(options), options.pooling, options.k, probe,
                           options.control, not options.no_description_length)
    check(options.csv)
    study = run_study(request, Store(default_root()), _Console())
    for note in study.notes:
        print(f"note: {note}", file=sys.stderr)
    if options.csv:
        save(study.table.to_csv(index=False), options.csv)
    print(study.layers().rename(columns=short_name).to_string(float_format=lambda value: f"{value:.4f}"))


def _extract(options: argparse.Namespace) -> None:
    from explorer.corpus import read_corpus
    from explorer.extract import extract
    from explorer.models import resolve

    corpus, console = read_corpus(_corpus(options)), _Console()
    checkpoint = resolve(options.model, console)
    for split in (corpus.train, corpus.dev, corpus.test):
        found = extract(checkpoint, split, Store(default_root()), options.pooling, on_progress=console)
        print(f"{split.name}: {found.n_layers} layers x {split.n_words} words x {found.width} neurons, "
              f"{int((~found.kept).sum())} words masked, in {found.folder}")


def _finetune(options: argparse.Namespace) -> None:
    from explorer.finetune import finetune

    tasks = options.task.split(",")
    for task in tasks:
        request = FinetuneRequest(
            options.model, task, options.data, str(Path(options.out) / task) if len(tasks) > 1 else options.out,
            learning_rate=options.learning_rate, epochs=options.epochs, batch_size=options.batch_size,
            max_length=options.max_length, weight_decay=options.weight_decay, warmup=options.warmup,
            seed=options.seed, limit=options.limit, fractions=options.fractions, freeze=options.freeze,
            reinitialise=options.reinitialise,
        )
        print(finetune(request, _Console()))


def _scorecard(options: argparse.Namespace) -> None:
    from explorer.scoring import ScorecardRequest, complete, scored
    from explorer.study import finished

    check(options.markdown, options.json)
    store = Store(default_root())
    keys = tuple(options.study or [summary.key for summary in finished(store)])
    if not keys:
        raise InputError(f"--study: there are none in {store.root}; run one with 'python -m explorer study'")
    found = scored(keys, store)
    if not found.lines:
        raise InputError("--study: these compare with random weights alone; takes a study of a fine-tuned checkpoint")
    if found.lacking and not options.no_all_layers:
        try:
            complete(ScorecardRequest(keys), store, _Console())
        except InputError as error:
            print(f"note: {error}", file=sys.stderr)
        found = scored(keys, store)
    for path, text in ((options.markdown, found.markdown), (options.json, found.json)):
        if path:
            save(text, path)
    for line in found.lines:
        print(f"{line.verdict.verdict:<15}  {line.verdict.pattern}\n{'':<17}{line.verdict.because}")


def _cache(options: argparse.Namespace) -> None:
    store = Store(default_root())
    if options.prune is not None:
        for entry in store.prune(options.prune):
            print(f"removed {_readable(entry.size):>9}  {entry.what}")
    entries = sorted(store.entries(), key=lambda entry: entry.used, reverse=True)
    for entry in entries:
        used = time.strftime("%Y-%m-%d %H:%M", time.localtime(entry.used))
        print(f"{entry.key}  {_readable(entry.size):>9}  {used}  {entry.kind:<11} {entry.what}")
    print(f"{len(entries)} entries, {_readable(sum(entry.size for entry in entries))} in {store.root}")


def _readable(size: float) -> str:
    unit = "B"
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if size < 1000 or unit == "TB":
            break
        size /= 1000
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
