/** Two views of one log, and whether both can be true. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex } from '../src/bytes.js';
import { compare, replay } from '../src/index.js';
import { loadFolder } from './vectors.js';

const cases = loadFolder('fork');

test('two views agree as their vector says', async () => {
  assert.ok(cases.length > 10);
  for (const [name, each] of cases) {
    const { agrees, index } = await compare(fromHex(each.bundle), fromHex(each.against));
    assert.deepEqual({ agrees, index }, { agrees: each.agrees, index: each.index }, name);
    assert.equal(agrees === false ? 'equivocation' : 'ok', each.expect, name);
  }
});

test('each view is true by itself', async () => {
  for (const [name, { bundle, against, trust }] of cases) {
    assert.equal((await replay(fromHex(bundle), { trust })).trusted, true, name);
    if (!name.startsWith('checkpoint')) assert.equal((await replay(fromHex(against))).ok, true, name);
  }
});

test('what is neither a bundle nor a checkpoint, or does not verify, agrees with nothing', async () => {
  const [, same] = cases.find(([name]) => name === 'same.json') ?? assert.fail();
  const bundle = fromHex(same.bundle);
  const broken = Uint8Array.from(bundle);
  broken[bundle.length - 100] ^= 1; // in the trailer's checkpoint: the leaves stay the same
  for (const [other, code] of [
    [new Uint8Array(0), 'cut'],
    [new TextEncoder().encode('no note\n'), 'malformed'],
    [bundle.subarray(0, -1), 'cut'],
    [broken, 'checkpoint-invalid'],
  ]) {
    const { agrees, reason } = await compare(bundle, other);
    assert.equal(agrees, false, reason);
    assert.match(reason, new RegExp(`${code}: `));
  }
});
