"""Files for the browser: the status page and the assembled viewer."""
