// What a kernel can say: next(), done(), console. The same code stands inside the sandbox, where it arrives as its source text,
// and beside trusted kernels. So createKernelApi() has to be complete in itself: it uses nothing from outside of it but what
// JavaScript has.

type Level = 'debug' | 'info' | 'warn' | 'error'

export interface KernelApiOptions {
  /** How bytes are put into values; in the sandbox they have to become JSON. */
  readonly bytes: (value: Uint8Array) => unknown
  /** What is put in the place of an object, which may have to be told from bytes. */
  readonly object: (value: object) => unknown
  readonly log: (level: Level, text: string) => void
}

/** One call as a kernel asked for it. */
export interface Asked {
  name: string
  args: unknown[]
  afterMs: number
  when?: { key: string } | { event: string }
}

/** What a kernel returned, as far as it means something: data only. */
export type Said =
  | { kind: 'text'; text: string }
  | { kind: 'done'; value: unknown; writes: unknown[][] }
  | { kind: 'next' | 'all'; calls: (Asked | string)[]; join?: Asked; writes: unknown[][] }

export interface KernelApi {
  readonly next: object
  readonly done: (value?: unknown) => object
  readonly console: object
  /** Throws what has a `code` of the catalogue. */
  readonly said: (returned: unknown) => Said
  /** An error with a code of the catalogue, to be thrown at the kernel. */
  readonly refusal: (code: string, message: string) => Error
}

