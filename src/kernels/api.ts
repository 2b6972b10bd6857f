// What a kernel can say: next(), done(), console. The same code stands inside the sandbox, where it arrives as its source text,
// and beside trusted kernels. So createKernelApi() has to be complete in itself: it uses nothing from outside of it but what
// JavaScript has. And it is short of allocations and calls, since an interpreter runs it there, for each step.

export type Level = 'debug' | 'info' | 'warn' | 'error'

/** How data are built: as themselves, or as the text that carries them out of the sandbox. */
export interface Form {
  readonly text: (value: string) => unknown
  readonly number: (value: number) => unknown
  readonly flag: (value: boolean) => unknown
  readonly nothing: () => unknown
  readonly bytes: (value: Uint8Array) => unknown
  readonly list: (items: unknown[]) => unknown
  readonly object: (keys: readonly string[], items: readonly unknown[]) => unknown
}

export interface KernelApi {
  readonly next: object
  readonly done: (value?: unknown) => object
  readonly console: object
  /**
   * What a kernel returned, in the form; outcomeOf() reads it. Throws what has a `code` of the catalogue.
   *
   *   ['text', text]   ['done', value, writes]   ['next' | 'all', calls, join | null, writes]
   *   a call: a text, [name, args], or [name, args, afterMs, 'key' | 'event' | '', what to wait for]
   */
  readonly said: (returned: unknown) => unknown
  /** An error with a code of the catalogue, to be thrown at the kernel. */
  readonly refusal: (code: string, message: string) => Error
}

