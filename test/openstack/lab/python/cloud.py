"""The lab's OpenStack as plain REST: the openstack command costs 2 s a call."""

import json
import time
import urllib.error
import urllib.request

KEYSTONE = 'http://127.0.0.1:5000/v3'
GLANCE = 'http://127.0.0.1:9292/v2'
CINDER = 'http://127.0.0.1:8776/v3'


class Refused(Exception):
    """An answer of 400 or more: .status, and the body as text."""

    def __init__(self, method, url, status, body):
        super().__init__(f'{method} {url}: {status} {body}')
        self.status = status


def call(method, url, body=None, headers=None):
    """One exchange: (response headers, JSON body or None). A body of bytes or a file is sent as it is."""
    sent = {'Content-Type': 'application/json', 'Accept': 'application/json', **(headers or {})}
    data = json.dumps(body).encode() if isinstance(body, (dict, list)) else body
    try:
        with urllib.request.urlopen(urllib.request.Request(url, data, sent, method=method), timeout=120) as answer:
            raw = answer.read()
            return answer.headers, json.loads(raw) if raw else None
    except urllib.error.HTTPError as error:
        raise Refused(method, url, error.code, error.read().decode(errors='replace')[:500]) from None


class Cloud:
    """One user's session in one project: .keystone(), .glance() and .cinder() call the service and return its JSON."""

    def __init__(self, user, project):
        default = {'id': 'default'}
        headers, body = call('POST', KEYSTONE + '/auth/tokens', {'auth': {
            'identity': {'methods': ['password'], 'password': {
                'user': {'name': user, 'password': user, 'domain': default}}},
            'scope': {'project': {'name': project, 'domain': default}}}})
        self.token = headers['X-Subject-Token']
        self.user = body['token']['user']['id']
        self.project = body['token']['project']['id']

    def keystone(self, method, path, body=None):
        return self._call(method, KEYSTONE + path, body)

    def glance(self, method, path, body=None, headers=None):
        return self._call(method, GLANCE + path, body, headers)

    def cinder(self, method, path, body=None):
        return self._call(method, f'{CINDER}/{self.project}{path}', body, {'OpenStack-API-Version': 'volume 3.54'})

    def _call(self, method, url, body, headers=None):
        return call(method, url, body, {'X-Auth-Token': self.token, **(headers or {})})[1]


def until(what, condition, seconds=120):
    """Asks until condition() is true and returns that value."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise SystemExit(f'timed out after {seconds} s waiting for {what}')
        time.sleep(0.25)
    return value
