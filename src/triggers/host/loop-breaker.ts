// Finds a key trigger that runs in a loop: its function writes keys through `mill.redis` that bring it the next event.
//
// An event of a key that the function has written itself is an echo. A function that writes matching keys once for each event
// of others, and leaves echoes alone, makes no loop: batches of nothing but echoes then write nothing. A loop is told by such
// batches that write on and on.
import type { Failure } from '../../engine/runner.ts'
import { changesOf } from '../sources/changes.ts'
import { compileFilter, type CompiledFilter, type KeysDescription } from './key-filters.ts'

/** So many writes of batches of echoes, within this time in milliseconds, are a loop. */
const mostWrites = 200
const withinMs = 60_000
/** Keys whose echo is awaited, and for how long. */
const mostEchoes = 100_000
const echoMs = 60_000

interface Echo {
  count: number
  until: number
}

/** Names by which commands reach replicas, and so events. */
const known: Readonly<Record<string, string>> = {
  setex: 'set',
  psetex: 'set',
  expire: 'pexpireat',
  pexpire: 'pexpireat',
  expireat: 'pexpireat',
  hincrbyfloat: 'hset',
}

export class LoopBreaker {
  readonly #filter: CompiledFilter
  readonly #trip: (failure: Failure) => void
  readonly #echoes = new Map<string, Echo>()
  /** When batches of echoes wrote. */
  readonly #times: number[] = []
  #next = 0
  #echoing = false
  #tripped = false

  constructor(name: string, description: KeysDescription, trip: (failure: Failure) => void) {
    this.#filter = compileFilter({ name, created: '', revision: '', from: 0, description })
    this.#trip = trip
  }

  /** A batch with events of these keys begins. */
  begin(keys: readonly string[]): void {
    const now = performance.now()
    let echoes = 0
    for (const key of keys) if (this.#isEcho(key, now)) echoes += 1
    this.#echoing = keys.length > 0 && echoes === keys.length
  }

  #isEcho(key: string, now: number): boolean {
    const echo = this.#echoes.get(key)
    if (echo === undefined) return false
    if (--echo.count === 0 || echo.until < now) this.#echoes.delete(key)
    return echo.until >= now
  }

  /** The function wrote through `mill.redis`. */
  wrote(command: string, keys: readonly string[]): void {
    const name = command.toLowerCase()
    const now = performance.now()
    for (const key of keys) {
      if (!this.#filter.matches(key) || !this.#isAsked(known[name] ?? name, key)) continue
      const echo = this.#echoes.get(key)
      if (echo !== undefined && echo.until >= now) echo.count += 1
      else if (this.#echoes.size < mostEchoes) this.#echoes.set(key, { count: 1, until: now + echoMs })
      else this.#echoes.clear()
      if (this.#echoing) this.#count(now)
    }
  }

  #isAsked(name: string, key: string): boolean {
    const { events, types } = this.#filter.description
    const bytes = Buffer.from(key)
    return changesOf([Buffer.from(name), bytes, bytes, Buffer.from('1')]).some(
      ({ event, type }) =>
        (events === undefined || events.includes(event)) &&
        (types === undefined || type === 'unknown' || types.includes(type)),
    )
  }

  #count(now: number): void {
    const first = this.#times[this.#next]
    this.#times[this.#next] = now
    this.#next = (this.#next + 1) % mostWrites
    if (this.#tripped || first === undefined || now - first > withinMs) return
    this.#tripped = true
    const seconds = Math.max(0.1, (now - first) / 1000).toFixed(1)
    const message = `its function writes keys that it listens to: ${mostWrites} writes in ${seconds} s were answers to its own`
    this.#trip({ code: 'TRIGGER_LOOP', message })
  }
}
