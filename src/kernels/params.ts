// Arguments as a kernel declares them: `export const params = ['string', 'number', 'json', 'bytes']`. Other clients can only
// send text, and keys hold bytes; both are read as declared, and as text where nothing is.
import { GearmillError } from '../errors.ts'
import type { ParamType, Value } from './step.ts'

const decoder = new TextDecoder()
const encoder = new TextEncoder()

/**
 * The arguments to call a kernel with. Those behind the last declared one are taken as they are.
 * @param raw indexes of the arguments that are text from outside.
 * @throws KERNEL_ARGUMENT
 */
export function argumentsOf(
  args: readonly Value[],
  params: readonly ParamType[] | undefined,
  raw: readonly number[] = [],
): readonly Value[] {
  if (params === undefined && raw.length === 0) return args
  return args.map((value, i) => {
    const type = params?.[i]
    const isRaw = raw.includes(i)
    if (type === undefined) return isRaw && value instanceof Uint8Array ? decoder.decode(value) : value
    return read(value, type, isRaw, i)
  })
}

function read(value: Value, type: ParamType, isRaw: boolean, index: number): Value {
  const wrong = (): never => {
    throw new GearmillError('KERNEL_ARGUMENT', `argument ${index + 1} has to be ${wanted[type]}, not ${show(value)}`)
  }
  const text = typeof value === 'string' ? value : value instanceof Uint8Array ? decoder.decode(value) : undefined
  switch (type) {
    case 'string':
      if (text !== undefined) return text
      return typeof value === 'number' || typeof value === 'boolean' ? String(value) : wrong()
    case 'number': {
      if (typeof value === 'number') return value
      const number = text === undefined || text.trim() === '' ? NaN : Number(text)
      return Number.isFinite(number) ? number : wrong()
    }
    case 'bytes':
      if (value instanceof Uint8Array) return value
      return typeof value === 'string' ? encoder.encode(value) : wrong()
    case 'json':
      if (!isRaw || text === undefined) return value
      try {
        return JSON.parse(text) as Value
      } catch {
        return wrong()
      }
  }
}

const wanted: Readonly<Record<ParamType, string>> = {
  string: 'a text',
  number: 'a number',
  json: 'JSON',
  bytes: 'bytes',
}

function show(value: Value): string {
  if (value instanceof Uint8Array) return JSON.stringify(decoder.decode(value.subarray(0, 60)))
  const text = JSON.stringify(value)
  return text.length > 60 ? `${text.slice(0, 60)}...` : text
}
