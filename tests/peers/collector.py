"""Receivers of records by HTTPS that take every rule of their interfaces at its word: lines of JSON, an event collector like
Splunk's (https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector), and a bulk interface
like that of Elasticsearch (https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk).

    collector.py <address> <port> <key.pem> <certificate.pem> <token>

It prints `{"ready": true}`, then obeys one JSON request per line: `taken` answers with all objects that were taken so far,
by the path that they came to; `break` makes it fail so many requests from then on.
"""

import json
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer

from lines import obey

lock = threading.Lock()
taken = {}
documents = {}
state = {"failures": 0}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=None):
        text = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        with lock:
            if state["failures"]:
                state["failures"] -= 1
                return self.answer(503, {"text": "Server is busy", "code": 9})
            serve = {"/services/collector/event": self.events, "/_bulk": self.bulk}.get(self.path, self.lines)
            return serve(body)

    def is_let_in(self, scheme):
        return self.headers["Authorization"] == f"{scheme} {token}"

    def lines(self, body):
        if not self.is_let_in("Bearer"):
            return self.answer(401)
        if self.headers["Content-Type"] != "application/x-ndjson" or not body.endswith("\n"):
            return self.answer(415)
        take(self.path, [json.loads(line) for line in body.splitlines()])
        return self.answer(204)

    def events(self, body):
        if not self.is_let_in("Splunk"):
            return self.answer(401, {"text": "Invalid token", "code": 4})
        found, decoder = [], json.JSONDecoder()
        while body := body.lstrip():
            event, end = decoder.raw_decode(body)
            body = body[end:]
            if "event" not in event:
                return self.answer(400, {"text": "Event field is required", "code": 12})
            if not isinstance(event.get("time"), float) or event.keys() - {"time", "host", "source", "sourcetype", "index", "event", "fields"}:
                return self.answer(400, {"text": "Invalid data format", "code": 6})
            found.append(event)
        take(self.path, found)
        return self.answer(200, {"text": "Success", "code": 0})

    def bulk(self, body):
        if not self.is_let_in("ApiKey"):
            return self.answer(401)
        if self.headers["Content-Type"] != "application/x-ndjson" or not body.endswith("\n"):
            return self.answer(406)
        items, lines = [], [json.loads(line) for line in body.splitlines()]
        for operation, document in zip(lines[::2], lines[1::2], strict=True):
            names = operation["create"]
            key = (names["_index"], names["_id"])
            if len(names["_id"].encode()) > 512 or "@timestamp" not in document:
                items.append({"create": {"status": 400, "error": {"type": "illegal_argument_exception"}}})
            elif key in documents:
                items.append({"create": {"status": 409, "error": {"type": "version_conflict_engine_exception"}}})
            else:
                documents[key] = document
                take(self.path, [document])
                items.append({"create": {"status": 201}})
        return self.answer(200, {"errors": any(item["create"]["status"] >= 300 for item in items), "items": items})


def take(path, found):
    taken.setdefault(path, []).extend(found)


def told():
    with lock:
        return {"taken": taken}


def fail(failures):
    with lock:
        state["failures"] = failures


address, port, key, certificate, token = sys.argv[1:]
server = ThreadingHTTPServer((address, int(port)), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
threading.Thread(target=server.serve_forever, daemon=True).start()
obey({"taken": told, "break": fail})
