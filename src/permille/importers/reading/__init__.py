"""What importers read with: files and archives, CSV rows, JSON documents; all bounded."""
