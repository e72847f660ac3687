"""The file that a pod's last words stand in, which Argo shows as its node's message."""

from __future__ import annotations

from pathlib import Path

import click

#: A sentence in a message file is never longer: Kubernetes keeps 4096 bytes of it.
MESSAGE_BYTES_MAX = 4000


def write_message(path: Path, sentence: str) -> None:
    """In place: in a pod it is a file that is mounted and cannot be replaced."""
    try:
        with path.open("wb") as file:
            whole = sentence.encode()[:MESSAGE_BYTES_MAX].decode(errors="ignore")  # no half letter
            file.write(whole.encode())
    except OSError as error:
        click.echo(f"the message cannot be written to {path}: {error.strerror}", err=True)
