"""The ``[ftp]`` table."""

from __future__ import annotations

from ipaddress import IPv4Address

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, field_validator

from netsuite.common.settings import AccessRules, SitePath, Table

__all__ = ["FtpSettings"]


class FtpSettings(Table):
    """FTP and FTPS for a folder of files."""

    listen: list[str] = Field(
        ["127.0.0.1:10021"],
        description="Addresses, each HOST:PORT or PORT (on 127.0.0.1), with TLS by AUTH TLS; `secure:HOST:PORT` is "
        "FTPS from the first byte.",
    )
    root: SitePath | None = Field(None, description="The folder whose files are served; it must be set.")
    anonymous: bool = Field(True, description='Whether anybody may read, as "anonymous" or "ftp".')
    users: list[str] = Field(
        ["*"], description='Who of the site\'s users may log in and read; "*" is every one of them.'
    )
    writers: list[str] = Field(
        [], description='Who of them may also change files and folders, "*" being all; nobody by default.'
    )
    passive_ports: list[int] = Field(
        [],
        description="The first and the last port for data connections, where a firewall must know them; empty: any.",
        examples=[[50000, 50100]],
    )
    address: str | None = Field(
        None, description="The IPv4 address that clients are told for data, where it is not the one they came to."
    )
    upload_limit: PositiveInt = Field(1 << 30, description="The longest file that is taken, in bytes.")
    allow: AccessRules = Field(
        ["any"], description='Who may connect: networks, addresses, or "loopback", "private", "any".'
    )
    connections: NonNegativeInt = Field(200, description="Clients at once; 0 is without limit.")
    connections_per_address: NonNegativeInt = Field(20, description="Clients at once from one address; 0 is no limit.")
    idle_time: PositiveFloat = Field(300.0, description="Seconds without a command after which a client must go.")
    data_time: PositiveFloat = Field(
        60.0, description="Seconds in which a data connection must be there, and in which something must move on it."
    )

    @field_validator("passive_ports")
    @classmethod
    def _is_range(cls, value: list[int]) -> list[int]:
        if value and not (len(value) == 2 and 0 < value[0] <= value[1] < 65536):
            raise ValueError("must be two ports, the lower one first")
        return value

    @field_validator("address")
    @classmethod
    def _is_address(cls, value: str | None) -> str | None:
        try:
            return value if value is None else str(IPv4Address(value))
        except ValueError as error:
            raise ValueError(f"must be an IPv4 address ({error})") from error
