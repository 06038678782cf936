#!/usr/bin/env node
/** The command line: one bundle or receipt, or a batch of them in one process. */
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { VerifyError, compare, isReceipt, replay, verifyReceipt } from '../src/index.js';
import { finding } from '../src/report.js';

/** @typedef {import('../src/agreement.js').Agreement} Agreement */

const USAGE = `usage: invoke-log-verify FILE [--trust VKEY] [--against OTHER] [--json]
       invoke-log-verify --batch < LINES

FILE is a bundle or a receipt: its first item says which. VKEY is the log's verifier key: one C2SP vkey line, or a file
that holds it. OTHER is what you kept of a bundle's log: another bundle, or a checkpoint. --batch reads lines of
{"path": FILE, "trust": VKEY or null, "against": OTHER or null} and prints one report a line.
Exit code 0: every file is ok; 2: usage; 3: one does not verify, or FILE and OTHER cannot both be true.`;
const OPTIONS = /** @type {const} */ ({
  trust: { type: 'string' },
  against: { type: 'string' },
  json: { type: 'boolean' },
  batch: { type: 'boolean' },
  help: { type: 'boolean' },
});

const AGREES = new Map([
  [true, 'agrees'],
  [false, 'cannot both be true'],
  [null, 'not decided'],
]);

/** What Node reads in one go: 2 GiB less a byte. */
const READ_FILE_BYTES_MAX = 2 ** 31 - 1;

class UsageError extends Error {}

process.exitCode = await main(process.argv.slice(2)).catch((error) => {
  if (!(error instanceof UsageError) && !(error instanceof VerifyError)) throw error;
  process.stderr.write(`error: ${error.message}\n`);
  return 2;
});

/** @param {string[]} args @returns {Promise<number>} */
async function main(args) {
  const { values, positionals } = parsed(args);
  if (values.help) {
    process.stdout.write(`${USAGE}\n`);
    return 0;
  }
  if (values.batch) {
    if (positionals.length > 0 || values.trust !== undefined || values.against !== undefined)
      throw new UsageError('--batch takes neither FILE, --trust nor --against');
    return batch();
  }
  if (positionals.length !== 1) throw new UsageError(`want one FILE\n${USAGE}`);
  const report = await reportOn(positionals[0], await keyLine(values.trust), values.against);
  process.stdout.write(`${values.json ? JSON.stringify(report) : linesOf(report).join('\n')}\n`);
  return report.ok ? 0 : 3;
}

/** @param {string[]} args */
function parsed(args) {
  try {
    return parseArgs({ args, options: OPTIONS, allowPositionals: true });
  } catch (error) {
    throw new UsageError(`${/** @type {Error} */ (error).message}\n${USAGE}`);
  }
}

async function batch() {
  let ok = true;
  for await (const line of createInterface({ input: process.stdin })) {
    const { path, trust, against } = JSON.parse(line);
    const report = await reportOn(path, trust, against);
    ok &&= report.ok;
    process.stdout.write(`${JSON.stringify(report)}\n`);
  }
  return ok ? 0 : 3;
}

/**
 * What a file proves, whichever of the two it is, and whether it can be true beside another.
 *
 * @param {string} path
 * @param {string | null} trust
 * @param {string | null} [against]
 */
async function reportOn(path, trust, against) {
  const bytes = await bytesOf(path);
  if (!isReceipt(bytes)) {
    const report = await replay(bytes, { trust });
    return against ? withAgreement(report, await compare(bytes, await bytesOf(against))) : report;
  }
  if (against) throw new UsageError('--against compares a bundle, and FILE is a receipt');
  return verifyReceipt(bytes, { trust });
}

/**
 * Add what the comparison shows, as a finding too where the two cannot both be true.
 *
 * @param {import('../src/report.js').Report} report
 * @param {Agreement} against
 * @returns {import('../src/report.js').Report & { against: Agreement }}
 */
function withAgreement(report, against) {
  if (against.agrees !== false) return { ...report, against };
  const { index, reason } = against;
  const findings = [...report.findings, finding('equivocation', index, reason)];
  return { ...report, ok: false, findings, against };
}

/** @param {string} path */
async function bytesOf(path) {
  try {
    const { size } = await stat(path);
    return size > READ_FILE_BYTES_MAX ? await readLarge(path, size) : await readFile(path);
  } catch (error) {
    throw new UsageError(`${path}: cannot be read: ${/** @type {Error} */ (error).message}`);
  }
}

/** A file that `readFile` refuses for its size. @param {string} path @param {number} size */
async function readLarge(path, size) {
  const bytes = new Uint8Array(size);
  let at = 0;
  for await (const chunk of createReadStream(path, { end: size - 1 })) {
    bytes.set(chunk, at);
    at += chunk.length;
  }
  return bytes.subarray(0, at);
}

/** The verifier key, given as its line or as a file that holds it. @param {string | undefined} trust */
async function keyLine(trust) {
  if (trust === undefined || trust.includes('+')) return trust ?? null;
  return new TextDecoder().decode(await bytesOf(trust)).trim();
}

/** @param {Awaited<ReturnType<typeof reportOn>>} report */
function linesOf(report) {
  const lines = 'covered' in report ? linesOfBundle(report) : report.ok ? linesOfReceipt(report) : [];
  if ('against' in report) lines.push(`against: ${AGREES.get(report.against.agrees)}: ${report.against.reason}`);
  return [
    ...lines,
    ...report.findings.map(
      ({ severity, code, index, message }) =>
        `${severity}: ${index === null ? '' : `leaf ${index}: `}${code}: ${message}`,
    ),
  ];
}

/** @param {import('../src/receipt.js').Proved} report */
function linesOfReceipt(report) {
  const { effect_key: key, status, generation, grade, relies_on: reliesOn } = report;
  return [
    `ok: ${key} ${status}, generation ${generation}${grade === null ? '' : `, ${grade}`}`,
    `resource: ${report.resource}`,
    `relies on: ${reliesOn.join(', ') || 'nothing'}`,
    `log: ${report.origin}, as of ${report.size} leaves`,
    report.trusted
      ? 'trusted: the key that was given signed the checkpoint'
      : 'not trusted: self-consistent at best; origin not checked',
    ...report.checked.map((what) => `checked: ${what}`),
    ...report.not_checked.map((what) => `not checked: ${what}`),
  ];
}

/** @param {import('../src/report.js').Report} report */
function linesOfBundle(report) {
  const { origin, size, state_root: stateRoot, covered, trusted } = report;
  const { cosignatures_not_checked: unchecked } = covered;
  return [
    `${report.ok ? 'ok' : 'does not verify'}: ${origin ?? 'no log'}, ${size} leaves, state root ${stateRoot ?? 'none'}`,
    `covered by: ${covered.size === null ? 'no checkpoint' : `the log's checkpoint of size ${covered.size}`}`,
    `cosignatures: not checked${unchecked === 0 ? '' : ` (${unchecked} under keys that were not given)`}`,
    trusted
      ? 'trusted: the key that was given signed all of it'
      : 'not trusted: self-consistent at best; origin not checked',
    ...report.effects.map(
      ({ effect_key: key, status, generation, grade }) =>
        `${key} ${status}, generation ${generation}${grade === null ? '' : `, ${grade}`}`,
    ),
  ];
}
