"""The API server: kubernetes.io/docs/reference/using-api/api-concepts."""

from __future__ import annotations

import json
import re
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gaitway.local.kubernetes import discovery
from gaitway.local.kubernetes.access import Access
from gaitway.local.kubernetes.admission import Request, checked, is_plain, merged, read
from gaitway.local.kubernetes.kinds import KINDS, POD
from gaitway.local.kubernetes.kubelet import Kubelet
from gaitway.local.kubernetes.store import ApiError, Object, Store, now
from gaitway.local.kubernetes.training_operator import delete_pod
from gaitway.local.runtime import HOST

_PATH = re.compile(
    r"/(?:api/(?P<core>v1)|apis/(?P<group>[^/]+/[^/]+))(?:/namespaces/(?P<namespace>[^/]+)(?=/))?"
    r"/(?P<plural>[^/]+)(?:/(?P<name>[^/]+))?(?:/(?P<subresource>[^/]+))?"
)
_WATCH_SECONDS = 300.0
_LOG_POLL_SECONDS = 0.1
_JSON = "application/json"
_MERGE_PATCH = "application/merge-patch+json"
_STRATEGIC_PATCH = "application/strategic-merge-patch+json"


class ApiServer(ThreadingHTTPServer):
    """The server, on a free port of this machine."""

    daemon_threads = True

    def __init__(self, store: Store, access: Access, tls: ssl.SSLContext) -> None:
        super().__init__((HOST, 0), _Handler)
        self._tls = tls
        self.store = store
        self.access = access
        self.kubelet: Kubelet | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"https://{HOST}:{self.server_address[1]}"

    def finish_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as in the base class
        """Serve a connection, in its own thread: a client that is slow to shake hands holds up no other."""
        with suppress(OSError), self._tls.wrap_socket(request, server_side=True) as secure:
            super().finish_request(secure, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ApiServer

    def log_message(self, format: str, *arguments: object) -> None:
        """Log nothing."""

    def handle_one_request(self) -> None:
        """Answer one request; a client that is gone is no error."""
        with suppress(ConnectionError):
            super().handle_one_request()

    def _dispatch(self) -> None:
        try:
            self._answer()
        except ApiError as error:
            self._refuse(error)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _dispatch  # noqa: N815 - the base class calls them so

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        path = address.path.rstrip("/")
        user = self.server.access.user_of(self.headers.get("Authorization"))
        if (found := discovery.document(path)) is not None:
            self._send(HTTPStatus.OK, found)
            return
        match = _PATH.fullmatch(path)
        version = (match["core"] or match["group"]) if match else None
        kind = next((one for one in KINDS if match and (one.version, one.plural) == (version, match["plural"])), None)
        if match is None or kind is None or (match["subresource"] or "status") not in ("status", *kind.subresources):
            raise ApiError(HTTPStatus.NOT_FOUND, "NotFound", "the server could not find the requested resource")
        request = Request(self.command, kind, match["namespace"], match["name"], match["subresource"], query)
        self.server.access.check(user, request.verb, kind, match["namespace"], match["subresource"])
        self._handle(request, body)

    def _check_media_type(self, request: Request, body: bytes) -> None:
        given = self.headers.get("Content-Type", "").partition(";")[0]
        accepted = {"create": _JSON, "update": _JSON, "patch": _MERGE_PATCH}.get(request.verb)
        if accepted in (None, given):
            return
        # The two kinds of patch differ in lists only, and built-in kinds take both:
        # kubernetes.io/docs/tasks/manage-kubernetes-objects/update-api-object-kubectl-patch
        if accepted == _MERGE_PATCH and given == _STRATEGIC_PATCH and request.kind.is_built_in and is_plain(read(body)):
            return
        raise ApiError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
            "UnsupportedMediaType",
            f"the body of the request was in an unknown format - accepted media types include: {accepted} (the "
            "stand-in knows no other, but for patches without lists)",
        )

    def _handle(self, request: Request, body: bytes) -> None:
        self._check_media_type(request, body)
        store, kind, name = self.server.store, request.kind, request.name
        if request.verb == "list":
            items = [one for one in store.all(kind, request.namespace) if request.selects(one)]
            self._send(
                HTTPStatus.OK,
                {
                    "apiVersion": kind.version,
                    "kind": f"{kind.name}List",
                    "metadata": {"resourceVersion": str(store.version)},
                    "items": items,
                },
            )
        elif request.verb == "watch":
            self._watch(request)
        elif request.verb == "create":
            document = checked(read(body), request, store)
            self._send(HTTPStatus.CREATED, document if request.is_dry else store.create(kind, document))
        elif name is None:
            raise ApiError(
                HTTPStatus.METHOD_NOT_ALLOWED,
                "MethodNotAllowed",
                "the server does not allow this method on the requested resource",
            )
        elif request.verb == "get" and request.subresource == "log":
            self._log(store.get(kind, request.namespace, name), request.query)
        elif request.verb == "get":
            self._send(HTTPStatus.OK, store.get(kind, request.namespace, name))
        elif request.verb == "delete":
            self._send(HTTPStatus.OK, _delete(store, request, read(body) if body else {}))
        else:
            self._send(HTTPStatus.OK, self._changed(request, body))

    def _changed(self, request: Request, body: bytes) -> Object:
        """Replace or patch an object."""
        store, name = self.server.store, request.name
        assert name is not None
        document = read(body)
        old = store.get(request.kind, request.namespace, name)
        new = document if request.verb == "update" else merged(old, document)
        version = new.get("metadata", {}).get("resourceVersion")
        new = checked(new, request, store)

        def edit(current: Object) -> None:
            if request.subresource == "status":
                current["status"] = new.get("status", {})
                return
            for key in {*current, *new} - {"metadata", "status"}:
                if key in new:
                    current[key] = new[key]
                else:
                    del current[key]
            for key in ("labels", "annotations"):
                current["metadata"].pop(key, None)
                if key in new["metadata"]:
                    current["metadata"][key] = new["metadata"][key]

        if request.is_dry:
            edit(old)
            return old
        return store.change(request.kind, request.namespace, name, edit, version)

    def _watch(self, request: Request) -> None:
        store = self.server.store
        given = request.query.get("resourceVersion", "")
        until = time.monotonic() + float(request.query.get("timeoutSeconds", _WATCH_SECONDS))
        with store.changed:
            # With `sendInitialEvents` a watch begins with what there is, and says when that was all:
            # kubernetes.io/docs/reference/using-api/api-concepts/#streaming-lists
            is_list = request.query.get("sendInitialEvents") == "true"
            is_new = is_list or given in ("", "0")
            version = store.version if is_new else int(given)
            first = store.all(request.kind, request.namespace) if is_new else []
            store.changes_since(version)
        self._begin(_JSON)
        for body in first:
            if request.selects(body):
                self._event("ADDED", body)
        if is_list:
            annotations = {"k8s.io/initial-events-end": "true"}
            metadata = {"resourceVersion": str(version), "annotations": annotations}
            kind = {"apiVersion": request.kind.version, "kind": request.kind.name}
            self._event("BOOKMARK", kind | {"metadata": metadata})
        for change in store.follow(version, until):
            body = change.object
            is_here = request.namespace in (None, body["metadata"].get("namespace"))
            if change.kind == request.kind and is_here and request.selects(body):
                self._event(change.action, body)
        self._chunk(b"")

    def _log(self, body: Object, query: Mapping[str, str]) -> None:
        kubelet = self.server.kubelet
        assert kubelet is not None
        path = kubelet.log(body, previous=query.get("previous") == "true")
        if query.get("follow") != "true":
            text = path.read_bytes()
            if "tailLines" in query:
                text = b"".join(text.splitlines(keepends=True)[-int(query["tailLines"]) :])
            self._send(HTTPStatus.OK, text, "text/plain")
            return
        self._begin("text/plain")
        with path.open("rb") as file:
            for chunk in _followed(file, lambda: kubelet.is_running(body)):
                self._chunk(chunk)
        self._chunk(b"")

    def _refuse(self, error: ApiError) -> None:
        self._send(
            error.status,
            {
                "apiVersion": "v1",
                "kind": "Status",
                "metadata": {},
                "status": "Failure",
                "message": str(error),
                "reason": error.reason,
                "code": int(error.status),
            },
        )

    def _send(self, status: HTTPStatus, body: Mapping[str, Any] | bytes, content_type: str = _JSON) -> None:
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def _begin(self, content_type: str) -> None:
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()

    def _event(self, action: str, body: Object) -> None:
        self._chunk(json.dumps({"type": action, "object": body}).encode() + b"\n")

    def _chunk(self, text: bytes) -> None:
        self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
        self.wfile.flush()


