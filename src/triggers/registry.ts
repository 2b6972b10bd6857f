// The client's side of triggers: stores them, finds them, lists them.
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { captureCode } from '../code/capture.ts'
import type { ExecutionEngine } from '../engine/execution.ts'
import { writeLarge } from '../engine/large-values.ts'
import { realmFields } from '../engine/realm.ts'
import { ConnectError, PlanError, TriggerError } from '../errors.ts'
import { refuse } from '../pipeline/options.ts'
import type { KeyEventsOptions, ScheduleOptions } from '../pipeline/readers/events.ts'
import { readersOf, stagesOf, type Description } from '../pipeline/plan.ts'
import { encodeProgram, type StageProgram } from '../pipeline/program.ts'
import type { LaunchRealm } from '../pipeline/run.ts'
import type { RegisterOptions, Trigger, TriggerKind, TriggerStatus } from '../pipeline/trigger.ts'
import { itemsOf, numberOf, textMapOf, textOf } from '../redis/replies.ts'
import { findStreams } from './host/streams.ts'
import { RegisteredTrigger } from './handle.ts'
import { groupOf, homeKeys, homeTag, tapName, triggerKeys, type TriggerClient, type TriggerKeys } from './keys.ts'
import { checkName, checkRegister, checkRegisterOptions, type TriggerOptions } from './options.ts'
import type { SourceDescription } from './sources/source.ts'
import { streamsOf } from './sources/stream.ts'

/** Program and code that no registration followed. */
const unregisteredMs = 60_000
const mostTries = 5
/** How long register() waits for the taps of a key trigger, and for a worker to begin with them. */
const attachMs = 60_000
const workerMs = 3000
const lookMs = 25

export interface TriggersOptions {
  readonly engine: ExecutionEngine
  readonly secret: string | undefined
  /** Time limit of a batch where none is given, in milliseconds. */
  readonly timeoutMs: number
}

/** Everything that is stored of a trigger. */
export interface Registration {
  readonly kind: TriggerKind
  readonly options: RegisterOptions
  readonly source: SourceDescription
  readonly program: Uint8Array
  readonly functions: readonly { readonly value: unknown; readonly label: string }[]
  readonly realm?: LaunchRealm | undefined
}

/** `mill.triggers`: the triggers of the deployment, whoever registered them. */
export class Triggers {
  readonly #options: TriggersOptions
  readonly #keys: TriggerKeys
  readonly client: TriggerClient

