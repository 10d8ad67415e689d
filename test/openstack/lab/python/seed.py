"""seed.py STATE SERVICE...: puts the demo images into Cinder volumes and describes the lab in STATE/lab.json.

Each image is there in one of the three ways in which clouds come to have image volumes: uploaded by Glance through
its Cinder store, registered with Glance from outside as glance_store would, or uploaded by Cinder from a volume.
"""

import collections
import concurrent.futures
import hashlib
import itertools
import json
import os
import pathlib
import sys
import time

import attachment
import pattern
from cloud import Cloud, until

# name, volume type, how it comes into being, its bytes
Demo = collections.namedtuple('Demo', 'name type make write disk_format attachable', defaults=('raw', True))

GIB = 1 << 30


def main(state, *services):
    seeder = Seeder(pathlib.Path(state))
    # the back ends side by side, the images of one back end in turn
    lanes = [list(demos) for _, demos in itertools.groupby(DEMOS, lambda demo: backend(demo.type))]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        images = list(itertools.chain(*pool.map(lambda lane: [seeder.seed(demo) for demo in lane], lanes)))
    describe(seeder.state, images, services)


class Seeder:
    def __init__(self, state):
        self.state = state
        self.admin = Cloud('admin', 'admin')
        self.owner = Cloud('glance', 'service')  # of the image volumes
        (state / 'images').mkdir(exist_ok=True)

    def seed(self, demo):
        """Makes the image unless it is there; returns its entry for lab.json."""
        begin = time.monotonic()
        source = self.source(demo)
        known = self.known(demo)
        image = known or self.made(demo, source)
        if not known:
            print(f'{demo.name:<20} {time.monotonic() - begin:5.1f} s', flush=True)
        return {
            'name': demo.name, 'id': image['id'], 'size': image['size'], 'sha256': pattern.sha256(source),
            'source': str(source), 'volume_id': image['direct_url'].rsplit('/', 1)[1], 'location': image['direct_url'],
            'backend': backend(demo.type), 'multiattach': demo.type.endswith('-multi'),
            'disk_format': demo.disk_format, 'attachable': demo.attachable,
        }

    def source(self, demo):
        path = self.state / 'images' / f'{demo.name}.{demo.disk_format}'
        if not path.exists():
            unfinished = path.with_suffix('.unfinished')
            demo.write(demo.name, str(unfinished))
            unfinished.rename(path)
        return path

    def known(self, demo):
        """The active image of that name, if there is one; what an interrupted seed left is deleted."""
        active = None
        for image in self.admin.glance('GET', f'/images?name={demo.name}')['images']:
            if image['status'] == 'active':
                active = image
            else:
                self.admin.glance('DELETE', f'/images/{image["id"]}')
        return active

    def made(self, demo, source):
        image = demo.make(self, demo, source)
        until(f'{demo.name} to be active', lambda: self.admin.glance('GET', f'/images/{image}')['status'] == 'active')
        return self.admin.glance('GET', f'/images/{image}')

    # The three ways. Each returns the id of the image.

    def upload(self, demo, source):
        """`openstack image create --file`: Glance writes the volume through its Cinder store."""
        image = self.create_image(demo)
        headers = {'Content-Type': 'application/octet-stream', 'Content-Length': str(source.stat().st_size),
                   'X-Image-Meta-Store': f'cinder-{demo.type}'}
        with open(source, 'rb') as file:
            self.admin.glance('PUT', f'/images/{image}/file', file, headers)
        return image

    def register(self, demo, source):
        """What glance_store does on upload, from outside: Glance itself needs a kernel initiator for iSCSI."""
        image, size = self.create_image(demo), source.stat().st_size
        volume = self.create_volume(demo, f'image-{image}', {
            'glance_image_id': image, 'image_size': str(size), 'image_owner': self.admin.project})
        with attachment.attached(self.owner, volume, 'rw') as connection:
            attachment.write(connection, str(source))
        self.owner.cinder('POST', f'/volumes/{volume}/action', {'os-update_readonly_flag': {'readonly': True}})
        store, data = f'cinder-{backend(demo.type)}', source.read_bytes()
        self.admin.glance('PATCH', f'/images/{image}', [{'op': 'add', 'path': '/locations/-', 'value': {
            'url': f'cinder://{store}/{volume}', 'metadata': {'store': store}, 'validation_data': {
                'checksum': hashlib.md5(data).hexdigest(), 'os_hash_algo': 'sha512',
                'os_hash_value': hashlib.sha512(data).hexdigest()}}}],
            {'Content-Type': 'application/openstack-images-v2.1-json-patch'})
        return image

    def upload_from_volume(self, demo, source):
        """`openstack image create --volume`: Cinder clones the volume and registers it as cinder://<volume>."""
        volume = self.create_volume(demo, f'{demo.name}-source', {})
        with attachment.attached(self.owner, volume, 'rw') as connection:
            attachment.write(connection, str(source))
        image = self.owner.cinder('POST', f'/volumes/{volume}/action', {'os-volume_upload_image': {
            'image_name': demo.name, 'disk_format': 'raw', 'container_format': 'bare', 'visibility': 'public',
            'protected': False}})['os-volume_upload_image']['image_id']
        self.await_available(volume)
        self.owner.cinder('DELETE', f'/volumes/{volume}')
        return image

    def create_image(self, demo):
        return self.admin.glance('POST', '/images', {
            'name': demo.name, 'disk_format': demo.disk_format, 'container_format': 'bare',
            'visibility': 'public'})['id']

    def create_volume(self, demo, name, metadata):
        volume = self.owner.cinder('POST', '/volumes', {'volume': {
            'name': name, 'size': 1, 'volume_type': demo.type, 'metadata': metadata}})['volume']['id']
        self.await_available(volume)
        return volume

    def await_available(self, volume):
        def available():
            status = self.owner.cinder('GET', f'/volumes/{volume}')['volume']['status']
            if status.startswith('error'):
                raise SystemExit(f'volume {volume}: {status}')
            return status == 'available'
        until(f'volume {volume} to be available', available)


