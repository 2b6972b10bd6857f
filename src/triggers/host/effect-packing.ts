// Effects of a commit, as the server's MessagePack reads them: it knows texts, in which any byte may be, and nothing of the
// newer type for bytes.
import { packPlain } from './event-batch.ts'

const arrayMark = 0xdd
const textMark = 0xdb
const numberMark = 0xce

/** Index of an event or its name, then its command, and so on. */
export type EffectList = readonly (number | string | readonly (string | Uint8Array)[])[]

export function packEffects(effects: EffectList): Buffer {
  for (const effect of effects) {
    if (typeof effect === 'object' && effect.some((argument) => typeof argument !== 'string')) return packBytes(effects)
  }
  return packPlain(effects)
}

function packBytes(effects: EffectList): Buffer {
  const parts: Uint8Array[] = []
  const head = (mark: number, size: number): void => {
    const bytes = Buffer.alloc(5)
    bytes[0] = mark
    bytes.writeUInt32BE(size, 1)
    parts.push(bytes)
  }
  const text = (value: string | Uint8Array): void => {
    const bytes = typeof value === 'string' ? Buffer.from(value) : value
    head(textMark, bytes.length)
    parts.push(bytes)
  }
  head(arrayMark, effects.length)
  for (const effect of effects) {
    if (typeof effect === 'number') head(numberMark, effect)
    else if (typeof effect === 'string') text(effect)
    else {
      head(arrayMark, effect.length)
      effect.forEach(text)
    }
  }
  return Buffer.concat(parts)
}
