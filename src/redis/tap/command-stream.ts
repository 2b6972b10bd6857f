// Cuts the bytes that a primary sends to its replicas into commands. Bytes are counted: the offset behind a command is where
// a replica that has it goes on.

const star = 0x2a
const dollar = 0x24
const lf = 0x0a

export class CommandStream {
  #pending: Buffer = Buffer.alloc(0)
  #offset: number

  /** @param offset of the first byte that will come */
  constructor(offset: number) {
    this.#offset = offset
  }

  /** The offset behind the last whole command. */
  get offset(): number {
    return this.#offset
  }

  /** Takes bytes as they come; gives each command that is whole. Throws nothing: what is no command ends the generator. */
  *push(bytes: Buffer): Generator<Buffer[]> {
    let data = this.#pending.length === 0 ? bytes : Buffer.concat([this.#pending, bytes])
    for (;;) {
      const parsed = parse(data)
      if (parsed === undefined) break
      data = data.subarray(parsed.length)
      this.#offset += parsed.length
      if (parsed.args.length > 0) yield parsed.args
    }
    this.#pending = Buffer.from(data)
  }
}

interface Parsed {
  readonly args: Buffer[]
  readonly length: number
}

/** One command from the start of the data; undefined where it is not all there. A line of its own keeps a link alive. */
function parse(data: Buffer): Parsed | undefined {
  if (data.length === 0) return undefined
  if (data[0] !== star) {
    const end = data.indexOf(lf)
    return end < 0 ? undefined : { args: [], length: end + 1 }
  }
  let end = data.indexOf(lf)
  if (end < 0) return undefined
  const count = integer(data, 1, end)
  let at = end + 1
  const args: Buffer[] = []
  for (let i = 0; i < count; i++) {
    end = data.indexOf(lf, at)
    if (end < 0) return undefined
    // A number, among the parts of a message to a subscriber.
    if (data[at] !== dollar) {
      args.push(data.subarray(at + 1, end - 1))
      at = end + 1
      continue
    }
    const length = integer(data, at + 1, end)
    const start = end + 1
    if (start + length + 2 > data.length) return undefined
    args.push(data.subarray(start, start + length))
    at = start + length + 2
  }
  return { args, length: at }
}

function integer(data: Buffer, from: number, lineEnd: number): number {
  let value = 0
  for (let i = from; i < lineEnd; i++) {
    const digit = (data[i] as number) - 0x30
    if (digit >= 0 && digit <= 9) value = value * 10 + digit
  }
  return value
}