def backend(volume_type):
    return volume_type.removesuffix('-multi')


def describe(state, images, services):
    """lab.json: all that a test needs to know."""
    lab = {
        'clouds_yaml': str(state / 'clouds.yaml'),
        'cloud': 'lab',
        'clouds': {name: f'lab-{name}' for name in ('short', 'appcred', 'admin', 'glance', 'reader', 'demo')},
        'images': images,
        'services': services,
        'ceph_conf': str(state / 'etc/ceph/ceph.conf'),
        'nfs_export': f'127.0.0.1:{state}/var/nfs',
    }
    unfinished = state / 'lab.json.unfinished'
    unfinished.write_text(json.dumps(lab, indent=2) + '\n')
    os.replace(unfinished, state / 'lab.json')


DEMOS = [
    Demo('demo-nfs', 'nfs', Seeder.upload, pattern.write_raw),
    # Cinder's NFS driver (Zed) looks into the volume, finds a qcow2 and answers every attach with 500
    Demo('demo-nfs-qcow2', 'nfs', Seeder.upload, pattern.write_qcow2, 'qcow2', False),
    Demo('demo-rbd', 'rbd', Seeder.upload, pattern.write_ext4),
    Demo('demo-rbd-multi', 'rbd-multi', Seeder.upload, pattern.write_raw),
    Demo('demo-rbd-qcow2', 'rbd', Seeder.upload, pattern.write_qcow2, 'qcow2'),
    Demo('demo-iscsi', 'iscsi', Seeder.register, pattern.write_raw),
    Demo('demo-iscsi-multi', 'iscsi-multi', Seeder.register, pattern.write_raw),
    Demo('demo-iscsi-cinderup', 'iscsi', Seeder.upload_from_volume, pattern.write_volume),
]

main(*sys.argv[1:])
