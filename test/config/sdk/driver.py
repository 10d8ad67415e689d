"""What openstacksdk and keystoneauth make of clouds.yaml, an environment and a service catalog.

One question per line on stdin, one answer per line on stdout, both JSON. Nothing leaves this process: a Keystone
inside of it answers, and records the login.
"""

import importlib
import importlib.metadata
import json
import logging
import os
import sys
import traceback
import warnings

import requests
from keystoneauth1.session import _StringFormatter
from openstack.config import loader

logging.disable()
warnings.simplefilter('ignore')
PATH = os.environ['PATH']


class Keystone(requests.adapters.BaseAdapter):
    """Answers as a Keystone that has v3 alone, under any path."""

    def __init__(self, catalog):
        super().__init__()
        self.catalog = catalog
        self.login = None

    def close(self):
        pass

    def send(self, request, **kwargs):
        origin, path = split(request.url)
        if request.method == 'GET':
            return self.discovery(request, origin, path.rstrip('/'))
        prefix = path[:-len('/v3/auth/tokens')]
        if not path.endswith('/v3/auth/tokens') or '/v3' in prefix or '/v2.0' in prefix:
            return answer(request, 404, {'error': {'message': 'not found', 'code': 404}})
        self.login = {'url': request.url, 'body': json.loads(request.body),
                      'verify': kwargs.get('verify'), 'cert': kwargs.get('cert')}
        return answer(request, 201, {'token': {
            'methods': ['password'], 'issued_at': '2001-01-01T00:00:00.000000Z',
            'expires_at': '2101-01-01T00:00:00.000000Z', 'user': {'id': 'uid', 'name': 'u', 'domain': {'id': 'd', 'name': 'D'}},
            'project': {'id': 'the-project', 'name': 'p', 'domain': {'id': 'd', 'name': 'D'}},
            'roles': [{'id': 'r', 'name': 'member'}], 'catalog': self.catalog,
        }}, {'X-Subject-Token': 'token'})

    @staticmethod
    def discovery(request, origin, path):
        def version(base):
            return {'id': 'v3.14', 'status': 'stable', 'updated': '2020-04-07T00:00:00Z',
                    'links': [{'rel': 'self', 'href': origin + base + '/v3/'}], 'media-types': []}
        if path.endswith('/v3'):
            return answer(request, 200, {'version': version(path[:-3])})
        if '/v3/' in path or '/v2.0' in path:
            return answer(request, 404, {})
        return answer(request, 300, {'versions': {'values': [version(path)]}})


def split(url):
    scheme, rest = url.split('://', 1)
    host, _, path = rest.partition('/')
    return f'{scheme}://{host}', '/' + path.split('?')[0]


def answer(request, status, body, headers=None):
    response = requests.Response()
    response.status_code = status
    response._content = json.dumps(body).encode()
    response.headers.update({'Content-Type': 'application/json', **(headers or {})})
    response.request = request
    response.url = request.url
    return response


def ask(question):
    if 'package' in question:
        return {'version': importlib.metadata.version(question['package'])}
    os.environ.clear()
    os.environ.update(PATH=PATH, **question['env'])
    if 'url' in question:
        return {'proxy': requests.utils.select_proxy(question['url'], requests.utils.get_environ_proxies(question['url']))}
    os.chdir(question['directory'])
    importlib.reload(loader)  # it looks at the environment and the working directory when it is loaded
    config = loader.OpenStackConfig()
    region = {}
    # As openstackclient does, whose --os-region-name has this default.
    if os.environ.get('OS_REGION_NAME') and config.default_cloud != config.envvar_key:
        region['region_name'] = os.environ['OS_REGION_NAME']
    cloud = config.get_one(**region)
    session = cloud.get_session()
    keystone = Keystone(question['catalog'])
    session.session.mount('http://', keystone)
    session.session.mount('https://', keystone)
    access = session.auth.get_access(session)
    return {
        'cloud': cloud.name,
        'login': keystone.login,
        'image': endpoint(cloud, session, access, 'image'),
        'volume': endpoint(cloud, session, access, 'block-storage'),
    }


def endpoint(cloud, session, access, service):
    """Where keystoneauth would begin to talk to the service; the name of its error where it would not."""
    try:
        override = cloud.get_endpoint(service)
        if override:
            return override % _StringFormatter(session, session.auth)
        return access.service_catalog.endpoint_data_for(
            service_type=cloud.get_service_type(service),
            interface=cloud.get_interface(service) or 'public',
            region_name=cloud.get_region_name(service),
            service_name=cloud.get_service_name(service)).url
    except Exception as error:
        return {'refused': f'{type(error).__name__}: {error}'[:200]}


for line in sys.stdin:
    try:
        found = ask(json.loads(line))
    except Exception as error:
        found = {'refused': f'{type(error).__name__}: {error}'[:300]}
        if os.environ.get('DEBUG_SDK'):
            traceback.print_exc()
    print(json.dumps(found, default=str), flush=True)
