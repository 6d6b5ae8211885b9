"""Fields of the pages, without a page."""
from pathlib import Path

from explorer.views.fields import sibling


def test_the_other_files_lie_beside_the_training_file(tmp_path: Path) -> None:
    folder = tmp_path / "training"
    folder.mkdir()
    for name in ("en-train.conllu", "en-dev.conllu", "words.tsv"):
        (folder / name).touch()
    assert sibling(str(folder / "en-train.conllu"), "dev") == str(folder / "en-dev.conllu")
    assert sibling(str(folder / "en-train.conllu"), "test") == ""
    assert sibling(str(folder / "words.tsv"), "dev") == ""
    assert sibling("starter-train.conllu", "test") == "starter-test.conllu"
