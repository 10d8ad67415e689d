"""ready.py: waits until Cinder's services are up and its scheduler has heard from every back end."""

from cloud import Cloud, until

BACKENDS = {'lab@nfs', 'lab@nfs-qcow2', 'lab@rbd', 'lab@iscsi'}


def services_up(admin):
    services = admin.cinder('GET', '/os-services')['services']
    up = {service['host'] for service in services if service['state'] == 'up'}
    return BACKENDS | {'lab'} <= up


def backends_known(admin):
    # a scheduler that has just started knows no back end until they report
    pools = admin.cinder('GET', '/scheduler-stats/get_pools')['pools']
    return BACKENDS <= {pool['name'].split('#')[0] for pool in pools}


cloud = Cloud('admin', 'admin')
until("Cinder's services", lambda: services_up(cloud))
until("the scheduler to know every back end", lambda: backends_known(cloud))
