// Commands as the protocol has them: arrays of bulk strings.

export type RequestArgument = string | Buffer

const longestJoin = 1024

/**
 * A command as pieces to be written one after the other.
 *
 * @param write takes them in order
 * @param more how many arguments the caller will write behind these
 */
export function encodeRequest(
  args: readonly RequestArgument[],
  write: (piece: RequestArgument) => void,
  more = 0,
): void {
  // Servers answer no empty command: the next reply would be taken for this one's.
  if (args.length === 0) throw new TypeError('expected the name of a command, got nothing')
  let text = `*${args.length + more}`
  for (const arg of args) {
    if (typeof arg === 'string') {
      text += head(byteLength(arg))
      text += arg
    } else if (Buffer.isBuffer(arg)) {
      write(text + head(arg.length))
      write(arg)
      text = ''
    } else throw new TypeError(`expected text or bytes as an argument, got ${typeof arg}`)
  }
  write(`${text}\r\n`)
}

/** What is between two arguments: the end of one, and the length of the next. Few texts that are made once cost less than many. */
const heads = Array.from({ length: 64 }, (_, length) => `\r\n$${length}\r\n`)

function head(length: number): string {
  return heads[length] ?? `\r\n$${length}\r\n`
}

/** Short texts are mostly ASCII, and looking costs less than a call into the runtime. */
function byteLength(text: string): number {
  if (text.length > longestJoin) return Buffer.byteLength(text)
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) return Buffer.byteLength(text)
  return text.length
}
