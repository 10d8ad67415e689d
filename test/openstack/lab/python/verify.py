"""verify.py STATE: attaches each demo image, reads it with QEMU in user space, compares its sha256, detaches."""

import json
import os
import pathlib
import sys
import tempfile
import time

import attachment
import pattern
from cloud import Cloud, Refused, until


def main(state):
    user = Cloud('cinderfs', 'service')
    images = json.loads(pathlib.Path(state, 'lab.json').read_text())['images']
    failed = [image['name'] for image in images if not verify(user, image)]
    left = user.cinder('GET', '/attachments')['attachments']
    if failed or left:
        raise SystemExit(f'failed: {failed}; attachments left: {left}')


def verify(user, image):
    begin = time.monotonic()
    with tempfile.TemporaryDirectory(dir=os.environ.get('TMPDIR', '/var/tmp')) as directory:
        copy = os.path.join(directory, image['name'])
        try:
            with attachment.attached(user, image['volume_id'], 'ro') as connection:
                attachment.read(connection, image['size'], copy)
            outcome = 'same bytes' if pattern.sha256(copy) == image['sha256'] else 'OTHER BYTES'
        except Refused as refused:
            outcome = f'attach refused ({refused.status})'
    expected = 'same bytes' if image['attachable'] else 'attach refused (500)'
    until('the volume to be available', lambda: status(user, image) == 'available')
    print(f'{image["name"]:<20} {time.monotonic() - begin:5.1f} s  {outcome}', flush=True)
    return outcome == expected


def status(user, image):
    return user.cinder('GET', f'/volumes/{image["volume_id"]}')['volume']['status']


main(*sys.argv[1:])
