"""Unpacks the server out of its wheel: python3 unpack.py WHEEL FOLDER."""

import lzma
import os
import shutil
import sys
import zipfile

wheel, folder = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        if not name.startswith("milvus/data/"):
            continue
        base = os.path.basename(name)
        packed = base.endswith(".lzma")
        target = os.path.join(folder, base[: -len(".lzma")] if packed else base)
        with archive.open(name) as raw, open(target, "wb") as out:
            shutil.copyfileobj(lzma.open(raw) if packed else raw, out)
os.chmod(os.path.join(folder, "milvus"), 0o755)
