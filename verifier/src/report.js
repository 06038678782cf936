/** What an audit found, in the fields of `invoke-log replay --json`. */

/** @typedef {import('./bytes.js').Hex} Hex */
/** One disagreement. `index`: its leaf, null where no leaf is meant.
 * @typedef {{ code: string, severity: 'error' | 'warning', index: number | null, message: string }} Finding */
/** `grade`: E0 to E2, `attested`, or null while nothing has settled it.
 * @typedef {{
 *   effect_key: string, resource: string, effect_class: string, purpose: string, status: string, generation: number,
 *   attempts: number, grade: string | null, relies_on: string[], events: string[],
 * }} EffectReport */
/** `state_root` is null where the bytes could not be replayed; `covered.size` where no checkpoint covers the leaves.
 * `cosignatures_not_checked` counts lines under keys that were not given: of these nothing is known.
 * @typedef {{
 *   v: 1, ok: boolean, trusted: boolean, origin: string | null, size: number, root: Hex | null, state_root: Hex | null,
 *   covered: { size: number | null, cosignatures: number, cosignatures_not_checked: number }, effects: EffectReport[], findings: Finding[],
 * }} Report */
/** Takes a finding. @typedef {(code: string, index: number | null, message: string) => void} Find */

/** The codes that say less than "this log lies"; every other code is an error. */
const WARNINGS = new Set([
  'attachment-missing',
  'key-suspect',
  'contradiction',
  'duplicate-effect',
  'not-covered',
  'partly-covered',
  'policy-unchecked',
  'suspect',
]);

/** @param {string} code @param {number | null} index @param {string} message @returns {Finding} */
export const finding = (code, index, message) => ({
  code,
  severity: WARNINGS.has(code) ? 'warning' : 'error',
  index,
  message,
});

/** @param {Omit<Report, 'v' | 'ok'>} found @returns {Report} */
export const reportOf = (found) => ({
  v: 1,
  ok: found.findings.every(({ severity }) => severity !== 'error'),
  ...found,
});