def _delete(store: Store, request: Request, options: Object) -> Object:
    assert request.name is not None
    body = store.get(request.kind, request.namespace, request.name)
    if request.kind == POD:
        grace = options.get("gracePeriodSeconds", request.query.get("gracePeriodSeconds"))
        assert request.namespace is not None
        return delete_pod(store, request.namespace, request.name, int(grace) if grace is not None else None)
    if options.get("propagationPolicy") == "Foreground":
        # The garbage collector removes it after what belongs to it:
        # kubernetes.io/docs/concepts/architecture/garbage-collection/#foreground-deletion
        return store.change(request.kind, request.namespace, request.name, _mark_deleted)
    store.delete(request.kind, request.namespace, request.name)
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "metadata": {},
        "status": "Success",
        "details": {"name": request.name, "group": request.kind.group, "uid": body["metadata"]["uid"]},
    }


def _mark_deleted(body: Object) -> None:
    body["metadata"].setdefault("deletionTimestamp", now())
    body["metadata"]["finalizers"] = ["foregroundDeletion"]


def _followed(file: Any, goes_on: Any) -> Iterator[bytes]:  # noqa: ANN401
    """Yield what is written to a file, until its writer has ended."""
    while True:
        # Asked before reading, so that the last lines are read.
        is_last = not goes_on()
        while chunk := file.read(65536):
            yield chunk
        if is_last:
            return
        time.sleep(_LOG_POLL_SECONDS)
