import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, toHex } from '../src/bytes.js';
import { attachmentDigest, derive, stateRoot } from '../src/digest.js';
import { encode } from '../src/il1.js';
import { parseId } from '../src/index.js';
import { loadFolder, typed } from './vectors.js';

const cases = loadFolder('digest');
const isId = (/** @type {any} */ [, { flags }]) => flags[0] === 'id';

test('every name and digest is that of its vector', () => {
  const digests = cases.filter((each) => !isId(each));
  assert.ok(digests.length > 20);
  for (const [name, each] of digests) assert.equal(digestOf(each), each.digest, name);
});

test('every id has the one spelling that its vector says', () => {
  const ids = cases.filter(isId);
  assert.ok(ids.length > 10);
  for (const [name, { expect, text, prefix, raw }] of ids) {
    if (expect !== 'ok') {
      assert.throws(() => parseId(text, prefix), { code: 'malformed' }, name);
      continue;
    }
    assert.equal(parseId(text, prefix), raw, name);
    assert.equal(parseId(raw, prefix), raw, name);
    assert.equal(`${prefix}_${raw}`, text, name);
  }
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
