"""The Python source that a callable or a server's script depends on."""
