/**
 * The map: one root over all (key, value) pairs, and a proof for any key that it is there or that it is not.
 *
 * A prefix tree over the bits of 32-byte keys, most significant first. A subtree with no key is 32 zero bytes, one
 * with a single key is that leaf, any other is a node over two subtrees. A tree is a value; `put` returns another.
 */
import { join, sameBytes } from './bytes.js';
import { derive } from './digest.js';
import { ProofInvalidError } from './errors.js';

export const HASH_BYTES = 32;
/** Bits of a key: no leaf stands deeper, and no walk or proof is longer. */
const DEPTH_MAX = 256;
const EMPTY = new Uint8Array(HASH_BYTES);

/** @typedef {{ key: Uint8Array, value: Uint8Array, hash: Uint8Array }} Leaf */
/** @typedef {{ left: Subtree, right: Subtree, hash: Uint8Array | null }} Node  the hash is kept once it is made */
/** @typedef {Leaf | Node | null} Subtree */
/** @typedef {{ siblings: Uint8Array[], leaf: [key: Uint8Array, value: Uint8Array] | null }} MapProof */

/** A map of 32-byte keys to 32-byte values, as of one moment. */
export class PrefixTree {
  /** @param {Subtree} [top] */
  constructor(top = null) {
    this.top = top;
  }

  /** The tree in which `key` has `value`, whatever it had before. @param {Uint8Array} key @param {Uint8Array} value */
  put(key, value) {
    return new PrefixTree(put(this.top, { key, value, hash: leafHash(key, value) }, 0));
  }

  /** The 32-byte root hash; zeros while there is no key. */
  root() {
    return hashOf(this.top);
  }

  /** What the tree says about `key`: its value, or that it is not there. @param {Uint8Array} key @returns {MapProof} */
  prove(key) {
    const siblings = [];
    let subtree = this.top;
    while (subtree !== null && 'left' in subtree) {
      /** @type {boolean} */
      const wentRight = bit(key, siblings.length) === 1;
      siblings.push(hashOf(wentRight ? subtree.left : subtree.right));
      subtree = wentRight ? subtree.right : subtree.left;
    }
    return { siblings, leaf: subtree === null ? null : [subtree.key, subtree.value] };
  }
}

/**
 * Throw unless `key` has `value` in the tree under `root`.
 *
 * @param {{ key: Uint8Array, value: Uint8Array, proof: MapProof, root: Uint8Array }} claim
 */
export function verifyPresent({ key, value, proof, root }) {
  if (proof.leaf === null || !sameBytes(proof.leaf[0], key) || !sameBytes(proof.leaf[1], value)) {
    throw new ProofInvalidError('map proof: does not end at the key with its value');
  }
  verifyPath(key, proof, root);
}

/**
 * Throw unless `key` is not in the tree under `root`: its place is empty, or another key's leaf.
 *
 * @param {{ key: Uint8Array, proof: MapProof, root: Uint8Array }} claim
 */
export function verifyAbsent({ key, proof, root }) {
  if (proof.leaf !== null) {
    const [other] = proof.leaf;
    if (sameBytes(other, key)) throw new ProofInvalidError('map proof: the key is there, want it absent');
    // Only a leaf on the key's own path says anything about it: one from elsewhere is there beside a present key.
    const onPath =
      other.length === HASH_BYTES && proof.siblings.every((_, depth) => bit(other, depth) === bit(key, depth));
    if (!onPath) throw new ProofInvalidError("map proof: ends at a leaf that is not on the key's path");
  }
  verifyPath(key, proof, root);
}

/** @param {Uint8Array} key @param {MapProof} proof @param {Uint8Array} root */
function verifyPath(key, { siblings, leaf }, root) {
  // Hashes are joined without lengths, so each part has to have its own.
  const parts = [key, ...siblings, ...(leaf ?? [])];
  if (siblings.length > DEPTH_MAX || parts.some((part) => part.length !== HASH_BYTES)) {
    throw new ProofInvalidError(`map proof: want at most ${DEPTH_MAX} siblings, and 32 bytes in every part`);
  }
  const end = leaf === null ? EMPTY : leafHash(...leaf);
  const found = siblings.reduceRight(
    (node, beside, depth) => (bit(key, depth) === 1 ? nodeHash(beside, node) : nodeHash(node, beside)),
    end,
  );
  if (!sameBytes(found, root)) throw new ProofInvalidError('map proof: leads to another root');
}

/** @param {Subtree} subtree @param {Leaf} leaf @param {number} depth @returns {Leaf | Node} */
function put(subtree, leaf, depth) {
  if (subtree === null) return leaf;
  if (!('left' in subtree)) {
    if (sameBytes(subtree.key, leaf.key)) return leaf;
    // A second key comes here: the first moves one bit down, and further while the two go the same way.
    const moved = bit(subtree.key, depth) === 1 ? { left: null, right: subtree } : { left: subtree, right: null };
    return put({ ...moved, hash: null }, leaf, depth);
  }
  const { left, right } = subtree;
  return bit(leaf.key, depth) === 1
    ? { left, right: put(right, leaf, depth + 1), hash: null }
    : { left: put(left, leaf, depth + 1), right, hash: null };
}

/** @param {Subtree} subtree @returns {Uint8Array} */
function hashOf(subtree) {
  if (subtree === null) return EMPTY;
  if (subtree.hash !== null) return subtree.hash;
  const { left, right } = /** @type {Node} */ (subtree);
  subtree.hash = nodeHash(hashOf(left), hashOf(right));
  return subtree.hash;
}

/** @param {Uint8Array} key @param {number} depth @returns {number} */
const bit = (key, depth) => (key[depth >> 3] >> (~depth & 7)) & 1;

/** @param {Uint8Array} key @param {Uint8Array} value */
const leafHash = (key, value) => derive('map leaf', join(key, value));

/** @param {Uint8Array} left @param {Uint8Array} right */
const nodeHash = (left, right) => derive('map node', join(left, right));