  constructor(options: TriggersOptions) {
    const { deployment, namespace } = options.engine
    this.#options = options
    this.#keys = triggerKeys(namespace)
    this.client = { deployment, namespace, keys: this.#keys }
  }

  /** The trigger of that name; its methods throw TRIGGER_UNKNOWN where there is none. */
  get(name: string): Trigger {
    checkName(name)
    return new RegisteredTrigger(name, this.client)
  }

  /** What every trigger does, by name. */
  async list(): Promise<TriggerStatus[]> {
    const { registry } = this.#keys
    const { deployment } = this.client
    const names = itemsOf(await deployment.command(registry, ['HKEYS', registry])).map(textOf)
    // One that is removed while the list is read is no error.
    const all = await Promise.all(names.toSorted().map((name) => this.get(name).status().catch(ignoreUnknown)))
    return all.filter((status) => status !== undefined)
  }

  /** Registers a pipeline: what `pipeline.register(options)` does. */
  async registerPipeline(description: Description, options: RegisterOptions, realm?: LaunchRealm): Promise<Trigger> {
    checkRegisterOptions(options)
    const { name, options: given } = description.reader
    const [, joined] = readersOf(description)
    if (joined !== undefined) {
      const shown = `one that is joined with ${joined.name}(...)`
      throw new PlanError('PLAN_OPTION', `register: expected a pipeline of one reader; got ${shown}`)
    }
    const { stages, functions, labels } = stagesOf(description)
    checkWindow(stages, options)
    checkSink(stages)
    const registration = {
      options,
      realm,
      program: encodeProgram({ strict: true, stages }),
      functions: functions.map((value, i) => ({ value, label: labels[i] as string })),
    }
    if (name === 'keyEvents') {
      const kind = 'keys' as const
      const trigger = await this.register({ ...registration, kind, source: { kind, ...(given as KeyEventsOptions) } })
      await this.#attached(trigger)
      return trigger
    }
    if (name === 'schedule') {
      return this.register({
        ...registration,
        kind: 'schedule',
        source: { kind: 'schedule', ...(given as ScheduleOptions) },
      })
    }
    if (name !== 'stream') {
      throw new PlanError(
        'PLAN_OPTION',
        `register: expected a pipeline of events, such as stream(...); got one of ${name}(...)`,
      )
    }
    const {
      pattern,
      raw = false,
      binary = false,
      from,
      to,
    } = given as {
      readonly pattern: string
      readonly raw?: boolean
      readonly binary?: boolean
      readonly from?: string
      readonly to?: string
    }
    if ((from !== undefined && from !== '-') || (to !== undefined && to !== '+')) {
      refuse('register', 'a stream without { from, to }: register() has its own `from`', { from, to })
    }
    return this.register({ ...registration, kind: 'stream', source: { kind: 'stream', pattern, raw, binary } })
  }

  /** Stores a trigger, or replaces the one of its name. */
  async register({ kind, options, source, program, functions, realm }: Registration): Promise<Trigger> {
    const { engine, secret, timeoutMs } = this.#options
    const { deployment } = engine
    const { name, version, trigger } = checkRegister(kind, options, timeoutMs)
    // What cannot travel is refused before anything is sent.
    const code =
      functions.length === 0
        ? undefined
        : captureCode(functions, {
            known: engine.known,
            ...(secret === undefined ? {} : { secret }),
            ...(realm === undefined ? {} : { realm: realm.capture }),
          })
    const realmed = realmFields(engine.namespace, await realm?.own())
    const revision = randomBytes(8).toString('hex')
    const keys = this.#keys
    const programKey = keys.program(name, revision)
    const codeKey = code === undefined ? programKey : keys.code(name, revision)
    for (let tries = 0; ;) {
      await this.#refuseTaken(name, kind, version)
      await this.#openStreams(name, source, trigger)
      await writeLarge(deployment, programKey, program, unregisteredMs)
      if (code !== undefined) await writeLarge(deployment, codeKey, code.bytes, unregisteredMs)
      const seats = kind === 'schedule' ? 1 : trigger.concurrency
      const reply = itemsOf(
        await deployment.call(
          'trigger_put',
          [keys.registry, keys.trigger(name), keys.events, programKey, codeKey],
          [name, kind, version, revision, seats, JSON.stringify(trigger), JSON.stringify(source), ...realmed],
        ),
      )
      const status = numberOf(reply[0])
      if (status === 1) {
        const old = [...new Set(reply.slice(1).map(textOf))].filter((key) => key !== '')
        // A holder that loads the old revision at this moment sees that it is over.
        if (old.length > 0) await deployment.command(keys.registry, ['UNLINK', ...old])
        return this.get(name)
      }
      // Somebody began to remove it in between.
      if (status === -4) continue
      if (status === -2 && tries++ < mostTries) continue
      await deployment.command(programKey, ['UNLINK', programKey, codeKey])
      throw status === -1 ? newer(name, textOf(reply[1]), version) : taken(name, textOf(reply[1]))
    }
  }

  /** Before anything is written. A removal of that name is waited for. */
  async #refuseTaken(name: string, kind: TriggerKind, version: number): Promise<void> {
    const { deployment } = this.client
    const key = this.#keys.trigger(name)
    for (;;) {
      const [there, time] = await Promise.all([
        deployment.command(key, ['HMGET', key, 'version', 'kind', 'state', 'removing']),
        deployment.command(key, ['TIME']),
      ])
      const [theirs = '', theirKind = '', state, removing = ''] = itemsOf(there).map(textOf)
      if (state !== 'removed' || Number(removing) <= numberOf(itemsOf(time)[0]) * 1000) {
        if (theirs !== '' && Number(theirs) > version) throw newer(name, theirs, version)
        if (theirKind !== '' && theirKind !== kind) throw taken(name, theirKind)
        return
      }
      await delay(lookMs)
    }
  }

