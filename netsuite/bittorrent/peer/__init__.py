"""The peer: the conduct of a torrent among other peers, and its pieces on the disk."""
