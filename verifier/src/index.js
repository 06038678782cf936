/**
 * A second reader of invoke-log bundles: `replay(bytes, {trust})` reads a bundle and a verifier key and nothing else,
 * verifies every event, and derives the status of every effect.
 */
export { VerifyError } from './errors.js';
export { replay } from './replay.js';
