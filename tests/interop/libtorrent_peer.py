"""A libtorrent peer as a program of its own: several sessions in one process would share what peers must not share.

``python libtorrent_peer.py TORRENT FOLDER PORT [--rate BYTES] [PEER ...]``: prints ``ready``, then ``whole`` when
everything is there, and runs until its standard input ends.
"""

from __future__ import annotations

import argparse
import select
import sys

import libtorrent

SETTINGS = {
    "enable_dht": False,
    "enable_lsd": False,
    "enable_upnp": False,
    "enable_natpmp": False,
    "enable_incoming_utp": False,
    "enable_outgoing_utp": False,
    "allow_multiple_connections_per_ip": True,
    "min_reconnect_time": 1,
    "dht_bootstrap_nodes": "",
}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("torrent")
    parser.add_argument("folder")
    parser.add_argument("port", type=int)
    parser.add_argument("peer", nargs="*")
    parser.add_argument("--rate", type=int, default=0)
    options = parser.parse_args()
    session = libtorrent.session(
        {**SETTINGS, "listen_interfaces": f"127.0.0.1:{options.port}", "upload_rate_limit": options.rate}
    )
    # local peers are outside of every limit unless all are put into the class that has them
    peers = libtorrent.ip_filter()
    peers.add_rule("0.0.0.0", "255.255.255.255", 1 << libtorrent.session.global_peer_class_id)
    session.set_peer_class_filter(peers)
    parameters = libtorrent.add_torrent_params()
    parameters.ti = libtorrent.torrent_info(options.torrent)
    parameters.save_path = options.folder
    handle = session.add_torrent(parameters)
    whole = ready = False
    while not select.select([sys.stdin], [], [], 0.05)[0]:
        status = handle.status()
        if not ready and status.state in (status.seeding, status.downloading, status.finished):
            ready = True
            for peer in options.peer:
                host, port = peer.rsplit(":", 1)
                handle.connect_peer((host, int(port)))
            sys.stdout.write(f"ready {session.listen_port()}\n")
            sys.stdout.flush()
        if not whole and status.is_seeding:
            whole = True
            sys.stdout.write("whole\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
