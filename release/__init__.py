"""Tools for releases and upkeep, run by the sessions of noxfile.py; not part of the package."""
