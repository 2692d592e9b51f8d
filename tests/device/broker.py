"""AWS IoT for the agent's tests: MiniStack, with its broker on the loopback interface.

MiniStack listens for MQTT on every interface; here its one call of `create_server` for the broker is given another
address. `python -m tests.device.broker PORT MQTT_PORT DIRECTORY` prints a line when it listens.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from pathlib import Path
from typing import Any

HOST = "127.0.0.1"


def main() -> None:
    port, mqtt_port, directory = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    os.environ |= {
        "GATEWAY_PORT": str(port),
        "MINISTACK_HOST": HOST,
        "MINISTACK_REGION": "us-east-1",
        "PERSIST_STATE": "1",
        "STATE_DIR": str(directory / "services"),
        "S3_PERSIST": "1",
        "S3_DATA_DIR": str(directory / "s3"),
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "1",
        "IOT_MTLS_PORT": str(mqtt_port),
        "LOG_LEVEL": "WARNING",
    }
    asyncio.run(_serve(port))


async def _serve(port: int) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config
    from ministack.app import app
    from ministack.services import iot

    loop: Any = asyncio.get_running_loop()
    create_server = loop.create_server

    def create_on_loopback(factory: Any, host: Any = None, port: Any = None, **how: Any) -> Any:
        return create_server(factory, host=HOST if factory is iot._MtlsAcceptor else host, port=port, **how)

    loop.create_server = create_on_loopback

    async def application(scope: Any, receive: Any, send: Any) -> None:
        async def announce(message: Any) -> None:
            await send(message)
            if message["type"] == "lifespan.startup.complete":
                sys.stdout.write("listening\n")
                sys.stdout.flush()

        await app(scope, receive, announce if scope["type"] == "lifespan" else send)

    config = Config()
    listener = socket.create_server((HOST, port))
    config.bind = [f"fd://{listener.fileno()}"]
    config.loglevel = "ERROR"
    await serve(application, config)


if __name__ == "__main__":
    main()
