"""Readers for importers: files and archives, CSV rows, JSON documents; all of limited size."""
