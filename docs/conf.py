"""Sphinx configuration: Markdown, one theme, warnings are errors (`make docs`)."""

project = "seatrial"
author = "the seatrial authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.viewcode"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "seatrial"
myst_heading_anchors = 3
myst_enable_extensions = ["deflist"]
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
nitpicky = False
# Types of other libraries in signatures are no pages of ours; broken links in pages still fail.
nitpick_ignore_regex = [("py:.*", ".*")]
