"""The ``twistd`` plugins: one small module each, with its ``Options`` and ``makeService``."""
