"""Tools for the documentation: pages that are generated from the code, and hooks for MkDocs."""
