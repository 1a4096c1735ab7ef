"""What is raised where the user can mend it: one sentence that says how."""


class ZooError(ValueError):
    """Something given is wrong; the message names it, says what was expected and how to mend it."""


class NoClosedForm(ZooError):
    """A KL term was asked for in closed form where there is none."""


class UnknownNoise(ZooError):
    """A distribution draws in a way that cannot be made a function of the example."""
