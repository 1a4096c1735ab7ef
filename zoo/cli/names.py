"""What is said of a name that does not exist."""

import difflib
from collections.abc import Sequence


def near(name: str, names: Sequence[str]) -> str:
    """A question after the name that was meant, or nothing.

    Example:
        >>> near("IWEA", ["IWAE", "VAE"])
        ' Did you mean IWAE?'
    """
    by_lower = {each.lower(): each for each in names}
    close = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return f" Did you mean {by_lower[close[0]]}?" if close else ""


def unknown(kind: str, name: str, known: Sequence[str], more: str = "") -> str:
    """A sentence about a name that does not exist.

    Example:
        >>> unknown("model", "IWEA", ["IWAE", "VAE"])
        "there is no model 'IWEA'; there are IWAE, VAE. Did you mean IWAE?"
        >>> unknown("option", "lr", [f"option_{i}" for i in range(50)])
        "there is no option 'lr'; there are 50 others."
        >>> unknown("option", "lr", [])
        "there is no option 'lr'; there is none at all."
    """
    known = [each for each in known if not each.endswith("help")]
    have = f"are {', '.join(known)}" if len(known) < 40 else f"are {len(known)} others"
    if len(known) < 2:
        have = f"is {known[0] if known else 'none at all'}"
    return f"there is no {kind} {name!r}; there {have}{more}.{near(name, known)}"
