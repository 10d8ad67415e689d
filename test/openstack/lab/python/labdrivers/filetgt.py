"""Out-of-tree Cinder driver of the lab: volumes are sparse raw files, exported by the
stock cinder.volume.targets.tgt.TgtAdm (user space iSCSI target, CHAP always).

The LVM driver minus LVM: this kernel has no device-mapper.  Everything about
the data path (create_export/initialize_connection/...) is Cinder's own code.
"""
import os

from oslo_config import cfg
from oslo_log import log as logging
from oslo_utils import importutils
from oslo_utils import units

from cinder import exception
from cinder.image import image_utils
from cinder import interface
from cinder.volume import configuration
from cinder.volume import driver
from cinder.volume import volume_utils

LOG = logging.getLogger(__name__)

opts = [
    cfg.StrOpt('filetgt_dir', default='/var/lib/cinder/filetgt',
               help='Directory holding the volume files.'),
]
CONF = cfg.CONF
CONF.register_opts(opts, group=configuration.SHARED_CONF_GROUP)


@interface.volumedriver
class FileTgtDriver(driver.VolumeDriver):
    VERSION = '1.0.0'
    CI_WIKI_NAME = 'None'

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.configuration.append_config_values(opts)
        self.backend_name = (
            self.configuration.safe_get('volume_backend_name') or 'filetgt')
        self.dir = self.configuration.filetgt_dir
        self.target_driver = importutils.import_object(
            self.target_mapping[self.configuration.safe_get('target_helper')],
            configuration=self.configuration, executor=self._execute)
        self.protocol = self.target_driver.protocol

    @classmethod
    def get_driver_options(cls):
        return opts

    def do_setup(self, context):
        self.target_driver.db = self.db

    def check_for_setup_error(self):
        os.makedirs(self.dir, exist_ok=True)

    # ---- control path -------------------------------------------------
    def _path(self, name):
        return os.path.join(self.dir, name)

    def local_path(self, volume):
        return self._path(volume['name'])

    def _sparse(self, path, size_gb):
        with open(path, 'ab') as f:
            f.truncate(size_gb * units.Gi)

    def _copy(self, src, dst):
        self._execute('cp', '--sparse=always', src, dst)

    def create_volume(self, volume):
        self._sparse(self.local_path(volume), volume['size'])

    def delete_volume(self, volume):
        try:
            os.unlink(self.local_path(volume))
        except FileNotFoundError:
            LOG.warning('file of %s is already gone', volume['name'])

    def extend_volume(self, volume, new_size):
        self._sparse(self.local_path(volume), new_size)
        self.target_driver.extend_target(volume)

    def create_snapshot(self, snapshot):
        self._copy(self._path(snapshot['volume_name']),
                   self._path(snapshot['name']))

    def delete_snapshot(self, snapshot):
        try:
            os.unlink(self._path(snapshot['name']))
        except FileNotFoundError:
            pass

    def create_volume_from_snapshot(self, volume, snapshot):
        self._copy(self._path(snapshot['name']), self.local_path(volume))
        self._sparse(self.local_path(volume), volume['size'])

    def create_cloned_volume(self, volume, src_vref):
        self._copy(self.local_path(src_vref), self.local_path(volume))
        self._sparse(self.local_path(volume), volume['size'])

    def clone_image(self, context, volume, image_location, image_meta,
                    image_service):
        return None, False

    def copy_image_to_volume(self, context, volume, image_service, image_id):
        image_utils.fetch_to_raw(context, image_service, image_id,
                                 self.local_path(volume),
                                 self.configuration.volume_dd_blocksize,
                                 size=volume['size'])
        self._sparse(self.local_path(volume), volume['size'])

    def copy_volume_to_image(self, context, volume, image_service, image_meta):
        volume_utils.upload_volume(context, image_service, image_meta,
                                   self.local_path(volume), volume)

    def get_pool(self, volume):
        return self.backend_name

    def _update_volume_stats(self):
        st = os.statvfs(self.dir)
        self._stats = {
            'volume_backend_name': self.backend_name,
            'vendor_name': 'Lab', 'driver_version': self.VERSION,
            'storage_protocol': self.protocol, 'shared_targets': False,
            'pools': [{
                'pool_name': self.backend_name,
                'total_capacity_gb': st.f_blocks * st.f_frsize / units.Gi,
                'free_capacity_gb': st.f_bavail * st.f_frsize / units.Gi,
                'reserved_percentage': 0, 'QoS_support': False,
                'thin_provisioning_support': True,
                'thick_provisioning_support': False,
                'max_over_subscription_ratio': 20,
                'provisioned_capacity_gb': 0,
                'multiattach': True, 'backend_state': 'up',
            }],
        }

    # ---- data path: all of it is the stock target driver ---------------
    def ensure_export(self, context, volume):
        return self.target_driver.ensure_export(context, volume,
                                                self.local_path(volume))

    def create_export(self, context, volume, connector):
        info = self.target_driver.create_export(context, volume,
                                                self.local_path(volume))
        return {'provider_location': info['location'],
                'provider_auth': info['auth']}

    def remove_export(self, context, volume):
        self.target_driver.remove_export(context, volume)

    def initialize_connection(self, volume, connector):
        return self.target_driver.initialize_connection(volume, connector)

    def validate_connector(self, connector):
        return self.target_driver.validate_connector(connector)

    def terminate_connection(self, volume, connector, **kwargs):
        # same rule as LVMVolumeDriver
        attachments = volume.volume_attachment
        if volume.multiattach:
            if sum(1 for a in attachments if a.connector and
                    a.connector['initiator'] == connector['initiator']) > 1:
                return True
        self.target_driver.terminate_connection(volume, connector, **kwargs)
        return len(attachments) > 1
