// Calls as text, as kernels may return them: `name("say hi")`, `name(1, [true, null])`, and in front of the next step the values
// to be set: `name("x") SET [("key", "value"), ...]`. An empty text ends the chain; `SET [...]` alone writes, and ends it.
//
//   text   = [ call ] [ "SET" "[" [ pair { "," pair } [ "," ] ] "]" ]
//   call   = name "(" [ value { "," value } [ "," ] ] ")"
//   name   = a quoted text, or anything without spaces, quotes, brackets and commas
//   pair   = "(" value "," value [ "," ] ")"
//   value  = quoted text | number | true | false | null | list | object (as in JSON) | @key
//
// Texts are quoted with " or ' or `, with the escapes of JavaScript. Python's True, False, None and (a, b) are understood as well.
import { GearmillError } from '../errors.ts'
import type { Value } from './step.ts'

export interface ParsedCall {
  readonly name: string
  readonly args: readonly Value[]
}

export interface CallString {
  /** Undefined: the chain ends. */
  readonly call?: ParsedCall
  readonly sets: readonly (readonly [key: string, value: string])[]
}

const deepest = 200
const nameEnd = /[\s"'`()[\]{},]/
const escapes: Readonly<Record<string, string>> = { n: '\n', r: '\r', t: '\t', b: '\b', f: '\f', v: '\v', 0: '\0' }
const words = new Map<string, Value>([
  ['true', true],
  ['True', true],
  ['false', false],
  ['False', false],
  ['null', null],
  ['None', null],
])

/** Throws KERNEL_RESULT, with the place in the text. */
export function parseCallString(text: string): CallString {
  return new Reader(text).whole()
}

/** A call as a text that parseCallString() reads back; bytes have no such text. */
export function callString(name: string, args: readonly Value[]): string {
  const isPlain = name !== '' && !nameEnd.test(name) && !name.startsWith('@')
  return `${isPlain ? name : JSON.stringify(name)}(${args.map((each) => JSON.stringify(each)).join(', ')})`
}

class Reader {
  readonly #text: string
  #place = 0

  constructor(text: string) {
    this.#text = text
  }

  whole(): CallString {
    this.#space()
    const call = this.#at('') || this.#isSet() ? undefined : this.#call()
    this.#space()
    const sets = this.#isSet() ? this.#sets() : []
    this.#space()
    if (!this.#at('')) this.#fail(call ? 'expected the end, or SET [...]' : 'expected the end')
    return { ...(call && { call }), sets }
  }

  #fail(problem: string): never {
    const before = this.#text.slice(Math.max(0, this.#place - 40), this.#place)
    const after = this.#text.slice(this.#place, this.#place + 20)
    const place =
      this.#place === 0 ? 'at its begin' : `at character ${this.#place + 1}, after ${JSON.stringify(before)}`
    const found = after === '' ? 'its end' : JSON.stringify(after)
    throw new GearmillError('KERNEL_RESULT', `a call string is wrong ${place}: ${problem}, found ${found}`)
  }

  /** True where `token` comes next; '' is the end of the text. */
  #at(token: string): boolean {
    return token === '' ? this.#place >= this.#text.length : this.#text.startsWith(token, this.#place)
  }

  #take(token: string): boolean {
    this.#space()
    if (!this.#at(token)) return false
    this.#place += token.length
    return true
  }

  #expect(token: string): void {
    if (!this.#take(token)) this.#fail(`expected ${token}`)
  }

  #space(): void {
    while (/\s/.test(this.#text[this.#place] ?? 'x')) this.#place++
  }

  #isSet(): boolean {
    return /^SET\s*\[/.test(this.#text.slice(this.#place, this.#place + 100))
  }

  #call(): ParsedCall {
    const name = this.#name()
    if (!this.#take('(')) this.#fail(`expected a call such as name("text")`)
    return { name, args: this.#list(')', 0) }
  }

  #name(): string {
    const quote = this.#quote()
    if (quote !== undefined) return this.#quoted(quote)
    const from = this.#place
    while (!this.#at('') && !nameEnd.test(this.#text[this.#place] ?? ' ')) this.#place++
    if (this.#place === from) this.#fail('expected the name of a kernel')
    return this.#text.slice(from, this.#place)
  }

  #sets(): [string, string][] {
    this.#place += 'SET'.length
    this.#expect('[')
    const sets: [string, string][] = []
    while (!this.#take(']')) {
      if (sets.length > 0) {
        this.#expect(',')
        if (this.#take(']')) break
      }
      const close = this.#take('(')
        ? ')'
        : this.#take('[')
          ? ']'
          : this.#fail('expected a pair such as ("key", "value")')
      const pair = this.#list(close, 1).map(
        (each) => textOf(each) ?? this.#fail('expected a text or a number in a pair'),
      )
      const [key, value] = pair
      if (pair.length !== 2 || key === undefined || value === undefined) {
        this.#fail(`expected a key and a value in a pair, not ${pair.length} of them`)
      }
      sets.push([key, value])
    }
    return sets
  }

  /** Values up to `close`, whose opening bracket has been read. */
  #list(close: string, depth: number): Value[] {
    const values: Value[] = []
    while (!this.#take(close)) {
      if (values.length > 0) {
        if (!this.#take(',')) this.#fail(`expected , or ${close}`)
        if (this.#take(close)) break
      }
      values.push(this.#value(depth))
    }
    return values
  }

  #value(depth: number): Value {
    if (depth > deepest) this.#fail(`nested more than ${deepest} deep`)
    this.#space()
    const quote = this.#quote()
    if (quote !== undefined) return this.#quoted(quote)
    if (this.#take('[')) return this.#list(']', depth + 1)
    if (this.#take('(')) return this.#list(')', depth + 1)
    if (this.#take('{')) return this.#object(depth + 1)
    const from = this.#place
    while (!this.#at('') && !nameEnd.test(this.#text[this.#place] ?? ' ')) this.#place++
    const word = this.#text.slice(from, this.#place)
    const known = words.get(word)
    if (known !== undefined) return known
    if (word.startsWith('@') && word.length > 1) return word
    if (/^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/.test(word) && Number.isFinite(Number(word))) return Number(word)
    this.#place = from
    return this.#fail(word === '' ? 'expected a value' : `${word.slice(0, 40)} is no value: texts are quoted`)
  }

  #object(depth: number): Value {
    const entries: [string, Value][] = []
    while (!this.#take('}')) {
      if (entries.length > 0) {
        this.#expect(',')
        if (this.#take('}')) break
      }
      const key = this.#key()
      this.#expect(':')
      entries.push([key, this.#value(depth)])
    }
    return Object.fromEntries(entries)
  }

  #key(): string {
    this.#space()
    const quote = this.#quote()
    if (quote !== undefined) return this.#quoted(quote)
    const [name] = /^[\p{L}_$][\p{L}\p{N}_$]*/u.exec(this.#text.slice(this.#place, this.#place + 256)) ?? []
    if (name === undefined) return this.#fail('expected a key')
    this.#place += name.length
    return name
  }

  #quote(): string | undefined {
    const char = this.#text[this.#place]
    return char === '"' || char === "'" || char === '`' ? char : undefined
  }

  #quoted(quote: string): string {
    const start = this.#place++
    let text = ''
    for (;;) {
      const from = this.#place
      while (!this.#at('') && !this.#at(quote) && !this.#at('\\')) this.#place++
      text += this.#text.slice(from, this.#place)
      if (this.#takeHere(quote)) return text
      if (this.#at('')) {
        this.#place = start
        this.#fail(`the text that starts here has no end`)
      }
      text += this.#escape()
    }
  }

  // As #take(), but spaces count.
  #takeHere(token: string): boolean {
    if (!this.#at(token)) return false
    this.#place += token.length
    return true
  }

  #escape(): string {
    const hex = /^\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|u\{([0-9a-fA-F]{1,6})\})/.exec(
      this.#text.slice(this.#place, this.#place + 12),
    )
    const code = parseInt(hex?.[1] ?? hex?.[2] ?? hex?.[3] ?? '', 16)
    if (hex && code <= 0x10ffff) {
      this.#place += hex[0].length
      return String.fromCodePoint(code)
    }
    const char = this.#text[this.#place + 1]
    if (char === undefined || char === 'x' || char === 'u') this.#fail('expected \\xHH or \\uHHHH')
    this.#place += 2
    // A line may be continued behind a backslash.
    return char === '\n' ? '' : (escapes[char] ?? char)
  }
}

function textOf(value: Value): string | undefined {
  if (typeof value === 'string') return value
  if (typeof value === 'number' || typeof value === 'boolean') return String(value)
  return undefined
}
