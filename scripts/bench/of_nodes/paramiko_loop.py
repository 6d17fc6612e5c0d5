"""The floor: a bare paramiko loop, one thread for each machine."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import paramiko

lab, load, nonce = json.loads(Path(sys.argv[1]).read_text()), sys.argv[2], sys.argv[3]
key = paramiko.Ed25519Key.from_private_key_file(lab["key"])


def one(node):
    client = paramiko.SSHClient()
    client.load_host_keys(lab["known_hosts"])
    client.connect(node["address"], node["port"], lab["user"], pkey=key, allow_agent=False, look_for_keys=False)
    if load == "transfer":
        with client.open_sftp() as sftp:
            sftp.put(lab["file"], f"/tmp/{nonce}")
        command = f"sha256sum /tmp/{nonce}"
    else:
        command = "true" if load == "nothing" else "/bin/sh -s /tmp/" + nonce
    stdin, stdout, _ = client.exec_command(command)
    if load == "ten":
        stdin.write(lab["ten"])
        stdin.channel.shutdown_write()
    out = stdout.read().decode()
    code = stdout.channel.recv_exit_status()
    client.close()
    assert code == 0 and (load != "transfer" or lab["sum"] in out), out


with ThreadPoolExecutor(len(lab["nodes"])) as pool:
    list(pool.map(one, lab["nodes"]))
