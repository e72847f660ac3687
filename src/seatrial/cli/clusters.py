"""What the commands that speak to a cluster share: how it is reached, and how text is told."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

import click

if TYPE_CHECKING:
    from seatrial.engine.argo.api import Api

F = TypeVar("F", bound=Callable[..., object])
T = TypeVar("T")
NAMESPACE = "seatrial"
#: The workflow's verdict → the exit status, as everywhere.
STATUS = {"valid": 0, "invalid": 1, "unknown": 2}


def context_option(command: F) -> F:
    """Which cluster."""
    return click.option(
        "--context", metavar="NAME", help="Of the kubeconfig (default: the current one)."
    )(command)


def cluster_options(command: F) -> F:
    """Which cluster, and where in it."""
    option = click.option(
        "--namespace",
        default=NAMESPACE,
        envvar="SEATRIAL_NAMESPACE",
        show_default=True,
        help="Where workflows run.",
    )
    return context_option(option(command))


def on_cluster(
    context: str | None, act: Callable[[Api], Awaitable[T]], patience_s: float | None = None
) -> T:
    """Connect, act, let go. Raises `Unavailable`."""
    from seatrial.engine.argo.api import PATIENCE_S, connect

    api = connect(context, PATIENCE_S if patience_s is None else patience_s)

    async def run() -> T:
        return await act(api)

    try:
        return asyncio.run(run())
    finally:
        api.close()


def progress(text: str) -> None:
    """Progress goes to standard error."""
    print(text, file=sys.stderr, flush=True)
