"""Speed and memory of the sandbox: start, first page, pages per second on one core, peak memory.

    python benchmarks/sandbox_pages.py --contacts 1000000

The server is a separate process on one core; the client reads bytes and does not parse them, so the figures are the
server's. Prints a Markdown table with the commit and the machine.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

from measurement import peak_megabytes, processor_seconds
from results import commit, processor

HEADERS = {"Authorization": "Bearer pat-sandbox-not-a-secret"}


class Client:
    """One kept-alive connection to the sandbox."""

    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port)

    def ask(self, method: str, path: str, body: object = None) -> bytes:
        """Return the body of a 200 or 207; any other reply ends the benchmark."""
        data = None if body is None else json.dumps(body).encode()
        self.connection.request(method, path, body=data, headers=HEADERS)
        response = self.connection.getresponse()
        content = response.read()
        if response.status not in (200, 207):
            raise SystemExit(f"{method} {path[:80]} answered {response.status}")
        return content


def _start(arguments: list[str]) -> tuple[subprocess.Popen[str], int, float]:
    cores = sorted(os.sched_getaffinity(0))
    started = time.perf_counter()
    process = subprocess.Popen(  # noqa: S603 - our own module, no shell
        [sys.executable, "-m", "hubspot_sandbox", "serve", "--json", "--port", "0", "--tier", "unlimited", *arguments],
        stdout=subprocess.PIPE,
        text=True,
    )
    os.sched_setaffinity(process.pid, {cores[0]})
    os.sched_setaffinity(0, set(cores[1:]) or {cores[0]})
    if process.stdout is None:
        raise SystemExit("The sandbox has no output.")
    port = int(json.loads(process.stdout.readline())["url"].rsplit(":", 1)[1])
    return process, port, time.perf_counter() - started


def _rate(pid: int, pages: Iterator[bytes], seconds: float) -> tuple[float, float, float]:
    """Return pages per second, pages per second of the server's processor time, megabytes per second."""
    count = size = 0
    before = processor_seconds(pid)
    started = time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        size += len(next(pages))
        count += 1
    return count / passed, count / (processor_seconds(pid) - before), size / passed / 1e6


def _lists(client: Client, names: str) -> Iterator[bytes]:
    after = 0
    while True:
        page = client.ask("GET", f"/crm/objects/2026-09/0-1?limit=100&after={after}&properties={names}")
        marker = page.rfind(b'"after":"')
        after = int(page[marker + 9 : page.find(b'"', marker + 9)]) if marker >= 0 else 0
        yield page


def _searches(client: Client, names: list[str], step: int) -> Iterator[bytes]:
    last = 0
    while True:
        body = {
            "filterGroups": [
                {
                    "filters": [
                        {"propertyName": "lastmodifieddate", "operator": "GTE", "value": "1546300800000"},
                        {"propertyName": "lastmodifieddate", "operator": "LT", "value": "1893456000000"},
                        {"propertyName": "hs_object_id", "operator": "GT", "value": str(last)},
                    ]
                }
            ],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": names,
            "limit": 200,
        }
        yield client.ask("POST", "/crm/objects/2026-09/0-1/search", body)
        last += 200 * step


def _batches(client: Client, names: list[str], ids: list[str]) -> Iterator[bytes]:
    body = {"inputs": [{"id": id_} for id_ in ids], "properties": names}
    while True:
        yield client.ask("POST", "/crm/objects/2026-09/0-1/batch/read", body)


def _associations(client: Client, ids: list[str]) -> Iterator[bytes]:
    body = {"inputs": [{"id": id_} for id_ in ids]}
    while True:
        yield client.ask("POST", "/crm/associations/2026-09/0-1/2-37778609/batch/read", body)


def _ids(client: Client, count: int) -> list[str]:
    ids: list[str] = []
    after = "0"
    while len(ids) < count:
        page = json.loads(client.ask("GET", f"/crm/objects/2026-09/0-1?limit=100&after={after}"))
        ids += [row["id"] for row in page["results"]]
        after = page["paging"]["next"]["after"]
    return ids[:count]


def _timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--contacts", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=5.0, help="for each rate")
    args = parser.parse_args()
    sizes = ["--contacts", str(args.contacts), "--appointments", str(args.contacts * 2 // 5)]
    sizes += ["--deals", str(args.contacts // 2), "--divisions", "400", "--associations", str(args.contacts * 3)]
    process, port, start_seconds = _start(sizes)
    try:
        client = Client(port)
        listing = json.loads(client.ask("GET", "/crm/properties/2026-09/0-1"))["results"]
        names = [row["name"] for row in listing]
        every = ",".join(names)
        first = _timed(lambda: client.ask("GET", f"/crm/objects/2026-09/0-1?limit=100&properties={every}"))
        ids = _ids(client, 1_000)
        searches = _searches(client, names, 37)
        first_search = _timed(lambda: next(searches))
        rates = {
            "list, 100 contacts x 300 properties": _rate(process.pid, _lists(client, every), args.seconds),
            "batch read, 100 x 300": _rate(process.pid, _batches(client, names, ids[:100]), args.seconds),
            "search, keyset, 200 x 300": _rate(process.pid, searches, args.seconds),
            "associations, 1,000 ids": _rate(process.pid, _associations(client, ids), args.seconds),
        }
        memory = peak_megabytes(process.pid)
    finally:
        process.terminate()
        process.wait(10)
    lines = [
        f"Commit {commit()}, Python {platform.python_version()}, {processor()}",
        f"{args.contacts:,} contacts",
        "",
        "| what | figure |",
        "|---|---|",
        f"| start until it answers | {start_seconds:.2f} s |",
        f"| first list page, 100 x 300 | {first * 1000:.0f} ms |",
        f"| first search of a window over all contacts | {first_search * 1000:.0f} ms |",
    ]
    for what, (pages, pages_cpu, megabytes) in rates.items():
        lines.append(f"| {what} | {pages:.0f} a second, {pages_cpu:.0f} a processor second ({megabytes:.0f} MB/s) |")
    lines.append(f"| peak memory of the server | {memory:.0f} MB |")
    print("\n".join(lines))  # noqa: T201 - the benchmark's result


if __name__ == "__main__":
    main()
