"""The file transfer protocol: the chapter's other way to move a file, over the tree and for the users of the site."""
