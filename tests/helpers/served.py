"""Files that a server on this machine publishes, for tests of downloads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

CUT_OFF = "cut-off"  # in the folder of that name, files end before they should


class Handler(SimpleHTTPRequestHandler):
    """A handler that logs nothing, and of files in CUT_OFF sends the first half."""

    def do_GET(self) -> None:
        if not self.path.startswith(f"/{CUT_OFF}/"):
            super().do_GET()
            return
        content = (Path(self.directory) / Path(self.path).name).read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[: len(content) // 2])

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """Publish the files of a folder, whole below the yielded address and halves of them below `address/CUT_OFF`."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(folder))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
