"""DNS messages as bytes: names, questions, EDNS, answers, and the framing of TCP."""
