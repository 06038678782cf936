"""Every bound of the formats, with its unit and its reason. SPEC [IL1-6].

A bound is inclusive, and is checked before the work that it bounds.
"""

from typing import Final

INTEGER_MAX: Final = 2**53 - 1
"""Largest absolute value of an integer: past it a JSON reader rounds, and two readers see two numbers."""

TIME_MS_MAX: Final = 9_000_000_000_000_000
"""Latest point in time, in the year 287,000: with every duration that a rule adds, the sum stays an exact integer."""

NESTING_MAX: Final = 16
"""Arrays and maps inside each other, the outermost counted as 1: no reader's stack depends on what it reads."""

MAP_KEY_BYTES_MAX: Final = 256
"""UTF-8 bytes of a map key, at least 1: keys are names or short identifiers, never content."""

ITEM_BYTES_MAX: Final = 1 << 20
"""Bytes of an IL1 item that is not a body: a snapshot for one. It is held in memory whole."""

BODY_BYTES_MAX: Final = 64_000
"""Bytes of an event body: with its header and signature the entry stays within `ENTRY_BYTES_MAX`."""

ENTRY_BYTES_MAX: Final = 65_535
"""Bytes of an entry: an entry bundle of C2SP tlog-tiles writes the length in two bytes."""

LEAF_ITEM_BYTES_MAX: Final = BODY_BYTES_MAX + 128
"""Bytes of a leaf's item in a bundle: a body, a signature and their heads. A receipt's has 64 hashes more."""

RESOURCE_BYTES_MAX: Final = 512
"""UTF-8 bytes of a resource: it is part of chain names, which a store keeps as keys."""

RAW_INLINE_BYTES_MAX: Final = 16_384
"""Bytes of a `raw` argument inside a body; a longer one is an attachment, named by its digest."""

ATTACHMENT_BYTES_MAX: Final = 64 << 20
"""Bytes of an attachment: a reader holds one at a time."""

RECOVERY_CHECKPOINT_BYTES_MAX: Final = 16_384
"""Bytes of the checkpoint that a recovery holds: the log's own signature is enough, and cosignatures may be many."""

APPROVALS_MAX: Final = 16
"""Approvals that a START lists, and that a contract or a policy asks for; as many observations in a resolution."""

MEMO_BYTES_MAX: Final = 256
"""Bytes of the folded state that a store keeps beside a chain head, and never reads."""

KEY_NAME_BYTES_MAX: Final = 255
"""UTF-8 bytes of a key's name, at least 1: a C2SP subtree cosignature writes the length in one byte."""

VERIFIER_KEY_CHARS_MAX: Final = 309
"""Characters of a verifier key's line: the longest name, 8 of hex, 44 of base64, two plus signs."""

KEYS_CACHED_MAX: Final = 4_096
"""Public keys whose check and thumbprint are remembered: more than one log grants, and under 2 MB."""
