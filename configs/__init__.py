"""The shipped configurations: `zoo fit --config NAME`."""
