import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '../src/bytes.js';
import { openCheckpoint } from '../src/checkpoint.js';
import { parseVerifierKey } from '../src/keys.js';
import { formatNote, parseNote } from '../src/note.js';
import { loadFolder } from './vectors.js';

test('every checkpoint vector is opened or refused as it says', async () => {
  const cases = loadFolder('checkpoint');
  assert.ok(cases.length > 50);
  for (const [name, each] of cases) {
    const open = async () =>
      openCheckpoint(fromHex(each.note), parseVerifierKey(each.log_key), each.witness_keys.map(parseVerifierKey));
    if (each.expect !== 'ok') {
      await assert.rejects(open, { code: each.expect }, name);
      continue;
    }
    const opened = await open();
    assert.equal(opened.origin, each.origin, name);
    assert.equal(opened.size, each.size, name);
    assert.equal(toHex(opened.root), each.root, name);
    assert.equal(opened.unchecked.length, each.unchecked, name);
    assert.deepEqual(
      opened.cosignatures.map(({ name: by, keyId, timeS }) => ({ name: by, key_id: keyId, time_s: Number(timeS) })),
      each.cosignatures,
      name,
    );
    assert.equal(toHex(formatNote(parseNote(fromHex(each.note)))), each.note, name);
  }
});
