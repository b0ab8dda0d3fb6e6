"""The command line: `serve`, `up`, `down`, `mutate`. Errors are one sentence on standard error and exit code 1."""

from __future__ import annotations

import argparse
import json
import os
import sys
from importlib.metadata import version
from pathlib import Path

from hubspot_sandbox.control import mutate_command
from hubspot_sandbox.control.admin_client import AdminError
from hubspot_sandbox.control.arguments import add_options, listening, sandbox_options
from hubspot_sandbox.control.daemon import STATE_DIR_VARIABLE, DaemonError, StateDirectory, down, up
from hubspot_sandbox.sandbox.journal import Journal
from hubspot_sandbox.sandbox.sandbox import Sandbox
from hubspot_sandbox.server.server import DEFAULT_PORT, ListenError, Sockets, run

_OVERVIEW = """\
It answers on dated paths (2026-03, 2026-09) and on v3/v4 paths: objects (list, read, batch read, search), associations,
properties, custom-object schemas, owners, pipelines, account details, OAuth tokens. It has HubSpot's rate limits,
errors and quirks. It has no writes through HubSpot's API (use `mutate`), no exports, webhooks or marketing.

    hubspot-sandbox serve --contacts 500          then, in another terminal:
    curl -H "Authorization: Bearer pat-sandbox-not-a-secret" http://127.0.0.1:8642/crm/objects/2026-09/contacts

Clients with a fixed address: serve --proxy-port 8643, then set HTTPS_PROXY and the CA file that it prints."""


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hubspot-sandbox",
        description="A local HubSpot CRM: the read API on 127.0.0.1, over a generated portal of any size.",
        epilog=_OVERVIEW,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"%(prog)s {version('hubspot-sandbox')}")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve in the foreground until interrupted")
    add_options(serve)
    serve.add_argument("--json", action="store_true", help="print url, token, pid and portal id as one JSON line")
    serve.add_argument(
        "--idle-minutes", type=float, default=0.0, metavar="M", help="stop after M minutes without a request"
    )
    serve.add_argument(
        "--journal", metavar="FILE", help="record the mutations in FILE, and apply those in it at the start"
    )
    serve.add_argument("--state-file", metavar="FILE", help=argparse.SUPPRESS)
    starting = commands.add_parser("up", help="start a sandbox in the background, with the earlier mutations")
    add_options(starting)
    starting.add_argument(
        "--idle-minutes",
        type=float,
        default=30.0,
        metavar="M",
        help="stop after M minutes without a request (%(default)s)",
    )
    starting.add_argument(
        "--fresh", action="store_true", help="start clean: drop all mutations, replace a running sandbox"
    )
    stopping = commands.add_parser("down", help="stop the sandbox in the background")
    mutate = commands.add_parser(
        "mutate",
        help="change the portal of a running sandbox",
        epilog="mutations:\n" + mutate_command.USAGE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    mutate.add_argument("--url", help="the sandbox (default: the one that `up` started)")
    mutate.add_argument("--script", metavar="FILE", help="a JSON or YAML list of mutations")
    mutate.add_argument("--random", type=int, metavar="N", help="N random mutations of records and associations")
    mutate.add_argument("--seed", type=int, default=1, help="the seed of --random (%(default)s)")
    mutate.add_argument("--json", action="store_true", help="print all changes as JSON")
    mutate.add_argument("words", nargs="*", metavar="MUTATION", help="one mutation, see below")
    for command in (starting, stopping, mutate):
        command.add_argument(
            "--state-dir",
            metavar="DIR",
            help=f"the state directory of `up` (${STATE_DIR_VARIABLE}, else .hubspot-sandbox)",
        )
    return parser


def _serve(args: argparse.Namespace) -> int:
    options, where = sandbox_options(args), listening(args)
    socks = Sockets.of(where)
    port = socks.api.getsockname()[1]
    host = f"[{where.host}]" if ":" in where.host else where.host
    url = f"http://{host}:{port}"
    journal = Journal(Path(args.journal), options.portal.fingerprint) if args.journal else None
    sandbox = Sandbox(options, journal)
    facts: dict[str, object] = {
        "url": url,
        "token": options.token,
        "pid": os.getpid(),
        "portalId": options.portal.portal_id,
    }
    if journal is not None:
        facts["journal"] = journal.sentence
    if socks.proxy is not None:
        proxy = f"http://{host}:{socks.proxy.getsockname()[1]}"
        facts |= {"proxy": proxy, "caFile": str(Path(where.ca_file).resolve())}

    def announce() -> None:
        if args.json:
            print(json.dumps(facts), flush=True)  # noqa: T201 - the command's output
        else:
            lines = [f"Serving HubSpot portal {options.portal.portal_id} at {url}", f"Token: {options.token}"]
            if facts.get("journal"):
                lines.append(str(facts["journal"]))
            if "proxy" in facts:
                lines.append(f"As api.hubapi.com: HTTPS_PROXY={facts['proxy']} REQUESTS_CA_BUNDLE={facts['caFile']}")
            print("\n".join([*lines, "Ctrl-C stops it."]), flush=True)  # noqa: T201 - the command's output
        if args.state_file:
            path = Path(args.state_file)
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(facts))
            partial.replace(path)

    return run(sandbox, where, socks, announce)


def _serve_arguments(arguments: list[str], idle_minutes: float) -> list[str]:
    """Return the arguments of `up` that `serve` takes too."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--state-dir")
    parser.add_argument("--fresh", action="store_true")
    parser.add_argument("--idle-minutes")
    _, rest = parser.parse_known_args(arguments)
    return [*rest, "--idle-minutes", str(idle_minutes)]


def _up(args: argparse.Namespace, arguments: list[str]) -> int:
    options = sandbox_options(args)
    url = f"http://{args.host}:{args.port}" if args.port else None
    directory = StateDirectory.of(args.state_dir)
    words = _serve_arguments(arguments, args.idle_minutes)
    print(up(directory, words, Sandbox.fingerprint_of(options), url, fresh=args.fresh))  # noqa: T201
    return 0


def _mutate(args: argparse.Namespace) -> int:
    state = StateDirectory.of(args.state_dir).read()
    url = args.url or (str(state["url"]) if state else f"http://127.0.0.1:{DEFAULT_PORT}")
    text = mutate_command.run(url, args.words, args.script, args.random, args.seed, as_json=args.json)
    print(text)  # noqa: T201 - the command's output
    return 0


def main(arguments: list[str] | None = None) -> None:
    """Run a command and exit with its code."""
    given = sys.argv[1:] if arguments is None else arguments
    args = _parser().parse_args(given)
    try:
        if args.command == "serve":
            code = _serve(args)
        elif args.command == "up":
            code = _up(args, given[given.index("up") + 1 :])
        elif args.command == "mutate":
            code = _mutate(args)
        else:
            print(down(StateDirectory.of(args.state_dir)))  # noqa: T201 - the command's output
            code = 0
    except (AdminError, DaemonError, ListenError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)  # noqa: T201 - the command's output
        code = 1
    sys.exit(code)
