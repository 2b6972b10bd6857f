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
  for (let i = start; i < end; i++) {
    crc = ((crc << 8) & 0xffff) ^ (crcTable[(crc >> 8) ^ (bytes[i] ?? 0)] ?? 0)
  }
  return crc % slotCount
}

const letters = 'abcdefghijklmnopqrstuvwxyz0123456789'
let tags: (string | undefined)[] | undefined

/** A shortest text (of letters and digits) whose slot is `slot`: `{tag}` in a key puts the key there. */
export function slotTag(slot: number): string {
  tags ??= findTags()
  const tag = tags[slot]
  if (tag === undefined) throw new RangeError(`expected a slot from 0 to ${slotCount - 1}, got ${slot}`)
  return tag
}

/** Tries all texts, shorter ones first, until every slot has one; 20 ms, once per process. */
function findTags(): (string | undefined)[] {
  const found = Array.from<string | undefined>({ length: slotCount })
  let missing = slotCount
  let texts = ['']
  while (missing > 0) {
    const longer: string[] = []
    for (const text of texts) {
      for (const letter of letters) {
        const tag = text + letter
        longer.push(tag)
        const slot = slotOf(tag)
        if (found[slot] === undefined) {
          found[slot] = tag
          missing--
        }
      }
      if (missing === 0) break
    }
    texts = longer
  }
  return found
}
