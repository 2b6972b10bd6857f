// What surrounds kernels inside of the sandbox. These functions arrive there as their source text: they use nothing from outside
// of themselves but what JavaScript has, and what they are given.
import { createKernelApi } from '../api.ts'
import type { Grant } from '../step.ts'
import { makeTextForm } from './text-form.ts'

interface WorldModule {
  readonly exports: Readonly<Record<string, unknown>>
  readonly entry: unknown
}
type Factory = (imports: readonly object[]) => WorldModule

/** A global of the sandbox while it is set up; gone before any code of a kernel runs. */
interface World {
  define(at: number, factory: Factory): void
  start(imports: readonly (readonly number[])[], contextAt: number, mayRandom: boolean): (request: string) => string
}

/** What run() gives back is a text form of [what, log]: what is said, or ['thrown', name, message, stack, code]. */
function makeWorld(create: typeof createKernelApi, makeForm: typeof makeTextForm): World {
  const { parse, stringify } = JSON
  const { get, apply, construct } = Reflect
  const textOf = String
  const RealDate = Date
  const form = makeForm()
  const { text, list } = form
  const factories: Factory[] = []
  let now: number | undefined
  let seed = 0
  let lines: unknown[] = []
  let logged = 0
  let left = 0
  const mostLogged = 64 * 1024
  const longestLine = 8 * 1024

  const api = create(form, (level, printed) => {
    if (logged > mostLogged || lines.length >= 1000) {
      left++
      return
    }
    const line = printed.length > longestLine ? `${printed.slice(0, longestLine)}...` : printed
    logged += line.length
    lines.push(list([text(level), text(line)]))
  })
  const { said, refusal } = api
  const answer = (what: unknown): string => {
    if (left > 0) lines.push(list([text('warn'), text(`(and ${left} lines more)`)]))
    return form.finish(list(lines.length > 0 ? [what, list(lines)] : [what]))
  }
  /** What was thrown may do anything when it is looked at. */
  const looked = <T>(look: () => T): T | undefined => {
    try {
      return look()
    } catch {
      return undefined
    }
  }
  const described = (value: unknown): string =>
    looked(() => (typeof value === 'object' ? stringify(value) : undefined)) ??
    looked(() => textOf(value)) ??
    `a value (${typeof value}) that cannot be shown`
  const thrown = (error: unknown, depth: number): unknown => {
    const isObject = typeof error === 'object' && error !== null
    const read = (key: string): unknown => (isObject ? looked<unknown>(() => get(error, key)) : undefined)
    const of = (key: string, most: number): string => {
      const value = read(key)
      return typeof value === 'string' ? value.slice(0, most) : ''
    }
    const name = of('name', 256)
    const message = of('message', 4096)
    const shown = name === '' && message === '' ? described(error).slice(0, 4096) : message
    const parts = [text('thrown'), text(name), text(shown), text(of('stack', 8192)), text(of('code', 64))]
    const cause = read('cause')
    if (typeof cause === 'object' && cause !== null && depth < 4) parts.push(thrown(cause, depth + 1))
    return list(parts)
  }
  const failed = (error: unknown): string => answer(thrown(error, 1))
  const finished = (returned: unknown): string => {
    try {
      return answer(said(returned))
    } catch (error) {
      return failed(error)
    }
  }

  // Time stands still in a step: it is one of its inputs, and the next attempt gets another.
  const clock = (): number => {
    if (now === undefined)
      throw refusal('KERNEL_DENIED', 'there is no time while a source is loaded: ask for it in the kernel')
    return now
  }
  function StepDate(this: unknown, ...parts: []): unknown {
    if (new.target === undefined) return new RealDate(clock()).toString()
    return construct(RealDate, parts.length === 0 ? [clock()] : parts, new.target)
  }
  Object.defineProperty(StepDate, 'name', { value: 'Date' })
  Object.defineProperty(StepDate, 'prototype', { value: RealDate.prototype })
  const date = Object.assign(StepDate, { now: clock, parse: RealDate.parse, UTC: RealDate.UTC })
  Object.defineProperty(RealDate.prototype, 'constructor', { value: date, writable: true, configurable: true })

  const denied = (what: string, instead: string) => () => {
    throw refusal('KERNEL_DENIED', `${what} is not there in the sandbox: ${instead}`)
  }
  const pause = 'a pause is next(...).after(time)'
  const globals: Record<string, unknown> = { next: api.next, done: api.done, console: api.console, Date: date }
  for (const timer of ['setTimeout', 'setInterval', 'setImmediate']) globals[timer] = denied(timer, pause)
  for (const [name, value] of Object.entries(globals)) {
    Object.defineProperty(globalThis, name, { value, writable: true, configurable: true, enumerable: false })
  }
  // mulberry32: small, and good enough for what a step may want from it.
  const random = (): number => {
    seed = (seed + 0x6d2b79f5) | 0
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }

  return {
    define: (at, factory) => {
      factories[at] = factory
    },
    start: (imports, contextAt, mayRandom) => {
      Math.random = mayRandom ? random : denied('Math.random', "grant 'random', or pass what it needs as an argument")
      const modules: WorldModule[] = []
      let entry: unknown
      let broken: unknown
      try {
        for (const [at, factory] of factories.entries()) {
          modules[at] = factory((imports[at] ?? []).map((from) => modules[from]?.exports ?? {}))
        }
        entry = modules[modules.length - 1]?.entry
        if (typeof entry !== 'function') broken = refusal('KERNEL_ENTRY', 'what should be the kernel is no function')
      } catch (error) {
        // Without memory or stack it may go better another time; whatever else is thrown is thrown each time.
        if (!(error instanceof Error) || error.name === 'InternalError') throw error
        broken = error
      }
      const unpack = (value: unknown): unknown => {
        if (typeof value !== 'object' || value === null) return value
        if (Array.isArray(value)) return value.map(unpack)
        const marked: unknown = Object.hasOwn(value, '$gm') ? get(value, '$gm') : undefined
        if (typeof marked === 'string') return Uint8Array.from(marked, (char) => char.charCodeAt(0))
        const object = typeof marked === 'object' && marked !== null ? marked : value
        for (const key of Object.keys(object)) {
          Object.defineProperty(object, key, {
            value: unpack(get(object, key)),
            writable: true,
            enumerable: true,
            configurable: true,
          })
        }
        return object
      }
      // What is printed while the sources are loaded belongs to no step.
      lines = []
      logged = 0
      left = 0
      let later = ''
      return (request) => {
        if (request === '') return later
        if (broken !== undefined) return failed(broken)
        const [nowMs, nextSeed, given, context] = parse(request) as [number, number, unknown[], unknown]
        now = nowMs
        seed = nextSeed
        const args = request.includes('"$gm"') ? given.map(unpack) : given
        if (contextAt >= 0) {
          while (args.length < contextAt) args.push(undefined)
          args.splice(contextAt, 0, context)
        }
        let returned: unknown
        try {
          returned = apply(entry as () => unknown, undefined, args) as unknown
        } catch (error) {
          return failed(error)
        }
        const isPromise =
          typeof returned === 'object' && returned !== null && typeof get(returned, 'then') === 'function'
        if (!isPromise) return finished(returned)
        Promise.resolve(returned).then(
          (value) => {
            later = finished(value)
          },
          (error: unknown) => {
            later = failed(error)
          },
        )
        return ''
      }
    },
  }
}

// What stands in the sandbox is copied with each step, sources of functions included: comments and indents are left out.
const lean = (text: string): string => text.replace(/^\s+/gm, '').replace(/^(?:\/\/|\/\*\*|\*).*\n/gm, '')

/** Sets up the sandbox; then come the modules, then `startScript`. Bundlers that keep the names of functions write `__name` into them. */
export const worldScript = lean(
  `globalThis.$world = ((__name) => (${makeWorld.toString()})(${createKernelApi.toString()}, ${makeTextForm.toString()}))((named) => named)`,
)

export const moduleScript = (at: number, factory: string): string => `$world.define(${at},${factory})`

/** Its value is the function that runs steps. */
export function startScript(
  imports: readonly (readonly number[])[],
  contextAt: number | undefined,
  grants: readonly Grant[],
): string {
  const start = `world.start(${JSON.stringify(imports)}, ${contextAt ?? -1}, ${grants.includes('random')})`
  return `(() => { const world = $world; delete globalThis.$world; return ${start} })()`
}
