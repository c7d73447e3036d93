"""Receivers of records by HTTPS that take every rule of their interfaces at its word: lines of JSON, an event collector like
Splunk's (https://docs.splunk.com/Documentation/Splunk/latest/Data/FormateventsforHTTPEventCollector), and a bulk interface
like that of Elasticsearch (https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-bulk).

    collector.py <address> <port> <key.pem> <certificate.pem> <token>

It prints `{"ready": true}`, then obeys one JSON request per line: `taken` answers with all objects that were taken so far,
by the path that they came to; `break` makes it fail so many requests from then on.
"""

import json
import sys
import threading

from lines import obey
from served import Answering
from served import serve

lock = threading.Lock()
taken = {}
documents = {}
state = {"failures": 0}


class Handler(Answering):
    def tell(self, status, told=None):
        self.answer(status, "application/json", b"" if told is None else json.dumps(told).encode())

    def do_POST(self):
        body = self.body().decode()
        with lock:
            if state["failures"]:
                state["failures"] -= 1
                return self.tell(503, {"text": "Server is busy", "code": 9})
            take_in = {"/services/collector/event": self.events, "/_bulk": self.bulk}.get(self.path, self.lines)
            return take_in(body)

    def is_let_in(self, scheme):
        return self.headers["Authorization"] == f"{scheme} {token}"

    def lines(self, body):
        if not self.is_let_in("Bearer"):
            return self.tell(401)
        if self.headers["Content-Type"] != "application/x-ndjson" or not body.endswith("\n"):
            return self.tell(415)
        take(self.path, [json.loads(line) for line in body.splitlines()])
        return self.tell(204)

    def events(self, body):
        if not self.is_let_in("Splunk"):
            return self.tell(401, {"text": "Invalid token", "code": 4})
        found, decoder = [], json.JSONDecoder()
        while body := body.lstrip():
            event, end = decoder.raw_decode(body)
            body = body[end:]
            if "event" not in event:
                return self.tell(400, {"text": "Event field is required", "code": 12})
            if not isinstance(event.get("time"), float) or event.keys() - {"time", "host", "source", "sourcetype", "index", "event", "fields"}:
                return self.tell(400, {"text": "Invalid data format", "code": 6})
            found.append(event)
        take(self.path, found)
        return self.tell(200, {"text": "Success", "code": 0})

    def bulk(self, body):
        if not self.is_let_in("ApiKey"):
            return self.tell(401)
        if self.headers["Content-Type"] != "application/x-ndjson" or not body.endswith("\n"):
            return self.tell(406)
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
        return self.tell(200, {"errors": any(item["create"]["status"] >= 300 for item in items), "items": items})


def take(path, found):
    taken.setdefault(path, []).extend(found)


def told():
    with lock:
        return {"taken": taken}


def fail(failures):
    with lock:
        state["failures"] = failures


address, port, key, certificate, token = sys.argv[1:]
serve(Handler, address, port, key, certificate)
obey({"taken": told, "break": fail})
