"""The starter's studies, computed and put where a fresh clone finds them."""
from collections.abc import Iterable
from pathlib import Path

from explorer.specs import Progress
from explorer.store import SHIPPED, Store
from explorer.study import StudyRequest, StudySpec, finished, run_study

IGNORED = """# Made by python -m explorer.starter.build: of the cache, git keeps the starter's finished studies.
/*
!/.gitignore
!/README.md
!/results/
/results/*
"""


def compute(requests: Iterable[StudyRequest], work: Path, cache: Path, on_progress: Progress) -> None:
    """Run the studies in the cache in `work`, which keeps what is done, and put their tables into `cache`."""
    publish([run_study(request, Store(work), on_progress).key for request in requests], Store(work), cache)


def publish(keys: Iterable[str], source: Store, cache: Path) -> None:
    """Put studies' tables into `cache` in place of an earlier build's of the same models; its .gitignore names all."""
    shipped, keys = Store(cache), set(keys)
    bases = {study.request.base for study in finished(source) if study.key in keys}
    old = {study.key for study in finished(shipped) if study.shipped and study.request.base in bases}
    for entry in shipped.entries():
        if entry.key in old:
            entry.path.unlink()
    for key in keys:
        ship(key, source, shipped)
    names = sorted(entry.path.name for entry in shipped.entries() if entry.kind == SHIPPED)
    (cache / ".gitignore").write_text(IGNORED + "".join(f"!/results/{name}\n" for name in names))


def ship(key: str, source: Store, target: Store) -> None:
    """Copy a study's table from one cache into another, as one that comes with the explorer.

    Its values are rounded to float32, which takes a tenth off its file.
    """
    found = source.table_by_key(key)
    if found is not None:
        table = found.table.assign(value=found.table["value"].astype("float32").astype("float64"))
        target.put_table(StudySpec.from_dict(found.spec), table, found.meta | {SHIPPED: True})
