/**
 * The log's Merkle tree (RFC 9162 §2.1, SHA-256): hashes, the frontier that extends it, and its two proofs.
 *
 * An empty tree proves nothing: no leaf is in it and no consistency proof starts from it. Sizes are numbers to 2^53 -
 * 1, so they are halved by division: JavaScript's shifts end at 32 bits.
 */
import { sha256 } from '@noble/hashes/sha2.js';
import { join, sameBytes, toHex } from './bytes.js';
import { MalformedError, ProofInvalidError } from './errors.js';
import { INTEGER_MAX } from './limits.js';

export const HASH_BYTES = 32;
export const EMPTY_ROOT = sha256(new Uint8Array(0));

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);

/** @param {unknown} value @returns {value is Uint8Array} */
export const isHash = (value) => value instanceof Uint8Array && value.length === HASH_BYTES;

/** @param {Uint8Array} entry */
export const leafHash = (entry) => sha256(join(LEAF, entry));

/** @param {Uint8Array} left @param {Uint8Array} right */
export const nodeHash = (left, right) => sha256(join(NODE, left, right));

/** How many bits are set in a size: how many perfect subtrees it splits into. @param {number} size */
export function bitCount(size) {
  let count = 0;
  for (let rest = size; rest > 0; rest = Math.floor(rest / 2)) count += rest % 2;
  return count;
}

/** The right edge of a tree, a value: the roots of the perfect subtrees that it splits into, left to right. */
export class Frontier {
  /** @param {number} size @param {Uint8Array[]} hashes */
  constructor(size, hashes) {
    if (hashes.length !== bitCount(size) || hashes.some((hash) => hash.length !== HASH_BYTES)) {
      throw new MalformedError(`frontier: want ${bitCount(size)} hashes of ${HASH_BYTES} bytes for size ${size}`);
    }
    this.size = size;
    this.hashes = hashes;
  }

  /** The frontier with one leaf hash more. @param {Uint8Array} leaf */
  append(leaf) {
    const hashes = [...this.hashes];
    let node = leaf;
    // A right child's sibling is the last hash, and their parent is complete.
    for (let index = this.size; index % 2 === 1; index = (index - 1) / 2) {
      node = nodeHash(/** @type {Uint8Array} */ (hashes.pop()), node);
    }
    return new Frontier(this.size + 1, [...hashes, node]);
  }

  root() {
    return this.size === 0 ? EMPTY_ROOT : fold(this.hashes);
  }
}

export const EMPTY_FRONTIER = new Frontier(0, []);

/**
 * Throw unless `leaf`, a leaf hash, stands at `index` in the tree of `size` leaves under `root`.
 *
 * @param {{ leaf: Uint8Array, index: number, size: number, proof: Uint8Array[], root: Uint8Array }} claim
 */
export function verifyInclusion({ leaf, index, size, proof, root }) {
  const siblings = inclusionSiblings(index, size);
  checkHashes(proof, siblings.length, leaf, root);
  let node = leaf;
  siblings.forEach(([start], at) => {
    node = start < index ? nodeHash(proof[at], node) : nodeHash(node, proof[at]);
  });
  if (!sameBytes(node, root)) {
    throw new ProofInvalidError(
      `inclusion proof of leaf ${index} in size ${size}: leads to root ${toHex(node)}, want ${toHex(root)}`,
    );
  }
}

/**
 * Throw unless the tree under `oldRoot` is the beginning of the tree under `newRoot`.
 *
 * @param {{ oldSize: number, newSize: number, oldRoot: Uint8Array, newRoot: Uint8Array, proof: Uint8Array[] }} claim
 */
export function verifyConsistency({ oldSize, newSize, oldRoot, newRoot, proof }) {
  const { seedStart, siblings } = consistencySubtrees(oldSize, newSize);
  // Where the old tree is itself a subtree, a proof leaves it out: the verifier has the old root.
  const hashes = seedStart === 0 ? [oldRoot, ...proof] : proof;
  checkHashes(hashes, 1 + siblings.length, oldRoot, newRoot);
  let older = hashes[0];
  let newer = hashes[0];
  siblings.forEach(([start], at) => {
    const sibling = hashes[at + 1];
    if (start < oldSize) older = nodeHash(sibling, older);
    newer = start < oldSize ? nodeHash(sibling, newer) : nodeHash(newer, sibling);
  });
  if (!sameBytes(older, oldRoot) || !sameBytes(newer, newRoot)) {
    throw new ProofInvalidError(`consistency proof from size ${oldSize} to ${newSize}: leads to other roots`);
  }
}

/** @typedef {[start: number, stop: number]} Subtree  the leaves from start up to stop */

/** @param {number} index @param {number} size @returns {Subtree[]} from the leaf to the root */
function inclusionSiblings(index, size) {
  if (!(index >= 0 && index < size && size <= INTEGER_MAX)) {
    throw new ProofInvalidError(`inclusion proof: no leaf ${index} in a tree of size ${size}`);
  }
  return siblingsOnTheWay(
    size,
    (start, stop) => stop - start > 1,
    (middle) => index < middle,
  ).siblings;
}

/** @param {number} oldSize @param {number} newSize */
function consistencySubtrees(oldSize, newSize) {
  if (!(oldSize >= 1 && oldSize <= newSize && newSize <= INTEGER_MAX)) {
    throw new ProofInvalidError(`consistency proof: from size ${oldSize} to ${newSize}, want 1 <= old <= new`);
  }
  return siblingsOnTheWay(
    newSize,
    (_start, stop) => stop !== oldSize,
    (middle) => oldSize <= middle,
  );
}

/**
 * RFC 9162's splits, from the whole tree down while `goesOn`, to the left where `goesLeft`: the subtrees beside the
 * way.
 *
 * @param {number} size
 * @param {(start: number, stop: number) => boolean} goesOn
 * @param {(middle: number) => boolean} goesLeft
 * @returns {{ seedStart: number, siblings: Subtree[] }}
 */
function siblingsOnTheWay(size, goesOn, goesLeft) {
  const siblings = /** @type {Subtree[]} */ ([]);
  let start = 0;
  let stop = size;
  while (goesOn(start, stop)) {
    const middle = start + leftWidth(stop - start);
    if (goesLeft(middle)) {
      siblings.unshift([middle, stop]);
      stop = middle;
    } else {
      siblings.unshift([start, middle]);
      start = middle;
    }
  }
  return { seedStart: start, siblings };
}

/** The largest power of two below a width of 2 or more. @param {number} width */
function leftWidth(width) {
  let power = 1;
  while (power * 2 < width) power *= 2;
  return power;
}

/** @param {Uint8Array[]} hashes @param {number} count @param {Uint8Array[]} roots */
function checkHashes(hashes, count, ...roots) {
  // Lengths first: a 31-byte hash beside a 33-byte one would join to the bytes of another, true pair.
  if ([...hashes, ...roots].some((hash) => hash.length !== HASH_BYTES)) {
    throw new ProofInvalidError(`proof: a hash is not ${HASH_BYTES} bytes`);
  }
  if (hashes.length !== count) throw new ProofInvalidError(`proof: ${hashes.length} hashes to fold, want ${count}`);
}

/** @param {Uint8Array[]} hashes */
const fold = (hashes) => hashes.reduceRight((right, left) => nodeHash(left, right));
