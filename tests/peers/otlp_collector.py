"""A collector of OpenTelemetry's protocol by HTTP, as much of one as a file of the real collector's configuration asks for
that has a receiver `otlp`, the extension `bearertokenauth` and an exporter `file`. It decodes with the protocol's own
library, and writes lines of its JSON.

    otlp_collector.py <configuration.yaml>

It prints `{"ready": true}`, then obeys one JSON request per line: `fail` says how requests to a path are answered that come
next, one after the other: with a status and headers, or with a number of rejected records.
"""

import json
import sys
import threading

import yaml
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse

from lines import obey
from served import Answering
from served import serve

KIND = "application/x-protobuf"
SIGNALS = {
    "/v1/logs": ("logs", ExportLogsServiceRequest, ExportLogsServiceResponse, "rejected_log_records"),
    "/v1/metrics": ("metrics", ExportMetricsServiceRequest, ExportMetricsServiceResponse, "rejected_data_points"),
}
failures = {path: [] for path in SIGNALS}
lock = threading.Lock()


class Handler(Answering):
    def tell(self, status, body=b"", headers={}):
        self.answer(status, KIND, body, headers)

    def do_POST(self):
        body = self.body()
        if self.path not in SIGNALS:
            return self.tell(404)
        if token and self.headers.get("Authorization") != f"Bearer {token}":
            return self.tell(401)
        if self.headers.get("Content-Type") != KIND:
            return self.tell(415)
        name, request, response, rejected = SIGNALS[self.path]
        try:
            message = request.FromString(body)
        except DecodeError as error:
            return self.tell(400, str(error).encode())
        with lock:
            failure = failures[self.path].pop(0) if failures[self.path] else {}
            if "status" in failure:
                return self.tell(failure["status"], headers=failure.get("headers", {}))
            answer = response()
            if "rejected" in failure:
                setattr(answer.partial_success, rejected, failure["rejected"])
                answer.partial_success.error_message = "not today"
            elif name in pipelines:
                with open(path, "a") as lines:
                    lines.write(json.dumps(MessageToDict(message)) + "\n")
        return self.tell(200, answer.SerializeToString())


def fail(path, answers):
    with lock:
        failures[path].extend(answers)


def used(pipeline):
    """Whether a pipeline leads from the one receiver to the one exporter."""
    return pipeline["receivers"] == ["otlp"] and pipeline["exporters"] == ["file"]


with open(sys.argv[1]) as file:
    config = yaml.safe_load(file)
http = config["receivers"]["otlp"]["protocols"]["http"]
path = config["exporters"]["file"]["path"]
pipelines = {name for name, pipeline in config["service"]["pipelines"].items() if used(pipeline)}
token = None
if "auth" in http:
    authenticator = http["auth"]["authenticator"]
    assert authenticator in config["service"]["extensions"], "the extension is not used"
    with open(config["extensions"][authenticator]["filename"]) as file:
        token = file.read().strip()
host, _, port = http["endpoint"].rpartition(":")
serve(Handler, host, port)
obey({"fail": fail})
