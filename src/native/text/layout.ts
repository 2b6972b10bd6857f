// Numbers that the TypeScript side and the WebAssembly side of the text kernels share: this file is compiled by both,
// so it holds plain integer constants and nothing else.

/** Bytes that may be read past the end of any text: every buffer that holds text is this much longer. */
export const PADDING = 128

/** A span is a start address (u32) and a length (u32); a value that WebAssembly must not handle has this bit in its length. */
export const SPAN_BYTES = 8
export const SPAN_DEFERRED = 0x80000000
export const SPAN_MAX = 0x7fffffff

/** How a value becomes tokens. */
export const TOKENS_WHOLE = 0
export const TOKENS_BYTE = 1
export const TOKENS_BYTES = 2
export const TOKENS_WORDS = 3

/** Fields of a counter, as byte offsets. Its two tables have an address, 2-logarithm of entries, keys, and most keys (four u32). */
export const COUNTER_SHORT = 0
export const COUNTER_LONG = 16
export const COUNTER_ARENA = 32
export const COUNTER_ARENA_POSITION = 36
export const COUNTER_ARENA_END = 40
export const COUNTER_SIZE = 44
export const COUNTER_TOKENS = 48
export const COUNTER_MEMORY = 56
export const COUNTER_KEY_BYTES = 64
export const COUNTER_BYTES = 72
export const TABLE_BITS = 4
export const TABLE_SIZE = 8
export const TABLE_LIMIT = 12

/** Fields of a CSV scanner, as byte offsets. */
export const CSV_POSITION = 0
export const CSV_END = 4
export const CSV_LAST = 8
export const CSV_DELIMITER = 12
export const CSV_QUOTE = 16
export const CSV_WANTED = 20
export const CSV_COLUMNS = 24
export const CSV_LAST_COLUMN = 28
export const CSV_ROW = 32
export const CSV_SKIPPING = 36
export const CSV_LIMIT = 40
export const CSV_PROBLEMS = 44
export const CSV_STRICT = 48
export const CSV_STOPPED = 52
export const CSV_BYTES = 64

/** What is wrong with a row. */
export const PROBLEM_SHORT = 1
export const PROBLEM_UNTERMINATED = 2
export const PROBLEM_GARBAGE = 3
export const PROBLEM_LONG = 4
/** A problem is kind, row, address of the row, address of the fault: four u32. */
export const PROBLEM_BYTES = 16

/** Rows and problems that one call of a scanner may return. */
export const SCAN_ROWS = 512
export const SCAN_PROBLEMS = 64
