"""BitTorrent in bytes: metainfo's encoding, announces, and what peers say to each other."""
