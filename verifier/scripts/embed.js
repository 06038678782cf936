/**
 * Writes what the verifier carries of the project's vectors: the repertoire of text, and its self-test's signatures.
 */
import { readFile, writeFile } from 'node:fs/promises';

const VECTORS = new URL('../../vectors/', import.meta.url);
const SOURCES = new URL('../src/', import.meta.url);
/** One case of each class is what verifiers disagree about. */
const SELF_TEST_CLASSES = [
  'valid',
  'bit-flip-signature',
  's-not-reduced',
  'r-identity',
  'r-cofactored-only-8',
  'key-small-order-8',
  'key-mixed-order-8',
];

/** @param {string} path */
const load = async (path) => JSON.parse(await readFile(new URL(path, VECTORS), 'utf8'));

/** The ranges in hex, wrapped. @param {[number, number][]} ranges */
function repertoire(ranges) {
  const lines = [''];
  for (const [first, last] of ranges) {
    const word = first === last ? first.toString(16) : `${first.toString(16)}-${last.toString(16)}`;
    const line = lines[lines.length - 1];
    if (line.length + word.length > 110) lines.push(word);
    else lines[lines.length - 1] = line ? `${line} ${word}` : word;
  }
  return `/** The code points assigned in Unicode 13.0.0, in hex. Made by scripts/embed.js. */
export const ASSIGNED = \`
${lines.join('\n')}
\`;
`;
}

/** @param {{ class: string, key: string, msg: string, sig: string, valid: boolean }[]} cases */
function selfTest(cases) {
  const rows = SELF_TEST_CLASSES.map((name) => {
    const found = cases.find((each) => each.class === name && each.msg.length < 130);
    if (found === undefined) throw new Error(`no vector of class ${name}`);
    const { key, msg, sig, valid } = found;
    return `  {
    what: '${name}',
    key: '${key}',
    message: '${msg}',
    signature: '${sig.slice(0, 64)}'
      + '${sig.slice(64)}',
    verifies: ${valid},
  },`;
  });
  return `/** Signatures on which verifiers disagree, one of each class, in hex. Made by scripts/embed.js. */
export const SELF_TEST = [
${rows.join('\n')}
];
`;
}

await writeFile(new URL('repertoire-ranges.js', SOURCES), repertoire(await load('text/unicode13_assigned.json')));
await writeFile(new URL('self-test-cases.js', SOURCES), selfTest(await load('ed25519/verify.json')));
