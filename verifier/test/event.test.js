import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '../src/bytes.js';
import { eventId } from '../src/digest.js';
import { composeEnvelope, entryOf, signedBytes, verifyEnvelope } from '../src/envelope.js';
import { readEvent } from '../src/event.js';
import { encode } from '../src/il1.js';
import { leafHash } from '../src/merkle.js';
import { loadFolder, typed } from './vectors.js';

const cases = loadFolder('event');

test('every event is composed, signed and named as its vector says', async () => {
  const accepted = cases.filter(([, { expect }]) => expect === 'ok');
  assert.ok(accepted.length > 20);
  for (const [name, each] of accepted) {
    const envelope = composeEnvelope(fromHex(each.body), fromHex(each.signature));
    assert.equal(eventId(envelope.body), each.event_id, name);
    assert.equal(toHex(leafHash(entryOf(envelope))), each.leaf_hash, name);
    assert.equal(await verifyEnvelope(envelope), true, name);
    assert.doesNotThrow(() => readEvent(envelope.fields, each.event_id), name);
    if (each.fields === undefined) {
      assert.equal(entryOf(envelope).length, each.entry_bytes, name);
      continue;
    }
    assert.equal(toHex(encode(typed(each.fields))), each.body, name);
    assert.equal(toHex(envelope.protectedHeader), each.header, name);
    assert.equal(toHex(signedBytes(envelope)), each.signed, name);
    assert.equal(toHex(entryOf(envelope)), each.entry, name);
  }
});

test('every other event is refused at the step that its vector names', async () => {
  const refused = cases.filter(([, { expect }]) => expect !== 'ok');
  assert.ok(refused.length > 100);
  for (const [name, each] of refused)
    assert.equal(await faultOf(fromHex(each.body), fromHex(each.signature)), each.expect, name);
});

/** @param {Uint8Array} body @param {Uint8Array} signature */
async function faultOf(body, signature) {
  let step = 'malformed';
  try {
    const envelope = composeEnvelope(body, signature);
    if (!(await verifyEnvelope(envelope))) return 'signature-invalid';
    step = 'form-invalid';
    readEvent(envelope.fields, eventId(body));
    return 'ok';
  } catch (error) {
    assert.equal(/** @type {any} */ (error).code, 'malformed');
    return step;
  }
}
