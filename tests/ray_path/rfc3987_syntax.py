"""Not the package of this name, which compiles a grammar of URIs for three seconds as it is
imported: by jsonschema, which Ray imports in each of its processes, wherever it is installed. It
comes with the extra `cyclonedx`, and Ray checks nothing with it."""

raise ImportError
