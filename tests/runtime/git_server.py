"""Git's smart HTTP protocol for reading, over TLS: the two requests that a clone makes."""

import gzip
import http.server
import os
import ssl
import subprocess

REPOSITORY = "/srv/project.git"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/project.git/info/refs?service=git-upload-pack":
            return self.send_error(404)
        refs = upload_pack("--http-backend-info-refs")
        self.reply("advertisement", b"001e# service=git-upload-pack\n0000" + refs)

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.reply("result", upload_pack("--stateless-rpc", body=body))

    def reply(self, kind, body):
        self.send_response(200)
        self.send_header("Content-Type", f"application/x-git-upload-pack-{kind}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def upload_pack(mode, body=b""):
    # The repository belongs to another user than the one that serves it.
    trust = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "safe.directory", "GIT_CONFIG_VALUE_0": "*"}
    command = ["/usr/bin/git", "upload-pack", mode, REPOSITORY]
    return subprocess.run(command, input=body, env=os.environ | trust, stdout=subprocess.PIPE, check=True).stdout


context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
context.load_cert_chain("/tls/server.pem", "/tls/server.key")
server = http.server.ThreadingHTTPServer(("", 8443), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
print("listening", flush=True)
server.serve_forever()
