"""The disk tier of the cache: what memory has no room for, and what a restart finds again."""
