"""W&B's own agent works a shipped sweep off, against a small server on the loopback interface."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.wandb_file import read
from zoo.sweeps.file import shipped_sweep

SMALL = {
    "trainer.max_epochs": 1,
    "model.latent_dim": 3,
    "model.encoder.hidden": [4],
    "model.decoder.hidden": [4],
    "log_likelihood.k": [5],
    "trainer.enable_progress_bar": False,
}
RUNS = [{"model.k": 5, "seed_everything": 1}, {"model.k": 50, "seed_everything": 2}]


class Server(BaseHTTPRequestHandler):
    """Answers the four questions that an agent asks, and hands out two runs."""

    left: list[dict[str, Any]]
    config: str

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        answer = json.dumps({"data": self.answer(asked["query"], asked.get("variables") or {})}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "Heartbeat" in query:
            busy = variables.get("runState") not in (None, "{}")
            commands = [] if busy else [self.left.pop(0)] if self.left else [{"type": "exit"}]
            return {"agentHeartbeat": {"agent": {"id": "a"}, "commands": json.dumps(commands)}}
        if "CreateAgent" in query or "createAgent" in query:
            return {"createAgent": {"agent": {"id": "a"}}}
        if "Sweep" in query:
            edges = {"edges": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}
            sweep = {"id": "1", "name": "s1", "state": "RUNNING", "config": self.config, "bestLoss": None,
                     "method": "grid", "createdAt": "2026-01-01T00:00:00", "heartbeatAt": "2026-01-01T00:00:00",
                     "description": None, "displayName": None, "runs": edges, "runCount": 0,
                     "priorRuns": edges}  # fmt: skip
            return {"project": {"id": "p", "sweep": sweep}}
        return {"viewer": {"id": "v", "entity": "me", "username": "me", "flags": "{}", "teams": {"edges": []}}}

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[HTTPServer]:
    server = HTTPServer(("127.0.0.1", 0), Server)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.slow
def test_wandbs_agent_works_a_shipped_sweep_off(server: HTTPServer, tmp_path: Path) -> None:
    sweep = yaml.safe_load(shipped_sweep("iwae_k").read_text())
    metric = sweep["metric"]["name"]
    Server.config = json.dumps(sweep)
    Server.left = [
        {"type": "run", "run_id": f"r{i}", "program": "zoo",
         "args": {name: {"value": value} for name, value in (SMALL | run).items()}}
        for i, run in enumerate(RUNS)
    ]  # fmt: skip
    environment = os.environ | {
        "WANDB_BASE_URL": f"http://127.0.0.1:{server.server_port}",
        "WANDB_API_KEY": "0" * 40,
        "WANDB_MODE": "offline",
        "WANDB_DIR": str(tmp_path),
        "WANDB_CONFIG_DIR": str(tmp_path / "config"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }
    agent = [sys.executable, "-m", "wandb", "agent", "--count", "2", "me/project/s1"]
    done = subprocess.run(agent, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    configs = []
    for folder in sorted(tmp_path.glob("wandb/offline-run-*")):
        config, history, summary = read(folder)
        configs.append({"model.k": config["k"], "seed_everything": config["zoo"]["seed_everything"]})
        assert summary[metric] == [row[metric] for row in history if metric in row][-1]
        assert folder.name.endswith(f"-r{len(configs) - 1}")
    assert configs == RUNS
