"""A small HTTP server that answers as Grafana 12.2 was recorded to, for machines without one.

It keeps folders, data sources and dashboards in memory, tries the data source on the real
database as Grafana does, and knows two tokens: ``admin``, and ``editor``, which may only look at
data sources. Shapes, status codes and messages are those of a real server.
"""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import psycopg

Answer = tuple[int, dict[str, Any]]

DENIED: Answer = (
    403,
    {
        "accessErrorId": "ACE5088072035",
        "message": "You'll need additional permissions to perform this action."
        " Permissions needed: datasources:write",
        "title": "Access denied",
    },
)
UNAUTHORIZED: Answer = (
    401,
    {"extra": None, "message": "Invalid API key", "messageId": "api-key.invalid"},
)


class Standin(ThreadingHTTPServer):
    """Listens on a free port of loopback; ``saves`` counts what was written."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.folders: dict[str, dict[str, Any]] = {}
        self.sources: dict[str, dict[str, Any]] = {}
        self.dashboards: dict[str, dict[str, Any]] = {}
        self.saves = 0

    def answer(self, method: str, path: str, body: dict[str, Any], token: str) -> Answer:
        """Status and document for one request."""
        if path == "/api/health":
            return 200, {"database": "ok", "version": "12.2.0", "commit": "NA"}
        if token not in ("admin", "editor"):
            return UNAUTHORIZED
        if path == "/api/frontend/settings":
            return 200, {"buildInfo": {"version": "12.2.0", "edition": "Open Source"}}
        if path.startswith("/api/datasources") and method != "GET" and token == "editor":
            return DENIED
        self.saves += method != "GET"
        kind, uid = re.fullmatch(r"/api/(\w+)/?(.*)", path).groups()  # type: ignore[union-attr]
        handle = {"folders": self._folder, "datasources": self._source}.get(kind, self._dashboard)
        return handle(method, uid, body)

    def _folder(self, method: str, uid: str, body: dict[str, Any]) -> Answer:
        if method == "GET":
            found = self.folders.get(uid)
            return (200, found) if found else (404, {"message": "folder not found"})
        uid = uid or body["uid"]
        self.folders[uid] = {"id": 1, "uid": uid, "title": body["title"], "version": 1}
        return 200, self.folders[uid]

    def _source(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        uid = path.removeprefix("uid/").removesuffix("/health") or body["uid"]
        if path.endswith("/health"):
            return self._health(uid)
        if method == "GET":
            found = self.sources.get(uid)
            if found is None:
                return 404, {"message": "Data source not found"}
            shown = {k: v for k, v in found.items() if k != "secureJsonData"}
            return 200, {**shown, "secureJsonFields": {"password": True}}
        self.sources[uid] = {"id": 1, "readOnly": False, **body}
        return 200, {"datasource": body, "id": 1, "message": "Datasource added", "name": uid}

    def _health(self, uid: str) -> Answer:
        source = self.sources.get(uid)
        if source is None:
            return 404, {"message": "Data source not found"}
        host, port = source["url"].split(":")
        try:
            psycopg.connect(
                host=host,
                port=port,
                user=source["user"],
                password=source["secureJsonData"]["password"],
                dbname=source["jsonData"]["database"],
                connect_timeout=2,
            ).close()
        except psycopg.Error as error:
            return 400, {"message": str(error).splitlines()[0], "status": "ERROR"}
        return 200, {"message": "Database Connection OK", "status": "OK"}

    def _dashboard(self, method: str, path: str, body: dict[str, Any]) -> Answer:
        if method == "GET":
            found = self.dashboards.get(path.removeprefix("uid/"))
            return (200, found) if found else (404, {"message": "Dashboard not found"})
        uid = body["dashboard"]["uid"]
        version = self.dashboards[uid]["dashboard"]["version"] + 1 if uid in self.dashboards else 1
        dashboard = {**body["dashboard"], "id": 1, "version": version}
        meta = {"folderUid": body["folderUid"], "provisioned": False}
        self.dashboards[uid] = {"dashboard": dashboard, "meta": meta}
        return 200, {"id": 1, "status": "success", "uid": uid, "version": version}


class _Handler(BaseHTTPRequestHandler):
    server: Standin

    def _reply(self) -> None:
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        status, document = self.server.answer(
            self.command, self.path.split("?")[0], json.loads(text or "{}"), token
        )
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = do_PUT = _reply  # noqa: N815 (names that http.server asks for)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""
