from pyinfra import host
from pyinfra.operations import files

base = f"/tmp/{host.data.nonce}"
files.directory(path=base)
for i in range(1, 6):
    files.directory(path=f"{base}/d{i}", mode="750")
    files.line(path=f"{base}/f{i}", line=f"setting={i}", ensure_newline=True)
