"""The documentation as a site: `make docs` (Sphinx, with MyST for Markdown and the Furo theme).

Chosen over MkDocs Material, which is in maintenance: Sphinx is kept, builds without a network,
searches without a server, documents Python from its docstrings, and fails on a dead link.
"""

from importlib import metadata

project = "permille"
author = "The permille maintainers"
copyright = f"2026, {author}"
release = version = metadata.version("permille")

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
myst_all_links_external = False
suppress_warnings = ["myst.header", "misc.highlighting_failure"]
nitpicky = False
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
copybutton_prompt_text = "$ "

exclude_patterns = ["screenshots/README*"]
html_theme = "furo"
html_title = f"permille {release}"
html_extra_path: list[str] = []
html_show_sphinx = False
