import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '../src/bytes.js';
import { attachmentDigest, derive, stateRoot } from '../src/digest.js';
import { encode } from '../src/il1.js';
import { loadFolder, typed } from './vectors.js';

test('every name and digest is that of its vector', () => {
  const cases = loadFolder('digest').filter(([, each]) => each.digest !== undefined);
  assert.ok(cases.length > 20);
  for (const [name, each] of cases) assert.equal(digestOf(each), each.digest, name);
});

/** @param {any} each */
function digestOf(each) {
  if (each.governance_head !== undefined) {
    return stateRoot(each.size, each.governance_head, each.effects.map(typed), each.resources.map(typed));
  }
  if (each.context === undefined) return attachmentDigest(fromHex(each.raw));
  const raw = each.raw === undefined ? encode(typed(each.input)) : fromHex(each.raw);
  if (each.il1 !== undefined) assert.equal(toHex(raw), each.il1);
  return toHex(derive(each.context, raw));
}
