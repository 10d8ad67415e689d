"""A volume attached through Cinder's attachments API, and how QEMU reaches it in user space."""

import contextlib
import json
import subprocess

INITIATOR = 'iqn.2026-11.net.cinderfs:lab'
CONNECTOR = {'host': 'lab-seed', 'ip': '127.0.0.1', 'initiator': INITIATOR, 'multipath': False,
             'os_type': 'linux', 'platform': 'x86_64'}


@contextlib.contextmanager
def attached(cloud, volume, mode):
    """Attaches VOLUME ('ro' or 'rw') and yields its connection_info; whatever happens, nothing stays attached."""
    try:
        attachment = cloud.cinder('POST', '/attachments', {
            'attachment': {'volume_uuid': volume, 'mode': mode, 'connector': CONNECTOR}})['attachment']
        cloud.cinder('POST', f'/attachments/{attachment["id"]}/action', {'os-complete': {}})
        yield attachment['connection_info']
    finally:
        # by volume, not by id: Cinder does not roll back an attach that it refused
        for left in cloud.cinder('GET', f'/attachments?volume_id={volume}')['attachments']:
            cloud.cinder('DELETE', f'/attachments/{left["id"]}')


def qemu_node(connection):
    """(options that define the secret, the QEMU block node) for a connection_info of nfs, rbd or iscsi"""
    kind = connection['driver_volume_type']
    if kind == 'iscsi':
        return secret(connection['auth_password']), {
            'driver': 'iscsi', 'transport': 'tcp', 'portal': connection['target_portal'],
            'target': connection['target_iqn'], 'lun': connection['target_lun'],
            'user': connection['auth_username'], 'password-secret': 'secret', 'initiator-name': INITIATOR}
    if kind == 'rbd':
        pool, image = connection['name'].split('/')
        servers = [{'host': host, 'port': port} for host, port in zip(connection['hosts'], connection['ports'])]
        return secret(cephx_key(connection['auth_username']), 'base64'), {
            'driver': 'rbd', 'pool': pool, 'image': image, 'user': connection['auth_username'],
            'key-secret': 'secret', 'server': servers}
    host, directory = connection['export'].split(':', 1)
    return [], {'driver': 'nfs', 'server': {'type': 'inet', 'host': host}, 'path': f'{directory}/{connection["name"]}'}


def write(connection, path):
    """Copies the file PATH to the start of the volume."""
    options, node = qemu_node(connection)
    qemu_img('convert', '-n', '-f', 'raw', *options, path, 'json:' + json.dumps({'driver': 'raw', 'file': node}))


def read(connection, size, path):
    """Copies the first SIZE bytes of the volume to the file PATH."""
    options, node = qemu_node(connection)
    sectors = (size + 511) // 512 * 512  # QEMU counts in sectors
    raw = {'driver': 'raw', 'offset': 0, 'size': sectors, 'file': node}
    qemu_img('convert', '-O', 'raw', *options, 'json:' + json.dumps(raw), path)
    with open(path, 'r+b') as file:
        file.truncate(size)


def qemu_img(command, *arguments):
    subprocess.run(['qemu-img', command, *arguments], check=True)


def secret(data, encoding='raw'):
    return ['--object', f'secret,id=secret,format={encoding},data={data}']


def cephx_key(user):
    keyring = f'/etc/ceph/ceph.client.{user}.keyring'
    return subprocess.check_output(['ceph-authtool', '-p', '-n', f'client.{user}', keyring], text=True).strip()
