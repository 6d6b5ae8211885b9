"""python -m explorer neurons: rankings and the other tables of a study's neurons, from the shell."""
from __future__ import annotations

import argparse
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from explorer.evidence import Missing
from explorer.outputs import check, save
from explorer.specs import InputError
from explorer.store import Store, default_root

if TYPE_CHECKING:
    import pandas as pd

    from explorer.neurons.analysis import Neurons

PARTS_OF = {  # which parts a table takes
    "curves": ("controls",), "where": ("everywhere",), "centres": ("everywhere",), "moved": ("moves",),
    "audit": ("methods",), "overlaps": ("rankings",), "stability": ("rankings",), "minimal": (), "labels": (),
}


def add_neurons(commands: argparse._SubParsersAction) -> None:
    """Add the command."""
    neurons = commands.add_parser(
        "neurons", help="rank a study's neurons; where they live, where they went, how many are enough",
        description="Print a ranking of a finished study's neurons, or another table of its analysis, with what made "
                    "it. What is missing is computed and kept.")
    neurons.add_argument("--study", metavar="KEY", help="of a finished study (default: the newest)")
    neurons.add_argument("--finetuned", metavar="CHECKPOINT", help="one of the study's (default: its last)")
    neurons.add_argument("--table", choices=("ranking", *PARTS_OF), default="ranking", help="default: %(default)s")
    neurons.add_argument("--of", choices=("base", "finetuned"), default="base",
                         help="whose ranking (default: %(default)s)")
    neurons.add_argument("--layer", default="all", metavar="N|all", help="of a ranking (default: %(default)s)")
    neurons.add_argument("--method", default="lca", help="lca, probeless, iou, gaussian (by mutual information), "
                         "likelihood (gaussian by log-likelihood), l1; as controls reversed (of lca) or random")
    neurons.add_argument("--label", default="", help="rank by LCA for this label alone")
    neurons.add_argument("--top", type=int, metavar="K", help="the K best (default: all)")
    neurons.add_argument("--delta", type=float, default=1.0, help="of minimal sets, in points (default: %(default)s)")
    for name in ("csv", "json"):
        neurons.add_argument(f"--{name}", nargs="?", const="-", metavar="FILE",
                             help=f"write {name.upper()} there, or to standard output without a file")
    neurons.set_defaults(run=_neurons)


def _neurons(options: argparse.Namespace) -> None:
    from explorer.neurons.export import as_csv, as_json, origin

    check(options.csv, options.json)
    neurons = _opened(options)
    table, settings = _table(neurons, options)
    made_of = origin(neurons, options.table, **settings)
    for path, write in ((options.csv, as_csv), (options.json, as_json)):
        if path == "-":
            print(write(table, made_of), end="")
        elif path:
            save(write(table, made_of), path)
    if not (options.csv or options.json):
        print(table.to_string(index=False, float_format=lambda value: f"{value:.4f}"))


def _opened(options: argparse.Namespace) -> Neurons:
    from explorer.neurons.analysis import NeuronsRequest, opened
    from explorer.study import finished, load

    store = Store(default_root())
    studies = finished(store)
    if not studies and not options.study:
        raise InputError(f"study: none is finished in {store.root}; run one by 'python -m explorer study'")
    study = load(store, options.study or studies[0].key)
    return opened(NeuronsRequest(study.key, options.finetuned or study.finetuned[-1]), store)


def _table(neurons: Neurons, options: argparse.Namespace) -> tuple[pd.DataFrame, dict]:
    """The table asked for, and its settings."""
    from explorer.neurons import tables

    if options.table == "ranking":
        layer = _layer(options.layer)
        checkpoint = neurons.pair[0 if options.of == "base" else 1]
        tables.check(neurons, layer, options.method)
        n = neurons.width * (neurons.n_layers if layer == tables.ALL else 1)
        if options.top is not None and not 1 <= options.top <= n:
            raise InputError(f"--top {options.top}: takes 1 to {n} neurons")
        if options.method not in ("lca", *tables.CONTROLS):
            _compute(neurons, (tables.ranked_in(options.method),))
        elif layer == tables.ALL and options.method != "random":
            _compute(neurons, ("everywhere",))
        return (tables.ranked(neurons, checkpoint, layer, options.method, options.label, options.top),
                {"checkpoint": checkpoint, "layer": options.layer, "method": options.method, "label": options.label})
    if options.table in ("minimal", "labels"):
        found = tables.minimal if options.table == "minimal" else tables.needed
        with suppress(Missing):  # a study without what lies behind it has its figures all the same
            print("".join(f"{line}\n" for line in tables.absent(neurons.evidence)), end="", file=sys.stderr)
        return found(neurons.study, neurons.pair, options.delta), {"delta": options.delta}
    _compute(neurons, PARTS_OF[options.table])
    if options.table in ("where", "centres", "overlaps", "stability"):
        pair = tables.where(neurons) if options.table in ("where", "centres") else tables.overlaps(neurons)
        return _there(pair)[options.table in ("centres", "stability")], {}
    return _there(getattr(tables, options.table)(neurons)), {}


def _there(table: Any) -> Any:
    if table is None:
        raise InputError("table: a part of it was removed from the cache meanwhile; run it again")
    return table


def _compute(neurons: Neurons, parts: tuple[str, ...]) -> None:
    """What is missing, with its progress on standard error."""
    from explorer.neurons.analysis import NeuronsRequest, run_neurons

    def report(done: int, total: int, what: str) -> None:
        print(f"{done}/{total}  {what}", file=sys.stderr, flush=True)

    if not all(neurons.has(part) for part in parts):
        run_neurons(NeuronsRequest(neurons.study.key, neurons.finetuned, parts), neurons.store, report)


def _layer(text: str) -> int:
    from explorer.neurons.parts import ALL

    if text != "all" and not text.isdecimal():
        raise InputError(f"--layer {text}: takes a layer's number, or 'all'")
    return ALL if text == "all" else int(text)
