import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { test } from 'node:test';
import { fromHex, toHex } from '../src/bytes.js';
import { PrefixTree, verifyAbsent, verifyPresent } from '../src/prefix_tree.js';
import { load, loadFolder } from './vectors.js';

const sha256 = (/** @type {string} */ text) => Uint8Array.from(createHash('sha256').update(text).digest());
const key = (/** @type {number} */ number) => sha256(`key ${number}`);
const value = (/** @type {number} */ number) => sha256(`value ${number}`);

test('every proof vector is accepted or refused as it says', () => {
  const cases = loadFolder('prefix_tree').filter(([name]) => name !== 'all-sizes.json');
  assert.ok(cases.length > 30);
  for (const [name, each] of cases) {
    const proof = {
      siblings: each.siblings.map(fromHex),
      leaf: each.leaf === null ? null : /** @type {[Uint8Array, Uint8Array]} */ (each.leaf.map(fromHex)),
    };
    const claim = { key: fromHex(each.key), proof, root: fromHex(each.root) };
    const act = each.flags.includes('present')
      ? () => verifyPresent({ ...claim, value: fromHex(each.value) })
      : () => verifyAbsent(claim);
    if (each.expect === 'ok') assert.doesNotThrow(act, name);
    else assert.throws(act, { code: each.expect }, name);
  }
});

test('a tree has the root and the proofs of every size', () => {
  const { maps } = load('prefix_tree/all-sizes.json');
  assert.ok(maps.length > 10);
  for (const { size, root, proofs_sha256: wanted } of maps) {
    let tree = new PrefixTree();
    for (let at = size - 1; at >= 0; at -= 1) tree = tree.put(key(at), value(at));
    assert.equal(toHex(tree.root()), root, `size ${size}`);
    const proofs = createHash('sha256');
    for (let at = 0; at < 100; at += 1) {
      const { siblings, leaf } = tree.prove(key(at));
      for (const part of [...siblings, ...(leaf ?? [])]) proofs.update(part);
    }
    assert.equal(proofs.digest('hex'), wanted, `proofs of size ${size}`);
  }
});

test('a second value under a key replaces the first', () => {
  const tree = new PrefixTree().put(key(1), value(1)).put(key(2), value(2));
  const again = tree.put(key(1), value(3));
  assert.notEqual(toHex(again.root()), toHex(tree.root()));
  assert.equal(toHex(again.put(key(1), value(1)).root()), toHex(tree.root()));
});
