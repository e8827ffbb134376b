"""What every experiment runs in: settings, record, checkpoints, command line."""
