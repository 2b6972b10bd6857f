// Data as text on their way out of the sandbox. Written there by an interpreter, piece by piece while they are checked, which is
// cheaper than JSON; read here, as if anyone had written them.
//
//   s<length>:<text>   n<number>;   t   f   z (null)   b<length>:<one character a byte>   a<count>:<values>
//   o<count>:<length>:<key><value>...
//
// Lengths are in UTF-16 units. A text that C strings and UTF-8 would not carry (NUL, lone surrogates) is a JSON string behind a J.
import { GearmillError } from '../../errors.ts'
import type { Form } from '../api.ts'
import type { Value } from '../step.ts'

/** What a kernel gives back is nested at most 200 deep; around it is a little more. */
const deepest = 220

/** Its source text is used in the sandbox: complete in itself. */
export function makeTextForm(): Form & { readonly finish: (text: unknown) => string } {
  // Before a kernel can put something in its place.
  const { stringify } = JSON
  // Added up with `+`: QuickJS calls a method for each template.
  return {
    text: (value) => 's' + value.length + ':' + value,
    number: (value) => 'n' + value + ';',
    flag: (value) => (value ? 't' : 'f'),
    nothing: () => 'z',
    bytes: (value) => {
      let text = ''
      for (let i = 0; i < value.length; i += 8192) text += String.fromCharCode(...value.subarray(i, i + 8192))
      return 'b' + value.length + ':' + text
    },
    list: (parts) => {
      let all = 'a' + parts.length + ':'
      for (let i = 0; i < parts.length; i++) all += parts[i] as string
      return all
    },
    object: (keys, values) => {
      let all = 'o' + keys.length + ':'
      for (let i = 0; i < keys.length; i++) {
        const key = keys[i] as string
        all += key.length + ':' + key + (values[i] as string)
      }
      return all
    },
    finish: (text) => {
      const whole = text as string
      return whole.includes('\0') || !whole.isWellFormed() ? 'J' + stringify(whole) : whole
    },
  }
}

/** Throws KERNEL_RESULT for what makeTextForm() does not write, KERNEL_STACK for what is nested too deeply. */
export function readTextForm(text: string): Value {
  return new Reader(text.startsWith('J') ? unescaped(text) : text).whole()
}

const odd = (): GearmillError =>
  new GearmillError('KERNEL_RESULT', 'the kernel gave back something in a form that there is not')

function unescaped(text: string): string {
  try {
    const whole: unknown = JSON.parse(text.slice(1))
    if (typeof whole === 'string') return whole
  } catch {
    // Not what makeTextForm() wrote.
  }
  throw odd()
}

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  whole(): Value {
    const value = this.#value(0)
    if (this.#at !== this.#text.length) throw odd()
    return value
  }

  #value(depth: number): Value {
    if (depth > deepest) throw new GearmillError('KERNEL_STACK', `a value is nested more than ${deepest} deep`)
    switch (this.#text[this.#at++]) {
      case 's':
        return this.#sized()
      case 'n':
        return this.#number()
      case 't':
        return true
      case 'f':
        return false
      case 'z':
        return null
      case 'b':
        return Buffer.from(this.#sized(), 'latin1')
      case 'a':
        return this.#list(depth)
      case 'o':
        return this.#object(depth)
      default:
        throw odd()
    }
  }

  #list(depth: number): Value {
    const count = this.#size()
    const list: Value[] = []
    for (let i = 0; i < count; i++) list.push(this.#value(depth + 1))
    return list
  }

  #object(depth: number): Value {
    const count = this.#size()
    const object: Record<string, Value> = {}
    for (let i = 0; i < count; i++) {
      const key = this.#sized()
      const value = this.#value(depth + 1)
      if (key !== '__proto__') object[key] = value
      else Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true })
    }
    return object
  }

  #number(): number {
    const end = this.#text.indexOf(';', this.#at)
    if (end < 0 || end - this.#at > 32) throw odd()
    const number = Number(this.#text.slice(this.#at, end))
    if (!Number.isFinite(number) || end === this.#at) throw odd()
    this.#at = end + 1
    return number
  }

  #sized(): string {
    const length = this.#size()
    const end = this.#at + length
    if (end > this.#text.length) throw odd()
    const text = this.#text.slice(this.#at, end)
    this.#at = end
    return text
  }

  /** Digits up to a colon. */
  #size(): number {
    let size = 0
    for (let digits = 0; ; digits++) {
      const code = this.#text.charCodeAt(this.#at++)
      if (code === 58 && digits > 0) return size
      if (!(code >= 48 && code <= 57) || digits > 9) throw odd()
      size = size * 10 + code - 48
    }
  }
}
