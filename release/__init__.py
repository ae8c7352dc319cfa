"""What a release takes, for the sessions of noxfile.py: nothing here is part of the package."""
