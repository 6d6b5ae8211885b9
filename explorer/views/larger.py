"""Larger data than the starter's, from the network: what it is, where from and under which licence."""
from pathlib import Path

import streamlit as st

from explorer.downloads import DOWNLOADS, Download, DownloadRequest
from explorer.store import Store
from explorer.views.links import go
from explorer.views.progress import start_now


def show(store: Store) -> None:
    """A treebank and a GLUE task, each with the button that gets it, or where it lies."""
    with st.expander("Get larger data", icon=":material/download:"):
        for download in DOWNLOADS.values():
            with st.container(border=True, gap="xsmall"):
                _offer(store, download)


def corpora(store: Store) -> list[str]:
    """Training files of the treebanks that were fetched."""
    return _fetched(store, "*train.conllu")


def tasks(store: Store) -> dict[str, str]:
    """Folders of the tasks that were fetched, by what the Fine-tune page calls them."""
    return {_task(Path(path).parent.name): str(Path(path).parent) for path in _fetched(store, "train.tsv")}


def _task(name: str) -> str:
    return f"{name} (downloaded)"


def _fetched(store: Store, pattern: str) -> list[str]:
    return [str(path) for download in DOWNLOADS.values() if download.present(store.root)
            for path in sorted(download.folder(store.root).glob(pattern))]


def _offer(store: Store, download: Download) -> None:
    address = download.files[0].url.rpartition("/")[0]
    names = ", ".join(file.name for file in download.files)
    st.markdown(f"**{download.title}**")
    size = f"{download.size / 1e6:.1f} MB"
    st.caption(f"Licence: {download.licence}. Size: {size}. From [{address}]({address}): {names}.")
    if not download.present(store.root):
        if st.button(f"Download {size}", key=f"get {download.name}", width="stretch"):
            start_now(store, DownloadRequest(download.name))
        return
    folder = download.folder(store.root)
    st.text(f"Here: {folder}")
    if train := next(folder.glob("*train.conllu"), None):
        st.button("Use as corpus", key=f"use {download.name}", width="stretch", on_click=_use, args=(str(train),))
    elif st.button("Fine-tune on it", key=f"use {download.name}", width="stretch"):
        st.session_state["tune-task"] = _task(download.name)
        go("fine-tune")


def _use(train: str) -> None:
    st.session_state["train"] = train
