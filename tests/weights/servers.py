"""Servers on this machine that give files as those of torchvision and the Hugging Face hub do, and record the requests."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass
class Answer:
    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class Server:
    """What is served, by path; `requests` are those that came: method, path and the headers in lower case."""

    def __init__(self) -> None:
        self.files: dict[str, Answer] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.url = ""

    def answer(self, path: str) -> Answer:
        return self.files.get(path, Answer(404))

    @property
    def paths(self) -> list[str]:
        return [path for _, path, _ in self.requests]


class Hub(Server):
    """A hub with one model, `org/net`, whose branch `main` and whose tag `v1` are at COMMIT."""

    def __init__(self, model: dict[str, bytes], license: str | None = None) -> None:
        super().__init__()
        self.model, self.license, self.commit = model, license, COMMIT

    def answer(self, path: str) -> Answer:
        path = path.partition("?")[0]
        revisions = ("main", "v1", self.commit)
        if path.startswith("/api/models/org/net"):
            revision = path.removeprefix("/api/models/org/net").removeprefix("/revision/") or "main"
            if revision not in revisions:
                return Answer(404, headers={"X-Error-Code": "RevisionNotFound"})
            return Answer(body=json.dumps(self._page()).encode(), headers={"Content-Type": "application/json"})
        parts = path.split("/")
        if path.startswith("/org/net/resolve/") and parts[4] in revisions and parts[5] in self.model:
            data = self.model[parts[5]]
            return Answer(body=data, headers={"X-Repo-Commit": self.commit, "ETag": f'"{self._etag(parts[5], data)}"'})
        if path.startswith(("/api/models/org/gated", "/org/gated")):
            return Answer(403, headers={"X-Error-Code": "GatedRepo"})
        return Answer(404, headers={"X-Error-Code": "RepoNotFound"})

    def _etag(self, name: str, data: bytes) -> str:
        return sha256(data) if name.endswith(".safetensors") else hashlib.sha1(data).hexdigest()

    def _page(self) -> dict[str, Any]:
        files: list[dict[str, Any]] = []
        for name, data in self.model.items():
            large = {"sha256": sha256(data), "size": len(data), "pointerSize": 130}
            files.append({"rfilename": name, "size": len(data)} | ({"lfs": large} if name.endswith(".safetensors") else {}))
        card = {} if self.license is None else {"cardData": {"license": self.license}}
        return {"id": "org/net", "sha": self.commit, "siblings": files, "private": False, **card}


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    """Serve until the context ends. A connection has one request, so that none outlives the server."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.give(False)

        def do_GET(self) -> None:
            self.give(True)

        def give(self, whole: bool) -> None:
            server.requests.append((self.command, self.path, {name.lower(): value for name, value in self.headers.items()}))
            answer = server.answer(self.path)
            self.send_response(answer.status)
            for name, value in {"Content-Length": str(len(answer.body)), **answer.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if whole:
                self.wfile.write(answer.body)

        def log_message(self, *arguments: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        thread.start()
        server.url = f"http://127.0.0.1:{http.server_port}"
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()
