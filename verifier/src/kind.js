/** The words of events: roles, statuses, what evidence may be called. */

export const FORMAT_VERSION = 1;

export const ROLES = ['agent', 'repeat', 'approver', 'executor', 'reconciler', 'attestor', 'admin', 'log'];
export const SCOPED_ROLES = ['agent', 'repeat', 'approver', 'executor', 'reconciler', 'attestor'];

export const FREE = 'free';
export const CLAIMED = 'claimed';
export const STARTED = 'started';
export const COMMITTED = 'committed';
export const NOT_COMMITTED = 'not_committed';
export const UNKNOWN = 'unknown';

export const PRESENT = 'present';
export const ABSENT = 'absent';

export const EVIDENCE_KINDS = [
  'response',
  'never_sent',
  'definite_failure',
  'stored_failure',
  'abort',
  'no_answer',
  'unclear_answer',
  'tag_seen',
  'absence',
  'key_burnt',
  'void',
  'webhook',
];
export const PROOFS_OF_FAILURE = ['never_sent', 'definite_failure', 'stored_failure', 'abort'];

export const CHAINED_KINDS = [
  'intent',
  'approval',
  'denial',
  'release',
  'start',
  'outcome',
  'suspect',
  'redrive',
  'resolution',
  'attestation',
];
export const ABOUT_KINDS = ['note', 'observation', 'handle'];
export const GOVERNANCE_KINDS = [
  'genesis',
  'grant',
  'revoke',
  'contract',
  'withdraw',
  'policy',
  'freeze',
  'unfreeze',
  'recovery',
  'oath',
];
