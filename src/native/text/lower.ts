// The table that WebAssembly lower-cases by: what String.toLowerCase of this process makes of each character.
import type { TextMemory } from './module.ts'

const capitalSigma = 0x3a3
const planeSize = 0x10000

let table: Uint8Array | undefined
const loaded = new WeakSet<TextMemory>()

/** Puts the table into a memory, once. */
export function loadLowerTable(memory: TextMemory): void {
  if (loaded.has(memory)) return
  table ??= makeTable()
  const { address } = memory.alloc(table.length)
  memory.bytes.set(table, address)
  memory.exports.setLowerTable(address)
  loaded.add(memory)
}

/** u16 for each character of the first plane: its lower case, 0 where that has another length; a bit for each of the second: whether it has one. */
function makeTable(): Uint8Array {
  const first = new Uint16Array(planeSize)
  for (let code = 0; code < planeSize; code++) {
    const lower = String.fromCharCode(code).toLowerCase()
    const lowerCode = lower.charCodeAt(0)
    if (lower.length === 1 && utf8Length(lowerCode) === utf8Length(code)) first[code] = lowerCode
  }
  // It is lower-cased as its neighbours say.
  first[capitalSigma] = 0
  const second = new Uint8Array(planeSize / 8)
  for (let code = 0; code < planeSize; code++) {
    const character = String.fromCodePoint(planeSize + code)
    if (character.toLowerCase() !== character) second[code >>> 3] = (second[code >>> 3] as number) | (1 << (code & 7))
  }
  return Buffer.concat([new Uint8Array(first.buffer), second])
}

function utf8Length(code: number): number {
  return code < 0x80 ? 1 : code < 0x800 ? 2 : 3
}
