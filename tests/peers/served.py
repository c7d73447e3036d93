"""What the servers among these scripts have in common: how a request is answered, and how they are served by the side."""

import ssl
import threading
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer


class Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status, kind, body=b"", headers={}):
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": len(body), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)


def serve(handler, address, port, key=None, certificate=None):
    """In a thread of its own, by TLS if there is a key."""
    server = ThreadingHTTPServer((address, int(port)), handler)
    if key is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
