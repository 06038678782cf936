import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex } from '../src/bytes.js';
import { formatVerifierKey, parseVerifierKey, passesKeyRule, verify } from '../src/keys.js';
import { load } from './vectors.js';

test('the KEY rule agrees with every vector', () => {
  const cases = load('ed25519/keys.json');
  assert.ok(cases.length > 10);
  for (const { id, key, valid } of cases) assert.equal(passesKeyRule(key), valid, id);
});

test('the SIG rule agrees with every vector', async () => {
  const cases = load('ed25519/verify.json');
  assert.ok(cases.length > 20);
  for (const { id, key, msg, sig, valid } of cases) {
    assert.equal(await verify(key, fromHex(msg), fromHex(sig)), valid, id);
  }
});

const KEY = 'log.example/payments+1ad14cf4+AYqI4910CfGV/VLbLTy6XXLKZwm/HZQSG/N0iAG0D29c';

test('a verifier key has one spelling', () => {
  assert.equal(formatVerifierKey(parseVerifierKey(KEY)), KEY);
  const others = [
    ` ${KEY}`,
    `${KEY}\n`,
    KEY.replace('1ad14cf4', '1AD14CF4'),
    KEY.replace('1ad14cf4', '1ad14cf5'),
    `${KEY}=`,
    KEY.slice(0, -1),
    KEY.replace('log.example', 'log example'),
    'log.example/payments+1ad14cf4',
    '',
  ];
  for (const other of others) assert.throws(() => parseVerifierKey(other), { code: 'malformed' }, other);
});
