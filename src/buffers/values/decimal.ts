// Decimals of any precision, as strings in JavaScript and in the file: exact, and trailing zeros are kept.
import { PointerCodec, misfit } from '../codec.ts'
import type { Packer } from '../packer.ts'
import type { Decoder } from '../decoder.ts'
import { schemaOf, type Node, type Schema } from '../schema.ts'
import type { Segment } from '../segment.ts'
import { putText, textAt, textCostAt } from './text.ts'

/** A decimal number as a string: `'-12.50'`, `'1E+3'`. Integers, bigint and finite numbers are taken too. */
export const decimal: Schema<string> = schemaOf({ kind: 'decimal' })

const form = /^([+-]?)(\d+(?:\.\d*)?|\.\d+)(?:[eE]([+-]?\d{1,9}))?$/

/** One text per number and precision: no plus sign, no leading zeros, digits on both sides of the point, `E+n`. */
function canonical(text: string): string | undefined {
  const parts = form.exec(text)
  if (!parts) return undefined
  const [whole = '', fraction = ''] = (parts[2] ?? '').split('.')
  const exponent = Number(parts[3] ?? 0)
  const digits = whole.replace(/^0+(?=\d)/, '') || '0'
  const tail = exponent === 0 ? '' : `E${exponent < 0 ? '' : '+'}${exponent}`
  return `${parts[1] === '-' ? '-' : ''}${digits}${fraction === '' ? '' : `.${fraction}`}${tail}`
}

export class DecimalCodec extends PointerCodec {
  readonly node: Node = { kind: 'decimal' }

  put(packer: Packer, value: unknown): number {
    const text =
      typeof value === 'string' ? value : typeof value === 'bigint' || typeof value === 'number' ? String(value) : ''
    return putText(packer, canonical(text) ?? misfit(this.node, value, "a decimal number such as '-12.50'"))
  }

  plainAt(decoder: Decoder, segment: Segment, at: number): string {
    decoder.spend(1, textCostAt(segment, at))
    return this.viewAt(segment, at)
  }

  viewAt(segment: Segment, at: number): string {
    const text = textAt(segment, at)
    return form.test(text) ? text : segment.fault(`a decimal at ${at}`)
  }
}
