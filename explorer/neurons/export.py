"""A table with what made it, as text that other tools read."""
import dataclasses
import json

import pandas as pd

from explorer.neurons.analysis import Neurons


def origin(neurons: Neurons, what: str, **settings: object) -> dict:
    """What a table depends on: the study's request and key, the checkpoints and the table's own settings."""
    return {"table": what, **settings, "pre-trained": neurons.pair[0], "fine-tuned": neurons.pair[1],
            "study": neurons.study.key, "request": dataclasses.asdict(neurons.study.request),
            "spec": neurons.study.spec.as_dict()}


def as_csv(table: pd.DataFrame, made_of: dict) -> str:
    """Comma-separated, below one line '# {...}' that says what made it: pandas.read_csv(..., skiprows=1)."""
    return f"# {json.dumps(made_of)}\n{table.to_csv(index=False)}"


def as_json(table: pd.DataFrame, made_of: dict) -> str:
    """An object of `made_of` and `rows`."""
    return json.dumps({"made_of": made_of, "rows": json.loads(table.to_json(orient="records"))}, indent=1)
