// How many records per second become bytes and records again, by shape, in one process. `node --import tsx bench/codec.ts`
import { decodeBatch, decodeRecords, encodeBatch, encodeRecords } from '../src/codec/frames.ts'
import { hashKey } from '../src/codec/keys.ts'
import { KeyMap } from '../src/codec/key-map.ts'

const count = 1000
const words = Array.from({ length: count }, (_, i) => `word${(i * 7919) % 10007}`)
const shapes: Readonly<Record<string, unknown[]>> = {
  strings: words,
  'strings, not ASCII': words.map((word) => `${word}é`),
  numbers: words.map((_, i) => i * 1.5),
  '{ key, value }': words.map((key, value) => ({ key, value: value % 50 })),
  '[string, number]': words.map((key, value) => [key, value]),
  'plain objects': words.map((name, id) => ({ id, name, ok: true })),
  'nested objects': words.map((name, id) => ({ id, name, tags: [name, 'b'], at: { x: 1.5, y: 2 } })),
  'dates and bigints': words.map((_, i) => ({ at: new Date(i), id: BigInt(i) })),
}

/** Million records per second, the best of five rounds. */
function rate(run: () => unknown): string {
  let best = 0
  for (let round = 0; round < 5; round++) {
    const start = performance.now()
    let batches = 0
    while (performance.now() - start < 100) {
      run()
      batches++
    }
    best = Math.max(best, (batches * count) / (performance.now() - start) / 1000)
  }
  return `${best.toFixed(1)} M/s`
}

const rows = Object.entries(shapes).map(([shape, records]) => {
  const frame = encodeRecords(records)
  const batch = decodeBatch(frame)
  return {
    shape,
    'bytes/record': frame.length / count,
    encode: rate(() => encodeRecords(records)),
    decode: rate(() => decodeRecords(frame)),
    'encode columns': batch.kind === 'records' ? '' : rate(() => encodeBatch(batch)),
    'decode columns': batch.kind === 'records' ? '' : rate(() => decodeBatch(frame)),
  }
})
console.table(rows)
console.table({
  'hash of a word': rate(() => words.reduce((sum, word) => sum + hashKey(word), 0)),
  'count in a KeyMap': rate(() => {
    const counts = new KeyMap<number>()
    for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1)
    return counts
  }),
})
