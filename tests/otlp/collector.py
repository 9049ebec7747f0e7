"""A collector that speaks OTLP over HTTP with protobuf, as the messages of PyPI's opentelemetry-proto are.

It listens on the port that it is given, or else on any free one, and prints it. What it takes is a line of JSON each on
stdout: {"path", "headers", "message"}. What stands in the file `answer` beside it, as a status and a delay in seconds,
is how it answers; without that file, 200 at once. Each span is refused whose message id ends with `-refuse`.
"""

import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from google.protobuf.json_format import MessageToDict
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

ANSWER = Path(sys.argv[1])
# Lines of requests that come at once must not run into each other.
STDOUT = threading.Lock()
SERVICES = {
    "/v1/traces": (ExportTraceServiceRequest, ExportTraceServiceResponse),
    "/v1/metrics": (ExportMetricsServiceRequest, ExportMetricsServiceResponse),
}


def refused(request):
    spans = [span for of in request.resource_spans for scope in of.scope_spans for span in scope.spans]
    return sum(any(each.value.string_value.endswith("-refuse") for each in span.attributes) for span in spans)


class Collector(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status, delay = (json.loads(ANSWER.read_text()) if ANSWER.exists() else (200, 0))
        time.sleep(delay)
        if self.path not in SERVICES or self.headers["Content-Type"] != "application/x-protobuf":
            status = 404
        answer = b""
        if status == 200:
            ask, reply = SERVICES[self.path]
            request, reply = ask.FromString(body), reply()
            if self.path == "/v1/traces" and (count := refused(request)):
                reply.partial_success.rejected_spans = count
            answer = reply.SerializeToString()
            message = MessageToDict(request, preserving_proto_field_name=True, use_integers_for_enums=True)
            line = {"path": self.path, "headers": dict(self.headers.items()), "message": message}
            with STDOUT:
                print(json.dumps(line), flush=True)
        self.send_response(status)
        self.send_header("Content-Type", "application/x-protobuf")
        self.send_header("Content-Length", str(len(answer)))
        if status == 503:
            self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[2])), Collector)
print(json.dumps({"port": server.server_port}), flush=True)
server.serve_forever()
