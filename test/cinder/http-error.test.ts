import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { errorOfAnswer, errorOfNetwork } from '../../src/cinder/http/http-error.js';
import type { HttpRequest } from '../../src/cinder/http/exchange.js';
import { Secret } from '../../src/secret.js';

const request: HttpRequest = {
  service: 'Cinder',
  method: 'PUT',
  url: 'http://c/v3/attachments',
  repeat: 'unsent',
};

const said = (text: string): string =>
  errorOfAnswer(request, {
    status: 400,
    headers: {},
    requestId: 'req-1',
    text: JSON.stringify({ badRequest: { message: text } }),
  }).message;

describe('what a service says', () => {
  it('is rid of what this process knows to be secret', () => {
    const password = new Secret('not a pattern finds this');
    assert.equal(
      said(`driver: tried ${password.reveal()} in vain`),
      'Cinder: PUT /v3/attachments answered 400: driver: tried <redacted> in vain',
    );
  });

  it('is rid of what looks secret, in whatever form services quote it', () => {
    for (const text of [
      '{"auth_password": "hunter2 two"}',
      "{'auth_password': u'hunter2'}",
      'iscsiadm -m node --op update -n node.session.auth.password -v hunter2 on 10.1.2.3',
      'mount --password hunter2 x',
      'X-Auth-Token: hunter2hunter2',
      "'X-Subject-Token', 'hunter2hunter2'",
      'key = hunter2==',
      'Value: hunter2',
      String.raw`{\"secret\": \"hunter2 and more\"}`,
      'token gAAAAABhunter2hunter2hunter2hunter2',
    ]) {
      assert.doesNotMatch(said(text), /hunter2|two|and more/, text);
    }
  });

  it('is left as it is where it only speaks of them', () => {
    for (const text of [
      'The password is expired and needs to be changed for user: 1234',
      'Invalid token, please log in',
      'Volume v status must be available or in-use or downloading to reserve, but the current status is detaching.',
    ]) {
      assert.ok(said(text).endsWith(text), said(text));
    }
  });
});

describe('a call that no server saw', () => {
  const failed = (code: string): string | undefined =>
    errorOfNetwork(request, Object.assign(new Error('connect'), { code }), 'req-9').context.requestId;

  it('has no request id: it is in no log', () => {
    for (const code of ['ECONNREFUSED', 'ENOTFOUND', 'EHOSTUNREACH', 'UND_ERR_CONNECT_TIMEOUT'])
      assert.equal(failed(code), undefined);
    assert.equal(failed('ECONNRESET'), 'req-9');
  });
});
