"""users.py TEMPLATE CLOUDS_YAML: projects, users, endpoints and clouds.yaml. What exists is kept."""

import os
import pathlib
import sys

from cloud import CINDER, Cloud

# user, project, roles there; every password is the user's name
GRANTS = [
    ('glance', 'service', ['admin', 'service']),
    ('cinder', 'service', ['admin', 'service']),
    ('cinderfs', 'service', ['member', 'service']),
    ('reader', 'service', ['reader']),
    ('demo', 'demo', ['member']),
]


def main(template, clouds_yaml):
    admin = Cloud('admin', 'admin')
    create_users(admin)
    create_endpoints(admin)
    text = pathlib.Path(template).read_text().replace('@application_credential_id@', application_credential())
    unfinished = pathlib.Path(clouds_yaml + '.unfinished')
    unfinished.write_text(text)
    os.replace(unfinished, clouds_yaml)


def create_users(admin):
    default = {'domain_id': 'default'}
    for user, project, roles in GRANTS:
        project_id = ensure(admin, 'project', project, default)
        user_id = ensure(admin, 'user', user, {'password': user, **default})
        for role in roles:
            role_id = ensure(admin, 'role', role, {})
            admin.keystone('PUT', f'/projects/{project_id}/users/{user_id}/roles/{role_id}')


def create_endpoints(admin):
    urls = {('cinderv3', 'volumev3'): CINDER + '/$(project_id)s', ('glance', 'image'): 'http://127.0.0.1:9292'}
    for (name, kind), url in urls.items():
        service = ensure(admin, 'service', name, {'type': kind})
        known = admin.keystone('GET', f'/endpoints?service_id={service}')['endpoints']
        for interface in {'public', 'internal', 'admin'} - {endpoint['interface'] for endpoint in known}:
            admin.keystone('POST', '/endpoints', {'endpoint': {
                'service_id': service, 'interface': interface, 'url': url, 'region_id': 'RegionOne'}})


def application_credential():
    """The id of user cinderfs's application credential."""
    owner = Cloud('cinderfs', 'service')
    path = f'/users/{owner.user}/application_credentials'
    known = owner.keystone('GET', path + '?name=cinderfs')['application_credentials']
    return (known or [owner.keystone('POST', path, {
        'application_credential': {'name': 'cinderfs', 'secret': 'cinderfs'}})['application_credential']])[0]['id']


def ensure(admin, kind, name, properties):
    """The id of the project, user, role or service of that name, made where there is none."""
    known = admin.keystone('GET', f'/{kind}s?name={name}')[f'{kind}s']
    return (known or [admin.keystone('POST', f'/{kind}s', {kind: {'name': name, **properties}})[kind]])[0]['id']


main(*sys.argv[1:])
