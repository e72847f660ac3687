"""How to reach a server that speaks MySQL's protocol, and what its transactions promise."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from seatrial.settings import Settings

Isolation = Literal["read-committed", "repeatable-read", "serializable"]


class Access(Settings):
    """An account; it needs all rights on `database`, which must be there."""

    user: str = "root"
    password: str = Field(default="", repr=False)
    database: str = Field(default="seatrial", pattern=r"^[a-z][a-z0-9_]*$")
