"""A relay in user space before each address's sshd: relay.py SECONDS ADDRESS...; prints the ports as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any


async def relay(addresses: list[str], delay: float) -> None:
    """Listen on a port for each address, and print the ports; what comes is passed on ``delay`` seconds later."""

    async def carry(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        waiting: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def write() -> None:
            while True:
                due, data = await waiting.get()
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                if not data:
                    break
                sink.write(data)
                await sink.drain()
            sink.close()

        writer = asyncio.create_task(write())
        try:
            while data := await source.read(1 << 16):
                waiting.put_nowait((time.monotonic() + delay, data))
        except OSError:
            pass
        waiting.put_nowait((time.monotonic() + delay, b""))
        await asyncio.gather(writer, return_exceptions=True)

    def serve(address: str) -> Any:
        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            far_reader, far_writer = await asyncio.open_connection(address, 22)
            await asyncio.gather(carry(reader, far_writer), carry(far_reader, writer), return_exceptions=True)

        return asyncio.start_server(connected, "127.0.0.1", 0, backlog=1024)

    servers = [await serve(address) for address in addresses]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await asyncio.Event().wait()


asyncio.run(relay(sys.argv[2:], float(sys.argv[1])))
