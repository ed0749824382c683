"""A libtorrent peer: ``python -m benchmarks.libtorrent_peer TORRENT FOLDER PORT [seed]``, until it is ended.

A seed takes its files for whole without hashing them.
"""

from __future__ import annotations

import signal
import sys

import libtorrent


def main() -> None:
    """Share one torrent."""
    torrent, folder, port, *seed = sys.argv[1:]
    session = libtorrent.session(
        {
            "listen_interfaces": f"127.0.0.1:{port}",
            "enable_dht": False,
            "enable_lsd": False,
            "enable_upnp": False,
            "enable_natpmp": False,
            "enable_incoming_utp": False,
            "enable_outgoing_utp": False,
            "allow_multiple_connections_per_ip": True,
            "dht_bootstrap_nodes": "",
            "alert_mask": 0,
        }
    )
    parameters = libtorrent.add_torrent_params()
    parameters.ti = libtorrent.torrent_info(torrent)
    parameters.save_path = folder
    parameters.flags &= ~(libtorrent.torrent_flags.paused | libtorrent.torrent_flags.auto_managed)
    if seed:
        parameters.flags |= libtorrent.torrent_flags.seed_mode
    session.add_torrent(parameters)
    signal.sigwait({signal.SIGTERM, signal.SIGINT})


if __name__ == "__main__":
    main()
