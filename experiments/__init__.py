"""Questions put to the library, each one file: settings, a run, checks, figures."""
