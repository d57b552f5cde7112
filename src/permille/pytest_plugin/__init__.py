"""The pytest plug-in: the ``energy`` fixture, its marker and its reports."""
