from pyinfra import host
from pyinfra.operations import files, server

nonce = host.data.nonce
files.put(src=host.data.file, dest=f"/tmp/{nonce}")
server.shell(commands=[f"sha256sum /tmp/{nonce}"])
