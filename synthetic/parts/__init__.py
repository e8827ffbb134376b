"""Data of several parts, for transcoders (`paired`) and crosscoders (`views`)."""
