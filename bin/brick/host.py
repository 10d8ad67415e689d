"""What of a connection is on this host now, from sysfs: sessions, disks, namespaces."""

import glob
import os
import re

SYS = '/sys'  # tests have recorded trees


def sysfs(path):
    try:
        with open(f'{SYS}/{path}', encoding='ascii', errors='replace') as file:
            return file.read().strip()
    except OSError:
        return ''


def listed(connection, plural, singular):
    values = connection.get(plural) or connection.get(singular)
    return values if isinstance(values, (list, tuple)) else [values]


def luns_of(connection):
    # SAM-2 addressing puts 16384 on LUNs from 256.
    luns = [int(lun) for lun in listed(connection, 'target_luns', 'target_lun')]
    return {*luns, *(lun + 16384 for lun in luns if lun > 255)}


def iscsi_sessions(connection):
    """Session name -> its block devices by LUN, for each session with a target of this connection."""
    iqns = set(listed(connection, 'target_iqns', 'target_iqn'))
    sessions = {}
    for path in glob.glob(f'{SYS}/class/iscsi_session/session*'):
        name = os.path.basename(path)
        if sysfs(f'class/iscsi_session/{name}/targetname') in iqns:
            blocks = glob.glob(f'{path}/device/target*/*:*:*:*/block/*')
            sessions[name] = [(int(block.split('/')[-3].rsplit(':', 1)[1]), block) for block in blocks]
    return sessions


def fc_devices(connection):
    wwns = {f'0x{wwn}'.lower() for wwn in listed(connection, 'target_wwns', 'target_wwn')}
    for target in glob.glob(f'{SYS}/class/fc_transport/target*'):
        if sysfs(f'class/fc_transport/{os.path.basename(target)}/port_name').lower() in wwns:
            for block in glob.glob(f'{target}/device/*:*:*:*/block/*'):
                yield int(block.split('/')[-3].rsplit(':', 1)[1]), block


def scan_fc(connection):
    """Asks for exactly our LUNs at exactly our targets, by the remote ports.

    When its last LUN goes, a target leaves fc_transport, and os-brick before 6.3 looks only there: it would find
    nothing to scan again but everything (a wildcard scan imports other people's LUNs).
    """
    wwns = {f'0x{wwn}'.lower() for wwn in listed(connection, 'target_wwns', 'target_wwn')}
    for port in map(os.path.basename, glob.glob(f'{SYS}/class/fc_remote_ports/rport-*')):
        if sysfs(f'class/fc_remote_ports/{port}/port_name').lower() in wwns:
            host, channel = re.match(r'rport-(\d+):(\d+)', port).groups()
            target = sysfs(f'class/fc_remote_ports/{port}/scsi_target_id')
            for lun in luns_of(connection) if target not in ('', '-1') else ():
                with open(f'{SYS}/class/scsi_host/host{host}/scan', 'w', encoding='ascii') as file:
                    file.write(f'{channel} {target} {lun}')


def nvme_controllers(connection):
    nqn = connection.get('target_nqn') or connection.get('nqn')
    names = [os.path.basename(path) for path in glob.glob(f'{SYS}/class/nvme/nvme*')]
    return [name for name in names if sysfs(f'class/nvme/{name}/subsysnqn') == nqn]


def nvme_namespaces(connection):
    """The namespaces of this volume: by uuid or nguid, or those of the whole subsystem if Cinder names neither."""
    wanted = {plain_id(connection.get(key)) for key in ('vol_uuid', 'volume_nguid', 'volume_uuid')} - {''}
    nqn = connection.get('target_nqn') or connection.get('nqn')
    for path in glob.glob(f'{SYS}/class/block/nvme*n*'):
        block = os.path.basename(path)
        if re.fullmatch(r'nvme\d+n\d+', block) and sysfs(f'class/block/{block}/device/subsysnqn') == nqn:
            ids = {plain_id(sysfs(f'class/block/{block}/{key}')) for key in ('uuid', 'nguid')}
            if not wanted or wanted & ids:
                yield block


def plain_id(text):
    return re.sub('[^0-9a-f]', '', (text or '').lower())


def block_devices(connection):
    """Names of the disks (paths, not maps) of this connection that are here now."""
    protocol = connection['driver_volume_type'].lower()
    if protocol.startswith('nvme'):
        return sorted(nvme_namespaces(connection))
    found = []
    if protocol in ('iscsi', 'iser'):
        found = [each for devices in iscsi_sessions(connection).values() for each in devices]
    elif protocol == 'fibre_channel':
        found = list(fc_devices(connection))
    return sorted(os.path.basename(block) for lun, block in found if lun in luns_of(connection))


def holders_of(names):
    return sorted({os.path.basename(path) for name in names for path in glob.glob(f'{SYS}/class/block/{name}/holders/*')})
