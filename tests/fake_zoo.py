"""Stands in for `zoo fit` where a sweep is tested: `python -m zoo` in a folder that has it as zoo.py.

It logs `--steps` values of `val/x`, each `--x` plus the step, and keeps the step in its checkpoint. Where the file
`hold` stands beside it, it waits after the first one, for the test to stop it.
"""

import signal
import sys
import time
from pathlib import Path


def main() -> None:
    given = dict(word.lstrip("-").split("=", 1) for word in sys.argv[2:])
    if given.get("fail") == "True":
        print("zoo: error: it was told to fail.")
        sys.exit(1)
    run = Path(given["trainer.default_root_dir"]) / "fake" / "1"
    checkpoint, log = run / "checkpoints" / "last.ckpt", run / "metrics.csv"
    if given.get("ckpt_path") == "last":
        done = int(checkpoint.read_text())
    else:
        checkpoint.parent.mkdir(parents=True)  # which fails where a run is begun anew
        done = 0
        log.write_text("step,val/x\n")
    with Path("begun").open("a") as begun:
        begun.write(f"{given['x']}\n")
    signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
    for step in range(done, int(given.get("steps", "3"))):
        with log.open("a") as file:
            file.write(f"{step},{float(given['x']) + step}\n")
        checkpoint.write_text(str(step + 1))
        while Path("hold").exists():
            time.sleep(0.02)
        time.sleep(float(given.get("pause", "0")))
    (run / "config.yaml").write_text("{}")
    (run / "metrics.json").write_text("{}")


if __name__ == "__main__":
    main()
