"""Reads what an offline W&B run holds; wandb itself ships no reader."""

import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wandb.proto import wandb_internal_pb2 as protocol

BLOCK, HEADER = 32768, 7


def records(path: Path) -> Iterator[Any]:
    """The records of a `.wandb` file: chunks of (crc, length, kind) and bytes, none across a block of 32 KiB."""
    data, place, record = path.read_bytes(), HEADER, b""
    while place + HEADER <= len(data):
        left = BLOCK - place % BLOCK
        if left < HEADER:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + HEADER])
        record += data[place + HEADER : place + HEADER + length]
        place += HEADER + length
        if kind in (1, 4):  # whole, or the last part
            yield protocol.Record.FromString(record)
            record = b""


def values(items: Any) -> dict[str, Any]:
    """The names and values of a record."""
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def read(folder: Path) -> tuple[dict[str, Any], list[dict[str, Any]], dict[str, Any]]:
    """The configuration, the history and the summary of the one offline run under a folder."""
    (path,) = folder.rglob("*.wandb")
    config: dict[str, Any] = {}
    summary: dict[str, Any] = {}
    history: list[dict[str, Any]] = []
    for record in records(path):
        config |= values(record.config.update)
        summary |= values(record.summary.update)
        for item in record.summary.remove:
            summary.pop(item.key or ".".join(item.nested_key), None)
        if record.WhichOneof("record_type") == "history":
            history.append(values(record.history.item))
    return config, history, summary
