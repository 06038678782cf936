/**
 * Every bound of the formats, inclusive, checked before the work that it bounds. Reasons stand in the specification.
 */

export const INTEGER_MAX = Number.MAX_SAFE_INTEGER;
export const TIME_MS_MAX = 9_000_000_000_000_000;
export const NESTING_MAX = 16;
export const MAP_KEY_BYTES_MAX = 256;
export const ITEM_BYTES_MAX = 1 << 20;
export const BODY_BYTES_MAX = 64_000;
export const DURATION_MS_MAX = 10 * 365 * 86_400_000;
export const RESOURCE_BYTES_MAX = 512;
export const RAW_INLINE_BYTES_MAX = 16_384;
export const KEY_NAME_BYTES_MAX = 255;
export const VERIFIER_KEY_CHARS_MAX = 309;
export const NOTE_BYTES_MAX = 65_536;
export const ATTACHMENT_BYTES_MAX = 64 << 20;
export const LEAF_ITEM_BYTES_MAX = BODY_BYTES_MAX + 128;
