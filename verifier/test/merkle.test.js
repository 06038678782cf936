import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fromHex, join, toHex } from '../src/bytes.js';
import { EMPTY_FRONTIER, EMPTY_ROOT, leafHash, verifyConsistency, verifyInclusion } from '../src/merkle.js';
import { load, loadFolder } from './vectors.js';

const many = (/** @type {string[]} */ hashes) => hashes.map((hash) => fromHex(hash));

test('every proof vector is accepted or refused as it says', () => {
  const cases = loadFolder('merkle').filter(([name]) => name !== 'all-sizes.json');
  assert.ok(cases.length > 40);
  for (const [name, each] of cases) {
    const act = each.flags.includes('inclusion')
      ? () =>
          verifyInclusion({
            leaf: fromHex(each.leaf_hash),
            index: each.index,
            size: each.size,
            proof: many(each.proof),
            root: fromHex(each.root),
          })
      : () =>
          verifyConsistency({
            oldSize: each.old_size,
            newSize: each.new_size,
            oldRoot: fromHex(each.old_root),
            newRoot: fromHex(each.new_root),
            proof: many(each.proof),
          });
    if (each.expect === 'ok') assert.doesNotThrow(act, name);
    else assert.throws(act, { code: each.expect }, name);
  }
});

test('the frontier has the root of every size', () => {
  const { empty_root: emptyRoot, trees, ...rest } = load('merkle/all-sizes.json');
  assert.equal(toHex(EMPTY_ROOT), emptyRoot);
  assert.ok(trees.length > 50, JSON.stringify(Object.keys(rest)));
  let frontier = EMPTY_FRONTIER;
  trees.forEach(({ size, root }, at) => {
    frontier = frontier.append(leafHash(entry(at)));
    assert.equal(frontier.size, size);
    assert.equal(toHex(frontier.root()), root, `size ${size}`);
  });
});

/** The entries that the generator hashes. @param {number} at */
const entry = (at) => join(new TextEncoder().encode(`entry ${at}`));
