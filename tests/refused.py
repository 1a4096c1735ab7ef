"""What the command line says where it refuses something."""

import pytest

from zoo.cli import main


def refused(line: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Runs a line, which must be refused with a status that is not 0, and returns the sentence."""
    with pytest.raises(SystemExit) as stop:
        main(line.split())
    message = capsys.readouterr().err.strip().splitlines()[-1]
    assert stop.value.code in (1, 2) and message.startswith("zoo: error: "), message
    return message