export function createKernelApi(form: Form, log: (level: Level, text: string) => void): KernelApi {
  const { text, number, flag, nothing, bytes, list, object } = form
  const deepest = 200
  /** Of what one step gives back: characters and bytes. */
  const mostWeight = 8 * 1024 * 1024
  const longestWaitMs = 10 * 365 * 86_400_000
  const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
  const { isArray } = Array
  const { keys: keysOf } = Object

  /** What was refused. `path` grows on the way out: keys and indexes that lead to it. */
  class Refusal extends TypeError {
    readonly code: string
    path: string | undefined
    constructor(code: string, message: string, path?: string) {
      super(message)
      this.code = code
      this.path = path
    }
  }
  const nonsense = (message: string): Refusal => new Refusal('KERNEL_RESULT', message)
  const tagOf = (value: unknown): string => {
    try {
      return Object.prototype.toString.call(value).slice(8, -1)
    } catch {
      return 'Object'
    }
  }

  const show = (value: unknown): string => {
    switch (typeof value) {
      case 'undefined':
        return 'nothing (undefined)'
      case 'string':
        return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value)
      case 'function':
        return `the function ${value.name || '(without a name)'}`
      case 'object':
        return value === null ? 'null' : isArray(value) ? 'an array' : `an object (${tagOf(value)})`
      case 'bigint':
        return `${value}n`
      case 'symbol':
        return value.toString()
      default:
        return String(value)
    }
  }

  /** Of what is being built. */
  let weight = 0
  const weigh = (more: number): void => {
    weight += more
    if (weight > mostWeight) {
      throw new Refusal('KERNEL_SIZE', `a step gives back at most ${mostWeight / 1024 / 1024} MiB, and this is more`)
    }
  }

  /** True while a text of JSON is made, in which bytes have no place. */
  let isJson = false
  const badValue = (message: string): Refusal => new Refusal('KERNEL_RESULT', message, '')

  /** Data in the form: a copy, so that nothing can change it later. Throws where JSON would drop or bend something. */
  const build = (value: unknown, depth: number): unknown => {
    switch (typeof value) {
      case 'string':
        weigh(value.length + 2)
        return text(value)
      case 'number':
        weigh(8)
        // No number is neither finite nor equal to itself minus itself.
        if (value - value !== 0) throw badValue(`is ${value}, which is no JSON`)
        return number(value)
      case 'boolean':
        weigh(4)
        return flag(value)
      case 'undefined':
        weigh(4)
        return nothing()
      case 'object':
        if (value === null) {
          weigh(4)
          return nothing()
        }
        return buildObject(value, depth)
      default:
        throw badValue(`is ${show(value)}: a ${typeof value} cannot be kept`)
    }
  }

  const buildObject = (value: object, depth: number): unknown => {
    if (depth >= deepest) throw new Refusal('KERNEL_STACK', `is nested more than ${deepest} deep, or in a circle`, '')
    if (value instanceof Uint8Array) {
      if (isJson) throw badValue('is bytes, which JSON cannot hold')
      weigh(value.length)
      return bytes(value)
    }
    if (value instanceof Following) throw badValue('is a call, which only next.all([...]) takes')
    let at: string | number | undefined
    try {
      if (isArray(value)) {
        // Before anything is allocated: an array may be long without being there.
        weigh(value.length * 2)
        const items: unknown[] = []
        for (let i = 0; i < value.length; i++) items.push(build(value[(at = i)], depth + 1))
        return list(items)
      }
      const { toJSON } = value as { readonly toJSON?: unknown }
      if (typeof toJSON === 'function') return build(Reflect.apply(toJSON, value, ['']), depth + 1)
      const tag = tagOf(value)
      if (tag !== 'Object') throw badValue(`is a ${tag}, which cannot be kept: make it an object, an array or bytes`)
      const keys: string[] = []
      const items: unknown[] = []
      for (at of keysOf(value)) {
        const item: unknown = Reflect.get(value, at)
        if (item === undefined) continue
        weigh(at.length + 4)
        keys.push(at)
        items.push(build(item, depth + 1))
      }
      return object(keys, items)
    } catch (error) {
      // The stack is full: what is there must not be in need of more.
      if (at !== undefined && error instanceof Refusal && error.path !== undefined && error.path.length < 80) {
        error.path = (typeof at === 'number' ? `[${at}]` : `.${at}`) + error.path
      }
      throw error
    }
  }

  const plain = (value: unknown, what: string, index: number, call: string): unknown => {
    try {
      return build(value, 0)
    } catch (error) {
      if (error instanceof Refusal && error.path !== undefined) {
        const path = error.path.length < 80 ? error.path : '...'
        const place = `${index < 0 ? what : `${what} ${index + 1}`}${call === '' ? '' : ` of ${call}`}${path}`
        // Another one, whose stack begins near the kernel and not as deep in the data.
        throw new Refusal(error.code, `${place} ${error.message}`)
      }
      throw error
    }
  }

  /** An argument of a command. */
  const word = (value: unknown, what: string): unknown => {
    if (typeof value === 'string') {
      weigh(value.length + 2)
      return text(value)
    }
    if (value instanceof Uint8Array) {
      weigh(value.length)
      return bytes(value)
    }
    if ((typeof value === 'number' && Number.isFinite(value)) || typeof value === 'bigint') return text(String(value))
    throw nonsense(`${what} has to be a text, a number or bytes, not ${show(value)}`)
  }

  /** A value to be stored: objects, arrays and booleans as JSON. */
  const stored = (value: unknown): unknown => {
    if (typeof value === 'boolean') return text(String(value))
    if (typeof value !== 'object' || value === null || value instanceof Uint8Array)
      return word(value, 'the value of .set()')
    isJson = true
    try {
      plain(value, 'the value', -1, '.set()')
    } finally {
      isJson = false
    }
    return text(JSON.stringify(value))
  }

  const millisecondsOf = (time: unknown): number => {
    const [, count, unit] = typeof time === 'string' ? (/^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(time) ?? []) : []
    const ms = typeof time === 'number' ? time : Math.round(Number(count) * (units[unit ?? ''] ?? NaN))
    if (!Number.isSafeInteger(ms) || ms < 0 || ms > longestWaitMs) {
      throw nonsense(`.after() takes a time such as '5m' (ms, s, m, h, d) or whole milliseconds, not ${show(time)}`)
    }
    return ms
  }

  class Asked {
    readonly name: string
    readonly args: unknown[]
    afterMs = 0
    condition = ''
    awaited = ''
    constructor(name: string, args: unknown[]) {
      this.name = name
      this.args = args
    }
  }

  const asked = (call: string, name: unknown, args: readonly unknown[]): Asked => {
    if (typeof name !== 'string' || name === '') throw nonsense(`${call} takes the name of a kernel, not ${show(name)}`)
    weigh(name.length)
    const built: unknown[] = []
    for (let i = 0; i < args.length; i++) {
      const value = args[i]
      if (typeof value === 'string') {
        weigh(value.length + 2)
        built.push(text(value))
      } else built.push(plain(value, 'argument', i, call))
    }
    return new Asked(name, built)
  }

  const built = (call: Asked | string): unknown => {
    if (typeof call === 'string') return text(call)
    const { name, args, afterMs, condition, awaited } = call
    if (afterMs === 0 && condition === '') return list([text(name), list(args)])
    return list([text(name), list(args), number(afterMs), text(condition), text(awaited)])
  }

  /** What next(), next.all() and done() give. */
  class Following {
    readonly kind: 'next' | 'all' | 'done'
    readonly calls: (Asked | string)[]
    readonly value: unknown
    weight: number
    writes: unknown[] | undefined
    joined: Asked | undefined

    constructor(kind: Following['kind'], calls: (Asked | string)[], value: unknown) {
      this.kind = kind
      this.calls = calls
      this.value = value
      this.weight = weight
      this.writes = undefined
      this.joined = undefined
    }

    set(key: unknown, value: unknown): this {
      weight = this.weight
      const words = [text('SET'), word(key, 'the key of .set()'), stored(value)]
      ;(this.writes ??= []).push(list(words))
      this.weight = weight
      return this
    }

    do(command: unknown, ...args: unknown[]): this {
      if (typeof command !== 'string' || command === '') {
        throw nonsense(`.do() takes the name of a command, not ${show(command)}`)
      }
      weight = this.weight
      const words = args.map((each, i) => word(each, `argument ${i + 1} of .do('${command}')`))
      ;(this.writes ??= []).push(list([text(command), ...words]))
      this.weight = weight
      return this
    }

    after(time: unknown): this {
      const ms = millisecondsOf(time)
      each(this, '.after()', (call) => (call.afterMs = ms))
      return this
    }

    when(condition: unknown): this {
      const { key, event } = (typeof condition === 'object' ? (condition ?? {}) : {}) as Record<string, unknown>
      const awaited = key ?? event
      if (typeof awaited !== 'string' || awaited === '' || (key !== undefined && event !== undefined)) {
        throw nonsense(`.when() takes { key: 'name' } or { event: 'name' }, not ${show(condition)}`)
      }
      each(this, '.when()', (call) => {
        call.condition = key === undefined ? 'event' : 'key'
        call.awaited = awaited
      })
      return this
    }

    join(name: unknown, ...args: unknown[]): this {
      if (this.kind !== 'all') throw nonsense('.join() follows next.all([...])')
      weight = this.weight
      this.joined = asked('.join()', name, args)
      this.weight = weight
      return this
    }
  }

  const each = (following: Following, what: string, change: (call: Asked) => void): void => {
    if (following.kind === 'done') throw nonsense(`${what} has nothing to wait for after done()`)
    for (const call of following.calls) {
      if (typeof call === 'string') throw nonsense(`${what} cannot change a call that is given as a text`)
      change(call)
    }
  }

  const next = (name: unknown, ...args: unknown[]): Following => {
    weight = 0
    return new Following('next', [asked('next()', name, args)], undefined)
  }
  next.all = (calls: unknown): Following => {
    if (!isArray(calls)) throw nonsense(`next.all() takes an array of calls, not ${show(calls)}`)
    const given: (Asked | string)[] = []
    const writes: unknown[] = []
    weight = 0
    for (const call of calls as unknown[]) {
      if (typeof call === 'string') {
        weigh(call.length)
        given.push(call)
      } else if (call instanceof Following && call.kind === 'next') {
        weigh(call.weight)
        given.push(...call.calls)
        if (call.writes) writes.push(...call.writes)
      } else throw nonsense(`next.all() takes calls made by next(), not ${show(call)}`)
    }
    const all = new Following('all', given, undefined)
    all.writes = writes
    return all
  }

  const done = (value?: unknown): Following => {
    weight = 0
    return new Following('done', [], plain(value, 'the value', -1, 'done()'))
  }

  const words = { text: text('text'), done: text('done'), next: text('next'), all: text('all') }
  const empty = list([])
  const said = (returned: unknown): unknown => {
    if (returned instanceof Following) {
      const { kind, calls, value, joined } = returned
      const writes = returned.writes ? list(returned.writes) : empty
      if (kind === 'done') return list([words.done, value, writes])
      return list([words[kind], list(calls.map(built)), joined ? built(joined) : nothing(), writes])
    }
    if (typeof returned !== 'string') throw nonsense(`the kernel returned ${show(returned)}`)
    weight = 0
    weigh(returned.length)
    return list([words.text, text(returned)])
  }

  const printed = (value: unknown): string => {
    if (typeof value === 'string') return value
    try {
      if (value instanceof Error) return `${value.name}: ${value.message}`
      if (value === undefined) return 'undefined'
      return typeof value === 'object' && value !== null ? JSON.stringify(value) : show(value)
    } catch {
      return show(value)
    }
  }
  const line =
    (level: Level) =>
    (...values: unknown[]): void =>
      log(level, values.map(printed).join(' '))

  return {
    next,
    done,
    console: {
      debug: line('debug'),
      log: line('info'),
      info: line('info'),
      warn: line('warn'),
      error: line('error'),
      trace: line('debug'),
    },
    said,
    refusal: (code, message) => new Refusal(code, message),
  }
}