  /**
   * 'new' begins with what is added from now on, so groups are made now. A key that is no stream is refused.
   */
  async #openStreams(name: string, source: SourceDescription, { from }: TriggerOptions): Promise<void> {
    const { deployment, namespace } = this.client
    const group = groupOf(namespace, name)
    if (source.kind !== 'stream') {
      // Calls come before any worker does.
      if (source.kind === 'command') await this.#makeGroup(this.#keys.internal(name), group, '0')
      return
    }
    const streams = streamsOf(source.pattern)
    if ('key' in streams) {
      const kind = textOf(await deployment.command(streams.key, ['TYPE', streams.key]))
      if (kind !== 'stream' && kind !== 'none') {
        throw new PlanError('PLAN_KEY_TYPE', `register: ${JSON.stringify(streams.key)} is a ${kind}, not a stream`)
      }
    }
    if (from !== 'new') return
    const found = 'key' in streams ? [streams.key] : await findStreams(deployment, streams.pattern, namespace)
    const homes = this.#keys.homes(name)
    await Promise.all(
      found.map(async (stream) => {
        // remove() knows it by that, also where no worker ever came.
        const home = homeKeys(namespace, name, homeTag(deployment, stream))
        await deployment.command(homes, ['SADD', homes, home.tag])
        await deployment.command(home.fences, ['HSETNX', home.fences, stream, '0'])
        await this.#makeGroup(stream, group, '$')
      }),
    )
  }

  /**
   * Resolves when every primary is followed, so that what is written from then on is seen; does not wait where nobody works.
   * Throws CONNECT_PERMISSION where the server refuses replicas, and the trigger asks for nothing else.
   */
  async #attached(trigger: Trigger): Promise<void> {
    const { deployment } = this.client
    const key = this.#keys.trigger(trigger.name)
    const marks = this.#keys.marks(trigger.name)
    const started = performance.now()
    for (;;) {
      const [facts, all] = await Promise.all([
        deployment.command(key, ['HMGET', key, 'rev', 'state', 'reason']),
        deployment.command(marks, ['HGETALL', marks]),
      ])
      const known = textMapOf(all)
      const [revision = '', state, reason = ''] = itemsOf(facts).map(textOf)
      // Stopped, or somebody removed it.
      if (state !== 'running' && state !== 'paused') return refuseRefused(reason)
      if (deployment.topology.shards.every(({ id }) => known.get(id)?.endsWith(` ${revision}`))) return
      const waited = performance.now() - started
      if (waited > attachMs) return
      if (waited > workerMs && !this.#options.engine.endsWithClient && !(await this.#isTapped())) return
      await delay(lookMs)
    }
  }

  async #isTapped(): Promise<boolean> {
    const { deployment } = this.client
    const { seats } = this.#keys
    const [holder, time] = await Promise.all([
      deployment.command(seats, ['HGET', seats, `0.${tapName}`]),
      deployment.command(seats, ['TIME']),
    ])
    return Number(textOf(holder).split(' ')[2] ?? 0) > numberOf(itemsOf(time)[0]) * 1000
  }

  /** A trigger that is replaced goes on where it was. */
  async #makeGroup(stream: string, group: string, from: string): Promise<void> {
    try {
      await this.client.deployment.command(stream, ['XGROUP', 'CREATE', stream, group, from, 'MKSTREAM'])
    } catch (error) {
      if (!String(error).includes('BUSYGROUP')) throw error
    }
  }
}

/** Replication was asked for, and the server does not allow it. */
function refuseRefused(reason: string): void {
  if (reason === '') return
  const { code, message } = JSON.parse(reason) as { readonly code?: string; readonly message?: string }
  if (code === 'CONNECT_PERMISSION') throw new ConnectError(code, message ?? '')
}

function newer(name: string, theirs: string, version: number): TriggerError {
  return new TriggerError('TRIGGER_VERSION', `trigger ${name} has version ${theirs}; this one has ${version}`)
}

function taken(name: string, kind: string): TriggerError {
  return new TriggerError('TRIGGER_KIND', `${name} is the name of a ${kind} trigger already`)
}

/** Files are published once, at the end; a trigger has none. */
function checkSink(stages: readonly StageProgram[]): void {
  for (const { target } of stages) {
    if (target.kind !== 'result' && target.call.name === 'toFile') {
      throw new PlanError(
        'PLAN_OPTION',
        'register: expected a sink that is written to again and again, such as write() or toStream(); got toFile(...)',
      )
    }
  }
}

/** A window gathers in one place, in front of everything else that gathers. */
function checkWindow(stages: readonly StageProgram[], { concurrency = 1 }: RegisterOptions): void {
  const windows = stages.flatMap(({ local }, stage) => local.filter(({ name }) => name === 'window').map(() => stage))
  if (windows.length === 0) return
  if (windows.length > 1 || windows[0] !== 0) {
    throw new PlanError('PLAN_OPTION', 'register: expected one window(...), in front of operations that gather')
  }
  if (concurrency !== 1) refuse('register', 'concurrency 1 with a window', concurrency)
}

function ignoreUnknown(error: unknown): undefined {
  if (error instanceof TriggerError && error.code === 'TRIGGER_UNKNOWN') return undefined
  throw error
}
