"""Pictures from the plain numbers and arrays of a record; imports nothing else of ours."""
