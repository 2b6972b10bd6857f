// Netstrings (`<length>:<bytes>`) one after the other: what server functions and this side put into one value.

export function encodeNetstrings(parts: readonly Uint8Array[]): Buffer {
  return Buffer.concat(parts.flatMap((bytes) => [Buffer.from(`${bytes.length}:`, 'latin1'), bytes]))
}

/** Views of the bytes. */
export function decodeNetstrings(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const colon = bytes.indexOf(0x3a, at)
    const length = Number(bytes.toString('latin1', at, colon))
    parts.push(bytes.subarray(colon + 1, colon + 1 + length))
    at = colon + 1 + length
  }
  return parts
}
