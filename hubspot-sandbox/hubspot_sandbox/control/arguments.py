"""The options of `serve` and `up` on the command line, and the values made from them."""

from __future__ import annotations

import argparse

from hubspot_sandbox.behaviour.faults import Fault
from hubspot_sandbox.behaviour.limits import TIERS
from hubspot_sandbox.behaviour.quirks import QUIRKS
from hubspot_sandbox.behaviour.tokens import ALL_SCOPES, DEFAULT_TOKEN
from hubspot_sandbox.control.scripts import read_script
from hubspot_sandbox.portal.object_types import OBJECT_TYPES
from hubspot_sandbox.portal.portal import DEFAULT_COUNTS, PortalOptions
from hubspot_sandbox.sandbox.sandbox import SandboxOptions
from hubspot_sandbox.server.server import DEFAULT_PORT, Listening


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of `serve` and `up` to a parser."""
    where = parser.add_argument_group("where")
    where.add_argument("--host", default="127.0.0.1", help="loopback address to listen on (%(default)s)")
    where.add_argument("--port", type=int, default=DEFAULT_PORT, help="port; 0: any free port (%(default)s)")
    where.add_argument("--allow-remote", action="store_true", help="allow an address that other machines can reach")
    where.add_argument(
        "--proxy-port",
        type=int,
        metavar="PORT",
        help="also run an HTTPS proxy that sends api.hubapi.com to this sandbox (0: any free port)",
    )
    where.add_argument(
        "--ca-file",
        default=Listening.ca_file,
        metavar="FILE",
        help="file for the proxy's temporary authority, which clients must trust (%(default)s)",
    )
    portal = parser.add_argument_group("the portal")
    portal.add_argument("--seed", type=int, default=1, help="the same seed and sizes give the same portal")
    for object_type in OBJECT_TYPES:
        portal.add_argument(
            "--" + object_type.plural.replace("_", "-"),
            type=int,
            default=DEFAULT_COUNTS.get(object_type.plural, 0),
            metavar="N",
            help=f"records of type {object_type.type_id} (%(default)s)",
        )
    portal.add_argument("--associations", type=int, default=6_000, metavar="N", help="associated pairs (%(default)s)")
    portal.add_argument(
        "--contact-properties",
        type=int,
        default=300,
        metavar="N",
        help="properties of contacts, including HubSpot's own (%(default)s)",
    )
    portal.add_argument("--portal-id", type=int, default=PortalOptions.portal_id, metavar="ID")
    portal.add_argument(
        "--no-oddities",
        action="store_true",
        help="only values that fit the type of their property (real portals have others too)",
    )
    behaviour = parser.add_argument_group("behaviour")
    behaviour.add_argument("--token", default=DEFAULT_TOKEN, help="the accepted static token (%(default)s)")
    behaviour.add_argument(
        "--token-seconds", type=int, default=1_800, metavar="S", help="lifetime of OAuth tokens (%(default)s)"
    )
    behaviour.add_argument(
        "--without-scope",
        action="append",
        default=[],
        metavar="SCOPE",
        help="a scope that the token lacks; may be repeated",
    )
    behaviour.add_argument("--tier", choices=tuple(TIERS), default="pro", help="rate limits (%(default)s)")
    behaviour.add_argument("--daily-limit", type=int, metavar="N", help="requests per day (default: the tier's)")
    behaviour.add_argument("--daily-used", type=int, default=0, metavar="N", help="requests already made today")
    behaviour.add_argument("--faults", metavar="FILE", help="a JSON or YAML list of faults")
    behaviour.add_argument("--latency-ms", type=float, default=0.0, metavar="MS", help="added to every reply")
    behaviour.add_argument(
        "--index-lag-seconds",
        type=float,
        default=0.0,
        metavar="S",
        help="lag of the search index (%(default)s)",
    )
    behaviour.add_argument(
        "--api-quirk",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="choose an answer where HubSpot's documents leave one open: " + ", ".join(q.name for q in QUIRKS),
    )


def sandbox_options(args: argparse.Namespace) -> SandboxOptions:
    """Return the options of the sandbox; ValueError with one sentence if they are not valid."""
    unknown = sorted(set(args.without_scope) - ALL_SCOPES)
    if unknown:
        raise ValueError(f"There is no scope {unknown[0]!r}; there are: {', '.join(sorted(ALL_SCOPES))}.")
    quirks = {}
    for text in args.api_quirk:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"--api-quirk takes NAME=VALUE, not {text!r}.")
        quirks[name] = value
    return SandboxOptions(
        portal=PortalOptions(
            seed=args.seed,
            counts={t.plural: getattr(args, t.plural) for t in OBJECT_TYPES},
            associations=args.associations,
            contact_properties=args.contact_properties,
            portal_id=args.portal_id,
            oddities=not args.no_oddities,
            index_lag_seconds=args.index_lag_seconds,
        ),
        token=args.token,
        token_seconds=args.token_seconds,
        scopes=ALL_SCOPES - set(args.without_scope),
        latency_ms=args.latency_ms,
        tier=args.tier,
        daily_limit=args.daily_limit,
        daily_used=args.daily_used,
        faults=_faults(args.faults),
        quirks=quirks,
        proxy=args.proxy_port is not None,
    )


def _faults(name: str | None) -> tuple[Fault, ...]:
    return tuple(Fault.from_json(raw) for raw in read_script(name, "fault script", "faults")) if name else ()


def listening(args: argparse.Namespace) -> Listening:
    """Return the addresses to listen on."""
    return Listening(args.host, args.port, args.idle_minutes, args.allow_remote, args.proxy_port, args.ca_file)
