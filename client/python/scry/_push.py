"""Sending a bundle to the model store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import grpc

from ._errors import from_rpc
from .bundle.v1 import hints_pb2
from .modelstore.v1 import modelstore_pb2 as pb
from .modelstore.v1 import modelstore_pb2_grpc

if TYPE_CHECKING:
    from ._client import Client

_CHUNK = 512 << 10  # the contract allows 1 MiB


def hints(features: Sequence[str], target: str, positive: str, graph: str, labels: Sequence[str], task: str,
          preprocess: str) -> hints_pb2.Hints | None:
    if not (features or target or positive or graph or labels or task or preprocess):
        return None
    return hints_pb2.Hints(columns=[hints_pb2.Column(name=name) for name in features],
                           target=hints_pb2.Column(name=target) if target else None, positive=positive,
                           graph=graph, labels=labels, task=task, preprocess=preprocess)


def push(client: Client, path: Path, model: str, *, activate: bool, hints: hints_pb2.Hints | None = None) -> pb.Version:
    from ._client import STORE_TIMEOUT

    files = _files(path)
    described = [pb.File(path=name, sha256=_digest(file), size=file.stat().st_size) for name, file in files.items()]
    store = modelstore_pb2_grpc.ModelStoreServiceStub(client.channel)
    upload = client._unary(store.CreateUpload, pb.CreateUploadRequest(model=model, files=described), client.timeout, again=False).upload
    sent = set()
    for progress in upload.files:
        file = progress.file
        if progress.offset < file.size and file.sha256 not in sent:
            sent.add(file.sha256)
            try:
                store.UploadFile(_chunks(upload.upload_id, file.sha256, files[file.path], progress.offset),
                                 timeout=STORE_TIMEOUT, metadata=client.metadata)
            except grpc.RpcError as e:
                raise from_rpc(e) from None
    commit = pb.CommitUploadRequest(upload_id=upload.upload_id, hints=hints)
    version: pb.Version = client._unary(store.CommitUpload, commit, STORE_TIMEOUT).version
    if activate:
        client._unary(store.ActivateVersion, pb.ActivateVersionRequest(model=model, version=str(version.version)), STORE_TIMEOUT,
                      again=False)
    return version


def _files(path: Path) -> dict[str, Path]:
    if path.is_file():
        return {path.name: path}
    if not path.is_dir():
        raise FileNotFoundError(f"{path} is neither a directory nor a file")
    found = {}
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path)
        if file.is_file() and not any(part.startswith(".") for part in name.parts):
            found[name.as_posix()] = file
    if not found:
        raise FileNotFoundError(f"{path} holds no file")
    return found


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with open(file, "rb") as opened:
        while block := opened.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _chunks(upload_id: str, sha256: str, file: Path, offset: int) -> Iterator[pb.UploadFileRequest]:
    with open(file, "rb") as opened:
        opened.seek(offset)
        first = True
        while block := opened.read(_CHUNK):
            yield pb.UploadFileRequest(upload_id=upload_id, sha256=sha256, offset=offset, chunk=block) if first else \
                pb.UploadFileRequest(chunk=block)
            first = False
