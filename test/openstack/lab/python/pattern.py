"""The bytes of the demo images: different for each name, the same on every machine (but for the ext4 one), with holes."""

import hashlib
import os
import pathlib
import subprocess
import tempfile

MIB = 1 << 20
# not a multiple of a sector, a page, a stripe or a MiB: the end of the image is inside a block of every size
SIZE = 64 * MIB + 1234567


def write_raw(name, path):
    """Three MiB of pseudo-random bytes, then a hole of one, and so on; the last byte is not zero."""
    with open(path, 'wb') as file:
        for start in range(0, SIZE, MIB):
            file.seek(start)
            if start // MIB % 4 != 3:
                file.write(noise(f'{name}:{start}', min(MIB, SIZE - start)))
        file.seek(SIZE - 1)
        file.write(b'\xff')


def write_ext4(name, path):
    """An ext4 file system with a file of its own, and behind its end as many bytes again as make up SIZE."""
    with tempfile.TemporaryDirectory() as tree:
        pathlib.Path(tree, 'hello.txt').write_text(f'hello from {name}\n')
        pathlib.Path(tree, 'noise.bin').write_bytes(noise(name, 20 * MIB))
        pathlib.Path(path).write_bytes(b'')
        os.truncate(path, 64 * MIB)
        subprocess.run(['mkfs.ext4', '-q', '-F', '-L', 'demo', '-d', tree, path], check=True)
    with open(path, 'r+b') as file:
        file.seek(64 * MIB)
        file.write(noise(f'{name}:tail', SIZE - 64 * MIB - 1) + b'\xff')


def write_qcow2(name, path):
    """A qcow2 file; the image's bytes are this file, not the disk inside."""
    raw = f'{path}.raw'
    write_raw(name, raw)
    subprocess.run(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2', raw, path], check=True)
    os.unlink(raw)


def write_volume(name, path):
    """As write_raw, but a whole volume of 1 GiB: what Cinder uploads has no size of its own."""
    write_raw(name, path)
    os.truncate(path, 1 << 30)


def noise(seed, size):
    return hashlib.shake_256(seed.encode()).digest(size)


def sha256(path):
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()
