"""A store in object storage: one immutable object per trial, mirrored by a local SQLite file.

SQLite is never opened over a network. A run writes to the local file and puts each trial into the
bucket; a reading command fetches what its local file lacks, and reads that.
"""
