"""Spans around the calls of libraries: a module for each, which imports that library when used."""
