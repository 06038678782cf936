/**
 * A second reader of invoke-logs, which reads bytes and a verifier key and nothing else: `replay(bytes, {trust})`
 * verifies every event of a bundle and derives the status of every effect, `verifyReceipt(bytes, {trust})` says what a
 * receipt proves about one effect, and `compare(bundle, other)` whether two views of one log can both be true.
 */
export { compare } from './agreement.js';
export { parseId } from './digest.js';
export { VerifyError } from './errors.js';
export { isReceipt, verifyReceipt } from './receipt.js';
export { replay } from './replay.js';
