"""BitTorrent: torrent files, the tracker and the peer."""
