"""Model architectures as data: shapes and input lengths, with which a replica is built. Pure.

docs/replicas.md explains what replicas are for and how closely they match real weights.
"""