export function createKernelApi({ bytes, object, log }: KernelApiOptions): KernelApi {
  const deepest = 200
  const most = 8 * 1024 * 1024
  const units: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
  const longestWaitMs = 10 * 365 * 86_400_000
  const tagOf = (value: unknown): string => Object.prototype.toString.call(value).slice(8, -1)

  class Refusal extends TypeError {
    readonly code: string
    constructor(code: string, message: string) {
      super(message)
      this.code = code
    }
  }
  const nonsense = (message: string): Refusal => new Refusal('KERNEL_RESULT', message)

  const show = (value: unknown): string => {
    switch (typeof value) {
      case 'undefined':
        return 'nothing (undefined)'
      case 'string':
        return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}...` : value)
      case 'function':
        return `the function ${value.name || '(without a name)'}`
      case 'object':
        return value === null ? 'null' : Array.isArray(value) ? 'an array' : `an object (${tagOf(value)})`
      case 'bigint':
        return `${value}n`
      default:
        return value.toString()
    }
  }

  /** What the values of one step weigh, in characters and bytes. */
  class Scale {
    weight = 0
    /** True while a text of JSON is made, in which bytes have no place. */
    isJson = false
    add(more: number): void {
      this.weight += more
      if (this.weight > most) throw new Refusal('KERNEL_SIZE', `a step gives back at most ${most} bytes, this is more`)
    }
  }

  /** A copy as plain data, so that nothing can change it later; throws where JSON would drop or bend something. */
  const plain = (value: unknown, scale: Scale, path: string, depth: number): unknown => {
    switch (typeof value) {
      case 'string':
        scale.add(value.length + 2)
        return value
      case 'boolean':
        scale.add(4)
        return value
      case 'number':
        if (!Number.isFinite(value)) throw nonsense(`${path} is ${value}, which is no JSON`)
        scale.add(8)
        return value
      case 'undefined':
        scale.add(4)
        return null
      case 'object':
        return value === null ? null : plainObject(value, scale, path, depth)
      default:
        throw nonsense(`${path} is ${show(value)}: a ${typeof value} cannot be kept`)
    }
  }

  const plainObject = (value: object, scale: Scale, path: string, depth: number): unknown => {
    if (depth >= deepest) {
      throw new Refusal('KERNEL_STACK', `${path.slice(0, 80)}... is nested more than ${deepest} deep, or in a circle`)
    }
    if (value instanceof Uint8Array) {
      if (scale.isJson) throw nonsense(`${path} is bytes, which JSON cannot hold`)
      scale.add(value.length)
      return bytes(value)
    }
    if (Array.isArray(value)) {
      // Before anything is allocated: an array may be long without being there.
      scale.add(value.length * 2)
      const list: unknown[] = []
      for (let i = 0; i < value.length; i++) list.push(plain(value[i], scale, `${path}[${i}]`, depth + 1))
      return list
    }
    const toJson: unknown = Reflect.get(value, 'toJSON')
    if (typeof toJson === 'function') return plain(Reflect.apply(toJson, value, ['']), scale, path, depth + 1)
    const tag = tagOf(value)
    if (tag !== 'Object')
      throw nonsense(`${path} is a ${tag}, which cannot be kept: make it an object, an array or bytes`)
    const copy: Record<string, unknown> = {}
    for (const key of Object.keys(value)) {
      const item: unknown = Reflect.get(value, key)
      if (item === undefined) continue
      scale.add(key.length + 4)
      const kept = plain(item, scale, `${path}.${key}`, depth + 1)
      if (key !== '__proto__') copy[key] = kept
      else Object.defineProperty(copy, key, { value: kept, enumerable: true, writable: true, configurable: true })
    }
    return scale.isJson ? copy : object(copy)
  }

  const word = (value: unknown, what: string, scale: Scale): unknown => {
    if (typeof value === 'string') {
      scale.add(value.length + 2)
      return value
    }
    if (value instanceof Uint8Array) {
      scale.add(value.length)
      return bytes(value)
    }
    if ((typeof value === 'number' && Number.isFinite(value)) || typeof value === 'bigint') return String(value)
    throw nonsense(`${what} has to be a text, a number or bytes, not ${show(value)}`)
  }

  const millisecondsOf = (time: unknown): number => {
    const [, count, unit] = typeof time === 'string' ? (/^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(time) ?? []) : []
    const ms = typeof time === 'number' ? time : Math.round(Number(count) * (units[unit ?? ''] ?? NaN))
    if (!Number.isSafeInteger(ms) || ms < 0 || ms > longestWaitMs) {
      throw nonsense(`.after() takes a time such as '5m' (ms, s, m, h, d) or whole milliseconds, not ${show(time)}`)
    }
    return ms
  }

  const conditionOf = (condition: unknown): { key: string } | { event: string } => {
    const of = (name: string): unknown =>
      typeof condition === 'object' && condition !== null ? Reflect.get(condition, name) : undefined
    const [key, event] = [of('key'), of('event')]
    if (typeof key === 'string' && key !== '' && event === undefined) return { key }
    if (typeof event === 'string' && event !== '' && key === undefined) return { event }
    throw nonsense(`.when() takes { key: 'name' } or { event: 'name' }, not ${show(condition)}`)
  }

  const asked = (call: string, name: unknown, args: readonly unknown[], scale: Scale): Asked => {
    if (typeof name !== 'string' || name === '') throw nonsense(`${call} takes the name of a kernel, not ${show(name)}`)
    scale.add(name.length)
    return { name, args: args.map((each, i) => plain(each, scale, `argument ${i + 1} of ${call}`, 0)), afterMs: 0 }
  }

  /** What next(), next.all() and done() give. */
  class Following {
    readonly kind: 'next' | 'all' | 'done'
    readonly calls: (Asked | string)[]
    readonly value: unknown
    readonly writes: unknown[][] = []
    readonly scale: Scale
    joined: Asked | undefined

    constructor(kind: Following['kind'], calls: (Asked | string)[], value: unknown, scale: Scale) {
      this.kind = kind
      this.calls = calls
      this.value = value
      this.scale = scale
    }

    set(key: unknown, value: unknown): this {
      const text = this.#textOf(value)
      this.writes.push([
        'SET',
        word(key, 'the key of .set()', this.scale),
        word(text, 'the value of .set()', this.scale),
      ])
      return this
    }

    do(command: unknown, ...args: unknown[]): this {
      if (typeof command !== 'string' || command === '') {
        throw nonsense(`.do() takes the name of a command, not ${show(command)}`)
      }
      const words = args.map((each, i) => word(each, `argument ${i + 1} of .do('${command}')`, this.scale))
      this.writes.push([command, ...words])
      return this
    }

    after(time: unknown): this {
      const ms = millisecondsOf(time)
      this.#each('.after()', (call) => (call.afterMs = ms))
      return this
    }

    when(condition: unknown): this {
      const when = conditionOf(condition)
      this.#each('.when()', (call) => (call.when = when))
      return this
    }

    join(name: unknown, ...args: unknown[]): this {
      if (this.kind !== 'all') throw nonsense('.join() follows next.all([...])')
      this.joined = asked('.join()', name, args, this.scale)
      return this
    }

    /** Objects, arrays and booleans are stored as JSON. */
    #textOf(value: unknown): unknown {
      if (typeof value === 'boolean') return String(value)
      if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
      const scale = new Scale()
      scale.isJson = true
      return JSON.stringify(plain(value, scale, 'the value of .set()', 0))
    }

    #each(what: string, change: (call: Asked) => void): void {
      if (this.kind === 'done') throw nonsense(`${what} has nothing to wait for after done()`)
      for (const call of this.calls) {
        if (typeof call === 'string') throw nonsense(`${what} cannot change a call that is given as a text`)
        change(call)
      }
    }
  }

  const next = (name: unknown, ...args: unknown[]): Following => {
    const scale = new Scale()
    return new Following('next', [asked('next()', name, args, scale)], undefined, scale)
  }
  next.all = (list: unknown): Following => {
    if (!Array.isArray(list)) throw nonsense(`next.all() takes an array of calls, not ${show(list)}`)
    const all = new Following('all', [], undefined, new Scale())
    for (const each of list as unknown[]) {
      if (typeof each === 'string') {
        all.scale.add(each.length)
        all.calls.push(each)
      } else if (each instanceof Following && each.kind === 'next') {
        all.scale.add(each.scale.weight)
        all.calls.push(...each.calls)
        all.writes.push(...each.writes)
      } else throw nonsense(`next.all() takes calls made by next(), not ${show(each)}`)
    }
    return all
  }

  const done = (value?: unknown): Following => {
    const scale = new Scale()
    return new Following('done', [], plain(value, scale, 'the value of done()', 0), scale)
  }

  const said = (returned: unknown): Said => {
    if (typeof returned === 'string') {
      new Scale().add(returned.length)
      return { kind: 'text', text: returned }
    }
    if (!(returned instanceof Following)) throw nonsense(`the kernel returned ${show(returned)}`)
    const { kind, calls, value, writes, joined } = returned
    if (kind === 'done') return { kind, value, writes }
    return { kind, calls, writes, ...(joined !== undefined && { join: joined }) }
  }

  const printed = (value: unknown): string => {
    if (typeof value === 'string') return value
    if (value instanceof Error) return `${value.name}: ${value.message}`
    if (value === undefined) return 'undefined'
    if (typeof value !== 'object' || value === null) return show(value)
    try {
      return JSON.stringify(value)
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
