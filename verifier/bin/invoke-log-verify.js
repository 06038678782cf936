#!/usr/bin/env node
/** The command line: one bundle or receipt, or a batch of them in one process. */
import { createReadStream } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { VerifyError, isReceipt, replay, verifyReceipt } from '../src/index.js';

const USAGE = `usage: invoke-log-verify FILE [--trust VKEY] [--json]
       invoke-log-verify --batch < LINES

FILE is a bundle or a receipt: its first item says which. VKEY is the log's verifier key: one C2SP vkey line, or a file
that holds it. --batch reads lines of {"path": FILE, "trust": VKEY or null} and prints one report a line.
Exit code 0: every file is ok; 2: usage; 3: one does not verify.`;
const OPTIONS = /** @type {const} */ ({
  trust: { type: 'string' },
  json: { type: 'boolean' },
  batch: { type: 'boolean' },
  help: { type: 'boolean' },
});

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
    if (positionals.length > 0 || values.trust !== undefined)
      throw new UsageError('--batch takes neither FILE nor --trust');
    return batch();
  }
  if (positionals.length !== 1) throw new UsageError(`want one FILE\n${USAGE}`);
  const report = await reportOn(positionals[0], await keyLine(values.trust));
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
    const { path, trust } = JSON.parse(line);
    const report = await reportOn(path, trust);
    ok &&= report.ok;
    process.stdout.write(`${JSON.stringify(report)}\n`);
  }
  return ok ? 0 : 3;
}

/**
 * What a file proves, whichever of the two it is.
 *
 * @param {string} path
 * @param {string | null} trust
 */
async function reportOn(path, trust) {
  const bytes = await bytesOf(path);
  return isReceipt(bytes) ? verifyReceipt(bytes, { trust }) : replay(bytes, { trust });
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
