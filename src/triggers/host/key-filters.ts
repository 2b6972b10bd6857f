// The filters of all key triggers that a tap serves. Most writes are of keys that nobody asked for: these are told by a few
// of their bytes, before anything is made of them.
import { isUtf8 } from 'node:buffer'
import type { CommandView } from '../../redis/tap/command-view.ts'
import type { TapFilter, TappedWrite } from '../../redis/tap/tap.ts'
import { nameInKeys } from '../keys.ts'
import { changesOf, type Change } from '../sources/changes.ts'
import { matcherOf } from '../sources/glob.ts'
import { endsKey, type KeptKeyEvent } from '../sources/keys.ts'
import type { SourceDescription } from '../sources/source.ts'

export type KeysDescription = Extract<SourceDescription, { readonly kind: 'keys' }>

/** A key trigger as its tap sees it. */
export interface Followed {
  readonly name: string
  /** Tells it from an earlier one of its name. */
  readonly created: string
  readonly revision: string
  /** Of the trigger; events are kept for those that are paused, too. */
  readonly state?: string
  readonly description: KeysDescription
}

/** A trigger that gets writes from this offset of the primary's history on. */
export interface KeyFilter extends Followed {
  readonly from: number
}

/** One change that at least one trigger asked for. */
export interface SeenChange {
  readonly change: Change
  readonly key: string
  readonly database: number
  readonly offset: number
  readonly command: readonly Buffer[]
  readonly filters: readonly CompiledFilter[]
}

export interface CompiledFilter extends KeyFilter {
  readonly prefix: string
  readonly matches: (key: string) => boolean
}

/** Why a key went: by a command, because its time was over, because memory was short; undefined: not known. */
export type Cause = 'del' | 'expired' | 'evicted' | undefined

const deletions: readonly string[] = ['del', 'expired', 'evicted']

/** Letters and lengths of the names of commands with more keys than the first: those that are alike are looked at in vain. */
const manyKeyed = new Set(
  ['del', 'unlink', 'mset', 'msetnx', 'rename', 'renamenx', 'rpoplpush', 'copy', 'smove', 'lmove', 'bitop', 'sort'].map(
    (name) => name.length * 256 + name.charCodeAt(0),
  ),
)
const flushes = new Set([7 * 256 + 0x66, 8 * 256 + 0x66])

export function compileFilter(filter: KeyFilter): CompiledFilter {
  const { pattern } = filter.description
  return { ...filter, prefix: /^[^*?[\\]*/.exec(pattern)?.[0] ?? '', matches: matcherOf(pattern) }
}

export class KeyFilters implements TapFilter {
  readonly #own: Buffer
  readonly #ownText: string
  #filters: readonly CompiledFilter[] = []
  #all = false
  /** Prefixes of patterns by their first byte. */
  #prefixes: (Buffer[] | undefined)[] = []
  /** Something was written since this was last cleared that is not Gearmill's own. */
  foreign = true

  constructor(namespace: string) {
    this.#ownText = `${namespace}:{`
    this.#own = Buffer.from(this.#ownText)
  }

  get filters(): readonly CompiledFilter[] {
    return this.#filters
  }

  set(filters: readonly KeyFilter[]): void {
    this.#filters = filters.map(compileFilter)
    const prefixes = [...new Set(this.#filters.map(({ prefix }) => prefix))]
    this.#all = prefixes.includes('')
    this.#prefixes = []
    for (const prefix of prefixes.filter((each) => each !== '').map((each) => Buffer.from(each))) {
      const first = prefix[0] as number
      this.#prefixes[first] = [...(this.#prefixes[first] ?? []), prefix]
    }
  }

  wants(view: CommandView): boolean {
    const kind = kindOf(view)
    if (view.count < 2) return flushes.has(kind)
    const own = view.begins(1, this.#own)
    if (!own) this.foreign = true
    if (flushes.has(kind)) return true
    const many = view.count > 2 && manyKeyed.has(kind)
    if (this.#all) return !own || many
    if (this.#begins(view, 1)) return true
    if (many) for (let i = 2; i < view.count; i++) if (this.#begins(view, i)) return true
    return false
  }

  #begins(view: CommandView, i: number): boolean {
    const start = view.starts[i] as number
    if (start === view.ends[i]) return false
    const prefixes = this.#prefixes[view.buffer[start] as number]
    if (prefixes === undefined) return false
    for (let k = 0; k < prefixes.length; k++) if (view.begins(i, prefixes[k] as Buffer)) return true
    return false
  }

  /** A commit of a trigger changes keys of that trigger in the same transaction. */
  marks(view: CommandView): boolean {
    return view.count > 1 && view.begins(1, this.#own)
  }

  /** Whether any trigger may ask for this key. */
  mayWant(key: string): boolean {
    return this.#filters.some(({ prefix, matches }) => key.startsWith(prefix) && matches(key))
  }

  isOwn(key: string): boolean {
    return key.startsWith(this.#ownText)
  }

  /** What triggers asked for of a write; names of events are not looked at. */
  seenIn({ database, offset, together, commands, marks }: TappedWrite): SeenChange[] {
    const isOwners = (name: string): boolean => together && marks.some((mark) => belongs(mark, name))
    const able = this.#filters.filter(
      ({ name, from, description: { includeOwn } }) => from < offset && (includeOwn || !isOwners(name)),
    )
    const seen: SeenChange[] = []
    for (const command of able.length === 0 ? [] : commands) {
      for (const change of changesOf(command)) {
        const key = change.key.toString()
        if (key.startsWith(this.#ownText)) continue
        const at = change.database ?? database
        const filters = able.filter(
          ({ prefix, matches, description: { db } }) =>
            (db === undefined || db === at) && (key === '' || (key.startsWith(prefix) && matches(key))),
        )
        if (filters.length > 0) seen.push({ change, key, database: at, offset, command, filters })
      }
    }
    return seen
  }
}

function kindOf(view: CommandView): number {
  const start = view.starts[0] as number
  return ((view.ends[0] as number) - start) * 256 + ((view.buffer[start] as number) | 0x20)
}

/** Whether a key is state of that trigger: `<namespace>:{<tag>}:trigger:<name>:` and a letter, or that of an outbox and its name. */
function belongs(key: string, name: string): boolean {
  const state = `}:trigger:${nameInKeys(name)}:`
  const at = key.indexOf('}')
  return key.startsWith(state, at) && /^(?:[fnrdlo]$|[om]:)/.test(key.slice(at + state.length))
}

/** The event of a change as it is kept; undefined where the trigger did not ask for it. */
export function keptEvent(
  { change, key, database, command }: SeenChange,
  { description: { events, types } }: CompiledFilter,
  cause: Cause,
): KeptKeyEvent | undefined {
  const unknown = change.event === 'del' && cause === undefined
  const event = change.event === 'del' ? (cause ?? 'del') : change.event
  if (events !== undefined && !(unknown ? deletions : [event]).some((each) => events.includes(each))) return undefined
  if (types !== undefined && change.type !== 'unknown' && !types.includes(change.type)) return undefined
  const { value, type } = change
  const late = value === undefined && !endsKey(event)
  const base = [key, event, type, database, Date.now(), command.map((arg) => arg.toString()), late] as const
  if (key.includes('\uFFFD') && !isUtf8(change.key)) {
    return [...base, value?.toString(), unknown ? true : undefined, true]
  }
  if (unknown) return [...base, undefined, true]
  return value === undefined ? base : [...base, value.toString()]
}
