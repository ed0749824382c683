"""What a running site shows of itself: metrics, health and a live first page."""
