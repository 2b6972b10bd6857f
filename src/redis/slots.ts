// Hash slots: which of the 16,384 slots a key belongs to, and a hash tag for any slot.
// CRC16-CCITT (XMODEM) as in the cluster specification: https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/

export const slotCount = 16384

const crcTable = new Uint16Array(256)
for (let byte = 0; byte < 256; byte++) {
  let crc = byte << 8
  for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021
  crcTable[byte] = crc
}

const openBrace = 0x7b
const closeBrace = 0x7d

/** The slot of a key: of the part between the first `{` and the next `}` where that is not empty, else of the whole key. */
export function slotOf(key: string | Uint8Array): number {
  const bytes = typeof key === 'string' ? Buffer.from(key) : key
  let start = 0
  let end = bytes.length
  const open = bytes.indexOf(openBrace)
  if (open >= 0) {
    const close = bytes.indexOf(closeBrace, open + 1)
    if (close > open + 1) {
      start = open + 1
      end = close
    }
  }
  let crc = 0
  for (let i = start; i < end; i++) crc = crcWith(crc, bytes[i] as number)
  return crc % slotCount
}

function crcWith(crc: number, byte: number): number {
  return ((crc << 8) & 0xffff) ^ (crcTable[(crc >> 8) ^ byte] as number)
}

const letters = 'abcdefghijklmnopqrstuvwxyz0123456789'
let ranks: Uint32Array | undefined

/** The first of the shortest texts (of letters and digits) whose slot is `slot`: `{tag}` in a key puts the key there. */
export function slotTag(slot: number): string {
  ranks ??= findRanks()
  let rank = ranks[slot]
  if (rank === undefined) throw new RangeError(`expected a slot from 0 to ${slotCount - 1}, got ${slot}`)
  let tag = ''
  for (; rank > 0; rank = Math.floor(rank / letters.length)) tag = letters.charAt(--rank % letters.length) + tag
  return tag
}

/** The number of the first text of each slot, where all texts are numbered from 1 on, shorter ones first. A few milliseconds. */
function findRanks(): Uint32Array {
  const found = new Uint32Array(slotCount)
  let missing = slotCount
  let rank = 0
  // Of all texts of one length: what their next letter goes on from.
  let crcs = Uint16Array.of(0)
  while (missing > 0) {
    const longer = new Uint16Array(crcs.length * letters.length)
    for (let i = 0; i < crcs.length && missing > 0; i++) {
      for (let j = 0; j < letters.length; j++) {
        const crc = crcWith(crcs[i] as number, letters.charCodeAt(j))
        longer[i * letters.length + j] = crc
        rank++
        if (found[crc % slotCount] !== 0) continue
        found[crc % slotCount] = rank
        missing--
      }
    }
    crcs = longer
  }
  return found
}
