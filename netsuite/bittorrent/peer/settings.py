"""The ``[peer]`` table."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from netsuite.common.settings import AccessRules, SitePath, Table

__all__ = ["PeerSettings"]


class PeerSettings(Table):
    """The BitTorrent peer: it downloads torrents and serves them to other peers."""

    listen: list[str] = Field(
        ["127.0.0.1:16881"],
        min_length=1,
        description="Addresses for other peers, each HOST:PORT or PORT (on 127.0.0.1).",
    )
    torrents: SitePath | None = Field(
        None,
        description="A folder of .torrent files, made where it is missing. One that comes is started within seconds, "
        "one that goes is stopped (what it has downloaded stays).",
        examples=["./torrents"],
    )
    torrent: list[SitePath] = Field([], description="Single .torrent files.", examples=[["debian.torrent"]])
    save: SitePath = Field(
        Path("downloads"), validate_default=True, description="The folder for what the torrents contain."
    )
    seed: bool = Field(
        False,
        description="Whether everything is in the save folder already: it is checked and served, and nothing is "
        "downloaded. A torrent that is not whole is not served, and the log and the health say why.",
    )
    leave: bool = Field(
        False, description="Whether the process ends when all torrents are whole; else it goes on serving them."
    )
    upload_limit: NonNegativeInt = Field(0, description="Bytes a second to other peers in all; 0 is without limit.")
    download_limit: NonNegativeInt = Field(0, description="Bytes a second from other peers in all; 0 is without limit.")
    torrent_upload_limit: NonNegativeInt = Field(
        0, description="Bytes a second to other peers in one torrent; 0 is without limit."
    )
    torrent_download_limit: NonNegativeInt = Field(
        0, description="Bytes a second from other peers in one torrent; 0 is without limit."
    )
    connections: PositiveInt = Field(200, description="Other peers at once, in all torrents.")
    connections_per_torrent: PositiveInt = Field(50, description="Other peers at once in one torrent.")
    connections_per_address: NonNegativeInt = Field(
        0, description="Peers at once that connect from one address; 0 is without limit."
    )
    slots: PositiveInt = Field(
        4, description="Other peers that a torrent uploads to at a time, one of them chosen by chance (optimistically)."
    )
    choke_interval: PositiveFloat = Field(10.0, description="Seconds between two choices of whom to upload to.")
    optimistic_rounds: PositiveInt = Field(
        3, description="Choices for which the one chosen by chance stays; the textbook's 30 seconds are 3 choices."
    )
    rate_window: PositiveFloat = Field(20.0, description="Seconds over which a peer's rate is measured for the choice.")
    snub_time: PositiveFloat = Field(
        60.0, description="Seconds without a piece after which a peer gets nothing in return."
    )
    announce_port: NonNegativeInt = Field(
        0, le=65535, description="The port that trackers are told, where a router maps it; 0 is the one listened on."
    )
    peers_wanted: PositiveInt = Field(50, le=1000, description="Addresses of peers to ask a tracker for.")
    rescan: PositiveFloat = Field(5.0, description="Seconds between two looks into the folder of .torrent files.")
    threads: PositiveInt = Field(4, le=64, description="Threads that read, write and hash.")
    cache: PositiveInt = Field(64 << 20, description="Bytes of memory for pieces that are read again.")
    progress: bool = Field(
        False,
        description="Whether it shows how far it is: as a bar on a terminal, else by lines in the log. "
        "`twistd netsuite-peer` does.",
    )
    internal_trackers: bool | None = Field(
        None,
        description="Whether trackers at internal addresses (loopback, private) are asked, which a torrent from a "
        "stranger may name. Not set: only while all of the peer's own addresses are on loopback.",
    )
    allow: AccessRules = Field(
        ["any"], description='Who may connect: networks, addresses, "loopback", "private", "any".'
    )
