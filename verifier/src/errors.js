/**
 * What reading may throw, each with a stable code. Whatever else is thrown is a bug.
 *
 * Messages say where, what was found and what was wanted; lower case, no full stop.
 */

/** Base of the errors that mean: the bytes are not what they should be. */
export class VerifyError extends Error {
  code = 'error';

  get name() {
    return this.constructor.name;
  }
}

/** Bytes or text that are not the one accepted spelling of a value. */
export class MalformedError extends VerifyError {
  code = 'malformed';
}

/** A bundle or receipt that ends before its trailer: a missing or empty trailer, or an empty file. */
export class CutError extends MalformedError {
  code = 'cut';

  /** @param {string} message @param {number} [offset]  of the item: where what was not whole begins */
  constructor(message, offset = 0) {
    super(message);
    this.offset = offset;
  }
}

/** A public key that fails the KEY rule, or that is of another type than its place wants. */
export class KeyInvalidError extends VerifyError {
  code = 'key-invalid';
}

/** A signature that does not verify under the key that it names. */
export class SignatureInvalidError extends VerifyError {
  code = 'signature-invalid';
}

/** A receipt that does not show what it has to, or shows what does not stand: it proves nothing. */
export class ReceiptInvalidError extends VerifyError {
  code = 'receipt-invalid';
}

/** A proof that does not lead to the root it is checked against. */
export class ProofInvalidError extends VerifyError {
  code = 'proof-invalid';
}
