import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BundleReader } from '../src/bundle.js';
import { fromHex } from '../src/bytes.js';
import { eventId } from '../src/digest.js';
import { composeEnvelope, entryOf, verifyEnvelope } from '../src/envelope.js';
import { readEvent } from '../src/event.js';
import { Fold } from '../src/fold.js';
import { Refused } from '../src/governance.js';
import { replay } from '../src/index.js';
import { EMPTY_FRONTIER, leafHash } from '../src/merkle.js';
import { loadFolder } from './vectors.js';

const cases = loadFolder('replay');

test('every bundle is replayed to the report of its vector', async () => {
  assert.ok(cases.length > 300);
  for (const [name, each] of cases) {
    const { v, ...report } = await replay(fromHex(each.bundle), { trust: each.trust });
    assert.equal(v, 1);
    const findings = report.findings.map(({ code, severity, index }) => ({ code, severity, index }));
    assert.deepEqual(
      { ...report, findings: sorted(findings) },
      { ...each.report, findings: sorted(each.report.findings) },
      name,
    );
  }
});

/** @param {{ code: string, index: number | null }[]} findings */
const sorted = (findings) => [...findings].sort((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1));

test('every leaf is void or not, and leaves the state root, that its vector says', async () => {
  const withLeaves = cases.filter(([, { leaves }]) => leaves.length > 0);
  assert.ok(withLeaves.length > 300);
  for (const [name, each] of withLeaves) {
    const fold = new Fold();
    const entries = new BundleReader(fromHex(each.bundle)).entries();
    let frontier = EMPTY_FRONTIER;
    for (const leaf of each.leaves) {
      const { body, signature } = /** @type {any} */ (entries.next().value);
      const envelope = composeEnvelope(body, signature);
      const position = { index: frontier.size, root: frontier.root() };
      frontier = frontier.append(leafHash(entryOf(envelope)));
      assert.equal(eventId(body), leaf.id, name);
      // The report's test verifies every signature; here the vector is believed where it says that one does not.
      const signed = leaf.void !== 'signature-invalid' && (leaf.index > 0 || (await verifyEnvelope(envelope)));
      assert.equal(await voidCode(fold, envelope, position, signed), leaf.void, `${name}, leaf ${leaf.index}`);
      assert.equal(fold.begun ? fold.stateRoot(frontier.size) : null, leaf.state_root, `${name}, leaf ${leaf.index}`);
    }
  }
});

/**
 * @param {Fold} fold
 * @param {import('../src/envelope.js').Envelope} envelope
 * @param {{ index: number, root: Uint8Array }} position
 * @param {boolean} signed
 */
async function voidCode(fold, envelope, position, signed) {
  if (!signed) return position.index === 0 ? 'genesis-invalid' : 'signature-invalid';
  let event;
  try {
    event = readEvent(envelope.fields, eventId(envelope.body));
  } catch {
    return position.index === 0 ? 'genesis-invalid' : 'form-invalid';
  }
  const admitted = await fold.apply(event, position);
  return admitted instanceof Refused ? admitted.code : null;
}
