"""A small web program: `serve` answers over HTTP or, with a certificate, HTTPS; `get URL` asks such a server."""

import argparse
import http.server
import json
import os
import platform
import signal
import ssl
import sys
import urllib.request
import zoneinfo
from datetime import datetime


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({
            "python": platform.python_version(),
            "path": self.path,
            "user": os.getuid(),
            "berlin": datetime.now(zoneinfo.ZoneInfo("Europe/Berlin")).isoformat(),
        }).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def serve(args):
    server = http.server.ThreadingHTTPServer(("", args.port), Handler)
    if args.cert:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(args.cert, args.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # process 1 has no default action for it
    print(f"listening on {args.port}", file=sys.stderr)
    server.serve_forever()


def get(args):
    # The default context trusts what OpenSSL finds in its own folder: the image's CA bundle.
    with urllib.request.urlopen(args.url, timeout=10) as answer:
        print(answer.read().decode())


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    commands = parser.add_subparsers(required=True)
    server = commands.add_parser("serve")
    server.add_argument("--port", type=int, default=8000)
    server.add_argument("--cert", help="PEM file; without it, plain HTTP")
    server.add_argument("--key", help="PEM file")
    server.set_defaults(run=serve)
    client = commands.add_parser("get")
    client.add_argument("url")
    client.set_defaults(run=get)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
