"""The textbook's UDP and TCP upper-case servers and clients: the smallest whole protocol of the suite."""
