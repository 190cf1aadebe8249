"""The scoring server: exported files behind HTTP, with monitoring. Imports nothing of the training code."""
