"""volume_types.py: volume types and quotas in Cinder. What exists is kept."""

from cloud import Cloud, Refused

BACKENDS = ['nfs', 'nfs-qcow2', 'rbd', 'iscsi']


def main():
    admin = Cloud('admin', 'admin')
    # the default quota (10 volumes) is in the database, not in cinder.conf
    unlimited = {'volumes': -1, 'gigabytes': -1, 'snapshots': -1}
    admin.cinder('PUT', '/os-quota-class-sets/default', {'quota_class_set': unlimited})
    create_volume_types(admin)


def create_volume_types(admin):
    for backend in BACKENDS:
        # image_service:store_id is the store Cinder names when it registers an image volume itself; it can be set
        # only while no volume uses the type
        extra = {'volume_backend_name': backend, 'image_service:store_id': f'cinder-{backend}'}
        create_volume_type(admin, backend, extra)
        if not backend.startswith('nfs'):  # Cinder's generic NFS driver has no multiattach
            create_volume_type(admin, f'{backend}-multi', {**extra, 'multiattach': '<is> True'})


def create_volume_type(admin, name, extra_specs):
    try:
        admin.cinder('POST', '/types', {'volume_type': {'name': name, 'extra_specs': extra_specs}})
    except Refused as refused:
        if refused.status != 409:
            raise


main()
